"""A forest plot: one line per group with its interval, beside what all photos give."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from anemia_lightning.metrics.intervals import Interval
from anemia_lightning.plots.style import BLUE, GREY, VERMILION, house_style, new_figure


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
    prediction: Interval | None = None
    """Where a further group may lie, drawn as a thin line."""


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
    overall: float | None = None,
    chance: float | None = None,
    note: str = "",
) -> Figure:
    """Draws groups with their intervals, from top to bottom.

    Args:
        sections: Groups by heading.
        score: What is shown, such as "AUROC".
        overall: The value of all photos, drawn as a line.
        chance: The value of guessing, drawn as a dotted line.
        note: What stands below.
    """
    lines: list[str | Row] = []
    for section in sections:
        lines += [section.title, *section.rows]
    figure = new_figure(1.5 + 0.26 * len(lines), 7.4)
    axes = figure.add_subplot()
    for place, line in enumerate(lines):
        if isinstance(line, Row):
            _draw_row(axes, place, line)
    axes.set_yticks(range(len(lines)), [_named(line) for line in lines])
    for tick, line in zip(axes.get_yticklabels(), lines, strict=True):
        tick.set_fontweight("bold" if isinstance(line, str) else "normal")
    for value, style, name in ((overall, "--", "all photos"), (chance, ":", "chance")):
        if value is not None:
            axes.axvline(value, color=GREY, linestyle=style, linewidth=1, label=f"{name}, {value:.3f}")
    axes.set(xlim=(-0.02, 1.02), ylim=(len(lines) - 0.4, -0.6), xlabel=f"{score}, with interval")
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
    return f"{line.name}  ({line.counts})" if line.counts else line.name


def _draw_row(axes: Axes, place: int, row: Row) -> None:
    interval = row.interval
    if interval.value is None:
        axes.text(0.5, place, f"undefined: {interval.note}", ha="center", va="center", fontsize=7, color=GREY)
        return
    for each, colour, width in ((row.prediction, VERMILION, 1.0), (interval, BLUE, 1.6)):
        if each is not None and each.low is not None and each.high is not None:
            axes.hlines(place, each.low, each.high, color=colour, linewidth=width)
    face = "white" if row.is_small else BLUE
    axes.plot(interval.value, place, "D" if row.is_summary else "o", color=BLUE, markerfacecolor=face, markersize=5)
    axes.annotate(_said(interval), (1.03, place), va="center", fontsize=7, annotation_clip=False)


def _said(interval: Interval) -> str:
    if interval.low is None:
        return f"{interval.value:.2f} (no interval)"
    return f"{interval.value:.2f} [{interval.low:.2f}, {interval.high:.2f}]"
