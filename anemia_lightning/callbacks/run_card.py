"""Keeps run.json: what ran, on what, how long, and why it ended."""

import json
import platform
import resource
import sys
import time
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import lightning as L
import torch
from lightning.pytorch.callbacks import Timer
from lightning.pytorch.utilities import rank_zero_only

from anemia_lightning import __version__
from anemia_lightning.callbacks.early_stopping import EarlyStopping
from anemia_lightning.callbacks.unfreeze import StagedClassifier
from anemia_lightning.contracts import Batch
from anemia_lightning.files.run_folder import read_run_card
from anemia_lightning.files.whole_file import whole_file

_PACKAGES = (
    "torch",
    "torchvision",
    "lightning",
    "torchmetrics",
    "scikit-learn",
    "hydra-core",
    "numpy",
    "pandas",
    "pillow",
)


class RunCard(L.Callback):
    """Writes run.json before the first epoch, after each, and at the end.

    Clock values stand here and nowhere else. Every start of a run, also a resumed one, adds a session.

    Args:
        path: Where run.json goes; what an earlier session wrote there stays, as far as `facts` does not replace it.
        facts: What the command knows: seeds, hashes, precision, warnings.
    """

    def __init__(self, path: str | Path, facts: Mapping[str, Any]) -> None:
        self._path = Path(path)
        self._session: dict[str, Any] = {"started": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "epochs": []}
        earlier = read_run_card(self._path)
        self.content: dict[str, Any] = {
            **earlier,
            "status": "running",
            "stop_reason": None,
            "versions": versions(),
            **facts,
            "sessions": [*earlier.get("sessions", []), self._session],
        }
        self._marks = {"train": 0.0, "val": 0.0}
        self._photos = 0

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Notes what the run runs on."""
        self._session["device"] = device_name(trainer)
        self._session["processes"] = trainer.world_size
        self.write()

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Starts the clock of the epoch."""
        self._marks["train"] = _when_done(trainer)
        self._photos = 0

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Counts the photos that the epoch trains on, those of other processes as if they had as many each."""
        self._photos += len(batch.photo) * trainer.world_size

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Starts the clock of the validation, which ends the epoch's training."""
        self._marks["val"] = _when_done(trainer)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Notes the photos and the seconds of the epoch."""
        now = _when_done(trainer)
        validated = self._marks["val"] > self._marks["train"]
        train_end = self._marks["val"] if validated else now
        self._session["epochs"].append(
            {
                "epoch": trainer.current_epoch,
                "train_from": cast("StagedClassifier", pl_module).network.train_from,
                "photos": self._photos,
                "train_s": round(train_end - self._marks["train"], 3),
                "val_s": round(now - train_end, 3),
            }
        )
        self.write()

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Notes why training ended."""
        self.content["stop_reason"] = stop_reason(trainer)
        # Not current_epoch: it lags by one where a resumed fit has nothing left to train.
        self.content["epochs"] = trainer.fit_loop.epoch_progress.current.processed  # type: ignore[attr-defined]
        self.write()

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Notes what interrupted training."""
        self.content.update(status="interrupted", stop_reason=type(exception).__name__)
        self.write()

    def finish(self) -> None:
        """Says that the run has come to its end: not before its documents are those of its model."""
        self.content.update(status="finished", peak_memory_mib=peak_memory_mib())
        self.write()

    @rank_zero_only
    def write(self) -> None:
        """Writes run.json, wholly or not at all."""
        with whole_file(self._path) as file:
            file.write(json.dumps(self.content, indent=2, allow_nan=False).encode() + b"\n")


def versions() -> dict[str, str]:
    """Returns the versions of ourselves, of Python and of what numbers depend on."""
    ours = {"anemia_lightning": __version__, "python": platform.python_version(), "platform": platform.platform()}
    return ours | {package: version(package) for package in _PACKAGES}


def _when_done(trainer: L.Trainer) -> float:
    """Returns the clock when the device has done all that it was told to: a GPU is told ahead of its time."""
    device = trainer.strategy.root_device
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def device_name(trainer: L.Trainer) -> str:
    """Returns the device in words, with the number of threads on a CPU."""
    device = trainer.strategy.root_device
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type} ({platform.machine()}, {torch.get_num_threads()} threads)"


def stop_reason(trainer: L.Trainer) -> str:
    """Returns in words why a fit ended."""
    callbacks: list[L.Callback] = trainer.callbacks  # type: ignore[attr-defined]
    for callback in callbacks:
        if isinstance(callback, EarlyStopping) and (reason := callback.stop_reason()):
            return reason
    if trainer.max_epochs is not None and trainer.current_epoch >= trainer.max_epochs:
        return f"trainer.max_epochs={trainer.max_epochs} reached"
    if any(isinstance(callback, Timer) and (callback.time_remaining() or 0) <= 0 for callback in callbacks):
        return "trainer.max_time ran out"
    return "a limit of the trainer was reached"


def peak_memory_mib() -> float:
    """Returns the largest resident memory of this process so far, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1)
