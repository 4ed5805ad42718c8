"""ROC and precision-recall curves as few points: fit for a file, and drawn alike."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import precision_recall_curve, roc_curve

from anemia_lightning.metrics.estimates import Resampling
from anemia_lightning.metrics.intervals import draw_clusters, numbered
from anemia_lightning.metrics.logistic import ALONE, Floats, is_alone
from anemia_lightning.metrics.resampled_scores import Ranking
from anemia_lightning.metrics.scores import checked

MOST_POINTS = 400
"""As many as a figure can show."""

_AT = np.linspace(0.0, 1.0, 51)


@dataclass(frozen=True)
class RocCurve:
    """Sensitivity over 1 - specificity; empty arrays where it is undefined."""

    false_positive_rate: Floats
    """[P], rising from 0 to 1."""
    sensitivity: Floats
    """[P]."""
    band_at: Floats
    """[B], false positive rates at which the band is known; empty without a band."""
    band_low: Floats
    band_high: Floats
    level: float
    """Share of the resamples within the band, at each point alone."""
    note: str
    """Why there is no curve or no band; else empty."""


@dataclass(frozen=True)
class PrecisionRecallCurve:
    """Precision over recall, from the highest recall down, to be drawn as steps; empty where it is undefined."""

    recall: Floats
    """[P], falling from 1 to 0."""
    precision: Floats
    """[P]."""
    note: str
    """Why there is no curve; else empty."""


def roc(
    labels: ArrayLike,
    scores: ArrayLike,
    *,
    clusters: ArrayLike | None = None,
    how: Resampling | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> RocCurve:
    """Returns the ROC curve, with the pointwise percentile band of its sensitivity where clusters are given.

    Args:
        labels: int [N], 1 anaemic and 0 not.
        scores: float [N], finite; the order alone matters.
        clusters: [N]: what joins patients and photo groups; None draws no band.
        how: Of the band.
        progress: Called with (resamples done, resamples in all).

    Raises:
        ValueError: If lengths differ or a label is not 0 or 1.
        NonFiniteLogitsError: If a score is infinite or not a number.
    """
    truth, values = checked(labels, scores)
    drawing, none = how or Resampling(), np.empty(0)
    if not 0 < truth.sum() < len(truth):
        return RocCurve(none, none, none, none, none, drawing.level, "a class has no photos")
    false_positive_rate, sensitivity, _ = roc_curve(truth, values)
    kept = thin(len(sensitivity))
    points = false_positive_rate[kept], sensitivity[kept]
    if clusters is None:
        return RocCurve(*points, none, none, none, drawing.level, "")
    cluster = numbered(clusters, len(truth))
    if is_alone(truth.astype(np.float64), cluster):
        return RocCurve(*points, none, none, none, drawing.level, ALONE)
    low, high = _band(truth == 1, values, cluster, drawing, progress)
    return RocCurve(*points, _AT, low, high, drawing.level, "")


def precision_recall(labels: ArrayLike, scores: ArrayLike) -> PrecisionRecallCurve:
    """Returns the precision-recall curve.

    Args:
        labels: int [N], 1 anaemic and 0 not.
        scores: float [N], finite; the order alone matters.

    Raises:
        ValueError: If lengths differ or a label is not 0 or 1.
        NonFiniteLogitsError: If a score is infinite or not a number.
    """
    truth, values = checked(labels, scores)
    if not 0 < truth.sum() < len(truth):
        return PrecisionRecallCurve(np.empty(0), np.empty(0), "a class has no photos")
    precision, recall, _ = precision_recall_curve(truth, values, drop_intermediate=True)
    kept = thin(len(recall))
    return PrecisionRecallCurve(recall[kept], precision[kept], "")


def _band(
    anaemic: NDArray[np.bool_],
    values: Floats,
    cluster: NDArray[np.int64],
    how: Resampling,
    progress: Callable[[int, int], None] | None,
) -> tuple[Floats, Floats]:
    ranking, curves, done = Ranking(anaemic, values, cluster), [], 0
    for times in draw_clusters(cluster, how.resamples, how.seed):
        found, false = (np.cumsum(each[:, ::-1], axis=1) for each in ranking.count(times))
        both = (found[:, -1] > 0) & (false[:, -1] > 0)
        for ups, rights in zip(found[both], false[both], strict=True):
            ends = np.append(0.0, rights / rights[-1]), np.append(0.0, ups / ups[-1])
            curves.append(np.interp(_AT, *ends))
        done += len(times)
        if progress is not None:
            progress(done, how.resamples)
    low, high = np.quantile(np.stack(curves), [(1 - how.level) / 2, (1 + how.level) / 2], axis=0)
    return low, high


def thin(points: int) -> NDArray[np.int64]:
    """Returns which points to keep: all, or evenly so many that a figure looks the same, the ends among them."""
    return np.unique(np.linspace(0, points - 1, min(points, MOST_POINTS)).round().astype(np.int64))
