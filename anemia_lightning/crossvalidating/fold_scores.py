"""The scores of a cross-validation: of each fold, and of all photos together, beside those of the baselines."""

import json
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import pandas as pd

from anemia_lightning.assessment.repeats import join_repeats
from anemia_lightning.baselines import COMPARED, predict_baselines
from anemia_lightning.contracts import PREDICTION_COLUMNS
from anemia_lightning.data.folds import Fold
from anemia_lightning.data.preparation import Prepared
from anemia_lightning.errors import DecisionMissingError
from anemia_lightning.files.run_folder import RunFolder, read_table
from anemia_lightning.judging.scoring import score_table
from anemia_lightning.metrics.decision import Decision
from anemia_lightning.metrics.scores import shown

_ALIKE = (1.0, 1.0)
"""Folds weigh the classes each by its own training photos, so pooled losses weigh them alike."""


def pool_predictions(folds: Sequence[Fold], folders: Sequence[RunFolder]) -> pd.DataFrame:
    """Returns the test predictions of all folds, one row per photo and repeat: repeat, fold, `PREDICTION_COLUMNS`."""
    tables = [
        read_table(folder.predictions("test")).assign(repeat=fold.repeat, fold=fold.name)
        for fold, folder in zip(folds, folders, strict=True)
    ]
    return pd.concat(tables, ignore_index=True)[["repeat", "fold", *PREDICTION_COLUMNS]]


def pool_baselines(folds: Sequence[Fold], prepared: Prepared, *, seed: int) -> pd.DataFrame:
    """Returns what the baselines say of the same photos, each fitted on the training photos of the same fold.

    Photos of a fold in which a baseline could not be fitted have NaN.
    """
    rows = prepared.joined
    tables = []
    for fold in folds:
        split = fold.splits.to_numpy()
        train, test = rows[split == "train"], rows[split == "test"]
        known = test[["photo", "label"]].assign(repeat=fold.repeat, fold=fold.name)
        tables.append(known.join(predict_baselines(train, test, names=COMPARED, seed=seed)))
    pooled: pd.DataFrame = pd.concat(tables, ignore_index=True)
    return pooled


def score_folds(predictions: pd.DataFrame, assessment: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the scores of all photos together and of each fold, with those of the baselines.

    Pooled scores are those of each photo's mean logit (of a baseline: mean probability) over the repeats, and of the
    decisions of the folds' models; their intervals and the baselines are those of the assessment.

    Args:
        predictions: What `pool_predictions` returns.
        assessment: What assessment.json holds of them.

    Returns:
        Plain values: pooled, baselines by name, folds by name.
    """
    # Sums of floats depend on their order, and with them the last digits.
    photos = join_repeats(predictions).sort_values("photo")
    return {
        "pooled": {
            **score_table(photos, class_weights=_ALIKE),
            "prevalence": float(photos["label"].mean()),
            "auroc_interval": _bounds(assessment["photos"]["scores"]["auroc"]),
        },
        "baselines": {
            baseline["name"]: {
                "auroc": baseline["auroc"]["value"],
                "auroc_interval": _bounds(baseline["auroc"]),
                "network_minus_this": baseline["difference"]["value"],
                "network_minus_this_interval": _bounds(baseline["difference"]),
            }
            for baseline in assessment["baselines"]
        },
        "folds": {
            str(name): score_table(rows, class_weights=_ALIKE) for name, rows in predictions.groupby("fold", sort=False)
        },
    }


def fold_decisions(folds: Sequence[Fold], folders: Sequence[RunFolder]) -> dict[str, Decision]:
    """Returns how each fold's model decides, by the fold's name.

    Raises:
        DecisionMissingError: If the folder of a finished fold lacks its decision.
    """
    decisions = {}
    for fold, folder in zip(folds, folders, strict=True):
        if not folder.decision.is_file():
            raise DecisionMissingError(folder.decision)
        decisions[fold.name] = Decision.from_dict(json.loads(folder.decision.read_text(encoding="utf-8")))
    return decisions


def fold_notes(decisions: Mapping[str, Decision]) -> list[str]:
    """Returns what each fold has to say of its decision."""
    return [f"{name}: {note}" for name, decision in decisions.items() for note in decision.notes]


def _bounds(estimate: Mapping[str, Any]) -> list[float] | None:
    """Returns an interval as a list; None where there is none."""
    return None if estimate["low"] is None else [estimate["low"], estimate["high"]]


def fold_lines(scores: Mapping[str, Any]) -> list[str]:
    """Returns the short table that a cross-validation ends with, line by line."""
    pooled = scores["pooled"]
    lines = [f"All folds together, {pooled['n']} photos, {pooled['n_positive']} anaemic, AUROC [95 % interval]:"]
    lines.append(_line("this network", pooled))
    lines += [_line(name, found) for name, found in scores["baselines"].items()]
    each = [found["auroc"] for found in scores["folds"].values() if found["auroc"] is not None]
    if each:
        lines.append(f"AUROC of the single folds: {min(each):.3f} to {max(each):.3f}, mean {fmean(each):.3f}")
    return lines


def _line(name: str, found: Mapping[str, Any]) -> str:
    interval = found["auroc_interval"]
    limits = f"  [{interval[0]:.3f}, {interval[1]:.3f}]" if interval else ""
    return f"  {name:<28}{shown(found['auroc'])}{limits}"
