"""The scores of many resamples at once, each resample told by how often it holds each cluster of photos."""

import numpy as np
from numpy.typing import NDArray

from anemia_lightning.metrics.scores import log_losses, probability_of

Times = NDArray[np.int64]
"""How often each resample holds each cluster, [R, C]."""

Values = NDArray[np.float64]
"""One value for each resample, [R]; NaN where the resample leaves the score undefined."""

NAMES = (
    "auroc",
    "average_precision",
    "prevalence",
    "acc",
    "sensitivity",
    "specificity",
    "ppv",
    "npv",
    "balanced_accuracy",
    "f1",
    "mcc",
    "brier",
    "log_loss",
)
"""The scores that `ResampledScores` gives."""


class Ranking:
    """The photos in the order of their scores, ready to be counted in each resample.

    Args:
        anaemic: bool [N].
        scores: float [N], finite; the order alone matters.
        cluster: int [N], each photo's cluster: a column of the times.
    """

    def __init__(self, anaemic: NDArray[np.bool_], scores: NDArray[np.float64], cluster: NDArray[np.int64]) -> None:
        order = np.argsort(scores, kind="stable")
        self._anaemic = anaemic[order]
        self._cluster = cluster[order]
        self._begins = np.flatnonzero(np.diff(scores[order], prepend=-np.inf))

    def count(self, times: Times) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Returns anaemic and non-anaemic photos at each distinct score, from the lowest, both [R, scores]."""
        weights = times[:, self._cluster]
        anaemic = np.add.reduceat(weights * self._anaemic, self._begins, axis=1)
        return anaemic, np.add.reduceat(weights, self._begins, axis=1) - anaemic


def auroc_of(anaemic: NDArray[np.int64], others: NDArray[np.int64]) -> Values:
    """Returns the AUROC of each row of counts, NaN of one class.

    Counts of pairs are whole numbers, so this is exact, and of the photos themselves it is `scores.auroc` to the last
    bit.
    """
    twice_won = (anaemic * (2 * np.cumsum(others, axis=1) - others)).sum(axis=1)
    return _ratio(twice_won, 2 * anaemic.sum(axis=1) * others.sum(axis=1))


def average_precision_of(anaemic: NDArray[np.int64], others: NDArray[np.int64]) -> Values:
    """Returns the average precision of each row of counts, as `scores.average_precision` has it, NaN of one class."""
    found = np.cumsum(anaemic[:, ::-1], axis=1)
    called = found + np.cumsum(others[:, ::-1], axis=1)
    # Above a resample's highest photo nothing is called and nothing gained.
    gained = (anaemic[:, ::-1] * (found / np.maximum(called, 1))).sum(axis=1)
    values = _ratio(gained, found[:, -1])
    values[found[:, -1] == called[:, -1]] = np.nan
    return values


class ResampledScores:
    """Every score of one model in each resample.

    Args:
        labels: int [N], 0 or 1.
        logits: float [N], finite: what orders the photos.
        cluster: int [N], each photo's cluster: a column of the times.
        called: bool [N], which photos are called anaemic.
        scaled: float [N], the log-odds of which Brier score and log-loss are; None takes the logits.
    """

    def __init__(
        self,
        labels: NDArray[np.int64],
        logits: NDArray[np.float64],
        cluster: NDArray[np.int64],
        *,
        called: NDArray[np.bool_],
        scaled: NDArray[np.float64] | None = None,
    ) -> None:
        anaemic, odds = labels == 1, logits if scaled is None else scaled
        self._ranking = Ranking(anaemic, logits, cluster)
        cells = (anaemic & called, ~anaemic & called, ~anaemic & ~called, anaemic & ~called)
        errors = ((probability_of(odds) - labels) ** 2, log_losses(labels, odds))
        self._sums = np.stack([np.bincount(cluster, weights=each) for each in (*cells, *errors)], axis=1)

    def __call__(self, times: Times) -> dict[str, Values]:
        """Returns the values of each of `NAMES` in each resample."""
        ranked = self._ranking.count(times)
        tp, fp, tn, fn, squares, losses = (times @ self._sums).T
        sensitivity, specificity, photos = _ratio(tp, tp + fn), _ratio(tn, tn + fp), tp + fp + tn + fn
        return {
            "auroc": auroc_of(*ranked),
            "average_precision": average_precision_of(*ranked),
            "prevalence": _ratio(tp + fn, photos),
            "acc": _ratio(tp + tn, photos),
            "sensitivity": sensitivity,
            "specificity": specificity,
            "ppv": _ratio(tp, tp + fp),
            "npv": _ratio(tn, tn + fn),
            "balanced_accuracy": (sensitivity + specificity) / 2,
            "f1": _ratio(2 * tp, 2 * tp + fp + fn),
            "mcc": _ratio(tp * tn - fp * fn, np.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))),
            "brier": _ratio(squares, photos),
            "log_loss": _ratio(losses, photos),
        }


def _ratio(parts: NDArray[np.int64] | Values, wholes: NDArray[np.int64] | Values) -> Values:
    ratios: Values = np.full(len(wholes), np.nan)
    np.divide(parts, wholes, out=ratios, where=wholes > 0)
    return ratios
