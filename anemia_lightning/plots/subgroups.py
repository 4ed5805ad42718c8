"""A forest plot: one line per group with its interval, beside what all photos give."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from anemia_lightning.metrics.intervals import Interval
from anemia_lightning.plots.style import BLUE, GREY, VERMILION, house_style, new_figure

_LONGEST = 34
"""Letters of a name that fit beside the axes; the page has the rest in a table."""


@dataclass(frozen=True)
class Row:
    """A line of a forest plot."""

    name: str
    counts: str
    """What it rests on, such as "n = 73, 36 anaemic"; empty where the heading says it."""
    interval: Interval
    is_small: bool = False
    """Whether it is too small to be judged: drawn hollow."""
    is_summary: bool = False
    """Whether it sums others up: drawn as a diamond."""
    is_prediction: bool = False
    """Whether it says where a further group may lie: a thin line without a point."""


@dataclass(frozen=True)
class Section:
    """Lines below one heading."""

    title: str
    rows: Sequence[Row]


@house_style()
def draw_forest(
    sections: Sequence[Section],
    *,
    score: str,
    level: float = 0.95,
    overall: float | None = None,
    chance: float | None = None,
    note: str = "",
) -> Figure:
    """Draws groups with their intervals, from top to bottom.

    Args:
        sections: Groups by heading.
        score: What is shown, such as "AUROC".
        level: Of the intervals.
        overall: The value of all photos, drawn as a line.
        chance: The value of guessing, drawn as a dotted line. With it the axis begins at the tenth below all that is
            drawn, without it at 0.
        note: What stands below.
    """
    lines: list[str | Row] = []
    for section in sections:
        lines += [section.title, *section.rows]
    rows = [(place, line) for place, line in enumerate(lines) if isinstance(line, Row)]
    # A count stands below its name: beside it, the letters would have to be too small for a page.
    figure = new_figure(1.5 + (0.34 if any(row.counts for _, row in rows) else 0.27) * len(lines), 5.6)
    axes = figure.add_subplot()
    for place, row in rows:
        _draw_row(axes, place, row)
    axes.set_yticks(range(len(lines)), [_named(line) for line in lines])
    for tick, line in zip(axes.get_yticklabels(), lines, strict=True):
        tick.set_fontweight("bold" if isinstance(line, str) else "normal")
    for value, style, name in ((overall, "--", "all photos"), (chance, ":", "chance")):
        if value is not None:
            axes.axvline(value, color=GREY, linestyle=style, linewidth=1, label=f"{name}, {value:.3f}")
    start = 0.0 if chance is None else _start([row for _, row in rows], chance)
    axes.set(xlim=(start - 0.02, 1.02), ylim=(len(lines) - 0.4, -0.6))
    axes.set_xlabel(f"{score}, with {100 * level:g} % interval")
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2, borderpad=0.0)
    if note:
        figure.supxlabel(note, fontsize=8, color=GREY)
    return figure


def _named(line: str | Row) -> str:
    if isinstance(line, str):
        return line
    name = line.name if len(line.name) <= _LONGEST else f"{line.name[: _LONGEST - 1]}…"
    return f"{name}\n{line.counts}" if line.counts else name


def _start(rows: Sequence[Row], chance: float) -> float:
    """Returns the tenth below all that is drawn."""
    drawn = [end for row in rows for end in (row.interval.value, row.interval.low) if end is not None]
    return math.floor(10 * min([chance, *drawn])) / 10


def _draw_row(axes: Axes, place: int, row: Row) -> None:
    interval = row.interval
    if interval.value is None:
        words, across = f"undefined: {interval.note}", axes.get_yaxis_transform()
        said = axes.text(0.5, place, words, transform=across, ha="center", va="center", fontsize=8, color=GREY)
        said.set_backgroundcolor("white")
        return
    if interval.low is not None and interval.high is not None:
        colour, width = (VERMILION, 1.0) if row.is_prediction else (BLUE, 1.6)
        axes.hlines(place, interval.low, interval.high, color=colour, linewidth=width)
    if not row.is_prediction:
        face = "white" if row.is_small else BLUE
        axes.plot(interval.value, place, "D" if row.is_summary else "o", color=BLUE, markerfacecolor=face, markersize=5)
    # Beside the axes, wherever they begin.
    axes.annotate(_said(row), (1.03, place), xycoords=("axes fraction", "data"), va="center", annotation_clip=False)


def _said(row: Row) -> str:
    value, low, high = row.interval.value, row.interval.low, row.interval.high
    if low is None:
        return f"{value:.2f} (no interval)"
    return f"[{low:.2f}, {high:.2f}]" if row.is_prediction else f"{value:.2f} [{low:.2f}, {high:.2f}]"
