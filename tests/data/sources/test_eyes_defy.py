import csv
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from anemia_lightning.contracts import MANIFEST_COLUMNS, UNKNOWN_LABEL
from anemia_lightning.data.reading import read_photo
from anemia_lightning.data.sources.eyes_defy import read_eyes_defy
from anemia_lightning.data.white_background import clear_white_background
from anemia_lightning.errors import AnemiaError
from anemia_lightning.randomness import stream

PIXELS = stream("eyes defy").integers(60, 200, size=(18, 24, 3)).astype(np.uint8)
HEADER = "Number,Hgb,Gender,Age,Note,remarks"
INDIA = ("1,12.5,M,34,,", "2,9,F,40,,", "7,10.1,f,18,,", "8,13.9,M,61,,")
ITALY = ('1,"11,2",F,"50,5",,', "93,_,_,_,,ELIMINATO", '95,"15,1",M,_,no forniceal,')
FILES = (
    "India/1/20200118_164733.jpg",
    "India/1/20200118_164733_palpebral.png",
    "India/1/20200118_164733_forniceal.png",
    "India/1/20200118_164733_forniceal_palpebral.png",
    "India/2/20200120_101010.JPG",
    "India/2/20200120_101010_palpebral.PNG",
    "India/7/20200124_202058.jpg",
    "India/7/20200124_202058_papebral.png",
    "India/7/20200124_202058_fornical.png",
    "India/8/20200124_202947.jpg",
    "India/8/20200124_202947(1).jpg",
    "India/8/20200124_202947_palpebral(1).png",
    "India/8/20200124_202947_palpebral.png",
    "India/8/20200124_202947_palpebral (2).png",
    "India/8/20200124_202947_forniceal(1).png",
    "Italy/001/1.jpg",
    "Italy/001/01_palpebral.png",
    "Italy/93/93.jpg",
    "Italy/93/93_palpebral.png",
    "Italy/95/T_64_20190612_092742.jpg",
    "Italy/95/T_64_20190612_092742_palplebral.png",
    "Italy/95/T_64_20190612_092742_forniceal_palplebral.png",
    "Italy/95/T_64_20190612_092742_forniceal.png",
)


def draw(root: Path, *, india: tuple[str, ...] = INDIA, italy: tuple[str, ...] = ITALY, **header: str) -> Path:
    for name in FILES:
        add(root, name)
    for country, rows in (("India", india), ("Italy", italy)):
        lines = [header.get(country, HEADER), *rows, ",,,,,", ""]
        (root / country / f"{country}.csv").write_text("\n".join(lines), encoding="utf-8")
    (root / "Dataset anemia.docx").touch()
    return root


def add(root: Path, name: str) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(PIXELS).save(path, format="PNG" if "png" in name.casefold() else "JPEG")
    return path


def read(root: Path | None, **options: Any) -> pd.DataFrame:
    return read_eyes_defy(root=root, **options)


def refusal(root: Path | None, **options: Any) -> str:
    with pytest.raises(AnemiaError) as caught:
        read(root, **options)
    return str(caught.value)


def by_patient(manifest: pd.DataFrame, column: str) -> dict[str, Any]:
    return dict(zip(manifest["patient"], manifest[column], strict=True))


def test_the_published_layout(tmp_path: Path) -> None:
    manifest = read(draw(tmp_path))
    assert tuple(manifest) == (*MANIFEST_COLUMNS, "exclude_reason")
    assert by_patient(manifest, "photo") == {
        "India/1": "eyes_defy/India/1/20200118_164733_palpebral.png",
        "India/2": "eyes_defy/India/2/20200120_101010_palpebral.PNG",
        "India/7": "eyes_defy/India/7/20200124_202058_papebral.png",
        "India/8": "eyes_defy/India/8/20200124_202947_palpebral.png",
        "Italy/1": "eyes_defy/Italy/001/01_palpebral.png",
        "Italy/93": "eyes_defy/Italy/93/93_palpebral.png",
        "Italy/95": "eyes_defy/Italy/95/T_64_20190612_092742_palplebral.png",
    }
    assert manifest.set_index("patient").loc["Italy/1"].drop(["altitude_m", "cigarettes_per_day"]).to_dict() == {
        "photo": "eyes_defy/Italy/001/01_palpebral.png",
        "path": str(tmp_path / "Italy" / "001" / "01_palpebral.png"),
        "label": UNKNOWN_LABEL,
        "photo_group": "eyes_defy/Italy/001/01_palpebral.png",
        "source": "eyes_defy",
        "site": "Italy",
        "sex": "female",
        "age_months": 606.0,
        "hemoglobin_g_dl": 11.2,
        "pregnancy": "",
        "severity": "",
        "mask": "",
        "split": "",
        "exclude_reason": "",
    }


def test_decimal_commas_and_placeholders(tmp_path: Path) -> None:
    usable = read(draw(tmp_path)).query("exclude_reason == ''").set_index("patient")
    assert usable["hemoglobin_g_dl"].tolist() == [12.5, 9.0, 10.1, 13.9, 11.2, 15.1]
    assert usable["age_months"].fillna(-1).tolist() == [408, 480, 216, 732, 606, -1]
    assert usable["sex"].tolist() == ["male", "female", "female", "male", "female", "male"]


@pytest.mark.parametrize(
    ("cut", "patients"),
    [
        ("palpebral", ["India/1", "India/2", "India/7", "India/8", "Italy/1", "Italy/95"]),
        ("forniceal", ["India/1", "India/7", "India/8", "Italy/95"]),
        ("forniceal_palpebral", ["India/1", "Italy/95"]),
        ("eye", ["India/1", "India/2", "India/7", "India/8", "Italy/1", "Italy/95"]),
    ],
)
def test_one_photo_of_the_wanted_cut_per_patient(tmp_path: Path, cut: str, patients: list[str]) -> None:
    manifest = read(draw(tmp_path), cut=cut)
    assert manifest["patient"].is_unique
    assert len(manifest) == 7
    assert manifest.loc[manifest["exclude_reason"] == "", "patient"].tolist() == patients
    lacking = manifest[manifest["exclude_reason"] == f"no {cut} photograph in its folder"]
    assert sorted([*lacking["patient"], *patients, "Italy/93"]) == sorted(manifest["patient"])
    assert all(Path(path).is_dir() for path in lacking["path"])


def test_the_copy_of_a_browser_is_taken_where_there_is_no_other(tmp_path: Path) -> None:
    photos = by_patient(read(draw(tmp_path), cut="forniceal"), "photo")
    assert photos["India/8"] == "eyes_defy/India/8/20200124_202947_forniceal(1).png"


def test_patients_who_cannot_be_used_say_why(tmp_path: Path) -> None:
    root = draw(tmp_path, india=(*INDIA[:2], "7,eliminated,F,18,,", "8,_,M,61,,"), italy=(*ITALY, "120,_,F,30,,"))
    reasons = by_patient(read(root), "exclude_reason")
    assert {patient: reason for patient, reason in reasons.items() if reason} == {
        "India/7": "eliminated by the authors of the set",
        "India/8": "no haemoglobin in India's sheet",
        "Italy/93": "eliminated by the authors of the set",
    }


def test_the_folder_around_the_set_gives_the_same_ids(tmp_path: Path) -> None:
    inner = draw(tmp_path / "dataset anemia")
    pd.testing.assert_frame_equal(read(tmp_path), read(inner))


def test_the_sheets_as_published_read_the_same(tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    from_csv = read(draw(tmp_path))
    for country, rows in (("India", INDIA), ("Italy", ITALY)):
        book = openpyxl.Workbook()
        book.active.append(HEADER.split(","))
        for cells in csv.reader(rows):
            # India's numbers are numbers; of Italy's, those with a comma are text.
            book.active.append([float(cell) if cell.replace(".", "").isdigit() else cell or None for cell in cells])
            book.active.append([None] * len(cells))
        book.save(tmp_path / country / f"{country}.xlsx")
        (tmp_path / country / f"{country}.csv").unlink()
    pd.testing.assert_frame_equal(read(tmp_path), from_csv)


def test_other_spellings_of_the_headers(tmp_path: Path) -> None:
    expected = read(draw(tmp_path / "a"))
    root = draw(tmp_path / "b", Italy="N,HB,sex,ETÀ,Note,x", India="NUMBER ,hgb (g/dl),Sesso,Age (years),Note,x")
    columns = [column for column in expected if column != "path"]
    pd.testing.assert_frame_equal(read(root)[columns], expected[columns])


@pytest.mark.parametrize("root", [None, "gone"])
def test_a_missing_root_says_where_the_set_is_published(tmp_path: Path, root: str | None) -> None:
    message = refusal(None if root is None else tmp_path / root)
    assert message.startswith("Looked for the Eyes-Defy-Anemia data set; found no")
    assert message.endswith(
        "Download it from IEEE DataPort, https://doi.org/10.21227/t5s2-4j73, or its mirror on Kaggle, "
        "harshwardhanfartale/eyes-defy-anemia, and set data.root to the folder that holds India/ and Italy/, each "
        "with its sheet (India.xlsx, Italy.xlsx, or these saved as .csv) and one numbered folder per patient."
    )


def test_another_folder_is_told_what_it_lacks(tmp_path: Path) -> None:
    (tmp_path / "India").mkdir()
    assert f"found no Italy/ in {tmp_path}. Download it" in refusal(tmp_path)
    (tmp_path / "India").rmdir()
    assert f"found no India/ and no Italy/ in {tmp_path}. Download it" in refusal(tmp_path)
    draw(tmp_path)
    (tmp_path / "Italy" / "Italy.csv").unlink()
    assert f"Looked for the sheet Italy.xlsx or Italy.csv; found none in {tmp_path / 'Italy'}." in refusal(tmp_path)


def test_an_unknown_cut_is_answered_with_the_nearest(tmp_path: Path) -> None:
    assert refusal(draw(tmp_path), cut="palpebra") == (
        "Looked for the cut to take of each eye, data.cut; found 'palpebra'. "
        "Known, the nearest first: palpebral, forniceal_palpebral, forniceal, eye."
    )


def test_a_sheet_without_its_columns_is_refused(tmp_path: Path) -> None:
    root = draw(tmp_path, Italy="Number,Hbg,Gender,Age,Note,remarks")
    assert "did you mean 'Hbg' for 'Hgb'?" in refusal(root)


def test_sheets_and_folders_that_contradict_each_other_are_refused_at_once(tmp_path: Path) -> None:
    root = draw(
        tmp_path,
        india=("1,12.5,M,34,,", "2,9,X,old,,", "2,8,F,40,,", ",11,F,40,,", "7.5,11,F,40,,", "30,10,F,3,,"),
    )
    add(root, "India/1/other_palpebral.png")
    add(root, "Italy/95b/x_palpebral.png")
    add(root, "Italy/01/x_palpebral.png")
    india = root / "India"
    message = refusal(root)
    for sentence in (
        f"rows of {india / 'India.csv'} without a whole number: row 5, row 6",
        f"numbers that {india / 'India.csv'} gives twice: 2 (row 4)",
        f"rows of {india / 'India.csv'} without a folder: 30",
        f"folders without a row in {india / 'India.csv'}: {india / '7'}, {india / '8'}",
        f"more than one palpebral photograph of a patient: {india / '1' / '20200118_164733_palpebral.png'}, "
        f"{india / '1' / 'other_palpebral.png'}",
        f"folders in {root / 'Italy'} that are no number: {root / 'Italy' / '95b'}",
        f"folders with the same number: {root / 'Italy' / '001'}, {root / 'Italy' / '01'}",
    ):
        assert sentence in message
    assert message.endswith("Mend this in the data, and start again.")


def test_entries_that_make_no_sense_are_refused(tmp_path: Path) -> None:
    root = draw(tmp_path, india=("1,12.5,M,34,,", "2,112,F,40,,", "7,10.1.2,F,18,,", "8,13.9,X,old,,"))
    message = refusal(root)
    for sentence in (
        "a Gender other than M and F: India/8 ('X')",
        "hemoglobin_g_dl that is no number (decimals take a point): "
        "eyes_defy/India/7/20200124_202058_papebral.png ('10.1.2')",
        "age_months that is no number (decimals take a point): eyes_defy/India/8/20200124_202947_palpebral.png ('old')",
        "which looks like g/L (divide it by 10): eyes_defy/India/2/20200120_101010_palpebral.PNG (112)",
    ):
        assert sentence in message


def test_a_set_of_which_nothing_can_be_used_says_why(tmp_path: Path) -> None:
    root = draw(tmp_path, india=tuple(f"{n},_,M,34,," for n in (1, 2, 7, 8)), italy=("1,,,,,", "93,,,,,", "95,,,,,"))
    assert "no patient who can be used: India/1 (no haemoglobin in India's sheet)," in refusal(root)


def test_an_empty_sheet_is_refused(tmp_path: Path) -> None:
    root = draw(tmp_path, italy=())
    assert f"folders without a row in {root / 'Italy' / 'Italy.csv'}: " in refusal(root)


def test_photographs_with_a_damaged_colour_profile_can_be_read(tmp_path: Path) -> None:
    root = draw(tmp_path)
    path = root / "India" / "1" / "20200118_164733_palpebral.png"
    damage_colour_profile(path)
    with pytest.raises(Exception, match="cannot identify image file"):
        Image.open(path).load()
    manifest = read(root)
    rgba = read_photo(by_patient(manifest, "path")["India/1"])
    np.testing.assert_array_equal(rgba[..., :3], PIXELS)


def test_the_white_around_an_opaque_cut_out_is_no_tissue(tmp_path: Path) -> None:
    root = draw(tmp_path)
    paper = np.full((40, 60, 3), 255, np.uint8)
    paper[10:28, 20:44] = PIXELS
    Image.fromarray(paper).save(root / "Italy" / "001" / "01_palpebral.png")
    rgba = clear_white_background(read_photo(by_patient(read(root), "path")["Italy/1"]))
    tissue = np.zeros((40, 60), np.bool_)
    # One pixel of the rim, where tissue and white would be mixed, is given up.
    tissue[11:27, 21:43] = True
    np.testing.assert_array_equal(rgba[..., 3] == 255, tissue)


def damage_colour_profile(path: Path) -> None:
    """Puts a colour profile with a wrong checksum behind a PNG file's header, as 63 of the set's cut-outs have it."""
    content = path.read_bytes()
    body = b"iCCP" + b"ICC Profile\0\0" + zlib.compress(b"profile")
    wrong = zlib.crc32(body) ^ 1
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", wrong)
    header_end = 8 + 4 + 4 + 13 + 4
    path.write_bytes(content[:header_end] + chunk + content[header_end:])
