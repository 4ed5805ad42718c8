"""Checkpoints: the best and the last model of a run, which a kill in the middle of a write cannot destroy."""

import copy
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import lightning as L
import torch
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.fabric.utilities.types import _PATH
from lightning.pytorch.callbacks import Checkpoint
from typing_extensions import override

from anemia_lightning.errors import DiskFullError
from anemia_lightning.files.checkpoint_file import read_checkpoint
from anemia_lightning.files.whole_file import link_file, whole_file


class BestAndLastCheckpoint(Checkpoint):
    """Keeps the best and the last epoch, in best.ckpt and last.ckpt.

    To write a checkpoint may take longer than an epoch from stored features. So last.ckpt is written when `every_s`
    seconds have gone by since the last write, after the first epoch and after the last; the best epoch waits in memory
    until then. A run that is killed in between goes on from the last write, one that is interrupted from the best epoch
    if that is later; it trains what followed again, to the same bits. After the best epoch so far both files are one,
    written once.

    Lightning's ModelCheckpoint writes `last` only together with a new best, lets NaN be the best while there is no
    other, and forgets the best score when the run folder has been moved.

    Args:
        folder: Where both files lie.
        monitor: The value that says which epoch is best.
        mode: Whether the best value is the lowest (`min`) or the highest (`max`).
        every_s: Seconds from one write to the next, at least; 0 writes after every epoch.
    """

    def __init__(self, folder: str | Path, *, monitor: str, mode: Literal["min", "max"], every_s: float = 30.0) -> None:
        self.best = Path(folder) / "best.ckpt"
        self.last = Path(folder) / "last.ckpt"
        self.monitor = monitor
        self.best_score = math.nan
        self._last_score = math.nan
        self._last_epoch = -1
        self._sign = {"min": 1, "max": -1}[mode]
        self._every_s = every_s
        self._written_at = -math.inf
        self._waiting_best: dict[str, Any] | None = None
        self._waiting_last: dict[str, Any] | None = None

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Sees to it that the best model of a run that goes on is of an epoch that this has trained.

        There is none when a checkpoint is continued in a new folder. It is of a later epoch when the run was killed
        after the best epoch was written and before the last: that epoch is trained again, maybe with other settings.
        """
        if trainer.ckpt_path is None:
            return
        epoch = trainer.strategy.broadcast(self._best_epoch() if trainer.is_global_zero else None)
        if epoch is None:
            self.best_score = math.nan
        elif epoch > self._last_epoch:
            # The best epoch before has made room for the later one, so the best that is left is the last.
            self.best_score = self._last_score if math.isfinite(self._last_score) else math.nan
            if trainer.is_global_zero:
                self._replace_best(Path(trainer.ckpt_path))

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Takes down what is to be kept of the epoch, and writes it if it is time to."""
        if trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        score = float(trainer.callback_metrics.get(self.monitor, math.nan))
        self._last_score, self._last_epoch = score, trainer.current_epoch
        # All processes gather a checkpoint together, which the first alone takes.
        is_best = trainer.strategy.broadcast(self._is_best(score))
        if is_best:
            self.best_score = score
        trainer.save_checkpoint(self.last, storage_options=self._take)
        is_due = time.monotonic() - self._written_at >= self._every_s
        if is_best:
            # The best before makes room first: each takes as much memory as the network and its optimizer.
            self._waiting_best = self._waiting_last
        if is_best and not is_due:
            # The best may wait for long, and what Lightning gathered changes with the next step.
            self._waiting_best = self._waiting_last = copy.deepcopy(self._waiting_last)
        if is_due:
            self._write(trainer)

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Lets go of the epoch before: its weights are about to change."""
        self._waiting_last = None

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Writes what waits."""
        self._write(trainer)

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Writes what waits."""
        if not isinstance(exception, DiskFullError):
            self._write(trainer)

    def state_dict(self) -> dict[str, Any]:
        """Returns the best value, and the epoch with its own."""
        return {"best_score": self.best_score, "last_score": self._last_score, "last_epoch": self._last_epoch}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores them."""
        self.best_score = state_dict["best_score"]
        self._last_score, self._last_epoch = state_dict["last_score"], state_dict["last_epoch"]

    def _is_best(self, score: float) -> bool:
        is_first = math.isnan(self.best_score)
        return math.isfinite(score) and (is_first or self._sign * score < self._sign * self.best_score)

    def _best_epoch(self) -> int | None:
        return int(read_checkpoint(self.best)["epoch"]) if self.best.is_file() else None

    def _replace_best(self, checkpoint: Path) -> None:
        if math.isnan(self.best_score):
            self.best.unlink()
        else:
            link_file(checkpoint, self.best)

    def _take(self, checkpoint: dict[str, Any]) -> None:
        self._waiting_last = checkpoint

    def _write(self, trainer: L.Trainer) -> None:
        best = self._waiting_best
        # An epoch that was interrupted has let go of the one before; the best that waits is later than last.ckpt.
        last = self._waiting_last or best
        write = trainer.strategy.checkpoint_io.save_checkpoint
        # In this order: a run that continues from an epoch before finds the best one once more.
        if best is not None:
            write(best, self.best)
        if last is not None and last is best:
            link_file(self.best, self.last)
        elif last is not None:
            write(last, self.last)
        self._waiting_best = self._waiting_last = None
        self._written_at = time.monotonic()


class DurableCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint beside its place, makes it durable, then renames it into place.

    Lightning stages the file in the system's temporary folder; where that is another file system, the move into
    place is a copy, and a kill during the copy leaves a stump where the good checkpoint was.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: _PATH, storage_options: Callable[[dict[str, Any]], None] | None = None
    ) -> None:
        """Writes `checkpoint` to `path`: wholly or not at all.

        Args:
            checkpoint: What Lightning gathered.
            path: Where it goes.
            storage_options: Takes the checkpoint in place of the disk.

        Raises:
            DiskFullError: If there is no room; the previous file is untouched.
        """
        if storage_options is not None:
            storage_options(checkpoint)
            return
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
