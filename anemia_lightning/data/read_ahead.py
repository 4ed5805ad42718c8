"""Photographs that threads read ahead of who needs them, each once, in their order."""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from anemia_lightning.data.framing import Framing
from anemia_lightning.data.reading import Unreadable, open_photo
from anemia_lightning.data.surroundings import tissue_share
from anemia_lightning.errors import PhotoUnreadable


@dataclass(frozen=True)
class Framed:
    """One photograph as networks see it."""

    squares: dict[Framing, NDArray[np.uint8]]
    """By framing, uint8 [S, S, 3]."""
    tissue_share: float
    """Share of its pixels that count as tissue, in [0, 1]."""


def read_ahead(
    manifest: pd.DataFrame, framings: Sequence[Framing], *, threads: int, block: int, is_beside: bool
) -> Iterator[Framed | Unreadable]:
    """Yields each photograph of a manifest, framed, or what keeps it from being read: decoded to its last byte.

    Args:
        manifest: The photos.
        framings: How they become squares of pixels; most often one.
        threads: Readers at work; they change nothing but the time it takes.
        block: Photographs that are read before the first of them is yielded, which bounds the memory.
        is_beside: Whether the next block is read while this one is in use, or no reader works then.
    """
    rows = list(zip(manifest["photo"], manifest["path"], manifest["mask"], strict=True))
    begun: deque[list[Future[Framed | Unreadable]]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for start in range(0, len(rows), block):
                begun.append([pool.submit(_read, row, framings) for row in rows[start : start + block]])
                if len(begun) > is_beside:
                    yield from [each.result() for each in begun.popleft()]
            for last in begun:
                yield from [each.result() for each in last]
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _read(row: tuple[str, str, str], framings: Sequence[Framing]) -> Framed | Unreadable:
    photo, path, mask = row
    squares, share = {}, 1.0
    try:
        for framing in framings:
            rgba = open_photo(path, mask=mask or None, least_side=framing.least_side).rgba
            squares[framing], share = framing.apply(rgba), tissue_share(rgba)
        return Framed(squares, share)
    except PhotoUnreadable as fault:
        return Unreadable(photo, path, fault.code, fault.reason)
