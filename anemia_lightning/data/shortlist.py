"""Which photos are worth comparing: those whose local features lie unusually near, found without all pairs."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array

from anemia_lightning.data.texture import Features, mirror_features
from anemia_lightning.randomness import stream

_Rows = NDArray[np.float32]
_Indices = NDArray[np.int64]

_NEIGHBOURS = 8
_PROBED = 4
_BLOCK = 16_384
_UNIT = np.float32(1 / 255)


def shortlist(
    features: Sequence[Features], *, longest: int, progress: Callable[[int, int], None] | None = None
) -> _Indices:
    """Names the pairs of photos that are worth comparing.

    Each feature, and its mirror image, looks for its nearest features among all photos, and gives those photos
    as many votes as they are nearer than the first one that it leaves out (McCann & Lowe 2012). It looks in
    some cells of a Voronoi diagram alone (Sivic & Zisserman 2003), whose number grows with the square root of
    the features, so that the work grows with their power of 1.5.

    Args:
        features: One per photo.
        longest: How many photos each photo is compared with, at most; others may name it besides.
        progress: Called with (features looked up, features in all).

    Returns:
        [P, 2]: pairs of photos, the smaller index first, each once, in rising order.
    """
    owner = np.repeat(np.arange(len(features)), [len(each.descriptors) for each in features])
    if not len(owner):
        return np.zeros((0, 2), np.int64)
    plain = np.concatenate([each.descriptors for each in features])
    mirrored = np.concatenate([mirror_features(each).descriptors for each in features])
    cells = _Cells(plain, owner)
    votes = csr_array((len(features), len(features)), dtype=np.float32)
    for start in range(0, len(owner), _BLOCK):
        block = slice(start, start + _BLOCK)
        for wanted in (plain[block], mirrored[block]):
            votes += _count_votes(*cells.look_up(wanted, owner[block]), owner[block], len(features))
        if progress is not None:
            progress(min(start + _BLOCK, len(owner)), len(owner))
    return _name_pairs(votes, longest)


class _Cells:
    """Features sorted into the cells of a Voronoi diagram, around features drawn at random."""

    def __init__(self, descriptors: NDArray[np.uint8], owner: _Indices) -> None:
        count = max(1, round(np.sqrt(_PROBED * len(owner)) / 2))
        drawn = stream("cells", count, len(owner)).choice(len(owner), count, replace=False)
        self._centres = descriptors[np.sort(drawn)].astype(np.float32) * _UNIT
        cell = np.concatenate(
            [
                self._nearest_cells(descriptors[start : start + _BLOCK], 1)[:, 0]
                for start in range(0, len(owner), _BLOCK)
            ]
        )
        order = np.argsort(cell, kind="stable")
        self._bounds = np.searchsorted(cell[order], np.arange(count + 1))
        self._descriptors = descriptors[order]
        self._owner = owner[order]

    def look_up(self, wanted: NDArray[np.uint8], owner: _Indices) -> tuple[NDArray[np.int64], _Rows]:
        """Returns whose the nearest features of other photos are, and how like: [Q, K + 1], the likest first."""
        probed = self._nearest_cells(wanted, _PROBED)
        kept = _NEIGHBOURS + 1
        whose = np.full((len(wanted), probed.shape[1], kept), -1, np.int64)
        likeness = np.zeros((len(wanted), probed.shape[1], kept), np.float32)
        rows = wanted.astype(np.float32) * _UNIT
        flat = probed.ravel()
        order = np.argsort(flat, kind="stable")
        bounds = np.searchsorted(flat[order], np.arange(len(self._centres) + 1))
        for cell in np.unique(flat):
            query, probe = np.divmod(order[bounds[cell] : bounds[cell + 1]], probed.shape[1])
            inside = slice(self._bounds[cell], self._bounds[cell + 1])
            alike = rows[query] @ (self._descriptors[inside].astype(np.float32) * _UNIT).T
            alike[owner[query][:, None] == self._owner[inside]] = 0
            best = _largest(alike, kept)
            whose[query, probe, : best.shape[1]] = self._owner[inside][best]
            likeness[query, probe, : best.shape[1]] = np.take_along_axis(alike, best, axis=1)
        by_query = likeness.reshape(len(wanted), -1)
        best = np.argsort(-by_query, axis=1, kind="stable")[:, :kept]
        whose_best = np.take_along_axis(whose.reshape(len(wanted), -1), best, axis=1)
        return whose_best, np.take_along_axis(by_query, best, axis=1)

    def _nearest_cells(self, descriptors: NDArray[np.uint8], count: int) -> NDArray[np.intp]:
        return _largest(descriptors.astype(np.float32) * _UNIT @ self._centres.T, min(count, len(self._centres)))


def _largest(rows: _Rows, count: int) -> NDArray[np.intp]:
    """Returns the columns of each row's largest values, in no order."""
    if rows.shape[1] <= count:
        return np.broadcast_to(np.arange(rows.shape[1]), rows.shape)
    return np.argpartition(rows, rows.shape[1] - count, axis=1)[:, -count:]


def _count_votes(whose: _Indices, likeness: _Rows, voter: _Indices, photos: int) -> csr_array:
    """Returns the votes of some features, [photos, photos]: by whom, for whom."""
    # Of unit vectors, the squared distance is 2 - 2 * likeness; a photo's nearest feature alone votes for it.
    lead = 2 * (likeness[:, :-1] - likeness[:, -1:])
    whose = whose[:, :-1]
    repeated = np.tril(whose[:, :, None] == whose[:, None, :], -1).any(axis=2)
    valid = ~repeated & (lead > 0)
    query = np.nonzero(valid)[0]
    return csr_array(coo_array((lead[valid], (voter[query], whose[valid])), shape=(photos, photos)))


def _name_pairs(votes: csr_array, longest: int) -> _Indices:
    pairs = []
    for photo in range(votes.shape[0]):
        inside = slice(votes.indptr[photo], votes.indptr[photo + 1])
        others, count = votes.indices[inside], votes.data[inside]
        chosen = others[np.lexsort((others, -count))[:longest]]
        pairs.append(np.stack([np.minimum(chosen, photo), np.maximum(chosen, photo)], axis=1))
    return np.unique(np.concatenate(pairs).astype(np.int64), axis=0).reshape(-1, 2)
