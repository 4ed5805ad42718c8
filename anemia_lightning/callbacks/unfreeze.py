"""Releases frozen stages of the network at given epochs, and remembers what it has released."""

from collections.abc import Sequence
from typing import Any, Protocol, TypedDict, cast

import lightning as L

from anemia_lightning.callbacks.early_stopping import EarlyStopping


class Phase(TypedDict):
    """One entry of `callbacks.unfreeze.phases`."""

    epoch: int
    """First epoch of the phase, from 0."""
    train_from: str
    """Lowest stage that trains from then on; all above it train too."""


class Schedule(Protocol):
    """What a release asks of the learning-rate schedule."""

    def restart(self) -> None:
        """Forgets what it counted."""


class StagedNetwork(Protocol):
    """What the phases ask of the network."""

    @property
    def train_from(self) -> str:
        """The lowest stage that trains."""

    def release(self, stage: str) -> None:
        """Lets `stage` and all above it train."""

    def apply_freezing(self, keep_requires_grad_from: str | None = None) -> None:
        """Lets parameters require gradients although they are frozen."""


class StagedClassifier(Protocol):
    """What a release asks of the module that trains."""

    network: StagedNetwork

    @property
    def schedule(self) -> Schedule:
        """The learning-rate schedule."""

    def release(self, stage: str) -> None:
        """Lets `stage` and all above it train, newly released groups at the learning rate that the schedule says."""


class StagedUnfreezing(L.Callback):
    """Trains the head alone, then more of the network, phase by phase.

    What trains is a function of the epoch, applied anew at the start of each; so a resumed run cannot freeze what
    was released. What happens once, at the release itself, is remembered: the released group begins at the
    learning rate that the schedule says, the schedule restarts, early stopping starts afresh.

    Args:
        phases: Rising epochs, each with a deeper stage than the one before; empty to train the head alone.
        restart_at_release: Whether schedule and early stopping start afresh at a release.
    """

    def __init__(self, phases: Sequence[Phase], *, restart_at_release: bool) -> None:
        self.phases = [Phase(epoch=phase["epoch"], train_from=phase["train_from"]) for phase in phases]
        self._restart_at_release = restart_at_release
        self._released: list[str] = []

    @property
    def last_release(self) -> int:
        """The epoch at which the last phase begins; 0 without phases."""
        return self.phases[-1]["epoch"] if self.phases else 0

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Freezes before the strategy wraps the model."""
        if stage == "fit":
            network = cast("StagedClassifier", pl_module).network
            network.release("head")
            if trainer.world_size > 1 and self.phases:
                # DDP registers its gradient hooks once, when it wraps the model.
                network.apply_freezing(keep_requires_grad_from=self.phases[-1]["train_from"])

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Begins the phases whose epoch has come."""
        for phase in self.phases:
            if phase["epoch"] <= trainer.current_epoch:
                self._begin(phase["train_from"], trainer, cast("StagedClassifier", pl_module))

    def state_dict(self) -> dict[str, Any]:
        """Returns the releases that have happened."""
        return {"released": list(self._released)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores them."""
        self._released = list(state_dict["released"])

    def _begin(self, train_from: str, trainer: L.Trainer, classifier: StagedClassifier) -> None:
        if train_from in self._released:
            classifier.network.release(train_from)
            return
        classifier.release(train_from)
        self._released.append(train_from)
        if self._restart_at_release:
            classifier.schedule.restart()
            for callback in trainer.callbacks:  # type: ignore[attr-defined]
                if isinstance(callback, EarlyStopping):
                    callback.start_afresh()
