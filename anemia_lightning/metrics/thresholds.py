"""The threshold from which a photo is called anaemic, chosen on validation photos by a rule that was set before."""

import re
from dataclasses import dataclass
from typing import Literal, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from anemia_lightning.errors import ConfigError

FALLBACK = 0.5
"""The threshold where the photos give no grounds to choose another."""

_DIGITS = 9  # significant digits of the probabilities in the prediction tables
_KNOWN = "youden, sensitivity:0.9, specificity:0.9, cost:5 or fixed:0.5, with numbers of your own"
# A shell takes ">" for a redirection, so a colon does as well.
_FORM = re.compile(r"(youden)|(sensitivity|specificity)(?:>=|≥|:)(.+)|(cost|fixed):(.+)")
_NUMBER = re.compile(r"[-+]?[\d.]+(?:e[-+]?\d+)?", re.IGNORECASE)

RuleName = Literal["youden", "sensitivity", "specificity", "cost", "fixed"]


@dataclass(frozen=True)
class Rule:
    """How to choose, as `parse_rule` reads it."""

    name: RuleName
    amount: float | None
    """The share to reach, the cost of a missed anaemia in needless referrals, or the threshold; None for youden."""

    def __str__(self) -> str:
        """Returns the rule as `parse_rule` reads it."""
        if self.amount is None:
            return self.name
        return f"{self.name}{':' if self.name in ('cost', 'fixed') else '>='}{self.amount:.9g}"


@dataclass(frozen=True)
class Threshold:
    """A threshold and how it came about."""

    value: float
    """Smallest probability that counts as anaemic, in [0, 1]."""
    rule: str
    """The rule, as `Rule` writes it."""
    reached: bool
    """Whether the rule could be followed."""
    note: str
    """What must be said beside it; empty where there is nothing to say."""


@dataclass(frozen=True)
class _Cuts:
    """Every way to cut the photos in two by their probability, from "all called anaemic" on: arrays [cuts]."""

    values: NDArray[np.float64]
    """The thresholds."""
    tp: NDArray[np.int64]
    """Anaemic photos called anaemic."""
    fp: NDArray[np.int64]
    """Non-anaemic photos called anaemic."""
    anaemic: int
    others: int


def choose_threshold(labels: ArrayLike, probabilities: ArrayLike, rule: str = "youden") -> Threshold:
    """Chooses the threshold on photos that are not those of the test.

    It lies midway between neighbouring probabilities, as these stand in a prediction table: so rounding to nine
    digits changes no decision. Rules:

    - ``youden``: the highest sensitivity + specificity - 1 (Youden, Cancer 1950;3:32);
    - ``sensitivity>=x``: the highest specificity among the thresholds of such a sensitivity;
    - ``specificity>=x``: the highest sensitivity among the thresholds of such a specificity;
    - ``cost:c``: the least c x missed + needless referrals, at the share of anaemic photos given here;
    - ``fixed:x``: x.

    Of equally good thresholds that of the higher sensitivity is taken, and of these that of the higher specificity;
    then there is only one. Sensitivity and specificity must be reached by a threshold that leaves photos on both
    sides, since calling all of them anaemic reaches any sensitivity. Where none reaches it, the nearest is taken, and
    the note says so. Where the photos are of one class or all probabilities are equal, 0.5 is taken, and the note
    says so.

    Args:
        labels: int [N], 1 anaemic and 0 not.
        probabilities: float [N], in [0, 1].
        rule: One of those above.

    Raises:
        ConfigError: If the rule is none of them.
        ValueError: If the lengths differ, a label is not 0 or 1, or a probability is not in [0, 1].

    Example:
        >>> choose_threshold([0, 0, 1, 1], [0.1, 0.4, 0.3, 0.8], "specificity>=0.9")
        Threshold(value=0.6, rule='specificity>=0.9', reached=True, note='')
    """
    parsed = parse_rule(rule)
    rule = str(parsed)
    known, given = _checked(labels, probabilities)
    if parsed.name == "fixed":
        return Threshold(cast("float", parsed.amount), rule, reached=True, note="")
    if fault := _no_grounds(known, given):
        return Threshold(FALLBACK, rule, reached=False, note=f"{fault}; the threshold is {FALLBACK}")
    cuts = _cut(known, given)
    if parsed.name == "cost":
        return _cheapest(cuts, rule, cast("float", parsed.amount))
    return _most_telling(_inner(cuts), rule, parsed)


def parse_rule(rule: str, *, setting: str = "the rule of the threshold") -> Rule:
    """Reads a rule such as "youden", "sensitivity>=0.9", "cost:5" or "fixed:0.5"; spaces do not matter.

    "sensitivity:0.9" is the same as with ">=", and a bare number such as "0.4" is a fixed threshold.

    Args:
        rule: The text.
        setting: What the user knows it as, for the message.

    Raises:
        ConfigError: If it is no rule, or its number is out of range.
    """
    text = re.sub(r"\s", "", str(rule))
    found = _FORM.fullmatch(f"fixed:{text}" if _NUMBER.fullmatch(text) else text)
    if found is None:
        raise ConfigError([f"{setting} is '{rule}'; it must be one of {_KNOWN}."])
    youden, target, share, named, amount = found.groups()
    if youden:
        return Rule("youden", None)
    try:
        number = float(share or amount)
    except ValueError:
        raise ConfigError([f"{setting} is '{rule}'; '{share or amount}' is not a number."]) from None
    return Rule(cast("RuleName", target or named), _in_range(number, target or named, rule, setting))


def _in_range(number: float, name: str, rule: str, setting: str) -> float:
    if name == "cost":
        if not 0 < number < np.inf:
            raise ConfigError([f"{setting} is '{rule}'; a missed anaemia must cost more than 0 needless referrals."])
    elif not 0 <= number <= 1:
        # Percents are the likeliest slip.
        hint = f" Did you mean {number / 100:g}?" if 1 < number <= 100 else ""  # noqa: PLR2004
        raise ConfigError([f"{setting} is '{rule}'; its number must lie between 0 and 1.{hint}"])
    return number


def _checked(labels: ArrayLike, probabilities: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    known, given = np.asarray(labels), np.asarray(probabilities, dtype=np.float64)
    if known.ndim != 1 or known.shape != given.shape:
        raise ValueError(f"labels {known.shape} and probabilities {given.shape} are not both [N]")
    if not np.isin(known, (0, 1)).all():
        raise ValueError(f"labels are {np.unique(known).tolist()}, not only 0 and 1")
    if not ((given >= 0) & (given <= 1)).all():
        raise ValueError("a probability is not in [0, 1]")
    return known.astype(np.int64), _rounded(given, _DIGITS)


def _rounded(values: NDArray[np.float64], digits: int) -> NDArray[np.float64]:
    """Returns values as they stand in a table of so many significant digits."""
    return np.array([float(f"{each:.{digits}g}") for each in values])


def _no_grounds(labels: NDArray[np.int64], probabilities: NDArray[np.float64]) -> str:
    if not len(labels):
        return "there are no photos to choose a threshold on"
    for label, name in ((1, "anaemic"), (0, "non-anaemic")):
        if not (labels == label).any():
            return f"there are no {name} photos to choose a threshold on"
    if probabilities.min() == probabilities.max():
        return "all probabilities are equal, so no threshold tells the photos apart"
    return ""


def _cut(labels: NDArray[np.int64], probabilities: NDArray[np.float64]) -> _Cuts:
    distinct, place = np.unique(probabilities, return_inverse=True)
    anaemic = np.bincount(place, weights=labels).astype(np.int64)
    others = np.bincount(place).astype(np.int64) - anaemic
    # Called anaemic is what lies at or above the cut; the last cut calls none so.
    tp, fp = (np.append(np.cumsum(each[::-1])[::-1], 0) for each in (anaemic, others))
    edges = np.concatenate([[0.0], distinct, [1.0]])
    # One digit more than the probabilities have is enough to lie between any two.
    cuts = _Cuts(_rounded((edges[:-1] + edges[1:]) / 2, _DIGITS + 1), tp, fp, int(tp[0]), int(fp[0]))
    # A probability of 1 is called anaemic by every threshold.
    return cuts if distinct[-1] < 1 else _some(cuts, slice(None, -1))


def _inner(cuts: _Cuts) -> _Cuts:
    """Returns the cuts that leave photos on both sides."""
    called = cuts.tp + cuts.fp
    return _some(cuts, (called > 0) & (called < cuts.anaemic + cuts.others))


def _some(cuts: _Cuts, which: slice | NDArray[np.bool_]) -> _Cuts:
    return _Cuts(cuts.values[which], cuts.tp[which], cuts.fp[which], cuts.anaemic, cuts.others)


def _best(goal: NDArray[np.int64] | NDArray[np.floating], cuts: _Cuts) -> int:
    """Returns the cut with the highest goal, of these that of the highest sensitivity, then specificity."""
    return int(np.lexsort((cuts.fp, -cuts.tp, -goal))[0])


def _cheapest(cuts: _Cuts, rule: str, cost: float) -> Threshold:
    at = _best(-(cost * (cuts.anaemic - cuts.tp) + cuts.fp), cuts)
    called = int(cuts.tp[at] + cuts.fp[at])
    everyone = called == cuts.anaemic + cuts.others
    note = (
        "calling every photo anaemic costs least" if everyone else "" if called else "calling none anaemic costs least"
    )
    return Threshold(float(cuts.values[at]), rule, reached=True, note=note)


def _most_telling(cuts: _Cuts, rule: str, parsed: Rule) -> Threshold:
    """Follows the rules that weigh sensitivity against specificity, each as a share of its own class."""
    sensitivity, specificity = cuts.tp / cuts.anaemic, 1 - cuts.fp / cuts.others
    if parsed.name == "youden":
        # In whole pairs, so that equal ones are equal.
        at = _best(cuts.tp * cuts.others - cuts.fp * cuts.anaemic, cuts)
        index = float(sensitivity[at] + specificity[at] - 1)
        note = "" if index > 0 else f"no threshold does better than chance (Youden's index at best {index:.3f})"
        return Threshold(float(cuts.values[at]), rule, reached=index > 0, note=note)
    share, other = (sensitivity, specificity) if parsed.name == "sensitivity" else (specificity, sensitivity)
    reaches = share >= cast("float", parsed.amount) - 1e-12
    if reaches.any():
        kept = _some(cuts, reaches)
        return Threshold(float(kept.values[_best(other[reaches], kept)]), rule, reached=True, note="")
    # The nearest share, and of these the best of the other.
    nearest = share == share.max()
    kept = _some(cuts, nearest)
    at = _best(other[nearest], kept)
    unless = "every photo" if parsed.name == "sensitivity" else "none"
    note = (
        f"no threshold reaches a {parsed.name} of {parsed.amount:g} unless it calls {unless} anaemic; "
        f"the nearest gives {share.max():.3f}"
    )
    return Threshold(float(kept.values[at]), rule, reached=False, note=note)
