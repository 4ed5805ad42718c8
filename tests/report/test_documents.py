"""The documents of a run: written together, the page last, each naming only what is there."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from anemia_lightning.contracts import SPLIT_COLUMNS
from anemia_lightning.report import documents
from anemia_lightning.report.documents import write_documents
from anemia_lightning.report.flow import participant_flow
from anemia_lightning.report.run_page import RunReport
from anemia_lightning.report.table1 import describe_people

Example = Callable[..., dict[str, Any]]


@pytest.fixture
def report(assessment: Example, facts: Example, settings: Example) -> RunReport:
    rows = [("a", "p", "g", 1, "train", ""), ("b", "q", "h", 0, "val", ""), ("c", "r", "i", 1, "test", "")]
    splits = pd.DataFrame(rows, columns=list(SPLIT_COLUMNS))
    return RunReport(
        title="Run 7",
        facts=facts(),
        settings=settings(),
        assessment=assessment(),
        flow=participant_flow(splits),
        people=describe_people(splits),
    )


def test_they_are_written_together_and_name_one_another(tmp_path: Path, report: RunReport) -> None:
    (tmp_path / "splits.csv").touch()
    write_documents(tmp_path, report)
    names = {"MODEL_CARD.md", "checklists.md", "flow.md", "report.html", "table1.md"}
    assert {path.name for path in tmp_path.iterdir()} == {*names, "splits.csv"}
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert all(f'<th scope="row">{name}</th>' in page for name in (*names - {"report.html"}, "splits.csv"))
    assert '<th scope="row">run.json</th>' not in page
    assert "flow.md; report.html, Participants" in (tmp_path / "checklists.md").read_text(encoding="utf-8")


def test_the_page_comes_last_since_without_it_no_run_is_finished(
    tmp_path: Path, report: RunReport, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[set[str]] = []
    monkeypatch.setattr(
        documents, "write_run_page", lambda path, _: seen.append({each.name for each in path.parent.iterdir()})
    )
    write_documents(tmp_path, report)
    assert seen == [{"MODEL_CARD.md", "checklists.md", "flow.md", "table1.md"}]


def test_what_is_not_known_leaves_no_file(tmp_path: Path) -> None:
    write_documents(tmp_path, RunReport(title="Run", facts={}, settings={}))
    assert {path.name for path in tmp_path.iterdir()} == {"MODEL_CARD.md", "checklists.md", "report.html"}
