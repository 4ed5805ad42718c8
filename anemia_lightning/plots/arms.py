"""Training and validation accuracy of several ways to train, one dot per run, beside what is claimed."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from anemia_lightning.plots.style import BLUE, GREY, VERMILION, house_style, new_figure


@house_style()
def draw_arms(
    names: Sequence[str],
    train: Sequence[Sequence[float]],
    val: Sequence[Sequence[float]],
    *,
    claimed: tuple[float, float],
) -> Axes:
    """Draws one row per arm.

    Args:
        names: Of the arms, from top to bottom.
        train: Training accuracies of each arm's runs, in percent; NaN where one is not known.
        val: Validation accuracies.
        claimed: Training and validation accuracy that are claimed for the first arm: dashed lines.
    """
    axes = new_figure(1.4 + 0.42 * len(names), 7.2).add_subplot()
    for values, colour, lift, words in ((train, VERMILION, -0.14, "training"), (val, BLUE, 0.14, "validation")):
        for place, each in enumerate(values):
            axes.plot(each, np.full(len(each), place + lift), ".", color=colour, alpha=0.45, markersize=5)
        means = [float(np.nanmean(each)) if np.isfinite(each).any() else math.nan for each in values]
        places = np.arange(len(names)) + lift
        axes.plot(means, places, "D", color=colour, markersize=5, label=f"{words} photos: mean, and single runs")
    for value, colour, words in zip(claimed, (VERMILION, BLUE), ("training", "validation"), strict=True):
        axes.axvline(value, color=colour, linestyle="--", linewidth=1, label=f"claimed for {words}: {value:g} %")
    axes.set_yticks(range(len(names)), [f"{name} (n={len(each)})" for name, each in zip(names, val, strict=True)])
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlabel("accuracy of the best model (%)")
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    axes.legend(loc="upper center", bbox_to_anchor=(0.4, -0.22), ncols=2, labelcolor=GREY)
    return axes
