"""Reporting checklists: where a run answers each item of a guideline, and what only a human can."""

import csv
import json
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import cache
from importlib.resources import files
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from anemia_lightning.report.markdown import literal, table_lines, write_markdown
from anemia_lightning.report.sections import Table

GUIDELINES = {
    "TRIPOD+AI": "Collins et al., BMJ 2024;385:e078378, doi:10.1136/bmj-2023-078378",
    "STARD-AI": "Sounderajah et al., Nature Medicine 2025, doi:10.1038/s41591-025-03953-8",
    "CLAIM 2024": "Tejani et al., Radiology: Artificial Intelligence 2024, doi:10.1148/ryai.240300",
}
"""Where each guideline's own words stand; ours only say what an item is about."""

_HUMAN = "needs a human"
_REPORT = "report.html"
_COLUMNS = ["item", "asks for", "answered by", "left to a human"]


class Answer(NamedTuple):
    """Where a run answers: a file of its folder, and a place in it ("" for the whole file)."""

    file: str
    place: str

    def __str__(self) -> str:
        return f"{self.file}, {self.place}" if self.place else self.file


class Item(NamedTuple):
    """An item of a guideline."""

    guideline: str
    number: str
    asks: str
    answers: Sequence[Answer]
    human: str
    """What only a human can add; "" where nothing is left."""


@cache
def checklist_items() -> tuple[Item, ...]:
    """Returns the items of all guidelines, in their order."""
    text = files("anemia_lightning.report").joinpath("checklists.csv").read_text(encoding="utf-8")
    return tuple(
        Item(row["guideline"], row["item"], row["asks"], tuple(_answers(row["answers"])), row["human"])
        for row in csv.DictReader(text.splitlines())
    )


def write_checklists(path: Path, *, sections: Collection[str]) -> None:
    """Writes checklists.md: for each item what in the run's folder answers it, or that it needs a human.

    Only what is there counts: a run without probes of robustness does not answer for it.

    Args:
        path: The file, in the folder of the run, where all others but the report lie already.
        sections: The titles of the report's chapters.
    """
    lines = [
        "# Reporting checklists",
        "",
        "What this run answers of what three guidelines ask, and where. What an item asks is said in few words of "
        "ours: the guidelines' own words count. Whether an answer suffices is for a human to judge, each time.",
        "",
    ]
    find = _finder(path.parent, sections)
    for guideline, items in groupby(checklist_items(), key=lambda item: item.guideline):
        table = [_row(item, find) for item in items]
        needed = sum(row[2] == _HUMAN for row in table)
        partly = sum(row[2] != _HUMAN and row[3] != "" for row in table)
        lines += [f"## {guideline}", "", f"{literal(GUIDELINES[guideline])}.", ""]
        lines += [f"Of {len(table)} items, the run answers {len(table) - needed}, {partly} of them in part.", ""]
        lines += table_lines(Table(f"Items of {guideline}", _COLUMNS, table, is_prose=True))
    write_markdown(path, lines)


def _answers(text: str) -> Iterator[Answer]:
    for part in filter(None, text.split("; ")):
        file, _, place = part.partition(" > ")
        yield Answer(file, place)


def _row(item: Item, find: Callable[[Answer], str]) -> list[str]:
    found = "; ".join(filter(None, map(find, item.answers)))
    return [item.number, item.asks, found or _HUMAN, item.human]


def _finder(folder: Path, sections: Collection[str]) -> Callable[[Answer], str]:
    """Returns what says where an answer lies: in a run's folder, in that of each fold, or nowhere ("")."""
    read = cache(_content)

    def find(answer: Answer) -> str:
        if answer.file == _REPORT:
            return str(answer) if not answer.place or answer.place in sections else ""
        for pattern in (answer.file, f"folds/*/{answer.file}"):
            file = next((place for place in sorted(folder.glob(pattern)) if place.is_file()), None)
            if file and (not answer.place or _has_place(read(file), answer.place)):
                return str(Answer(pattern, answer.place))
        return ""

    return find


def _content(file: Path) -> str | dict[str, Any]:
    text = file.read_text(encoding="utf-8")
    return dict(json.loads(text)) if file.suffix == ".json" else text


def _has_place(content: str | dict[str, Any], place: str) -> bool:
    """Returns whether JSON has something at a dotted key, or a text a head, an item, a setting, a row or a column."""
    if isinstance(content, str):
        name = re.escape(place)
        return re.search(rf"^(## |\| |\s*- )?{name}($|:)|^\|.* \| {name} \|", content, re.MULTILINE) is not None
    value: Any = content
    for key in place.split("."):
        value = (value or {}).get(key)
    return value not in (None, "", [], {})
