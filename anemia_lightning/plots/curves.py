"""Curves: what an epoch, a threshold or a table of predictions looks like; arrays in, matplotlib out."""

from collections.abc import Sequence
from itertools import cycle

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator
from numpy.typing import ArrayLike, NDArray

from anemia_lightning.metrics.curves import precision_recall, roc
from anemia_lightning.metrics.scores import auroc, average_precision, confusion_counts, shown
from anemia_lightning.plots.scores import (
    draw_confusion_counts,
    draw_precision_recall_curve,
    draw_roc_curve,
    precision_mark,
    roc_mark,
    sample,
)
from anemia_lightning.plots.style import (
    BLUE,
    GREY,
    VERMILION,
    WIDTH_INCHES,
    house_style,
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
        loss.text(release - 0.5, 0.98, text, transform=loss.get_xaxis_transform(), va="top", size=8, color=GREY)
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
    truth, values = _arrays(labels, probabilities)
    counts = confusion_counts(truth, values if threshold is None else values >= threshold)
    mark = None if threshold is None else roc_mark(counts, f"threshold {shown(float(threshold))}")
    area = f"AUROC {shown(auroc(truth, values))}"
    return draw_roc_curve(roc(truth, values), sample(counts), area=area, mark=mark, ax=ax)


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
    truth, values = _arrays(labels, probabilities)
    counts = confusion_counts(truth, values if threshold is None else values >= threshold)
    mark = None if threshold is None else precision_mark(counts, f"threshold {shown(float(threshold))}")
    area = f"average precision {shown(average_precision(truth, values))}"
    prevalence = float(truth.mean()) if len(truth) else None
    curve = precision_recall(truth, values)
    return draw_precision_recall_curve(curve, sample(counts), prevalence=prevalence, area=area, mark=mark, ax=ax)


@house_style()
def draw_confusion(labels: ArrayLike, decisions: ArrayLike, ax: Axes | None = None) -> Axes:
    """Draws the confusion matrix: counts, and their share of each label's photos.

    Args:
        labels: int [N], 1 anaemic and 0 not.
        decisions: int [N], 1 called anaemic and 0 not.
        ax: Where to draw; None draws on a figure of its own.
    """
    return draw_confusion_counts(confusion_counts(labels, decisions), ax=ax)


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
