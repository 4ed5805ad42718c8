from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL import Image

from anemia_lightning.baselines.registry import BASELINES
from anemia_lightning.contracts import FACT_COLUMNS, GROUP_COLUMNS, UNKNOWN_LABEL
from anemia_lightning.data.labels import LabelRule, label_manifest
from anemia_lightning.data.sources.table import read_table
from anemia_lightning.errors import AnemiaError


def draw(root: Path, table: str, *, photos: tuple[str, ...] = ("a.png", "b.png", "deep/c.png")) -> Path:
    for name in photos:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (2, 2), "red").save(path)
    (root / "photos.csv").write_text(table, encoding="utf-8-sig")
    return root


def read(root: Path, **options: Any) -> pd.DataFrame:
    return read_table(root=root, table="photos.csv", **options)


def refusal(root: Path, **options: Any) -> str:
    with pytest.raises(AnemiaError) as caught:
        read(root, **options)
    return str(caught.value)


def test_all_columns_under_their_default_names(tmp_path: Path) -> None:
    draw(
        tmp_path,
        "photo,label,patient,photo_group,site,sex,age_months,hemoglobin_g_dl,pregnancy,altitude_m,cigarettes_per_day,"
        "severity,mask,split,other\n"
        "b.png,1,007,0042,Accra ,F,360,9.8,2,250,0,Moderate,a.png,Train,x\n"
        "./deep/c.png,0,NA,,Kumasi,male,,NA,,,,,,,y\n",
    )
    manifest = read(tmp_path)
    first, second = manifest.to_dict("records")
    assert first == {
        "photo": "table/b.png",
        "path": str(tmp_path / "b.png"),
        "label": 1,
        "patient": "007",
        "photo_group": "0042",
        "source": "table",
        "site": "Accra",
        "sex": "female",
        "age_months": 360.0,
        "hemoglobin_g_dl": 9.8,
        "pregnancy": "2",
        "altitude_m": 250.0,
        "cigarettes_per_day": 0.0,
        "severity": "moderate",
        "mask": str(tmp_path / "a.png"),
        "split": "train",
    }
    assert (second["photo"], second["path"]) == ("table/deep/c.png", str(tmp_path / "deep" / "c.png"))
    assert (second["patient"], second["mask"], second["split"]) == ("NA", "", "")
    assert manifest["age_months"].isna().tolist() == manifest["hemoglobin_g_dl"].isna().tolist() == [False, True]


def test_further_columns_are_kept_as_they_are(tmp_path: Path) -> None:
    draw(tmp_path, "photo,label,device,Ward,other\na.png,1,Phone 5,North,x\nb.png,0,,South ,y\n")
    manifest = read(tmp_path, keep_columns=["Ward"])
    assert manifest["Ward"].tolist() == ["North", "South"]
    assert manifest["device"].tolist() == ["Phone 5", ""]
    assert "other" not in manifest


def test_further_columns_must_be_there_and_have_names_of_their_own(tmp_path: Path) -> None:
    draw(tmp_path, "photo,label\na.png,1\n")
    assert "'Ward'" in refusal(tmp_path, keep_columns=["Ward"])
    message = refusal(tmp_path, keep_columns=["label", "path"])
    assert message == "data.keep_columns has label, path, which data.columns reads."


@pytest.mark.parametrize(
    "name", [*FACT_COLUMNS, *GROUP_COLUMNS, "age_band", "background", "exclude_reason", "colour_card"]
)
def test_further_columns_may_not_pass_for_those_of_the_program(tmp_path: Path, name: str) -> None:
    assert refusal(draw(tmp_path, f"photo,label,{name}\na.png,1,x\n"), keep_columns=["Ward", name]) == (
        f"data.keep_columns has {name}, which is our name for a column of our own: rename it in the table."
    )


def test_no_baseline_sees_a_further_column(tmp_path: Path) -> None:
    seen = {name for baseline in BASELINES.values() for name in (*baseline.numbers, *baseline.texts)}
    # Width over height takes the place of whatever bears its name.
    for name in seen - {"aspect"}:
        assert "data.keep_columns has " in refusal(tmp_path, keep_columns=[name.replace("*", "card")])


def test_photo_and_label_are_enough(tmp_path: Path) -> None:
    manifest = read(draw(tmp_path, "Photo,LABEL\na.png,1\nb.png,0\n"))
    assert manifest["patient"].tolist() == ["table/a.png", "table/b.png"]


def test_other_column_names_and_labels(tmp_path: Path) -> None:
    draw(tmp_path, "file,diagnosis,who\na.png,Mild ,1e5\nb.png,HEALTHY,1e5\ndeep/c.png,severe,2\n")
    manifest = read(
        tmp_path,
        columns={"photo": "file", "label": "diagnosis", "patient": "who"},
        positive_label=["mild", "severe"],
        negative_label="healthy",
        source="clinic",
    )
    assert manifest["label"].tolist() == [1, 0, 1]
    assert manifest["patient"].tolist() == ["1e5", "1e5", "2"]
    assert manifest["photo"].tolist() == ["clinic/a.png", "clinic/b.png", "clinic/deep/c.png"]


@pytest.mark.parametrize(("positive", "negative"), [(1, 0), ("1", "0"), ([1], ["0"])])
def test_labels_that_yaml_reads_as_numbers(tmp_path: Path, positive: Any, negative: Any) -> None:
    draw(tmp_path, "photo,label\na.png,1\nb.png,0\n")
    assert read(tmp_path, positive_label=positive, negative_label=negative)["label"].tolist() == [1, 0]


def test_the_positive_label_may_be_the_smaller(tmp_path: Path) -> None:
    draw(tmp_path, "photo,label\na.png,1\nb.png,0\n")
    assert read(tmp_path, positive_label=0, negative_label=1)["label"].tolist() == [0, 1]


def test_haemoglobin_without_a_label_leaves_the_label_to_a_rule(tmp_path: Path) -> None:
    draw(tmp_path, "photo,label,hb\na.png,x,10.99\nb.png,x,11\ndeep/c.png,x,7\n")
    manifest = read(tmp_path, columns={"hemoglobin_g_dl": "hb", "label": None})
    assert manifest["label"].tolist() == [UNKNOWN_LABEL] * 3
    assert manifest["hemoglobin_g_dl"].tolist() == [10.99, 11.0, 7.0]
    assert label_manifest(manifest, LabelRule("fixed:11")).manifest["label"].tolist() == [1, 0, 1]


def test_some_labels_and_some_haemoglobin(tmp_path: Path) -> None:
    draw(tmp_path, "photo,label,hemoglobin_g_dl\na.png,1,\nb.png,,12\ndeep/c.png,0,7\n")
    assert read(tmp_path)["label"].tolist() == [1, UNKNOWN_LABEL, 0]


def test_no_row_without_label_and_haemoglobin_becomes_not_anaemic(tmp_path: Path) -> None:
    draw(tmp_path, "photo,hemoglobin_g_dl\na.png,nan\nb.png,9\ndeep/c.png,\n")
    manifest = read(tmp_path)
    assert manifest["label"].tolist() == [UNKNOWN_LABEL] * 3
    with pytest.raises(AnemiaError, match=r"photos with no haemoglobin: table/a\.png, table/deep/c\.png\. Mend this"):
        label_manifest(manifest, LabelRule("fixed:11"))


def test_a_blank_label_is_an_unknown_one_unless_it_means_something(tmp_path: Path) -> None:
    draw(tmp_path, "photo,label\na.png,1\nb.png,\ndeep/c.png,0\n")
    assert read(tmp_path)["label"].tolist() == [1, UNKNOWN_LABEL, 0]
    draw(tmp_path, "photo,label\na.png,1\nb.png,\ndeep/c.png,\n")
    assert read(tmp_path, negative_label="")["label"].tolist() == [1, 0, 0]


def test_haemoglobin_in_another_unit_is_refused(tmp_path: Path) -> None:
    draw(tmp_path, "photo,hemoglobin_g_dl\na.png,98\nb.png,121\n")
    expected = "which looks like g/L (divide it by 10): table/a.png (98), table/b.png (121)"
    assert expected in refusal(tmp_path)


@pytest.mark.parametrize("value", ["-3", "0", "26", "inf"])
def test_impossible_haemoglobin_is_refused(tmp_path: Path, value: str) -> None:
    draw(tmp_path, f"photo,hemoglobin_g_dl\na.png,{value}\nb.png,9\ndeep/c.png,12\n")
    assert "table/a.png (" in refusal(tmp_path)


def test_a_label_or_a_haemoglobin_must_be_there(tmp_path: Path) -> None:
    draw(tmp_path, "photo,hb\na.png,1\nb.png,0\n")
    assert refusal(tmp_path) == (
        f"Looked for the column 'label' or 'hemoglobin_g_dl' in {tmp_path / 'photos.csv'}; found neither. "
        "Name one that is there with data.columns.label or data.columns.hemoglobin_g_dl."
    )
    message = refusal(tmp_path, columns={"label": None, "hemoglobin_g_dl": None})
    assert message == "data.columns.label and data.columns.hemoglobin_g_dl are null; one of them is needed."


def test_columns_that_no_one_knows_are_refused(tmp_path: Path) -> None:
    draw(tmp_path, "photo,label\na.png,1\nb.png,0\n")
    assert refusal(tmp_path, columns={"patients": "who"}) == (
        "data.columns has patients; it takes photo, label, patient, photo_group, site, sex, age_months, "
        "hemoglobin_g_dl, pregnancy, altitude_m, cigarettes_per_day, severity, device, mask, split."
    )
    assert refusal(tmp_path, columns={"photo": None}) == "data.columns.photo is null, but needed."


def test_all_that_is_wrong_in_the_rows_is_said_at_once(tmp_path: Path) -> None:
    draw(
        tmp_path,
        "photo,label,mask,split\n"
        "a.png,maybe,,\n"
        "b.png,,,\n"
        "gone.png,1,,\n"
        "../b.png,1,,\n"
        "/etc/passwd,1,,\n"
        "C:\\b.png,1,,\n"
        "deep,0,,\n"
        ",1,,\n"
        "a.png,1,gone_mask.png,\n"
        "deep/c.png,0,,holdout\n",
    )
    assert refusal(tmp_path) == (
        "Looked for photos and entries to work with; found "
        f"photographs by paths that are not relative to {tmp_path} or lead out of it: "
        "../b.png (row 5), /etc/passwd (row 6), C:\\b.png (row 7); "
        f"photographs that are not in {tmp_path}: gone.png (row 4), deep (row 8); "
        f"masks that are not in {tmp_path}: gone_mask.png (row 10); "
        "labels that are neither 1 (anaemic) nor 0 (not anaemic), "
        "see data.positive_label and data.negative_label: 'maybe' (row 2); "
        "rows without a photo: row 9; "
        "a split other than train, val, test or nothing: table/deep/c.png ('holdout'). "
        "Mend this in the data, and start again."
    )


def test_the_same_photo_twice_is_refused_however_it_is_written(tmp_path: Path) -> None:
    draw(tmp_path, "photo,label\na.png,1\n./a.png,0\nb.png,0\n")
    assert "photos listed more than once: table/a.png." in refusal(tmp_path)


def test_a_column_of_patients_is_not_overlooked(tmp_path: Path) -> None:
    draw(tmp_path, "photo,label,Patient_ID\na.png,1,1\nb.png,0,2\n")
    assert refusal(tmp_path) == (
        f"Looked for the column 'patient' in {tmp_path / 'photos.csv'}; found 'Patient_ID', "
        "which nothing refers to. "
        "Set data.columns.patient=Patient_ID, or to null if each photo is a patient of its own."
    )
    assert read(tmp_path, columns={"patient": "Patient_ID"})["patient"].tolist() == ["1", "2"]
    assert read(tmp_path, columns={"patient": None})["patient"].tolist() == ["table/a.png", "table/b.png"]


def test_columns_that_were_named_must_be_there(tmp_path: Path) -> None:
    draw(tmp_path, "photo,label,hospital\na.png,1,x\nb.png,0,y\n")
    message = refusal(tmp_path, columns={"site": "hospitals", "sex": "gender"})
    assert "Looked for the columns 'hospitals', 'gender'" in message
    assert "did you mean 'hospital' for 'hospitals'?" in message


def test_contradicting_labels_are_refused(tmp_path: Path) -> None:
    draw(tmp_path, "photo,label\na.png,1\n")
    assert refusal(tmp_path, negative_label=1) == "data.positive_label and data.negative_label both name 1."


@pytest.mark.parametrize("label", ["label,", ""])
def test_a_table_without_rows_holds_no_photo(tmp_path: Path, label: str) -> None:
    draw(tmp_path, f"photo,{label}hemoglobin_g_dl,mask,split\n")
    assert "found no photo at all." in refusal(tmp_path)


def test_parquet_and_absolute_tables(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    root = draw(tmp_path / "root", "")
    table = pd.DataFrame({"photo": ["a.png", "b.png"], "label": [1, 0], "patient": ["007", "7"]})
    table.to_parquet(tmp_path / "photos.parquet")
    manifest = read_table(root=root, table=tmp_path / "photos.parquet")
    assert manifest["label"].tolist() == [1, 0]
    assert manifest["patient"].tolist() == ["007", "7"]


def test_a_missing_root_or_table_is_refused(tmp_path: Path) -> None:
    assert "Set data.root to the folder that the table's paths start from." in refusal(tmp_path / "gone")
    assert f"Looked for a table at {tmp_path / 'photos.csv'}; found no file there." in refusal(tmp_path)
