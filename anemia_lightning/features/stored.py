"""Values of photos that are computed once, kept, and read from then on."""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from threading import RLock

import torch
from torch import Tensor

from anemia_lightning.errors import DiskFullError, StoreUnwritableError
from anemia_lightning.features.codec import Codec
from anemia_lightning.features.shard_collection import Collection, StoredRowsLost

Compute = Callable[[Sequence[int], int], Tensor]
"""Computes values, [B, …], for (rows of the data set, view)."""

OpenView = Callable[[int], Collection | None]
"""Returns where the rows of a view are kept; None if they are not."""

_FLUSH_S = 30.0
"""What has been computed is written when so much time has gone by and more is asked for: so much a kill can lose. Of a
view that lives on a GPU nothing more is asked for, and its last rows wait until the phase ends."""


class Stored:
    """Values that are read where they are kept, and computed and kept where they are not.

    A store that fails changes nothing but the time: from then on nothing is added to it.

    Args:
        compute: Computes values that are not kept.
        keys: The key of each row of the data set, in hexadecimal: all that a row alone depends on. None where rows
            have none; then nothing is kept.
        codec: How values are written down. Values that are not kept pass through it too, so that keeping changes
            nothing.
        open_view: Finds what is kept of a view.
        may_add: Whether there is room for more of a view; what is kept already is read in any case.
        on_failure: Told when the store fails.
    """

    def __init__(
        self,
        compute: Compute,
        *,
        keys: Sequence[str] | None,
        codec: Codec,
        open_view: OpenView,
        may_add: Callable[[int], bool],
        on_failure: Callable[[DiskFullError | StoreUnwritableError], None],
    ) -> None:
        self._compute = compute
        self._keys = keys
        self._codec = codec
        self._open_view = open_view
        self._may_add = may_add
        self._on_failure = on_failure
        self._has_failed = False
        self._open: dict[int, Collection | None] = {}
        self._flushed_at = time.monotonic()
        # Photographs are read by several threads.
        self._lock = RLock()

    def values(self, indices: Sequence[int], view: int) -> Tensor:
        """Returns the values of some rows in one view."""
        if self._keys is None:
            return self._codec.decode(self._codec.encode(self._compute(indices, view)))
        keys = [self._keys[index] for index in indices]
        collection = self._collection(view)
        if collection is not None:
            try:
                return self._kept(collection, keys, indices, view)
            except (DiskFullError, StoreUnwritableError) as error:
                self._give_up(error)
            except StoredRowsLost:
                pass  # lost twice: compute them for this once
        return self._codec.decode(self._codec.encode(self._distinct(keys, indices, view)))

    def flush(self) -> None:
        """Writes what waits in memory, so that other processes can read it."""
        self._flushed_at = time.monotonic()
        try:
            for collection in list(self._open.values()):
                if collection is not None:
                    collection.flush()
        except (DiskFullError, StoreUnwritableError) as error:
            self._give_up(error)

    def _distinct(self, keys: Sequence[str], indices: Sequence[int], view: int) -> Tensor:
        """Computes values, those of copies once.

        As for the store, so that a pass computes the same rows together, kept or not: on a GPU their last bits depend
        on that.
        """
        row_of = dict(zip(keys, indices, strict=True))
        if len(row_of) == len(keys):
            return self._compute(indices, view)
        place = {key: number for number, key in enumerate(row_of)}
        values = self._compute(list(row_of.values()), view)
        return values[torch.tensor([place[key] for key in keys], device=values.device)]

    def _kept(self, collection: Collection, keys: Sequence[str], indices: Sequence[int], view: int) -> Tensor:
        row_of = dict(zip(keys, indices, strict=True))
        for _ in range(2):
            missing = self._complete(collection, row_of, view)
            with suppress(StoredRowsLost):
                if missing:
                    return self._kept_in_part(collection, keys, {key: row_of[key] for key in missing}, view)
                return self._codec.decode(collection.read(keys))
        raise StoredRowsLost(keys)

    def _kept_in_part(self, collection: Collection, keys: Sequence[str], left: dict[str, int], view: int) -> Tensor:
        """Returns values of which those that are left are computed for this once, and all others read."""
        rows = self._codec.encode(self._compute(list(left.values()), view))
        there = [key for key in dict.fromkeys(keys) if key not in left]
        if there:
            read = collection.read(there)
            rows = {name: torch.cat([read[name], rows[name].to(read[name].device)]) for name in read}
        place = {key: number for number, key in enumerate([*there, *left])}
        order = torch.tensor([place[key] for key in keys])
        return self._codec.decode({name: each[order.to(each.device)] for name, each in rows.items()})

    def _complete(self, collection: Collection, row_of: dict[str, int], view: int) -> Sequence[str]:
        """Computes and keeps what is missing, and returns what still is: where the store takes no more."""
        missing = collection.missing(list(row_of))
        if missing:
            # Another process may have computed them since.
            collection.refresh()
            missing = collection.missing(missing)
        if missing:
            if self._has_failed or not self._may_add(view):
                return missing
            values = self._compute([row_of[key] for key in missing], view)
            collection.add(missing, self._codec.encode(values))
        with self._lock:
            if time.monotonic() - self._flushed_at > _FLUSH_S:
                self.flush()
        return ()

    def _collection(self, view: int) -> Collection | None:
        with self._lock:
            if view not in self._open:
                # What waits of other views may be what another process waits for.
                self.flush()
                self._open[view] = self._open_view(view)
            return self._open[view]

    def _give_up(self, error: DiskFullError | StoreUnwritableError) -> None:
        with self._lock:
            is_news, self._has_failed = not self._has_failed, True
        if is_news:
            self._on_failure(error)
