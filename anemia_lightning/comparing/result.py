"""What compare.json holds, and compare.csv: runs, recipes and differences in plain values."""

import itertools
from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from anemia_lightning.comparing.differences import differences_from, scores_with_intervals
from anemia_lightning.comparing.recipes import SCORES, Recipe, compare_recipes, recipes_of, summarise
from anemia_lightning.comparing.records import RunRecord
from anemia_lightning.comparing.settings import UNSET, differing_by_kind


def comparison_record(
    records: Mapping[str, RunRecord],
    leftovers: Mapping[str, tuple[str, str]],
    *,
    reference: str,
    resamples: int,
    level: float,
    progress: Callable[[int, int], None],
) -> dict[str, Any]:
    """Returns runs side by side.

    Args:
        records: The runs by name, the reference first.
        leftovers: Folders without scores by name: the folder, and why.
        reference: Name of the run that all others are compared with.
        resamples: Draws of patients behind each bootstrap interval.
        level: Of the intervals, in (0, 1).
        progress: Called with (steps done, steps in all).
    """
    steps, in_all = itertools.count(1), 2 * len(records) - 1
    columns = _settings_of(records)
    runs = []
    for name, record in records.items():
        scores = scores_with_intervals(record.predictions, resamples=resamples, level=level)
        runs.append({**_run_row(name, record), "settings": columns[name], "scores": scores})
        progress(next(steps), in_all)
    recipes = recipes_of(records)
    reference_recipe = next(recipe for recipe in recipes if reference in recipe.runs)
    return {
        "reference": reference,
        "resamples": resamples,
        "level": level,
        "runs": runs,
        "leftovers": [{"name": name, "folder": at, "reason": why} for name, (at, why) in leftovers.items()],
        "groups": [_recipe_row(recipe, level=level) for recipe in recipes if len(recipe.runs) > 1],
        "folds": _fold_rows(records, level=level),
        "differences": differences_from(
            reference, records, resamples=resamples, level=level, done=lambda: progress(next(steps), in_all)
        ),
        "group_differences": compare_recipes(recipes, reference_recipe, level=level),
    }


def comparison_table(comparison: Mapping[str, Any]) -> pd.DataFrame:
    """Returns one row per run: settings that differ, scores with intervals, differences from the reference."""
    differences = {row["run"]: row for row in comparison["differences"]}
    return pd.DataFrame([_table_row(run, differences.get(run["name"])) for run in comparison["runs"]])


def _settings_of(records: Mapping[str, RunRecord]) -> dict[str, dict[str, str]]:
    """Returns of each run the settings, seeds and fold in which the runs differ."""
    own = {name: {**record.settings, **record.repetition} for name, record in records.items()}
    by_kind: dict[str, list[dict[str, str]]] = {}
    for name, record in records.items():
        by_kind.setdefault(record.kind, []).append(own[name])
    columns = differing_by_kind(by_kind)
    return {name: {key: each.get(key, UNSET) for key in columns} for name, each in own.items()}


def _run_row(name: str, record: RunRecord) -> dict[str, Any]:
    labels = record.predictions["label"]
    return {
        "name": name,
        "folder": str(record.folder),
        "kind": record.kind,
        "weights": record.weights,
        "n": len(labels),
        "n_positive": int(labels.sum()),
        "warnings": record.warnings,
    }


def _recipe_row(recipe: Recipe, *, level: float) -> dict[str, Any]:
    return {
        "name": recipe.name,
        "runs": list(recipe.runs),
        "differ_in": recipe.differ_in,
        "settings": recipe.settings,
        **summarise(list(recipe.runs.values()), level=level),
    }


def _fold_rows(records: Mapping[str, RunRecord], *, level: float) -> list[dict[str, Any]]:
    return [
        {"run": name, "folds": list(record.folds), **summarise(list(record.folds.values()), level=level)}
        for name, record in records.items()
        if record.folds
    ]


def _table_row(run: Mapping[str, Any], difference: Mapping[str, Any] | None) -> dict[str, Any]:
    row = {key: run[key] for key in ("name", "folder", "kind", "weights")} | dict(run["settings"])
    row |= {key: run[key] for key in ("n", "n_positive")}
    for score in SCORES:
        found = run["scores"][score]
        row |= {score: found["value"], f"{score}_low": found["low"], f"{score}_high": found["high"]}
    if difference is None:
        return row | {"compared": "the reference", "warnings": " ".join(run["warnings"])}
    row["compared"] = difference["refused"] or "with the reference"
    if not difference["refused"]:
        for score in SCORES:
            found = difference["scores"][score]
            names = {"": "value", "_low": "low", "_high": "high", "_p": "p", "_p_holm": "p_holm"}
            row |= {f"{score}_minus_reference{end}": found[key] for end, key in names.items()}
        row |= {f"auroc_delong_{key}": difference["delong"][key] for key in ("p", "p_holm")}
    return row | {"warnings": " ".join(run["warnings"])}
