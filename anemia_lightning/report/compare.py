"""The comparison of runs in writing: one page with a figure, and Markdown without; both of what compare.json holds."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from anemia_lightning.report.compare_sections import comparison_sections, warning_rows
from anemia_lightning.report.markdown import literal, section_lines, write_markdown
from anemia_lightning.report.page import NOTICE, write_page
from anemia_lightning.report.sections import Figure

_TITLE = "Comparison of runs"


def write_compare_html(path: Path, comparison: Mapping[str, Any], *, figures: Mapping[str, bytes]) -> None:
    """Writes the comparison's page.

    Args:
        path: The HTML file.
        comparison: What compare.json holds.
        figures: PNG of the runs side by side, their scores and their differences from the reference.
    """
    captions = {
        "scores": ("Scores", "AUROC of each run, test photos"),
        "differences": ("Paired differences", "By how much the AUROC of each run exceeds that of the reference"),
    }
    drawn = {captions[name][0]: [Figure(captions[name][1], png)] for name, png in figures.items()}
    sections = [section._replace(figures=drawn.get(section.title, [])) for section in comparison_sections(comparison)]
    write_page(path, "compare.html.j2", title=_TITLE, warnings=warning_rows(comparison), sections=sections)


def write_compare_markdown(path: Path, comparison: Mapping[str, Any]) -> None:
    """Writes the comparison as Markdown."""
    lines = [f"# {_TITLE}", "", f"{NOTICE}.", ""]
    warnings = warning_rows(comparison)
    if warnings:
        lines += ["## Before you believe a number", ""]
        lines += [f"- **{letter}:** {literal(warning)} ({literal(runs)})" for letter, warning, runs in warnings] + [""]
    for section in comparison_sections(comparison):
        lines += section_lines(section)
    write_markdown(path, lines)
