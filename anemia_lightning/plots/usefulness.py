"""What a classifier is good for, drawn: decision curves, and what happens to 1,000 people over prevalences."""

from collections.abc import Sequence
from itertools import cycle

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from anemia_lightning.metrics.intervals import Interval
from anemia_lightning.metrics.populations import PEOPLE, AtPrevalence
from anemia_lightning.metrics.usefulness import TEST_ALL, TEST_NONE, DecisionCurve
from anemia_lightning.plots.style import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    VERMILION,
    house_style,
    new_axes,
    new_figure,
)

_COLOURS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE)
# Only one of the styles has dashes alone, and the tones most alike, vermilion and orange, are far apart.
_STYLES = ("-", "--", "-.", (0, (1, 1)), (0, (6, 1, 1, 1, 1, 1)))
# Every pair once before any comes again.
_LINES = tuple((_COLOURS[place % 5], _STYLES[(place + place // 5) % 5]) for place in range(25))
_COUNTS = {
    "referred": ("referred", GREY, "-", "D"),
    "needlessly_referred": ("needlessly referred", GREEN, "-.", "s"),
    "found": ("anaemic and found", BLUE, "-", "o"),
    "missed": ("anaemic and missed", VERMILION, "--", "^"),
}
_VALUES = {
    "ppv": ("positive predictive value: anaemic, of those referred", BLUE, "-", "o"),
    "npv": ("negative predictive value: not anaemic, of those not referred", VERMILION, "--", "^"),
}
_PAIRED = "Whether two lines differ, the band does not tell: all are of the same photos."
_LEAST_REACH = 0.2
"""Up to this threshold a decision curve is shown at least."""


@house_style()
def draw_decision_curve(curve: DecisionCurve, ax: Axes | None = None, thresholds: Sequence[float] = ()) -> Axes:
    """Draws the net benefit over thresholds: the highest line is the best policy at a threshold.

    Args:
        curve: The net benefits; the band of the first predictor is drawn where there is one.
        ax: Where to draw; None draws on a figure of its own.
        thresholds: Marks that of the model, or from where to where those of several models reach.
    """
    axes = new_axes() if ax is None else ax
    axes.set_title(f"n = {curve.photos} photos, {curve.anaemic} anaemic")
    axes.set(xlabel="threshold: probability from which on to refer", ylabel="net benefit (true positives per photo)")
    axes.set_xlim(0, 1)
    if not curve.net_benefit:
        axes.text(0.5, 0.5, f"undefined:\n{curve.note}", ha="center", va="center", color=GREY)
        return axes
    prevalence = curve.anaemic / curve.photos
    # Far above the prevalence and the model's own threshold nobody refers, and lines there are made by few photos.
    axes.set_xlim(0, min(1.0, max(_LEAST_REACH, 1.25 * max([prevalence, *thresholds]))))
    names = [name for name in curve.net_benefit if name not in (TEST_ALL, TEST_NONE)]
    for name, (colour, style) in zip(names, cycle(_LINES), strict=False):
        axes.plot(curve.thresholds, curve.net_benefit[name], color=colour, linestyle=style, label=name)
    for name in names[:1] if curve.low else ():
        words = f"{curve.level:.0%} band of {name} alone"
        limits = curve.low[name], curve.high[name]
        axes.fill_between(curve.thresholds, *limits, color=BLUE, alpha=0.2, linewidth=0, label=words)
    axes.plot(curve.thresholds, curve.net_benefit[TEST_ALL], color=GREY, linewidth=1, label=TEST_ALL)
    axes.plot(curve.thresholds, curve.net_benefit[TEST_NONE], color=GREY, linewidth=1, linestyle=":", label=TEST_NONE)
    _mark_thresholds(axes, thresholds)
    top = max([prevalence, *(float(curve.high[name].max()) for name in names[:1] if curve.high)])
    # Far below 0 no policy is worth a look, and test-all goes to minus infinity.
    axes.set_ylim(-0.25 * prevalence, top + 0.02)
    # Below the axes, because a good model's line leaves no corner free.
    axes.legend(
        loc="upper left",
        bbox_to_anchor=(0.0, -0.15),
        ncols=2,
        borderpad=0.0,
        title=_PAIRED if curve.low else None,
        title_fontsize=8,
        alignment="left",
    )
    return axes


@house_style()
def draw_over_prevalence(
    rows: Sequence[AtPrevalence],
    *,
    anaemic: int,
    not_anaemic: int,
    prevalence: float | None = None,
    unit: str = "photo",
    level: float = 0.95,
) -> Figure:
    """Draws what happens to 1,000 people, and the predictive values, over prevalences.

    Args:
        rows: By rising prevalence.
        anaemic: Photos that sensitivity was measured on.
        not_anaemic: Photos that specificity was measured on.
        prevalence: Marks the share of anaemic photos that it was measured at.
        unit: What it was measured on: photo or patient.
        level: Of the intervals.
    """
    figure = new_figure(7.6, 5.2)
    counts, values = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    places = [row.prevalence for row in rows]
    for axes, lines, columns in ((counts, _COUNTS, 2), (values, _VALUES, 1)):
        for name, look in lines.items():
            _draw_intervals(axes, places, [getattr(row, name) for row in rows], look)
        if prevalence is not None:
            words = f"these {unit}s, {prevalence:.0%}"
            axes.axvline(prevalence, color=GREY, linestyle=":", linewidth=1, label=words)
        axes.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=columns, borderpad=0.0)
    figure.suptitle(
        f"from n = {anaemic} anaemic and {not_anaemic} other {unit}s; bands: {100 * level:g} % intervals",
        x=0.01,
        ha="left",
        fontsize=9,
    )
    counts.set(ylabel=f"people per {PEOPLE:,}", ylim=(0, None))
    values.set(xlabel="prevalence of anaemia", ylabel="predictive value (share)", ylim=(0, 1.02))
    values.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    return figure


def _mark_thresholds(axes: Axes, thresholds: Sequence[float]) -> None:
    if not thresholds:
        return
    lowest, highest = min(thresholds), max(thresholds)
    if lowest == highest:
        axes.axvline(lowest, color=GREY, linestyle="--", linewidth=1, label=f"threshold {lowest:.3f}")
    else:
        # A strip at the foot: over the whole height it would hide the lines.
        words = f"thresholds of the folds' models,\n{lowest:.2f} to {highest:.2f}"
        axes.axvspan(lowest, highest, ymax=0.025, color=GREY, alpha=0.6, linewidth=0, label=words)


def _draw_intervals(
    axes: Axes, places: Sequence[float], intervals: Sequence[Interval], look: tuple[str, str, str, str]
) -> None:
    words, colour, style, marker = look
    value, low, high = (
        np.array([np.nan if each is None else each for each in column])
        for column in zip(*[(each.value, each.low, each.high) for each in intervals], strict=True)
    )
    axes.plot(places, value, color=colour, linestyle=style, marker=marker, markersize=4, label=words)
    axes.fill_between(places, low, high, color=colour, alpha=0.15, linewidth=0)
