"""What tests of scores share: every score with the interval of the bootstrap, from what users are given."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from anemia_lightning.metrics.estimates import Resampling, is_independent
from anemia_lightning.metrics.intervals import Interval, numbered
from anemia_lightning.metrics.resampled_scores import NAMES
from anemia_lightning.metrics.score_estimates import estimate_scores
from anemia_lightning.metrics.scores import decisions_of


@pytest.fixture(scope="session")
def bootstrap() -> Callable[..., dict[str, Interval]]:
    """Called as ``bootstrap(labels, logits, clusters, threshold=0.5, resamples=100)``."""
    return _bootstrap


def _bootstrap(
    labels: Any,
    logits: Any,
    clusters: Any,
    *,
    threshold: float = 0.5,
    resamples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
    **more: Any,
) -> dict[str, Interval]:
    known, odds = np.asarray(labels, dtype=np.int64), np.asarray(logits, dtype=np.float64)
    cluster, called = numbered(clusters, len(known)), decisions_of(odds, threshold) == 1
    how = Resampling(resamples, level, seed)
    found = estimate_scores(known, odds, cluster, called=called, scaled=odds, how=how, **more)
    # Of rows that are independent formulas come first, where there are any, and the bootstrap beside them.
    beside = {name: each.other for name, each in found.items()} if is_independent(cluster) else {}
    return {name: (beside.get(name) or found[name]).interval for name in NAMES}
