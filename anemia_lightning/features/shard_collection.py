"""A collection: the rows that share all ingredients, in a folder of shards that several processes fill and read."""

import json
import logging
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import torch
from torch import Tensor

from anemia_lightning.errors import StoreUnwritableError
from anemia_lightning.features import shard_folder
from anemia_lightning.features.shard import (
    Pick,
    RowBytes,
    RowLayout,
    Shard,
    ShardDamaged,
    as_bytes,
    row_bytes,
    write_shard,
)
from anemia_lightning.files.whole_file import whole_file

Ingredients = Mapping[str, str | int | float | bool | None]
"""All that the rows of a collection depend on, beside their keys."""

ABOUT = "about.json"
_log = logging.getLogger(__name__)


class StoredRowsLost(Exception):  # noqa: N818 (what befell the rows)
    """Rows that were stored are damaged or gone: whoever asked for them computes them again."""

    def __init__(self, keys: Sequence[str]) -> None:
        super().__init__(f"{len(keys)} stored rows are lost")
        self.keys = list(keys)


class Collection:
    """The rows that share all ingredients; got from `FeatureStore.open`. Several threads may use it at once.

    Args:
        folder: Of the collection, named after its ingredients.
        ingredients: What its rows depend on, written down beside them for people to read.
        layout: What a row holds.
        shard_bytes: How much is gathered before a shard is written.
    """

    def __init__(self, folder: Path, ingredients: Ingredients, layout: RowLayout, *, shard_bytes: int) -> None:
        self.folder = folder
        self.row_bytes = row_bytes(layout)
        """The size of a row."""
        self.written_bytes = 0
        """The size of all rows that this has written itself."""
        self._ingredients = dict(ingredients)
        self._layout = dict(layout)
        self._rows_per_shard = max(1, shard_bytes // self.row_bytes)
        self._waiting: dict[str, int] = {}
        self._buffer: dict[str, Tensor] = {}
        self._index: dict[bytes, tuple[Shard, int]] = {}
        self._known: set[Path] = set()
        self._lock = threading.RLock()
        self._lease: shard_folder.Lease | None = None
        self.refresh()

    def missing(self, keys: Sequence[str]) -> list[str]:
        """Returns which of these rows cannot be read, in order, each once."""
        with self._lock:
            return [key for key in dict.fromkeys(keys) if key not in self._waiting and _short(key) not in self._index]

    def read(self, keys: Sequence[str]) -> dict[str, Tensor]:
        """Returns rows, each tensor [keys, *shape].

        Raises:
            StoredRowsLost: If some of them are damaged, gone, or were never stored; they are `missing` from then on.
        """
        out = {name: torch.empty((len(keys), *shape), dtype=dtype) for name, (shape, dtype) in self._layout.items()}
        if not keys:
            return out
        wanted: dict[Shard, list[Pick]] = {}
        lost: set[str] = set()
        with self._lock:
            for place, key in enumerate(keys):
                if key in self._waiting:
                    for name, row in self._waiting_row(key).items():
                        out[name][place] = row
                elif found := self._index.get(_short(key)):
                    wanted.setdefault(found[0], []).append(Pick(found[1], key, place))
                else:
                    lost.add(key)
        held = {name: as_bytes(tensor) for name, tensor in out.items()}
        for shard, picks in wanted.items():
            if not self._read_shard(shard, picks, held):
                lost.update(pick.key for pick in picks)
        if lost:
            raise StoredRowsLost([key for key in dict.fromkeys(keys) if key in lost])
        return out

    def add(self, keys: Sequence[str], rows: Mapping[str, Tensor]) -> None:
        """Takes rows, and writes them as soon as they fill a shard; until then they are kept in memory.

        Rows that are there already are passed over. Where rows cannot be written they are `missing` again.

        Args:
            keys: SHA-256 in hexadecimal.
            rows: For each name a tensor [keys, *shape], on any device; they are copied.

        Raises:
            DiskFullError: If there is no room for them.
            StoreUnwritableError: If the folder cannot be written to.
        """
        for name, (shape, dtype) in self._layout.items():
            if rows[name].shape != (len(keys), *shape) or rows[name].dtype != dtype:
                raise ValueError(f"{name} is {rows[name].dtype} {tuple(rows[name].shape)}, not {dtype} {shape} per key")
        rows = {name: rows[name].detach().cpu() for name in self._layout}
        with self._lock:
            row_of = {key: row for row, key in enumerate(keys)}
            for key in self.missing(keys):
                self._let_wait(key, {name: tensor[row_of[key]] for name, tensor in rows.items()})

    def flush(self) -> None:
        """Writes the rows that are waiting in memory, but for those that other processes have written meanwhile.

        Raises:
            DiskFullError: If there is no room for them; they are `missing` again.
            StoreUnwritableError: If the folder cannot be written to; likewise.
        """
        with self._lock:
            if not self._waiting:
                return
            self.refresh()
            keys = [key for key in self._waiting if _short(key) not in self._index]
            try:
                path = self._write(keys) if keys else None
            except OSError as error:
                raise StoreUnwritableError(self.folder, error) from error
            finally:
                self._waiting, self._buffer = {}, {}
            if path is not None:
                self._index_shard(path)

    def refresh(self) -> None:
        """Finds the shards that other processes have written since, and forgets those that are gone."""
        with self._lock:
            if self._lease is None:
                self._lease = shard_folder.use_folder(self.folder)
            found = shard_folder.list_shards(self.folder)
            if gone := self._known - set(found):
                self._forget(gone)
                self._known -= gone
            for path in found:
                if path not in self._known:
                    self._index_shard(path)

    def close(self) -> None:
        """Ends the use of the folder; what waits in memory is lost."""
        if self._lease is not None:
            self._lease.release()
            self._lease = None

    def _let_wait(self, key: str, row: Mapping[str, Tensor]) -> None:
        if not self._waiting:
            # In one piece: rows that each stay where they were computed leave a heap in pieces, which grows with them.
            self._buffer = {
                name: torch.empty((self._rows_per_shard, *shape), dtype=dtype)
                for name, (shape, dtype) in self._layout.items()
            }
        place = len(self._waiting)
        for name, values in row.items():
            self._buffer[name][place] = values
        self._waiting[key] = place
        if len(self._waiting) >= self._rows_per_shard:
            self.flush()

    def _waiting_row(self, key: str) -> dict[str, Tensor]:
        return {name: rows[self._waiting[key]] for name, rows in self._buffer.items()}

    def _write(self, keys: Sequence[str]) -> Path:
        if self._lease is None or not self.folder.is_dir():
            self._lease = shard_folder.make_folder(self.folder)
        if not (self.folder / ABOUT).exists():
            self._write_about()
        path = shard_folder.new_shard(self.folder)
        write_shard(path, self.folder.name, {key: self._waiting_row(key) for key in keys})
        self.written_bytes += len(keys) * self.row_bytes
        return path

    def _write_about(self) -> None:
        said = {"ingredients": self._ingredients, "rows": layout_words(self._layout)}
        # Under a name of its own first: another process may be writing the same, and would take ours for a stump.
        draft = shard_folder.new_draft(self.folder)
        with whole_file(draft) as file:
            file.write(json.dumps(said, indent=2).encode())
        draft.replace(self.folder / ABOUT)

    def _index_shard(self, path: Path) -> None:
        try:
            shard = Shard(path, self.folder.name, self._layout)
        except ShardDamaged as error:
            self._known.add(path)
            _discard(path, error)
        except OSError:
            return  # gone again, or for another time
        else:
            self._known.add(path)
            for row, key in enumerate(shard.keys):
                self._index.setdefault(_short(key), (shard, row))

    def _read_shard(self, shard: Shard, picks: Sequence[Pick], out: RowBytes) -> bool:
        """Returns whether the rows could be read; if not, nobody is given a row of this shard any more."""
        try:
            shard.read(picks, out)
        except ShardDamaged as error:
            _discard(shard.path, error)
            self._forget({shard.path})
        except OSError:
            self._forget({shard.path})
            with self._lock:
                self._known.discard(shard.path)  # evicted, or not to be read just now
        else:
            return True
        return False

    def _forget(self, paths: set[Path]) -> None:
        with self._lock:
            self._index = {key: place for key, place in self._index.items() if place[0].path not in paths}


def _discard(path: Path, error: ShardDamaged) -> None:
    _log.warning("Removed %s from the feature store: it is %s.", path, error)
    with suppress(OSError):
        path.unlink()


def layout_words(layout: RowLayout) -> dict[str, list[object]]:
    """Returns a row layout as plain values: the shape and the type of each tensor."""
    return {name: [list(shape), str(dtype).removeprefix("torch.")] for name, (shape, dtype) in layout.items()}


def _short(key: str) -> bytes:
    # Half the memory of the text; and what is no key fails here, not in a shard.
    return bytes.fromhex(key)
