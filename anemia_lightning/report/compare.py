"""The comparison of runs in writing: one page with a figure, and Markdown without; both of what compare.json holds."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from anemia_lightning.report.compare_sections import comparison_sections, warning_rows
from anemia_lightning.report.markdown import literal, section_lines, write_markdown
from anemia_lightning.report.page import NOTICE, write_page
from anemia_lightning.report.sections import Figure

_TITLE = "Comparison of runs"


def write_compare_html(path: Path, comparison: Mapping[str, Any], *, figure: bytes) -> None:
    """Writes the comparison's page.

    Args:
        path: The HTML file.
        comparison: What compare.json holds.
        figure: PNG of the runs side by side.
    """
    drawn = Figure("The AUROC of each run, and its difference from that of the reference", figure)
    sections = comparison_sections(comparison)
    scores = sections[1]._replace(figures=[drawn])
    write_page(
        path,
        "compare.html.j2",
        title=_TITLE,
        warnings=warning_rows(comparison),
        sections=[sections[0], scores, *sections[2:]],
    )


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
