"""What `predict` does: photographs in, a table of probabilities and decisions out."""

from pathlib import Path
from statistics import fmean

import pandas as pd
from omegaconf import DictConfig

from anemia_lightning import wiring
from anemia_lightning.contracts import UNKNOWN_LABEL
from anemia_lightning.data.manifest import photo_id
from anemia_lightning.data.reading import check_photos
from anemia_lightning.errors import CheckpointUnreadableError, NoPhotosError, UnreadablePhotosError
from anemia_lightning.evaluation import load_classifier
from anemia_lightning.run_folder import RunFolder, write_table
from anemia_lightning.scoring import NOTE, predict_together, prediction_table
from anemia_lightning.terminal import progress_bar, quiet, say

PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".heic", ".heif")


def predict_source(cfg: DictConfig) -> pd.DataFrame:
    """Predicts the photographs of `source` and writes the table.

    Raises:
        CheckpointUnreadableError: If the checkpoint is not one of ours.
        NoPhotosError: If there is nothing to predict.
        UnreadablePhotosError: If photographs cannot be decoded and `on_unreadable` is stop.
    """
    quiet()
    classifiers = [load_classifier(path) for path in find_checkpoints(Path(cfg.ckpt))]
    rows = find_photos(Path(cfg.source))
    with progress_bar("checking photographs") as progress:
        unreadable = check_photos(rows, progress=progress)
    if unreadable and (cfg.on_unreadable == "stop" or len(unreadable) == len(rows)):
        raise UnreadablePhotosError(unreadable)
    rows = rows[~rows["photo"].isin([photo.photo for photo in unreadable])].reset_index(drop=True)
    logits = predict_together(cfg, classifiers, rows, precision=wiring.resolve_precision(cfg))
    carried = fmean(classifier.hparams["threshold"] for classifier in classifiers)
    threshold = carried if cfg.threshold is None else cfg.threshold
    table = prediction_table(rows, logits, threshold=threshold)
    table = table.drop(columns="label")
    folder = RunFolder(cfg.paths.run_dir)
    output = Path(cfg.output) if cfg.output else folder.path / "predictions.csv"
    write_table(output, table)
    folder.point_latest()
    say(
        *(f"left out {photo.photo}: {photo.reason}" for photo in unreadable),
        f"{len(table)} photos, {table['prediction'].sum()} called anaemic at threshold {threshold:g}: {output}",
        NOTE,
    )
    return table


def find_checkpoints(named: Path) -> list[Path]:
    """Returns the checkpoint that is named, or those of all folds of a cross-validation.

    Raises:
        CheckpointUnreadableError: If it is a folder, but not that of a finished cross-validation.
    """
    if not named.is_dir():
        return [named]
    runs = [RunFolder(named / "folds" / file.stem) for file in sorted((named / "splits").glob("*.csv"))]
    missing = [run.best for run in runs if not run.best.is_file()]
    if missing or not runs:
        where = missing[0] if missing else named / "folds"
        raise CheckpointUnreadableError(where, FileNotFoundError())
    return [run.best for run in runs]


def find_photos(source: Path) -> pd.DataFrame:
    """Returns one row for each photograph of a file or a folder, subfolders included.

    Raises:
        NoPhotosError: If there are none.
    """
    if source.is_file():
        paths, root = [source], source.parent
    else:
        root = source
        paths = sorted(path for path in source.rglob("*") if path.suffix.lower() in PHOTO_SUFFIXES)
    if not paths:
        raise NoPhotosError(source, PHOTO_SUFFIXES)
    photos = [photo_id("photo", path, root).removeprefix("photo/") for path in paths]
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
