"""DeLong's intervals and tests of AUROCs: formulas instead of resamples, for photos that are independent."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logit
from scipy.stats import norm, rankdata

from anemia_lightning.metrics.intervals import Interval
from anemia_lightning.metrics.scores import auroc, checked

_NO_VARIANCE = "DeLong's variance is zero"


@dataclass(frozen=True)
class AurocDifference:
    """Two AUROCs on the same photos, and whether they differ, as `delong_test` finds."""

    first: float | None
    """AUROC of the first model; None of one class."""
    second: float | None
    """AUROC of the second model; None of one class."""
    difference: float | None
    """The first less the second."""
    standard_error: float | None
    """Of the difference; None where a class has fewer than two photos."""
    z: float | None
    """The difference in standard errors; None where these are zero or undefined."""
    p: float | None
    """Two-sided, of the hypothesis that the two are equal; None where `z` is."""
    low: float | None
    """Where the interval of the difference begins; None where `z` is."""
    high: float | None
    """Where it ends."""
    note: str = ""
    """Why something is None; empty where nothing is."""


def delong_interval(labels: ArrayLike, scores: ArrayLike, *, level: float = 0.95, unit: str = "photo") -> Interval:
    """Returns the AUROC with the interval from DeLong's variance (DeLong et al., Biometrics 1988;44:837).

    The interval is symmetric for the log-odds of the AUROC, not for the AUROC itself: so it stays within 0 and 1, and
    where the AUROC is high or photos are few, it covers the truth more nearly as often as it says (Pepe 2003, section
    5.2). It takes photos as independent: where patients or copies repeat, use `intervals.auroc_interval`.

    Args:
        labels: int [N], 1 anaemic and 0 not.
        scores: float [N], finite; the order alone matters.
        level: How often such intervals cover the truth, in (0, 1).
        unit: What a row is, for the notes: photo or patient.

    Returns:
        Without an interval where a class has fewer than two photos, and where every photo is ordered as all
        others of its class are, as with an AUROC of 1: the formula then sees no uncertainty at all.

    Raises:
        NonFiniteLogitsError: If a score is infinite or not a number.
        ValueError: If the lengths differ, or a label is not 0 or 1.

    Example:
        >>> found = delong_interval([0, 0, 0, 1, 1, 1], [1, 2, 4, 3, 5, 6])
        >>> [round(each, 3) for each in (found.value, found.low, found.high)]
        [0.889, 0.261, 0.995]
    """
    known, ranked = checked(labels, scores)
    area = auroc(known, ranked)
    fault = _too_few(known, unit)
    if area is None or fault:
        return Interval(area, None, None, note=fault)
    error = float(np.sqrt(_variance(_placements(known, ranked))))
    if not error:
        return Interval(area, None, None, note=f"{_NO_VARIANCE}: {_ordered_alike(area)}")
    reach = norm.ppf((1 + level) / 2) * error / (area * (1 - area))
    low, high = expit(logit(area) + np.array([-reach, reach])).tolist()
    return Interval(area, low, high)


def delong_test(labels: ArrayLike, first: ArrayLike, second: ArrayLike, *, level: float = 0.95) -> AurocDifference:
    """Tests whether two models order the same photos equally well (DeLong et al. 1988).

    It takes photos as independent: where patients or copies repeat, its p is too small, and the clustered intervals of
    `differences` are those to go by.

    Args:
        labels: int [N], 1 anaemic and 0 not.
        first: float [N], finite scores of the one model.
        second: float [N], those of the other.
        level: How often the interval of the difference covers the truth, in (0, 1).

    Raises:
        NonFiniteLogitsError: If a score is infinite or not a number.
        ValueError: If the lengths differ, or a label is not 0 or 1.
    """
    known, one = checked(labels, first)
    _, other = checked(labels, second)
    areas = auroc(known, one), auroc(known, other)
    difference = None if areas[0] is None or areas[1] is None else areas[0] - areas[1]
    fault = _too_few(known, "photo")
    if difference is None or fault:
        return AurocDifference(*areas, difference, None, None, None, None, None, fault)
    # Of the differences of the placements, so that equal models have a variance of exactly zero.
    placed = zip(_placements(known, one), _placements(known, other), strict=True)
    error = float(np.sqrt(_variance(tuple(mine - theirs for mine, theirs in placed))))
    if not error:
        fault = f"{_NO_VARIANCE}: no photo differs from the others in what it says of the two models"
        return AurocDifference(*areas, difference, 0.0, None, None, None, None, fault)
    z, reach = difference / error, float(norm.ppf((1 + level) / 2)) * error
    p = float(2 * norm.sf(abs(z)))
    return AurocDifference(*areas, difference, error, z, p, difference - reach, difference + reach)


def _placements(labels: NDArray[np.int64], scores: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    """Returns for each anaemic photo the share of the others below it, and for each other that of the anaemic above.

    By midranks (Sun & Xu, IEEE Signal Process Lett 2014;21:1389), in N log N steps.
    """
    anaemic, others = scores[labels == 1], scores[labels == 0]
    ranks = rankdata(np.concatenate([anaemic, others]))
    below = (ranks[: len(anaemic)] - rankdata(anaemic)) / len(others)
    above = 1 - (ranks[len(anaemic) :] - rankdata(others)) / len(anaemic)
    return below, above


def _variance(placements: tuple[NDArray[np.float64], ...]) -> float:
    return float(sum(each.var(ddof=1) / len(each) for each in placements))


def _too_few(labels: NDArray[np.int64], unit: str) -> str:
    """Returns which class has fewer than two photos, or ""."""
    for label, name in ((1, "anaemic"), (0, "non-anaemic")):
        count = int((labels == label).sum())
        if count < 2:  # noqa: PLR2004 (a variance needs two)
            return f"no {name} {unit}s" if not count else f"only one {name} {unit}"
    return ""


def _ordered_alike(area: float) -> str:
    return {1.0: "all pairs are in order", 0.0: "all pairs are in reverse order"}.get(area, "all pairs are tied")
