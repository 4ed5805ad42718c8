"""Answers with a known error rate: conformal sets with coverage by class, abstaining, and risk over coverage."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import logit

from anemia_lightning.metrics.logistic import Floats, checked_photos
from anemia_lightning.metrics.scores import decisions_of, logit_of

ABSTAIN = -1
"""The answer of a photo that gets none."""
SET_NAMES = ("neither", "not anaemic", "anaemic", "either")
"""The sets {}, {0}, {1} and {0, 1}."""

# Of (photos + 1) * alpha, which is a whole number more often than floats can tell.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class ConformalSets:
    """Which labels a photo may have, from its probability; plain numbers and texts, fit for a checkpoint."""

    alpha: float
    """Largest share of the photos of each class whose set misses their label."""
    anaemic_from: float
    """Label 1 is in the set of a photo whose probability is at least this; 0 puts it in every set."""
    not_anaemic_to: float
    """Label 0 is in the set of a photo whose probability is at most this; 1 puts it in every set."""
    anaemic_clusters: int
    """Clusters that stand behind `anaemic_from`: photos, or patients where there were clusters."""
    not_anaemic_clusters: int
    note: str
    """Which class had too few photos, so that its label is in every set; else empty."""

    def sets(self, probabilities: ArrayLike) -> NDArray[np.bool_]:
        """Returns whether label 0 and label 1 are in the set of each photo, bool [N, 2]."""
        given = np.asarray(probabilities, dtype=np.float64)
        return np.stack([given <= self.not_anaemic_to, given >= self.anaemic_from], axis=1)

    def answers(self, probabilities: ArrayLike, *, threshold: float) -> NDArray[np.int64]:
        """Returns the decision of each photo whose set holds the decision alone, else `ABSTAIN`, int64 [N].

        A decision that its set does not hold is never given: the set {1} of a photo below the threshold abstains.

        Args:
            probabilities: [N].
            threshold: Smallest probability that counts as anaemic.

        Example:
            >>> sets = ConformalSets(0.1, 0.4, 0.7, 50, 50, "")
            >>> sets.answers([0.2, 0.5, 0.8], threshold=0.5).tolist()
            [0, -1, 1]
        """
        decisions = (np.asarray(probabilities, dtype=np.float64) >= threshold).astype(np.int64)
        return answers_of(self.sets(probabilities), decisions)


def answers_of(sets: NDArray[np.bool_], decisions: NDArray[np.int64]) -> NDArray[np.int64]:
    """Returns each photo's decision, int64 [N], `ABSTAIN` where its set, bool [N, 2], does not hold that alone."""
    held = np.take_along_axis(sets, decisions[:, None], axis=1)[:, 0]
    return np.where((sets.sum(axis=1) == 1) & held, decisions, ABSTAIN)


def fit_conformal(
    labels: ArrayLike, probabilities: ArrayLike, *, alpha: float = 0.1, clusters: ArrayLike | None = None
) -> ConformalSets:
    """Returns split-conformal sets with coverage in each class, from validation photos.

    Of new photos of either class at least 1 - alpha have their label in their set, on average over validation sets,
    whatever the model, as long as new photos are drawn like the validation photos: the promise ends at the border of
    the site (Vovk, ACML 2012, on Mondrian predictors; Sadinle, Lei & Wasserman, JASA 2019;114:223). Where the photos
    also chose the epoch, the threshold or the temperature, it holds but nearly. With several photos of a patient each
    patient counts once, and the promise is for one photo of a new patient (Lee, Barber & Willett, arXiv:2306.06342).

    Args:
        labels: int [N], 1 anaemic and 0 not, of photos that the network was not trained on.
        probabilities: float [N], in [0, 1].
        alpha: Share of the photos of a class whose set may miss their label, in (0, 1).
        clusters: [N]: the patient, the photo group, or what joins the two; None where photos are independent.

    Returns:
        The sets. A class with fewer than 1 / alpha - 1 clusters has its label in every set, and the note says so.

    Raises:
        ValueError: If lengths differ, a label is not 0 or 1, a probability is not in [0, 1], or alpha not in (0, 1).
    """
    if not 0 < alpha < 1:
        raise ValueError(f"alpha is {alpha}, not in (0, 1)")
    truth, _, cluster = checked_photos(labels, logit_of(probabilities), clusters)
    values, anaemic = np.asarray(probabilities, dtype=np.float64), truth == 1
    lowest = _highest_score(-values[anaemic], cluster[anaemic], alpha)
    highest = _highest_score(values[~anaemic], cluster[~anaemic], alpha)
    counts = len(np.unique(cluster[anaemic])), len(np.unique(cluster[~anaemic]))
    needed = math.ceil((1 - alpha) / alpha - _ROUNDING)
    faults = [
        f"{count} {name} {'photos' if clusters is None else 'clusters'} are too few for alpha = {alpha:g}, "
        f"which takes {needed}: the label '{name}' is in every set."
        for name, count in zip(("anaemic", "not anaemic"), counts, strict=True)
        if count < needed
    ]
    return ConformalSets(
        alpha=float(alpha),
        anaemic_from=0.0 if lowest is None else -lowest,
        not_anaemic_to=1.0 if highest is None else highest,
        anaemic_clusters=counts[0],
        not_anaemic_clusters=counts[1],
        note=" ".join(faults),
    )


def count_sets(sets: NDArray[np.bool_]) -> dict[str, int]:
    """Returns how many photos have each of the sets `SET_NAMES`.

    Args:
        sets: bool [N, 2], as `ConformalSets.sets` gives them.
    """
    kinds = np.bincount(sets @ np.array([1, 2]), minlength=len(SET_NAMES))
    return dict(zip(SET_NAMES, kinds.tolist(), strict=True))


@dataclass(frozen=True)
class RiskCoverage:
    """The error rate if only the surest photos are answered, over their share."""

    photos: int
    coverage: Floats
    """[N], k / N for k = 1 … N: the share of photos that is answered, the surest first."""
    risk: Floats
    """[N], the share of wrong decisions among them."""
    aurc: float | None
    """Mean of the risk, the area under the curve; None where there is no photo."""
    best_aurc: float | None
    """The area if every wrong decision were among the least sure."""


def risk_coverage(labels: ArrayLike, logits: ArrayLike, *, threshold: float = 0.5) -> RiskCoverage:
    """Returns the risk-coverage curve (Geifman & El-Yaniv, NeurIPS 2017) of the decisions at a threshold.

    A photo is the surer the farther its logit is from the threshold's. Photos equally sure share their errors, so that
    the order of the photos does not matter. An order by chance has the error rate for its area.

    Args:
        labels: int [N], 1 anaemic and 0 not.
        logits: float [N], the log-odds of anaemia.
        threshold: Smallest probability that counts as anaemic, in (0, 1).

    Raises:
        ValueError: If the lengths differ, a label is not 0 or 1, or the threshold is not in (0, 1).
        NonFiniteLogitsError: If a logit is infinite or not a number.
    """
    if not 0 < threshold < 1:
        raise ValueError(f"the threshold is {threshold}, not in (0, 1)")
    truth, values, _ = checked_photos(labels, logits)
    wrong = (decisions_of(values, threshold) != truth).astype(np.float64)
    if not len(truth):
        return RiskCoverage(0, np.empty(0), np.empty(0), None, None)
    answered = np.arange(1, len(truth) + 1)
    risk = np.cumsum(_by_confidence(wrong, np.abs(values - logit(threshold)))) / answered
    best = np.cumsum(np.sort(wrong)) / answered
    return RiskCoverage(len(truth), answered / len(truth), risk, float(risk.mean()), float(best.mean()))


def _highest_score(scores: Floats, cluster: NDArray[np.int64], alpha: float) -> float | None:
    """Returns the largest score that a label's photo may have to hold it, None where no score would be too large.

    Clusters weigh 1 each, and so does the new photo, whose score is taken as beyond all: (clusters + 1) in all.
    """
    if not len(scores):
        return None
    _, own, photos = np.unique(cluster, return_inverse=True, return_counts=True)
    order = np.argsort(scores, kind="stable")
    weight = np.cumsum(1 / photos[own[order]])
    place = int(np.searchsorted(weight, (len(photos) + 1) * (1 - alpha) - _ROUNDING))
    return float(scores[order[place]]) if place < len(scores) else None


def _by_confidence(wrong: Floats, confidence: Floats) -> Floats:
    """Returns the errors, those of the surest photo first; photos equally sure have their mean."""
    # SciPy's rankdata gives dense ranks as whole numbers up to 1.17, and as floats from 1.18 on.
    _, rank, photos = np.unique(-confidence, return_inverse=True, return_counts=True)
    return np.repeat(np.bincount(rank, weights=wrong) / photos, photos)
