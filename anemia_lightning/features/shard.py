"""A shard: one immutable safetensors file with rows of a collection, each of which carries its checksum."""

import json
import os
import zlib
from collections.abc import Mapping, Sequence
from io import FileIO
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from anemia_lightning.files.whole_file import whole_file

SHARD_LAYOUT = 1
"""Raised whenever a shard of the same rows would be written differently."""

SUFFIX = ".safetensors"

RowLayout = Mapping[str, tuple[tuple[int, ...], torch.dtype]]
"""What a row holds: its tensors by name, each with its shape and type."""

RowBytes = Mapping[str, NDArray[np.uint8]]
"""The rows of each tensor as bytes, [rows, bytes per row]."""

_LENGTH_BYTES = 8
_LONGEST_HEADER = 100_000_000  # both as the safetensors format has it
_HEADER_MULTIPLE = 8
_TYPES = {
    torch.bfloat16: "BF16",
    torch.float16: "F16",
    torch.float32: "F32",
    torch.float64: "F64",
    torch.int64: "I64",
    torch.uint8: "U8",
}
_KEY_DIGITS = 64
_CHECKSUM = np.dtype("<u4")


class ShardDamaged(Exception):  # noqa: N818 (what the file is)
    """A file that is torn, changed, or no shard of the collection in whose folder it lies."""


class Pick(NamedTuple):
    """A row to read: its key, where it stands in the shard, and where it goes."""

    row: int
    key: str
    place: int


def row_bytes(layout: RowLayout) -> int:
    """Returns the size of a row."""
    return sum(_tensor_bytes(shape, dtype) for shape, dtype in layout.values())


def as_bytes(rows: Tensor) -> NDArray[np.uint8]:
    """Returns the rows of a contiguous tensor [rows, ...] as bytes that share its memory, [rows, bytes per row]."""
    return rows.view(len(rows), -1).view(torch.uint8).numpy()


def _row_as_bytes(row: Tensor) -> NDArray[np.uint8]:
    return row.view(-1).view(torch.uint8).numpy()


def write_shard(path: Path, collection: str, rows: Mapping[str, Mapping[str, Tensor]]) -> None:
    """Writes a shard, wholly or not at all.

    Args:
        path: Where to.
        collection: The name of the collection, without which nobody will believe the file.
        rows: By key (SHA-256 in hexadecimal) the tensors of each row, contiguous and in the machine's memory.

    Raises:
        DiskFullError: If there is no room.
    """
    first = next(iter(rows.values()))
    # Numbers of the larger types come first, so that all lie where a processor wants them.
    names = sorted(first, key=lambda name: (-first[name].dtype.itemsize, name))
    held = {key: {name: _row_as_bytes(row[name]) for name in names} for key, row in rows.items()}
    checksums = [_checksum(key, [row[name] for name in sorted(row)]) for key, row in held.items()]
    with whole_file(path) as file:
        file.write(_header(collection, list(rows), checksums, {name: first[name] for name in names}))
        for name in names:
            file.writelines(row[name].data for row in held.values())


class Shard:
    """A shard that was found on disk: its keys are known, its rows are read when they are asked for.

    No file stays open, and nothing is mapped into memory: a mapped file that another process truncates would kill
    this one.

    Args:
        path: The file.
        collection: The name of the collection to which it must belong.
        layout: What its rows must hold; None for whatever the file says.

    Raises:
        ShardDamaged: If the file is no whole shard of this collection.
        OSError: If it cannot be read.
    """

    def __init__(self, path: Path, collection: str, layout: RowLayout | None = None) -> None:
        self.path = path
        with path.open("rb", buffering=0) as file:
            header, begin = _read_header(file)
            size = os.fstat(file.fileno()).st_size
        try:
            index = header["__metadata__"]
            _check_index(index, collection)
            self._keys = index["keys"]
            self._checksums = np.frombuffer(bytes.fromhex(index["checksums"]), dtype=_CHECKSUM)
            self._places = {name: _place(header[name], len(self)) for name in sorted(header) if name != "__metadata__"}
        except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError) as error:
            raise ShardDamaged("no shard of ours, or one whose header has changed") from error
        self._begin = begin
        self._verified = np.zeros(len(self), dtype=bool)
        lengths = {name: length for name, (_, length) in self._places.items()}
        if layout is not None and lengths != {name: _tensor_bytes(*tensor) for name, tensor in layout.items()}:
            raise ShardDamaged("a shard with rows of another layout")
        if size != begin + len(self) * sum(lengths.values()):
            raise ShardDamaged(f"{size} bytes long, where its header says otherwise")

    def __len__(self) -> int:
        return len(self._checksums)

    @property
    def keys(self) -> list[str]:
        """The keys of its rows."""
        return [self._keys[start : start + _KEY_DIGITS] for start in range(0, len(self._keys), _KEY_DIGITS)]

    def read(self, picks: Sequence[Pick], out: RowBytes) -> None:
        """Reads rows into their places, and verifies each the first time that it is read.

        Raises:
            ShardDamaged: If a row is not what was written.
            OSError: If the file cannot be read, or is gone.
        """
        with self.path.open("rb", buffering=0) as file:
            for pick in sorted(picks):
                parts = [out[name][pick.place] for name in self._places]
                for (start, length), part in zip(self._places.values(), parts, strict=True):
                    _fill(file, self._begin + start + pick.row * length, part)
                self._verify(pick, parts)

    def verify(self) -> None:
        """Reads every row and compares it with its checksum.

        Raises:
            ShardDamaged: If one is not what was written.
            OSError: If the file cannot be read, or is gone.
        """
        self._verified[:] = False
        out = {name: np.empty((1, length), dtype=np.uint8) for name, (_, length) in self._places.items()}
        for row, key in enumerate(self.keys):
            self.read([Pick(row, key, 0)], out)

    def _verify(self, pick: Pick, parts: Sequence[NDArray[np.uint8]]) -> None:
        if self._verified[pick.row]:
            return
        if _checksum(pick.key, parts) != int(self._checksums[pick.row]):
            raise ShardDamaged(f"changed since it was written, in row {pick.row}")
        self._verified[pick.row] = True


def _header(collection: str, keys: Sequence[str], checksums: Sequence[int], first: Mapping[str, Tensor]) -> bytes:
    """Returns the header of a file of the safetensors format: https://github.com/huggingface/safetensors."""
    index = {
        "layout": str(SHARD_LAYOUT),
        "collection": collection,
        "keys": "".join(keys),
        "checksums": np.array(checksums, dtype=_CHECKSUM).tobytes().hex(),
    }
    header: dict[str, object] = {"__metadata__": index | {"index_checksum": _index_checksum(index)}}
    start = 0
    for name, row in first.items():
        end = start + len(keys) * row.nbytes
        header[name] = {"dtype": _TYPES[row.dtype], "shape": [len(keys), *row.shape], "data_offsets": [start, end]}
        start = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % _HEADER_MULTIPLE)
    return len(text).to_bytes(_LENGTH_BYTES, "little") + text


def _read_header(file: FileIO) -> tuple[dict[str, Any], int]:
    """Returns the header of a safetensors file, and where the tensors begin."""
    length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
    if not 0 < length <= min(_LONGEST_HEADER, os.fstat(file.fileno()).st_size):
        raise ShardDamaged("no safetensors file, or a torn one")
    try:
        header = json.loads(file.read(length))
    except (ValueError, RecursionError) as error:
        raise ShardDamaged("no safetensors file, or one whose header has changed") from error
    if not isinstance(header, dict):
        raise ShardDamaged("no safetensors file")
    return header, _LENGTH_BYTES + length


def _check_index(index: Mapping[str, str], collection: str) -> None:
    if index["layout"] != str(SHARD_LAYOUT) or index["collection"] != collection:
        raise ShardDamaged("the shard of another collection")
    if index["index_checksum"] != _index_checksum(index):
        raise ShardDamaged("no longer what was written, in its list of keys")


def _place(said: Mapping[str, Any], rows: int) -> tuple[int, int]:
    """Returns where the rows of a tensor begin, counted from the first tensor, and how long each is."""
    first, last = said["data_offsets"]
    if not 0 <= first < last or (last - first) % rows:
        raise ShardDamaged("no longer what was written, in its header")
    return first, (last - first) // rows


def _fill(file: FileIO, start: int, part: NDArray[np.uint8]) -> None:
    file.seek(start)
    room = part.data
    while room:
        count = file.readinto(cast("bytearray", room))
        if not count:
            raise ShardDamaged("cut short since it was opened")
        room = room[count:]


def _checksum(key: str, parts: Sequence[NDArray[np.uint8]]) -> int:
    # CRC-32 is what finds accidents at the least cost, several times faster than any hash of hashlib; against
    # intent stands the mode of the folder. The key is part of it: a row in the place of another is an accident too.
    checksum = zlib.crc32(key.encode())
    for part in parts:
        checksum = zlib.crc32(part.data, checksum)
    return checksum


def _index_checksum(index: Mapping[str, str]) -> str:
    text = "\n".join(index[name] for name in ("layout", "collection", "keys", "checksums"))
    return f"{zlib.crc32(text.encode()):08x}"


def _tensor_bytes(shape: tuple[int, ...], dtype: torch.dtype) -> int:
    return int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
