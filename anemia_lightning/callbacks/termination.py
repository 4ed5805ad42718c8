"""Several processes that end together: none waits for another that is gone."""

import signal
from types import FrameType
from typing import Any

import lightning as L


class EndTogether(L.Callback):
    """Takes the signal to end back from Lightning where several processes train.

    Lightning answers it with a broadcast, amid whatever the processes are at; where another is at something else, they
    wait for one another, and what waits to be written is lost when the system loses its patience.
    """

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Lets the command's own answer be the only one, once those are ended that Lightning has started here."""
        if trainer.world_size == 1:
            return
        connector = trainer._signal_connector  # noqa: SLF001  nobody else knows what was there before
        own: Any = connector._original_handlers.get(signal.SIGTERM)  # noqa: SLF001
        if not callable(own):
            return

        def answer(signum: int, frame: FrameType | None) -> None:
            end_others(trainer)
            own(signum, frame)

        signal.signal(signal.SIGTERM, answer)


def end_others(trainer: L.Trainer) -> None:
    """Ends the processes that Lightning has started on this machine for a fit that comes to no good end.

    They would wait for this one, on a GPU for half an hour. What they have not written costs time and nothing else.
    """
    launcher = trainer.strategy.launcher
    if launcher is not None:
        launcher.kill(signal.SIGKILL)
        # Whoever watches over them would take their end for a defect, and kill this process too.
        getattr(launcher, "procs", []).clear()
