"""Files that come whole or not at all, whatever interrupts their writing."""

import errno
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from anemia_lightning.errors import DiskFullError
from anemia_lightning.files.private_folder import make_private, share_file

_NO_FOLDER_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.EBADF)
"""What file systems say that make files durable and no folders, as some on a network do."""
_DRAFTS = "tmp"
_DRAFT_S = 3600.0
"""What nobody has added a file to for so long is left from a kill: to make a file takes minutes."""


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Opens a file beside its place; when all is written, makes it durable and renames it into place.

    Until then, and after any failure, what was at `path` before is untouched.

    Raises:
        DiskFullError: If there is no room.
    """
    name = ""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_stumps(path)
        handle, name = tempfile.mkstemp(prefix=_prefix(path), dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            share_file(handle, path.parent)
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
        _sync_folder(path.parent)
    except BaseException as error:
        if name:
            Path(name).unlink(missing_ok=True)
        if _is_disk_full(error):
            raise DiskFullError(path) from error
        raise


@contextmanager
def draft_folder(folder: Path) -> Iterator[Path]:
    """Makes a folder in another for what is made there first and then moved beside it, and removes it in the end.

    It removes those too that kills have left.
    """
    make_private(folder)
    remove_drafts(folder)
    with tempfile.TemporaryDirectory(prefix=_DRAFTS, dir=folder) as place:
        yield Path(place)


def remove_drafts(folder: Path) -> int:
    """Removes what kills have left of `draft_folder`, but nothing that may still be at work, and returns its bytes."""
    freed = 0
    for draft in folder.glob(f"{_DRAFTS}*"):
        with suppress(OSError):
            if time.time() - draft.stat().st_mtime > _DRAFT_S:
                freed += sum(path.stat().st_size for path in draft.rglob("*") if path.is_file())
                shutil.rmtree(draft)
    return freed


def note_use(path: Path) -> None:
    """Notes the time at which a file was used as that of its change, for who removes what is not used any more."""
    with suppress(OSError):
        os.utime(path)


def link_file(source: Path, path: Path) -> None:
    """Lets a file that lies at `source` whole lie at `path` too; until then, what was at `path` before is untouched.

    A hard link where the file system has them, else a copy. Either is right for files that are never written to in
    place, as `whole_file` never does.

    Raises:
        DiskFullError: If there is no room.
    """
    _remove_stumps(path)
    stump = path.with_name(f"{_prefix(path)}link")
    try:
        os.link(source, stump)
    except OSError:  # on FAT, and on some network file systems
        with source.open("rb") as original, whole_file(path) as file:
            shutil.copyfileobj(original, file)
        return
    stump.replace(path)
    stump.unlink(missing_ok=True)  # POSIX renames nothing where both are links to one file
    _sync_folder(path.parent)


def _prefix(path: Path) -> str:
    return f".{path.name}."


def _remove_stumps(path: Path) -> None:
    """Removes what a kill in mid-write has left; a run that is often killed would fill the disk."""
    for stump in path.parent.iterdir():
        if stump.name.startswith(_prefix(path)):
            stump.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Makes a rename within a folder survive a power cut, where the system can."""
    if hasattr(os, "O_DIRECTORY"):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        except OSError as error:
            if error.errno not in _NO_FOLDER_SYNC:
                raise
        finally:
            os.close(handle)


def _is_disk_full(error: BaseException | None) -> bool:
    # torch.save turns a failed write into a RuntimeError, with the system's own error behind it.
    while error is not None and not isinstance(error, OSError):
        error = error.__context__
    return error is not None and error.errno in (errno.ENOSPC, errno.EDQUOT)
