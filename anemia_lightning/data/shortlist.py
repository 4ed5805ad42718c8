"""Which photos are worth comparing: those whose local features lie unusually near, found without all pairs."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from anemia_lightning.data.spool import Spool
from anemia_lightning.data.texture import HasFeatures, mirror_features
from anemia_lightning.machine.made_ahead import made_ahead
from anemia_lightning.randomness import stream

_Rows = NDArray[np.float32]
_Indices = NDArray[np.int64]

_NEIGHBOURS = 8
_PROBED = 4
_LIKENESSES_AT_ONCE = 1 << 21
_PHOTOS_AT_ONCE = 256
_UNIT = np.float32(1 / 255)


def shortlist(
    photos: Sequence[HasFeatures],
    *,
    longest: int,
    spool: Spool | None = None,
    threads: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> _Indices:
    """Names the pairs of photos that are worth comparing.

    Each feature, and its mirror image, looks for its nearest features among all photos, and gives those photos
    as many votes as they are nearer than the first one that it leaves out (McCann & Lowe 2012). It looks in
    some cells of a Voronoi diagram alone (Sivic & Zisserman 2003), whose number grows with the square root of
    the features, so that the work grows with their power of 1.5.

    Args:
        photos: With their local features; each is asked for several times.
        longest: How many photos each photo is compared with, at most; others may name it besides.
        spool: Where the features lie while they are sorted into cells; None for one of its own.
        threads: That look up; they change nothing but the time it takes.
        progress: Called with (photos looked up, photos in all).

    Returns:
        [P, 2]: pairs of photos, the smaller index first, each once, in rising order.
    """
    counts = np.array([len(each.descriptors) for each in photos], np.int64)
    if not counts.sum():
        return np.zeros((0, 2), np.int64)
    cells = _Cells([each.descriptors for each in photos], np.repeat(np.arange(len(counts)), counts), spool or Spool())

    def name_likest(start: int) -> _Indices:
        block = list(photos[start : start + _PHOTOS_AT_ONCE])
        voter = np.repeat(np.arange(start, start + len(block)), [len(each.descriptors) for each in block])
        if not len(voter):
            return np.zeros((0, 2), np.int64)
        votes = [
            _cast_votes(*cells.look_up(np.concatenate([each.descriptors for each in hand]), voter), voter)
            for hand in (block, [mirror_features(each) for each in block])
        ]
        return _name_most_voted(pd.concat(votes), longest)

    named = []
    starts = range(0, len(photos), _PHOTOS_AT_ONCE)
    with ThreadPoolExecutor(threads) as pool, closing(made_ahead(pool, name_likest, starts, ahead=threads)) as made:
        for start, pairs in zip(starts, made, strict=True):
            named.append(pairs)
            if progress is not None:
                progress(min(start + _PHOTOS_AT_ONCE, len(photos)), len(photos))
    return np.unique(np.sort(np.concatenate(named), axis=1), axis=0)


class _Cells:
    """Features sorted into the cells of a Voronoi diagram, around features drawn at random."""

    def __init__(self, by_photo: Sequence[NDArray[np.uint8]], owner: _Indices, spool: Spool) -> None:
        descriptors = np.concatenate(by_photo, out=spool.empty((len(owner), by_photo[0].shape[1]), np.uint8))
        count = max(1, round(np.sqrt(_PROBED * len(owner)) / 2))
        drawn = stream("cells", count, len(owner)).choice(len(owner), count, replace=False)
        self._centres = descriptors[np.sort(drawn)].astype(np.float32) * _UNIT
        cell = self._find_cells(descriptors, 1)[:, 0]
        order = np.argsort(cell, kind="stable")
        self._bounds = np.searchsorted(cell[order], np.arange(count + 1))
        # Clipping clips nothing here; without it, NumPy fills a copy in memory first.
        self._descriptors = descriptors.take(order, axis=0, out=spool.empty(descriptors.shape, np.uint8), mode="clip")
        self._owner = owner[order]

    def look_up(self, wanted: NDArray[np.uint8], owner: _Indices) -> tuple[NDArray[np.int64], _Rows]:
        """Returns whose the nearest features of other photos are, and how like: [Q, K + 1], the likest first."""
        probed = self._find_cells(wanted, _PROBED)
        kept = _NEIGHBOURS + 1
        whose: _Indices = np.full((*probed.shape, kept), -1, np.int64)
        likeness: _Rows = np.zeros((*probed.shape, kept), np.float32)
        rows = wanted.astype(np.float32) * _UNIT
        by_cell = np.argsort(probed, axis=None, kind="stable")
        cells, first = np.unique(probed.ravel()[by_cell], return_index=True)
        for cell, asked in zip(cells, np.split(by_cell, first[1:]), strict=True):
            inside = slice(self._bounds[cell], self._bounds[cell + 1])
            found = self._descriptors[inside].astype(np.float32) * _UNIT
            # A mark that many photos share, such as a printed date, fills one cell.
            for part in np.array_split(asked, -(-len(asked) * len(found) // _LIKENESSES_AT_ONCE) or 1):
                query, probe = np.unravel_index(part, probed.shape)
                alike = rows[query] @ found.T
                alike[owner[query][:, None] == self._owner[inside]] = 0
                best = _largest(alike, kept)
                whose[query, probe, : best.shape[1]] = self._owner[inside][best]
                likeness[query, probe, : best.shape[1]] = np.take_along_axis(alike, best, axis=1)
        whose, likeness = whose.reshape(len(wanted), -1), likeness.reshape(len(wanted), -1)
        best = np.argsort(-likeness, axis=1, kind="stable")[:, :kept]
        return np.take_along_axis(whose, best, axis=1), np.take_along_axis(likeness, best, axis=1)

    def _find_cells(self, descriptors: NDArray[np.uint8], count: int) -> NDArray[np.intp]:
        rows = max(1, _LIKENESSES_AT_ONCE // len(self._centres))
        starts = range(0, max(len(descriptors), 1), rows)
        return np.concatenate([self._find_in_block(descriptors[start : start + rows], count) for start in starts])

    def _find_in_block(self, descriptors: NDArray[np.uint8], count: int) -> NDArray[np.intp]:
        return _largest(descriptors.astype(np.float32) * _UNIT @ self._centres.T, min(count, len(self._centres)))


def _largest(rows: _Rows, count: int) -> NDArray[np.intp]:
    """Returns the columns of each row's largest values, in no order."""
    if rows.shape[1] <= count:
        return np.broadcast_to(np.arange(rows.shape[1]), rows.shape)
    # A copy, for a view would keep all columns in memory.
    return np.argpartition(rows, rows.shape[1] - count, axis=1)[:, -count:].copy()


def _cast_votes(whose: _Indices, likeness: _Rows, voter: _Indices) -> pd.DataFrame:
    """Returns who votes, for whom, with how many votes."""
    # Of unit vectors, the squared distance is 2 - 2 * likeness; a photo's nearest feature alone votes for it.
    lead = 2 * (likeness[:, :-1] - likeness[:, -1:]).astype(np.float64)
    whose = whose[:, :-1]
    is_again = np.tril(whose[:, :, None] == whose[:, None, :], -1).any(axis=2)
    query, place = np.nonzero(~is_again & (lead > 0))
    return pd.DataFrame({"voter": voter[query], "whose": whose[query, place], "votes": lead[query, place]})


def _name_most_voted(votes: pd.DataFrame, longest: int) -> _Indices:
    """Returns each voter with those that got most of its votes, [P, 2]."""
    total = votes.groupby(["voter", "whose"])["votes"].sum().reset_index()
    ranked = total.sort_values(["voter", "votes", "whose"], ascending=[True, False, True])
    most: _Indices = ranked.groupby("voter").head(longest)[["voter", "whose"]].to_numpy(dtype=np.int64)
    return most
