"""What was found out about single things, kept in files of many each: an interruption loses little of it."""

import hashlib
import io
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anemia_lightning.errors import DiskFullError
from anemia_lightning.whole_file import note_use, whole_file

Record = Mapping[str, NDArray[Any]]
"""Numeric arrays by name; records of one kind have the same names, types and numbers of dimensions."""

RECORDS_AT_ONCE = 500
LONGEST_WAIT_S = 30.0
"""Records are written when there are so many, or when the last were written so long ago."""

_KEYS = "keys"


class RecordStore:
    """Records of one kind, found again by key.

    A file is named after the SHA-256 of what it holds, so one that is torn or changed is known by its name; it counts
    as none, and what it held is found out anew. Several processes may fill one folder. What cannot be written is not
    kept, which costs time and nothing else. Leaving the store as a context, however that comes about, writes what
    waits.

    Args:
        folder: Of the files, which only their owner can read; None to keep nothing.
        kind: What all records depend on alike. A store finds those of its own kind alone.
    """

    def __init__(self, folder: Path | None, kind: str) -> None:
        self._folder = folder
        self._kind = hashlib.sha256(kind.encode()).hexdigest()[:16]
        self._waiting: dict[str, Record] = {}
        self._written = time.monotonic()

    def __enter__(self) -> "RecordStore":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._write()

    def find(self, keys: Sequence[str]) -> Iterator[tuple[int, Record]]:
        """Yields what is kept under some keys, each with the place of its key among them, in the order of the files.

        A key that stands there twice is found once.
        """
        places = {key: place for place, key in enumerate(keys)}
        for file in sorted(self._folder.glob(f"{self._kind}-*.npz")) if self._folder else []:
            for key, record in _read(file):
                # Two processes may have found out the same.
                if (place := places.pop(key, None)) is not None:
                    yield place, record

    def add(self, key: str, record: Record) -> None:
        """Keeps a record, from the next time on that some are written."""
        if self._folder is None:
            return
        self._waiting[key] = record
        if len(self._waiting) >= RECORDS_AT_ONCE or time.monotonic() - self._written > LONGEST_WAIT_S:
            self._write()

    def _write(self) -> None:
        if self._folder is None or not self._waiting:
            return
        file = io.BytesIO()
        np.savez(file, allow_pickle=False, **_pack(self._waiting))
        name = hashlib.sha256(file.getbuffer()).hexdigest()
        with suppress(OSError, DiskFullError):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with whole_file(self._folder / f"{self._kind}-{name}.npz") as kept:
                kept.write(file.getbuffer())
        self._waiting = {}
        self._written = time.monotonic()


def _pack(records: Mapping[str, Record]) -> dict[str, NDArray[Any]]:
    """Puts the values of all records behind one another, with the shape of each beside them."""
    packed: dict[str, NDArray[Any]] = {_KEYS: np.array(list(records), dtype=str)}
    for name in next(iter(records.values())):
        arrays = [record[name] for record in records.values()]
        packed[f"{name}/values"] = np.concatenate([array.ravel() for array in arrays])
        packed[f"{name}/shapes"] = np.array([array.shape for array in arrays], np.int64)
    return packed


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
