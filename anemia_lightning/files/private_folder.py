"""Folders that only their owner can read, unless a group is meant to work in the folder around them."""

import os
import stat
from contextlib import suppress
from pathlib import Path

_OF_A_GROUP = stat.S_ISGID | stat.S_IRWXG
_GROUPS_FILE = stat.S_IRUSR | stat.S_IWUSR | stat.S_IRGRP | stat.S_IWGRP


def make_private(folder: Path) -> None:
    """Makes a folder, and those above it that are not there.

    Only its owner can read it, but for what lies in a folder in which a group is meant to work: that is one with the
    rights that ``chmod 2770`` gives. Its members then share what is in it, whatever the umask of each.

    Raises:
        OSError: If it cannot be made.
    """
    if folder.is_dir():
        return
    make_private(folder.parent)
    folder.mkdir(mode=stat.S_IRWXU, exist_ok=True)
    if _is_of_a_group(folder.parent):
        with suppress(OSError):  # another process has made it, of another member
            folder.chmod(stat.S_IRWXU | _OF_A_GROUP)


def share_file(file: int | Path, folder: Path) -> None:
    """Lets a group read and write a file, where it is meant to work in the file's folder.

    Args:
        file: Its handle, or where it lies. One of another member is left as it is.
        folder: Where it lies or will lie.
    """
    if _is_of_a_group(folder):
        with suppress(OSError):
            os.chmod(file, _GROUPS_FILE)  # noqa: PTH101  a Path has no handle


def _is_of_a_group(folder: Path) -> bool:
    try:
        return folder.stat().st_mode & _OF_A_GROUP == _OF_A_GROUP
    except OSError:
        return False
