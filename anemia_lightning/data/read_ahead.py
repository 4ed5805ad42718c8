"""Photographs that threads read ahead of who needs them, each once, in their order."""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from anemia_lightning.data.framing import Framing
from anemia_lightning.data.reading import Unreadable, open_photo
from anemia_lightning.errors import PhotoUnreadable

Framed = dict[Framing, NDArray[np.uint8]]
"""One photograph by framing, uint8 [S, S, 3]."""


def read_ahead(
    manifest: pd.DataFrame, framings: Sequence[Framing], *, threads: int, ahead: int
) -> Iterator[Framed | Unreadable]:
    """Yields each photograph of a manifest, framed, or what keeps it from being read: decoded to its last byte.

    Args:
        manifest: The photos.
        framings: How they become squares of pixels; most often one.
        threads: Readers at work; they change nothing but the time it takes.
        ahead: Photographs that may be read before they are taken, which bounds the memory.
    """
    rows = zip(manifest["photo"], manifest["path"], manifest["mask"], strict=True)
    waiting: deque[Future[Framed | Unreadable]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for row in rows:
                waiting.append(pool.submit(_read, row, framings))
                if len(waiting) > ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for left in waiting:
                left.cancel()


def _read(row: tuple[str, str, str], framings: Sequence[Framing]) -> Framed | Unreadable:
    photo, path, mask = row
    try:
        return {
            framing: framing.apply(open_photo(path, mask=mask or None, least_side=framing.least_side).rgba)
            for framing in framings
        }
    except PhotoUnreadable as fault:
        return Unreadable(photo, path, fault.code, fault.reason)
