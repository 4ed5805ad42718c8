"""A run folder that one process has to itself: two that write into one would each undo what the other did."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from errno import EACCES, EAGAIN
from pathlib import Path

from anemia_lightning.errors import RunInUseError


@contextmanager
def held_folder(folder: Path) -> Iterator[None]:
    """Keeps other processes out of a folder; how this one ends, also by a kill, lets them in again.

    Where the system has no locks, nobody is kept out.

    Args:
        folder: Of a run; it is there.

    Raises:
        RunInUseError: If another process holds it.
    """
    with (folder / ".in_use").open("a") as handle:
        try:
            # Not flock, which a forked worker would inherit, and hold for a moment longer than a killed process.
            fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (EACCES, EAGAIN):
                raise RunInUseError(folder) from error
        yield
