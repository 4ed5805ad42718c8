"""How much of a heat map lies on the tissue, and how much would by chance."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from anemia_lightning.metrics.intervals import Interval, draw_clusters, percentile_interval


def energy_inside(heat: ArrayLike, mask: ArrayLike) -> NDArray[np.float64]:
    """Returns the share of each heat map's sum that lies inside its mask, float64 [N], in [0, 1].

    The energy-based pointing game (Wang et al., Score-CAM, CVPR Workshops 2020) with the tissue in place of a box.

    Args:
        heat: [N, H, W], not negative.
        mask: [N, H, W], how much of each pixel is inside, in [0, 1].

    Returns:
        NaN where the heat is 0 everywhere.

    Example:
        >>> energy_inside([[[3.0, 1.0]]], [[[1.0, 0.0]]]).tolist()
        [0.75]
    """
    warmth, inside = np.asarray(heat, dtype=np.float64), np.asarray(mask, dtype=np.float64)
    total = warmth.sum(axis=(1, 2))
    shares: NDArray[np.float64] = (warmth * inside).sum(axis=(1, 2)) / np.where(total > 0, total, np.nan)
    return shares


def by_chance(mask: ArrayLike) -> NDArray[np.float64]:
    """Returns what `energy_inside` is of a heat map that is the same everywhere: the share of the area, float64 [N].

    Args:
        mask: [N, H, W], how much of each pixel is inside, in [0, 1].
    """
    areas: NDArray[np.float64] = np.asarray(mask, dtype=np.float64).mean(axis=(1, 2))
    return areas


def mean_interval(values: ArrayLike, *, resamples: int = 2000, level: float = 0.95, seed: int = 0) -> Interval:
    """Returns the mean with its percentile interval, by the bootstrap over photos that are independent of one another.

    Args:
        values: [N]; those that are NaN are left out.
        resamples: How many times to draw.
        level: Share of the resamples within the interval, in (0, 1).
        seed: Names the draws.
    """
    given = np.asarray(values, dtype=np.float64)
    known = given[~np.isnan(given)]
    if not len(known):
        return Interval(None, None, None, note="no photos")
    alone = "" if len(known) > 1 else "one photo alone"
    times = draw_clusters(np.arange(len(known)), resamples, seed) if not alone else ()
    drawn = np.concatenate([part @ known / len(known) for part in times] or [np.zeros(0)])
    return percentile_interval(float(known.mean()), drawn, ("", alone), level=level)
