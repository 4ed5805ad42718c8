"""Findings: which fault gives which code, how bad it is, and what it says."""

from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from anemia_lightning.data.audit import photos
from anemia_lightning.data.audit.copies import count_copies, expect_leak, list_copies, measure_leak
from anemia_lightning.data.audit.evidence import SEVERITIES, Evidence, Finding
from anemia_lightning.data.audit.findings import find_problems, is_sound
from anemia_lightning.data.audit.labels import check_labels
from anemia_lightning.data.recuts import SAME_PHOTO_SCORE

Table = Callable[..., pd.DataFrame]
Weigh = Callable[..., list[Finding]]


@pytest.fixture
def weigh(facts: Table) -> Weigh:
    """Finds what is wrong with a manifest; further evidence as keywords, file facts as `facts`."""

    def build(manifest: pd.DataFrame, **more: Any) -> list[Finding]:
        described = photos.describe_photos(manifest, facts(manifest, **more.pop("facts", {})))
        evidence: dict[str, Any] = {
            "described": described,
            "excluded": pd.DataFrame(columns=["photo", "reason"]),
            "copies": count_copies(manifest),
            "listed": list_copies(manifest),
            "expected_leak": expect_leak(manifest),
            "given_leak": None,
            "impossible": None,
            "associations": photos.measure_associations(described),
            "outliers": photos.find_outliers(described),
            "missing": photos.count_missing(manifest),
            "labels": check_labels(manifest),
            "flips": {},
            "near": pd.DataFrame(columns=["first", "second", "grain", "score"]),
            "probes": {},
        }
        return find_problems(Evidence(**(evidence | more)))

    return build


def clean(table: Table, **columns: list[Any]) -> pd.DataFrame:
    return table([0, 1] * 100, **({"patient": [f"p{number // 4}" for number in range(200)]} | columns))


def by_code(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.code: finding for finding in findings}


def test_nothing_is_wrong_with_clean_data(table: Table, weigh: Weigh) -> None:
    findings = weigh(clean(table))
    assert findings == []
    assert is_sound(findings)


def test_a_given_split_that_leaks_is_unsound_and_the_worst(table: Table, weigh: Weigh) -> None:
    manifest = clean(table, group_recut=[0, 0, *range(2, 200)])
    splits = pd.Series(["train", "test"] * 100)
    findings = weigh(manifest, given_leak=measure_leak(manifest, splits))
    assert not is_sound(findings)
    assert findings[0].code == "AUDIT_GIVEN_SPLIT_LEAKS"
    assert findings[0].says == (
        "The split that comes with the data leaks: 100% of its test photos have a copy or their patient in training. "
        "Standing in more than one split: 50 patients and 1 photograph."
    )


def test_a_given_split_that_keeps_all_together_is_sound(table: Table, weigh: Weigh) -> None:
    manifest = clean(table)
    splits = pd.Series(["train"] * 100 + ["val"] * 52 + ["test"] * 48)
    assert weigh(manifest, given_leak=measure_leak(manifest, splits)) == []


def test_why_no_split_is_possible_is_said_in_words(table: Table, weigh: Weigh) -> None:
    findings = weigh(clean(table), impossible="Looked for both classes; found one.")
    assert findings[0].says.endswith("Looked for both classes; found one.")
    assert not is_sound(findings)


def test_files_under_both_labels_are_named_with_their_haemoglobin(table: Table, weigh: Weigh) -> None:
    twice = [0, 0, *range(2, 200)]
    hemoglobin = [12.4, 8.06] + [13.0, 9.0] * 99
    groups = dict.fromkeys(("group_bytes", "group_pixels", "group_turned", "group_recut"), twice)
    found = by_code(weigh(clean(table, hemoglobin_g_dl=hemoglobin, **groups)))
    same = found["AUDIT_SAME_FILE_OPPOSITE_LABELS"]
    assert "1 file stands in the data under both labels: s/0.png (not anaemic, 12.4 g/dL) and s/1.png" in same.says
    assert same.photos == ("s/0.png", "s/1.png")
    assert found["AUDIT_COPIES_ACROSS_CLASSES"].photos == ("s/0.png", "s/1.png")
    assert "1 photograph carries more than one haemoglobin, up to 4.3 g/dL apart." in (
        found["AUDIT_COPIES_OTHER_HEMOGLOBIN"].says
    )


def test_what_copies_would_leak_is_said(table: Table, weigh: Weigh) -> None:
    found = by_code(weigh(clean(table, group_recut=[number // 2 * 2 for number in range(200)])))
    assert found["AUDIT_COPIES"].says.startswith(
        "The 200 photos show 100 distinct photographs: 200 photos are copies of one another, in 100 groups, the "
        "largest of 2. A random split would put a copy of 80% of the test photos into training"
    )
    assert "AUDIT_COPIES_ACROSS_PATIENTS" not in found


def test_copies_under_several_patients_are_told_where_the_data_name_patients(table: Table, weigh: Weigh) -> None:
    groups = [0, 1, 2, 3, 0, *range(5, 200)]
    found = by_code(weigh(clean(table, group_recut=groups)))
    says = "1 photograph stands in the data under more than one patient."
    assert found["AUDIT_COPIES_ACROSS_PATIENTS"].says == says
    assert "AUDIT_COPIES_ACROSS_PATIENTS" not in by_code(weigh(table([0, 1] * 100, group_recut=groups)))


@pytest.mark.parametrize(
    ("columns", "more", "code", "sentence"),
    [
        ({}, {"facts": {"orientation": [6] + [1] * 199}}, "AUDIT_EXIF_ORIENTATION", "1 photo lies on the side or head"),
        ({}, {"facts": {"notes": ["trailing bytes"] + [""] * 199}}, "AUDIT_READING_NOTES", "1 trailing bytes"),
        (
            {},
            {"facts": {"format": ["JPEG", "PNG"] * 100}},
            "AUDIT_CLASS_FOLLOWS",
            "follows the format (Cramér's V 1.00)",
        ),
        ({"site": ["A"] * 152 + ["B"] * 48}, {}, None, ""),
        ({"sex": ["male"] * 199 + [""]}, {}, "AUDIT_MISSING_VALUES", "lack values that others have: sex."),
        (
            {},
            {"probes": {"size": (0.8, 0.7, 0.9)}},
            "AUDIT_SHORTCUT",
            "size alone can tell the classes apart: AUROC 0.80",
        ),
        ({}, {"probes": {"size": (0.6, 0.5, 0.7)}}, None, ""),
        ({}, {"flips": {"who2024": {"flips": 0, "of": 9}}}, None, ""),
        (
            {},
            {"flips": {"who2024": {"flips": 17, "of": 710}}},
            "AUDIT_LABELS_DEPEND_ON_RULE",
            "Under another rule some labels would differ: 17 of 710 by the rule who2024.",
        ),
        (
            {"hemoglobin_g_dl": [11.0, 10.8] * 100, "patient": ["well", "ill"] * 100},
            {},
            "AUDIT_NEAR_CUTOFF",
            "200 photos of 200 stand within 0.5 g/dL",
        ),
        (
            {"site": ["A", *["B"] * 199]},
            {},
            "AUDIT_PATIENT_SEVERAL_SITES",
            "1 patient has photos under more than one site: p0.",
        ),
        (
            {"sex": ["male", "male", "female", "female"] * 50},
            {},
            "AUDIT_PATIENT_SEVERAL_SEXES",
            "50 patients have photos under more than one sex: p0, p1, p10, and 47 more.",
        ),
    ],
)
def test_each_fault_has_its_code_and_sentence(
    table: Table,
    weigh: Weigh,
    columns: dict[str, list[object]],
    more: dict[str, Any],
    code: str | None,
    sentence: str,
) -> None:
    findings = weigh(clean(table, **columns), **more)
    assert [finding.code for finding in findings] == ([code] if code else [])
    assert is_sound(findings)
    assert all(sentence in finding.says for finding in findings)


def test_a_label_against_haemoglobin_is_named(table: Table, weigh: Weigh) -> None:
    found = by_code(weigh(clean(table, hemoglobin_g_dl=[13.0, 9.0] * 98 + [12.0, 9.0, 8.0, 11.4])))
    finding = found["AUDIT_LABEL_AGAINST_HEMOGLOBIN"]
    assert finding.photos == ("s/198.png",)
    assert finding.says == "1 label contradicts the photo's haemoglobin under every rule: s/198.png."


def test_unreadable_photos_near_pairs_few_photos_and_nameless_patients_are_told(table: Table, weigh: Weigh) -> None:
    excluded = pd.DataFrame({"photo": ["s/x.png"], "reason": ["IMG_EMPTY: an empty file"]})
    near = pd.DataFrame(
        {"first": ["s/0.png"], "second": ["s/1.png"], "grain": "recut", "score": [SAME_PHOTO_SCORE - 1]}
    )
    assert "AUDIT_NEAR_PAIRS" not in by_code(weigh(table([0, 1] * 10), near=near.assign(score=SAME_PHOTO_SCORE / 2)))
    findings = weigh(table([0, 1] * 10), excluded=excluded, near=near)
    assert [finding.code for finding in findings] == [
        "AUDIT_UNUSABLE",
        "AUDIT_NEAR_PAIRS",
        "AUDIT_FEW_PHOTOS",
        "AUDIT_FEW_PHOTOS",
        "AUDIT_NO_PATIENTS",
    ]
    assert findings[0].says == "1 photo cannot be used: s/x.png (IMG_EMPTY: an empty file)."


@pytest.mark.parametrize(
    ("reasons", "advice"),
    [
        (["no haemoglobin in India's sheet"], "Nothing: every command leaves these out."),
        (
            ["IMG_EMPTY: an empty file", "MASK_SIZE: a mask of 2x2 pixels"],
            "Replace those that cannot be decoded, or leave them out with data.on_unreadable=skip.",
        ),
        (
            ["no label (no age_months)", "no label"],
            "Complete those without a label, or leave them out with data.on_unlabelled=drop.",
        ),
        (
            ["IMG_EMPTY: an empty file", "no label", "eliminated by the authors of the set"],
            "Replace those that cannot be decoded, or leave them out with data.on_unreadable=skip; "
            "complete those without a label, or leave them out with data.on_unlabelled=drop; "
            "every command leaves out the others.",
        ),
        (
            ["IMG_EMPTY: an empty file", "eliminated by the authors of the set"],
            "Replace those that cannot be decoded, or leave them out with data.on_unreadable=skip; "
            "every command leaves out the others.",
        ),
    ],
)
def test_what_the_source_leaves_out_need_not_be_replaced(
    table: Table, weigh: Weigh, reasons: list[str], advice: str
) -> None:
    excluded = pd.DataFrame({"photo": [f"s/{reason}" for reason in reasons], "reason": reasons})
    assert [finding.advice for finding in weigh(clean(table), excluded=excluded)] == [advice]


def test_patients_with_several_haemoglobins_are_told_with_their_labels(table: Table, weigh: Weigh) -> None:
    hemoglobin = [13.0, 9.0, 13.0, 13.5] + [13.0, 9.0, 13.0, 9.0] * 49
    patient = ["p0", "p1", "p0", "p0"] + ["well", "ill"] * 98
    found = by_code(weigh(clean(table, hemoglobin_g_dl=hemoglobin, patient=patient)))
    says = "1 patient has more than one haemoglobin, up to 0.5 g/dL apart; 1 of them photos of both classes."
    assert found["AUDIT_PATIENT_SEVERAL_HEMOGLOBINS"].says == says
    nameless = table([0, 1] * 100, hemoglobin_g_dl=hemoglobin, site=["A", "B", "B", "A"] * 50)
    assert not [code for code in by_code(weigh(nameless)) if code.startswith("AUDIT_PATIENT_")]


def test_the_worst_comes_first(table: Table, weigh: Weigh) -> None:
    manifest = table([0, 1] * 10, group_recut=[0, 0, *range(2, 20)])
    ranks = [SEVERITIES.index(finding.severity) for finding in weigh(manifest, impossible="Because.")]
    assert ranks == sorted(ranks)
    assert set(ranks) == {0, 1, 2}
