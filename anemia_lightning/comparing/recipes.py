"""Runs of one recipe, which differ in seed or fold alone: their scores together, and recipes against one another."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from anemia_lightning.comparing.divisions import division_note, over_divisions
from anemia_lightning.comparing.records import FoldRecord, RunRecord
from anemia_lightning.comparing.settings import UNSET, differing
from anemia_lightning.metrics.differences import holm
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
class Recipe:
    """Runs of one recipe."""

    name: str
    runs: dict[str, RunRecord]
    differ_in: list[str]
    """Seeds, fold and test photos by which its runs can be told apart; none of a single run."""
    settings: dict[str, str]
    """Those in which the recipes of its kind differ."""


def recipes_of(records: Mapping[str, RunRecord]) -> list[Recipe]:
    """Returns the runs by recipe: one kind of run, and all settings alike but seeds and fold.

    Args:
        records: The runs by name.
    """
    found = []
    kinds = list(dict.fromkeys(record.kind for record in records.values()))
    for kind in kinds:
        alike = {name: record for name, record in records.items() if record.kind == kind}
        names = differing([record.settings for record in alike.values()])
        by_values: dict[tuple[str, ...], dict[str, RunRecord]] = {}
        for name, record in alike.items():
            values = tuple(record.settings.get(key, UNSET) for key in names)
            by_values.setdefault(values, {})[name] = record
        for values, runs in by_values.items():
            settings = dict(zip(names, values, strict=True))
            words = [kind] * (len(kinds) > 1) + [f"{key}={value}" for key, value in settings.items()]
            found.append(Recipe(", ".join(words) or "all runs", runs, _told_apart_by(list(runs.values())), settings))
    return found


def summarise(runs: Sequence[RunRecord | FoldRecord], *, level: float) -> dict[str, Any]:
    """Returns of each score the mean over runs, its spread and its t interval, in plain values.

    Args:
        runs: Those of one recipe, or the folds of a cross-validation.
        level: Of the intervals.

    Returns:
        scores, and as the note what is missing.
    """
    scores, divisions = [point_scores(run.predictions) for run in runs], [run.division for run in runs]
    found = {name: over_divisions([each[name] for each in scores], divisions, level=level) for name in SCORES}
    return {"scores": {name: asdict(each) for name, each in found.items()}, "note": division_note(divisions)}


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


def compare_recipes(recipes: Sequence[Recipe], reference: Recipe, *, level: float) -> list[dict[str, Any]]:
    """Compares the AUROC of each recipe with that of the reference, run by run of the same seeds and fold.

    Of several folds or splits each counts once, with the mean of its seeds, and the t-test is corrected for the photos
    that they share; see `over_divisions`.

    Returns:
        Plain values for each other recipe: over how many pairs or divisions of the photos, mean difference, interval
        and p of the paired t-test, p after Holm, and a note where something is missing.
    """
    rows = [
        {"group": recipe.name, "reference": reference.name, **_difference(recipe, reference, level)}
        for recipe in recipes
        if recipe is not reference and len(recipe.runs) > 1 and len(reference.runs) > 1
    ]
    adjusted = holm([row["p"] for row in rows])
    return [{**row, "p_holm": p} for row, p in zip(rows, adjusted, strict=True)]


def _difference(recipe: Recipe, reference: Recipe, level: float) -> dict[str, Any]:
    """Returns by how much the AUROC of runs exceeds that of runs with the same seeds and fold on the same photos."""
    partners = {_key(record): record for record in reference.runs.values()}
    pairs = [(record, partners[_key(record)]) for record in recipe.runs.values() if _key(record) in partners]
    alike = [(one, other) for one, other in pairs if _labels(one).equals(_labels(other))]
    gaps = [_gap(one, other) for one, other in alike]
    divisions = [one.division for one, _ in alike]
    others = len(pairs) - len(alike)
    notes = [
        "" if pairs else "no two runs share seeds and fold",
        f"{others} pairs left out: they judge other photos" if others else "",
        division_note(divisions),
    ]
    found = over_divisions(gaps, divisions, level=level)
    return {**asdict(found), "note": "; ".join(note for note in notes if note)}


def _gap(one: RunRecord, other: RunRecord) -> float | None:
    areas = [point_scores(each.predictions)["auroc"] for each in (one, other)]
    return None if areas[0] is None or areas[1] is None else areas[0] - areas[1]


def _key(record: RunRecord) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(record.repetition.items()))


def _labels(record: RunRecord) -> "pd.Series[int]":
    labels: pd.Series[int] = record.predictions.set_index("photo")["label"].sort_index()
    return labels


def _told_apart_by(records: Sequence[RunRecord]) -> list[str]:
    first = _labels(records[0])
    others = [] if all(_labels(record).equals(first) for record in records) else ["test photos"]
    return differing([record.repetition for record in records]) + others
