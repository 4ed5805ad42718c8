"""Fingerprints of many photos in few pieces of memory; each is an object only while it is looked at."""

from array import array
from collections.abc import Sequence
from math import prod
from typing import Any, Generic, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from anemia_lightning.data.fingerprints import THUMBNAIL_PX, Fingerprint
from anemia_lightning.data.spool import Spool

_Item = TypeVar("_Item")

_PAGE_BYTES = 1 << 20
_ALIGNED_TO = 8
_DIGEST_BYTES = 32
# The largest type first, so that all lie where a processor wants them.
_ROWS: dict[str, tuple[type[np.generic], tuple[int, ...]]] = {
    "keypoints": (np.float32, (4,)),
    "descriptors": (np.uint8, (128,)),
    "thumbnail": (np.uint8, (THUMBNAIL_PX, 3)),
    "packed_mask": (np.uint8, ()),
    "packed_rgb": (np.uint8, (3,)),
}
"""The type of each array, and the shape of one of its rows."""


class Picked(Sequence[_Item], Generic[_Item]):
    """Some items of a sequence, in an order of their own, each fetched when it is asked for.

    Args:
        items: The sequence.
        places: Which of its items, and in what order.
    """

    def __init__(self, items: Sequence[_Item], places: Sequence[int] | NDArray[np.int64]) -> None:
        self._items = items
        self._places = places

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, index: int) -> _Item: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[_Item]: ...
    def __getitem__(self, index: int | slice) -> _Item | Sequence[_Item]:
        if isinstance(index, slice):
            return Picked(self._items, self._places[index])
        return self._items[int(self._places[index])]


class KeptFingerprints(Sequence[Fingerprint]):
    """Fingerprints in a spool, in the order in which they were added.

    Held as objects, each leaves a dozen small pieces among all that comes and goes while photos are read; these keep
    the heaps of the interpreter and of the C library from shrinking again: 3 KB for each photo, for as long as the
    process lives.

    Args:
        spool: Where they lie.
    """

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._pages: list[NDArray[np.uint8]] = []
        self._used = 0
        self._page_of = array("q")
        self._start_of = array("q")

    def add(self, fingerprint: Fingerprint) -> None:
        """Keeps a copy."""
        record = _pack(fingerprint)
        if not self._pages or self._used + len(record) > len(self._pages[-1]):
            self._pages.append(self._spool.empty((max(_PAGE_BYTES, len(record)),), np.uint8))
            self._used = 0
        self._page_of.append(len(self._pages) - 1)
        self._start_of.append(self._used)
        self._pages[-1][self._used : self._used + len(record)] = np.frombuffer(record, np.uint8)
        self._used += -(-len(record) // _ALIGNED_TO) * _ALIGNED_TO

    def __len__(self) -> int:
        return len(self._page_of)

    @overload
    def __getitem__(self, index: int) -> Fingerprint: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Fingerprint]: ...
    def __getitem__(self, index: int | slice) -> Fingerprint | Sequence[Fingerprint]:
        if isinstance(index, slice):
            return Picked(self, range(len(self))[index])
        page = self._pages[self._page_of[index]].view()
        page.flags.writeable = False
        return _unpack(page, self._start_of[index])


def _pack(fingerprint: Fingerprint) -> bytes:
    numbers = [*fingerprint.canvas, *fingerprint.size, *(len(getattr(fingerprint, name)) for name in _ROWS)]
    arrays = [np.ascontiguousarray(getattr(fingerprint, name), dtype) for name, (dtype, _) in _ROWS.items()]
    digests = [bytes.fromhex(each) for each in (fingerprint.pixels, fingerprint.turned_pixels)]
    return b"".join([np.array(numbers, np.int64).tobytes(), *digests, *(each.tobytes() for each in arrays)])


def _unpack(page: NDArray[np.uint8], start: int) -> Fingerprint:
    """Returns the fingerprint that begins at a place of a page, whose memory its arrays share."""

    def take(dtype: type[np.generic], *shape: int) -> NDArray[Any]:
        nonlocal start
        taken: NDArray[Any] = np.ndarray(shape, dtype, buffer=page, offset=start)
        start += prod(shape) * taken.itemsize
        return taken

    height, width, tissue_height, tissue_width, *lengths = take(np.int64, 4 + len(_ROWS)).tolist()
    pixels, turned_pixels = (take(np.uint8, _DIGEST_BYTES).tobytes().hex() for _ in range(2))
    rows = zip(_ROWS.items(), lengths, strict=True)
    return Fingerprint(
        pixels=pixels,
        turned_pixels=turned_pixels,
        canvas=(height, width),
        size=(tissue_height, tissue_width),
        **{name: take(dtype, length, *row) for (name, (dtype, row)), length in rows},
    )
