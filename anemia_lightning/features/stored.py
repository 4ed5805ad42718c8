"""Values of photos that are computed once, kept, and read from then on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import RLock

from torch import Tensor

from anemia_lightning.errors import DiskFullError, StoreUnwritableError
from anemia_lightning.features.codec import Codec
from anemia_lightning.features.shard_collection import Collection, StoredRowsLost

Compute = Callable[[Sequence[int], int], Tensor]
"""Computes values, [B, …], for (rows of the data set, view)."""

OpenView = Callable[[int], Collection | None]
"""Returns where the rows of a view are kept; None if they are not."""


@dataclass
class Tally:
    """What has been read and written so far."""

    read: int = 0
    """Rows."""
    written_bytes: int = 0


class Stored:
    """Values that are read where they are kept, and computed and kept where they are not.

    A store that fails changes nothing but the time: from then on everything is computed.

    Args:
        compute: Computes values that are not kept.
        keys: The key of each row of the data set, in hexadecimal: all that a row alone depends on.
        codec: How values are written down. Values that are not kept pass through it too, so that keeping changes
            nothing.
        open_view: Finds what is kept of a view.
        tally: Counts.
        on_failure: Told in words when the store fails.
    """

    def __init__(
        self,
        compute: Compute,
        *,
        keys: Sequence[str],
        codec: Codec,
        open_view: OpenView,
        tally: Tally,
        on_failure: Callable[[str], None],
    ) -> None:
        self._compute = compute
        self._keys = keys
        self._codec = codec
        self._open_view = open_view
        self._tally = tally
        self._on_failure = on_failure
        self._open: dict[int, Collection | None] = {}
        self._has_failed = False
        # Photographs are read by several threads.
        self._lock = RLock()

    def values(self, indices: Sequence[int], view: int) -> Tensor:
        """Returns the values of some rows in one view."""
        collection = self._collection(view)
        if collection is not None:
            try:
                return self._kept(collection, indices, view)
            except (DiskFullError, StoreUnwritableError) as error:
                self._give_up(error)
            except StoredRowsLost:
                # Lost twice: this disk cannot be relied on for them now.
                pass
        return self._codec.decode(self._codec.encode(self._compute(indices, view)))

    def flush(self) -> None:
        """Writes what waits in memory, so that other processes can read it."""
        try:
            for collection in self._open.values():
                if collection is not None:
                    collection.flush()
        except (DiskFullError, StoreUnwritableError) as error:
            self._give_up(error)

    def _kept(self, collection: Collection, indices: Sequence[int], view: int) -> Tensor:
        keys = [self._keys[index] for index in indices]
        self._complete(collection, indices, view)
        try:
            rows = collection.read(keys)
        except StoredRowsLost:
            self._complete(collection, indices, view)
            rows = collection.read(keys)
        return self._codec.decode(rows)

    def _complete(self, collection: Collection, indices: Sequence[int], view: int) -> None:
        row_of = {self._keys[index]: index for index in indices}
        missing = collection.missing(list(row_of))
        if missing:
            values = self._compute([row_of[key] for key in missing], view)
            collection.add(missing, self._codec.encode(values))
        with self._lock:
            self._tally.read += len(row_of) - len(missing)
            self._tally.written_bytes += len(missing) * collection.row_bytes

    def _collection(self, view: int) -> Collection | None:
        with self._lock:
            if self._has_failed:
                return None
            if view not in self._open:
                # What waits of other views may be what another process waits for.
                self.flush()
                self._open[view] = None if self._has_failed else self._open_view(view)
            return self._open[view]

    def _give_up(self, error: DiskFullError | StoreUnwritableError) -> None:
        with self._lock:
            self._has_failed = True
            self._open.clear()
        self._on_failure(f"{error.sought}: found {error.found}")
