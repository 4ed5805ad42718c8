"""Finds the cut-outs of one photograph: cropped, shifted, cut along another line, rescaled, turned or re-coloured."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import pandas as pd

from anemia_lightning.data.alignment import Subject, make_ready
from anemia_lightning.data.fingerprints import Fingerprint
from anemia_lightning.data.matching import compare
from anemia_lightning.data.shortlist import shortlist
from anemia_lightning.data.texture import Features

SAME_PHOTO_SCORE = 18.5
"""From this score on, two cut-outs are of one photograph.

A step above what the tuning half of `anemia_lightning.benchmarks.recuts` asks for, because a wrong link costs more than
a missed one: of the 28,680 pairs of the embedded drawn photographs one exceeds it, at 18.7, were all of them compared;
of those that are, the likest reaches 16.8.
"""

COMPARED = 10
"""Photos that each photo is compared with; 16 would find one pair in a hundred more, at half again the cost."""

_KEPT_READY = 1024


def compare_cuts(
    prints: Sequence[Fingerprint], *, threads: int = 2, progress: Callable[[int, int], None] | None = None
) -> pd.DataFrame:
    """Compares each photo with those most like it.

    Args:
        prints: The photos' fingerprints, copies already left out.
        threads: Comparisons at work; they change nothing but the time it takes.
        progress: Called with (comparisons done, comparisons in all).

    Returns:
        `first`, `second` (indices into `prints`, the smaller first) and `score` of all pairs that were compared
        and lie on one another somewhere, in rising order of indices.
    """
    pairs = shortlist([Features(each.keypoints, each.descriptors) for each in prints], longest=COMPARED)

    @lru_cache(maxsize=_KEPT_READY)
    def ready(index: int) -> Subject:
        return make_ready(prints[index])

    def score(pair: tuple[int, int]) -> float | None:
        found = compare(ready(pair[0]), ready(pair[1]))
        return None if found is None else found.score

    rows = [(int(first), int(second)) for first, second in pairs]
    scores: list[float | None] = []
    with ThreadPoolExecutor(threads) as pool:
        for done, found in enumerate(pool.map(score, rows), start=1):
            scores.append(found)
            if progress is not None:
                progress(done, len(rows))
    table = pd.DataFrame(rows, columns=["first", "second"]).assign(score=pd.Series(scores, dtype="float64"))
    return table.dropna().reset_index(drop=True)
