"""Sensitivity, predictive values and their like from the counts of a confusion matrix, with intervals by formula."""

from collections.abc import Mapping
from dataclasses import dataclass

from scipy.stats import binomtest
from scipy.stats.contingency import relative_risk

from anemia_lightning.metrics.intervals import Interval


@dataclass(frozen=True)
class Proportion:
    """A share of photos, as 18 of 20, with its interval."""

    part: int
    """The photos counted."""
    whole: int
    """The photos among which they were counted."""
    interval: Interval
    """The share and Wilson's interval of it; without a value where the whole is nothing."""


def wilson(part: int, whole: int, *, level: float = 0.95, lacking: str = "photos") -> Interval:
    """Returns a share with Wilson's score interval (Wilson, J Am Stat Assoc 1927;22:209), uncorrected.

    It stays within 0 and 1, has a width even where all or none are counted (14 of 14 gives 0.78 to 1), and on average
    over shares from 0.05 to 0.95 covers the truth in 95 % of draws, be it of 10 photos or 400; at a single share it may
    be some percent less or more. It takes photos as independent: where patients or copies repeat, use
    `score_estimates.estimate_scores`.

    Args:
        part: How many are counted.
        whole: Among how many.
        level: How often such intervals cover the truth, in (0, 1).
        lacking: What there is none of where the whole is 0, for the note.

    Raises:
        ValueError: If the part is not from 0 to the whole.

    Example:
        >>> found = wilson(18, 20)
        >>> round(found.low, 3), round(found.high, 3)
        (0.699, 0.972)
    """
    if not 0 <= part <= whole:
        raise ValueError(f"{part} of {whole} is no share")
    if not whole:
        return Interval(None, None, None, note=f"no {lacking}")
    bounds = binomtest(part, whole).proportion_ci(level, method="wilson")
    return Interval(part / whole, float(bounds.low), float(bounds.high))


def proportions(counts: Mapping[str, int], *, level: float = 0.95, unit: str = "photo") -> dict[str, Proportion]:
    """Returns what a threshold achieves, each share with its counts and Wilson's interval.

    Args:
        counts: ``tp``, ``fp``, ``tn`` and ``fn``, as `scores.confusion_counts` gives them.
        level: How often such intervals cover the truth, in (0, 1).
        unit: What was counted, for the notes: photo or patient.

    Returns:
        ``acc``, ``sensitivity``, ``specificity``, ``ppv`` and ``npv``. The predictive values hold for the share of
        anaemic photos among these, and for no other.
    """
    tp, fp, tn, fn = _cells(counts)
    shares = {
        "acc": (tp + tn, tp + fp + tn + fn, f"{unit}s"),
        "sensitivity": (tp, tp + fn, f"anaemic {unit}s"),
        "specificity": (tn, tn + fp, f"non-anaemic {unit}s"),
        "ppv": (tp, tp + fp, f"{unit}s called anaemic"),
        "npv": (tn, tn + fn, f"{unit}s called non-anaemic"),
    }
    return {
        name: Proportion(part, whole, wilson(part, whole, level=level, lacking=lacking))
        for name, (part, whole, lacking) in shares.items()
    }


def likelihood_ratios(counts: Mapping[str, int], *, level: float = 0.95, unit: str = "photo") -> dict[str, Interval]:
    """Returns by what factor a decision multiplies the odds of anaemia, with intervals symmetric in the logarithm.

    Intervals after Simel et al., J Clin Epidemiol 1991;44:763. No half counts are added: a ratio that would divide by
    nothing is undefined, and one of 0 has no interval, since the logarithm of 0 has none.

    Args:
        counts: ``tp``, ``fp``, ``tn`` and ``fn``.
        level: How often such intervals cover the truth, in (0, 1).
        unit: What was counted, for the notes: photo or patient.

    Returns:
        ``lr_positive``, sensitivity over 1 - specificity, and ``lr_negative``, 1 - sensitivity over specificity.
    """
    tp, fp, tn, fn = _cells(counts)
    anaemic, others = tp + fn, fp + tn
    fault = f"no anaemic {unit}s" if not anaemic else f"no non-anaemic {unit}s" if not others else ""
    return {
        name: Interval(None, None, None, note=fault)
        if fault
        else _ratio((part, anaemic), (rest, others), level=level, called=f"{unit} was called {called}")
        for name, part, rest, called in (("lr_positive", tp, fp, "anaemic"), ("lr_negative", fn, tn, "non-anaemic"))
    }


def _ratio(sick: tuple[int, int], well: tuple[int, int], *, level: float, called: str) -> Interval:
    """Returns the ratio of two independent shares, each (part, whole)."""
    (part, anaemic), (rest, others) = sick, well
    if not rest:
        return Interval(None, None, None, note=f"no non-anaemic {called}")
    if not part:
        return Interval(0.0, None, None, note=f"no anaemic {called}")
    ratio = relative_risk(part, anaemic, rest, others)
    bounds = ratio.confidence_interval(level)
    return Interval(float(ratio.relative_risk), float(bounds.low), float(bounds.high))


def _cells(counts: Mapping[str, int]) -> tuple[int, int, int, int]:
    return counts["tp"], counts["fp"], counts["tn"], counts["fn"]
