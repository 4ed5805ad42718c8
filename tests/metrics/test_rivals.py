"""Rivals from shared resamples equal the paired comparisons one by one, and Holm those of statsmodels."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from statsmodels.stats.multitest import multipletests

from anemia_lightning.metrics.delong import delong_interval, delong_test
from anemia_lightning.metrics.differences import least_p, score_differences
from anemia_lightning.metrics.estimates import BOOTSTRAP, DELONG, WILSON_OVER_PAIRS, Resampling, estimate_auroc
from anemia_lightning.metrics.intervals import auroc_interval
from anemia_lightning.metrics.rivals import compare_rivals

HOW = Resampling(resamples=200, seed=3)


def _draw(seed: int, copies: int) -> tuple[NDArray[Any], NDArray[Any], dict[str, NDArray[Any]], NDArray[Any]]:
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.append([0, 0, 1, 1], rng.integers(0, 2, 76)), copies)
    own = rng.normal(labels * 1.5)
    rivals = {name: rng.normal(labels * gap) for name, gap in (("weak", 0.2), ("like", 1.4), ("strong", 3.0))}
    return labels, own, rivals, np.repeat(np.arange(80), copies)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("copies", [1, 3])
def test_equal_the_comparisons_one_by_one(seed: int, copies: int) -> None:
    labels, own, rivals, cluster = _draw(seed, copies)
    compared = compare_rivals(labels, own, rivals, cluster, how=HOW)
    assert [each.name for each in compared] == list(rivals)
    for found in compared:
        other = rivals[found.name]
        known = score_differences(labels, own, other, clusters=cluster, resamples=200, seed=3)["auroc"]
        assert found.difference.interval == known.interval
        assert (found.p, found.difference.method) == (known.p, BOOTSTRAP)
        assert found.delong == delong_test(labels, own, other)
        alone = (
            delong_interval(labels, other)
            if copies == 1
            else auroc_interval(labels, other, cluster, resamples=200, seed=3)
        )
        assert found.auroc.interval == alone
        assert found.auroc.method == (DELONG if copies == 1 else BOOTSTRAP)


@pytest.mark.parametrize("seed", range(2))
def test_p_allows_for_the_number_of_rivals(seed: int) -> None:
    labels, own, rivals, cluster = _draw(seed, 1)
    found = compare_rivals(labels, own, rivals, cluster, how=HOW)
    expected = multipletests([each.p for each in found], method="holm")[1]
    assert [each.p_holm for each in found] == pytest.approx(expected)


def test_no_p_is_less_than_the_draws_allow() -> None:
    labels, own = np.repeat([0, 1], 40), np.random.default_rng(0).normal(size=80)
    (found,) = compare_rivals(labels, own, {"perfect": labels}, np.arange(80), how=HOW)
    assert found.p == least_p(found.difference.resamples) == 2 / 201


def test_oracles_and_what_is_the_same_for_every_photo_do_not_count() -> None:
    labels, own, rivals, cluster = _draw(0, 1)
    more = {**rivals, "oracle": labels.astype(float), "prevalence": np.full(len(labels), 0.4)}
    found = {each.name: each for each in compare_rivals(labels, own, more, cluster, uncounted=["oracle"], how=HOW)}
    assert found["oracle"].p_holm is None
    assert found["prevalence"].p_holm is None
    assert found["prevalence"].auroc.value == 0.5
    assert {each.name: each.p_holm for each in compare_rivals(labels, own, rivals, cluster, how=HOW)} == {
        name: found[name].p_holm for name in rivals
    }


def test_the_sentence_says_better_worse_or_not_shown() -> None:
    labels, own, rivals, cluster = _draw(1, 1)
    found = {each.name: each.sentence for each in compare_rivals(labels, own, rivals, cluster, how=HOW)}
    assert found["weak"].startswith("The network is better than weak: AUROC ")
    assert found["strong"].startswith("The network is worse than strong: AUROC ")
    assert found["like"].startswith("The network is not shown to differ from like: AUROC ")


def test_a_difference_that_many_comparisons_explain_is_said_to_be() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 100)
    own = rng.normal(labels * 1.0)
    many = {f"rival {place}": rng.normal(labels * 0.5) for place in range(6)}
    found = compare_rivals(labels, own, many, np.arange(200), how=Resampling(resamples=500))
    better = [each for each in found if each.sentence.startswith("The network is better")]
    doubtful = [each for each in better if each.p_holm is not None and each.p_holm >= 0.05]
    assert 0 < len(doubtful) < len(better), "the draw holds both kinds"
    assert all("could be chance (Holm's p = " in each.sentence for each in doubtful)
    assert not any("Holm" in each.sentence for each in found if each not in doubtful)


@pytest.mark.parametrize("labels", [[1, 1, 1], [0, 0, 0]])
def test_one_class_is_undefined_and_says_why(labels: list[int]) -> None:
    (found,) = compare_rivals(labels, [0.1, 0.2, 0.3], {"other": [0.3, 0.2, 0.1]}, [0, 1, 2], how=HOW)
    assert (found.auroc.value, found.difference.value, found.p, found.p_holm) == (None, None, None, None)
    assert found.sentence.startswith("The network cannot be compared with other: no ")


@pytest.mark.parametrize("copies", [1, 3])
def test_a_perfect_rival_is_no_surer_than_a_perfect_network(copies: int) -> None:
    labels, cluster = np.repeat([0, 1], 10 * copies), np.repeat(np.arange(20), copies)
    (found,) = compare_rivals(labels, labels, {"colour": 2 * labels}, cluster, how=HOW)
    assert found.auroc == estimate_auroc(labels, labels, cluster, HOW)
    assert (found.auroc.value, found.auroc.high, found.auroc.method) == (1.0, 1.0, WILSON_OVER_PAIRS)
    # All of ten pairs, by Wilson's formula: m / (m + 1.96²).
    assert found.auroc.low == pytest.approx(10 / (10 + 1.959964**2))
    assert (
        found.sentence == "The network is not shown to differ from colour: both put every pair in order, AUROC 1.000."
    )


def test_a_rival_that_ranks_all_the_wrong_way_is_zero_not_undefined() -> None:
    labels = np.repeat([0, 1], 20)
    (found,) = compare_rivals(labels, labels, {"reversed": -labels}, np.repeat(np.arange(20), 2), how=HOW)
    assert (found.auroc.value, found.difference.value) == (0.0, 1.0)


def test_no_rivals_take_no_draws() -> None:
    assert compare_rivals([0, 1], [0.0, 1.0], {}, [0, 1]) == []
