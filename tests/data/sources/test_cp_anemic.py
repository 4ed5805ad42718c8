from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from anemia_lightning.contracts import MANIFEST_COLUMNS, names_patient
from anemia_lightning.data.sources.cp_anemic import read_cp_anemic
from anemia_lightning.errors import AnemiaError

SHEET = "Anemia_Data_Collection_Sheet"
HEADER = "IMAGE_ID,HB_LEVEL,Severity,Age(Months),GENDER,REMARK,HOSPITAL,CITY/TOWN,MUNICIPALITY/DISTRICT,REGION,COUNTRY"
ROWS = (
    "Image_001,9.8,Moderate,6,Female,Anemic,Komfo Anokye Teaching Hospital ,Kumasi,Kumasi,Ashanti,Ghana",
    "Image_002,12.5,Non-Anemic,12,Male,Non-anemic,SDA Hospital,Ejusu,Ejisu,Ashanti,Ghana",
    "Image_010,3.1,Severe,60,Male,Anemic,SDA Hospital,Ejusu,Ejisu,Ashanti,Ghana",
)


def draw(root: Path, rows: tuple[str, ...] = ROWS) -> Path:
    for name in ("Anemic/Image_001.png", "Non-anemic/Image_002.png", "Anemic/Image_010.png"):
        add(root, name)
    (root / f"{SHEET}.csv").write_text("\r\n".join([HEADER, *rows, ""]), encoding="utf-8-sig", newline="")
    return root


def add(root: Path, name: str) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    cut_out = Image.new("RGBA", (4, 2))
    cut_out.paste((200, 90, 80, 255), (1, 0, 3, 2))
    cut_out.save(root / name, format="PNG")


def refusal(root: Path | None) -> str:
    with pytest.raises(AnemiaError) as caught:
        read_cp_anemic(root=root)
    return str(caught.value)


def test_the_published_layout(tmp_path: Path) -> None:
    manifest = read_cp_anemic(root=draw(tmp_path))
    assert tuple(manifest) == MANIFEST_COLUMNS
    assert manifest["photo"].tolist() == [
        "cp_anemic/Anemic/Image_001.png",
        "cp_anemic/Anemic/Image_010.png",
        "cp_anemic/Non-anemic/Image_002.png",
    ]
    first = manifest.iloc[0].drop(["altitude_m", "cigarettes_per_day"]).to_dict()
    assert first == {
        "photo": "cp_anemic/Anemic/Image_001.png",
        "path": str(tmp_path / "Anemic" / "Image_001.png"),
        "label": 1,
        "patient": "cp_anemic/Anemic/Image_001.png",
        "photo_group": "cp_anemic/Anemic/Image_001.png",
        "source": "cp_anemic",
        "site": "Komfo Anokye Teaching Hospital",
        "sex": "female",
        "age_months": 6.0,
        "hemoglobin_g_dl": 9.8,
        "pregnancy": "",
        "severity": "moderate",
        "mask": "",
        "split": "",
    }
    assert manifest["label"].tolist() == [1, 1, 0]
    assert manifest["severity"].tolist() == ["moderate", "severe", "none"]


def test_the_names_of_its_files_are_no_patients(tmp_path: Path) -> None:
    assert not names_patient(read_cp_anemic(root=draw(tmp_path))).any()


def test_the_spellings_of_a_hospital_are_one_site(tmp_path: Path) -> None:
    spellings = ("Ejusu  Government Hospital ", "Ejisu Government Hospital", "ejusu Government Hospital")
    rows = [row.replace("SDA Hospital", name) for row, name in zip(ROWS[1:], spellings, strict=False)]
    rows.append(ROWS[0].replace("Komfo Anokye Teaching Hospital ", spellings[2]))
    assert set(read_cp_anemic(root=draw(tmp_path, tuple(rows)))["site"]) == {"Ejisu Government Hospital"}


def test_an_unknown_severity_is_refused(tmp_path: Path) -> None:
    draw(tmp_path, (ROWS[0].replace("Moderate", "Grave"), *ROWS[1:]))
    expected = "a severity other than none, mild, moderate, severe or nothing: cp_anemic/Anemic/Image_001.png ('grave')"
    assert expected in refusal(tmp_path)


def test_the_sheet_as_published_reads_the_same(tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    from_csv = read_cp_anemic(root=draw(tmp_path))
    book = openpyxl.Workbook()
    book.active.append([f"{name} " for name in HEADER.split(",")])
    for row in ROWS:
        cells: list[str | float] = list(row.split(","))
        cells[1], cells[3] = float(cells[1]), int(cells[3])
        book.active.append(cells)
    book.save(tmp_path / f"{SHEET}.xlsx")
    (tmp_path / f"{SHEET}.csv").unlink()
    pd.testing.assert_frame_equal(read_cp_anemic(root=tmp_path), from_csv)


def test_other_files_are_left_alone(tmp_path: Path) -> None:
    draw(tmp_path)
    for name in ("Anemic/Thumbs.db", "Anemic/.DS_Store", "README.txt"):
        (tmp_path / name).touch()
    assert len(read_cp_anemic(root=tmp_path)) == 3


@pytest.mark.parametrize("root", [None, "gone"])
def test_a_missing_root_says_where_the_set_is_published(tmp_path: Path, root: str | None) -> None:
    message = refusal(None if root is None else tmp_path / root)
    assert message.startswith("Looked for the CP-AnemiC data set; found no")
    assert message.endswith(
        "Download it from Mendeley Data, https://doi.org/10.17632/m53vz6b7fx, and set data.root "
        "to the folder that holds Anemic/, Non-anemic/ and Anemia_Data_Collection_Sheet.xlsx "
        "(or that sheet saved as .csv)."
    )


def test_another_folder_is_told_what_it_lacks(tmp_path: Path) -> None:
    (tmp_path / "Anemic").mkdir()
    message = refusal(tmp_path)
    assert f"found no Non-anemic/ and no {SHEET} in {tmp_path}. Download it" in message


def test_the_folder_around_the_set_is_told_from_it(tmp_path: Path) -> None:
    draw(tmp_path / "CP-AnemiC")
    assert f"found it one folder deeper. Set data.root to {tmp_path / 'CP-AnemiC'}." in refusal(tmp_path)


def test_a_partial_copy_names_what_is_missing_on_either_side(tmp_path: Path) -> None:
    draw(tmp_path)
    (tmp_path / "Anemic" / "Image_001.png").unlink()
    add(tmp_path, "Anemic/Image_500.png")
    assert refusal(tmp_path) == (
        "Looked for photos and entries to work with; found "
        f"photographs without a row in {tmp_path / SHEET}.csv: cp_anemic/Anemic/Image_500.png; "
        f"rows of {tmp_path / SHEET}.csv without a photograph: Image_001. "
        "Mend this in the data, and start again."
    )


def test_many_missing_photographs_are_counted(tmp_path: Path) -> None:
    more = tuple(f"Image_{n},9.8,Moderate,6,Female,Anemic,SDA,a,b,c,Ghana" for n in range(500, 530))
    assert "Image_519 and 10 more." in refusal(draw(tmp_path, ROWS + more))


def test_a_photograph_in_the_folder_of_the_other_class_is_refused(tmp_path: Path) -> None:
    draw(tmp_path)
    (tmp_path / "Anemic" / "Image_001.png").rename(tmp_path / "Non-anemic" / "Image_001.png")
    expected = "photographs in another folder than their REMARK: cp_anemic/Non-anemic/Image_001.png."
    assert expected in refusal(tmp_path)


def test_ambiguous_rows_and_photographs_are_refused(tmp_path: Path) -> None:
    draw(tmp_path, (*ROWS, ROWS[0], "Image_011,9,Mild,6,Male,unsure,SDA,a,b,c,Ghana"))
    add(tmp_path, "Anemic/Image_011.png")
    add(tmp_path, "Non-anemic/Image_002.jpg")
    message = refusal(tmp_path)
    assert "rows with the same IMAGE_ID: Image_001;" in message
    assert "photographs with the same name: cp_anemic/Non-anemic/Image_002.png;" in message
    assert "a REMARK other than Anemic and Non-anemic: Image_011 ('unsure')." in message
    assert "another folder than their REMARK" not in message


def test_a_sheet_without_its_columns_is_refused(tmp_path: Path) -> None:
    draw(tmp_path)
    sheet = tmp_path / f"{SHEET}.csv"
    sheet.write_text(sheet.read_text(encoding="utf-8-sig").replace("HB_LEVEL", "HBLEVEL"))
    assert "did you mean 'HBLEVEL' for 'HB_LEVEL'?" in refusal(tmp_path)


def test_haemoglobin_with_a_decimal_comma_is_refused(tmp_path: Path) -> None:
    draw(tmp_path, (ROWS[0].replace("9.8", '"9,8"'), *ROWS[1:]))
    assert (
        "hemoglobin_g_dl that is no number (decimals take a point): cp_anemic/Anemic/Image_001.png ('9,8')"
        in refusal(tmp_path)
    )
