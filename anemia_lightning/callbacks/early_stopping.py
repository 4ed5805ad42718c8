"""Early stopping that waits for the last release and then starts afresh."""

from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import EarlyStopping as LightningEarlyStopping
from lightning.pytorch.callbacks.early_stopping import EarlyStoppingReason


class EarlyStopping(LightningEarlyStopping):
    """Lightning's early stopping, which for want of progress stops no run before the last release of frozen stages.

    A head alone reaches its plateau early; stopping there would skip the phase that the run is for. A value that is
    not finite stops at once. A run that was stopped is not continued by a resume, unless with more patience.
    """

    def start_afresh(self) -> None:
        """Forgets the counter and the best value, as at a release."""
        self.wait_count = 0
        self.best_score = torch.tensor(torch.inf if self.mode == "min" else -torch.inf)

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Ends a resumed fit that had been stopped already."""
        if self.stopping_reason != EarlyStoppingReason.NOT_STOPPED:
            trainer.should_stop = True

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Counts every epoch, and acts on the count when no release is to come."""
        stopped_by_others = trainer.should_stop
        super().on_train_epoch_end(trainer, pl_module)
        if self._is_out_of_patience() and trainer.current_epoch < _last_release(trainer):
            trainer.should_stop = stopped_by_others
            self._take_back_stop()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores counter and best value; the patience is that of the settings."""
        super().load_state_dict({**state_dict, "patience": self.patience})
        if self._is_out_of_patience() and self.wait_count < self.patience:
            self._take_back_stop()

    def stop_reason(self) -> str | None:
        """Returns in words why it stopped the run, or None."""
        if self._is_out_of_patience():
            return f"{self.monitor} had not improved on {float(self.best_score):.4f} for {self.wait_count} epochs"
        if self.stopping_reason == EarlyStoppingReason.NON_FINITE_METRIC:
            return f"{self.monitor} was not finite, so training has diverged"
        return self.stopping_reason_message

    def _is_out_of_patience(self) -> bool:
        return self.stopping_reason == EarlyStoppingReason.PATIENCE_EXHAUSTED

    def _take_back_stop(self) -> None:
        self.stopped_epoch = 0
        self.stopping_reason = EarlyStoppingReason.NOT_STOPPED
        self.stopping_reason_message = None


def _last_release(trainer: L.Trainer) -> int:
    callbacks: list[L.Callback] = trainer.callbacks  # type: ignore[attr-defined]
    return max((getattr(callback, "last_release", 0) for callback in callbacks), default=0)
