"""The cells of CSV, Parquet and Excel files as text, row by row, whatever state the file is in."""

import csv
import io
import re
import warnings
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO, Any

from anemia_lightning.errors import SourceError

Rows = list[tuple[int, list[str]]]
"""(The row's number as an editor shows it, its cells without blanks at their ends), but for blank rows."""

MAX_CELLS = 10_000_000
MAX_UNPACKED_BYTES = 100_000_000
"""Of the parts of an Excel file, which a few kilobytes can unpack to gigabytes."""

_FEWEST_COUNTED = 10  # a row takes the memory of some ten cells, however short it is
_QUOTED = re.compile('"[^"]*"')
_MARKS_OF_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_SAVE_AS_UTF8 = "Save the table as CSV UTF-8."


def read_csv(path: Path) -> Rows:
    """Reads a CSV file in UTF-8 with commas between its cells.

    Raises:
        SourceError: If it is in another encoding, uses another separator, or its quotes do not add up.
    """
    text = _decode(path)
    _check_separator(text, path)
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        return _collect(((reader.line_num, cells) for cells in reader), path)
    except csv.Error as fault:
        place = f"line {reader.line_num} of {path}"
        raise SourceError(f"comma-separated cells in {place}", f"that {fault}", "Mend this line.") from fault


def _check_separator(text: str, path: Path) -> None:
    # Ahead of the reader, to which another mark behind a quoted cell is a fault of its line.
    header = next((line for line in io.StringIO(text, newline="") if line.replace(",", "").strip()), "")
    # Also "id;hb,x": in such a table the comma stands within numbers.
    first = _QUOTED.sub("-", header).partition(",")[0].strip()
    for mark, name in ((";", "semicolons"), ("\t", "tabs")):
        if mark in first:
            raise SourceError(f"commas between the cells of {path}", name, "Save the table as CSV with commas.")


def _decode(path: Path) -> str:
    content = path.read_bytes()
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as fault:
        line = content.count(b"\n", 0, fault.start) + 1
        place = f"byte {fault.start}, in line {line}, is 0x{content[fault.start]:02x}"
        raise SourceError(f"text in UTF-8 in {path}", f"{_guess_encoding(content)} ({place})", _SAVE_AS_UTF8) from fault
    if "\0" in text:
        found = f"a zero byte, as in UTF-16 or a damaged file (byte {content.index(0)})"
        raise SourceError(f"text in UTF-8 in {path}", found, _SAVE_AS_UTF8)
    return text.removeprefix("\ufeff")


def _guess_encoding(content: bytes) -> str:
    if content.startswith(_MARKS_OF_UTF16):
        return "text in UTF-16"
    try:
        content.decode("cp1252")
    except UnicodeDecodeError:
        return "another encoding"
    return "another encoding, perhaps Windows-1252"


def read_parquet(path: Path) -> Rows:
    """Reads a Parquet file, its column names as row 0.

    Raises:
        SourceError: If it is not whole, too large, or pyarrow is not installed.
    """
    try:
        from pyarrow import parquet
    except ImportError as fault:
        raise _package_missing(path, "pyarrow", "parquet") from fault
    try:
        with parquet.ParquetFile(path) as file:
            _check_size(file.metadata.num_rows * file.metadata.num_columns, path)
            table = file.read(use_threads=False)
        columns = [[_text(value) for value in column.to_pylist()] for column in table.columns]
        names = [str(name) for name in table.column_names]
    except SourceError:
        raise
    except Exception as fault:  # pyarrow raises of all kinds on damaged bytes
        raise _damaged(path, fault) from fault
    return _collect(enumerate([names, *zip(*columns, strict=True)]), path)


def read_excel(path: Path) -> Rows:
    """Reads an Excel file's first sheet.

    Raises:
        SourceError: If it is not whole, unpacks to too much, or openpyxl is not installed.
    """
    try:
        import openpyxl
    except ImportError as fault:
        raise _package_missing(path, "openpyxl", "xlsx") from fault
    try:
        # Opened here, because openpyxl leaves a file that it fails on open.
        with path.open("rb") as file, warnings.catch_warnings():
            _check_unpacked_size(file, path)
            # openpyxl warns of styles and forms that it does not know; cells are all we want.
            warnings.simplefilter("ignore")
            sheet = openpyxl.load_workbook(file, read_only=True, data_only=True).worksheets[0]
            # The size that a sheet claims to have may be any; openpyxl would fill each row up to it.
            sheet.reset_dimensions()
            values = enumerate(sheet.iter_rows(values_only=True), start=1)
            rows = _collect(((number, list(map(_text, row))) for number, row in values), path)
    except SourceError:
        raise
    except Exception as fault:  # a damaged archive fails in many ways
        raise _damaged(path, fault) from fault
    return _pad(rows, path)


def _pad(rows: Rows, path: Path) -> Rows:
    """Fills up rows that Excel stores without the blank cells at their ends."""
    width = max((len(cells) for _, cells in rows), default=0)
    _check_size(width * len(rows), path)
    return [(number, cells + [""] * (width - len(cells))) for number, cells in rows]


def _collect(rows: Iterable[tuple[int, Sequence[str]]], path: Path) -> Rows:
    collected, counted = [], 0
    for number, cells in rows:
        stripped = [cell.strip() for cell in cells]
        if any(stripped):
            counted += max(len(cells), _FEWEST_COUNTED)
            _check_size(counted, path)
            collected.append((number, stripped))
    return collected


def _check_size(cells: int, path: Path) -> None:
    if cells > MAX_CELLS:
        found = f"one of more than {MAX_CELLS:,} cells"
        raise SourceError(f"a table of photos in {path}", found, "Keep the columns and rows that are about photos.")


def _check_unpacked_size(file: IO[bytes], path: Path) -> None:
    with zipfile.ZipFile(file) as parts:
        size = sum(part.file_size for part in parts.infolist())
    if size > MAX_UNPACKED_BYTES:
        found = f"a file that unpacks to more than {MAX_UNPACKED_BYTES // 10**6} MB"
        raise SourceError(f"a table in {path}", found, "Save the table as CSV.")


def _text(value: Any) -> str:  # noqa: ANN401 (whatever a cell may hold)
    if value is None:
        return ""
    # Excel knows no whole numbers; 7 is stored as 7.0.
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _package_missing(path: Path, package: str, extra: str) -> SourceError:
    change = f"Install it with: pip install 'anemia-lightning[{extra}]', or save the table as CSV."
    return SourceError(f"the package {package}, which reads {path.name}", "no such package", change)


def _damaged(path: Path, fault: Exception) -> SourceError:
    return SourceError(f"a {path.suffix} table in {path}", f"a damaged file ({fault})", "Give a whole file.")
