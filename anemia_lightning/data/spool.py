"""Arrays in files that have no name: the system may put them aside, so they take no memory that others need."""

import mmap
import tempfile
from math import prod
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from anemia_lightning.files.private_folder import make_private

BLOCK_BYTES, LARGEST_BLOCK_BYTES = 1 << 24, 1 << 28
"""Each block is as large as all before it, within these: few photos fill no disk, and many need few files."""
_WRITTEN_AT_ONCE = 1 << 20
_ALIGNED_TO = 64


class Spool:
    """Gives room for arrays, one after the other, in temporary files, each of which goes with the last of its arrays.

    Where a file cannot be made, or the disk is full, arrays lie in memory as others do.

    Args:
        folder: On the disk that is to hold them; None for the system's own place for temporary files.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._block: mmap.mmap | None = None
        self._used = 0
        self._in_all = 0
        self._is_full = False

    def empty(self, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """Returns a new array of zeros, to be filled."""
        size = prod(shape) * np.dtype(dtype).itemsize
        block = self._find_room(size) if size else None
        if block is None:
            return np.zeros(shape, dtype)
        array: NDArray[Any] = np.ndarray(shape, dtype, buffer=block, offset=self._used)
        self._used += -(-size // _ALIGNED_TO) * _ALIGNED_TO
        return array

    def _find_room(self, size: int) -> mmap.mmap | None:
        """Returns a block that has room for so many bytes behind those used, or None."""
        if self._block is not None and self._used + size <= len(self._block):
            return self._block
        if self._is_full:
            return None
        wanted = max(size, BLOCK_BYTES, min(self._in_all, LARGEST_BLOCK_BYTES))
        try:
            self._block, self._used = _new_block(self._folder, wanted), 0
        except OSError:
            self._is_full = True
            return None
        self._in_all += wanted
        return self._block


def _new_block(folder: Path | None, size: int) -> mmap.mmap:
    if folder is not None:
        make_private(folder)
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        # Written, not only made longer: most disks then have the room, and one that turned out to be full later would
        # end the process.
        for start in range(0, size, _WRITTEN_AT_ONCE):
            _write_whole(file, bytes(min(_WRITTEN_AT_ONCE, size - start)))
        return mmap.mmap(file.fileno(), size)


def _write_whole(file: IO[bytes], content: bytes) -> None:
    left = memoryview(content)
    while left:
        left = left[file.write(left) :]
