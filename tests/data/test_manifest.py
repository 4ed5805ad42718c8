import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from anemia_lightning.contracts import MANIFEST_COLUMNS, UNKNOWN_LABEL
from anemia_lightning.data.manifest import build_manifest, photo_id, require_both_classes, to_number
from anemia_lightning.errors import Fault, ManifestError


def row(name: str, label: object = 0, **more: object) -> dict[str, object]:
    return {"photo": f"s/{name}", "path": Path("/data") / name, "label": label, **more}


def faults_of(rows: Any, **options: Any) -> list[str]:
    with pytest.raises(ManifestError) as caught:
        build_manifest(rows, **options)
    return [str(fault) for fault in caught.value.faults]


def test_a_photo_id_is_the_same_on_every_system() -> None:
    assert photo_id("folder", Path("/data") / "x" / "a b.png", Path("/data")) == "folder/x/a b.png"


def test_missing_columns_are_filled_and_all_are_typed() -> None:
    manifest = build_manifest([row("b.png", 1), row("a.png", 0, ward="A", severity="Mild")])
    assert tuple(manifest) == (*MANIFEST_COLUMNS, "ward")
    assert manifest["photo"].tolist() == ["s/a.png", "s/b.png"]
    assert manifest.index.tolist() == [0, 1]
    assert manifest["label"].dtype == np.int64
    numbers = ["age_months", "hemoglobin_g_dl", "altitude_m", "cigarettes_per_day"]
    assert (manifest[numbers].dtypes == np.float64).all()
    assert manifest[numbers].isna().all(axis=None)
    texts = manifest.drop(columns=["label", *numbers])
    assert all(type(cell) is str for cell in texts.to_numpy().ravel())
    assert manifest["severity"].tolist() == ["mild", ""]
    assert manifest["path"].tolist() == [str(Path("/data/a.png")), str(Path("/data/b.png"))]


def test_a_photo_without_patient_or_group_is_its_own() -> None:
    manifest = build_manifest([row("a.png", 1, patient=" "), row("b.png", patient=None), row("c.png", patient="P1")])
    assert manifest["patient"].tolist() == ["s/a.png", "s/b.png", "P1"]
    assert manifest["photo_group"].tolist() == ["s/a.png", "s/b.png", "s/c.png"]


@pytest.mark.parametrize("given", ["records", "frame"])
def test_ids_survive_as_they_were_written(given: str) -> None:
    ids = ["007", "NA", "1e5", "nan", "None", "7", "7.0", "0x1F", "Ünal"]
    rows: Any = [row(f"{number}.png", number % 2, patient=each) for number, each in enumerate(ids)]
    manifest = build_manifest(pd.DataFrame(rows) if given == "frame" else rows)
    assert manifest["patient"].tolist() == ids


def test_long_numbers_beside_a_missing_id_are_not_rounded() -> None:
    manifest = build_manifest([row("a.png", 1, patient=2**60 + 1), row("b.png", 0, patient=None)])
    assert manifest["patient"].tolist() == [str(2**60 + 1), "s/b.png"]


def test_blanks_around_an_id_do_not_make_two_patients() -> None:
    manifest = build_manifest([row("a.png", 1, patient="P1 "), row("b.png", 0, patient="P1", site=" Accra ")])
    assert manifest["patient"].nunique() == 1
    assert manifest["site"].tolist() == ["", "Accra"]


def test_numbers_may_be_text() -> None:
    manifest = build_manifest(
        [row("a.png", 1, hemoglobin_g_dl="9.8", age_months=6), row("b.png", hemoglobin_g_dl="NA")]
    )
    assert manifest["hemoglobin_g_dl"].tolist() == pytest.approx([9.8, np.nan], nan_ok=True)
    assert manifest["age_months"].tolist() == pytest.approx([6, np.nan], nan_ok=True)


@pytest.mark.parametrize("text", ["9,8", "inf", "-inf", "abc", "9.8 g/dL"])
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(text)):
        to_number(text)


def test_the_order_of_the_rows_means_nothing() -> None:
    rows = [row(f"{name}.png", number % 2) for number, name in enumerate(["b", "B", "a1", "a10", "ä"])]
    pd.testing.assert_frame_equal(build_manifest(rows), build_manifest(rows[::-1]))


def test_the_caller_s_table_is_left_alone() -> None:
    table = pd.DataFrame([row("a.png", 1, patient=" x"), row("b.png")])
    before = table.copy()
    build_manifest(table)
    pd.testing.assert_frame_equal(table, before)


@pytest.mark.parametrize("label", [2, -2, "1", "-1", None, np.nan, pd.NA, 0.5, ""])
def test_labels_outside_the_set_are_impossible(label: object) -> None:
    assert faults_of([row("a.png", label), row("b.png", 1)]) == [f"a label other than 0 and 1: s/a.png ('{label}')"]


def test_labels_may_be_any_kind_of_0_and_1() -> None:
    kinds = [True, np.int64(0), 1.0, np.bool_(False) * 1]
    assert build_manifest([row(f"{n}.png", each) for n, each in enumerate(kinds)])["label"].tolist() == [
        1,
        0,
        1,
        0,
    ]


def test_all_faults_are_reported_at_once() -> None:
    rows = [
        row("a.png", 3),
        row("a.png", 1),
        row("c.png", hemoglobin_g_dl="11,2", age_months=-1),
        row("d.png", hemoglobin_g_dl=112, split="holdout"),
        row("e\udcff.png"),
        {"photo": "", "path": "", "label": 0},
    ]
    with pytest.raises(ManifestError) as caught:
        build_manifest(rows, faults=[Fault("photographs that are not in /data", ["f.png"])])
    assert str(caught.value) == (
        "Looked for photos and entries to work with; found photographs that are not in /data: f.png; "
        "photos listed more than once: s/a.png; "
        "photos without an id or a path: (no id); "
        "file names that are not valid UTF-8: s/e\\udcff.png; "
        "a split other than train, val, test or nothing: s/d.png ('holdout'); "
        "hemoglobin_g_dl that is no number (decimals take a point): s/c.png ('11,2'); "
        "a label other than 0 and 1: s/a.png ('3'); "
        "haemoglobin outside 2-25 g/dL, which looks like g/L (divide it by 10): s/d.png (112); "
        "an age below 0 months: s/c.png ('-1.0'). "
        "Mend this in the data, and start again."
    )


def test_a_long_list_of_places_is_cut_and_counted() -> None:
    places = [f"{number}.png" for number in range(25)]
    assert str(Fault("missing", places)).endswith("18.png, 19.png and 5 more")


@pytest.mark.parametrize("rows", [[], pd.DataFrame(), pd.DataFrame(columns=["photo", "path", "label"])])
def test_an_empty_table_is_refused(rows: Any) -> None:
    assert faults_of(rows) == ["no photo at all"]
    assert faults_of(rows, faults=[Fault("gone", ["x"])]) == ["gone: x"]


def test_a_label_may_be_unknown() -> None:
    rows = [row("a.png", UNKNOWN_LABEL, hemoglobin_g_dl=9), row("b.png", np.int64(-1)), row("c.png", 1)]
    assert build_manifest(rows)["label"].tolist() == [UNKNOWN_LABEL, UNKNOWN_LABEL, 1]


def test_a_label_may_contradict_its_haemoglobin_and_all_may_be_alike() -> None:
    assert build_manifest([row("a.png", 0, hemoglobin_g_dl=4, severity="severe")])["label"].tolist() == [0]


def test_sex_has_one_spelling() -> None:
    words = ["F", "female", "Woman", "girl ", "m", "MALE", "man", "Boy", "", "unknown", "N/A", "Diverse", None]
    manifest = build_manifest([row(f"{n:02}.png", n % 2, sex=word) for n, word in enumerate(words)])
    assert manifest["sex"].tolist() == ["female"] * 4 + ["male"] * 4 + ["", "", "", "diverse", ""]


def test_pregnancy_is_a_trimester_or_a_word() -> None:
    words = ["No", "1", 2, "3", "YES", "", "nan", None]
    manifest = build_manifest([row(f"{n}.png", n % 2, pregnancy=word) for n, word in enumerate(words)])
    assert manifest["pregnancy"].tolist() == ["no", "1", "2", "3", "yes", "", "", ""]
    # With 0 for no, 1 would mean yes and not the first trimester.
    assert faults_of([row("a.png", 1, pregnancy="0"), row("b.png", pregnancy="1")]) == [
        "a pregnancy other than no, 1, 2, 3 (the trimester), yes or nothing: s/a.png ('0')"
    ]


def test_no_male_and_no_child_is_pregnant() -> None:
    rows = [
        row("a.png", 1, pregnancy="2", sex="m"),
        row("b.png", pregnancy="yes", age_months=119),
        row("c.png", pregnancy="yes", age_months=120, sex="f"),
        row("d.png", pregnancy="no", age_months=20, sex="m"),
    ]
    expected = "a pregnancy of a male or of a child below 10 years: s/a.png ('2'), s/b.png ('yes')"
    assert faults_of(rows) == [expected]


def test_no_child_smokes_so_that_years_are_not_taken_for_months() -> None:
    rows = [
        row("a.png", 1, cigarettes_per_day=10, age_months=34),
        row("b.png", cigarettes_per_day=10, age_months=120),
        row("c.png", cigarettes_per_day=10),
        row("d.png", cigarettes_per_day=0, age_months=34),
    ]
    expected = "cigarettes of a child below 10 years (age_months takes months, not years): s/a.png ('10.0')"
    assert faults_of(rows) == [expected]


@pytest.mark.parametrize(
    ("column", "value", "fault"),
    [
        ("altitude_m", -501, "an altitude outside -500 to 6000 m: s/a.png ('-501.0')"),
        ("altitude_m", 6001, "an altitude outside -500 to 6000 m: s/a.png ('6001.0')"),
        ("cigarettes_per_day", -1, "fewer than 0 cigarettes per day: s/a.png ('-1.0')"),
        (
            "cigarettes_per_day",
            "many",
            "cigarettes_per_day that is no number (decimals take a point): s/a.png ('many')",
        ),
        ("age_months", 1441, "an age above 1440 months: s/a.png ('1441.0')"),
        ("severity", "Light", "a severity other than none, mild, moderate, severe or nothing: s/a.png ('light')"),
    ],
)
def test_what_no_person_can_have_is_refused(column: str, value: object, fault: str) -> None:
    assert faults_of([row("a.png", 1, **{column: value}), row("b.png")]) == [fault]


def test_both_classes_are_missed_when_nothing_is_left() -> None:
    manifest = build_manifest([row("a.png", 0), row("b.png", 1)])
    require_both_classes(manifest)
    with pytest.raises(ManifestError, match=r"no photo with label 1 \(anaemic\); no photo with label 0"):
        require_both_classes(manifest.iloc[:0])
