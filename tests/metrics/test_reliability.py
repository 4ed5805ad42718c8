"""The reliability curve against an independent spline, on known models, and where there is none."""

import warnings
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from anemia_lightning.metrics.reliability import Reliability, reliability

Draw = tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]


def _draw(seed: int, *, clusters: int = 300, photos: int = 1) -> Draw:
    """Photos of a calibrated model; those of a cluster are copies."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0.2, 1.5, clusters)
    labels = (rng.random(clusters) < expit(logits)).astype(np.int64)
    return np.repeat(labels, photos), np.repeat(logits, photos), np.repeat(np.arange(clusters), photos)


def _natural_basis(values: Any, knots: NDArray[np.float64]) -> NDArray[np.float64]:
    """Natural cubic splines by SciPy, each 1 at a knot and 0 at the others, straight beyond the outer knots."""
    spline = CubicSpline(knots, np.eye(len(knots)), bc_type="natural")
    inside = np.clip(values, knots[0], knots[-1])
    beyond = np.asarray(values) - inside
    return np.asarray(spline(inside) + beyond[:, None] * spline(inside, 1), dtype=np.float64)


def _reference(draw: Draw, at: Any, weights: Any = None) -> NDArray[np.float64]:
    labels, logits, _ = draw
    knots = np.quantile(logits, (0.05, 0.35, 0.65, 0.95))
    model = LogisticRegression(C=np.inf, fit_intercept=False, tol=1e-9, max_iter=10_000)
    model.fit(_natural_basis(logits, knots), labels, weights)
    return np.asarray(model.predict_proba(_natural_basis(at, knots))[:, 1], dtype=np.float64)


@pytest.mark.parametrize("seed", range(5))
def test_equals_a_logistic_regression_on_scipys_natural_splines(seed: int) -> None:
    draw = _draw(seed)
    labels, logits, _ = draw
    found = reliability(labels, 1.5 * logits, resamples=1)
    curve = _reference((labels, 1.5 * logits, draw[2]), logit(found.probability))
    assert found.observed == pytest.approx(curve, abs=1e-3)
    distance = np.abs(_reference((labels, 1.5 * logits, draw[2]), 1.5 * logits) - expit(1.5 * logits))
    expected = [distance.mean(), np.median(distance), np.quantile(distance, 0.9)]
    assert [found.ici, found.e50, found.e90] == pytest.approx(expected, abs=1e-3)
    assert found.knots == pytest.approx(np.quantile(1.5 * logits, (0.05, 0.35, 0.65, 0.95)).tolist())


def test_the_band_equals_a_plain_loop_over_resampled_clusters() -> None:
    draw = _draw(0, clusters=120, photos=2)
    found = reliability(*draw[:2], clusters=draw[2], resamples=60, seed=5)
    rng = np.random.default_rng(5)
    drawn = rng.integers(120, size=(60, 120))
    curves = []
    for row in drawn:
        weights = np.bincount(row, minlength=120)[draw[2]]
        curves.append(_reference(draw, logit(found.probability), weights))
    low, high = np.quantile(curves, [0.025, 0.975], axis=0)
    assert found.low == pytest.approx(low, abs=3e-3)
    assert found.high == pytest.approx(high, abs=3e-3)
    assert (found.resamples, found.level, found.note) == (60, 0.95, "")


def test_a_calibrated_model_lies_on_the_diagonal() -> None:
    labels, logits, _ = _draw(0, clusters=20_000)
    found = reliability(labels, logits, resamples=50)
    assert np.abs(found.observed - found.probability).max() < 0.03
    assert found.ici is not None
    assert found.ici < 0.01


def test_an_overconfident_model_lies_above_it_on_the_left_and_below_on_the_right() -> None:
    labels, logits, _ = _draw(0, clusters=5000)
    found = reliability(labels, 2 * logits, resamples=100)
    truth = expit(logit(found.probability) / 2)
    assert np.abs(found.observed - truth).max() < 0.04
    assert ((found.low <= truth) & (truth <= found.high)).mean() > 0.9
    assert (found.low[5:30] > found.probability[5:30]).all()
    assert (found.high[-30:-5] < found.probability[-30:-5]).all()


def test_the_curve_ends_where_nearly_all_photos_do() -> None:
    labels, logits, _ = _draw(1)
    found = reliability(labels, logits, resamples=1)
    ends = expit(np.quantile(logits, [0.01, 0.99]))
    assert [found.probability[0], found.probability[-1]] == pytest.approx(ends.tolist())
    assert len(found.probability) == len(found.observed) == len(found.low) == len(found.high) == 101


def _covered(found: Reliability, places: tuple[float, ...] = (0.25, 0.5, 0.75)) -> list[bool]:
    low, high = (np.interp(places, found.probability, each) for each in (found.low, found.high))
    return [bool(below <= place <= above) for below, place, above in zip(low, places, high, strict=True)]


def test_the_band_covers_by_cluster_and_does_not_by_photo() -> None:
    by_cluster, by_photo = [], []
    for seed in range(60):
        labels, logits, cluster = _draw(seed, clusters=150, photos=4)
        by_cluster += _covered(reliability(labels, logits, clusters=cluster, resamples=100))
        by_photo += _covered(reliability(labels, logits, resamples=100))
    assert 0.88 < np.mean(by_cluster) < 0.99
    assert np.mean(by_photo) < 0.80


@pytest.mark.slow
def test_the_band_covers_as_often_as_it_says() -> None:
    covered = [_covered(reliability(*_draw(seed)[:2], resamples=500, seed=seed)) for seed in range(2000)]
    assert ((np.mean(covered, axis=0) > 0.93) & (np.mean(covered, axis=0) < 0.97)).all()


def test_copies_leave_the_band_as_it_is() -> None:
    labels, logits, cluster = _draw(3, clusters=100)
    once = reliability(labels, logits, resamples=50)
    twice = reliability(np.tile(labels, 2), np.tile(logits, 2), clusters=np.tile(cluster, 2), resamples=50)
    # The quantiles of doubled photos, and so the knots, differ a little.
    assert twice.low == pytest.approx(once.low, abs=0.02)
    assert twice.high == pytest.approx(once.high, abs=0.02)


def test_the_draws_are_named_by_the_seed_and_told_of() -> None:
    labels, logits, _ = _draw(2)
    told: list[tuple[int, int]] = []
    first, same, other = (
        reliability(labels, logits, resamples=40, seed=seed, progress=lambda done, of: told.append((done, of)))
        for seed in (1, 1, 2)
    )
    assert first.low.tolist() == same.low.tolist() != other.low.tolist()
    assert told == [(40, 40)] * 3


def test_resamples_do_not_depend_on_how_many_fit_into_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    labels, logits, _ = _draw(2)
    whole = reliability(labels, logits, resamples=30)
    monkeypatch.setattr("anemia_lightning.metrics.intervals._CELLS_AT_ONCE", 7 * len(labels))
    assert reliability(labels, logits, resamples=30).low == pytest.approx(whole.low, abs=1e-9)


@pytest.mark.parametrize(
    ("labels", "logits", "fault"),
    [
        ([], [], "0 photos are fewer than 10"),
        ([0, 1] * 4, np.arange(8.0), "8 photos are fewer than 10"),
        ([1] * 12, np.arange(12.0), "the photos are of one class"),
        ([0, 1] * 6, [1.0] * 12, "all photos have one logit"),
    ],
)
def test_where_there_is_no_curve_it_is_said(labels: Any, logits: Any, fault: str) -> None:
    found = reliability(labels, logits)
    assert found.note == f"There is no curve: {fault}."
    assert (found.ici, found.e50, found.e90, found.knots, found.resamples) == (None, None, None, (), 0)
    assert not len(found.probability)
    assert not len(found.low)


def test_a_class_in_one_cluster_has_a_curve_and_no_band() -> None:
    labels, logits, _ = _draw(0, clusters=40)
    found = reliability(labels, logits, clusters=np.where(labels == 1, 0, np.arange(40) + 1))
    assert len(found.observed)
    assert (len(found.low), found.resamples) == (0, 0)
    assert found.note == (
        "There is no band: a class stands in one cluster, which cannot tell how far others of it would differ."
    )


def test_two_logits_make_a_line_through_the_two_shares() -> None:
    labels = [0, 0, 0, 1] * 5 + [1, 1, 1, 0, 1] * 4
    found = reliability(labels, np.repeat([-1.0, 1.0], 20), resamples=20)
    assert found.knots == ()
    assert [found.observed[0], found.observed[-1]] == pytest.approx([0.25, 0.8], abs=1e-3)


@pytest.mark.parametrize("seed", range(12))
def test_few_separated_huge_and_tied_logits_make_no_noise(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = np.append([0, 1], rng.integers(0, 2, 20))
    logits = (labels * 2.0 - 1) * rng.random(22) if seed % 3 == 0 else rng.choice([-800.0, -1.0, 0.0, 2.0, 800.0], 22)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = reliability(labels, logits, resamples=50)
    assert found.resamples > 40
    for each in (found.observed, found.low, found.high):
        assert ((each >= 0) & (each <= 1)).all()
