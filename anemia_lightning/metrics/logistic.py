"""Logistic regression of a few columns, for many weightings of the photos at once, and its robust variance."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, stdtrit

from anemia_lightning.metrics.intervals import numbered
from anemia_lightning.metrics.scores import checked

Floats = NDArray[np.float64]

FEWEST_PHOTOS = 10
"""Below so many photos nothing is estimated about how labels go with logits."""
ONE_LOGIT = "all photos have one logit"
ALONE = "a class stands in one cluster, which cannot tell how far others of it would differ"

_MOST_STEPS = 100
_MOST_HALVINGS = 30
_GAIN = 1e-12
_STEP = 1e-9


def checked_photos(
    labels: ArrayLike, logits: ArrayLike, clusters: ArrayLike | None = None
) -> tuple[Floats, Floats, NDArray[np.int64]]:
    """Returns labels and logits as float64 [N], and the number of each photo's cluster, int64 [N].

    Args:
        labels: int [N], 1 anaemic and 0 not.
        logits: float [N], finite.
        clusters: [N], texts or numbers: what joins photos that may depend on one another; None where none do.

    Raises:
        ValueError: If the lengths differ, or a label is not 0 or 1.
        NonFiniteLogitsError: If a logit is infinite or not a number.
    """
    truth, values = checked(labels, logits)
    cluster = np.arange(len(truth)) if clusters is None else numbered(clusters, len(truth))
    return truth.astype(np.float64), values, cluster


def fault_of(labels: Floats, logits: Floats) -> str:
    """Returns why nothing can be estimated about how labels go with logits, "" where something can."""
    if len(labels) < FEWEST_PHOTOS:
        return f"{len(labels)} photos are fewer than {FEWEST_PHOTOS}"
    if labels.min() == labels.max():
        return "the photos are of one class"
    return ONE_LOGIT if logits.min() == logits.max() else ""


def is_alone(labels: Floats, cluster: NDArray[np.int64]) -> bool:
    """Whether a class stands in fewer than two clusters, so that nothing tells how far others of it would differ."""
    return min(len(np.unique(cluster[labels == label])) for label in (0, 1)) < 2  # noqa: PLR2004


def is_separated(labels: Floats, logits: Floats) -> bool:
    """Whether some cut through the logits has all photos of a class on its one side, so that no finite slope is best.

    That is exact for one column: the likelihood of a logistic regression has a maximum where, and only where, the
    classes overlap (Albert & Anderson, Biometrika 1984;71:1).
    """
    anaemic, others = logits[labels == 1], logits[labels == 0]
    return bool(others.max() <= anaemic.min() or anaemic.max() <= others.min())


def fit_logistic(
    design: Floats,
    targets: Floats,
    *,
    weights: Floats | None = None,
    offset: Floats | None = None,
    penalty: Floats | None = None,
    start: Floats | None = None,
) -> Floats:
    """Returns the coefficients that make the targets likeliest, by Newton's method with halved steps.

    Args:
        design: [N, K], the columns, a constant among them where an intercept is wanted.
        targets: [N], in [0, 1].
        weights: [R, N], at least 0: one fit for each row; None stands for one row of ones.
        offset: [N], added to the linear predictor; None adds nothing.
        penalty: [K], at least 0: half of it times the squared coefficient is taken from the log-likelihood.
        start: [K], coefficients near those sought; None stands for 0.

    Returns:
        [R, K]; NaN in the rows of fits that did not settle, as where the classes do not overlap.
    """
    model = _Model(
        design=design,
        targets=targets,
        weights=np.ones((1, len(targets))) if weights is None else weights,
        offset=np.zeros(len(targets)) if offset is None else offset,
        penalty=np.zeros(design.shape[1]) if penalty is None else penalty,
    )
    found = np.zeros((len(model.weights), design.shape[1])) + (0.0 if start is None else start)
    value = model.log_likelihood(found)
    moving = np.ones(len(found), dtype=np.bool_)
    for _ in range(_MOST_STEPS):
        if not moving.any():
            break
        part, old = replace(model, weights=model.weights[moving]), value[moving]
        step = part.newton_step(found[moving])
        found[moving], value[moving] = part.walk(found[moving], step, old)
        settled = (value[moving] - old <= _GAIN * (1 + np.abs(old))) & (np.abs(step).max(axis=1) < _STEP)
        moving[moving] = ~settled
    found[moving] = np.nan
    return found


def robust_covariance(
    design: Floats, targets: Floats, coefficients: Floats, clusters: NDArray[np.int64], *, offset: Floats | None = None
) -> Floats:
    """Returns the covariance [K, K] of the coefficients [K], whatever the dependence within the clusters.

    It is the sandwich of Liang & Zeger (Biometrika 1986;73:13), times clusters / (clusters - 1).
    """
    fitted = expit(design @ coefficients + (0.0 if offset is None else offset))
    information = (design * (fitted * (1 - fitted))[:, None]).T @ design
    scores = np.zeros((int(clusters.max()) + 1, design.shape[1]))
    np.add.at(scores, clusters, design * (targets - fitted)[:, None])
    bread = np.linalg.inv(information)
    covariance: Floats = bread @ (scores.T @ scores) @ bread * (len(scores) / (len(scores) - 1))
    return covariance


def critical_value(clusters: int, level: float) -> float:
    """Returns how many standard errors an interval reaches to each side: Student's t, clusters - 1 degrees of freedom.

    Example:
        >>> round(critical_value(1000, 0.95), 3)
        1.962
    """
    return float(stdtrit(clusters - 1, (1 + level) / 2))


@dataclass(frozen=True)
class _Model:
    """What `fit_logistic` fits; coefficients, values and steps have one row for each row of weights."""

    design: Floats
    targets: Floats
    weights: Floats
    offset: Floats
    penalty: Floats

    def log_likelihood(self, coefficients: Floats) -> Floats:
        predictor = coefficients @ self.design.T + self.offset
        terms = self.weights * (self.targets * predictor - np.logaddexp(0.0, predictor))
        likelihood: Floats = terms.sum(axis=1) - 0.5 * (self.penalty * coefficients**2).sum(axis=1)
        return likelihood

    def newton_step(self, coefficients: Floats) -> Floats:
        photos, columns = self.design.shape
        fitted = expit(coefficients @ self.design.T + self.offset)
        gradient = (self.weights * (self.targets - fitted)) @ self.design - self.penalty * coefficients
        products = (self.design[:, :, None] * self.design[:, None, :]).reshape(photos, columns**2)
        curvature = ((self.weights * fitted * (1 - fitted)) @ products).reshape(-1, columns, columns)
        # The pseudo-inverse, because far out, where classes do not overlap, the curvature vanishes.
        inverse = np.linalg.pinv(curvature + np.diag(self.penalty), hermitian=True)
        step: Floats = (inverse @ gradient[:, :, None])[:, :, 0]
        return step

    def walk(self, start: Floats, step: Floats, value: Floats) -> tuple[Floats, Floats]:
        """Returns where the longest of step, step / 2, step / 4 … leads that loses no likelihood, and what is there."""
        length = np.ones(len(start))
        reached, gained, worse = start, value, np.ones(len(start), dtype=np.bool_)
        for _ in range(_MOST_HALVINGS):
            reached = start + length[:, None] * step
            gained = self.log_likelihood(reached)
            worse = ~(gained >= value - _GAIN * (1 + np.abs(value)))
            if not worse.any():
                break
            length[worse] /= 2
        return np.where(worse[:, None], start, reached), np.where(worse, value, gained)
