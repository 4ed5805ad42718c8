"""Ends a training with its first step, to time all that comes before."""

import os

import lightning as L
from typing_extensions import override


class EndAtFirstStep(L.Callback):
    """Ends the process as soon as the first batch has trained: nothing that follows is in its time."""

    @override
    def on_train_batch_end(self, *_: object) -> None:
        """Ends the process."""
        os._exit(0)
