"""Photo files: the bytes of a file, read once, whatever it turns out to be."""

import os
import stat
from pathlib import Path

from anemia_lightning.data.container import PhotoFault

MAX_BYTES = 50_000_000
"""Files with more bytes are refused unread."""

_FORMAT_SUFFIXES = {
    "JPEG": {".jpg", ".jpeg", ".jpe", ".jfif"},
    "MPO": {".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"},
    "PNG": {".png", ".apng"},
    "WEBP": {".webp"},
    "HEIC": {".heic", ".heif", ".hif"},
}


def read_bytes(path: Path) -> bytes:
    """Reads a file into memory, without ever waiting for a device.

    Raises:
        PhotoFault: IMG_MISSING, IMG_DENIED, IMG_NOT_A_FILE, IMG_EMPTY, or IMG_TOO_LARGE beyond 50 MB.
    """
    try:
        _check_kind(path.stat())
        with open(path, "rb", opener=_open_without_waiting) as file:
            # Asked again of what was opened, because another file may have taken the place meanwhile.
            _check_kind(os.fstat(file.fileno()))
            data = file.read(MAX_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        raise PhotoFault("IMG_MISSING", "no file there") from None
    except PermissionError as fault:
        raise PhotoFault("IMG_DENIED", "no permission to read it") from fault
    except (OSError, ValueError) as fault:
        raise PhotoFault("IMG_DENIED", f"no access to it ({getattr(fault, 'strerror', None) or fault})") from fault
    if not data:
        raise PhotoFault("IMG_EMPTY", "an empty file")
    if len(data) > MAX_BYTES:
        raise PhotoFault("IMG_TOO_LARGE", f"a file of more than {MAX_BYTES // 10**6} MB")
    return data


def file_state(path: str) -> tuple[str, int, int] | str:
    """Returns by what it is told that a file has not changed: path, size, and time of change in nanoseconds.

    Of a path where nothing can be found it is the path.
    """
    try:
        status = Path(path).stat() if path else None
    except (OSError, ValueError):
        return path
    return (path, status.st_size, status.st_mtime_ns) if status else ""


def name_wrong_suffix(path: Path, format_name: str) -> tuple[str, ...]:
    """Returns a note if a file is named as another format than its content is in."""
    suffix = path.suffix.casefold()
    if not suffix or suffix in _FORMAT_SUFFIXES[format_name]:
        return ()
    return (f"named {path.suffix!a}, in the format {format_name}",)


def _check_kind(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise PhotoFault("IMG_NOT_A_FILE", "a folder or device in place of a file")
    if status.st_size > MAX_BYTES:
        raise PhotoFault("IMG_TOO_LARGE", f"a file of more than {MAX_BYTES // 10**6} MB")


def _open_without_waiting(name: str, flags: int) -> int:
    # A pipe without a writer would otherwise be waited for; Windows has no such flag, and no such pipes.
    return os.open(name, flags | getattr(os, "O_NONBLOCK", 0))
