"""All that a run's folder has for people to read: the page, the model card, participants, Table 1, checklists."""

from dataclasses import replace
from pathlib import Path

from anemia_lightning.report.checklists import write_checklists
from anemia_lightning.report.flow import write_flow
from anemia_lightning.report.model_card import write_model_card
from anemia_lightning.report.run_facts import FILES
from anemia_lightning.report.run_page import RunReport, chapter_titles, write_run_page
from anemia_lightning.report.table1 import write_table1


def write_documents(folder: Path, report: RunReport) -> None:
    """Writes flow.md, table1.md, MODEL_CARD.md, checklists.md and, last of all files of a run, report.html.

    Args:
        folder: The folder of the run, with all its other files.
        report: What they tell; `files` is found out here.
    """
    if report.flow:
        write_flow(folder / "flow.md", report.flow)
    if report.people:
        write_table1(folder / "table1.md", report.people)
    write_model_card(folder / "MODEL_CARD.md", report)
    write_checklists(folder / "checklists.md", sections=chapter_titles(report))
    present = {name: what for name, what in FILES.items() if (folder / name).exists()}
    write_run_page(folder / "report.html", replace(report, files=present))
