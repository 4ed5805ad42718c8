"""What a fit starts from, and the photographs that this has met."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import DictConfig
from torch import Tensor

from anemia_lightning.data.datamodule import AnemiaDataModule
from anemia_lightning.data.folds import Fold
from anemia_lightning.data.overlap import MetPhotos, check_unmet
from anemia_lightning.data.preparation import Prepared
from anemia_lightning.data.surroundings import kinds_carried_by
from anemia_lightning.errors import CheckpointUnreadableError, ConfigError
from anemia_lightning.files.checkpoint_file import carried_photos, read_checkpoint


class Start(NamedTuple):
    """What a fit starts from, as far as it is needed before the fit: what optimizer and callbacks held is not."""

    file: Path | None
    """The file that holds the first weights; None for torchvision's and for random ones."""
    epochs: int
    """Those that a checkpoint has trained for; 0 where there is none."""
    weights: Mapping[str, Tensor] | None
    """The state dict of a checkpoint that is continued or begun from: it has the weights of the whole network."""
    carried: Mapping[str, Any]
    """What a checkpoint carries of the photos that its model has met."""


def read_start(cfg: DictConfig, checkpoint: Path | None) -> Start:
    """Reads what a fit starts from, once.

    Args:
        cfg: The settings of `train` or `crossval`.
        checkpoint: The one that is continued, if any.

    Raises:
        CheckpointUnreadableError: If a checkpoint is to be continued or begun from that is missing or damaged.
    """
    if file := checkpoint or (Path(cfg.init_from) if cfg.init_from else None):
        content = read_checkpoint(file)
        return Start(file, content.get("epoch", -1) + 1, content["state_dict"], carried_photos(content))
    file = Path(cfg.model.weights or "").expanduser()
    if not file.is_file():
        return Start(None, 0, None, {})
    try:
        carried = carried_photos(read_checkpoint(file))
    except CheckpointUnreadableError:
        # Weights alone, as others save them; and who loads them says what is wrong with a damaged file.
        carried = {}
    return Start(file, 0, None, carried)


def check_epochs(cfg: DictConfig, start: Start) -> None:
    """Asserts that a run that goes on has not trained for longer than it is to.

    Raises:
        ConfigError: If it has.
    """
    most = cfg.trainer.max_epochs
    if start.epochs > most:
        raise ConfigError(
            [f"{start.file} has trained for {start.epochs} epochs, which are more than trainer.max_epochs={most}."]
        )


def remember_start(cfg: DictConfig, datamodule: AnemiaDataModule, start: Start) -> list[str]:
    """Has the checkpoints of a fit carry what its start has met, and returns what to warn of.

    Args:
        cfg: The settings of `train`.
        datamodule: The photos of the fit, split.
        start: What the fit starts from.

    Raises:
        StartOverlapError: If the fit starts from a model that has met its test or validation photos.
    """
    met = MetPhotos.carried_by(start.carried)
    if start.file and met:
        datamodule.start_from(start.file, met, kinds_carried_by(start.carried))
    if cfg.init_from and cfg.resume is None and met is None:
        name = Path(cfg.init_from).name
        return [f"{name}, from which this run starts, does not say which photographs trained it: test photos may have."]
    return []


def check_folds(cfg: DictConfig, folds: Sequence[Fold], prepared: Prepared) -> None:
    """Asserts of all folds, before the first is trained, that what they start from has not met what is to judge them.

    Raises:
        CheckpointUnreadableError: If they are to begin from a checkpoint that is missing or damaged.
        StartOverlapError: If it has.
    """
    start = read_start(cfg, None)
    met = MetPhotos.carried_by(start.carried)
    if start.file and met:
        for fold in folds:
            check_unmet(prepared.manifest, prepared.facts, fold.splits, file=start.file, met=met)
