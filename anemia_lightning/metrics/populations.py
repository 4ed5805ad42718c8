"""What a test of known sensitivity and specificity does to 1,000 people, over prevalences of anaemia."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from anemia_lightning.metrics.intervals import Interval

PREVALENCES = tuple(round(0.05 * step, 2) for step in range(1, 13))
"""5 to 60 %, from populations where anaemia is rare to those of young children where it is the rule."""
PEOPLE = 1000


@dataclass(frozen=True)
class AtPrevalence:
    """What a test does in a population; counts are per `PEOPLE`."""

    prevalence: float
    ppv: Interval
    """Share of those referred who are anaemic; None where no one is referred."""
    npv: Interval
    """Share of those not referred who are not anaemic; None where all are referred."""
    referred: Interval
    found: Interval
    """Anaemic and referred."""
    missed: Interval
    """Anaemic and not referred."""
    needlessly_referred: Interval
    """Referred and not anaemic."""


def at_prevalences(
    sensitivity: Interval, specificity: Interval, *, prevalences: Sequence[float] = PREVALENCES
) -> list[AtPrevalence]:
    """Returns predictive values and numbers per `PEOPLE` in populations of these prevalences, by Bayes' theorem.

    It takes sensitivity and specificity to be the same in every population, which milder cases may belie, and the
    prevalence as known. Found, missed and needlessly referred are proportional to one of the two and take its limits.
    The sum of two and the likelihood ratios, on which the predictive values rest, have intervals by MOVER from the
    limits of the two (Zou & Donner, Stat Med 2008;27:1693; Newcombe, Stat Methods Med Res 2016;25:1774): unlike the
    delta method on the logit (Mercaldo, Lau & Zhou, Stat Med 2007;26:2170) that needs no cell above 0 and takes any
    limits, those of the clustered bootstrap too. Sensitivity and specificity come from different photos, and count as
    independent.

    Args:
        sensitivity: In [0, 1], with its limits; Wilson's, or the bootstrap's.
        specificity: Likewise.
        prevalences: In (0, 1).

    Returns:
        One row for each prevalence. Intervals without limits where one given has none, without values where one given
        has none.

    Raises:
        ValueError: If a prevalence is not in (0, 1).

    Example:
        >>> row = at_prevalences(Interval(0.9, 0.8, 0.95), Interval(0.8, 0.7, 0.9), prevalences=[0.1])[0]
        >>> [round(each.value) for each in (row.found, row.missed, row.needlessly_referred, row.referred)]
        [90, 10, 180, 270]
        >>> round(row.ppv.value, 3)
        0.333
    """
    if not all(0 < each < 1 for each in prevalences):
        raise ValueError("a prevalence is not in (0, 1)")
    missing, false_alarm = _complement(sensitivity), _complement(specificity)
    positive, negative = _ratio(sensitivity, false_alarm), _ratio(missing, specificity)
    rows = []
    for share in map(float, prevalences):
        found, needless = _times(sensitivity, PEOPLE * share), _times(false_alarm, PEOPLE * (1 - share))
        rows.append(
            AtPrevalence(
                prevalence=share,
                ppv=_posterior(positive, share / (1 - share)),
                npv=_complement(_posterior(negative, share / (1 - share))),
                referred=_sum(found, needless),
                found=found,
                missed=_times(missing, PEOPLE * share),
                needlessly_referred=needless,
            )
        )
    return rows


def _complement(share: Interval) -> Interval:
    value, low, high = (None if each is None else 1 - each for each in (share.value, share.high, share.low))
    return Interval(value, low, high, share.resamples, share.note)


def _times(share: Interval, factor: float) -> Interval:
    value, low, high = (None if each is None else factor * each for each in (share.value, share.low, share.high))
    return Interval(value, low, high, share.resamples, share.note)


def _sum(first: Interval, second: Interval) -> Interval:
    """Returns the sum of two independent estimates with its interval by MOVER."""
    note = first.note or second.note
    if first.value is None or second.value is None:
        return Interval(None, None, None, note=note)
    value = first.value + second.value
    if first.low is None or first.high is None or second.low is None or second.high is None:
        return Interval(value, None, None, note=note)
    below = math.hypot(first.value - first.low, second.value - second.low)
    above = math.hypot(first.high - first.value, second.high - second.value)
    return Interval(value, value - below, value + above, min(first.resamples, second.resamples), note)


def _ratio(top: Interval, bottom: Interval) -> Interval:
    """Returns the ratio of two independent shares with its interval by MOVER-R; infinite over 0."""
    note = top.note or bottom.note
    if top.value is None or bottom.value is None:
        return Interval(None, None, None, note=note)
    if top.value == bottom.value == 0:
        return Interval(None, None, None, note="no one is referred, or all are")
    value = top.value / bottom.value if bottom.value else math.inf
    if top.low is None or top.high is None or bottom.low is None or bottom.high is None:
        return Interval(value, None, None, note=note)
    product = top.value * bottom.value
    least, most = top.low * (2 * top.value - top.low), bottom.high * (2 * bottom.value - bottom.high)
    # Multiplied through by the other root, so that a bottom of 0 divides nothing by 0.
    low = least / (product + math.sqrt(max(0.0, product**2 - least * most))) if least > 0 else 0.0
    most, least = top.high * (2 * top.value - top.high), bottom.low * (2 * bottom.value - bottom.low)
    high = (product + math.sqrt(max(0.0, product**2 - most * least))) / least if least > 0 else math.inf
    return Interval(value, low, high, min(top.resamples, bottom.resamples), note)


def _posterior(likelihood_ratio: Interval, odds: float) -> Interval:
    """Returns the share that is anaemic after a result of this likelihood ratio, from odds before it."""

    def share(ratio: float | None) -> float | None:
        # Of 1 / x rather than x, since a ratio may be infinite and is seldom 0.
        return None if ratio is None else (1 / (1 + 1 / (ratio * odds)) if ratio else 0.0)

    ends = share(likelihood_ratio.low), share(likelihood_ratio.high)
    return Interval(share(likelihood_ratio.value), *ends, likelihood_ratio.resamples, likelihood_ratio.note)
