"""Bars of a speed comparison: the time of one training run in each arm, by wall and by CPU clock."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from anemia_lightning.plots.style import BLUE, GREY, house_style, new_figure

_UNITS = ((36000.0, 3600.0, "h"), (120.0, 60.0, "min"), (0.0, 1.0, "s"))
"""From which longest time on, in seconds, which unit serves."""


@house_style()
def draw_benchmark(
    names: Sequence[str],
    wall_s: Sequence[float],
    cpu_s: Sequence[float],
    *,
    wall_ratios: Sequence[float | None],
    cpu_ratios: Sequence[float | None],
    multiplied_out: Sequence[bool],
) -> Figure:
    """Draws one bar per arm and clock.

    Args:
        names: Of the arms, from top to bottom.
        wall_s: Wall time of one training run in each.
        cpu_s: CPU time of one training run in each.
        wall_ratios: How many times less that is than in the plain loop; None leaves it unsaid.
        cpu_ratios: The same of the CPU time.
        multiplied_out: Whether the time was multiplied out from a few epochs: a hollow bar.
    """
    longest = max([*wall_s, *cpu_s], default=0.0)
    divisor, unit = next((divisor, unit) for least, divisor, unit in _UNITS if longest >= least)
    figure = new_figure(1.3 + 0.36 * len(names), 9.0)
    panels = figure.subplots(1, 2, sharey=True)
    for axes, clock, seconds, ratios in zip(
        panels, ("wall", "CPU"), (wall_s, cpu_s), (wall_ratios, cpu_ratios), strict=True
    ):
        _draw_bars(axes, [each / divisor for each in seconds], unit, ratios, multiplied_out)
        axes.set_xlabel(f"{clock} time of one training run ({unit})")
    panels[0].set_yticks(range(len(names)), names)
    panels[0].invert_yaxis()
    note = "x: times less than the plain loop takes for as many runs"
    if any(multiplied_out):
        note += "; hollow: multiplied out from a few epochs"
    figure.supxlabel(note, fontsize=8, color=GREY)
    return figure


def _draw_bars(
    axes: Axes, spans: Sequence[float], unit: str, ratios: Sequence[float | None], multiplied_out: Sequence[bool]
) -> None:
    for place, (span, ratio, is_hollow) in enumerate(zip(spans, ratios, multiplied_out, strict=True)):
        face = "white" if is_hollow else BLUE
        axes.barh(place, span, height=0.62, facecolor=face, edgecolor=BLUE, linewidth=1.2)
        said = f"{span:.1f} {unit}" + (f", {ratio:.1f}x" if ratio is not None else "")
        axes.annotate(said, (span, place), (4, 0), textcoords="offset points", va="center", fontsize=8)
    # Room for the words behind the longest bar.
    axes.set_xlim(0, 1.45 * max(spans, default=1.0))
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
