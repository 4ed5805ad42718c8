"""A closer look at the photos of a cross-validation, each by the model that never saw it."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import pandas as pd
from omegaconf import DictConfig

from anemia_lightning import wiring
from anemia_lightning.data.dataset import PhotoRows
from anemia_lightning.data.folds import Fold
from anemia_lightning.data.preparation import Prepared
from anemia_lightning.files.run_folder import RunFolder
from anemia_lightning.looking.look import Looks, Subject, look
from anemia_lightning.metrics.decision import Decision
from anemia_lightning.model.backbone import AnemiaNetwork
from anemia_lightning.model.finished import open_model
from anemia_lightning.model.precision import dtype_of


def look_at_folds(
    cfg: DictConfig,
    folds: Sequence[Fold],
    predictions: pd.DataFrame,
    prepared: Prepared,
    decisions: Mapping[str, Decision],
) -> Looks | None:
    """Looks at photos of all folds of the first draw together, as `looking.look` does at those of one model.

    Args:
        cfg: The settings of the cross-validation.
        folds: Its folds, all of them finished.
        predictions: As `fold_scores.pool_predictions` returns them.
        prepared: The photos.
        decisions: How each fold's model decides, by the fold's name.

    Returns:
        What was found; None where no photo is to be looked at, or `look_note` says why none can be.
    """
    if not cfg.evaluation.probe_photos or look_note(cfg, folds):
        return None
    known = prepared.manifest.set_index("photo", drop=False)
    subjects = []
    for name, checkpoint in _best_models(cfg, folds).items():
        table = predictions[predictions["fold"] == name].reset_index(drop=True)
        photos = PhotoRows.of(known.loc[table["photo"]], prepared.facts)
        subjects.append(Subject(partial(_open, checkpoint), photos, table, decisions[name]))
    return look(
        subjects,
        framing=wiring.build_framing(cfg),
        device=wiring.resolve_device(cfg.trainer.accelerator),
        dtype=dtype_of(wiring.resolve_precision(cfg)),
        photos=cfg.evaluation.probe_photos,
        show_photos=cfg.logger.photos,
        threads=wiring.reading_threads(),
    )


def look_note(cfg: DictConfig, folds: Sequence[Fold]) -> str:
    """Returns in a sentence why photos that are to be looked at cannot be; empty where they can, or none is to be.

    Args:
        cfg: The settings of the cross-validation.
        folds: Its folds, all of them finished.
    """
    best = _best_models(cfg, folds)
    lost = sum(not checkpoint.is_file() for checkpoint in best.values())
    if not cfg.evaluation.probe_photos or not lost:
        return ""
    return f"No photo could be looked at closely: {lost} of {len(best)} folds kept no best.ckpt."


def _best_models(cfg: DictConfig, folds: Sequence[Fold]) -> dict[str, Path]:
    """Returns where the best models of the first draw lie, by the fold's name; a fold without checkpoints has none."""
    place = Path(cfg.paths.run_dir) / "folds"
    return {fold.name: RunFolder(place / fold.name).best for fold in folds if fold.repeat == 0}


def _open(checkpoint: Path) -> AnemiaNetwork:
    return open_model(checkpoint).network
