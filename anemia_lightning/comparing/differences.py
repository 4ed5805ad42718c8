"""Scores of runs with intervals, and by how much each run differs from a reference, from their predictions alone."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from anemia_lightning.comparing.recipes import SCORES
from anemia_lightning.comparing.records import RunRecord
from anemia_lightning.data.splits import independent_groups
from anemia_lightning.errors import PhotosDifferError
from anemia_lightning.metrics.differences import SIGNIFICANT, ScoreDifference, compare_predictions, holm, verdict
from anemia_lightning.metrics.estimates import Resampling
from anemia_lightning.metrics.intervals import Interval, numbered
from anemia_lightning.metrics.score_estimates import estimate_scores
from anemia_lightning.metrics.scores import logit_of

Progress = Callable[[], None]

_READINGS = {
    "logit": ("auroc", "average_precision"),
    "decision": ("acc", "sensitivity", "specificity"),
    "probability": ("brier",),
}
"""From which column of a prediction table each score is computed. Calibration moves probabilities and not ranks, and
each fold of a cross-validation decides at a threshold of its own, so no one column gives all."""


def scores_with_intervals(table: pd.DataFrame, *, resamples: int, level: float) -> dict[str, Any]:
    """Returns `SCORES` of a prediction table with the intervals that its own report has, in plain values."""
    found = estimate_scores(
        table["label"].to_numpy(dtype=np.int64),
        table["logit"].to_numpy(dtype=np.float64),
        numbered(independent_groups(table), len(table)),
        called=table["prediction"].to_numpy() == 1,
        scaled=logit_of(table["probability"].to_numpy(dtype=np.float64)),
        how=Resampling(resamples=resamples, level=level),
    )
    return {name: {**_plain(found[name].interval), "method": found[name].method} for name in SCORES}


def differences_from(
    reference: str, records: Mapping[str, RunRecord], *, resamples: int, level: float, done: Progress
) -> list[dict[str, Any]]:
    """Compares every run with the reference on the same photos.

    Args:
        reference: Name of the run that all others are compared with.
        records: The runs by name.
        resamples: Draws of whole clusters.
        level: Of the intervals.
        done: Called after each run.

    Returns:
        Plain values for each other run: refused says why there is no comparison, None where there is one; then n,
        n_positive, scores with their differences, intervals and p, DeLong's test, and a sentence. p after Holm allows
        for as many comparisons as there are in this list.
    """
    rows = []
    for name, record in records.items():
        if name != reference:
            pair = (name, reference)
            rows.append(_compare(record.predictions, records[reference].predictions, pair, resamples, level))
            done()
    comparable = [row for row in rows if not row["refused"]]
    for score in SCORES:
        adjusted = holm([row["scores"][score]["p"] for row in comparable])
        for row, p in zip(comparable, adjusted, strict=True):
            row["scores"][score]["p_holm"] = p
    for row, p in zip(comparable, holm([row["delong"]["p"] for row in comparable]), strict=True):
        row["delong"]["p_holm"] = p
    for row in comparable:
        row["says"] += _allowing(row["scores"]["auroc"], len(comparable))
    return rows


def _allowing(area: Mapping[str, Any], comparisons: int) -> str:
    """Says where a difference that its own interval shows does not hold when all comparisons are allowed for."""
    is_shown = area["low"] is not None and (area["low"] > 0 or area["high"] < 0)
    if not is_shown or area["p_holm"] < SIGNIFICANT:
        return ""
    return f" Allowing for {comparisons} comparisons, this may be chance: p {area['p_holm']:.3f} (Holm)."


def _compare(
    mine: pd.DataFrame, other: pd.DataFrame, names: tuple[str, str], resamples: int, level: float
) -> dict[str, Any]:
    row: dict[str, Any] = {"run": names[0], "reference": names[1], "refused": None}
    found: dict[str, ScoreDifference] = {}
    try:
        clusters = _joint_clusters(mine, other)
        for reading, scores in _READINGS.items():
            tables = _as_logits(mine, reading), _as_logits(other, reading)
            comparison = compare_predictions(*tables, clusters, names=names, resamples=resamples, level=level)
            found |= {score: comparison.scores[score] for score in scores}
            if reading == "logit":
                ranked = comparison
    except PhotosDifferError as error:
        return {**row, "refused": str(error)}
    return {
        **row,
        "n": ranked.n,
        "n_positive": ranked.n_positive,
        "scores": {score: _plain_difference(found[score]) for score in SCORES},
        "delong": {key: getattr(ranked.delong, key) for key in ("difference", "low", "high", "p", "note")},
        "says": verdict(found["auroc"], *(f"run {name}" for name in names)),
    }


def _joint_clusters(mine: pd.DataFrame, other: pd.DataFrame) -> "pd.Series[int]":
    """Returns what joins photos in the eyes of either table: runs may have kept copies together at another grain."""
    both = pd.concat([mine, other], ignore_index=True)
    said = both.assign(patient=independent_groups(both), photo_group=both["photo"])
    return pd.Series(independent_groups(said), index=both["photo"]).groupby(level=0).first()


def _as_logits(table: pd.DataFrame, reading: str) -> pd.DataFrame:
    """Returns photo, label and logit of a table, the logit made from the column that the reading asks for."""
    if reading == "logit":
        logits = table["logit"].to_numpy(dtype=np.float64)
    elif reading == "probability":
        logits = logit_of(table["probability"].to_numpy(dtype=np.float64))
    else:
        # Any two values on either side of an even chance.
        logits = 2.0 * table["prediction"].to_numpy(dtype=np.float64) - 1.0
    return table[["photo", "label"]].assign(logit=logits)


def _plain(interval: Interval) -> dict[str, Any]:
    return {"value": interval.value, "low": interval.low, "high": interval.high, "note": interval.note}


def _plain_difference(found: ScoreDifference) -> dict[str, Any]:
    between = {**_plain(found.interval), "resamples": found.interval.resamples, "p": found.p, "p_holm": None}
    return {"first": found.first, "second": found.second, **between}
