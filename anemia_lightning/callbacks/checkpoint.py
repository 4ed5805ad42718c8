"""Checkpoints: the best and the last model of a run, which a kill in the middle of a write cannot destroy."""

import math
from pathlib import Path
from typing import Any, Literal

import lightning as L
import torch
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.fabric.utilities.types import _PATH
from lightning.pytorch.callbacks import Checkpoint
from typing_extensions import override

from anemia_lightning.checkpoint_file import read_checkpoint
from anemia_lightning.whole_file import link_file, whole_file


class BestAndLastCheckpoint(Checkpoint):
    """Writes best.ckpt after each epoch that is the best so far, and last.ckpt after every epoch.

    After the best epoch so far both are one file, written once.

    Lightning's ModelCheckpoint writes `last` only together with a new best, lets NaN be the best while there is no
    other, and forgets the best score when the run folder has been moved.

    Args:
        folder: Where both files lie.
        monitor: The value that says which epoch is best.
        mode: Whether the best value is the lowest (`min`) or the highest (`max`).
    """

    def __init__(self, folder: str | Path, *, monitor: str, mode: Literal["min", "max"]) -> None:
        self.best = Path(folder) / "best.ckpt"
        self.last = Path(folder) / "last.ckpt"
        self.monitor = monitor
        self.best_score = math.nan
        self._sign = {"min": 1, "max": -1}[mode]

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Forgets a best model that is not here, as when a checkpoint is continued in a new folder."""
        if not trainer.strategy.broadcast(self.best.is_file()):
            self.best_score = math.nan

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Writes what is to be kept of the epoch."""
        if trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        score = float(trainer.callback_metrics.get(self.monitor, math.nan))
        # All processes write a checkpoint together, or none.
        if not trainer.strategy.broadcast(self._is_best(score)):
            trainer.save_checkpoint(self.last)
            return
        self.best_score = score
        # In this order: a run that continues from the epoch before finds this one the best once more.
        trainer.save_checkpoint(self.best)
        if trainer.is_global_zero:
            link_file(self.best, self.last)

    def state_dict(self) -> dict[str, Any]:
        """Returns the best value."""
        return {"best_score": self.best_score}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores it."""
        self.best_score = state_dict["best_score"]

    def _is_best(self, score: float) -> bool:
        is_first = math.isnan(self.best_score)
        return math.isfinite(score) and (is_first or self._sign * score < self._sign * self.best_score)


class DurableCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint beside its place, makes it durable, then renames it into place.

    Lightning stages the file in the system's temporary folder; where that is another file system, the move into
    place is a copy, and a kill during the copy leaves a stump where the good checkpoint was.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: _PATH, storage_options: object = None) -> None:
        """Writes `checkpoint` to `path`: wholly or not at all.

        Raises:
            DiskFullError: If there is no room; the previous file is untouched.
        """
        with whole_file(Path(path)) as file:
            try:
                torch.save(checkpoint, file)
            except RuntimeError as error:
                if interruption := _interruption(error):
                    raise interruption from None
                raise

    @override
    def load_checkpoint(
        self, path: _PATH, map_location: object = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Reads a checkpoint; never runs code that it may carry.

        Raises:
            CheckpointUnreadableError: If the file is missing, torn or holds more than plain values.
        """
        return read_checkpoint(Path(path))


def _interruption(error: BaseException | None) -> BaseException | None:
    """Returns the interruption that torch's writer hides behind a complaint about its own state, if there is one."""
    while isinstance(error, Exception):
        error = error.__context__
    return error
