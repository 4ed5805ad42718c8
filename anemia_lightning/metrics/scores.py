"""The scores of a split: pure functions of labels and logits, undefined where they are undefined."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logit

from anemia_lightning.errors import NonFiniteLogitsError

Score = float | int | None
"""A score's value; None where the score is undefined."""


def score_decisions(
    labels: ArrayLike, logits: ArrayLike, decisions: ArrayLike, *, class_weights: Sequence[float]
) -> dict[str, Score]:
    """Returns every score of a set of photos.

    Args:
        labels: int [N], 1 anaemic and 0 not.
        logits: float [N], the log-odds of anaemia as the network gives them: loss and ranks are theirs.
        decisions: int [N], 1 called anaemic and 0 not: made elsewhere, as at a threshold on scaled probabilities.
        class_weights: Weights of label 0 and label 1 in the loss.

    Returns:
        ``loss`` (weighted log-loss), ``acc``, ``auroc``, ``average_precision``, ``sensitivity``,
        ``specificity``, ``n``, ``n_positive`` and the counts ``tp``, ``fp``, ``tn``, ``fn``. A score that
        the photos leave undefined, as an AUROC of one class, is None.

    Raises:
        NonFiniteLogitsError: If a logit is infinite or not a number.

    Example:
        >>> score_decisions([0, 0, 1, 1], [-2.0, 1.0, -1.0, 2.0], [0, 1, 0, 1], class_weights=(1.0, 1.0))["auroc"]
        0.75
        >>> score_decisions([1, 1], [-2.0, 1.0], [0, 1], class_weights=(1.0, 1.0))["auroc"] is None
        True
    """
    checked_labels, checked_logits = checked(labels, logits)
    counts = confusion_counts(checked_labels, decisions)
    n, n_positive = len(checked_labels), counts["tp"] + counts["fn"]
    return {
        "loss": weighted_log_loss(checked_labels, checked_logits, class_weights),
        "acc": _ratio(counts["tp"] + counts["tn"], n),
        "auroc": auroc(checked_labels, checked_logits),
        "average_precision": average_precision(checked_labels, checked_logits),
        "sensitivity": _ratio(counts["tp"], n_positive),
        "specificity": _ratio(counts["tn"], n - n_positive),
        "n": n,
        "n_positive": n_positive,
        **counts,
    }


def probability_of(logits: ArrayLike) -> NDArray[np.float64]:
    """Returns the probabilities of anaemia that belong to logits, float64 in [0, 1], without overflow.

    Example:
        >>> probability_of([-800.0, 0.0, 800.0]).tolist()
        [0.0, 0.5, 1.0]
    """
    return np.asarray(expit(np.asarray(logits, dtype=np.float64)), dtype=np.float64)


def logit_of(probabilities: ArrayLike) -> NDArray[np.float64]:
    """Returns the log-odds that belong to probabilities, float64, finite.

    For models that give probabilities alone. Those within 2.2e-16 of 0 or 1 count as that far from it, as in
    scikit-learn's log_loss: else a single wrong 0 would make the log-loss infinite.

    Raises:
        ValueError: If one is not in [0, 1].

    Example:
        >>> logit_of([0.0, 0.5, 1.0]).round(2).tolist()
        [-36.04, 0.0, 36.04]
    """
    given = np.asarray(probabilities, dtype=np.float64)
    if not ((given >= 0) & (given <= 1)).all():
        raise ValueError("a probability is not in [0, 1]")
    nearest = np.finfo(np.float64).eps
    return np.asarray(logit(np.clip(given, nearest, 1 - nearest)), dtype=np.float64)


def decisions_of(logits: ArrayLike, threshold: float) -> NDArray[np.int64]:
    """Returns which photos count as anaemic, int64: 1 where the probability reaches the threshold.

    Example:
        >>> decisions_of([-1.0, 0.0, 1.0], threshold=0.5).tolist()
        [0, 1, 1]
    """
    return (probability_of(logits) >= threshold).astype(np.int64)


def confusion_counts(labels: ArrayLike, decisions: ArrayLike) -> dict[str, int]:
    """Returns the counts ``tp``, ``fp``, ``tn`` and ``fn``; both arguments are int [N] of 0 and 1."""
    anaemic, called = np.asarray(labels) == 1, np.asarray(decisions) == 1
    return {
        "tp": int(np.sum(anaemic & called)),
        "fp": int(np.sum(~anaemic & called)),
        "tn": int(np.sum(~anaemic & ~called)),
        "fn": int(np.sum(anaemic & ~called)),
    }


def weighted_log_loss(
    labels: NDArray[np.int64], logits: NDArray[np.float64], class_weights: Sequence[float]
) -> float | None:
    """Returns the mean of the photos' log-losses, each weighted by its class: Σ w·l / Σ w.

    Args:
        labels: [N], of 0 and 1.
        logits: [N].
        class_weights: Weights of label 0 and label 1.

    Returns:
        The loss in nats, None where the weights sum to nothing.
    """
    weights = np.asarray(class_weights, dtype=np.float64)[labels]
    total = float(weights.sum())
    return float((weights * log_losses(labels, logits)).sum()) / total if total > 0 else None


def log_losses(labels: NDArray[np.int64], logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns each photo's log-loss in nats, float64 [N], unweighted and exact at any size of the logits."""
    # log(1 + exp(x)) with x = -logit for anaemic photos and +logit for the others.
    return np.logaddexp(0.0, np.where(labels == 1, -logits, logits))


def auroc(labels: NDArray[np.int64], logits: NDArray[np.float64]) -> float | None:
    """Returns the area under the ROC curve, None where only one class is present.

    It is the share of (anaemic, non-anaemic) pairs in which the anaemic photo has the higher logit, ties
    counting half: the Mann-Whitney statistic (Hanley & McNeil, Radiology 1982;143:29).

    Args:
        labels: [N], of 0 and 1.
        logits: [N]; the order alone matters.
    """
    # All of scipy.stats comes with it, which predictions without labels need not wait for.
    from scipy.stats import rankdata

    n_positive = int(labels.sum())
    n_negative = len(labels) - n_positive
    if not n_positive or not n_negative:
        return None
    rank_sum = float(rankdata(logits)[labels == 1].sum())
    return (rank_sum - n_positive * (n_positive + 1) / 2) / (n_positive * n_negative)


def average_precision(labels: NDArray[np.int64], logits: NDArray[np.float64]) -> float | None:
    """Returns the average precision, None where only one class is present.

    It is the sum over the distinct logits, from the highest, of the gain in recall times the precision
    reached: the step-wise area under the precision-recall curve, without interpolation.

    Args:
        labels: [N], of 0 and 1.
        logits: [N]; the order alone matters.
    """
    n_positive = int(labels.sum())
    if n_positive in (0, len(labels)):
        return None
    order = np.argsort(-logits, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(logits[order])), len(order) - 1)
    true_positives = np.cumsum(labels[order])[ends]
    gains = np.diff(true_positives, prepend=0) / n_positive
    return float(np.sum(gains * true_positives / (ends + 1)))


def shown(value: Score) -> str:
    """Returns a score as a reader sees it: three decimals, counts as they are, "undefined" for None or NaN.

    Example:
        >>> [shown(value) for value in (0.91249, 36, None, float("nan"))]
        ['0.912', '36', 'undefined', 'undefined']
    """
    if value is None or value != value:  # noqa: PLR0124 (NaN alone differs from itself)
        return "undefined"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def checked(labels: ArrayLike, logits: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Returns labels and logits as int64 [N] and float64 [N].

    Raises:
        NonFiniteLogitsError: If a logit is infinite or not a number.
        ValueError: If the shapes differ, or a label is not 0 or 1.
    """
    checked_labels: NDArray[Any] = np.asarray(labels)
    checked_logits = np.asarray(logits, dtype=np.float64)
    if checked_labels.ndim != 1 or checked_labels.shape != checked_logits.shape:
        raise ValueError(f"labels {checked_labels.shape} and logits {checked_logits.shape} are not both [N]")
    if not np.isin(checked_labels, (0, 1)).all():
        raise ValueError(f"labels are {np.unique(checked_labels).tolist()}, not only 0 and 1")
    if broken := int(np.sum(~np.isfinite(checked_logits))):
        raise NonFiniteLogitsError(broken, len(checked_logits))
    return checked_labels.astype(np.int64), checked_logits


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None
