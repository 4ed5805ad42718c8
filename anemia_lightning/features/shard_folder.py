"""The folder of a collection: who uses it, when it was last used, and how it is removed."""

import fcntl
import os
import secrets
import shutil
import time
import weakref
from contextlib import suppress
from pathlib import Path

from anemia_lightning.features.shard import SUFFIX
from anemia_lightning.files.private_folder import make_private, share_file

_LOCK = "lock"
_GONE = ".gone-"
_TRIES = 3
_LONGEST_WAIT_S = 10.0
"""To remove a folder takes less; what holds a lock for longer may be a machine that died, on a disk of a network."""
_PAUSE_S = 0.01
_STUMP_S = 60.0
"""What nobody has added to for so long is left from a kill; to write a shard takes less. Where machines do not see one
another's locks, a younger one may be what another is writing."""


class Lease:
    """The use of a folder; it ends when nobody holds this any more, at the latest with the process, killed or not."""

    def __init__(self, handle: int) -> None:
        self.release = weakref.finalize(self, os.close, handle)
        """Ends it at once."""


def use_folder(folder: Path) -> Lease | None:
    """Begins to use a folder together with others: nobody will remove it meanwhile.

    Notes the time, and removes what writers have left behind that were killed, if nobody else is using the folder.

    Returns:
        None if there is no such folder, or none that can be locked.
    """
    try:
        handle = _open_lock(folder)
    except OSError:
        return None
    with suppress(OSError):
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _remove_stumps(folder)
    _share(handle)
    if not _is_still_there(folder, handle):
        os.close(handle)
        return use_folder(folder)
    with suppress(OSError):
        os.utime(handle)
    return Lease(handle)


def make_folder(folder: Path) -> Lease | None:
    """Makes a folder, if it is not there, as `make_private` does, and begins to use it.

    Raises:
        OSError: If it cannot be made.
    """
    for _ in range(_TRIES):
        make_private(folder)
        # Here another process may have removed it already.
        if lease := use_folder(folder):
            return lease
    return None


def close_folder(folder: Path) -> Lease | None:
    """Begins to use a folder alone; None if another process, or another part of this one, is using it.

    Raises:
        OSError: If the system does not let us lock it: nobody can tell whether it is used.
    """
    handle = _open_lock(folder)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        is_ours = _is_still_there(folder, handle)
    except BlockingIOError:
        is_ours = False
    except OSError:
        os.close(handle)
        raise
    if not is_ours:
        os.close(handle)
        return None
    return Lease(handle)


def is_used(folder: Path) -> bool:
    """Returns whether somebody is known to use a folder."""
    try:
        lease = close_folder(folder)
    except OSError:
        return False
    if lease is not None:
        lease.release()
    return lease is None


def remove_folder(folder: Path) -> None:
    """Removes a folder that was closed before: at once for all others, however long the deleting takes."""
    gone = folder.with_name(f"{_GONE}{secrets.token_hex(8)}")
    # Another machine may have been first, where they do not see one another's locks.
    with suppress(FileNotFoundError):
        folder.rename(gone)
    shutil.rmtree(gone, ignore_errors=True)


def finish_removals(store: Path) -> None:
    """Removes folders whose deletion was interrupted."""
    for gone in store.glob(f"{_GONE}*"):
        shutil.rmtree(gone, ignore_errors=True)


def list_shards(folder: Path) -> list[Path]:
    """Returns the files in a folder that bear the name of a shard, in a fixed order."""
    return sorted(folder.glob(f"shard-*{SUFFIX}"))


def new_shard(folder: Path) -> Path:
    """Returns the path of a new shard, which no other process chooses."""
    return folder / f"shard-{secrets.token_hex(16)}{SUFFIX}"


def new_draft(folder: Path) -> Path:
    """Returns the path of a file that is to get another name; if that never happens, it is removed."""
    return folder / f".draft-{secrets.token_hex(16)}"


def folder_bytes(folder: Path) -> int:
    """Returns the size of the files in a folder, unfinished ones included; what may not be read is not counted."""
    total = 0
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with suppress(OSError):
                total += entry.stat().st_size
    return total


def refusal(folder: Path) -> str | None:
    """Returns why the system does not let us look into a folder, in its words; None if it does, or there is none."""
    try:
        with os.scandir(folder):
            return None
    except FileNotFoundError:
        return None
    except OSError as error:
        return error.strerror or str(error)


def last_used(folder: Path) -> float:
    """Returns when a folder was used last, in seconds since 1970; now if it has no lock yet."""
    try:
        return (folder / _LOCK).stat().st_mtime
    except OSError:
        return time.time()


def _open_lock(folder: Path) -> int:
    handle = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    share_file(handle, folder)
    return handle


def _share(handle: int) -> None:
    """Takes a lock together with others; goes without where the system has none, or where one is not given free.

    Who uses a folder without a lock may find rows gone, and computes them again.
    """
    until = time.monotonic() + _LONGEST_WAIT_S
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                return
            time.sleep(_PAUSE_S)
        except OSError:
            return
        else:
            return


def _remove_stumps(folder: Path) -> None:
    for stump in folder.glob(".*"):
        with suppress(OSError):
            if time.time() - stump.stat().st_mtime > _STUMP_S:
                stump.unlink()


def _is_still_there(folder: Path, handle: int) -> bool:
    """Returns whether the lock is that of this folder, and not of one that was removed while we waited."""
    try:
        return os.path.samestat((folder / _LOCK).stat(), os.fstat(handle))
    except OSError:
        return False
