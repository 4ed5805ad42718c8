"""What was found out about single things, kept in files of many each: an interruption loses little of it."""

import hashlib
import io
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from random import SystemRandom
from types import TracebackType
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from anemia_lightning.errors import DiskFullError
from anemia_lightning.files.private_folder import make_private
from anemia_lightning.files.whole_file import note_use, whole_file

_Item = TypeVar("_Item")

Record = Mapping[str, NDArray[Any]]
"""Numeric arrays by name; records of one kind have the same names, types and numbers of dimensions."""

RECORDS_AT_ONCE = 500
LONGEST_WAIT_S = 30.0
"""Records are written when there are so many, or when the first of them has waited so long."""

SPARED_BYTES = 1 << 30
"""Nothing is written that would leave less than this on the disk, and twice what this store has written: who fills it
needs room there for other things too, which grow alike."""

_KEYS = "keys"
_STUMP_S = 3600


class RecordStore:
    """Records of one kind, found again by key.

    A file is named after the SHA-256 of what it holds, so one that is torn or changed is known by its name; it counts
    as none, and what it held is found out anew. Several processes may fill one folder. What cannot be written, or would
    fill the disk, is not kept, which costs time and nothing else. Leaving the store as a context, however that comes
    about, writes what waits.

    Args:
        folder: Of the files, made by `make_private`; None to keep nothing.
        kind: What all records depend on alike. A store finds those of its own kind alone.
    """

    def __init__(self, folder: Path | None, kind: str) -> None:
        self._folder = folder
        self._kind = hashlib.sha256(kind.encode()).hexdigest()[:16]
        self._waiting: dict[str, Record] = {}
        self._waiting_since = 0.0
        self._written_bytes = 0
        self._looked_into: set[str] = set()

    def __enter__(self) -> "RecordStore":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._write()

    def find(self, keys: Sequence[str], *, only_new: bool = False) -> Iterator[tuple[int, Record]]:
        """Yields what is kept under some keys, each with the place of its key among them, in the order of the files.

        A key that stands there twice is found once.

        Args:
            keys: What is looked for.
            only_new: Whether to look only into files that others have written since this store has looked.
        """
        places = {key: place for place, key in enumerate(keys)}
        for file in sorted(self._folder.glob(f"{self._kind}-*.npz")) if self._folder else []:
            if not places:
                return
            if only_new and file.name in self._looked_into:
                continue
            self._looked_into.add(file.name)
            keys_there = _read_keys(file)
            if keys_there is not None and places.keys().isdisjoint(keys_there):
                continue
            for key, record in _read(file):
                # Two processes may have found out the same.
                if (place := places.pop(key, None)) is not None:
                    yield place, record

    def add(self, key: str, record: Record) -> None:
        """Keeps a record, from the next time on that some are written."""
        if self._folder is None:
            return
        if not self._waiting:
            self._waiting_since = time.monotonic()
        self._waiting[key] = record
        if len(self._waiting) >= RECORDS_AT_ONCE or time.monotonic() - self._waiting_since > LONGEST_WAIT_S:
            self._write()

    def _write(self) -> None:
        if self._folder is None or not self._waiting:
            return
        file = io.BytesIO()
        np.savez(file, allow_pickle=False, **_pack(self._waiting))
        self._waiting = {}
        name = f"{self._kind}-{hashlib.sha256(file.getbuffer()).hexdigest()}.npz"
        self._looked_into.add(name)
        with suppress(OSError, DiskFullError):
            make_private(self._folder)
            self._remove_stumps(self._folder)
            left = shutil.disk_usage(self._folder).free - file.getbuffer().nbytes
            if left >= SPARED_BYTES + 2 * self._written_bytes:
                with whole_file(self._folder / name) as kept:
                    kept.write(file.getbuffer())
                self._written_bytes += file.getbuffer().nbytes

    def _remove_stumps(self, folder: Path) -> None:
        # What kills in mid-write have left: the name of a file does not come again, so its next writer finds none.
        for stump in folder.glob(f".{self._kind}-*"):
            with suppress(FileNotFoundError):
                if time.time() - stump.stat().st_mtime > _STUMP_S:
                    stump.unlink()


def in_parts(items: Sequence[_Item], size: int) -> list[Sequence[_Item]]:
    """Returns items in parts of some size, in an order of their own each time.

    Commands that find out the same at once begin with other parts, and find in their store what the others have done.
    """
    parts = [items[start : start + size] for start in range(0, len(items), size)]
    # Not by the generators that commands seed alike.
    SystemRandom().shuffle(parts)
    return parts


def _pack(records: Mapping[str, Record]) -> dict[str, NDArray[Any]]:
    """Puts the values of all records behind one another, with the shape of each beside them."""
    packed: dict[str, NDArray[Any]] = {_KEYS: np.array(list(records), dtype=str)}
    for name in next(iter(records.values())):
        arrays = [record[name] for record in records.values()]
        packed[f"{name}/values"] = np.concatenate([array.ravel() for array in arrays])
        packed[f"{name}/shapes"] = np.array([array.shape for array in arrays], np.int64)
    return packed


def _read_keys(file: Path) -> list[str] | None:
    """Returns the keys of a file, which is not verified; None where they cannot be read."""
    try:
        with file.open("rb") as handle, np.load(handle, allow_pickle=False) as packed:
            keys: list[str] = packed[_KEYS].tolist()
    except Exception:  # whatever the readers of zip files and arrays make of one that was changed
        return None
    return keys


def _read(file: Path) -> Iterator[tuple[str, Record]]:
    """Yields the records of a file with their keys; none where it is no longer what was written."""
    try:
        content = file.read_bytes()
    except OSError:
        return
    if not file.stem.endswith(hashlib.sha256(content).hexdigest()):
        with suppress(OSError):
            file.unlink()
        return
    note_use(file)
    with np.load(io.BytesIO(content), allow_pickle=False) as packed:
        names = [name.removesuffix("/values") for name in packed if name.endswith("/values")]
        columns = [_split(packed[f"{name}/values"], packed[f"{name}/shapes"]) for name in names]
        for key, *arrays in zip(packed[_KEYS].tolist(), *columns, strict=True):
            yield key, dict(zip(names, arrays, strict=True))


def _split(values: NDArray[Any], shapes: NDArray[np.int64]) -> list[NDArray[Any]]:
    ends = np.cumsum(shapes.prod(axis=1))
    return [part.reshape(shape) for part, shape in zip(np.split(values, ends[:-1]), shapes, strict=True)]
