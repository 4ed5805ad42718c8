"""Runs side by side: a score of each with its interval, or its difference from that of a reference."""

from collections.abc import Sequence

from matplotlib.axes import Axes

from anemia_lightning.plots.style import BLUE, GREY, house_style, new_figure

Bounds = tuple[float | None, float | None, float | None]
"""A value, and where its interval begins and ends; None where there is none."""

_LONGEST = 34
"""Letters of a run's name that fit beside the axes; the end tells runs apart."""


@house_style()
def draw_compared(names: Sequence[str], rows: Sequence[Bounds | str], *, label: str, is_difference: bool) -> Axes:
    """Draws one row per run.

    Args:
        names: Of the runs, from top to bottom.
        rows: What there is to draw of each, or in words why there is nothing.
        label: What is drawn, for the axis.
        is_difference: Whether zero means that there is no difference, and is to be marked.
    """
    axes = new_figure(0.9 + 0.3 * len(names)).add_subplot()
    for place, row in enumerate(rows):
        said = row if isinstance(row, str) else _draw_bounds(axes, place, *row)
        # At the left edge, wherever the values are.
        axes.annotate(said, (0.02, place), xycoords=("axes fraction", "data"), va="center", fontsize=8, color=GREY)
    if is_difference:
        axes.axvline(0, color=GREY, linewidth=1, linestyle="--")
    axes.set_yticks(range(len(names)), [_shortened(name) for name in names])
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlabel(label)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    return axes


def _draw_bounds(axes: Axes, place: int, value: float | None, low: float | None, high: float | None) -> str:
    """Draws what there is, and returns what is to be said of the rest."""
    if value is None:
        return "undefined"
    if low is not None and high is not None:
        axes.plot([low, high], [place, place], color=BLUE)
    axes.plot([value], [place], "o", color=BLUE, markersize=5)
    return ""


def _shortened(name: str) -> str:
    return name if len(name) <= _LONGEST else f"…{name[1 - _LONGEST :]}"
