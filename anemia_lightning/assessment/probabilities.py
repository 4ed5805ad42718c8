"""The sections on probabilities: whether they mean what they say, and what decisions by them are good for."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from anemia_lightning.assessment.judged import Decisions, Judged
from anemia_lightning.assessment.options import SUBJECT, Progress
from anemia_lightning.assessment.plain import estimate, plain
from anemia_lightning.metrics.calibration import calibration
from anemia_lightning.metrics.decision import Decision
from anemia_lightning.metrics.estimates import Resampling
from anemia_lightning.metrics.intervals import Interval
from anemia_lightning.metrics.populations import PEOPLE, at_prevalences
from anemia_lightning.metrics.reliability import reliability
from anemia_lightning.metrics.scores import logit_of
from anemia_lightning.metrics.usefulness import DecisionCurve, decision_curve

Floats = NDArray[np.float64]

_BAND_RESAMPLES = 500
_EDGES = np.linspace(0.0, 1.0, 26)
_WALD, _LOG_SCALE, _MOVER = "Wald, robust to clusters", "log scale, robust to clusters", "MOVER"
_METHODS = {"found": "sensitivity", "missed": "sensitivity", "needlessly_referred": "specificity"}
"""The counts that are proportional to one of the two, and take its limits."""


def list_decisions(decisions: Decisions) -> list[Decision]:
    """Returns the decisions, one or one for each fold."""
    return [decisions] if isinstance(decisions, Decision) else list(decisions.values())


def join_notes(notes: Sequence[str]) -> str:
    """Returns what one decision or that of each fold notes, in sentences; equal ones once, with how many folds say so.

    Args:
        notes: One for each decision; empty where there is nothing to say.

    Example:
        >>> join_notes(["none reaches it", "", "none reaches it"]), join_notes(["none reaches it"])
        ('In 2 of 3 folds: none reaches it.', 'None reaches it.')
    """
    counts = Counter(f"{note.rstrip('.')}." for note in notes if note)
    if len(notes) > 1:
        return " ".join(f"In {count} of {len(notes)} folds: {note}" for note, count in counts.items())
    return "".join(f"{note[:1].upper()}{note[1:]}" for note in counts)


def threshold_section(decisions: Decisions) -> dict[str, Any]:
    """Returns the threshold, how it was chosen and on what."""
    each = list_decisions(decisions)
    values = [one.threshold.value for one in each]
    failed = sum(not one.threshold.reached for one in each)
    return {
        "value": float(np.mean(values)),
        "values": values,
        "varies": len(set(values)) > 1,
        "rule": each[0].threshold.rule,
        "reached": not failed,
        "failed": failed,
        "note": join_notes([one.threshold.note for one in each]),
        "photos": round(np.mean([one.photos for one in each])),
        "anaemic": round(np.mean([one.anaemic for one in each])),
    }


def calibration_section(photos: Judged, decisions: Decisions, how: Resampling, progress: Progress) -> dict[str, Any]:
    """Returns how well probabilities agree with what happened, before and after calibration."""
    scalings = [each.scaling for each in list_decisions(decisions)]
    is_scaled = any((each.slope, each.intercept) != (1.0, 0.0) for each in scalings)
    slope = float(np.mean([each.slope for each in scalings]))
    halves = (lambda done, total: progress(done, 2 * total)), (lambda done, total: progress(done + total, 2 * total))
    return {
        "photos": len(photos.labels),
        "scaling": {
            "method": next((each.method for each in scalings if each.method != "none"), "none"),
            "slope": slope,
            "intercept": float(np.mean([each.intercept for each in scalings])),
            "temperature": 1 / slope,
            "models": len(scalings),
            "fitted": sum(each.is_fitted for each in scalings),
            "note": join_notes([each.note for each in scalings]),
            "varies": len(scalings) > 1,
        },
        "before": _agreement(photos, photos.logits, how, halves[0]),
        "after": _agreement(photos, photos.scaled, how, halves[1]) if is_scaled else None,
    }


def usefulness_section(
    photos: Judged,
    baselines: Mapping[str, Floats],
    threshold: float | None,
    *,
    decisions: Decisions,
    how: Resampling,
    progress: Progress,
) -> dict[str, Any]:
    """Returns the decision curves of the model and of the baselines, and what was done to the probabilities of either.

    The baselines' are moved to the share of anaemic photos among those that the decisions were chosen on, where that is
    known.

    Args:
        photos: The photos.
        baselines: Probabilities of the same photos by name, of models that weigh the classes alike.
        threshold: The model's own; None where those of the folds differ.
        decisions: What has made the model's probabilities.
        how: Of the bands.
        progress: Called with (resamples done, resamples in all).
    """
    rate = _known_rate(decisions)
    predictors = {SUBJECT: expit(photos.scaled), **{name: _at_rate(each, rate) for name, each in baselines.items()}}
    curve = decision_curve(
        photos.labels,
        predictors,
        clusters=photos.cluster,
        resamples=min(_BAND_RESAMPLES, how.resamples),
        level=how.level,
        seed=how.seed,
        progress=progress,
    )
    return {"curve": plain(curve), "at_threshold": _at_threshold(curve, threshold), "note": _rate_note(rate, decisions)}


def population_section(scores: Mapping[str, Any], unit: str) -> dict[str, Any]:
    """Returns predictive values and numbers of people over prevalences, from the model's sensitivity and specificity.

    Args:
        scores: Of a section of photos or patients, as plain values.
        unit: photo or patient.
    """
    given = [_interval(scores[name]) for name in ("sensitivity", "specificity")]
    methods = dict.fromkeys(("ppv", "npv", "referred"), _MOVER)
    methods |= {name: scores[share]["method"] for name, share in _METHODS.items()}
    rows = [
        {"prevalence": row.prevalence, **{name: estimate(getattr(row, name), how) for name, how in methods.items()}}
        for row in at_prevalences(*given)
    ]
    shares = {name: {key: scores[name][key] for key in _KEYS} for name in ("sensitivity", "specificity")}
    return {"people": PEOPLE, "unit": unit, **shares, "rows": rows}


_KEYS = ("value", "low", "high", "resamples", "method", "note")


def _agreement(photos: Judged, logits: Floats, how: Resampling, progress: Progress) -> dict[str, Any]:
    found = calibration(photos.labels, logits, clusters=photos.cluster, level=how.level)
    curve = reliability(
        photos.labels,
        logits,
        clusters=photos.cluster,
        resamples=min(_BAND_RESAMPLES, how.resamples),
        level=how.level,
        seed=how.seed,
        progress=progress,
    )
    probability = expit(logits)
    counts = {
        name: np.histogram(probability[photos.labels == label], bins=_EDGES)[0]
        for name, label in (("anaemic", 1), ("not_anaemic", 0))
    }
    return {
        "intercept": estimate(found.intercept, _WALD),
        "slope": estimate(found.slope, _WALD),
        "observed_expected": estimate(found.observed_expected, _LOG_SCALE),
        "ece": plain(found.ece),
        "brier": plain(found.brier),
        "undefined": found.undefined,
        "reliability": plain(curve),
        "histogram": plain({"edges": _EDGES, **counts}),
    }


def _known_rate(decisions: Decisions) -> float | None:
    """Returns the share of anaemic photos among those that the decisions were chosen on, None without both classes."""
    each = list_decisions(decisions)
    photos, anaemic = sum(one.photos for one in each), sum(one.anaemic for one in each)
    return anaemic / photos if 0 < anaemic < photos else None


def _at_rate(probabilities: Floats, rate: float | None) -> Floats:
    """Returns the probabilities of a model that takes both classes for equally frequent, at their true rate."""
    if rate is None:
        return probabilities
    shifted: Floats = expit(logit_of(probabilities) + logit(rate))
    return shifted


def _rate_note(rate: float | None, decisions: Decisions) -> str:
    """Returns what was done to the probabilities of the baselines, and to those of the network."""
    network = _network_note(decisions, "moved" if rate is None else "moved likewise")
    if rate is None:
        alike = "The baselines weigh the classes alike, so their probabilities are those of a population half anaemic."
        return f"{alike} {network}"
    return (
        "The baselines weigh the classes alike; their probabilities are moved to the share of anaemic photos among "
        f"those that the threshold was chosen on, {rate:.0%}. {network}"
    )


def _network_note(decisions: Decisions, moved: str) -> str:
    scalings = [each.scaling for each in list_decisions(decisions)]
    unmoved = [each for each in scalings if not each.intercept]
    # A calibration that took no weights back has met none; without one nobody has looked for them.
    weighed_alike = all(each.method != "none" for each in unmoved)
    left = "its loss weighed both classes alike"
    if not weighed_alike:
        left = "they are where the weights of the classes in its loss have put them, if there are any"
    count = len(scalings) - len(unmoved)
    if not count:
        return f"The network's are not moved: {left}."
    but = f" in {count} of {len(scalings)} folds; in the others {left}" if unmoved else ""
    return f"The network's are {moved} by its calibration{but}."


def _at_threshold(curve: DecisionCurve, threshold: float | None) -> dict[str, Any] | None:
    """Returns the net benefits at the hundredth that is nearest to the threshold; None where there is not one."""
    if threshold is None:
        return None
    if not curve.net_benefit:
        return {"threshold": threshold, "net_benefit": {}, "tests_avoided": {}}
    at = int(np.argmin(np.abs(curve.thresholds - threshold)))
    return {
        "threshold": float(curve.thresholds[at]),
        "net_benefit": {name: float(each[at]) for name, each in curve.net_benefit.items()},
        "tests_avoided": {name: float(curve.tests_avoided(name)[at]) for name in curve.net_benefit},
    }


def _interval(found: Mapping[str, Any]) -> Interval:
    return Interval(found["value"], found["low"], found["high"], found["resamples"], found["note"])
