import sys
import zipfile
from pathlib import Path

import pandas as pd
import pytest

from anemia_lightning.data import sheet_cells
from anemia_lightning.data.sheet import has_column, read_sheet, require_columns
from anemia_lightning.errors import SourceError


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def refusal(path: Path) -> str:
    with pytest.raises(SourceError) as caught:
        read_sheet(path)
    return str(caught.value)


def test_csv_cells_stay_as_they_were_written(tmp_path: Path) -> None:
    sheet = read_sheet(write(tmp_path / "a.csv", 'id,note\n007,NA\n1e5,"a, ""b"""\n\n , \nnan,Ünal\n'))
    assert sheet.to_dict("list") == {"id": ["007", "1e5", "nan"], "note": ["NA", 'a, "b"', "Ünal"]}
    assert sheet.index.tolist() == [2, 3, 6]


def test_byte_order_mark_blanks_and_windows_line_ends_are_no_content(tmp_path: Path) -> None:
    sheet = read_sheet(write(tmp_path / "a.csv", b"\xef\xbb\xbfid , b,\r\n x , 2 ,\r\n"))
    assert sheet.to_dict("list") == {"id": ["x"], "b": ["2"]}


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (
            "id\nÜnal\n".encode("latin-1"),
            "another encoding, perhaps Windows-1252 (byte 3, in line 2, is 0xdc). Save the table as CSV UTF-8.",
        ),
        (b"\xef\xbb\xbfid\n\xff\n", "another encoding, perhaps Windows-1252 (byte 6, in line 2, is 0xff)."),
        ("id\n1\n".encode("utf-16"), "text in UTF-16 (byte 0, in line 1, is 0xff)."),
        ("id\n1\n".encode("utf-16-le"), "a zero byte, as in UTF-16 or a damaged file (byte 1)."),
        (b"id\n\x81\n", "another encoding (byte 3, in line 2, is 0x81)."),
        (b"a,b\n1," + b"9" * 200_000, "that field larger than field limit (131072). Mend this line."),
        (b"", "an empty file."),
        (b"\n , \n", "an empty file."),
        (b"a,A\n1,2\n", "more than one 'a'."),
        (b"a,b\n1,2\n1\n1,2,3\n", "another number in 2 rows, such as row 3 (1), 4 (3)."),
        (b'a,b\n"1"x,2\n', "that ',' expected after '\"'."),
    ],
)
def test_csv_files_that_are_none(tmp_path: Path, content: bytes, found: str) -> None:
    assert f"found {found}" in refusal(write(tmp_path / "a.csv", content))


def test_parquet_ids_are_neither_rounded_nor_renamed(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    table = pd.DataFrame(
        {"id": pd.array([2**60 + 1, None], dtype="Int64"), "text": ["007", None], "flag": [True, False]}
    )
    table.to_parquet(tmp_path / "a.parquet")
    sheet = read_sheet(tmp_path / "a.parquet")
    assert sheet.to_dict("list") == {
        "id": [str(2**60 + 1), ""],
        "text": ["007", ""],
        "flag": ["True", "False"],
    }
    assert sheet.index.tolist() == [1, 2]


def test_excel_cells_become_text(tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for cells in (["id", "hb", "age", "note "], ["007", 9.8, 6, None], [None] * 4, [7, 10.03, 12.0, " NA "]):
        book.active.append(cells)
    book.save(tmp_path / "a.xlsx")
    sheet = read_sheet(tmp_path / "a.xlsx")
    assert sheet.to_dict("list") == {
        "id": ["007", "7"],
        "hb": ["9.8", "10.03"],
        "age": ["6", "12"],
        "note": ["", "NA"],
    }
    assert sheet.index.tolist() == [2, 4]


@pytest.mark.parametrize(
    ("suffix", "package", "extra"), [("parquet", "pyarrow", "parquet"), ("xlsx", "openpyxl", "xlsx")]
)
def test_a_missing_package_is_named_with_its_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, package: str, extra: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    assert refusal(write(tmp_path / f"a.{suffix}", "x")) == (
        f"Looked for the package {package}, which reads a.{suffix}; found no such package. "
        f"Install it with: pip install 'anemia-lightning[{extra}]', or save the table as CSV."
    )


@pytest.mark.parametrize("suffix", ["parquet", "xlsx"])
def test_damaged_files_are_refused(tmp_path: Path, suffix: str) -> None:
    assert f"Looked for a .{suffix} table" in refusal(write(tmp_path / f"a.{suffix}", "no such thing"))


def test_missing_files_and_other_kinds_are_refused(tmp_path: Path) -> None:
    assert "found no file there." in refusal(tmp_path / "a.csv")
    assert refusal(write(tmp_path / "a.ods", "x")).endswith("found a .ods file. Give .csv, .parquet or .xlsx.")


def test_columns_are_found_whatever_their_case(tmp_path: Path) -> None:
    sheet = read_sheet(write(tmp_path / "a.csv", " Photo ,LABEL\na,1\n"))
    assert require_columns(sheet, ["photo", "label"], tmp_path) == {"photo": "Photo", "label": "LABEL"}
    assert has_column(sheet, "pHoto")
    assert not has_column(sheet, "phot")


def test_missing_columns_are_all_named_with_their_nearest(tmp_path: Path) -> None:
    sheet = read_sheet(write(tmp_path / "a.csv", "foto,Labels,x\na,1,2\n"))
    with pytest.raises(SourceError) as caught:
        require_columns(sheet, ["photo", "label", "zzz"], tmp_path / "a.csv")
    assert str(caught.value) == (
        f"Looked for the columns 'photo', 'label', 'zzz' in {tmp_path / 'a.csv'}; found only "
        "'foto', 'Labels', 'x'. "
        "Name the right columns; did you mean 'foto' for 'photo', 'Labels' for 'label'?"
    )


@pytest.mark.parametrize(("mark", "name"), [(";", "semicolons"), ("\t", "tabs")])
@pytest.mark.parametrize("quote", ["", '"'])
def test_another_separator_is_named_even_beside_decimal_commas(
    tmp_path: Path, mark: str, name: str, quote: str
) -> None:
    path = write(tmp_path / "a.csv", f"{quote}photo{quote}{mark}{quote}hb{quote}\n{quote}a{quote}{mark}11,2\n")
    assert refusal(path) == (
        f"Looked for commas between the cells of {path}; found {name}. Save the table as CSV with commas."
    )


def test_a_semicolon_within_a_name_separates_nothing(tmp_path: Path) -> None:
    sheet = read_sheet(write(tmp_path / "a.csv", '"age; in months",photo\n7,a\n'))
    assert list(sheet) == ["age; in months", "photo"]


def test_a_column_without_a_name_is_kept_if_it_holds_anything(tmp_path: Path) -> None:
    sheet = read_sheet(write(tmp_path / "a.csv", "id,,,\n1,,x,\n2,,,\n"))
    assert sheet.to_dict("list") == {"id": ["1", "2"], "column 3": ["x", ""]}


def test_excel_rows_are_as_wide_as_the_widest(tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for cells in (["id", "hb"], ["1"], ["2", "9", None, "remark"]):
        book.active.append(cells)
    book.save(tmp_path / "a.xlsx")
    assert read_sheet(tmp_path / "a.xlsx").to_dict("list") == {
        "id": ["1", "2"],
        "hb": ["", "9"],
        "column 4": ["", "remark"],
    }


def test_tables_beyond_all_need_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sheet_cells, "MAX_CELLS", 40)
    path = write(tmp_path / "a.csv", "a,b\n" * 5)
    assert refusal(path) == (
        f"Looked for a table of photos in {path}; found one of more than 40 cells. "
        "Keep the columns and rows that are about photos."
    )
    with (tmp_path / "b.csv").open("wb") as file:
        file.truncate(100_000_001)
    assert "found a file of more than 100 MB." in refusal(tmp_path / "b.csv")


def test_an_excel_file_is_not_unpacked_beyond_measure(tmp_path: Path) -> None:
    pytest.importorskip("openpyxl")
    with zipfile.ZipFile(tmp_path / "a.xlsx", "w", zipfile.ZIP_DEFLATED) as parts:
        parts.writestr("xl/workbook.xml", bytes(100_000_001))
    assert "found a file that unpacks to more than 100 MB. Save the table as CSV." in refusal(tmp_path / "a.xlsx")
