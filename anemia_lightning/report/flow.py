"""Who was found, who was left out and why, and where the others went: as a drawing, as Mermaid and in words."""

import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from anemia_lightning.report.markdown import literal, write_markdown
from anemia_lightning.report.page import NOTICE
from anemia_lightning.report.patient_words import Numbers, count_patients

_EXCLUDED = "excluded"
_PART_WORDS = {
    "train": "training",
    "val": "validation: chose the best epoch and how it decides",
    "test": "test: judges the model",
}

_WIDTH, _INDENT, _TRUNK, _MARGIN = 360, 40, 20, 4
_LINE, _PADDING, _GAP = 18, 8, 14
_LETTERS_PER_LINE = {_MARGIN: (44, 48), _INDENT: (38, 42)}
"""By the left side of a box: so many letters of a name, which is bold, and of numbers fit at 13 px."""


class Count(NamedTuple):
    """Some photos under a name."""

    name: str
    numbers: Numbers
    anaemic: Numbers | None
    """Those of them that are labelled anaemic; None of what is left out, whose label may be unknown."""


class Flow(NamedTuple):
    """What became of the photos that were found."""

    found: Count
    excluded: Sequence[Count]
    used: Count
    parts: Sequence[Count]


class Box(NamedTuple):
    """A box of the drawing, in its units."""

    x: int
    y: int
    width: int
    height: int
    lines: Sequence[str]
    names: int
    """How many of the lines are its name."""
    is_excluded: bool


def participant_flow(splits: pd.DataFrame, *, order: Sequence[str] = ("train", "val", "test")) -> Flow:
    """Counts what became of the photos.

    Args:
        splits: photo, patient, label, split and reason, as in splits.csv; `split` is the part of the data (of a
            cross-validation the fold that tests the photo) or excluded, and then `reason` says why.
        order: The parts in their order; those without photos are left out.
    """
    is_excluded = splits["split"] == _EXCLUDED
    left_out, used = splits[is_excluded], splits[~is_excluded]
    kinds = left_out["reason"].map(_kind)
    reasons = [_count(_reason(kind, rows["reason"]), rows) for kind, rows in left_out.groupby(kinds, sort=True)]
    parts = {name: used[used["split"] == name] for name in order}
    assert sum(map(len, parts.values())) == len(used), "every photo that is used belongs to one of the parts"
    return Flow(
        _count("photos found", splits)._replace(anaemic=None),
        sorted((reason._replace(anaemic=None) for reason in reasons), key=lambda reason: -reason.numbers.photos),
        _count("photos used", used),
        [_count(_PART_WORDS.get(name, f"test part of {name}"), rows) for name, rows in parts.items() if len(rows)],
    )


def write_flow(path: Path, flow: Flow) -> None:
    """Writes the flow as Markdown: a Mermaid diagram, and the same as a list."""
    diagram = ["```mermaid", *_mermaid(flow), "```"]
    write_markdown(path, ["# Participant flow", "", f"{NOTICE}.", "", *diagram, "", *_listing(flow)])


def flow_boxes(flow: Flow) -> list[Box]:
    """Returns the boxes of the drawing, from above: found, what is left out, used, the parts."""
    boxes: list[Box] = []
    for count, kind in _rows(flow):
        x = _INDENT if kind in ("excluded", "part") else _MARGIN
        y = boxes[-1].y + boxes[-1].height + _GAP if boxes else _MARGIN
        names, numbers = map(textwrap.wrap, _words(count, kind), _LETTERS_PER_LINE[x])
        height = len(names + numbers) * _LINE + 2 * _PADDING
        boxes.append(Box(x, y, _WIDTH - _MARGIN - x, height, names + numbers, len(names), kind == "excluded"))
    return boxes


def flow_drawing(flow: Flow) -> Mapping[str, object]:
    """Returns what the template of the drawing asks for: boxes, the lines between them, its size, its words."""
    boxes = flow_boxes(flow)
    return {
        "boxes": boxes,
        "paths": list(_paths(boxes)),
        "width": _WIDTH,
        "height": boxes[-1].y + boxes[-1].height + _MARGIN,
        "line": _LINE,
        "padding": _PADDING,
        "says": " ".join(f"{' '.join(box.lines)}." for box in boxes),
    }


def _kind(reason: str) -> str:
    """Returns what reasons have in common, such as their code: the words before a colon."""
    return reason.partition(":")[0]


def _reason(kind: str, reasons: "pd.Series[str]") -> str:
    texts = set(reasons)
    return texts.pop() if len(texts) == 1 else kind


def _count(name: str, rows: pd.DataFrame) -> Count:
    return Count(name, count_patients(rows), count_patients(rows[rows["label"] == 1]))


def _rows(flow: Flow) -> Iterator[tuple[Count, str]]:
    yield flow.found, "found"
    yield from ((count, "excluded") for count in flow.excluded)
    yield flow.used, "used"
    yield from ((count, "part") for count in flow.parts)


def _words(count: Count, kind: str) -> tuple[str, str]:
    name = f"left out: {count.name}" if kind == "excluded" else count.name
    if count.anaemic is None:
        return name, count.numbers.words
    anaemic = count.anaemic.words if count.numbers.patients else str(count.anaemic.photos)
    return name, f"{count.numbers.words}, anaemic: {anaemic}"


def _paths(boxes: Sequence[Box]) -> Iterator[str]:
    """Yields the lines: a trunk on the left from the first box down, and a branch to each indented box."""
    inner = [box for box in boxes if box.x == _INDENT]
    outer = [box for box in boxes if box.x != _INDENT]
    for above, below in zip(outer, [*outer[1:], None], strict=True):
        middle = [box.y + box.height // 2 for box in inner if box.y > above.y and (below is None or box.y < below.y)]
        end = below.y if below else max(middle, default=above.y + above.height)
        yield f"M{_TRUNK} {above.y + above.height}V{end}"
        yield from (f"M{_TRUNK} {height}H{_INDENT}" for height in middle)


def _mermaid(flow: Flow) -> Iterator[str]:
    yield "flowchart TD"
    for place, (count, kind) in enumerate(_rows(flow)):
        name, rest = _words(count, kind)
        yield f'    n{place}["{_quoted(name)}<br>{rest}"]'
    used = 1 + len(flow.excluded)
    yield from (f"    n0 -.-> n{place}" for place in range(1, used))
    yield f"    n0 --> n{used}"
    yield from (f"    n{used} --> n{place}" for place in range(used + 1, used + 1 + len(flow.parts)))


def _listing(flow: Flow) -> Iterator[str]:
    for count, kind in _rows(flow):
        name, rest = _words(count, kind)
        yield f"{'  ' * (kind in ('excluded', 'part'))}- {literal(name)}: {rest}"


def _quoted(text: str) -> str:
    """Returns a text for a quoted Mermaid label: entities in place of what it or HTML would interpret."""
    return re.sub(r"[^\w ,.:()/-]", lambda found: f"#{ord(found.group())};", " ".join(text.split()))
