"""Estimates take the formula where photos are independent and the clusters where they are not."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from statsmodels.stats.proportion import proportion_confint

from anemia_lightning.metrics.delong import delong_interval
from anemia_lightning.metrics.estimates import (
    BOOTSTRAP,
    DELONG,
    WILSON,
    WILSON_OVER_CLUSTERS,
    Resampling,
    estimate_auroc,
    estimate_share,
)
from anemia_lightning.metrics.intervals import auroc_interval


def _draw(seed: int, copies: int) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    labels = np.append([0, 0, 1, 1], rng.integers(0, 2, 56))
    return (
        np.repeat(labels, copies),
        np.repeat(rng.normal(labels), copies),
        np.repeat(rng.permutation(60), copies),
    )


@pytest.mark.parametrize(("part", "whole"), [(0, 12), (12, 12), (7, 12), (399, 400)])
def test_a_share_of_independent_photos_has_wilsons_interval(part: int, whole: int) -> None:
    found = estimate_share(np.arange(whole) < part, np.arange(whole), Resampling())
    assert found.method == WILSON
    assert (found.low, found.high) == pytest.approx(proportion_confint(part, whole, method="wilson"), abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_a_share_of_clusters_equals_a_plain_loop(seed: int) -> None:
    rng = np.random.default_rng(seed)
    cluster = np.repeat(np.arange(20), rng.integers(1, 5, 20))
    counted = rng.random(len(cluster)) < 0.6
    found = estimate_share(counted, cluster, Resampling(resamples=200, seed=seed))
    draws = np.random.default_rng(seed)
    members = [np.flatnonzero(cluster == each) for each in range(20)]
    shares = [
        counted[np.concatenate([members[each] for each in draws.integers(20, size=20)])].mean() for _ in range(200)
    ]
    assert found.method == BOOTSTRAP
    assert (found.low, found.high) == pytest.approx(np.percentile(shares, [2.5, 97.5]), abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_copies_do_not_pass_for_photos(seed: int) -> None:
    labels, scores, cluster = _draw(seed, copies=8)
    alone_labels, alone_scores, alone = _draw(seed, copies=1)
    called, once = scores[labels == 1] > 0.5, alone_scores[alone_labels == 1] > 0.5
    wide = estimate_share(called, cluster[labels == 1], Resampling())
    naive = estimate_share(called, np.arange(len(called)), Resampling())
    true = estimate_share(once, alone[alone_labels == 1], Resampling())
    assert _width(wide) > 2 * _width(naive)
    assert _width(wide) == pytest.approx(_width(true), rel=0.15)


@pytest.mark.parametrize(("counted", "share"), [(True, 1.0), (False, 0.0)])
def test_all_or_none_of_the_photos_still_has_a_width(counted: bool, share: float) -> None:
    found = estimate_share([counted] * 30, np.repeat(np.arange(10), 3), Resampling())
    assert found.method == WILSON_OVER_CLUSTERS
    assert found.value == share
    assert (found.low, found.high) == pytest.approx(proportion_confint(10 * share, 10, method="wilson"), abs=1e-12)


def test_one_cluster_has_no_interval_and_no_photo_no_value() -> None:
    found = estimate_share([True, False], [0, 0], Resampling())
    assert (found.value, found.low, found.method, found.note) == (0.5, None, "", "all stand in one cluster")
    found = estimate_share([], [], Resampling(), lacking="anaemic photos")
    assert (found.value, found.low, found.method, found.note) == (None, None, "", "no anaemic photos")


@pytest.mark.parametrize("seed", range(3))
def test_an_auroc_takes_delong_or_the_clusters(seed: int) -> None:
    labels, scores, cluster = _draw(seed, copies=1)
    found, known = estimate_auroc(labels, scores, cluster, Resampling()), delong_interval(labels, scores)
    assert (found.value, found.low, found.high, found.method) == (known.value, known.low, known.high, DELONG)
    labels, scores, cluster = _draw(seed, copies=2)
    found = estimate_auroc(labels, scores, cluster, Resampling(resamples=100, seed=4))
    drawn = auroc_interval(labels, scores, cluster, resamples=100, seed=4)
    assert (found.interval, found.method) == (drawn, BOOTSTRAP)


def _width(found: Any) -> float:
    return float(found.high - found.low)
