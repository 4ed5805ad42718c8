"""A fit of milliseconds, for tests of hooks: the values of val/loss are given in advance."""

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import Checkpoint, ProgressBar
from lightning.pytorch.loggers import Logger
from torch import Tensor, nn
from torch.optim import SGD, Optimizer
from torch.utils.data import DataLoader

from anemia_lightning.callbacks.checkpoint import DurableCheckpointIO
from anemia_lightning.command_line.terminal import quiet
from anemia_lightning.contracts import Batch

FitScript = Callable[..., L.Trainer]
"""Called with the val/loss of each epoch and the callbacks: ``fit_script([0.5, 0.4], EpochTable(path))``."""


class Scripted(L.LightningModule):
    """Learns nothing of note, in two steps of one photo per epoch."""

    def __init__(self, values: Sequence[float]) -> None:
        super().__init__()
        self.layer = nn.Linear(1, 1)
        self.network = SimpleNamespace(train_from="head")
        self._values = values

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        loss: Tensor = self.layer(batch.values).square().sum()
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self.log("val/loss", torch.tensor(self._values[self.current_epoch]), batch_size=1, logger=False)

    def configure_optimizers(self) -> Optimizer:
        return SGD([{"params": self.layer.parameters(), "name": "head"}], lr=0.1)


def photo(value: float) -> Batch:
    """Returns a batch of one photo."""
    counts = torch.tensor([1, 0])
    return Batch(("a.png",), torch.tensor([0]), torch.tensor([[value]]), entry="pooled", step_label_counts=counts)


@pytest.fixture
def fit_script(tmp_path: Path) -> FitScript:
    """Fits through the values and returns the Trainer."""

    def fit(
        values: Sequence[float],
        *callbacks: L.Callback,
        ckpt_path: Path | None = None,
        logger: Logger | None = None,
        max_epochs: int | None = None,
    ) -> L.Trainer:
        quiet()
        # A test resumes with those callbacks alone that it is about.
        warnings.filterwarnings("ignore", message=r".*callbacks used to create the checkpoint need to be provided")
        trainer = L.Trainer(
            accelerator="cpu",
            max_epochs=len(values) if max_epochs is None else max_epochs,
            callbacks=list(callbacks),
            logger=logger or False,
            plugins=[DurableCheckpointIO()],
            enable_checkpointing=any(isinstance(callback, Checkpoint) for callback in callbacks),
            enable_progress_bar=any(isinstance(callback, ProgressBar) for callback in callbacks),
            enable_model_summary=False,
            num_sanity_val_steps=0,
            default_root_dir=tmp_path,
        )
        photos = DataLoader([photo(1.0), photo(2.0)], batch_size=None)  # type: ignore[var-annotated, arg-type]
        trainer.fit(Scripted(values), photos, photos, ckpt_path=ckpt_path, weights_only=True)
        return trainer

    return fit
