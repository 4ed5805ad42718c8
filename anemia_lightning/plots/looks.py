"""Where a network looks, and what moves its decisions: heat over photographs, and the flips of each perturbation."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray

from anemia_lightning.plots.style import BLUE, GREY, VERMILION, house_style, new_figure

_HEAT = "inferno"
_STRONGEST = 0.7


def heat_beside(image: NDArray[np.uint8], heat: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Returns a photograph, and to its right the same under its heat map, uint8 [S, 2 S, 3].

    Args:
        image: uint8 [S, S, 3].
        heat: [S, S] in [0, 1]; where it is 0 the photograph shows as it is.
    """
    colours = colormaps[_HEAT](np.asarray(heat, dtype=np.float64))[..., :3] * 255
    share = _STRONGEST * np.asarray(heat, dtype=np.float64)[..., None]
    warm = np.rint(image * (1 - share) + colours * share).clip(0, 255).astype(np.uint8)
    return np.concatenate([image, warm], axis=1)


@house_style()
def draw_robustness(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Draws the share of flipped decisions with its interval, and beside it how far the logit moves.

    Args:
        rows: From top to bottom: perturbation, level, unit, n, flipped_interval (value, low, high) and
            mean_logit_shift, as looks.json has them.
    """
    figure = new_figure(1.2 + 0.24 * max(1, len(rows)), 7.2)
    flips, shifts = figure.subplots(1, 2, sharey=True, width_ratios=(3, 2))
    _draw_flips(flips, rows)
    moved = [row["mean_logit_shift"] for row in rows]
    shifts.barh(range(len(rows)), moved, height=0.5, color=[VERMILION if each > 0 else BLUE for each in moved])
    shifts.axvline(0, color=GREY, linewidth=1)
    shifts.set_xlabel("mean shift of the logit\n(above 0: rather anaemic)")
    flips.set_yticks(range(len(rows)), [change_words(row["perturbation"], row["level"], row["unit"]) for row in rows])
    flips.invert_yaxis()
    for axes in (flips, shifts):
        axes.tick_params(axis="y", length=0)
    return figure


def change_words(name: str, level: float, unit: str) -> str:
    """Returns a perturbation and its level as a person reads them.

    Example:
        >>> change_words("brightness", 0.7, "factor"), change_words("JPEG", 50, "quality")
        ('brightness times 0.7', 'JPEG quality 50')
    """
    if unit == "factor":
        return f"{name} times {level:g}"
    if unit == "quality":
        return f"{name} {unit} {level:g}"
    return f"{name} {level:.0%} {unit}" if unit.startswith("of ") else f"{name} {level:g} {unit}"


def _draw_flips(axes: Axes, rows: Sequence[Mapping[str, Any]]) -> None:
    for place, row in enumerate(rows):
        interval = row["flipped_interval"]
        axes.plot((interval["low"], interval["high"]), (place, place), color=BLUE, linewidth=1.4)
        axes.plot(interval["value"], place, "o", color=BLUE, markersize=4.5)
    photos = {row["n"] for row in rows}
    axes.set_title(f"n = {', '.join(map(str, sorted(photos)))} photos" if photos else "no photos")
    axes.set_xlim(-0.02, max(0.2, *(row["flipped_interval"]["high"] for row in rows)) + 0.02 if rows else 1)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.set_xlabel("share of decisions flipped,\nwith 95 % interval")
