"""Runs of one recipe, which differ in seed or fold alone: their scores together, and recipes against one another."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

import numpy as np
import pandas as pd

from anemia_lightning.comparing.records import RunRecord
from anemia_lightning.comparing.settings import UNSET, differing
from anemia_lightning.metrics.differences import holm
from anemia_lightning.metrics.over_runs import over_runs
from anemia_lightning.metrics.scores import auroc, average_precision, confusion_counts

SCORES = {
    "auroc": "AUROC",
    "average_precision": "average precision",
    "acc": "accuracy",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "brier": "Brier score",
}
"""The scores that runs are compared by, in words; of the Brier score less is better."""


@dataclass(frozen=True)
class RunGroup:
    """Runs of one recipe."""

    name: str
    runs: dict[str, RunRecord]
    differ_in: list[str]
    """Seeds, fold and test photos by which its runs can be told apart; none of a single run."""
    settings: dict[str, str]
    """Those in which the groups of its kind differ."""


def group_runs(records: Mapping[str, RunRecord]) -> list[RunGroup]:
    """Returns the runs by recipe: one kind of run, and all settings alike but seeds and fold.

    Args:
        records: The runs by name.
    """
    groups = []
    kinds = list(dict.fromkeys(record.kind for record in records.values()))
    for kind in kinds:
        alike = {name: record for name, record in records.items() if record.kind == kind}
        names = differing([record.settings for record in alike.values()])
        recipes: dict[tuple[str, ...], dict[str, RunRecord]] = {}
        for name, record in alike.items():
            recipe = tuple(record.settings.get(key, UNSET) for key in names)
            recipes.setdefault(recipe, {})[name] = record
        for values, runs in recipes.items():
            settings = dict(zip(names, values, strict=True))
            words = [kind] * (len(kinds) > 1) + [f"{key}={value}" for key, value in settings.items()]
            groups.append(RunGroup(", ".join(words) or "all runs", runs, _told_apart_by(list(runs.values())), settings))
    return groups


def summarise(tables: Sequence[pd.DataFrame], *, level: float) -> dict[str, Any]:
    """Returns of each score the mean over prediction tables, its spread and its t interval, in plain values."""
    scores = [point_scores(table) for table in tables]
    return {name: asdict(over_runs([each[name] for each in scores], level=level)) for name in SCORES}


def point_scores(table: pd.DataFrame) -> dict[str, float | None]:
    """Returns `SCORES` of a prediction table, None where one is undefined.

    What ranks photos is computed from the logit, what counts decisions from the prediction, the Brier score from the
    (calibrated) probability.
    """
    labels = table["label"].to_numpy(dtype=np.int64)
    logits = table["logit"].to_numpy(dtype=np.float64)
    counts = confusion_counts(labels, table["prediction"].to_numpy())
    anaemic = counts["tp"] + counts["fn"]
    return {
        "auroc": auroc(labels, logits),
        "average_precision": average_precision(labels, logits),
        "acc": (counts["tp"] + counts["tn"]) / len(labels),
        "sensitivity": counts["tp"] / anaemic if anaemic else None,
        "specificity": counts["tn"] / (len(labels) - anaemic) if anaemic < len(labels) else None,
        "brier": float(np.mean((table["probability"].to_numpy() - labels) ** 2)),
    }


def compare_groups(groups: Sequence[RunGroup], reference: RunGroup, *, level: float) -> list[dict[str, Any]]:
    """Compares the AUROC of each group with that of the reference group, run by run of the same seeds and fold.

    Of a cross-validation each fold counts once, with the mean of its seeds: they judge the same photos.

    Returns:
        Plain values for each other group: over how many folds or pairs, mean difference, interval and p of the paired
        t-test, p after Holm, and a note where there is nothing to say.
    """
    rows = []
    for group in groups:
        if group is not reference and len(group.runs) > 1 and len(reference.runs) > 1:
            gaps, note = _gaps(group, reference)
            rows.append({"group": group.name, "reference": reference.name, **asdict(over_runs(gaps, level=level))})
            rows[-1]["note"] = note
    adjusted = holm([row["p"] for row in rows])
    return [{**row, "p_holm": p} for row, p in zip(rows, adjusted, strict=True)]


def _gaps(group: RunGroup, reference: RunGroup) -> tuple[list[float], str]:
    """Returns the differences of AUROC of runs with the same seeds and fold on the same photos, one for each fold."""
    partners = {_key(record): record for record in reference.runs.values()}
    pairs = [(record, partners[_key(record)]) for record in group.runs.values() if _key(record) in partners]
    alike = [(one, other) for one, other in pairs if _labels(one).equals(_labels(other))]
    gaps: dict[object, list[float]] = {}
    for number, (one, other) in enumerate(alike):
        areas = point_scores(one.predictions)["auroc"], point_scores(other.predictions)["auroc"]
        if areas[0] is not None and areas[1] is not None:
            gaps.setdefault(one.repetition.get("fold", number), []).append(areas[0] - areas[1])
    means = [fmean(each) for each in gaps.values()]
    if not pairs:
        return means, "no two runs share seeds and fold"
    others = len(pairs) - len(alike)
    return means, f"{others} pairs left out: they judge other photos" if others else ""


def _key(record: RunRecord) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(record.repetition.items()))


def _labels(record: RunRecord) -> "pd.Series[int]":
    labels: pd.Series[int] = record.predictions.set_index("photo")["label"].sort_index()
    return labels


def _told_apart_by(records: Sequence[RunRecord]) -> list[str]:
    first = _labels(records[0])
    others = [] if all(_labels(record).equals(first) for record in records) else ["test photos"]
    return differing([record.repetition for record in records]) + others
