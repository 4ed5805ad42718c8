"""One run as its folder tells it: settings, predictions, and what must be said beside its numbers."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from omegaconf import DictConfig, OmegaConf
from yaml import YAMLError

from anemia_lightning.assessment.repeats import join_repeats
from anemia_lightning.comparing.divisions import Division, name_division, read_division
from anemia_lightning.comparing.files import RunFiles, how_far, open_run, warnings_of
from anemia_lightning.comparing.search import is_run
from anemia_lightning.comparing.settings import Repetition, comparable_settings, repetition_of
from anemia_lightning.files.run_folder import read_table
from anemia_lightning.metrics.scores import auroc

_NEEDED = ("photo", "patient", "photo_group", "label", "logit", "probability", "prediction")
_KINDS = {"train": "training", "debug": "training", "crossval": "cross-validation", "evaluate": "evaluation"}
_UNREADABLE = (OSError, ValueError, KeyError, TypeError, YAMLError)
_SAME = 1e-6


class Leftover(NamedTuple):
    """A folder that has nothing to compare."""

    folder: Path
    reason: str


class FoldRecord(NamedTuple):
    """One fold of a cross-validation."""

    division: Division
    predictions: pd.DataFrame


@dataclass(frozen=True)
class RunRecord:
    """A run that has come to its scores."""

    folder: Path
    kind: str
    """training, cross-validation or evaluation."""
    settings: dict[str, str]
    """All that can change a result, by dotted name, but what only repeats."""
    repetition: Repetition
    """Seeds and fold: in what runs of one recipe differ."""
    weights: str
    predictions: pd.DataFrame
    """One row per test photo: photo, patient, photo_group, label, logit, probability, prediction. Of a
    cross-validation with repeats, their means, and of predictions the majority; a tie counts as anaemic."""
    division: Division
    """Which photos made the model and which judge it; of a cross-validation without their numbers."""
    folds: dict[str, FoldRecord]
    """Of a cross-validation: what each fold has said."""
    warnings: list[str]


class _Unfinished(Exception):  # noqa: N818 (no error, but what became of a run)
    """What a folder lacks to be compared."""


def read_run(folder: Path) -> RunRecord | Leftover:
    """Returns a run, or why there is nothing to compare in a folder."""
    try:
        return _read(folder)
    except _Unfinished as lack:
        return Leftover(folder, str(lack))
    except _UNREADABLE as error:
        return Leftover(folder, f"it cannot be read: {type(error).__name__}: {' '.join(str(error).split())}")


def _read(folder: Path) -> RunRecord:
    run = _finished(folder)
    scores = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    is_pooled = run.verb == "crossval"
    table = _table(folder / ("predictions.csv" if is_pooled else "predictions_test.csv"))
    predictions = join_repeats(table)
    # What an evaluation left to its run stands in its record alone.
    judged = OmegaConf.merge(run.cfg, {"evaluation": run.card.get("evaluation", {})})
    assert isinstance(judged, DictConfig)
    trained = run.trained.cfg if run.verb == "evaluate" and run.trained else None
    repetition = repetition_of(run.cfg if trained is None else trained)
    # Nobody can tell any more with which others an evaluation shares a division whose training is gone.
    is_known = run.verb != "evaluate" or trained is not None
    division = name_division(repetition, predictions["photo"]) if is_known else str(folder)
    return RunRecord(
        folder=folder,
        kind=_KINDS[run.verb],
        settings=comparable_settings(judged, trained, weights=run.weights),
        repetition=repetition,
        weights=run.weights,
        predictions=predictions,
        division=read_division(division, folder / "splits.csv"),
        folds=_folds(folder, table) if is_pooled else {},
        warnings=[*warnings_of(run, scores), *_contradiction(scores, predictions)],
    )


def _finished(folder: Path) -> RunFiles:
    """Returns the files of a run that has come to its scores."""
    if not is_run(folder):
        raise _Unfinished("a file, not a run folder" if folder.is_file() else "not a run folder")
    if (failure := folder / "FAILED.txt").is_file():
        raise _Unfinished(f"failed: {' '.join(failure.read_text(encoding='utf-8').split())}")
    run = open_run(folder)
    if run is None:
        raise _Unfinished("unfinished: it ended before its settings were written")
    if run.verb not in _KINDS:
        raise _Unfinished(f"a run of {run.verb}, which judges no predictions")
    if not (folder / "metrics.json").is_file():
        raise _Unfinished(how_far(run))
    return run


def _table(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise _Unfinished(f"no {path.name}")
    table = read_table(path)
    if missing := [name for name in _NEEDED if name not in table]:
        raise _Unfinished(f"{path.name} lacks {', '.join(missing)}")
    if not len(table) or not table["label"].isin((0, 1)).all():
        raise _Unfinished(f"{path.name} holds no photos whose labels are all known")
    if not np.isfinite(table[["logit", "probability"]].to_numpy(dtype=np.float64)).all():
        raise _Unfinished(f"{path.name} holds logits that are not finite: training has diverged")
    return table


def _folds(folder: Path, table: pd.DataFrame) -> dict[str, FoldRecord]:
    return {
        str(name): FoldRecord(read_division(str(name), folder / "splits" / f"{name}.csv"), rows)
        for name, rows in table.groupby("fold", sort=False)
    }


def _contradiction(scores: Mapping[str, Any], predictions: pd.DataFrame) -> list[str]:
    """Says where metrics.json holds another AUROC than the predictions give."""
    stated = (scores.get("pooled") or scores.get("test") or {}).get("auroc")
    found = auroc(predictions["label"].to_numpy(), predictions["logit"].to_numpy())
    if stated is None or found is None or abs(stated - found) < _SAME:
        return []
    return [f"Its metrics.json says AUROC {stated:.4f}, its predictions give {found:.4f}: one of them was changed."]
