"""Finds the cut-outs of one photograph: cropped, shifted, cut along another line, rescaled, turned or re-coloured."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from anemia_lightning.data.alignment import Subject, make_ready
from anemia_lightning.data.fingerprints import Fingerprint
from anemia_lightning.data.matching import compare
from anemia_lightning.data.shortlist import shortlist
from anemia_lightning.data.spool import Spool
from anemia_lightning.data.texture import Features
from anemia_lightning.made_ahead import made_ahead

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
    prints: Sequence[Fingerprint],
    *,
    threads: int = 2,
    spool: Spool | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:
    """Compares each photo with those most like it.

    Args:
        prints: The photos' fingerprints, copies already left out.
        threads: Comparisons at work; they change nothing but the time it takes.
        spool: Where copies of the prints' local features lie; None for one of its own.
        progress: Called with (comparisons done, comparisons in all).

    Returns:
        `first`, `second` (indices into `prints`, the smaller first) and `score` of all pairs that were compared
        and lie on one another somewhere, in rising order of indices.
    """
    features = [Features(each.keypoints, each.descriptors) for each in prints]
    pairs = shortlist(features, longest=COMPARED, spool=spool)

    @lru_cache(maxsize=_KEPT_READY)
    def ready(index: int) -> Subject:
        return make_ready(prints[index])

    def score(pair: NDArray[np.int64]) -> float:
        found = compare(ready(int(pair[0])), ready(int(pair[1])))
        return np.nan if found is None else found.score

    scores = np.empty(len(pairs))
    with ThreadPoolExecutor(threads) as pool:
        for done, found in enumerate(made_ahead(pool, score, pairs), start=1):
            scores[done - 1] = found
            if progress is not None:
                progress(done, len(pairs))
    table = pd.DataFrame({"first": pairs[:, 0], "second": pairs[:, 1], "score": scores})
    return table.dropna().reset_index(drop=True)
