"""Numbers as a reader sees them: estimates with their intervals, shares, counts."""

from collections.abc import Mapping, Sequence
from typing import Any

from anemia_lightning.metrics import shown

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


def estimate_text(estimate: Mapping[str, Any], places: int = 3) -> str:
    """Returns an estimate of assessment.json with its interval; "undefined" where it has no value.

    Example:
        >>> estimate_text({"value": 0.8263, "low": 0.7394, "high": 0.8885})
        '0.826 [0.739, 0.888]'
        >>> estimate_text({"value": 12.3, "low": None, "high": None}, places=0)
        '12'
    """
    value, low, high = (estimate[name] for name in ("value", "low", "high"))
    if value is None:
        return "undefined"
    text = number_text(value, places)
    return text if low is None or high is None else f"{text} [{number_text(low, places)}, {number_text(high, places)}]"


def number_text(value: float | None, places: int = 3) -> str:
    """Returns a number with so many decimals; "undefined" for None.

    Example:
        >>> number_text(-0.0004), number_text(None)
        ('0.000', 'undefined')
    """
    # What rounds to nothing has no sign.
    return "undefined" if value is None else f"{value:z,.{places}f}"


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
