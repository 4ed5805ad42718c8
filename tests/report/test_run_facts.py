"""How a run was made: of what, split how, and of a cross-validation only what holds for all of its models."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from anemia_lightning.report.run_facts import how_it_was_made, shared_facts

Make = Callable[..., dict[str, Any]]


def rows_of(facts: Mapping[str, Any], settings: Mapping[str, Any], folds: int = 0) -> dict[str, str]:
    (table,) = how_it_was_made(facts, settings, folds=folds).tables
    return {str(row[0]): str(row[1]) for row in table.rows}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({}, "drawn by patient and photograph: train 0.7, val 0.15, test 0.15, seed 0"),
        ({"split": {"file": "mine.csv"}}, "from the file mine.csv"),
        ({"folds": 5, "repeats": 1, "leave_out": None}, "one draw of 5 folds, by patient and photograph, seed 0"),
        ({"folds": 5, "repeats": 3, "leave_out": None}, "3 draws of 5 folds, by patient and photograph, seed 0"),
        (
            {"folds": 5, "repeats": 1, "leave_out": "site"},
            "one fold for each site, patients and copies of a photograph together",
        ),
    ],
)
def test_the_split_is_told_as_it_was_made(changes: dict[str, Any], says: str, facts: Make, settings: Make) -> None:
    assert rows_of(facts(), settings(**changes))["split"] == says


def test_what_was_not_split_has_no_split(facts: Make, settings: Make) -> None:
    without = settings()
    del without["split"]
    assert "split" not in rows_of(facts(), without)


def test_labels_that_gave_way_to_those_of_copies_are_counted(facts: Make, settings: Make) -> None:
    name = "photos with the commoner label of their copies"
    assert name not in rows_of(facts(), settings())
    outvoted = facts(labels={**facts()["labels"], "relabelled": ["a", "b"]})
    assert rows_of(outvoted, settings())[name] == "2"


@pytest.mark.parametrize(
    ("grain", "are_named", "says"),
    [
        ("bytes", True, "No patient stands on two sides of a split, nor do copies of one photograph (the same file)."),
        ("none", True, "No patient stands on two sides of a split."),
        (
            "bytes",
            False,
            "Photos of one person may stand on two sides of a split where the data do not name patients; copies of one "
            "photograph (the same file) do not.",
        ),
        ("none", False, "Photos of one person may stand on two sides of a split where the data do not name patients."),
    ],
)
def test_patients_are_said_to_stand_apart_where_the_data_name_them(
    grain: str, are_named: bool, says: str, facts: Make, settings: Make
) -> None:
    known = facts()
    known["data"]["photo_groups"]["grain"] = grain
    made = how_it_was_made(known, settings(), are_named=are_named)
    assert made.says[0] == f"The data were split first and varied afterwards. {says}"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"repeats": 1, "leave_out": None}, "those of single models, each on photos that it never saw."),
        ({"repeats": 3, "leave_out": None}, "those of the mean of 3 models for each photo, which never saw it."),
        # Sites are left out once, whatever repeats says.
        ({"repeats": 3, "leave_out": "site"}, "those of single models, each on photos that it never saw."),
    ],
)
def test_the_joint_model_is_said_to_be_untested(
    changes: dict[str, Any], says: str, facts: Make, settings: Make
) -> None:
    made = how_it_was_made(facts(), settings(folds=5, **changes), folds=5)
    assert f" That joint model was not itself tested: the scores here are {says} " in made.says[1]


def test_the_record_of_the_labels_is_shown_whole(facts: Make, settings: Make) -> None:
    says = rows_of(facts(), settings())["labels"]
    assert says.startswith("Labels are those of the data set (rule own)")
    assert says.endswith("Labels would be others by other rules: 3 of 176 by who2024 (assumed: altitude for 176).")
    assert "labels" not in rows_of({}, settings())


def test_of_folds_only_what_they_share_is_told(facts: Make, settings: Make) -> None:
    cards = []
    for epochs in (9, 17, 12):
        card = facts(epochs=epochs, stop_reason=f"nothing fell after {epochs}", warnings=["All.", f"{epochs}."])
        card["data"]["photos"] = {"train": 90 + epochs, "val": 10, "test": 36 - epochs}
        card["data"]["splits_sha256"] = f"{epochs:064}"
        cards.append(card)
    shared = shared_facts(cards, photos=136, excluded=4)
    assert shared["warnings"] == ["All.", "9.", "17.", "12."]
    assert "splits_sha256" not in shared["data"]
    rows = rows_of(shared, settings(folds=3, repeats=1, leave_out=None), folds=3)
    assert rows["epochs"] == "12 in the median of 3 models, 9 to 17"
    assert rows["photos"] == "in the folds 136, left out 4"
    assert rows["distinct photographs"] == "150"
    assert rows["time in epochs"] == "3.0 min"
    assert rows["weights at the start"].startswith("torchvision's IMAGENET1K_V1")
    assert "ended because" not in rows
