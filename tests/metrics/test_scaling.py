"""Scaling against scikit-learn and SciPy, against closed forms, and where the photos do not tell how to scale."""

import dataclasses
import json
import warnings
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.utils.class_weight import compute_class_weight

from anemia_lightning.metrics.scaling import (
    TEMPERATURES,
    UNSCALED,
    ScalingMethod,
    fit_platt,
    fit_scaling,
    fit_temperature,
)

Draw = tuple[NDArray[np.int64], NDArray[np.float64]]


def _draw(seed: int, size: int = 200, *, factor: float = 1.0, shift: float = 0.0) -> Draw:
    """Photos whose true logits are those returned, less the shift and over the factor."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0.3, 1.5, size)
    labels = (rng.random(size) < expit(logits)).astype(np.int64)
    return labels, factor * logits + shift


def _smoothed(labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Platt's targets: what the shares would be if each class held one photo more of its own and one of the other."""
    anaemic, others = labels.sum(), (labels == 0).sum()
    targets: NDArray[np.float64] = np.where(labels == 1, (anaemic + 1) / (anaemic + 2), 1 / (others + 2))
    return targets


@pytest.mark.parametrize("seed", range(10))
def test_temperature_equals_a_regression_through_the_origin(seed: int) -> None:
    labels, logits = _draw(seed, factor=1 + seed / 3)
    reference = LogisticRegression(C=np.inf, fit_intercept=False, tol=1e-10).fit(logits[:, None], labels)
    found = fit_temperature(labels, logits)
    assert 1 / found.temperature == pytest.approx(reference.coef_[0, 0], rel=1e-4)
    assert (found.intercept, found.photos, found.note) == (0.0, 200, "")


@pytest.mark.parametrize("seed", range(10))
def test_platt_equals_scipys_minimum_of_the_log_loss(seed: int) -> None:
    labels, logits = _draw(seed, 60, factor=3.0, shift=-2.0)
    targets = _smoothed(labels)

    def loss(line: NDArray[np.float64]) -> float:
        predictor = line[0] + line[1] * logits
        return float((np.logaddexp(0, predictor) - targets * predictor).sum())

    reference = minimize(loss, [0.0, 0.1], method="BFGS", options={"gtol": 1e-9})
    found = fit_platt(labels, logits)
    assert [found.intercept, found.slope] == pytest.approx(reference.x.tolist(), abs=1e-4)
    assert not found.note


def test_platt_equals_scikit_learn_where_each_photo_is_a_little_of_both_classes() -> None:
    labels, logits = _draw(3, factor=2.0, shift=1.0)
    targets = _smoothed(labels)
    both, weights = np.tile(logits, 2)[:, None], np.append(targets, 1 - targets)
    reference = LogisticRegression(C=np.inf, tol=1e-10).fit(both, np.repeat([1, 0], len(labels)), weights)
    found = fit_platt(labels, logits)
    expected = [float(reference.intercept_[0]), float(reference.coef_[0, 0])]
    assert [found.intercept, found.slope] == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("offset", [-1.5, 0.7])
def test_an_offset_is_taken_back_before_the_temperature(offset: float) -> None:
    labels, logits = _draw(0, factor=2.0)
    plain, moved = fit_temperature(labels, logits), fit_temperature(labels, logits + offset, offset=offset)
    assert moved.slope == pytest.approx(plain.slope)
    assert moved.apply(logits + offset) == pytest.approx(plain.apply(logits))
    assert (plain.words, moved.words) == (
        f"temperature {plain.temperature:.3g}",
        f"logits less {offset:.3g}, temperature {plain.temperature:.3g}",
    )


@pytest.mark.parametrize("shift", [-1.5, 1.0])
def test_a_loss_with_balanced_weights_is_calibrated_by_its_offset(shift: float) -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(40_000, 1))
    labels = (rng.random(40_000) < expit(features[:, 0] + shift)).astype(np.int64)
    weights = compute_class_weight("balanced", classes=np.array([0, 1]), y=labels)
    model = LogisticRegression(C=np.inf, class_weight={0: weights[0], 1: weights[1]}).fit(features, labels)
    logits = model.decision_function(features)
    alone = fit_temperature(labels, logits)
    back = fit_temperature(labels, logits, offset=float(np.log(weights[1] / weights[0])))
    assert expit(back.apply(logits)).mean() == pytest.approx(labels.mean(), abs=0.005)
    assert abs(expit(alone.apply(logits)).mean() - labels.mean()) > 0.05


@pytest.mark.parametrize("factor", [0.5, 1.0, 2.0])
def test_logits_times_a_factor_have_that_temperature(factor: float) -> None:
    labels, logits = _draw(0, 50_000, factor=factor)
    assert fit_temperature(labels, logits).temperature == pytest.approx(factor, rel=0.03)
    assert fit_platt(labels, logits).slope == pytest.approx(1 / factor, rel=0.03)


def test_a_closed_form() -> None:
    # Of 8 photos at -4 and 4 six are on the right side, so that the best logit is the log of 3.
    labels, logits = [0, 0, 0, 1, 0, 1, 1, 1, 0, 1], [-4, -4, -4, -4, 0, 0, 4, 4, 4, 4]
    assert fit_temperature(labels, logits).temperature == pytest.approx(4 / np.log(3), rel=1e-6)


def test_applying_is_the_line_and_keeps_the_shape() -> None:
    labels, logits = _draw(1, factor=2.0, shift=1.0)
    found = fit_platt(labels, logits)
    assert found.apply(logits[:6].reshape(2, 3)) == pytest.approx(
        (found.slope * logits[:6] + found.intercept).reshape(2, 3)
    )


def test_a_scaling_survives_as_plain_values() -> None:
    found = fit_platt(*_draw(2))
    values = dataclasses.asdict(found)
    assert json.loads(json.dumps(values)) == values
    assert {type(value) for value in values.values()} == {str, float, int}


LADDER = list(range(12))


@pytest.mark.parametrize(
    ("labels", "logits", "fault"),
    [
        ([0, 1, 0, 1], [0.0, 1.0, 2.0, 3.0], "4 photos are fewer than 10"),
        ([], [], "0 photos are fewer than 10"),
        ([1] * 12, LADDER, "the photos are of one class"),
        ([0] * 12, LADDER, "the photos are of one class"),
        ([0, 1] * 6, [2.5] * 12, "all photos have one logit"),
    ],
)
def test_where_nothing_can_be_learnt_the_logits_stay_and_it_is_said(
    labels: list[int], logits: list[float], fault: str
) -> None:
    for found in (fit_temperature(labels, logits), fit_platt(labels, logits)):
        assert (found.slope, found.intercept) == (1.0, 0.0)
        assert found.note == f"The logits are left as they are: {fault}."


@pytest.mark.parametrize("method", ["temperature", "platt"])
@pytest.mark.parametrize(("labels", "logits"), [([0] * 7 + [1] * 2, LADDER[:9]), ([0] * 12, LADDER), ([], [])])
def test_where_nothing_can_be_learnt_the_class_weights_are_taken_back(
    labels: list[int], logits: list[float], method: ScalingMethod
) -> None:
    offset = float(np.log(4))
    found = fit_scaling(labels, logits, method=method, offset=offset)
    assert not found.is_fitted
    # An even chance among people half of whom are anaemic is a fifth where a fifth is.
    assert expit(found.apply(0.0)) == pytest.approx(0.2)
    assert found.note.startswith("The logits are moved back from where the class weights have put them, and no more: ")
    assert found.words == "logits less 1.39"


def test_what_photos_chose_is_fitted_and_what_was_left_as_it_was_is_not() -> None:
    assert fit_temperature(*_draw(0), offset=0.3).is_fitted
    assert fit_platt(*_draw(0)).is_fitted
    left = fit_temperature([0] * 7 + [1] * 2, LADDER[:9])
    assert not left.is_fitted
    assert left.words == UNSCALED.words == "logits as they are"


@pytest.mark.parametrize("size", [1e-6, 1.0, 1e6])
def test_perfect_photos_give_no_temperature(size: float) -> None:
    labels, logits = [0] * 6 + [1] * 6, np.repeat([-size, size], 6)
    found = fit_temperature(labels, logits)
    assert found.slope == 1.0
    assert found.note == (
        "The logits are left as they are: every photo is on the right side of 0 already, "
        "so that no finite temperature is best."
    )
    moved = fit_temperature(labels, logits + 1.5, offset=1.5)
    assert "on the right side of 1.5 already" in moved.note
    assert moved.apply(logits + 1.5) == pytest.approx(logits)


def test_separated_photos_give_a_line() -> None:
    labels, logits = [0] * 6 + [1] * 6, np.arange(12.0)
    found = fit_platt(labels, logits)
    assert not found.note
    # The smoothed targets 1/8 and 7/8 bound what a probability in the middle of its class can be.
    assert expit(found.apply([2.5, 8.5])) == pytest.approx([1 / 8, 7 / 8], abs=0.1)


def test_logits_that_know_nothing_or_the_contrary_end_at_the_highest_temperature() -> None:
    labels, logits = _draw(5, 2000)
    for found in (fit_temperature(labels, -logits), fit_platt(labels, -logits)):
        assert found.temperature == TEMPERATURES[1]
        assert found.note == "The temperature is held at 100: the logits do not tell these photos apart."
    # Held so, Platt's intercept still meets the prevalence.
    assert expit(fit_platt(labels, -logits).apply(-logits)).mean() == pytest.approx(labels.mean(), abs=0.002)


def test_tiny_logits_end_at_the_lowest_temperature() -> None:
    labels, logits = _draw(5, 2000, factor=1e-4)
    for found in (fit_temperature(labels, logits), fit_platt(labels, logits)):
        assert found.temperature == pytest.approx(TEMPERATURES[0], rel=1e-6)
        assert found.note == "The temperature is held at 0.01; a lower one would fit better."


@pytest.mark.parametrize("seed", range(20))
def test_huge_and_tied_logits_make_no_noise(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = np.append([0, 1], rng.integers(0, 2, 20))
    logits = rng.choice([-800.0, -3.0, 0.0, 3.0, 800.0], 22)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for found in (
            fit_temperature(labels, logits),
            fit_platt(labels, logits),
        ):
            assert np.isfinite(found.apply(logits)).all()
            assert found.slope > 0


@pytest.mark.parametrize("seed", range(20))
def test_scaling_never_makes_the_loss_of_its_own_photos_worse(seed: int) -> None:
    labels, logits = _draw(seed, 40, factor=0.3 + seed / 5, shift=seed / 10)

    def loss(values: NDArray[np.float64], targets: NDArray[Any]) -> float:
        return float((np.logaddexp(0, values) - targets * values).mean())

    by_temperature = fit_temperature(labels, logits).apply(logits)
    assert loss(by_temperature, labels) <= loss(logits, labels) + 1e-9
    # Of the targets that Platt's line is fitted to.
    smoothed = _smoothed(labels)
    assert loss(fit_platt(labels, logits).apply(logits), smoothed) <= loss(by_temperature, smoothed) + 1e-9
