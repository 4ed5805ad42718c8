"""Sheets of text: CSV, Parquet and Excel files, read so that every cell stays as it was written."""

import csv
import io
import warnings
from collections import Counter
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

import pandas as pd

from anemia_lightning.data.listing import is_file
from anemia_lightning.errors import SourceError

_MARKS_OF_UTF16 = (b"\xff\xfe", b"\xfe\xff")


def read_sheet(path: Path) -> pd.DataFrame:
    """Reads a .csv (UTF-8, commas), .parquet or .xlsx file (its first sheet).

    Returns:
        `str` cells without blanks at their ends, "" where there is nothing; named by the header. The index is
        the row's number as an editor shows it, which for Parquet starts at 1.

    Raises:
        SourceError: If the file is missing, of another kind, not whole, or needs a package that is not there.
    """
    readers = {".csv": _read_csv, ".parquet": _read_parquet, ".xlsx": _read_excel}
    if path.suffix.casefold() not in readers:
        raise SourceError(f"a table in {path}", f"a {path.suffix or 'nameless'} file", "Give .csv, .parquet or .xlsx.")
    if not is_file(path):
        raise SourceError(f"a table at {path}", "no file there", "Put it there, or name the file that you have.")
    try:
        return readers[path.suffix.casefold()](path)
    except OSError as fault:
        found = f"one that cannot be read ({fault.strerror or fault})"
        raise SourceError(f"a table in {path}", found, "Give a whole file that you may read.") from fault


def require_columns(sheet: pd.DataFrame, names: Sequence[str], path: Path) -> dict[str, str]:
    """Finds columns by name, whatever their case.

    Returns:
        The sheet's spelling of each name.

    Raises:
        SourceError: Naming all columns that are missing, each with the nearest that is there.
    """
    spelling = _spellings(sheet)
    missing = [name for name in names if name.strip().casefold() not in spelling]
    if missing:
        nearest = {name: get_close_matches(name.casefold(), spelling, n=1, cutoff=0.5) for name in missing}
        hints = [f"'{spelling[near[0]]}' for '{name}'" for name, near in nearest.items() if near]
        change = "Name the right columns" + (f"; did you mean {', '.join(hints)}?" if hints else ".")
        if len(sheet.columns) == 1 and any(mark in sheet.columns[0] for mark in ";\t"):
            change = "Save the table with commas between its cells."
        there = ", ".join(f"'{column}'" for column in sheet)
        raise SourceError(f"the columns {', '.join(map(repr, missing))} in {path}", f"only {there}", change)
    return {name: spelling[name.strip().casefold()] for name in names}


def has_column(sheet: pd.DataFrame, name: str) -> bool:
    """Says whether there is a column of this name, whatever its case."""
    return name.strip().casefold() in _spellings(sheet)


def _spellings(sheet: pd.DataFrame) -> dict[str, str]:
    return {str(column).casefold(): str(column) for column in sheet}


def _read_csv(path: Path) -> pd.DataFrame:
    reader = csv.reader(io.StringIO(_decode(path), newline=""), strict=True)
    rows: dict[int, list[str]] = {}
    try:
        for cells in reader:
            rows[reader.line_num] = cells
    except csv.Error as fault:
        place = f"line {reader.line_num} of {path}"
        raise SourceError(f"comma-separated cells in {place}", f"that {fault}", "Mend this line.") from fault
    return _to_frame(rows, path)


def _decode(path: Path) -> str:
    content = path.read_bytes()
    try:
        return content.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as fault:
        kind = "text in UTF-16" if content.startswith(_MARKS_OF_UTF16) else "another encoding"
        found = f"{kind} (byte {fault.start} is 0x{content[fault.start]:02x})"
        raise SourceError(f"text in UTF-8 in {path}", found, "Save the table as CSV UTF-8.") from fault


def _read_parquet(path: Path) -> pd.DataFrame:
    try:
        # Nullable types, lest a missing id turn the whole column's long numbers into rounded floats.
        table = pd.read_parquet(path, engine="pyarrow", dtype_backend="numpy_nullable")
    except ImportError as fault:
        raise _package_missing(path, "pyarrow", "parquet") from fault
    except Exception as fault:  # pyarrow's errors are not to be had without it
        raise _damaged(path, fault) from fault
    rows = [["" if value is pd.NA or value is None else str(value) for value in row] for row in table.to_numpy(object)]
    return _to_frame(dict(enumerate([[str(name) for name in table], *rows])), path)


def _read_excel(path: Path) -> pd.DataFrame:
    try:
        with warnings.catch_warnings():
            # openpyxl warns of styles and forms that it does not know; cells are all we want.
            warnings.simplefilter("ignore")
            table = pd.read_excel(path, header=None, dtype=object, na_filter=False, engine="openpyxl")
    except ImportError as fault:
        raise _package_missing(path, "openpyxl", "xlsx") from fault
    except Exception as fault:  # a damaged archive fails in many ways
        raise _damaged(path, fault) from fault
    return _to_frame({number: list(map(str, row)) for number, row in enumerate(table.to_numpy(), start=1)}, path)


def _to_frame(rows: dict[int, list[str]], path: Path) -> pd.DataFrame:
    rows = {number: [cell.strip() for cell in cells] for number, cells in rows.items() if any(map(str.strip, cells))}
    if not rows:
        raise SourceError(f"a table in {path}", "an empty file", "Give a table with a header and a row per photo.")
    header = rows.pop(min(rows))
    repeated = [name for name, count in Counter(map(str.casefold, header)).items() if name and count > 1]
    if repeated:
        raise SourceError(f"column names in {path}", f"more than one '{repeated[0]}'", "Rename or remove one of them.")
    ragged = [f"{number} ({len(cells)})" for number, cells in rows.items() if len(cells) != len(header)]
    if ragged:
        found = f"another number in {len(ragged)} rows, such as row {', '.join(ragged[:5])}"
        change = 'Mend these rows; a cell with a comma in it takes quotes ("a, b").'
        raise SourceError(f"{len(header)} cells in each row of {path}", found, change)
    sheet = pd.DataFrame(list(rows.values()), index=list(rows), columns=header, dtype=object)
    return sheet.loc[:, [bool(name) for name in header]]


def _package_missing(path: Path, package: str, extra: str) -> SourceError:
    change = f"Install it with: pip install 'anemia-lightning[{extra}]', or save the table as CSV."
    return SourceError(f"the package {package}, which reads {path.name}", "no such package", change)


def _damaged(path: Path, fault: Exception) -> SourceError:
    return SourceError(f"a {path.suffix} table in {path}", f"a damaged file ({fault})", "Give a whole file.")
