"""Reading a checkpoint: plain values and tensors, without what trained them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from anemia_lightning.errors import CheckpointUnreadableError


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Reads a checkpoint's plain values and tensors onto the CPU.

    Raises:
        CheckpointUnreadableError: If the file is missing, torn or holds more than plain values.
    """
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever the unpickler meets in a torn or foreign file
        raise CheckpointUnreadableError(path, error) from error
    if not isinstance(checkpoint, dict) or "state_dict" not in checkpoint:
        raise CheckpointUnreadableError(path, KeyError("state_dict"))
    return checkpoint


def carried_photos(checkpoint: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns what a checkpoint carries of the photos that its model has met: `AnemiaDataModule.state_dict`, if any."""
    found: Mapping[str, Any] = checkpoint.get("AnemiaDataModule", {})
    return found
