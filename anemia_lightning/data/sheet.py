"""Sheets of text: CSV, Parquet and Excel files, read so that every cell stays as it was written."""

from collections import Counter
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

import pandas as pd

from anemia_lightning.data.listing import is_file
from anemia_lightning.data.sheet_cells import Rows, read_csv, read_excel, read_parquet
from anemia_lightning.errors import SourceError

MAX_BYTES = 100_000_000
"""Files with more bytes are refused unread: a table of a million photos has fewer."""


def read_sheet(path: Path) -> pd.DataFrame:
    """Reads a .csv (UTF-8, commas), .parquet or .xlsx file (its first sheet).

    Returns:
        `str` cells without blanks at their ends, "" where there is nothing; named by the header. The index is
        the row's number as an editor shows it, which for Parquet starts at 1.

    Raises:
        SourceError: If the file is missing, of another kind, not whole, or needs a package that is not there.
    """
    readers = {".csv": read_csv, ".parquet": read_parquet, ".xlsx": read_excel}
    if path.suffix.casefold() not in readers:
        raise SourceError(f"a table in {path}", f"a {path.suffix or 'nameless'} file", "Give .csv, .parquet or .xlsx.")
    if not is_file(path):
        raise SourceError(f"a table at {path}", "no file there", "Put it there, or name the file that you have.")
    try:
        _check_file_size(path)
        return _to_frame(readers[path.suffix.casefold()](path), path)
    except OSError as fault:
        found = f"one that cannot be read ({fault.strerror or fault})"
        raise SourceError(f"a table in {path}", found, "Give a whole file that you may read.") from fault


def _check_file_size(path: Path) -> None:
    if path.stat().st_size > MAX_BYTES:
        found = f"a file of more than {MAX_BYTES // 10**6} MB"
        raise SourceError(f"a table in {path}", found, "Keep the columns and rows that are about photos.")


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
        there = ", ".join(f"'{column}'" for column in sheet)
        raise SourceError(f"the columns {', '.join(map(repr, missing))} in {path}", f"only {there}", change)
    return {name: spelling[name.strip().casefold()] for name in names}


def has_column(sheet: pd.DataFrame, name: str) -> bool:
    """Says whether there is a column of this name, whatever its case."""
    return name.strip().casefold() in _spellings(sheet)


def _spellings(sheet: pd.DataFrame) -> dict[str, str]:
    return {str(column).casefold(): str(column) for column in sheet}


def _to_frame(rows: Rows, path: Path) -> pd.DataFrame:
    if not rows:
        raise SourceError(f"a table in {path}", "an empty file", "Give a table with a header and a row per photo.")
    (_, header), *rows = rows
    repeated = [name for name, count in Counter(map(str.casefold, header)).items() if name and count > 1]
    if repeated:
        raise SourceError(f"column names in {path}", f"more than one '{repeated[0]}'", "Rename or remove one of them.")
    ragged = [f"{number} ({len(cells)})" for number, cells in rows if len(cells) != len(header)]
    if ragged:
        found = f"another number in {len(ragged)} rows, such as row {', '.join(ragged[:5])}"
        change = 'Mend these rows; a cell with a comma in it takes quotes ("a, b").'
        raise SourceError(f"{len(header)} cells in each row of {path}", found, change)
    header = [name or _name_column(number, rows) for number, name in enumerate(header)]
    numbers, table = [number for number, _ in rows], [cells for _, cells in rows]
    sheet = pd.DataFrame(table, index=numbers, columns=header, dtype=object)
    return sheet.loc[:, [bool(name) for name in header]]


def _name_column(number: int, rows: Rows) -> str:
    """Returns a name for a column that has none, but cells: they may hold a remark that matters."""
    return f"column {number + 1}" if any(cells[number] for _, cells in rows) else ""
