"""A finished model, opened from its checkpoint without what trained it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from anemia_lightning.errors import CheckpointUnreadableError
from anemia_lightning.files.checkpoint_file import carried_photos, read_checkpoint
from anemia_lightning.metrics.decision import Decision
from anemia_lightning.model.backbone import AnemiaNetwork

_NETWORK = "network."
_SETTINGS = ("backbone", "hidden", "dropout", "batchnorm", "frozen_batchnorm")


@dataclass(frozen=True)
class FinishedModel:
    """What predicts, and what its checkpoint carries beside it."""

    network: AnemiaNetwork
    """In eval mode, on the CPU."""
    hparams: Mapping[str, Any]
    """The arguments of the `AnemiaClassifier` that was trained, in plain values."""
    photos: Mapping[str, Any]
    """What the checkpoint carries of the photos that the model has met."""

    @property
    def decision(self) -> Decision:
        """What turns logits into decisions."""
        return carried_decision(self.hparams)


def open_model(path: Path) -> FinishedModel:
    """Opens a checkpoint: no other file, no network, no Lightning.

    Raises:
        CheckpointUnreadableError: If it is not one of ours.
    """
    checkpoint = read_checkpoint(path)
    try:
        hparams = checkpoint["hyper_parameters"]
        settings = {name: hparams[name] for name in _SETTINGS}
        weights = checkpoint["state_dict"]
        # Without memory or random values of its own, since the checkpoint has those of all.
        with torch.device("meta"):
            network = AnemiaNetwork(**settings)
        own = {key.removeprefix(_NETWORK): weights[key] for key in weights if key.startswith(_NETWORK)}
        network.load_state_dict(own, assign=True)
    except (KeyError, RuntimeError) as error:
        raise CheckpointUnreadableError(path, error) from error
    return FinishedModel(network.to(memory_format=torch.channels_last).eval(), hparams, carried_photos(checkpoint))


def carried_decision(hparams: Mapping[str, Any]) -> Decision:
    """Returns the decision that a model carries; without one that at the threshold of its curves, and it says so.

    Args:
        hparams: Of the model.
    """
    if hparams.get("decision") is None:
        note = f"it is fixed at {hparams['threshold']:g}, since the model carries no decision made on validation photos"
        return Decision.fixed(hparams["threshold"], note)
    return Decision.from_dict(hparams["decision"])
