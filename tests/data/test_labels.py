import json
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from anemia_lightning.contracts import UNKNOWN_LABEL
from anemia_lightning.data.guidelines import Person, anaemia
from anemia_lightning.data.labels import LabelRule, apply_rule, label_manifest
from anemia_lightning.data.manifest import build_manifest
from anemia_lightning.errors import ConfigError, ManifestError
from anemia_lightning.randomness import stream

FULL = {"sex": "female", "pregnancy": "no", "altitude_m": 0, "cigarettes_per_day": 0}


def build(*rows: dict[str, Any]) -> pd.DataFrame:
    return build_manifest(
        [{"photo": f"s/{n}", "path": f"/{n}", "label": UNKNOWN_LABEL, **row} for n, row in enumerate(rows)]
    )


def refusal(manifest: pd.DataFrame, rule: LabelRule) -> str:
    with pytest.raises((ManifestError, ConfigError)) as caught:
        label_manifest(manifest, rule)
    return str(caught.value)


def draw(seed: int, size: int = 60) -> pd.DataFrame:
    """Draws people of all ages, with gaps."""
    rng = stream("people", seed)
    rows = []
    for _ in range(size):
        sex, age = rng.choice(["female", "male", ""]), rng.integers(6, 780)
        can_be_pregnant = sex != "male" and age >= 120
        each = {
            "hemoglobin_g_dl": round(float(np.clip(rng.normal(11.5, 2), 3, 18)), 1),
            "age_months": age,
            "sex": sex,
            "pregnancy": rng.choice(["", "no", "1", "2", "3"]) if can_be_pregnant else "",
            "altitude_m": rng.choice([0, 400, 700, 2600]),
            "cigarettes_per_day": rng.choice([0, 5, 30]) if age >= 120 else 0,
            "label": int(rng.choice([0, 1, UNKNOWN_LABEL])),
        }
        gap = rng.choice(["age_months", "altitude_m", "cigarettes_per_day", "label"])
        rows.append({**each, gap: math.nan} if gap != "label" and rng.random() < 0.3 else each)
    return build(*rows)


CHILDREN = (
    {"hemoglobin_g_dl": 10.6, "age_months": 12, "label": 1, "severity": "mild"},
    {"hemoglobin_g_dl": 10.4, "age_months": 12, "label": 1, "severity": "mild"},
    {"hemoglobin_g_dl": 11.3, "age_months": 60, "label": 0},
    {"hemoglobin_g_dl": 12.0, "age_months": 30, "label": 0, "severity": "none"},
    {"hemoglobin_g_dl": 6.9, "age_months": 30, "label": 0},
)


def test_labels_and_grades_by_a_guideline() -> None:
    manifest = label_manifest(build(*CHILDREN), LabelRule("who2024")).manifest
    assert manifest["label"].tolist() == [0, 1, 1, 0, 1]
    assert manifest["label"].dtype == np.int64
    assert manifest["severity"].tolist() == ["none", "mild", "mild", "none", "severe"]


def test_the_labels_of_the_data_set_stay_whatever_their_haemoglobin() -> None:
    given = build(*CHILDREN)
    manifest, unlabelled, record = label_manifest(given, LabelRule())
    assert unlabelled.empty
    pd.testing.assert_frame_equal(manifest, given)
    assert (record["rule"], record["source"], record["assumed"]) == ("own", "the data set", {})
    assert record["near_cutoff"] is None


def test_a_fixed_cut_off_needs_nothing_but_haemoglobin() -> None:
    manifest, _, record = label_manifest(
        build({"hemoglobin_g_dl": 10.5}, {"hemoglobin_g_dl": 10.4}), LabelRule("fixed:10.5")
    )
    assert manifest["label"].tolist() == [0, 1]
    assert manifest["severity"].tolist() == ["none", ""]
    assert record["source"] == "one cut-off for all, 10.5 g/dL"
    assert record["flips"]["own"] == {"flips": 0, "of": 0, "assumed": {}}
    assert record["flips"]["who2024"] == {"flips": 0, "of": 0, "assumed": {}}


def test_how_many_labels_another_rule_would_flip() -> None:
    flips = {rule: label_manifest(build(*CHILDREN), LabelRule(rule)).record["flips"] for rule in ("own", "who2024")}
    sea = {"altitude_m": 5}
    assert flips["own"] == {
        "who2024": {"flips": 3, "of": 5, "assumed": sea},
        "who2011": {"flips": 2, "of": 5, "assumed": sea},
    }
    assert flips["who2024"] == {
        "own": {"flips": 3, "of": 5, "assumed": {}},
        "who2011": {"flips": 1, "of": 5, "assumed": sea},
    }


def test_flips_count_only_photos_of_which_the_other_rule_says_something() -> None:
    record = label_manifest(
        build(*CHILDREN, {"label": 1}, {"label": 0, "hemoglobin_g_dl": 9, "age_months": 3}), LabelRule()
    ).record
    assert record["photos"] == 7
    assert record["flips"]["who2024"] == {"flips": 3, "of": 5, "assumed": {"altitude_m": 5}}


def test_the_record_says_what_was_assumed_and_who_is_near_the_cut_off() -> None:
    rows = ({**FULL, "hemoglobin_g_dl": hemoglobin, "age_months": 400} for hemoglobin in (11.4, 11.5, 11.6, 12.4, 12.5))
    manifest = build(*rows, {"hemoglobin_g_dl": 5, "age_months": 400, "sex": "F"})
    record = label_manifest(manifest, LabelRule("who2024", {"altitude_m": 600})).record
    assert record["assumed"] == {
        "altitude_m": {"value": 600.0, "photos": 1},
        "cigarettes_per_day": {"value": 0.0, "photos": 1},
        "pregnancy": {"value": "no", "photos": 1},
    }
    assert record["near_cutoff"] == {"closer_than_g_dl": 0.5, "photos": 2}
    assert "978-92-4-008854-2" in record["source"]
    assert json.loads(json.dumps(record)) == record


def test_the_record_says_which_cut_offs_hold_for_how_many() -> None:
    records = {
        rule: label_manifest(build(*CHILDREN), LabelRule(rule)).record for rule in ("who2024", "fixed:11", "own")
    }
    assert records["who2024"]["cutoffs"] == [
        {"g_dl": 10.5, "photos": 2},
        {"g_dl": 11.0, "photos": 2},
        {"g_dl": 11.5, "photos": 1},
    ]
    assert records["fixed:11"]["cutoffs"] == records["own"]["cutoffs"] == []


def test_the_cut_off_is_that_of_adjusted_haemoglobin() -> None:
    for seed in range(5):
        manifest = draw(seed)
        for name in ("who2024", "who2011", "fixed:11"):
            rule = LabelRule(name, {"sex": "male", "age_months": 300, "altitude_m": 2600, "trimester": "1"})
            table = apply_rule(manifest, rule).table
            known = table["label"] != UNKNOWN_LABEL
            assert table["cutoff_g_dl"].notna().equals(known)
            without = manifest.assign(altitude_m=0, cigarettes_per_day=0)
            plain = apply_rule(without, rule).table[known]
            below = manifest["hemoglobin_g_dl"][known] < plain["cutoff_g_dl"]
            assert below.astype(int).tolist() == plain["label"].tolist()
            assert plain["cutoff_g_dl"].equals(table["cutoff_g_dl"][known])


def test_an_assumed_altitude_lowers_haemoglobin() -> None:
    manifest = build({"hemoglobin_g_dl": 11.3, "age_months": 30}, {"hemoglobin_g_dl": 15, "age_months": 30})
    assert label_manifest(manifest, LabelRule("who2024", {"altitude_m": 600})).manifest["label"].tolist() == [1, 0]


def test_what_may_not_be_assumed_is_refused_with_all_photos() -> None:
    manifest = build(
        {"hemoglobin_g_dl": 11, "age_months": 30},
        {"hemoglobin_g_dl": 11},
        {"hemoglobin_g_dl": 11},
        {"hemoglobin_g_dl": 11, "age_months": 400},
        {"hemoglobin_g_dl": 11, "age_months": 400, "sex": "f", "pregnancy": "yes"},
        {"hemoglobin_g_dl": 11, "age_months": 5},
        {"label": 1, "age_months": 30},
    )
    assert refusal(manifest, LabelRule("who2024")) == (
        "Looked for photos and entries to work with; found "
        "photos with an age below 6 months, for which who2024 has no cut-off: s/5; "
        "photos with no age_months, which who2024 needs (or assume one with labels.assume.age_months): s/1, s/2; "
        "photos with no haemoglobin: s/6; "
        "photos with no sex, which who2024 needs (or assume one with labels.assume.sex): s/3; "
        "photos with no trimester, which who2024 needs (or assume one with labels.assume.trimester): s/4. "
        "Mend this in the data, or leave these photos out with data.on_unlabelled=drop."
    )
    refused = refusal(manifest, LabelRule("who2011", {"altitude_m": None}))
    assert (
        "photos with no altitude_m, which who2011 needs (or assume one with labels.assume.altitude_m): s/0, s/4"
        in refused
    )


INCOMPLETE: tuple[dict[str, Any], ...] = (
    *CHILDREN,
    {"hemoglobin_g_dl": 11, "patient": "P1"},
    {"hemoglobin_g_dl": 11, "patient": "P1"},
    {"hemoglobin_g_dl": 11, "age_months": 5},
    {"label": 1, "age_months": 30},
    {},
)


def test_whom_the_rule_says_nothing_of_can_be_left_out_with_the_cause() -> None:
    manifest, unlabelled, record = label_manifest(build(*INCOMPLETE), LabelRule("who2024"), on_unlabelled="drop")
    pd.testing.assert_frame_equal(manifest, label_manifest(build(*CHILDREN), LabelRule("who2024")).manifest)
    assert dict(zip(unlabelled["photo"], unlabelled["reason"], strict=True)) == {
        "s/5": "no label (no age_months)",
        "s/6": "no label (no age_months)",
        "s/7": "no label (an age below 6 months, for which who2024 has no cut-off)",
        "s/8": "no label (no haemoglobin)",
        "s/9": "no label (no haemoglobin)",
    }
    assert set(unlabelled["label"]) == {UNKNOWN_LABEL}, "its own label is by another rule"
    assert record["photos"] == 5
    assert record["unlabelled"] == {
        "an age below 6 months, for which who2024 has no cut-off": 1,
        "no age_months": 2,
        "no haemoglobin": 2,
    }
    whole = label_manifest(build(*CHILDREN), LabelRule("who2024")).record
    assert record | {"unlabelled": {}} == whole, "who is left out counts nowhere else"


def test_an_assumption_makes_a_label_before_anybody_is_left_out() -> None:
    rule = LabelRule("who2024", {"age_months": 30})
    record = label_manifest(build(*INCOMPLETE), rule, on_unlabelled="drop").record
    assert "no age_months" not in record["unlabelled"]
    assert record["assumed"]["age_months"] == {"value": 30.0, "photos": 2}


def test_the_data_set_s_own_labels_can_do_without_some() -> None:
    found = label_manifest(build(*CHILDREN, {"hemoglobin_g_dl": 9}, {}), LabelRule(), on_unlabelled="drop")
    assert found.manifest["photo"].tolist() == ["s/0", "s/1", "s/2", "s/3", "s/4"]
    assert found.unlabelled["reason"].tolist() == ["no label", "no label"]
    assert found.record["unlabelled"] == {"no label": 2}


def test_neither_a_label_nor_a_haemoglobin_is_told_with_all_photos() -> None:
    assert refusal(build({}, {"label": 1}, {"label": 0}, {"hemoglobin_g_dl": 9}), LabelRule()) == (
        "Looked for photos and entries to work with; found photos with neither a label nor a haemoglobin: s/0; "
        "photos with a haemoglobin but no label (choose labels=who2024, labels=who2011 or labels.rule=fixed:<g/dL>): "
        "s/3. Mend this in the data, or leave these photos out with data.on_unlabelled=drop."
    )


@pytest.mark.parametrize(("rows", "rule"), [(({}, {}), "who2024"), (({"hemoglobin_g_dl": 9},), "own")])
def test_where_nobody_has_a_label_nobody_is_left_out(rows: tuple[dict[str, Any], ...], rule: str) -> None:
    with pytest.raises((ManifestError, ConfigError)) as caught:
        label_manifest(build(*rows), LabelRule(rule), on_unlabelled="drop")
    assert "on_unlabelled" not in str(caught.value)


def test_a_class_that_is_missing_is_told_with_who_was_left_out() -> None:
    rows = ({"hemoglobin_g_dl": 9, "age_months": 30}, {"hemoglobin_g_dl": 13})
    with pytest.raises(ManifestError, match=r"no photo with label 0 .*; photos left out: s/1 \(no label \(no age_mon"):
        label_manifest(build(*rows), LabelRule("who2024"), on_unlabelled="drop")


def test_who_is_pregnant_is_never_assumed_not_to_be() -> None:
    rows = [{"hemoglobin_g_dl": hb, "age_months": 400, "sex": "f", "pregnancy": "yes"} for hb in (10.4, 10.6, 11.1)]
    labels = {
        name: label_manifest(build(*rows), rule).manifest["label"].tolist()
        for name, rule in (
            ("2011", LabelRule("who2011")),
            ("first", LabelRule("who2024", {"trimester": 1})),
            ("second", LabelRule("who2024", {"trimester": "2"})),
        )
    }
    assert labels == {"2011": [1, 1, 0], "first": [1, 1, 0], "second": [1, 0, 0]}


def test_a_word_for_the_sex_matters_only_where_the_sex_does() -> None:
    rows = [{"hemoglobin_g_dl": hb, "sex": "diverse", "pregnancy": "no", "age_months": 150} for hb in (9, 13)]
    assert label_manifest(build(*rows), LabelRule("who2024")).manifest["label"].tolist() == [1, 0]
    grown = build(*({**row, "age_months": 400} for row in rows))
    expected = "photos with the sex 'diverse', which is neither female nor male: s/0, s/1."
    assert expected in refusal(grown, LabelRule("who2024"))


@pytest.mark.parametrize(("rows", "number"), [(2, "2 photos have"), (1, "1 photo has")])
def test_the_data_set_s_own_labels_must_be_there(rows: int, number: str) -> None:
    manifest = build(*({"hemoglobin_g_dl": 9} for _ in range(rows)), {"label": 1}, {"label": 0})
    assert refusal(manifest, LabelRule()) == (
        f"{number} a haemoglobin but no label: choose labels=who2024, labels=who2011 or labels.rule=fixed:<g/dL>, "
        "or leave these photos out with data.on_unlabelled=drop."
    )


def test_a_rule_that_calls_all_alike_is_refused() -> None:
    assert "no photo with label 1 (anaemic)" in refusal(build(*CHILDREN), LabelRule("fixed:5"))


@pytest.mark.parametrize(
    ("rule", "assume", "sentence"),
    [
        (
            "who2023",
            {},
            "labels.rule is 'who2023'; it must be own, who2024, who2011 or fixed:<g/dL>, such as fixed:11.",
        ),
        (11, {}, "labels.rule is '11'; it must be own, who2024, who2011 or fixed:<g/dL>, such as fixed:11."),
        (
            "fixed:115",
            {},
            "labels.rule is 'fixed:115'; its cut-off must be from 2 to 25 g/dL. Did you mean fixed:11.5?",
        ),
        (
            "own",
            {"age": 3, "sex": "f", "altitude_m": 9000, "age_months": True, "cigarettes_per_day": "many"},
            "labels.assume has age; it takes age_months, altitude_m, cigarettes_per_day, sex, pregnancy, trimester. "
            "labels.assume.age_months is True; it must be from 0 to 1440 or null. "
            "labels.assume.altitude_m is 9000; it must be from -500 to 6000 or null. "
            "labels.assume.cigarettes_per_day is many; it must be from 0 to 200 or null. "
            "labels.assume.sex is f; it must be female, male or null.",
        ),
    ],
)
def test_rules_and_assumptions_that_cannot_be_are_refused(rule: Any, assume: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        LabelRule(rule, assume)
    assert str(caught.value) == sentence


def test_assumptions_may_be_written_as_yaml_reads_them() -> None:
    rule = LabelRule("who2024", {"pregnancy": False, "trimester": 2, "age_months": 12, "altitude_m": None})
    assert rule.assume == {
        "age_months": 12.0,
        "altitude_m": None,
        "cigarettes_per_day": 0.0,
        "sex": None,
        "pregnancy": "no",
        "trimester": "2",
    }


@pytest.mark.parametrize("rule", ["own", "who2024", "who2011", "fixed:11"])
def test_each_photo_is_judged_by_itself_whatever_the_order(rule: str) -> None:
    for seed in range(20):
        manifest = draw(seed)
        table, assumed = apply_rule(manifest, LabelRule(rule))
        shuffled = manifest.sample(frac=1, random_state=seed)
        again = apply_rule(shuffled, LabelRule(rule))
        pd.testing.assert_frame_equal(again.table.loc[table.index], table)
        assert again.assumed == assumed


def test_with_nothing_to_assume_a_manifest_is_judged_as_its_people_are() -> None:
    nothing = LabelRule("who2024", {"pregnancy": None, "altitude_m": None, "cigarettes_per_day": None})
    seen = set()
    for seed in range(20):
        manifest = draw(seed)
        table = apply_rule(manifest, nothing).table
        for row, found in zip(manifest.to_dict("records"), table.to_dict("records"), strict=True):
            person = Person(**{name: row[name] for name in Person._fields})
            expected = anaemia(row["hemoglobin_g_dl"], person, rule="who2024")
            assert (found["label"], found["severity"], found["obstacle"]) == (
                expected.label,
                expected.severity,
                expected.obstacle,
            )
            seen.add(expected.obstacle)
    assert seen >= {"", "no age_months", "no altitude_m", "no pregnancy", "no sex", "no cigarettes_per_day"}


def test_assumptions_never_change_what_is_known() -> None:
    for seed in range(20):
        manifest = draw(seed)
        nothing = LabelRule("who2024", {"pregnancy": None, "altitude_m": None, "cigarettes_per_day": None})
        everything = LabelRule(
            "who2024", {"age_months": 30, "sex": "male", "pregnancy": "3", "altitude_m": 3000, "cigarettes_per_day": 9}
        )
        bare, filled = apply_rule(manifest, nothing).table, apply_rule(manifest, everything).table
        known = bare["label"] != UNKNOWN_LABEL
        assert known.any()
        pd.testing.assert_frame_equal(filled[known], bare[known])
