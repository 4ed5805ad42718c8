"""Checkpoints that a kill in the middle of a write cannot destroy."""

import errno
import os
import tempfile
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.fabric.utilities.types import _PATH
from typing_extensions import override

from anemia_lightning.errors import CheckpointUnreadableError, DiskFullError


class DurableCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint beside its place, makes it durable, then renames it into place.

    Lightning stages the file in the system's temporary folder; where that is another file system, the move into
    place is a copy, and a kill during the copy leaves a stump where the good checkpoint was.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: _PATH, storage_options: object = None) -> None:
        """Writes `checkpoint` to `path`: wholly or not at all.

        Raises:
            DiskFullError: If there is no room; the previous file is untouched.
        """
        place = Path(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{place.name}.", dir=place.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(place)
        except OSError as error:
            Path(name).unlink(missing_ok=True)
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise DiskFullError(place) from error
            raise
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        sync_folder(place.parent)

    @override
    def load_checkpoint(
        self, path: _PATH, map_location: object = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Reads a checkpoint; never runs code that it may carry.

        Raises:
            CheckpointUnreadableError: If the file is missing, torn or holds more than plain values.
        """
        return read_checkpoint(Path(path))


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


def sync_folder(folder: Path) -> None:
    """Makes a rename within a folder survive a power cut, where the system can."""
    if hasattr(os, "O_DIRECTORY"):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
