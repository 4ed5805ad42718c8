"""A score over several sites: what the mean site achieves, how far sites differ, and where the next one may lie."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, logit
from scipy.stats import norm
from scipy.stats import t as student_t

from anemia_lightning.metrics.intervals import Interval
from anemia_lightning.metrics.logistic import Floats

FEWEST_SITES = 3
"""Fewer do not tell how far sites differ: the prediction interval has sites - 2 degrees of freedom."""


@dataclass(frozen=True)
class AcrossSites:
    """What the AUROCs of several sites say together."""

    sites: int
    """Sites that count: those with an interval."""
    mean: Interval
    """The AUROC of the mean site."""
    prediction: Interval
    """Where the AUROC of a further site may lie; its value is that of `mean`."""
    tau: float | None
    """Standard deviation of the sites' own log-odds of AUROC; None where there are too few sites."""
    note: str
    """Why there is nothing, or which sites do not count; else empty."""


def across_sites(aurocs: Sequence[Interval], *, level: float = 0.95) -> AcrossSites:
    """Returns the random-effects mean of the sites' AUROCs and the interval for the next site.

    On the log-odds of the AUROC, whose standard errors are those of the intervals (Snell et al., Stat Methods Med Res
    2018;27:3505). The variance between sites is that of Paule & Mandel (J Res Natl Bur Stand 1982;87:377), the mean's
    interval that of Hartung & Knapp, never narrower than without their factor (Röver et al., BMC Med Res Methodol
    2015;15:99), the prediction interval that of Higgins, Thompson & Spiegelhalter (J R Stat Soc A 2009;172:137).

    Simulated with standard errors of 0.15 to 0.35, prediction intervals of 95 % hold a further site in 93 to 96 % of
    draws where sites differ more than that; where they differ less, of 6 and 10 sites in 90 to 99 %, and of 3 sites
    in nearly all. Those of the mean hold it in 95 to 100 %.

    Args:
        aurocs: One per site, with intervals of this level. One without an interval, or whose AUROC or interval is at
            0 or 1 on the nearer side, does not count.
        level: Of all intervals, in (0, 1).
    """
    given = [_log_odds(each, level) for each in aurocs]
    known = np.array([each for each in given if each is not None]).reshape(-1, 2)
    left_out = len(given) - len(known)
    note = f"{left_out} of {len(given)} sites have no interval to go by and do not count." if left_out else ""
    if len(known) < FEWEST_SITES:
        none = Interval(None, None, None, note=f"{len(known)} sites are fewer than {FEWEST_SITES}")
        return AcrossSites(len(known), none, none, None, f"{none.note}. {note}".strip())
    return _combine(known[:, 0], known[:, 1] ** 2, level, note)


def between_variance(effects: Floats, variances: Floats) -> float:
    """Returns the variance between sites by Paule & Mandel, at least 0.

    Args:
        effects: [K], one per site.
        variances: [K], of each effect within its site.
    """

    def excess(between: float) -> float:
        return _spread(effects, variances + between) - (len(effects) - 1)

    if excess(0.0) <= 0:
        return 0.0
    most = float(len(effects) * np.ptp(effects) ** 2)
    return float(brentq(excess, 0.0, most, xtol=1e-12))


def _combine(effects: Floats, variances: Floats, level: float, note: str) -> AcrossSites:
    between = between_variance(effects, variances)
    weights, freedom = 1 / (variances + between), len(effects) - 1
    mean = float(np.average(effects, weights=weights))
    factor = max(1.0, _spread(effects, variances + between) / freedom)
    variance = factor / float(weights.sum())
    reach = student_t.ppf((1 + level) / 2, freedom) * np.sqrt(variance)
    next_reach = student_t.ppf((1 + level) / 2, freedom - 1) * np.sqrt(between + variance)
    return AcrossSites(len(effects), _around(mean, reach), _around(mean, next_reach), float(np.sqrt(between)), note)


def _spread(effects: Floats, variances: Floats) -> float:
    weights = 1 / variances
    return float((weights * (effects - np.average(effects, weights=weights)) ** 2).sum())


def _around(mean: float, reach: float) -> Interval:
    value, low, high = expit([mean, mean - reach, mean + reach]).tolist()
    return Interval(value, low, high)


def _log_odds(auroc: Interval, level: float) -> tuple[float, float] | None:
    """Returns the log-odds of an AUROC and its standard error, None where one is not finite or zero."""
    value, low, high = auroc.value, auroc.low, auroc.high
    if value is None or low is None or high is None or not 0 < value < 1:
        return None
    # An interval that ends at 0 or 1 tells the error on its other side.
    ends = [end for end in (low, high) if 0 < end < 1 and end != value]
    if not ends:
        return None
    reaches = [abs(float(logit(end)) - float(logit(value))) for end in ends]
    return float(logit(value)), float(np.mean(reaches)) / float(norm.ppf((1 + level) / 2))
