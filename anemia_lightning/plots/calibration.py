"""The reliability diagram: how often photos of each probability are anaemic, above the photos' probabilities."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from anemia_lightning.metrics.calibration import Bin
from anemia_lightning.metrics.reliability import Reliability
from anemia_lightning.metrics.scores import shown
from anemia_lightning.plots.style import BLUE, GREY, ORANGE, VERMILION, house_style, new_figure

_EDGES = np.linspace(0.0, 1.0, 26)


class Histogram(NamedTuple):
    """How many photos have which probability."""

    edges: NDArray[np.float64]
    """[B + 1], rising from 0 to 1."""
    anaemic: NDArray[np.int64]
    """[B]."""
    not_anaemic: NDArray[np.int64]
    """[B]."""


@house_style()
def draw_reliability(
    labels: ArrayLike,
    probabilities: ArrayLike,
    curve: Reliability,
    *,
    bins: Sequence[Bin] = (),
    before: Reliability | None = None,
) -> Figure:
    """Draws the smooth reliability curve with its band, above how many photos have which probability.

    Args:
        labels: int [N], 1 anaemic and 0 not.
        probabilities: float [N], in [0, 1].
        curve: The reliability of these probabilities.
        bins: Groups of photos with neighbouring probabilities, drawn as points.
        before: The reliability before calibration, drawn as a line.
    """
    truth, values = np.asarray(labels, dtype=np.int64), np.asarray(probabilities, dtype=np.float64)
    counts = [np.histogram(values[truth == label], bins=_EDGES)[0] for label in (1, 0)]
    return draw_reliability_curve(curve, Histogram(_EDGES, *counts), bins=bins, before=before)


@house_style()
def draw_reliability_curve(
    curve: Reliability, histogram: Histogram, *, bins: Sequence[Bin] = (), before: Reliability | None = None
) -> Figure:
    """Draws what `draw_reliability` draws, from counts.

    Args:
        curve: The reliability of the probabilities.
        histogram: How many photos have which of them.
        bins: Groups of photos with neighbouring probabilities, drawn as points.
        before: The reliability before calibration, drawn as a line.
    """
    figure = new_figure(6.8, 5.2)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    _draw_curve(above, curve, bins, before)
    anaemic, others = int(histogram.anaemic.sum()), int(histogram.not_anaemic.sum())
    figure.suptitle(f"n = {anaemic + others} photos, {anaemic} anaemic", x=0.01, ha="left", fontsize=9)
    _draw_probabilities(below, histogram)
    return figure


def _draw_curve(axes: Axes, curve: Reliability, bins: Sequence[Bin], before: Reliability | None) -> None:
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), ylabel="share of photos that are anaemic")
    if curve.ici is None:
        axes.text(0.5, 0.5, curve.note.replace(": ", ":\n"), ha="center", va="center", color=GREY)
        return
    axes.plot((0, 1), (0, 1), color=GREY, linestyle=":", linewidth=1, label="perfect")
    if len(curve.low):
        name = f"{curve.level:.0%} band"
        axes.fill_between(curve.probability, curve.low, curve.high, color=BLUE, alpha=0.2, linewidth=0, label=name)
    name = f"{'probabilities' if before is None else 'after calibration'}, ICI {shown(curve.ici)}"
    axes.plot(curve.probability, curve.observed, color=BLUE, label=name)
    if before is not None and before.ici is not None:
        name = f"before calibration, ICI {shown(before.ici)}"
        axes.plot(before.probability, before.observed, color=VERMILION, linestyle="--", label=name)
    if bins:
        places = [each.probability for each in bins], [each.observed for each in bins]
        axes.plot(*places, "o", color=BLUE, markersize=4, label=f"{len(bins)} bins of {_sizes(bins)} photos")
    axes.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2, borderpad=0.0)


def _draw_probabilities(axes: Axes, histogram: Histogram) -> None:
    edges, below = histogram.edges, 0 * histogram.anaemic
    for counts, colour, name in (
        (histogram.anaemic, ORANGE, "anaemic"),
        (histogram.not_anaemic, GREY, "not anaemic"),
    ):
        axes.bar(edges[:-1], counts, np.diff(edges), below, align="edge", color=colour, label=name)
        below = below + counts
    axes.set(xlabel="probability of anaemia", ylabel="photos")
    axes.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2, borderpad=0.0)


def _sizes(bins: Sequence[Bin]) -> str:
    smallest, largest = min(each.photos for each in bins), max(each.photos for each in bins)
    return f"{smallest}" if smallest == largest else f"{smallest} to {largest}"
