"""Intervals of scores by the bootstrap over clusters: photos that may depend on one another are drawn together."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

_Weights = NDArray[np.int64]
_CELLS_AT_ONCE = 2_000_000


@dataclass(frozen=True)
class Interval:
    """A score and the interval around it, as `auroc_interval` and `auroc_difference_interval` give them."""

    value: float | None
    """The score of all photos; None where it is undefined, as an AUROC of one class."""
    low: float | None
    """Where the interval begins; None where the value is undefined, and where a class stands in fewer than two
    clusters, since drawing clusters then cannot tell how far others of that class would differ."""
    high: float | None
    """Where the interval ends; None where `low` is."""
    resamples: int
    """Resamples that the interval rests on: those with both classes. 0 where there is no interval."""


def auroc_interval(
    labels: ArrayLike,
    scores: ArrayLike,
    clusters: ArrayLike,
    *,
    resamples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Returns the area under the ROC curve with its percentile interval.

    Whole clusters are drawn with replacement, as many as there are (Field & Welsh, J R Stat Soc B 2007;69:369), so that
    ten copies of a photo do not pass for ten patients. Resamples of one class are left out. The interval says how far
    other patients would move the score of this model, not how far other training photos would move the model. It is
    too narrow where clusters are few, and [1, 1] where no two photos are out of order.

    Args:
        labels: int [N], 1 anaemic and 0 not.
        scores: float [N], finite; higher means rather anaemic, and the order alone matters.
        clusters: [N], texts or numbers: the patient, the photo group, or what joins the two.
        resamples: How many times to draw.
        level: Share of the resamples within the interval, in (0, 1).
        seed: Names the draws: equal seeds, equal intervals.

    Raises:
        ValueError: If the lengths differ, a label is not 0 or 1, or a score is not finite.

    Example:
        >>> auroc_interval([0, 0, 1, 1], [0.1, 0.4, 0.3, 0.8], ["a", "b", "c", "d"]).value
        0.75
    """
    return _bootstrap(labels, [scores], clusters, resamples=resamples, level=level, seed=seed)


def auroc_difference_interval(
    labels: ArrayLike,
    first: ArrayLike,
    second: ArrayLike,
    clusters: ArrayLike,
    *,
    resamples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Returns by how much the AUROC of `first` exceeds that of `second` on the same photos, with its interval.

    Each resample takes the same clusters for both, so what is hard for both cancels.

    Args:
        labels: int [N], 1 anaemic and 0 not.
        first: float [N], scores of the one model.
        second: float [N], scores of the other.
        clusters: [N], as for `auroc_interval`.
        resamples: How many times to draw.
        level: Share of the resamples within the interval, in (0, 1).
        seed: Names the draws.

    Raises:
        ValueError: As `auroc_interval` does.
    """
    return _bootstrap(labels, [first, second], clusters, resamples=resamples, level=level, seed=seed)


def _bootstrap(
    labels: ArrayLike, scores: list[ArrayLike], clusters: ArrayLike, *, resamples: int, level: float, seed: int
) -> Interval:
    """Returns the interval of the first scores' AUROC, less that of the second scores where there are two."""
    anaemic, ranked, cluster = _checked(labels, scores, clusters)

    def areas(weights: _Weights) -> NDArray[np.float64]:
        first, *second = [_weighted_auroc(anaemic, each, weights) for each in ranked]
        return first - second[0] if second else first

    area = float(areas(np.ones((1, len(anaemic)), dtype=np.int64))[0])
    value = None if np.isnan(area) else area
    if min(len(np.unique(cluster[anaemic])), len(np.unique(cluster[~anaemic]))) < 2:  # noqa: PLR2004
        return Interval(value, None, None, 0)
    drawn = np.concatenate([areas(weights) for weights in _draw_weights(cluster, resamples, seed)])
    defined = drawn[~np.isnan(drawn)]
    if not len(defined):
        return Interval(value, None, None, 0)
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2]).tolist()
    return Interval(value, low, high, len(defined))


def _draw_weights(cluster: NDArray[np.int64], resamples: int, seed: int) -> Iterator[_Weights]:
    """Yields how often each photo stands in each resample, int64 [some resamples, N]."""
    rng = np.random.default_rng(seed)
    clusters = int(cluster.max()) + 1
    at_once = max(1, _CELLS_AT_ONCE // len(cluster))
    for start in range(0, resamples, at_once):
        rows = min(at_once, resamples - start)
        drawn = rng.integers(clusters, size=(rows, clusters)) + clusters * np.arange(rows)[:, None]
        times = np.bincount(drawn.ravel(), minlength=rows * clusters).reshape(rows, clusters)
        yield times[:, cluster]


def _weighted_auroc(anaemic: NDArray[np.bool_], scores: NDArray[np.float64], weights: _Weights) -> NDArray[np.float64]:
    """Returns the AUROC for each row of weights [R, N], as if each photo stood there so many times; NaN of one class.

    Counts of pairs are whole numbers, so this is exact, and with weights of 1 it is `scores.auroc` to the last bit.
    """
    order = np.argsort(scores, kind="stable")
    begins = np.flatnonzero(np.diff(scores[order], prepend=-np.inf))
    sorted_weights, sorted_anaemic = weights[:, order], anaemic[order]
    positive = np.add.reduceat(sorted_weights * sorted_anaemic, begins, axis=1)
    negative = np.add.reduceat(sorted_weights * ~sorted_anaemic, begins, axis=1)
    twice_won = (positive * (2 * np.cumsum(negative, axis=1) - negative)).sum(axis=1)
    twice_pairs = 2 * positive.sum(axis=1) * negative.sum(axis=1)
    areas: NDArray[np.float64] = np.full(len(weights), np.nan)
    np.divide(twice_won, twice_pairs, out=areas, where=twice_pairs > 0)
    return areas


def _checked(
    labels: ArrayLike, scores: list[ArrayLike], clusters: ArrayLike
) -> tuple[NDArray[np.bool_], list[NDArray[np.float64]], NDArray[np.int64]]:
    checked_labels = np.asarray(labels)
    checked_scores = [np.asarray(each, dtype=np.float64) for each in scores]
    _, cluster = np.unique(np.asarray(clusters), return_inverse=True)
    shapes = [each.shape for each in (checked_labels, *checked_scores, cluster)]
    if checked_labels.ndim != 1 or len(set(shapes)) > 1:
        raise ValueError(f"labels, scores and clusters are not all [N] but {shapes}")
    if not np.isin(checked_labels, (0, 1)).all():
        raise ValueError(f"labels are {np.unique(checked_labels).tolist()}, not only 0 and 1")
    if not all(np.isfinite(each).all() for each in checked_scores):
        raise ValueError("a score is infinite or not a number")
    return checked_labels == 1, checked_scores, cluster
