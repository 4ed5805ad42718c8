"""Finds the copies of photographs at four grains, from the same file to another cut-out of the same photograph."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from sklearn.neighbors import NearestNeighbors

from anemia_lightning.contracts import GROUP_COLUMNS
from anemia_lightning.data.fingerprints import THUMBNAIL_PX, Fingerprint, orientations
from anemia_lightning.data.kept_fingerprints import Picked
from anemia_lightning.data.record_store import RecordStore
from anemia_lightning.data.recuts import SAME_PHOTO_SCORE, compare_cuts
from anemia_lightning.data.spool import Spool

SAME_THUMBNAIL = 4.0
"""Root mean square difference of two thumbnails, in grey levels, up to which photos of one size are copies."""

_MOST_NEAR = 500
_ROUNDING = 1e-3
_PHOTOS_AT_ONCE = 1000
_Indices = NDArray[np.int64]


class Copies(NamedTuple):
    """Which photos are copies of which."""

    groups: pd.DataFrame
    """One row per photo, `GROUP_COLUMNS`: the index of the group's first photo. Each grain includes those before."""
    pairs: pd.DataFrame
    """first, second, grain (turned or recut), score: the links that were found between photos of other pixels."""
    near: pd.DataFrame
    """The same columns: the likest pairs that were compared and not joined, the likest first."""


def find_copies(
    file_hashes: Sequence[str],
    prints: Sequence[Fingerprint],
    *,
    seek_recuts: bool = True,
    processes: int = 1,
    spool: Spool | None = None,
    store: RecordStore | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Copies:
    """Finds which photos are copies of one another.

    - bytes: the same file.
    - pixels: the same decoded pixels.
    - turned: the same after flips, right angles or re-encoding; the size stays, and so do the colours.
    - recut: cut-outs of one photograph, whatever the outline, with a scale of 0.45 to 2.2, turned, mirrored or
      re-coloured, that share at least a quarter of the smaller one's tissue.

    Groups are transitive. The result does not depend on the photos' order, but for their names.

    Args:
        file_hashes: A hash of each photo's file.
        prints: Each photo's fingerprint.
        seek_recuts: Whether to compare cut-outs, which takes nearly all of the time; without, the grain recut finds
            no more than turned.
        processes: That compare, where there is much to compare; they change nothing but the time it takes.
        spool: Where copies of the prints' local features lie; None for one of its own.
        store: Where comparisons are kept, so that none is made again; None keeps none.
        progress: Called with (step in words, done, in all).

    Returns:
        The groups, and the evidence for those whose pixels differ.
    """
    alone = np.arange(len(prints))
    by_bytes = join_groups(alone, _equal(file_hashes))
    by_pixels = join_groups(by_bytes, _equal([each.pixels for each in prints]))
    kept = _pick_one_each(by_pixels, prints)
    turned = _name_rows(_find_turned(Picked(prints, kept)), kept)
    by_turned = join_groups(by_pixels, turned[["first", "second"]].to_numpy())
    kept = _pick_one_each(by_turned, prints)
    compared = Picked(prints, kept if seek_recuts else [])
    cuts = compare_cuts(compared, processes=processes, spool=spool, store=store, progress=progress)
    recut = _name_rows(cuts.assign(grain="recut"), kept)
    by_recut = join_groups(by_turned, recut.loc[recut["score"] >= SAME_PHOTO_SCORE, ["first", "second"]].to_numpy())
    is_joined = by_recut[recut["first"]] == by_recut[recut["second"]]
    near = recut[~is_joined].sort_values(["score", "first", "second"], ascending=[False, True, True])
    return Copies(
        pd.DataFrame(dict(zip(GROUP_COLUMNS, (by_bytes, by_pixels, by_turned, by_recut), strict=True))),
        pd.concat([turned, recut[recut["score"] >= SAME_PHOTO_SCORE]], ignore_index=True),
        near.head(_MOST_NEAR).reset_index(drop=True),
    )


def _equal(keys: Sequence[str]) -> _Indices:
    """Links each photo to the first one with its key, [N, 2]."""
    first: dict[str, int] = {}
    return np.array([(first.setdefault(key, index), index) for index, key in enumerate(keys)], np.int64).reshape(-1, 2)


def join_groups(groups: _Indices, links: _Indices) -> _Indices:
    """Returns the groups after joining those that links connect, each named by its first photo, [N]."""
    count = len(groups)
    edges = np.concatenate([np.stack([np.arange(count), groups], axis=1), links])
    graph = coo_array((np.ones(len(edges), np.int8), (edges[:, 0], edges[:, 1])), shape=(count, count))
    component = connected_components(graph, directed=False)[1]
    first = np.full(count, count, np.int64)
    np.minimum.at(first, component, np.arange(count))
    return first[component]


def _pick_one_each(groups: _Indices, prints: Sequence[Fingerprint]) -> _Indices:
    """Returns one photo of each group; which, and in what order, depends on their pixels alone."""
    order = sorted(range(len(prints)), key=lambda index: (prints[index].pixels, index))
    picked: dict[int, int] = {}
    for index in order:
        picked.setdefault(int(groups[index]), index)
    return np.array(list(picked.values()), np.int64)


def _name_rows(table: pd.DataFrame, kept: _Indices) -> pd.DataFrame:
    """Returns a table of pairs with positions among the kept photos replaced by the photos' own indices."""
    pair = np.sort(kept[table[["first", "second"]].to_numpy(dtype=np.int64)], axis=1)
    named = table.assign(first=pair[:, 0], second=pair[:, 1])
    return named[["first", "second", "grain", "score"]].sort_values(["first", "second"], ignore_index=True)


def _find_turned(prints: Sequence[Fingerprint]) -> pd.DataFrame:
    """Finds photos of one size that look the same in one of eight orientations; `score` is by how many grey levels."""
    by_size: dict[tuple[int, ...], list[int]] = {}
    for index, each in enumerate(prints):
        by_size.setdefault(tuple(sorted(each.canvas)), []).append(index)
    rows = []
    for members in by_size.values():
        for one, other in _near_pairs(np.stack([_summarise(prints[index].thumbnail) for index in members])):
            first, second = members[one], members[other]
            if (difference := _differ(prints[first].thumbnail, prints[second].thumbnail)) <= SAME_THUMBNAIL:
                rows.append((first, second, "turned", difference))
    # Numbers even where there are none: beside columns of nothing, others would turn into objects.
    types = {"first": np.int64, "second": np.int64, "score": np.float64}
    return pd.DataFrame(rows, columns=["first", "second", "grain", "score"]).astype(types)


def _near_pairs(summaries: NDArray[np.float64]) -> Iterator[tuple[int, int]]:
    """Yields the pairs of rows that lie within `SAME_THUMBNAIL` of one another, or a rounding beyond, in order."""
    if len(summaries) == 1:
        return
    search = NearestNeighbors(radius=SAME_THUMBNAIL + _ROUNDING, algorithm="brute").fit(summaries)
    for start in range(0, len(summaries), _PHOTOS_AT_ONCE):
        near = search.radius_neighbors(summaries[start : start + _PHOTOS_AT_ONCE], return_distance=False)
        for one, others in enumerate(near, start):
            yield from ((one, int(other)) for other in np.sort(others) if other > one)


def _summarise(thumbnail: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Returns what a thumbnail has in common with its eight orientations, so that distances are grey levels, [108].

    No two thumbnails differ by less than their summaries do, however they are turned: the mean of all orientations and
    that of blocks are projections, which bring nothing further apart. So a search by summaries misses none, and names
    few others even where all photos are of one size and mostly black.
    """
    side = THUMBNAIL_PX // 2
    common = np.mean(orientations(thumbnail), axis=0)[:side, :side]
    blocks = common.reshape(side // 2, 2, side // 2, 2, 3).mean(axis=(1, 3))
    summary: NDArray[np.float64] = blocks.ravel() / np.sqrt(blocks.size)
    return summary


def _differ(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    """Returns the root mean square difference of two thumbnails in the orientation where it is smallest."""
    target = second.astype(np.float64)
    return min(float(np.sqrt(np.mean((each - target) ** 2))) for each in orientations(first))
