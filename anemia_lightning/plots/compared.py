"""Runs side by side: the AUROC of each with its interval, and its difference from that of a reference."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from anemia_lightning.plots.style import BLUE, GREY, house_style, new_figure

Bounds = tuple[float | None, float | None, float | None]
"""A value, and where its interval begins and ends; None where there is none."""

_LONGEST = 34
"""Letters of a run's name that fit beside the panels; the end tells runs apart."""


@house_style()
def draw_compared(
    names: Sequence[str],
    areas: Sequence[Bounds],
    differences: Sequence[Bounds | None],
    *,
    reference: str,
    level: float,
) -> Figure:
    """Draws one row per run.

    Args:
        names: Of the runs, from top to bottom.
        areas: The AUROC of each.
        differences: By how much it exceeds that of the reference; None where they cannot be compared.
        reference: Name of the reference.
        level: Of the intervals.
    """
    figure = new_figure(1.3 + 0.32 * len(names), 9.0)
    left, right = figure.subplots(1, 2, sharey=True)
    for place, (name, area, difference) in enumerate(zip(names, areas, differences, strict=True)):
        _draw_bounds(left, place, area)
        if difference is not None:
            _draw_bounds(right, place, difference)
        else:
            said = "reference" if name == reference else "other photos"
            right.annotate(said, (0, place), (4, 0), textcoords="offset points", va="center", fontsize=8, color=GREY)
    left.set_yticks(range(len(names)), [_shortened(name) for name in names])
    left.set_ylim(len(names) - 0.5, -0.5)
    left.set_xlabel(f"AUROC [{level:.0%} interval]")
    right.axvline(0, color=GREY, linewidth=1, linestyle="--")
    right.set_xlabel(f"AUROC less that of the reference [{level:.0%} interval]")
    for axes in (left, right):
        axes.grid(visible=False, axis="y")
        axes.tick_params(axis="y", length=0)
    return figure


def _draw_bounds(axes: Axes, place: int, bounds: Bounds) -> None:
    value, low, high = bounds
    if low is not None and high is not None:
        axes.plot([low, high], [place, place], color=BLUE)
    if value is not None:
        axes.plot([value], [place], "o", color=BLUE, markersize=5)
    else:
        axes.annotate("undefined", (0.5, place), va="center", fontsize=8, color=GREY)


def _shortened(name: str) -> str:
    return name if len(name) <= _LONGEST else f"…{name[1 - _LONGEST :]}"
