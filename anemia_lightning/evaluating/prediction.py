"""What `predict` does: photographs in, a table of probabilities and decisions out."""

import os
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryFile

import numpy as np
import pandas as pd
from omegaconf import DictConfig

from anemia_lightning.command_line.terminal import progress_bar, quiet, say
from anemia_lightning.contracts import PREDICTION_COLUMNS, UNKNOWN_LABEL
from anemia_lightning.data.listing import find_photos, is_file
from anemia_lightning.data.manifest import foreign_names, photo_id
from anemia_lightning.data.surroundings import Surroundings, kinds_carried_by
from anemia_lightning.errors import (
    CheckpointUnreadableError,
    ManifestError,
    NoConformalSetsError,
    NoPhotosError,
    PredictionsUnwritableError,
    UnfinishedRunError,
)
from anemia_lightning.evaluating.photo_logits import photo_logits
from anemia_lightning.files.run_folder import RunFolder, is_finished, write_table
from anemia_lightning.judging.deciding import named_threshold
from anemia_lightning.judging.scoring import NOTE
from anemia_lightning.metrics.conformal import ABSTAIN
from anemia_lightning.metrics.joint_decision import JointDecision
from anemia_lightning.model.finished import FinishedModel, open_model

EITHER = "both labels are possible"
NEITHER = "neither label fits"
OTHER = "only the label across the threshold fits"
"""Why a photo gets no prediction where the model abstains."""


def predict_source(cfg: DictConfig) -> pd.DataFrame:
    """Predicts the photographs of `source` and writes the table.

    Raises:
        PredictionsUnwritableError: If the table cannot be written to `output`.
        CheckpointUnreadableError: If the checkpoint is not one of ours.
        UnfinishedRunError: If it is a cross-validation that has not come to its end.
        NoConformalSetsError: If the model is to abstain, but carries no sets by which to.
        NoPhotosError: If there is nothing to predict.
        ManifestError: If the names of some could not be written into the table.
        UnreadablePhotosError: If photographs cannot be decoded and `on_unreadable` is stop.
    """
    quiet()
    if cfg.output:
        _check_output(Path(cfg.output))
    models = [open_model(path) for path in find_checkpoints(Path(cfg.ckpt))]
    decision = JointDecision.of([model.decision for model in models], threshold=named_threshold(cfg.threshold))
    if cfg.abstain and not decision.has_sets:
        raise NoConformalSetsError(Path(cfg.ckpt))
    rows = photo_rows(Path(cfg.source))
    range_photos = photo_rows(Path(cfg.calibration)) if cfg.calibration else None
    with progress_bar("predicting") as progress:
        found = photo_logits(cfg, models, rows, range_photos=range_photos, progress=progress)
    rows = rows[rows["photo"].isin(found.table.index)].reset_index(drop=True)
    table = joint_table(rows, found.table, decision, abstain=cfg.abstain)
    folder = RunFolder(cfg.paths.run_dir)
    output = Path(cfg.output) if cfg.output else folder.path / "predictions.csv"
    write_table(output, table)
    folder.point_latest()
    say(
        *(f"left out {photo.photo}: {photo.reason}" for photo in found.unreadable),
        *_unlike_training(found.surroundings, models),
        *(f"Note: {note}" for note in decision.notes),
        f"{len(table)} photos, {_counts(table)} at threshold {decision.threshold:.3g}: {output}",
        NOTE,
    )
    return table


def _unlike_training(given: Surroundings, models: Sequence[FinishedModel]) -> list[str]:
    """Returns what to say where photographs are of a kind that trained none of the models."""
    said = given.unlike(frozenset().union(*(kinds_carried_by(model.photos) for model in models)))
    return [f"Warning: {said}"] if said else []


def _check_output(output: Path) -> None:
    """Asserts that a table can be written there, before photographs are predicted for it; leaves nothing behind.

    Raises:
        PredictionsUnwritableError: If it cannot.
    """
    path = output.absolute()
    # Where a folder may not be searched, pathlib would raise.
    nearest = next(place for place in (path, *path.parents) if os.access(place, os.F_OK))
    if nearest == path:
        if path.is_dir():
            raise PredictionsUnwritableError(output, "a folder of that name")
        nearest = path.parent
    try:
        with TemporaryFile(dir=nearest):
            pass
    except OSError as error:
        found = f"that {nearest} cannot be written to ({error.strerror or error})"
        raise PredictionsUnwritableError(output, found) from error


def joint_table(rows: pd.DataFrame, logits: pd.DataFrame, decision: JointDecision, *, abstain: bool) -> pd.DataFrame:
    """Returns the predictions of one model or of several that decide together.

    Args:
        rows: What `photo_rows` returns.
        logits: The logit of each photo by each model, [photos, models], by photo id.
        decision: What makes one probability and one prediction of them.
        abstain: Whether a photo whose conformal set is not the decision alone gets no prediction.

    Returns:
        One row per photo: `PREDICTION_COLUMNS` without label, `logit` being the mean over the models; with `abstain`
        also `abstained`: "" for a photo with a prediction, else why it has none.
    """
    values = logits.loc[rows["photo"]].to_numpy(dtype=np.float64)
    table = rows.assign(
        logit=values.mean(axis=1), probability=decision.probability(values), prediction=decision.decide(values)
    )[[name for name in PREDICTION_COLUMNS if name != "label"]]
    answers, sets = decision.answers(values), decision.sets(values)
    if not abstain or answers is None or sets is None:
        return table
    reasons = np.where(sets.all(axis=1), EITHER, np.where(sets.any(axis=1), OTHER, NEITHER))
    is_answered = answers != ABSTAIN
    prediction = pd.Series(answers, index=table.index, dtype="Int64").where(is_answered)
    return table.assign(prediction=prediction, abstained=np.where(is_answered, "", reasons))


def _counts(table: pd.DataFrame) -> str:
    called = f"{table['prediction'].sum()} called anaemic"
    without = int(table["prediction"].isna().sum())
    return f"{called}, {without} without a prediction," if "abstained" in table else called


def find_checkpoints(named: Path) -> list[Path]:
    """Returns the checkpoint that is named, or those of all folds of a cross-validation.

    Raises:
        CheckpointUnreadableError: If it is a folder, but not that of a cross-validation.
        UnfinishedRunError: If it is one of which not all folds are finished.
    """
    if not named.is_dir():
        return [named]
    folds = [named / "folds" / file.stem for file in sorted((named / "splits").glob("*.csv"))]
    if not folds:
        raise CheckpointUnreadableError(named / "folds", FileNotFoundError())
    # A fold has a best model from its first epoch on.
    if unfinished := [fold for fold in folds if not is_finished(fold)]:
        raise UnfinishedRunError(named, unfinished)
    return [RunFolder(fold).best for fold in folds]


def photo_rows(source: Path) -> pd.DataFrame:
    """Returns one row for each photograph of a file or a folder, subfolders included, as training looks for them.

    Raises:
        NoPhotosError: If there are none.
        ManifestError: If the names of some could not be written into the table.
        SourceError: If a folder cannot be read, or is a link.
    """
    if is_file(source):
        paths, root = [source], source.parent
    else:
        paths, root = find_photos(source) if source.is_dir() else [], source
    if not paths:
        raise NoPhotosError(source)
    photos = [photo_id("photo", path, root).removeprefix("photo/") for path in paths]
    # As objects, for pandas' own texts cannot hold such names either.
    named = pd.DataFrame({"photo": photos, "path": [str(path) for path in paths]}, dtype=object)
    if foreign := foreign_names(named):
        raise ManifestError(foreign)
    return pd.DataFrame(
        {
            "photo": photos,
            "path": [str(path) for path in paths],
            "mask": "",
            "label": UNKNOWN_LABEL,
            "patient": "",
            "photo_group": "",
            "site": "",
        }
    )
