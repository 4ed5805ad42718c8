"""ROC and precision-recall curves against scikit-learn, few as their points are, and the band."""

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn import metrics as reference

from anemia_lightning.metrics.curves import MOST_POINTS, precision_recall, roc
from anemia_lightning.metrics.estimates import Resampling


def _draw(seed: int, photos: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    rng = np.random.default_rng(seed)
    labels = np.append([0, 1], rng.integers(0, 2, photos - 2))
    return labels, rng.normal(labels)


@pytest.mark.parametrize("photos", [2, 50, 5000])
def test_the_roc_curve_has_the_area_of_scikit_learns(photos: int) -> None:
    labels, scores = _draw(0, photos)
    curve = roc(labels, scores)
    assert len(curve.sensitivity) <= MOST_POINTS
    assert (curve.false_positive_rate[0], curve.sensitivity[0]) == (0, 0)
    assert (curve.false_positive_rate[-1], curve.sensitivity[-1]) == (1, 1)
    area = np.trapezoid(curve.sensitivity, curve.false_positive_rate)
    assert area == pytest.approx(reference.roc_auc_score(labels, scores), abs=1e-12 if photos < 500 else 2e-3)


@pytest.mark.parametrize("photos", [2, 50, 5000])
def test_the_precision_recall_curve_has_the_steps_of_scikit_learns(photos: int) -> None:
    labels, scores = _draw(1, photos)
    curve = precision_recall(labels, scores)
    assert len(curve.recall) <= MOST_POINTS
    assert (curve.recall[0], curve.recall[-1]) == (1, 0)
    area = -np.sum(np.diff(curve.recall) * curve.precision[:-1])
    assert area == pytest.approx(reference.average_precision_score(labels, scores), abs=1e-12 if photos < 500 else 1e-2)


def test_the_band_equals_a_plain_loop() -> None:
    labels, scores = _draw(2, 60)
    cluster = np.repeat(np.arange(20), 3)
    curve = roc(labels, scores, clusters=cluster, how=Resampling(resamples=50, seed=7))
    rng, at = np.random.default_rng(7), np.linspace(0, 1, 51)
    drawn = []
    for _ in range(50):
        rows = np.concatenate([np.flatnonzero(cluster == each) for each in rng.integers(20, size=20)])
        xs, ys, _ = reference.roc_curve(labels[rows], scores[rows], drop_intermediate=False)
        drawn.append(np.interp(at, xs, ys))
    low, high = np.percentile(drawn, [2.5, 97.5], axis=0)
    assert curve.band_low == pytest.approx(low, abs=1e-12)
    assert curve.band_high == pytest.approx(high, abs=1e-12)


def test_the_band_holds_the_curve_of_many_photos() -> None:
    from scipy.stats import norm

    labels, scores = _draw(3, 3000)
    curve = roc(labels, scores, clusters=np.arange(3000), how=Resampling(resamples=300))
    truth = norm.sf(norm.isf(curve.band_at) - 1)
    assert np.mean((curve.band_low <= truth) & (truth <= curve.band_high)) > 0.85


@pytest.mark.parametrize("labels", [[], [0, 0], [1, 1]])
def test_one_class_has_no_curve(labels: list[int]) -> None:
    scores = [0.1, 0.2][: len(labels)]
    assert not len(roc(labels, scores, clusters=range(len(labels))).sensitivity)
    assert roc(labels, scores).note == precision_recall(labels, scores).note == "a class has no photos"


def test_a_class_in_one_cluster_has_a_curve_without_a_band() -> None:
    curve = roc([0, 0, 1, 1], [1, 3, 2, 4], clusters=[0, 1, 2, 2])
    assert len(curve.sensitivity)
    assert not len(curve.band_at)
    assert curve.note.startswith("a class stands in one cluster")
