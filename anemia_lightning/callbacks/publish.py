"""Makes a run the newest one as soon as it can be continued."""

from collections.abc import Callable
from pathlib import Path

import lightning as L
from lightning.pytorch.utilities import rank_zero_only


class PublishRun(L.Callback):
    """Publishes a run once its first checkpoint is on disk, so that `resume=last` always finds one.

    Args:
        checkpoint: The checkpoint to continue from.
        publish: Makes `latest` name the run.
    """

    def __init__(self, checkpoint: Path, publish: Callable[[], None]) -> None:
        self._checkpoint = checkpoint
        self._publish = publish

    @rank_zero_only
    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Publishes from the first epoch on that a checkpoint precedes."""
        if self._checkpoint.is_file():
            self._publish()
