"""The audit on a terminal: what was found, the worst first, and where the rest is."""

import shutil
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from anemia_lightning.report.audit_sections import audit_summary, auroc_cell

_WIDEST = 110
_HEAD_WIDTH = 17
_SHORT = {
    "random": "nothing",
    "patient": "patients",
    "bytes": "same file",
    "pixels": "same pixels",
    "turned": "turned",
    "recut": "cut out anew",
}
_WORDS = {"stop": "STOP", "warn": "careful", "info": "note"}


def audit_lines(audit: Mapping[str, Any], folder: Path) -> list[str]:
    """Returns what a person reads at the end of an audit.

    Args:
        audit: What audit.json holds.
        folder: Where the files are.
    """
    width = min(_WIDEST, shutil.get_terminal_size().columns)
    lines = [line for sentence in audit_summary(audit) for line in _wrap(sentence, width)]
    lines += ["", *_finding_lines(audit, width), "", *_table_lines(audit)]
    names = {"report": "audit.html", "as text": "audit.md", "as values": "audit.json", "copies": "copies.csv"}
    return [*lines, *(f"{what + ':':<12}{folder / name}" for what, name in names.items())]


def _finding_lines(audit: Mapping[str, Any], width: int) -> Iterator[str]:
    notes = [finding for finding in audit["findings"] if finding["severity"] == "info"]
    for finding in audit["findings"]:
        if finding["severity"] != "info":
            head = f"{_WORDS[finding['severity']]:<9}"
            yield from _wrap(finding["says"], width, head)
    if not audit["findings"]:
        yield "Nothing was found to be wrong."
    elif notes:
        yield f"{_WORDS['info']:<9}{len(notes)} lesser finding{'s' * (len(notes) > 1)} in the report."


def _table_lines(audit: Mapping[str, Any]) -> Iterator[str]:
    """Yields the grouping table, narrower than in the report: short names, heads of several lines."""
    rows = audit["grouping"]
    if not rows:
        return
    names = list(dict.fromkeys(name for row in rows for name in row["auroc"]))
    heads = [_head(name) for name in ("kept together", "photos", "groups", *names)]
    height = max(map(len, heads))
    table = [[head[line] if line < len(head) else "" for head in heads] for line in range(height)]
    for row in rows:
        counts = [str(row["photos"]), str(row["groups"])]
        table.append([_SHORT[row["grain"]], *counts, *(auroc_cell(row["auroc"].get(name)) for name in names)])
    widths = [max(len(cells[column]) for cells in table) for column in range(len(heads))]
    yield "AUROC out of fold [95 % interval] of what needs no network:"
    for first, *others in table:
        cells = [text.rjust(width) for text, width in zip(others, widths[1:], strict=True)]
        yield "  ".join([first.ljust(widths[0]), *cells]).rstrip()
    yield ""


def _head(name: str) -> list[str]:
    return textwrap.wrap(name.replace(",", ""), _HEAD_WIDTH)


def _wrap(text: str, width: int, head: str = "") -> list[str]:
    """Returns the lines of a text, the first behind a head."""
    return textwrap.wrap(
        text,
        width,
        initial_indent=head,
        subsequent_indent=" " * len(head),
        # A file's name is copied and pasted: it must not be cut at a hyphen.
        break_on_hyphens=False,
        break_long_words=False,
    )
