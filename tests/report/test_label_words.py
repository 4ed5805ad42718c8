"""What labels mean is said whole: whose they are, what was assumed, which lie near the cut-off or hang on the rule."""

from typing import Any

from anemia_lightning.data.labels import LabelRule, label_manifest
from anemia_lightning.data.manifest import build_manifest
from anemia_lightning.report.label_words import labels_say

OWN: dict[str, Any] = {
    "rule": "own",
    "source": "the data set",
    "photos": 300,
    "unlabelled": {},
    "cutoffs": [],
    "assumed": {},
    "near_cutoff": None,
    "flips": {
        "who2024": {"flips": 3, "of": 300, "assumed": {"altitude_m": 300, "sex": 2}},
        "who2011": {"flips": 0, "of": 0, "assumed": {}},
    },
}


def test_of_the_data_sets_own_labels_the_cut_off_is_not_known() -> None:
    assert labels_say(OWN) == [
        "Labels are those of the data set (rule own), where 1 is anaemic. The program applied no cut-off to them.",
        "By which cut-off they were made is for the data set to say.",
        "Labels would be others by other rules: 3 of 300 by who2024 (assumed: altitude for 300, sex for 2).",
    ]


def test_of_a_rule_it_says_what_was_assumed_and_what_is_near_the_cut_off() -> None:
    labels = {
        "rule": "who2024",
        "source": "WHO 2024",
        "photos": 40,
        "unlabelled": {},
        "cutoffs": [{"g_dl": 10.5, "photos": 33}, {"g_dl": 12.0, "photos": 7}],
        "assumed": {"altitude_m": {"value": 0.0, "photos": 40}, "pregnancy": {"value": "no", "photos": 7}},
        "near_cutoff": {"closer_than_g_dl": 0.5, "photos": 9},
        "flips": {"own": {"flips": 2, "of": 40, "assumed": {}}},
    }
    assert labels_say(labels) == [
        "Labels follow from haemoglobin by the rule who2024 (WHO 2024); 1 is anaemic.",
        "Cut-offs, after altitude and smoking: 10.5 g/dL for 33, 12 g/dL for 7 photos.",
        "Assumed where the data do not say it, of 40 photos: altitude 0 m for 40, pregnancy no for 7.",
        "The haemoglobin of 9 of 40 photos is closer than 0.5 g/dL to the cut-off, so that error of measurement may "
        "have made their label.",
        "Labels would be others by other rules: 2 of 40 by the data set's own.",
    ]


def test_nothing_is_said_of_labels_of_which_nothing_is_known() -> None:
    assert labels_say({}) == []


def test_who_has_no_label_is_counted_by_cause() -> None:
    causes = {"an age below 6 months, for which who2024 has no cut-off": 1, "no haemoglobin": 2}
    rule = {"rule": "who2024", "source": "WHO 2024", "photos": 40, "cutoffs": []}
    rule |= {"assumed": {}, "near_cutoff": None, "flips": {}}
    (_, said) = labels_say({**rule, "unlabelled": causes})
    assert said == (
        "3 more photos were left out, since the rule gives no label there: an age below 6 months, for which who2024 "
        "has no cut-off (1); no haemoglobin (2)."
    )
    said = labels_say(OWN | {"unlabelled": {"no label": 1}})[2]
    assert said == "1 more photo was left out, since the data set gives no label there."


def test_every_assumption_that_a_rule_can_need_has_its_words() -> None:
    gaps = [("", 9), ("", 15), ("yes", 9), ("yes", 15)]
    rows = [
        {"photo": f"s/{place}", "path": f"/{place}", "label": -1, "pregnancy": pregnancy, "hemoglobin_g_dl": each}
        for place, (pregnancy, each) in enumerate(gaps)
    ]
    assume = {"age_months": 240, "sex": "female", "trimester": "2"}
    record = label_manifest(build_manifest(rows), LabelRule("who2024", assume)).record
    said = " ".join(labels_say(record))
    for words in ("age 240 months for 2", "altitude 0 m for 4", "0 cigarettes a day for 4", "pregnancy no for 2"):
        assert words in said
    assert "sex female for 2" in said
    assert "trimester 2 for 2" in said
