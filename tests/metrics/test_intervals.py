"""Intervals against a plain loop over scikit-learn, against what they should cover, and where there are none."""

import tracemalloc
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from anemia_lightning.errors import NonFiniteLogitsError
from anemia_lightning.metrics.intervals import Interval, auroc_difference_interval, auroc_interval
from anemia_lightning.metrics.scores import auroc

Draw = tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]


def _draw(seed: int, *, clusters: int = 25, distance: float = 1.0, ties: bool = False) -> Draw:
    """Photos in clusters of 1 to 5, alike within a cluster; all of a cluster have its label."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 6, clusters)
    label = np.append([0, 0, 1, 1], rng.integers(0, 2, clusters - 4))
    middle = rng.normal(distance * label, np.sqrt(0.8))
    cluster = np.repeat(np.arange(clusters), sizes)
    scores = rng.normal(middle[cluster], np.sqrt(0.2))
    return label[cluster], np.round(scores) if ties else scores, cluster


def _by_a_plain_loop(draw: Draw, *, resamples: int, seed: int, other: Any = None) -> tuple[float, float, int]:
    labels, scores, cluster = draw
    rng = np.random.default_rng(seed)
    members = [np.flatnonzero(cluster == each) for each in np.unique(cluster)]
    areas = []
    for _ in range(resamples):
        rows = np.concatenate([members[each] for each in rng.integers(len(members), size=len(members))])
        if len(np.unique(labels[rows])) == 2:
            area = roc_auc_score(labels[rows], scores[rows])
            areas.append(area - (0 if other is None else roc_auc_score(labels[rows], other[rows])))
    return np.percentile(areas, 2.5), np.percentile(areas, 97.5), len(areas)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_equals_a_plain_loop_over_scikit_learn(seed: int, ties: bool) -> None:
    draw = _draw(seed, ties=ties)
    found = auroc_interval(*draw, resamples=120, seed=seed)
    low, high, defined = _by_a_plain_loop(draw, resamples=120, seed=seed)
    assert found.value == pytest.approx(roc_auc_score(draw[0], draw[1]), abs=1e-12)
    assert [found.low, found.high] == pytest.approx([low, high])
    assert found.resamples == defined


@pytest.mark.parametrize("seed", range(4))
def test_difference_equals_a_plain_loop_over_scikit_learn(seed: int) -> None:
    draw = _draw(seed)
    other = draw[1] + np.random.default_rng(100 + seed).normal(0, 0.5, len(draw[1]))
    found = auroc_difference_interval(draw[0], draw[1], other, draw[2], resamples=120, seed=seed)
    low, high, defined = _by_a_plain_loop(draw, resamples=120, seed=seed, other=other)
    assert found.value == pytest.approx(roc_auc_score(draw[0], draw[1]) - roc_auc_score(draw[0], other), abs=1e-12)
    assert [found.low, found.high] == pytest.approx([low, high])
    assert found.resamples == defined


@pytest.mark.parametrize("seed", range(30))
def test_the_value_is_the_score_to_the_last_bit(seed: int) -> None:
    labels, scores, cluster = _draw(seed, ties=seed % 2 == 0)
    assert auroc_interval(labels, scores, cluster, resamples=1).value == auroc(labels, scores)


def test_resamples_do_not_depend_on_how_many_fit_into_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = _draw(0)
    whole = auroc_interval(*draw, resamples=200)
    monkeypatch.setattr("anemia_lightning.metrics.intervals._CELLS_AT_ONCE", 7 * len(draw[0]))
    assert auroc_interval(*draw, resamples=200) == whole


def _covers(found: Interval, truth: float) -> bool:
    assert found.low is not None
    assert found.high is not None
    return found.low <= truth <= found.high


def test_covers_the_truth_as_often_as_it_says_and_single_photos_do_not() -> None:
    truth = norm.cdf(1 / np.sqrt(2))
    by_cluster, by_photo = [], []
    for seed in range(400):
        labels, scores, cluster = _draw(seed, clusters=60)
        by_cluster.append(_covers(auroc_interval(labels, scores, cluster, resamples=300, seed=seed), truth))
        by_photo.append(_covers(auroc_interval(labels, scores, range(len(labels)), resamples=300, seed=seed), truth))
    assert 0.90 < np.mean(by_cluster) < 0.98
    assert np.mean(by_photo) < 0.82


def test_a_difference_of_nothing_is_covered_and_a_large_one_is_seen() -> None:
    none_seen, large_seen = [], []
    for seed in range(200):
        labels, scores, cluster = _draw(seed, clusters=60)
        rng = np.random.default_rng(1000 + seed)
        alike, worse = [scores + rng.normal(0, spread, (2, len(scores))) for spread in (0.5, 6.0)]
        none = auroc_difference_interval(labels, alike[0], alike[1], cluster, resamples=300, seed=seed)
        large = auroc_difference_interval(labels, scores, worse[0], cluster, resamples=300, seed=seed)
        none_seen.append(not _covers(none, 0.0))
        large_seen.append(large.low is not None and large.low > 0)
    assert np.mean(none_seen) < 0.10
    assert np.mean(large_seen) > 0.75


def test_copies_in_one_cluster_leave_the_width_as_it_is() -> None:
    labels, scores, _ = _draw(3, clusters=40)
    single = auroc_interval(labels, scores, range(len(labels)))
    tenfold = auroc_interval(np.tile(labels, 10), np.tile(scores, 10), list(range(len(labels))) * 10)
    assert tenfold == single


def test_a_wider_level_is_a_wider_interval() -> None:
    draw = _draw(1)
    narrow, wide = [auroc_interval(*draw, level=level) for level in (0.5, 0.99)]
    assert wide.low is not None
    assert narrow.low is not None
    assert narrow.high is not None
    assert wide.high is not None
    assert wide.low < narrow.low < narrow.high < wide.high


def test_the_draws_are_named_by_the_seed() -> None:
    draw = _draw(2)
    assert auroc_interval(*draw, seed=5) == auroc_interval(*draw, seed=5)
    assert auroc_interval(*draw, seed=5) != auroc_interval(*draw, seed=6)


def test_only_the_order_of_scores_and_the_partition_count() -> None:
    labels, scores, cluster = _draw(4)
    names = [f"patient {each:02d}" for each in cluster]
    assert auroc_interval(labels, np.exp(scores), names) == auroc_interval(labels, scores, cluster)


@pytest.mark.parametrize(
    ("labels", "note"),
    [([], "no anaemic photos"), ([1, 1, 1], "no non-anaemic photos"), ([0, 0, 0], "no anaemic photos")],
)
def test_without_both_classes_nothing_is_defined(labels: list[int], note: str) -> None:
    nothing = Interval(None, None, None, 0, note)
    assert auroc_interval(labels, np.arange(len(labels)), labels) == nothing
    scores = np.arange(len(labels))
    assert auroc_difference_interval(labels, scores, -scores, labels) == nothing


@pytest.mark.parametrize(
    ("clusters", "kind"), [([0, 0, 0, 0], "anaemic"), ([0, 1, 2, 2], "anaemic"), ([0, 0, 1, 2], "non-anaemic")]
)
def test_a_class_in_one_cluster_has_a_value_and_no_interval(clusters: list[int], kind: str) -> None:
    note = f"fewer than two clusters hold {kind} photos"
    assert auroc_interval([0, 0, 1, 1], [0.1, 0.4, 0.3, 0.8], clusters) == Interval(0.75, None, None, 0, note)


def test_a_cluster_may_hold_both_labels() -> None:
    draw = np.array([0, 1, 0, 1, 0, 1]), np.array([0.1, 0.4, 0.3, 0.2, 0.5, 0.6]), np.array([0, 0, 1, 1, 2, 2])
    found = auroc_interval(*draw, resamples=200, seed=3)
    low, high, defined = _by_a_plain_loop(draw, resamples=200, seed=3)
    assert [found.low, found.high, found.resamples] == pytest.approx([low, high, defined])
    assert found.resamples == 200, "each resample holds both labels"


def test_resamples_of_one_class_are_left_out_and_counted() -> None:
    found = auroc_interval([0, 0, 1, 1], [0.1, 0.4, 0.3, 0.8], range(4), resamples=20_000)
    assert found.resamples == pytest.approx(20_000 * (1 - 2 * 0.5**4), rel=0.02)


def test_when_no_resample_holds_both_classes_there_is_no_interval() -> None:
    found = {auroc_interval([0, 0, 1, 1], [0.1, 0.4, 0.3, 0.8], range(4), resamples=1, seed=seed) for seed in range(60)}
    assert Interval(0.75, None, None, 0, "undefined in every resample") in found


def test_some_thousand_photos_fit_into_little_memory() -> None:
    labels, scores, cluster = _draw(0, clusters=8000)
    tracemalloc.start()
    found = auroc_interval(labels, scores, cluster, resamples=100)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 8 * len(labels) * 100, "not all resamples at once"
    assert _covers(found, norm.cdf(1 / np.sqrt(2)))


@pytest.mark.parametrize(
    ("labels", "scores", "clusters", "fault"),
    [
        ([0, 2], [0.0, 1.0], [0, 1], r"labels are \[0, 2\], not only 0 and 1"),
        ([0, 1], [0.0, 1.0, 2.0], [0, 1], r"not both \[N\]"),
        ([0, 1], [0.0, 1.0], [0], r"not all \[N\] but"),
    ],
)
def test_what_is_no_set_of_scores_is_a_defect(labels: Any, scores: Any, clusters: Any, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        auroc_interval(labels, scores, clusters)


def test_a_score_that_is_no_number_is_refused_in_words() -> None:
    with pytest.raises(NonFiniteLogitsError, match="for each of 2 photos; found 1 that are infinite or not a number"):
        auroc_interval([0, 1], [0.0, np.nan], [0, 1])
