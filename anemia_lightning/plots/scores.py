"""How well photos or patients are told apart, drawn: ROC and precision-recall curves, and the confusion matrix."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes

from anemia_lightning.metrics.curves import PrecisionRecallCurve, RocCurve
from anemia_lightning.metrics.scores import shown
from anemia_lightning.plots.style import BLUE, GREY, VERMILION, house_style, new_axes

Counts = Mapping[str, int]
"""tp, fp, tn and fn."""


class Mark(NamedTuple):
    """A point beside a curve: what decisions give."""

    x: float
    y: float
    words: str


@house_style()
def draw_roc_curve(
    curve: RocCurve, title: str, *, area: str, unit: str = "photo", mark: Mark | None = None, ax: Axes | None = None
) -> Axes:
    """Draws a ROC curve with its band.

    Args:
        curve: The points.
        title: How many photos there are.
        area: What to call the curve: its area.
        unit: What is told apart: photo or patient.
        mark: A point to mark.
        ax: Where to draw; None draws on a figure of its own.
    """
    axes = new_axes() if ax is None else ax
    _share_axes(axes, f"1 - specificity (share of non-anaemic {unit}s called anaemic)", title)
    axes.set_ylabel(f"sensitivity (share of anaemic {unit}s found)")
    if _is_undefined(axes, len(curve.sensitivity), unit):
        return axes
    axes.plot(curve.false_positive_rate, curve.sensitivity, color=BLUE, label=area)
    if len(curve.band_at):
        words = f"{curve.level:.0%} band"
        limits = curve.band_low, curve.band_high
        axes.fill_between(curve.band_at, *limits, color=BLUE, alpha=0.2, linewidth=0, label=words)
    axes.plot((0, 1), (0, 1), color=GREY, linestyle=":", linewidth=1, label="chance, AUROC 0.500")
    _mark(axes, mark)
    axes.legend(loc="lower right")
    return axes


@house_style()
def draw_precision_recall_curve(
    curve: PrecisionRecallCurve,
    title: str,
    *,
    prevalence: float | None,
    area: str,
    unit: str = "photo",
    mark: Mark | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draws a precision-recall curve beside the prevalence.

    Args:
        curve: The points.
        title: How many photos there are.
        prevalence: The share that is anaemic, which guessing would reach.
        area: What to call the curve: its average precision.
        unit: What is told apart: photo or patient.
        mark: A point to mark.
        ax: Where to draw; None draws on a figure of its own.
    """
    axes = new_axes() if ax is None else ax
    _share_axes(axes, f"recall, sensitivity (share of anaemic {unit}s found)", title)
    axes.set_ylabel(f"precision (share of called {unit}s that are anaemic)")
    if _is_undefined(axes, len(curve.recall), unit) or prevalence is None:
        return axes
    axes.plot(curve.recall, curve.precision, color=BLUE, drawstyle="steps-post", label=area)
    axes.axhline(prevalence, color=GREY, linestyle=":", linewidth=1, label=f"prevalence {shown(prevalence)}")
    _mark(axes, mark)
    axes.legend(loc="lower left")
    return axes


@house_style()
def draw_confusion_counts(counts: Counts, *, unit: str = "photo", ax: Axes | None = None) -> Axes:
    """Draws the confusion matrix of counts: tp, fp, tn and fn."""
    axes = new_axes(3.9) if ax is None else ax
    cells = np.array([[counts["tp"], counts["fn"]], [counts["fp"], counts["tn"]]])
    totals = cells.sum(axis=1, keepdims=True)
    shares = cells / np.maximum(totals, 1)
    axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0)
    for row, column in np.ndindex(2, 2):
        share = shown(float(shares[row, column]) if totals[row, 0] else None)
        ink = "white" if shares[row, column] > 0.5 else "black"  # noqa: PLR2004 (half of the colour scale)
        axes.text(column, row, f"{cells[row, column]}\n{share}", ha="center", va="center", color=ink)
    axes.set_xticks((0, 1), ("anaemic", "not anaemic"))
    axes.set_yticks((0, 1), (f"anaemic\nn = {totals[0, 0]}", f"not anaemic\nn = {totals[1, 0]}"))
    axes.set(xlabel="prediction", ylabel="label", title=f"{unit}s, and share of the label's {unit}s")
    axes.grid(visible=False)
    axes.tick_params(length=0)
    return axes


def sample(counts: Counts, unit: str = "photo") -> str:
    """Returns how many photos there are, in words, from the counts of a confusion matrix."""
    return f"n = {sum(counts.values())} {unit}s, {counts['tp'] + counts['fn']} anaemic"


def roc_mark(counts: Counts, words: str) -> Mark | None:
    """Returns the point of a ROC curve that decisions give, under these words; None of one class."""
    anaemic, others = counts["tp"] + counts["fn"], counts["fp"] + counts["tn"]
    if not anaemic or not others:
        return None
    return Mark(counts["fp"] / others, counts["tp"] / anaemic, words)


def precision_mark(counts: Counts, words: str) -> Mark | None:
    """Returns the same of a precision-recall curve, None where decisions have no precision or recall."""
    anaemic, called = counts["tp"] + counts["fn"], counts["tp"] + counts["fp"]
    if not anaemic or not called:
        return None
    return Mark(counts["tp"] / anaemic, counts["tp"] / called, words)


def _share_axes(axes: Axes, xlabel: str, title: str) -> None:
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xlabel=xlabel, aspect="equal")
    axes.set_title(title)


def _is_undefined(axes: Axes, points: int, unit: str) -> bool:
    if points:
        return False
    axes.text(0.5, 0.5, f"undefined:\nit takes {unit}s of both classes", ha="center", va="center", color=GREY)
    return True


def _mark(axes: Axes, mark: Mark | None) -> None:
    if mark is not None:
        axes.plot(mark.x, mark.y, "o", color=VERMILION, label=mark.words)
