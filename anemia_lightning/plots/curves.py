"""Curves: what an epoch, a threshold or a table of predictions looks like; arrays in, matplotlib out."""

from collections.abc import Sequence
from itertools import cycle

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import precision_recall_curve, roc_curve

from anemia_lightning.metrics import auroc, average_precision, confusion_counts, shown
from anemia_lightning.plots.style import (
    BLUE,
    GREY,
    VERMILION,
    WIDTH_INCHES,
    house_style,
    new_axes,
    new_figure,
)

_STAGES = {"train": ("training (running)", BLUE), "val": ("validation", VERMILION)}


@house_style()
def draw_training_curves(table: pd.DataFrame, releases: Sequence[int] = (), best_epoch: int | None = None) -> Figure:
    """Draws loss, accuracy and learning rates over the epochs.

    Args:
        table: One row per epoch: ``epoch``, and of ``train/loss``, ``val/loss``, ``train/acc``,
            ``val/acc`` and ``lr/<group>`` those that there are.
        releases: Epochs from whose start more layers train.
        best_epoch: The epoch of the model that is kept; None marks the lowest ``val/loss``.
    """
    figure = new_figure(7.6, WIDTH_INCHES)
    panels: NDArray[np.object_] = figure.subplots(3, 1, sharex=True, height_ratios=(3, 3, 2))
    loss, accuracy, rate = panels
    _draw_stages(loss, table, "loss", "weighted log-loss (nats)")
    _draw_stages(accuracy, table, "acc", "accuracy (share of photos)")
    _draw_rates(rate, table)
    reached = [release for release in releases if (table["epoch"] >= release).any()]
    for axes in panels:
        _mark_epochs(axes, reached, _best_epoch(table) if best_epoch is None else best_epoch)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=4, borderpad=0.0)
    for release in reached:
        text = f" epoch {release}:\n more layers\n train"
        loss.text(release - 0.5, 0.98, text, transform=loss.get_xaxis_transform(), va="top", size=7, color=GREY)
    return figure


@house_style()
def draw_roc(
    labels: ArrayLike, probabilities: ArrayLike, ax: Axes | None = None, threshold: float | None = None
) -> Axes:
    """Draws the ROC curve with its area, on `ax` or on a figure of its own.

    Args:
        labels: int [N], 1 anaemic and 0 not.
        probabilities: float [N]; logits serve too, the order alone matters.
        ax: Where to draw.
        threshold: Marks the point that this threshold gives.
    """
    axes = new_axes() if ax is None else ax
    truth, values = _arrays(labels, probabilities)
    _share_axes(axes, "1 - specificity (share of non-anaemic photos called anaemic)", truth)
    axes.set_ylabel("sensitivity (share of anaemic photos found)")
    if _is_undefined(axes, truth):
        return axes
    false_positive_rate, sensitivity, _ = roc_curve(truth, values)
    axes.plot(false_positive_rate, sensitivity, color=BLUE, label=f"AUROC {shown(auroc(truth, values))}")
    axes.plot((0, 1), (0, 1), color=GREY, linestyle=":", linewidth=1, label="chance, AUROC 0.500")
    if threshold is not None:
        counts = confusion_counts(truth, values >= threshold)
        x = counts["fp"] / (counts["fp"] + counts["tn"])
        _mark_threshold(axes, x, counts["tp"] / (counts["tp"] + counts["fn"]), threshold)
    axes.legend(loc="lower right")
    return axes


@house_style()
def draw_precision_recall(
    labels: ArrayLike, probabilities: ArrayLike, ax: Axes | None = None, threshold: float | None = None
) -> Axes:
    """Draws the precision-recall curve beside the prevalence, which guessing would give.

    Args:
        labels: int [N], 1 anaemic and 0 not.
        probabilities: float [N]; logits serve too, the order alone matters.
        ax: Where to draw; None draws on a figure of its own.
        threshold: Marks the point that this threshold gives.
    """
    axes = new_axes() if ax is None else ax
    truth, values = _arrays(labels, probabilities)
    _share_axes(axes, "recall, sensitivity (share of anaemic photos found)", truth)
    axes.set_ylabel("precision (share of called photos that are anaemic)")
    if _is_undefined(axes, truth):
        return axes
    precision, recall, _ = precision_recall_curve(truth, values)
    name = f"average precision {shown(average_precision(truth, values))}"
    axes.plot(recall, precision, color=BLUE, drawstyle="steps-post", label=name)
    prevalence = float(truth.mean())
    axes.axhline(prevalence, color=GREY, linestyle=":", linewidth=1, label=f"prevalence {shown(prevalence)}")
    if threshold is not None:
        counts = confusion_counts(truth, values >= threshold)
        if called := counts["tp"] + counts["fp"]:
            _mark_threshold(axes, counts["tp"] / truth.sum(), counts["tp"] / called, threshold)
    axes.legend(loc="lower left")
    return axes


@house_style()
def draw_confusion(labels: ArrayLike, decisions: ArrayLike, ax: Axes | None = None) -> Axes:
    """Draws the confusion matrix: counts, and their share of each label's photos.

    Args:
        labels: int [N], 1 anaemic and 0 not.
        decisions: int [N], 1 called anaemic and 0 not.
        ax: Where to draw; None draws on a figure of its own.
    """
    axes = new_axes(3.9) if ax is None else ax
    counts = confusion_counts(labels, decisions)
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
    axes.set(xlabel="prediction", ylabel="label", title="photos, and share of the label's photos")
    axes.grid(visible=False)
    axes.tick_params(length=0)
    return axes


def _draw_stages(axes: Axes, table: pd.DataFrame, score: str, name: str) -> None:
    for stage, (words, colour) in _STAGES.items():
        if f"{stage}/{score}" in table:
            known = table[table[f"{stage}/{score}"].notna()]
            axes.plot(known["epoch"], known[f"{stage}/{score}"], color=colour, marker=".", label=words)
    axes.set_ylabel(name)


def _draw_rates(axes: Axes, table: pd.DataFrame) -> None:
    axes.set_yscale("log")
    styles = cycle(("-", "--", ":"))  # groups often share a rate: the line below must show through
    for column in [str(column) for column in table if str(column).startswith("lr/")]:
        training = table[table[column] > 0]
        if len(training):
            name = column.removeprefix("lr/")
            axes.plot(training["epoch"], training[column], marker=".", linestyle=next(styles), label=name)
    axes.margins(y=0.15)
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter("{x:.0e}")
    axes.yaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set(xlabel="epoch", ylabel="learning rate", xlim=(-0.5, max(table["epoch"], default=0) + 0.5))


def _mark_epochs(axes: Axes, releases: Sequence[int], best_epoch: int | None) -> None:
    for release in releases:
        axes.axvline(release - 0.5, color=GREY, linestyle="--", linewidth=1)
    if best_epoch is not None:
        axes.axvline(best_epoch, color=GREY, linestyle=":", linewidth=1, label=f"best epoch, {best_epoch}")


def _best_epoch(table: pd.DataFrame) -> int | None:
    if "val/loss" not in table or table["val/loss"].isna().all():
        return None
    return int(table["epoch"].to_numpy()[np.nanargmin(table["val/loss"].to_numpy(dtype=np.float64))])


def _arrays(labels: ArrayLike, probabilities: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    return np.asarray(labels, dtype=np.int64), np.asarray(probabilities, dtype=np.float64)


def _share_axes(axes: Axes, xlabel: str, labels: NDArray[np.int64]) -> None:
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xlabel=xlabel, aspect="equal")
    axes.set_title(f"n = {len(labels)} photos, {labels.sum()} anaemic")


def _is_undefined(axes: Axes, labels: NDArray[np.int64]) -> bool:
    if 0 < labels.sum() < len(labels):
        return False
    axes.text(0.5, 0.5, "undefined:\nit takes photos of both classes", ha="center", va="center", color=GREY)
    return True


def _mark_threshold(axes: Axes, x: float, y: float, threshold: float) -> None:
    axes.plot(x, y, "o", color=VERMILION, label=f"threshold {shown(float(threshold))}")
