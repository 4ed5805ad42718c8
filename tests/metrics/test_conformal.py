"""Conformal sets against their definition and their promise over many draws, and risk against coverage."""

import dataclasses
import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import expit, logit

from anemia_lightning.errors import NonFiniteLogitsError
from anemia_lightning.metrics.conformal import (
    ABSTAIN,
    ConformalSets,
    count_sets,
    fit_conformal,
    risk_coverage,
)

Draw = tuple[NDArray[np.int64], NDArray[np.float64]]


def _draw(rng: np.random.Generator, size: int, *, prevalence: float = 0.4) -> Draw:
    """Photos of a model that is too sure of itself, which the promise must not mind."""
    labels = (rng.random(size) < prevalence).astype(np.int64)
    return labels, expit(3 * rng.normal(labels - 0.5, 1.0))


def _by_definition(labels: Any, probabilities: Any, new: float, alpha: float) -> tuple[bool, bool]:
    """Whether 0 and 1 are in the set of a new photo: the ranks of its scores among those of the class."""
    held = []
    for label in (0, 1):
        own = [1 - abs(1 - label - each) for each in probabilities[labels == label]]
        score = 1 - abs(1 - label - new)
        rank = sum(each < score for each in own) + 1
        held.append(rank <= math.ceil(round((len(own) + 1) * (1 - alpha), 9)))
    return held[0], held[1]


@pytest.mark.parametrize("alpha", [0.05, 0.1, 0.25, 0.5])
@pytest.mark.parametrize("seed", range(5))
def test_sets_follow_the_definition(seed: int, alpha: float) -> None:
    rng = np.random.default_rng(seed)
    labels, probability = _draw(rng, 60)
    fitted = fit_conformal(labels, probability, alpha=alpha)
    new = _draw(rng, 40)[1]
    assert fitted.sets(new).tolist() == [list(_by_definition(labels, probability, each, alpha)) for each in new]


def test_hand_worked_thresholds() -> None:
    # Of 19 photos of a class and alpha = 0.1 one may miss, and the next, (19 + 1) * 0.1 = 2nd, is the threshold.
    anaemic, others = np.arange(1, 20) / 20, np.arange(1, 20) / 40
    fitted = fit_conformal(np.repeat([1, 0], 19), np.concatenate([anaemic, others]), alpha=0.1)
    assert fitted == ConformalSets(0.1, 0.1, 0.45, 19, 19, "")
    assert fitted.sets([0.05, 0.1, 0.45, 0.46]).tolist() == [[True, False], [True, True], [True, True], [False, True]]


@pytest.mark.parametrize("alpha", [0.05, 0.1, 0.2])
def test_coverage_holds_in_each_class(alpha: float) -> None:
    rng = np.random.default_rng(0)
    covered: dict[int, list[float]] = {0: [], 1: []}
    for _ in range(300):
        fitted = fit_conformal(*_draw(rng, 80, prevalence=0.3), alpha=alpha)
        labels, probability = _draw(rng, 100, prevalence=0.6)
        sets = fitted.sets(probability)
        for label, each in covered.items():
            each.append(float(sets[labels == label, label].mean()))
    for each in covered.values():
        assert np.mean(each) >= 1 - alpha - 0.01


@pytest.mark.slow
@pytest.mark.parametrize(("size", "alpha"), [(60, 0.1), (150, 0.1), (150, 0.2), (400, 0.05)])
def test_coverage_is_neither_below_nor_far_above_the_promise(size: int, alpha: float) -> None:
    rng = np.random.default_rng(size)
    covered = {0: np.zeros(2), 1: np.zeros(2)}
    smallest = size
    for _ in range(2000):
        fitted = fit_conformal(*_draw(rng, size), alpha=alpha)
        smallest = min(smallest, fitted.anaemic_clusters, fitted.not_anaemic_clusters)
        labels, probability = _draw(rng, 400)
        sets = fitted.sets(probability)
        for label, each in covered.items():
            own = sets[labels == label, label]
            each += [own.sum(), len(own)]
    for hits, photos in covered.values():
        assert 1 - alpha - 0.005 <= hits / photos <= 1 - alpha + 1 / (smallest + 1) + 0.005


def _draw_patients(rng: np.random.Generator, patients: int) -> tuple[Any, Any, Any]:
    """Patients of 1 or of 12 alike photos, who differ in how hard they are."""
    photos = rng.choice([1, 12], patients)
    label = rng.integers(0, 2, patients)
    middle = rng.normal(np.where(label == 1, 1.0, -1.0) * np.where(photos == 1, 0.2, 1.5), 0.7)
    cluster = np.repeat(np.arange(patients), photos)
    return label[cluster], expit(rng.normal(middle[cluster], 0.1)), cluster


def test_with_repeated_photos_the_promise_is_for_one_photo_of_a_new_patient() -> None:
    rng = np.random.default_rng(1)
    hits: dict[bool, list[bool]] = {True: [], False: []}
    for _ in range(300):
        labels, probability, cluster = _draw_patients(rng, 60)
        new_labels, new_probability, new_cluster = _draw_patients(rng, 60)
        first = np.unique(new_cluster, return_index=True)[1]
        for clustered, each in hits.items():
            fitted = fit_conformal(labels, probability, alpha=0.2, clusters=cluster if clustered else None)
            sets = fitted.sets(new_probability[first])
            each.extend(sets[np.arange(60), new_labels[first]])
    assert np.mean(hits[True]) >= 0.79
    assert np.mean(hits[False]) < 0.75


def test_copies_of_a_photo_change_nothing() -> None:
    labels, probability = _draw(np.random.default_rng(2), 100)
    once = fit_conformal(labels, probability)
    cluster = np.arange(100)
    assert fit_conformal(np.tile(labels, 3), np.tile(probability, 3), clusters=np.tile(cluster, 3)) == once


@pytest.mark.parametrize(("alpha", "needed"), [(0.1, 9), (0.05, 19), (0.2, 4), (0.01, 99), (0.07, 14)])
def test_just_enough_photos_are_enough_and_one_fewer_is_said(alpha: float, needed: int) -> None:
    labels = np.repeat([1, 0], [needed, 200])
    probability = np.concatenate([np.linspace(0.6, 0.9, needed), np.linspace(0.1, 0.4, 200)])
    enough = fit_conformal(labels, probability, alpha=alpha)
    assert (enough.anaemic_from, enough.note) == (0.6, "")
    short = fit_conformal(labels[1:], probability[1:], alpha=alpha)
    assert short.anaemic_from == 0.0
    assert short.note == (
        f"{needed - 1} anaemic photos are too few for alpha = {alpha}, which takes {needed}: "
        "the label 'anaemic' is in every set."
    )
    assert short.sets([0.0, 1.0])[:, 1].all()


def test_no_photos_at_all_put_both_labels_in_every_set() -> None:
    fitted = fit_conformal([], [], clusters=[])
    assert fitted.sets([0.0, 0.5, 1.0]).all()
    assert fitted.note == (
        "0 anaemic clusters are too few for alpha = 0.1, which takes 9: the label 'anaemic' is in every set. "
        "0 not anaemic clusters are too few for alpha = 0.1, which takes 9: the label 'not anaemic' is in every set."
    )


@given(
    draws=st.lists(st.tuples(st.integers(0, 1), st.floats(0, 1)), max_size=60),
    alpha=st.floats(0.01, 0.99),
    more=st.floats(0, 1),
)
def test_a_larger_alpha_never_makes_a_set_larger(draws: list[tuple[int, float]], alpha: float, more: float) -> None:
    labels, probability = [each[0] for each in draws], [each[1] for each in draws]
    wide = fit_conformal(labels, probability, alpha=alpha)
    narrow = fit_conformal(labels, probability, alpha=alpha + more * (0.999 - alpha))
    grid = np.linspace(0, 1, 41)
    assert (narrow.sets(grid) <= wide.sets(grid)).all()


@pytest.mark.parametrize("seed", range(10))
def test_its_own_photos_are_covered_too(seed: int) -> None:
    labels, probability = _draw(np.random.default_rng(seed), 80)
    sets = fit_conformal(labels, np.round(probability, 2)).sets(np.round(probability, 2))
    assert all(sets[labels == label, label].mean() >= 0.9 for label in (0, 1))


def test_fitted_sets_survive_as_plain_values() -> None:
    values = dataclasses.asdict(fit_conformal(*_draw(np.random.default_rng(0), 50)))
    assert json.loads(json.dumps(values)) == values
    assert {type(value) for value in values.values()} == {float, int, str}


def test_only_a_set_that_is_the_decision_answers() -> None:
    either, neither = ConformalSets(0.1, 0.4, 0.7, 50, 50, ""), ConformalSets(0.1, 0.7, 0.4, 50, 50, "")
    given_ = [0.1, 0.4, 0.55, 0.7, 0.9]
    assert either.answers(given_, threshold=0.5).tolist() == [0, ABSTAIN, ABSTAIN, ABSTAIN, 1]
    assert neither.answers(given_, threshold=0.5).tolist() == [0, 0, ABSTAIN, 1, 1]
    # A threshold within the reach of one set alone contradicts it, and then nothing is answered.
    assert either.answers([0.1, 0.3], threshold=0.2).tolist() == [0, ABSTAIN]
    assert either.answers([0.8, 0.95], threshold=0.9).tolist() == [ABSTAIN, 1]


def test_sets_are_counted_by_kind() -> None:
    sets = np.array([[True, False], [True, True], [False, True], [False, False], [False, True]])
    assert count_sets(sets) == {"neither": 1, "not anaemic": 1, "anaemic": 2, "either": 1}
    assert set(count_sets(np.empty((0, 2), dtype=np.bool_)).values()) == {0}


@pytest.mark.parametrize(
    ("labels", "probabilities", "alpha", "fault"),
    [
        ([0, 1], [0.1, 1.1], 0.1, r"a probability is not in \[0, 1\]"),
        ([0, 1], [0.1, np.nan], 0.1, r"a probability is not in \[0, 1\]"),
        ([0, 2], [0.1, 0.9], 0.1, "not only 0 and 1"),
        ([0, 1], [0.1], 0.1, "not both"),
        ([0, 1], [0.1, 0.9], 1.0, r"alpha is 1.0, not in \(0, 1\)"),
        ([0, 1], [0.1, 0.9], 0.0, r"alpha is 0.0, not in \(0, 1\)"),
    ],
)
def test_what_is_no_calibration_set_is_a_defect(labels: Any, probabilities: Any, alpha: float, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        fit_conformal(labels, probabilities, alpha=alpha)


@pytest.mark.parametrize("threshold", [0.5, 0.3])
@pytest.mark.parametrize("seed", range(5))
def test_the_risk_is_the_error_rate_of_the_surest(seed: int, threshold: float) -> None:
    labels, probability = _draw(np.random.default_rng(seed), 50)
    logits = logit(probability)
    found = risk_coverage(labels, logits, threshold=threshold)
    order = sorted(range(50), key=lambda place: -abs(logits[place] - math.log(threshold / (1 - threshold))))
    for count in range(1, 51):
        surest = order[:count]
        wrong = sum((probability[place] >= threshold) != labels[place] for place in surest)
        assert found.coverage[count - 1] == pytest.approx(count / 50)
        assert found.risk[count - 1] == pytest.approx(wrong / count)
    assert found.aurc == pytest.approx(found.risk.mean())


def test_areas_of_hand_worked_orders() -> None:
    found = risk_coverage([1, 1, 0, 1], [3.0, 2.0, 1.0, 0.5])
    assert found.risk.tolist() == pytest.approx([0, 0, 1 / 3, 1 / 4])
    assert found.aurc == pytest.approx(7 / 48)
    assert found.best_aurc == pytest.approx(1 / 16)
    assert risk_coverage([1, 0], [3.0, -3.0]).aurc == 0.0


def test_photos_equally_sure_share_their_errors() -> None:
    labels, logits = np.array([1, 0, 1, 1, 0, 1]), np.array([2.0, 2.0, -2.0, 1.0, 1.0, -1.0])
    found = risk_coverage(labels, logits)
    assert found.risk[:3] == pytest.approx([2 / 3] * 3)
    for order in ([5, 4, 3, 2, 1, 0], [1, 0, 2, 4, 3, 5]):
        assert risk_coverage(labels[order], logits[order]).risk == pytest.approx(found.risk)


def test_an_order_by_chance_has_the_error_rate_for_its_area() -> None:
    rng = np.random.default_rng(0)
    labels, sure = rng.integers(0, 2, 100_000), rng.random(100_000)
    right = rng.random(100_000) < 0.8
    found = risk_coverage(labels, np.where(right == (labels == 1), sure, -sure))
    assert found.aurc == pytest.approx(0.2, abs=0.01)


def test_no_photos_have_no_risk() -> None:
    found = risk_coverage([], [])
    assert (found.photos, found.aurc, found.best_aurc, len(found.risk)) == (0, None, None, 0)


def test_what_cannot_be_ordered_is_refused() -> None:
    with pytest.raises(NonFiniteLogitsError):
        risk_coverage([0, 1], [0.0, np.inf])
    with pytest.raises(ValueError, match=r"the threshold is 1.0, not in \(0, 1\)"):
        risk_coverage([0, 1], [0.0, 1.0], threshold=1.0)
