"""Numbers as a reader sees them: estimates with their intervals, shares, counts."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from anemia_lightning.metrics.differences import least_p
from anemia_lightning.metrics.scores import shown

SCORE_WORDS = {
    "loss": "weighted log-loss (nats)",
    "acc": "accuracy",
    "auroc": "AUROC",
    "average_precision": "average precision",
    "ppv": "positive predictive value",
    "npv": "negative predictive value",
    "lr_positive": "positive likelihood ratio",
    "lr_negative": "negative likelihood ratio",
    "f1": "F1",
    "mcc": "Matthews correlation",
    "brier": "Brier score",
    "log_loss": "log-loss (nats)",
    "observed_expected": "observed to expected",
    "n": "photos",
    "n_positive": "anaemic photos",
    "tp": "anaemic, called anaemic",
    "fp": "not anaemic, called anaemic",
    "tn": "not anaemic, called not anaemic",
    "fn": "anaemic, called not anaemic",
}
"""Names of scores that words say better than the names."""


def score_words(name: str) -> str:
    """Returns the name of a score in words.

    Example:
        >>> score_words("auroc"), score_words("balanced_accuracy")
        ('AUROC', 'balanced accuracy')
    """
    return SCORE_WORDS.get(name, name.replace("_", " "))


def estimate_text(estimate: Mapping[str, Any], places: int = 3, *, sign: Literal["", "+"] = "") -> str:
    """Returns an estimate with its interval; "undefined" where it has no value.

    Args:
        estimate: value, low and high, of which each may be None.
        places: Decimals.
        sign: "+" of a difference, to show the sign also where it is above 0.

    Example:
        >>> estimate_text({"value": 0.8263, "low": 0.7394, "high": 0.8885})
        '0.826 [0.739, 0.888]'
        >>> estimate_text({"value": 12.3, "low": None, "high": None}, places=0)
        '12'
        >>> estimate_text({"value": 0.01, "low": -0.02, "high": 0.04}, sign="+")
        '+0.010 [-0.020, +0.040]'
    """
    value, low, high = (estimate[name] for name in ("value", "low", "high"))
    text = number_text(value, places, sign=sign)
    if value is None or low is None or high is None:
        return text
    return f"{text} [{number_text(low, places, sign=sign)}, {number_text(high, places, sign=sign)}]"


def number_text(value: float | None, places: int = 3, *, sign: Literal["", "+"] = "") -> str:
    """Returns a number with so many decimals; "undefined" for None.

    Example:
        >>> number_text(-0.0004), number_text(None)
        ('0.000', 'undefined')
    """
    # What rounds to nothing has no sign.
    return "undefined" if value is None else f"{value:{sign}z,.{places}f}"


def p_texts(p: float | None, p_holm: float | None, *, resamples: int) -> list[str]:
    """Returns p and Holm's p of a resampling, with "≤" where so many resamples can give no smaller one.

    Args:
        p: Two-sided, in [0, 1]; None where it is undefined.
        p_holm: The same, allowing for several comparisons.
        resamples: Behind the p; 0 where none are known.

    Example:
        >>> p_texts(2 / 101, 4 / 101, resamples=100), p_texts(4 / 101, None, resamples=100)
        (['≤ 0.020', '≤ 0.040'], ['0.040', '-'])
    """
    is_least = p is not None and resamples > 0 and p <= least_p(resamples)
    return [p_text(each, is_least=is_least) for each in (p, p_holm)]


def p_text(p: float | None, *, is_least: bool = False) -> str:
    """Returns a p as a person reads it, "-" for None.

    Example:
        >>> p_text(0.0123), p_text(0.00001), p_text(None)
        ('0.012', '< 0.001', '-')
    """
    if p is None:
        return "-"
    if p < 0.001:  # noqa: PLR2004  three decimals end there
        return "< 0.001"
    # Rounded up, so that it is not less than what was found.
    return f"≤ {math.ceil(1000 * p) / 1000:.3f}" if is_least else f"{p:.3f}"


def range_text(values: Sequence[float]) -> str:
    """Returns from where to where values go.

    Example:
        >>> range_text([0.414, 0.2, 0.566])
        '0.20 to 0.57'
    """
    return f"{min(values):.2f} to {max(values):.2f}"


def percent(share: float | None) -> str:
    """Returns a share in percent; "undefined" for None."""
    return "undefined" if share is None else f"{share:.0%}"


def percent_estimate(estimate: Mapping[str, Any]) -> str:
    """Returns an estimated share with its interval, in percent.

    Example:
        >>> percent_estimate({"value": 0.458, "low": 0.372, "high": 0.547})
        '46% [37%, 55%]'
    """
    text = percent(estimate["value"])
    has_interval = estimate["low"] is not None and estimate["high"] is not None
    return f"{text} [{percent(estimate['low'])}, {percent(estimate['high'])}]" if has_interval else text


def score_text(scores: Mapping[str, Any], name: str) -> str:
    """Returns a score of a table of scores, as metrics.json has them."""
    return shown(scores[name]) if name in scores else "not computed"
