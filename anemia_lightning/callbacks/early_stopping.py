"""Early stopping that waits for the last release and then starts afresh."""

import lightning as L
import torch
from lightning.pytorch.callbacks import EarlyStopping as LightningEarlyStopping


class EarlyStopping(LightningEarlyStopping):
    """Lightning's early stopping, counted from the last release of frozen stages on.

    A head alone reaches its plateau early; stopping there would skip the phase that the run is for.
    Without a release it stops like any other run.
    """

    def start_afresh(self) -> None:
        """Forgets the counter and the best value, as at a release."""
        self.wait_count = 0
        self.best_score = torch.tensor(torch.inf if self.mode == "min" else -torch.inf)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Checks, unless a release is still to come."""
        if trainer.current_epoch >= _last_release(trainer):
            super().on_train_epoch_end(trainer, pl_module)


def _last_release(trainer: L.Trainer) -> int:
    callbacks: list[L.Callback] = trainer.callbacks  # type: ignore[attr-defined]
    return max((getattr(callback, "last_release", 0) for callback in callbacks), default=0)
