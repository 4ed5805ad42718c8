"""Tells how training goes: a bar on a terminal, one plain line per epoch in a log."""

import importlib.util
import sys

import lightning as L
from lightning.pytorch.callbacks import ProgressBar, RichProgressBar, TQDMProgressBar


class EpochLines(ProgressBar):
    """Prints one line per epoch, for logs and pipes."""

    def __init__(self) -> None:
        super().__init__()
        self._enabled = True

    def disable(self) -> None:
        """Lightning silences every rank but the first."""
        self._enabled = False

    def enable(self) -> None:
        """Lightning's counterpart."""
        self._enabled = True

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Prints the epoch's losses and scores."""
        if self._enabled:
            print(epoch_line(trainer), flush=True)  # noqa: T201  this is the user's terminal


class RichBar(RichProgressBar):
    """A bar for the epoch that runs, and above it a line for each that has."""

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Prints the epoch's losses and scores above the bar."""
        super().on_train_epoch_end(trainer, pl_module)
        if self.progress is not None:
            self.progress.console.print(epoch_line(trainer), highlight=False)


class PlainBar(TQDMProgressBar):
    """The same without rich."""

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Prints the epoch's losses and scores above the bar."""
        super().on_train_epoch_end(trainer, pl_module)
        self.print(epoch_line(trainer))


def epoch_line(trainer: L.Trainer) -> str:
    """Returns an epoch's losses and scores in words."""
    values = trainer.callback_metrics
    parts = [
        f"{label} {float(values[key]):.3f}"
        for label, key in (
            ("train loss", "train/loss"),
            ("val loss", "val/loss"),
            ("train acc", "train/acc"),
            ("val acc", "val/acc"),
            ("val AUROC", "val/auroc"),
        )
        if key in values
    ]
    return f"epoch {trainer.current_epoch:>3} of at most {trainer.max_epochs}: " + ", ".join(parts)


def progress_display() -> ProgressBar:
    """Returns the display that fits where the output goes."""
    if not sys.stdout.isatty():
        return EpochLines()
    if importlib.util.find_spec("rich"):
        return RichBar()
    return PlainBar()
