"""Whether probabilities mean what they say: intercept, slope, observed to expected, ECE and Brier score."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.special import expit
from scipy.stats import rankdata
from sklearn.isotonic import IsotonicRegression

from anemia_lightning.metrics.intervals import Interval
from anemia_lightning.metrics.logistic import (
    ALONE,
    ONE_LOGIT,
    Floats,
    checked_photos,
    critical_value,
    fault_of,
    fit_logistic,
    is_alone,
    is_separated,
    robust_covariance,
)

MOST_BINS = 10
"""Tenths, as in the test of Hosmer & Lemeshow, where the photos suffice."""
FEWEST_IN_A_BIN = 10
"""With fewer photos the share of anaemic ones has a standard error of up to 0.16 and more."""

_LEAST_INFORMATION = 1e-6


@dataclass(frozen=True)
class Bin:
    """Photos with neighbouring probabilities."""

    photos: int
    anaemic: int
    probability: float
    """Their mean probability."""

    @property
    def observed(self) -> float:
        """The share that is anaemic."""
        return self.anaemic / self.photos


@dataclass(frozen=True)
class BinnedError:
    """The expected calibration error over bins of equal mass."""

    value: float
    """Mean over the photos of how far the observed share of their bin is from its mean probability, in [0, 1]."""
    by_chance: float
    """The value to expect on as many independent photos if every probability were right."""
    bins: tuple[Bin, ...]
    """By rising probability."""


@dataclass(frozen=True)
class BrierParts:
    """The Brier score as miscalibration - discrimination + uncertainty."""

    brier: float
    miscalibration: float
    """What a monotone map of the probabilities could gain at best, at least 0."""
    discrimination: float
    """What the probabilities so mapped gain over the prevalence, at least 0."""
    uncertainty: float
    """The Brier score of the prevalence, prevalence * (1 - prevalence)."""


@dataclass(frozen=True)
class Calibration:
    """How far the probabilities of a set of photos are from what happened; None where that is undefined."""

    photos: int
    anaemic: int
    intercept: Interval
    """Calibration in the large, on the logit: 0 is perfect; below 0 the probabilities are too high on average."""
    slope: Interval
    """1 is perfect, below 1 the logits are too extreme."""
    observed_expected: Interval
    """Anaemic photos over the sum of the probabilities: 1 is perfect, below 1 the probabilities are too high."""
    ece: BinnedError | None
    brier: BrierParts | None
    undefined: str
    """Why none of these but the Brier score has a value; else empty. Notes of intervals tell of one alone."""


def calibration(
    labels: ArrayLike, logits: ArrayLike, *, clusters: ArrayLike | None = None, level: float = 0.95
) -> Calibration:
    """Returns the measures of calibration of a set of photos; for those after scaling, give the scaled logits.

    Intercept and slope are those of Cox (Biometrika 1958;45:562): logistic regressions of the label on a constant with
    the logit as offset, and on a constant and the logit (Van Calster et al., J Clin Epidemiol 2016;74:167). Their
    intervals are Wald's with a variance that allows for dependence within clusters. The ratio of observed to expected
    has its interval on the log scale, from the residuals of the clusters. Each covers the truth in 94 to 96 %
    of draws of 50 to 1,000 photos from a calibrated model. Nothing is estimated from fewer than 10 photos or from one
    class but the Brier score.

    Args:
        labels: int [N], 1 anaemic and 0 not.
        logits: float [N], the log-odds of anaemia.
        clusters: [N]: the patient, the photo group, or what joins the two; None where photos are independent.
        level: Of the intervals, in (0, 1).

    Raises:
        ValueError: If the lengths differ, or a label is not 0 or 1.
        NonFiniteLogitsError: If a logit is infinite or not a number.
    """
    truth, values, cluster = checked_photos(labels, logits, clusters)
    fault = fault_of(truth, values)
    if fault and fault != ONE_LOGIT:
        nowhere = Interval(None, None, None, note=fault)
        brier = brier_parts(truth, values)
        return Calibration(len(truth), int(truth.sum()), nowhere, nowhere, nowhere, None, brier, fault)
    reach = None if is_alone(truth, cluster) else critical_value(int(cluster.max()) + 1, level)
    return Calibration(
        photos=len(truth),
        anaemic=int(truth.sum()),
        intercept=_intercept(truth, values, cluster, reach),
        slope=_slope(truth, values, cluster, reach),
        observed_expected=_observed_expected(truth, values, cluster, reach),
        ece=binned_error(truth, values),
        brier=brier_parts(truth, values),
        undefined="",
    )


def observed_expected(
    labels: ArrayLike, logits: ArrayLike, *, clusters: ArrayLike | None = None, level: float = 0.95
) -> Interval:
    """Returns the anaemic photos over the sum of the probabilities, as `calibration` does.

    Args:
        labels: int [N], 1 anaemic and 0 not.
        logits: float [N], the log-odds of anaemia.
        clusters: [N]: what joins patients and photo groups; None where photos are independent.
        level: Of the interval, in (0, 1).

    Raises:
        ValueError: If the lengths differ, or a label is not 0 or 1.
        NonFiniteLogitsError: If a logit is infinite or not a number.
    """
    truth, values, cluster = checked_photos(labels, logits, clusters)
    fault = fault_of(truth, values)
    if fault and fault != ONE_LOGIT:
        return Interval(None, None, None, note=fault)
    reach = None if is_alone(truth, cluster) else critical_value(int(cluster.max()) + 1, level)
    return _observed_expected(truth, values, cluster, reach)


def binned_error(labels: ArrayLike, logits: ArrayLike) -> BinnedError:
    """Returns the expected calibration error over bins that hold equally many photos.

    There are `MOST_BINS`, or as many as hold `FEWEST_IN_A_BIN` photos, at least one: of equal mass, not of equal width,
    because a bin of a few photos says little (Nixon et al., CVPRW 2019). Equal probabilities stay in one bin. The more
    bins, the larger the error that chance alone makes, so see `by_chance`.

    Args:
        labels: int [N], 1 anaemic and 0 not; at least one photo.
        logits: float [N].

    Raises:
        ValueError: If the lengths differ, or a label is not 0 or 1.
        NonFiniteLogitsError: If a logit is infinite or not a number.
    """
    truth, values, _ = checked_photos(labels, logits)
    count = max(1, min(MOST_BINS, len(truth) // FEWEST_IN_A_BIN))
    first_rank = rankdata(values, method="min").astype(np.int64) - 1
    place = first_rank * count // len(truth)
    probability = expit(values)
    members = [place == each for each in np.unique(place)]
    filled = [Bin(int(own.sum()), int(truth[own].sum()), float(probability[own].mean())) for own in members]
    spreads = [float(np.sqrt((probability[own] * (1 - probability[own])).sum())) for own in members]
    return BinnedError(
        value=sum(each.photos * abs(each.observed - each.probability) for each in filled) / len(truth),
        # The mean distance from its middle of a normal variable, which the count of a bin nearly is.
        by_chance=math.sqrt(2 / math.pi) * sum(spreads) / len(truth),
        bins=tuple(filled),
    )


def brier_parts(labels: ArrayLike, logits: ArrayLike) -> BrierParts | None:
    """Returns the Brier score and its three parts, None where there is no photo.

    The parts come from the isotonic regression of the label, so that there are no bins to choose (Dimitriadis, Gneiting
    & Jordan, PNAS 2021;118:e2016191118).

    Args:
        labels: int [N], 1 anaemic and 0 not.
        logits: float [N].

    Raises:
        ValueError: If the lengths differ, or a label is not 0 or 1.
        NonFiniteLogitsError: If a logit is infinite or not a number.
    """
    truth, values, _ = checked_photos(labels, logits)
    if not len(truth):
        return None
    brier = float(np.mean((expit(values) - truth) ** 2))
    best = float(np.mean((IsotonicRegression().fit_transform(values, truth) - truth) ** 2))
    uncertainty = float(truth.mean() * (1 - truth.mean()))
    return BrierParts(brier, max(0.0, brier - best), max(0.0, uncertainty - best), uncertainty)


def _intercept(labels: Floats, logits: Floats, cluster: NDArray[np.int64], reach: float | None) -> Interval:
    # The sum of the probabilities rises with the intercept: a root between two ends, however extreme the logits.
    ends = (-logits.max() - 40, -logits.min() + 40)
    value = float(brentq(lambda shift: float((expit(logits + shift) - labels).sum()), *ends))
    fitted = expit(logits + value)
    if float((fitted * (1 - fitted)).sum()) < _LEAST_INFORMATION:
        return Interval(value, None, None, note="the logits are too extreme to tell how uncertain it is")
    if reach is None:
        return Interval(value, None, None, note=ALONE)
    constant = np.ones((len(labels), 1))
    return _wald(value, robust_covariance(constant, labels, np.array([value]), cluster, offset=logits)[0, 0], reach)


def _slope(labels: Floats, logits: Floats, cluster: NDArray[np.int64], reach: float | None) -> Interval:
    if logits.min() == logits.max():
        return Interval(None, None, None, note=ONE_LOGIT)
    if is_separated(labels, logits):
        return Interval(None, None, None, note="a cut separates the classes, so that no finite slope is likeliest")
    spread = float(logits.std())
    design = np.column_stack([np.ones(len(labels)), (logits - logits.mean()) / spread])
    coefficients = fit_logistic(design, labels)[0]
    if np.isnan(coefficients).any():
        return Interval(None, None, None, note="a cut all but separates the classes, and no likeliest slope was found")
    value = float(coefficients[1]) / spread
    if reach is None:
        return Interval(value, None, None, note=ALONE)
    variance = robust_covariance(design, labels, coefficients, cluster)[1, 1]
    return _wald(value, variance / spread**2, reach)


def _observed_expected(labels: Floats, logits: Floats, cluster: NDArray[np.int64], reach: float | None) -> Interval:
    probability = expit(logits)
    if not probability.sum():
        return Interval(None, None, None, note="the probabilities are all 0")
    ratio = float(labels.sum() / probability.sum())
    if reach is None:
        return Interval(ratio, None, None, note=ALONE)
    residuals = np.bincount(cluster, weights=labels - ratio * probability)
    error = math.sqrt(float((residuals**2).sum()) * len(residuals) / (len(residuals) - 1)) / float(labels.sum())
    return Interval(ratio, ratio * math.exp(-reach * error), ratio * math.exp(reach * error))


def _wald(value: float, variance: float, reach: float) -> Interval:
    error = math.sqrt(variance)
    return Interval(value, value - reach * error, value + reach * error)
