"""Every score of a set of photos or patients, each with the interval that suits it and another beside it."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from anemia_lightning.metrics.delong import delong_interval
from anemia_lightning.metrics.estimates import (
    BOOTSTRAP,
    DELONG,
    WILSON,
    Estimate,
    Resampling,
    all_or_none,
    is_independent,
    widen_perfect_auroc,
)
from anemia_lightning.metrics.intervals import percentile_interval, resample
from anemia_lightning.metrics.proportions import likelihood_ratios, proportions
from anemia_lightning.metrics.resampled_scores import NAMES, ResampledScores, Values
from anemia_lightning.metrics.scores import confusion_counts
from anemia_lightning.metrics.undefined import defects

SIMEL = "Simel"
PROPORTIONS = ("acc", "sensitivity", "specificity", "ppv", "npv")


@dataclass(frozen=True)
class ScoreEstimate(Estimate):
    """A score with its interval, and with another."""

    other: Estimate | None
    """The same by another method; None where there is none."""


def estimate_scores(
    labels: NDArray[np.int64],
    logits: NDArray[np.float64],
    cluster: NDArray[np.int64],
    *,
    called: NDArray[np.bool_],
    scaled: NDArray[np.float64],
    how: Resampling,
    unit: str = "photo",
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, ScoreEstimate]:
    """Returns the scores of `resampled_scores.NAMES`, ``lr_positive`` and ``lr_negative``.

    The ``average_precision`` of a model that knows nothing is the ``prevalence``; the ``log_loss`` is in nats, and not
    weighted. A score without the rows that it needs, such as the ``ppv`` of a model that calls none anaemic, has the
    value None and a note that says so.

    Where no two rows share a cluster, DeLong's interval (AUROC), Wilson's (proportions) and Simel's (likelihood
    ratios) come first, and the bootstrap beside them; else the bootstrap over clusters comes first. A proportion of
    0 or 1 then has Wilson's interval over the clusters, since all its resamples are alike, and an AUROC of 0 or 1
    always has that over pairs.

    Simulated, the bootstrap's intervals of 95 % hold the truth in 93 to 97 % of 2,000 draws of 120 independent photos
    at an AUROC of 0.76, and of 120 patients of whom half have four photos all alike, but there that of the average
    precision in 92 %. Of 60 photos at 0.92 they do only in 90 to 93 %, least for the average precision: where clusters
    are that few, formulas are those to go by, as far as there are any.

    Args:
        labels: int [N], 1 anaemic and 0 not.
        logits: float [N], finite: what orders the rows.
        cluster: int [N], numbered from 0: what joins patients and photo groups.
        called: bool [N], which rows are called anaemic.
        scaled: float [N], the log-odds of which Brier score and log-loss are.
        how: Of the intervals.
        unit: What a row is, for the notes: photo or patient.
        progress: Called with (resamples done, resamples in all).
    """
    model = ResampledScores(labels, logits, cluster, called=called, scaled=scaled)
    values, drawn = resample([model], cluster, resamples=how.resamples, seed=how.seed, progress=progress)[0]
    faults = {name: defects(name, labels == 1, [called], cluster, unit=unit) for name in NAMES}
    resampled = {
        name: Estimate.of(percentile_interval(values[name], drawn[name], faults[name], level=how.level), BOOTSTRAP)
        for name in NAMES
    }
    formulas = _formulas(labels, logits, called, how.level, unit)
    for name, (part, whole) in _LIKELIHOOD_RATIOS.items():
        resampled[name] = _ratio_estimate(formulas[name], part(drawn), whole(drawn), faults, how.level)
    if is_independent(cluster):
        formulas["auroc"] = widen_perfect_auroc(formulas["auroc"], labels, cluster, level=how.level)
        return {name: _beside(formulas.get(name), each) for name, each in resampled.items()}
    resampled["auroc"] = widen_perfect_auroc(resampled["auroc"], labels, cluster, level=how.level)
    for name in PROPORTIONS:
        resampled[name] = _widened(resampled[name], _clusters_of(name, labels, called, cluster), how.level)
    return {name: ScoreEstimate(**vars(each), other=formulas.get(name)) for name, each in resampled.items()}


_LIKELIHOOD_RATIOS: dict[str, tuple[Callable[[dict[str, Values]], Values], Callable[[dict[str, Values]], Values]]] = {
    "lr_positive": (lambda drawn: drawn["sensitivity"], lambda drawn: 1 - drawn["specificity"]),
    "lr_negative": (lambda drawn: 1 - drawn["sensitivity"], lambda drawn: drawn["specificity"]),
}


def _formulas(
    labels: NDArray[np.int64], logits: NDArray[np.float64], called: NDArray[np.bool_], level: float, unit: str
) -> dict[str, Estimate]:
    counts = confusion_counts(labels, called)
    return {
        "auroc": Estimate.of(delong_interval(labels, logits, level=level, unit=unit), DELONG),
        **{
            name: Estimate.of(each.interval, WILSON)
            for name, each in proportions(counts, level=level, unit=unit).items()
        },
        **{name: Estimate.of(each, SIMEL) for name, each in likelihood_ratios(counts, level=level, unit=unit).items()},
    }


def _ratio_estimate(
    formula: Estimate, parts: Values, wholes: Values, faults: dict[str, tuple[str, str]], level: float
) -> Estimate:
    """Returns a likelihood ratio with the interval of the resamples.

    There is none where a resample divides by nothing, and none of a ratio of 0, of which all resamples say the same.
    """
    alone = faults["sensitivity"][1] or faults["specificity"][1]
    if formula.value is None or formula.low is None or alone:
        return replace(formula, low=None, high=None, method="", note=formula.note or alone)
    # A resample without a class is NaN, and left out like those of sensitivity and specificity.
    if (wholes <= 0).any():
        fault = "in some resamples it divides by nothing"
        return replace(formula, low=None, high=None, method="", note=fault)
    interval = percentile_interval(formula.value, parts / wholes, ("", ""), level=level)
    return Estimate.of(interval, BOOTSTRAP)


def _beside(formula: Estimate | None, resampled: Estimate) -> ScoreEstimate:
    if formula is None:
        return ScoreEstimate(**vars(resampled), other=None)
    return ScoreEstimate(**vars(formula), other=resampled)


def _widened(found: Estimate, clusters: int, level: float) -> Estimate:
    if found.low is None or found.low < found.high or found.value not in (0.0, 1.0):  # type: ignore[operator]
        return found
    return all_or_none(share=int(found.value), clusters=clusters, level=level)


def _clusters_of(name: str, labels: NDArray[np.int64], called: NDArray[np.bool_], cluster: NDArray[np.int64]) -> int:
    rows = {
        "acc": np.ones(len(labels), dtype=bool),
        "sensitivity": labels == 1,
        "specificity": labels == 0,
        "ppv": called,
        "npv": ~called,
    }[name]
    return len(np.unique(cluster[rows]))
