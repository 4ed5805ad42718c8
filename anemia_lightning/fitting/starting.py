"""What a fit starts from, and the photographs that this has met."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from anemia_lightning.data.datamodule import AnemiaDataModule
from anemia_lightning.data.folds import Fold
from anemia_lightning.data.overlap import MetPhotos, check_unmet
from anemia_lightning.data.preparation import Prepared
from anemia_lightning.data.surroundings import kinds_carried_by
from anemia_lightning.errors import CheckpointUnreadableError, ConfigError
from anemia_lightning.files.checkpoint_file import carried_photos, read_checkpoint


def check_epochs(cfg: DictConfig, checkpoint: Path) -> None:
    """Asserts that a run that goes on has not trained for longer than it is to.

    Raises:
        ConfigError: If it has.
        CheckpointUnreadableError: If the checkpoint is missing or damaged.
    """
    done = read_checkpoint(checkpoint).get("epoch", -1) + 1
    most = cfg.trainer.max_epochs
    if done > most:
        raise ConfigError(
            [f"{checkpoint} has trained for {done} epochs, which are more than trainer.max_epochs={most}."]
        )


def remember_start(cfg: DictConfig, datamodule: AnemiaDataModule, checkpoint: Path | None) -> list[str]:
    """Has the checkpoints of a fit carry what its start has met, and returns what to warn of.

    Args:
        cfg: The settings of `train`.
        datamodule: The photos of the fit, split.
        checkpoint: The one that is continued, if any.

    Raises:
        StartOverlapError: If the fit starts from a model that has met its test or validation photos.
    """
    file = _start_file(cfg, checkpoint)
    carried = _carried_by(file)
    met = MetPhotos.carried_by(carried)
    if file and met:
        datamodule.start_from(file, met, kinds_carried_by(carried))
    if cfg.init_from and not checkpoint and met is None:
        name = Path(cfg.init_from).name
        return [f"{name}, from which this run starts, does not say which photographs trained it: test photos may have."]
    return []


def check_folds(cfg: DictConfig, folds: Sequence[Fold], prepared: Prepared) -> None:
    """Asserts of all folds, before the first is trained, that what they start from has not met what is to judge them.

    Raises:
        StartOverlapError: If it has.
    """
    file = _start_file(cfg, None)
    met = MetPhotos.carried_by(_carried_by(file))
    if file and met:
        for fold in folds:
            check_unmet(prepared.manifest, prepared.facts, fold.splits, file=file, met=met)


def _start_file(cfg: DictConfig, checkpoint: Path | None) -> Path | None:
    """Returns the file that holds the first weights; None for torchvision's and for random ones."""
    if checkpoint or cfg.init_from:
        return checkpoint or Path(cfg.init_from)
    weights = Path(cfg.model.weights or "").expanduser()
    return weights if weights.is_file() else None


def _carried_by(file: Path | None) -> Mapping[str, Any]:
    """Returns what a file carries of the photos that its model has met."""
    try:
        return carried_photos(read_checkpoint(file)) if file else {}
    except CheckpointUnreadableError:
        # Weights alone, as others save them; and who loads them says what is wrong with a damaged file.
        return {}
