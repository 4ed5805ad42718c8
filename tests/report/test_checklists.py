"""The checklists: complete, and true: what they point to is there, and what is not there needs a human."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from omegaconf import OmegaConf

from anemia_lightning.report.checklists import GUIDELINES, checklist_items, write_checklists
from anemia_lightning.report.flow import participant_flow, write_flow
from anemia_lightning.report.model_card import write_model_card
from anemia_lightning.report.run_facts import FILES
from anemia_lightning.report.run_page import FIGURES, RunReport
from anemia_lightning.report.table1 import describe_people, write_table1

Example = Callable[..., dict[str, Any]]

CONF = Path(__file__).parents[2] / "conf"


@pytest.fixture
def folder(tmp_path: Path, assessment: Example, facts: Example, settings: Example) -> Path:
    """A run's folder with all files that the checklists point to, made as a run makes them where that is cheap."""
    splits = pd.DataFrame(
        {
            "photo": ["a", "b", "c"],
            "patient": ["p", "q", "r"],
            "label": [1, 0, 1],
            "split": ["train", "val", "test"],
            "reason": "",
            "site": ["x", "y", "x"],
            "severity": ["mild", "none", "severe"],
        }
    )
    report = RunReport(title="Run", facts=facts(), settings=settings(), assessment=assessment())
    write_model_card(tmp_path / "MODEL_CARD.md", report)
    write_flow(tmp_path / "flow.md", participant_flow(splits))
    write_table1(tmp_path / "table1.md", describe_people(splits))
    (tmp_path / "assessment.json").write_text(json.dumps(assessment()), encoding="utf-8")
    (tmp_path / "run.json").write_text(json.dumps(facts()), encoding="utf-8")
    (tmp_path / "config_resolved.yaml").write_text(OmegaConf.to_yaml(settings()), encoding="utf-8")
    for name in ("splits.csv", "metrics.csv", "metrics.json", "predictions_val.csv", "predictions_test.csv"):
        (tmp_path / name).write_text("{}", encoding="utf-8")
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "best.ckpt").touch()
    return tmp_path


def rows(folder: Path, sections: list[str]) -> list[list[str]]:
    write_checklists(folder / "checklists.md", sections=sections)
    lines = (folder / "checklists.md").read_text(encoding="utf-8").splitlines()
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines if line.startswith("| ")]


def titles() -> list[str]:
    """Returns the chapters that checklists may point to."""
    own = ["Key scores", "Against baselines", "Participants", "Who is in the data", "What it looks at", "Photos"]
    return list(dict.fromkeys([*own, *(title for title, _ in FIGURES.values())]))


def test_each_guideline_is_whole_and_each_item_stands_once() -> None:
    counts = Counter(item.guideline for item in checklist_items())
    assert counts == {"TRIPOD+AI": 52, "STARD-AI": 48, "CLAIM 2024": 44}
    assert counts.keys() == GUIDELINES.keys()
    for guideline in GUIDELINES:
        numbers = [item.number for item in checklist_items() if item.guideline == guideline]
        assert len(set(numbers)) == len(numbers)
        mains = [int(number.rstrip("abcdefg")) for number in numbers]
        assert sorted(set(mains)) == list(range(1, mains[-1] + 1)), "no number is left out"
    assert all(item.asks for item in checklist_items())


def test_every_file_that_is_named_is_one_that_a_run_can_have() -> None:
    named = {answer.file for item in checklist_items() for answer in item.answers}
    assert named <= {*FILES, "report.html"}
    groups = {answer.place for item in checklist_items() for answer in item.answers if answer.file.endswith(".yaml")}
    assert all((CONF / group).is_dir() for group in groups - {""})
    chapters = {answer.place for item in checklist_items() for answer in item.answers if answer.file == "report.html"}
    assert chapters - {""} <= set(titles())


def test_in_a_whole_folder_every_pointer_is_found(folder: Path) -> None:
    written = rows(folder, titles())
    shown = {cell for row in written for cell in row[2].split("; ")}
    expected = {str(answer) for item in checklist_items() for answer in item.answers}
    assert expected <= shown


def test_what_a_folder_lacks_is_left_to_a_human(folder: Path) -> None:
    (folder / "flow.md").unlink()
    (folder / "assessment.json").write_text(json.dumps({"subgroups": {"across_sites": None}}), encoding="utf-8")
    text = "\n".join(" | ".join(row) for row in rows(folder, ["Key scores"]))
    assert "flow.md" not in text
    assert "Participants" not in text
    assert "across_sites" not in text
    assert "24 | flow of participants as a diagram | needs a human" in text
    assert "30 | robustness and sensitivity | needs a human" in text
    assert "assessment.json, subgroups" in text


def test_an_empty_folder_answers_nothing(tmp_path: Path) -> None:
    written = [row for row in rows(tmp_path, []) if row[0] not in ("item", "---")]
    assert len(written) == 144
    # The report itself is written last, so that it is taken for granted.
    assert {row[2] for row in written} == {"needs a human", "report.html"}


def test_a_cross_validation_answers_with_its_folds(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    whole = tmp_path_factory.mktemp("crossval")
    (whole / "folds").mkdir()
    folder.rename(whole / "folds" / "fold-0")
    text = "\n".join(" | ".join(row) for row in rows(whole, titles()))
    assert "23 | software and versions | folds/\\*/run.json, versions" in text


def answers(folder: Path) -> dict[str, str]:
    """Returns what is said to answer, by what is asked."""
    return {row[1]: row[2] for row in rows(folder, titles()) if len(row) > 2}


FLOW_OF_TRAINING = "how it was developed: training, validation, test, with sizes"
COMPARED = (
    "differences between development and evaluation data",
    "comparison of evaluation with development data",
    "characteristics of training, validation and test set",
)


def test_training_photos_are_pointed_at_only_where_they_are_counted(folder: Path) -> None:
    found = answers(folder)
    assert found[FLOW_OF_TRAINING] == "flow.md, training; run.json, phases"
    assert {found[each] for each in COMPARED} == {"table1.md, train"}
    tested = pd.DataFrame({"photo": ["a"], "patient": ["p"], "label": [1], "split": ["test"], "reason": [""]})
    write_flow(folder / "flow.md", participant_flow(tested))
    write_table1(folder / "table1.md", describe_people(tested))
    found = answers(folder)
    assert found[FLOW_OF_TRAINING] == "run.json, phases"
    assert {found[each] for each in COMPARED} == {"needs a human"}
    assert found["characteristics of the cases in each partition"].startswith("table1.md, test; ")


def test_a_cross_validation_points_at_the_training_photos_of_its_folds(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    whole = tmp_path_factory.mktemp("crossval")
    (whole / "folds").mkdir()
    folder.rename(whole / "folds" / "fold-0")
    names = ["fold-0", "fold-1"]
    tested = pd.DataFrame({"photo": ["a", "b"], "patient": ["p", "q"], "label": [1, 0], "split": names, "reason": ""})
    write_flow(whole / "flow.md", participant_flow(tested, order=names))
    write_table1(whole / "table1.md", describe_people(tested))
    found = answers(whole)
    assert found[FLOW_OF_TRAINING].startswith(r"folds/\*/flow.md, training; ")
    assert {found[each] for each in COMPARED} == {r"folds/\*/table1.md, train"}
    assert found["flow of participants, with and without the outcome"].startswith("flow.md; ")


def test_a_calibration_before_any_evaluation_is_no_whole_answer_to_updating() -> None:
    updating = [item for item in checklist_items() if "updating" in item.asks]
    assert [item.number for item in updating] == ["12f", "24"]
    assert all("followed from an evaluation" in item.human for item in updating)


def test_the_counts_at_its_head_are_those_of_the_table(folder: Path) -> None:
    written = rows(folder, titles())
    text = (folder / "checklists.md").read_text(encoding="utf-8")
    claim = written[-44:]
    answered = [row for row in claim if row[2] != "needs a human"]
    partly = [row for row in answered if row[3]]
    assert f"Of 44 items, the run answers {len(answered)}, {len(partly)} of them in part." in text
