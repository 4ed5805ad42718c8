"""Finds the cut-outs of one photograph: cropped, shifted, cut along another line, rescaled, turned or re-coloured."""

import hashlib
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, suppress
from functools import lru_cache, partial
from typing import NamedTuple

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from numpy.typing import NDArray

from anemia_lightning.data.alignment import Subject, make_ready
from anemia_lightning.data.fingerprints import Fingerprint
from anemia_lightning.data.matching import compare
from anemia_lightning.data.one_thread import one_thread_each
from anemia_lightning.data.record_store import RecordStore, in_parts
from anemia_lightning.data.shortlist import shortlist
from anemia_lightning.data.spool import Spool

SAME_PHOTO_SCORE = 18.5
"""From this score on, two cut-outs are of one photograph.

A step above what the tuning half of `anemia_lightning.benchmarks.recuts` asked for when it was chosen, because a wrong
link costs more than a missed one: of the 28,680 pairs of the embedded drawn photographs one exceeds it, at 18.7, were
all of them compared; of those that are, the likest reaches 16.8.
"""

COMPARED = 10
"""Photos that each photo is compared with; 16 would find one pair in a hundred more, at half again the cost."""

FEW_PAIRS = 500
"""So many pairs are compared before processes have started."""

_PAIRS_AT_ONCE = 64
_COMPARED_AT_ONCE = 128
"""So many times as many are compared until it is looked again what others have compared of the rest."""
_KEPT_READY = 32
_IDLE_WORKER_S = 5
_SCORES = "scores"

_Scores = NDArray[np.float64]


def compare_cuts(
    prints: Sequence[Fingerprint],
    *,
    processes: int = 1,
    spool: Spool | None = None,
    store: RecordStore | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> pd.DataFrame:
    """Compares each photo with those most like it.

    Args:
        prints: The photos' fingerprints, copies already left out.
        processes: That compare, where there are more than `FEW_PAIRS`, and threads that seek what to compare; they
            change nothing but the time it takes.
        spool: Where copies of the prints' local features lie; None for one of its own.
        store: Where comparisons are kept, so that none is made again; None keeps none.
        progress: Called with (step in words, done, in all).

    Returns:
        `first`, `second` (indices into `prints`, the smaller first) and `score` of all pairs that were compared
        and lie on one another somewhere, in rising order of indices.
    """
    seeking = partial(progress, "seeking photographs alike") if progress else None
    pairs = shortlist(prints, longest=COMPARED, spool=spool, threads=processes, progress=seeking)
    scores = np.empty(len(pairs))
    done = 0
    with closing(_score_all(prints, pairs, processes, store or RecordStore(None, ""))) as scored:
        for start, found in scored:
            scores[start : start + len(found)] = found
            done += len(found)
            if progress is not None:
                progress("comparing photographs alike", done, len(pairs))
    table = pd.DataFrame({"first": pairs[:, 0], "second": pairs[:, 1], "score": scores})
    return table.dropna().reset_index(drop=True)


def _score_all(
    prints: Sequence[Fingerprint], pairs: NDArray[np.int64], processes: int, store: RecordStore
) -> Generator[tuple[int, _Scores]]:
    """Yields the scores of some pairs at a time, with the place of the first: those that are kept, then the others."""
    starts = range(0, len(pairs), _PAIRS_AT_ONCE)
    left = {start: _key(prints, pairs[start : start + _PAIRS_AT_ONCE]) for start in starts}
    yield from _take_known(store, left, only_new=False)
    are_few = min(len(left) * _PAIRS_AT_ONCE, len(pairs)) <= FEW_PAIRS
    for part in in_parts(list(left), _COMPARED_AT_ONCE):
        # Another command may compare the same photos.
        yield from _take_known(store, left, only_new=True)
        keys = {start: left.pop(start) for start in part if start in left}
        with closing(_score_parts(prints, pairs, list(keys), 1 if are_few else processes)) as scored:
            for (start, key), found in zip(keys.items(), scored, strict=True):
                store.add(key, {_SCORES: found})
                yield start, found


def _take_known(store: RecordStore, left: dict[int, str], *, only_new: bool) -> Iterator[tuple[int, _Scores]]:
    """Yields the scores that are kept of what is left to compare, and takes them from that.

    Args:
        store: Where they are kept.
        left: The keys of some pairs each, by the place of the first.
        only_new: As for `RecordStore.find`.
    """
    starts = list(left)
    for place, record in store.find(list(left.values()), only_new=only_new):
        del left[starts[place]]
        yield starts[place], record[_SCORES]


def _key(prints: Sequence[Fingerprint], pairs: NDArray[np.int64]) -> str:
    pixels = [prints[int(index)].pixels for index in pairs.ravel()]
    return hashlib.sha256(" ".join(pixels).encode()).hexdigest()


def _score_parts(
    prints: Sequence[Fingerprint], pairs: NDArray[np.int64], starts: Sequence[int], processes: int
) -> Generator[_Scores]:
    """Yields the scores of the pairs that begin at each start, in their order."""
    done = 0
    if processes > 1:
        # Not threads: hundreds of small steps wait for the interpreter's lock, and two threads are slower than one.
        work = Parallel(
            processes, backend="loky", return_as="generator", batch_size=1, idle_worker_timeout=_IDLE_WORKER_S
        )
        # A worker that the system kills, for want of memory, costs time and nothing else.
        with suppress(BrokenProcessPool):
            for found in work(delayed(_score_part)(_take_part(prints, pairs, start)) for start in starts):
                done += 1
                yield found
    for start in starts[done:]:
        yield _score_part(_take_part(prints, pairs, start))


class _Part(NamedTuple):
    """Some pairs, with all that is needed to compare them."""

    pairs: list[tuple[int, int]]
    prints: dict[int, Fingerprint]


def _take_part(prints: Sequence[Fingerprint], pairs: NDArray[np.int64], start: int) -> _Part:
    rows = [(int(first), int(second)) for first, second in pairs[start : start + _PAIRS_AT_ONCE]]
    return _Part(rows, {index: prints[index] for row in rows for index in row})


def _score_part(part: _Part) -> _Scores:
    """Returns the score of each pair, NaN where nothing of one lies on the other."""

    # The pairs of one photo follow one another.
    @lru_cache(maxsize=_KEPT_READY)
    def ready(index: int) -> Subject:
        return make_ready(part.prints[index])

    with one_thread_each():
        found = [compare(ready(first), ready(second)) for first, second in part.pairs]
    return np.array([np.nan if overlay is None else overlay.score for overlay in found])
