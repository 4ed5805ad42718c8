"""The model card: what it must say whatever the run, and what it says of this one."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from anemia_lightning.report.model_card import scope_says, write_model_card
from anemia_lightning.report.run_page import AID, RunReport

Example = Callable[..., dict[str, Any]]

CHAPTERS = [
    "Intended use",
    "Out of scope",
    "Data",
    "Model",
    "Weights",
    "Scores",
    "Decision",
    "Calibration",
    "Limits",
    "Version",
]


@pytest.fixture
def report(assessment: Example, facts: Example, settings: Example) -> RunReport:
    return RunReport(
        title="Training run 7",
        facts=facts(),
        settings=settings(),
        assessment=assessment(),
        warnings=["Look at each source by itself."],
        scope=["People younger than 6 months."],
    )


def card(folder: Path, report: RunReport) -> str:
    write_model_card(folder / "MODEL_CARD.md", report)
    return (folder / "MODEL_CARD.md").read_text(encoding="utf-8")


def test_it_says_what_it_is_for_and_what_not(tmp_path: Path, report: RunReport) -> None:
    text = card(tmp_path, report)
    assert [line.removeprefix("## ") for line in text.splitlines() if line.startswith("## ")] == CHAPTERS
    assert text.startswith("# Model card: Training run 7\n\n**Screening aid for research, not a medical device")
    assert AID in text
    assert "Confirm by a blood test" in text
    unscored = "- Groups of people, devices and places that the report shows no scores for."
    assert f"- People younger than 6 months.\n{unscored}\n" in text
    assert "- Look at each source by itself.\n- A small test." in text
    assert "Licence of cp_anemic: listed as CC BY 4.0" in text
    assert "whose terms of access allow non-commercial research and education only" in text
    assert r"| AUROC | 0.812 \[0.762, 0.862\] | 0.833 \[0.783, 0.883\] | Wilson |" in text
    assert "| colour statistics, linear | colour alone |" in text
    assert "from a probability of 0.412, by the rule youden" in text
    assert "Of the groups large enough to be named, the AUROC is lowest for age: 6-23 months, 0.700" in text
    assert "How it does by device is not known" in text
    assert "- Conjunctivitis, trachoma, jaundice, pigment, crying, eye drops" in text
    assert "its own label is haemoglobin below 11.0 g/dL at any age." in text
    assert "- Labels are those of the data set (rule own), where 1 is anaemic." in text
    assert "3 of 176 by who2024 (assumed: altitude for 176)" in text
    assert "SHA-256: d5d5" in text
    assert "> **" not in text, "no label where there is nothing to warn of"


def test_what_is_drawn_random_or_of_a_file_is_labelled_at_the_top(
    tmp_path: Path, report: RunReport, facts: Example, settings: Example
) -> None:
    random = {"source": "random", "name": None, "file": None, "sha256": None}
    drawn = replace(report, settings=settings(data={"name": "synthetic"}), facts=facts(weights=random))
    text = card(tmp_path, drawn)
    head = text.partition("## Intended use")[0]
    assert "> **DRAWN PHOTOGRAPHS." in head
    assert "> **RANDOM WEIGHTS." in head
    assert "ImageNet" not in text
    stand_in = {"source": "file", "name": None, "file": "stand_in.safetensors", "sha256": "16" * 32}
    text = card(tmp_path, replace(report, facts=facts(weights=stand_in)))
    assert "> **WEIGHTS OF A FILE. The network started from the file stand_in.safetensors" in text
    assert "on what terms it may be used, is not known to the program" in text


def test_data_that_the_program_does_not_know_are_left_to_a_human(
    tmp_path: Path, report: RunReport, settings: Example
) -> None:
    text = card(tmp_path, replace(report, settings=settings(data={"name": "folder"})))
    assert "folder: not known to the program: needs a human." in text


def test_a_group_is_lowest_by_chance_and_what_is_not_graded_is_not_blamed_on_the_data(
    tmp_path: Path, report: RunReport, assessment: Example
) -> None:
    text = card(tmp_path, report)
    assert "6-23 months, 0.700 \\[0.650, 0.750\\].\n- Some group is lowest by chance alone.\n" in text
    assert "severity is not known" not in text
    groups = {**assessment()["subgroups"], "absent": ["severity", "device"], "worst": {"auroc": None}}
    text = card(tmp_path, replace(report, assessment=assessment(subgroups=groups)))
    assert "- How it does by device is not known: the data do not tell.\n" in text
    assert "- How it does by severity is not known: anaemia was not graded.\n" in text
    assert "by chance alone.\n" not in text


def test_a_card_can_be_written_of_almost_nothing(tmp_path: Path) -> None:
    text = card(tmp_path, RunReport(title="Run", facts={}, settings={}))
    assert "They were not assessed." in text
    assert "## Decision" not in text
    assert "- Data, SHA-256: not recorded.\n" in text


def test_a_cross_validation_is_used_as_a_folder(tmp_path: Path, report: RunReport) -> None:
    assert "ckpt=FOLDER" in card(tmp_path, replace(report, folds={"fold-0": {}}))


def test_the_data_of_folds_have_no_common_hash(tmp_path: Path, report: RunReport, facts: Example) -> None:
    shared = {key: value for key, value in facts()["data"].items() if "sha256" not in key}
    text = card(tmp_path, replace(report, facts=facts(data=shared), folds={"fold-0": {}}))
    assert r"SHA-256: each fold has its own, since it covers the split: see folds/\*/run.json." in text


def test_names_are_taken_literally(tmp_path: Path, report: RunReport) -> None:
    text = card(tmp_path, replace(report, title="<b>*x*</b>", warnings=["[a](b)"]))
    assert r"\<b\>\*x\*\</b\>" in text
    assert r"\[a\](b)" in text


@pytest.mark.parametrize(
    ("photos", "says"),
    [
        ({"age_months": [6.0, 59.0]}, "younger than 6 months or older than 59 months"),
        ({"age_months": [220.0, 900.0]}, "younger than 18 years or older than 75 years"),
        ({"age_months": [float("nan")] * 2}, "ages of those who trained it are not known"),
        ({}, "ages of those who trained it are not known"),
        ({"pregnancy": ["", "no"]}, "Pregnant women: none is known to be among those who trained it"),
        ({"pregnancy": ["2", "no"]}, "Pregnant women are among those who trained it"),
        ({"sex": ["female", ""]}, "People who are not female"),
    ],
)
def test_whom_it_has_not_learnt_from_is_out_of_scope(photos: dict[str, Any], says: str) -> None:
    assert says in " ".join(scope_says(pd.DataFrame(photos)))
