"""Measures of calibration against scikit-learn, closed forms and known models, and where they are undefined."""

import warnings

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.calibration import calibration_curve
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss

from anemia_lightning.metrics.calibration import binned_error, brier_parts, calibration, observed_expected
from anemia_lightning.metrics.intervals import Interval

Draw = tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]


def _draw(seed: int, *, clusters: int = 200, photos: int = 1, mean: float = 0.0) -> Draw:
    """Photos of a calibrated model; those of a cluster are copies."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(mean, 1.5, clusters)
    labels = (rng.random(clusters) < expit(logits)).astype(np.int64)
    return np.repeat(labels, photos), np.repeat(logits, photos), np.repeat(np.arange(clusters), photos)


def _covers(found: Interval, truth: float) -> bool:
    assert found.low is not None
    assert found.high is not None
    return found.low <= truth <= found.high


@pytest.mark.parametrize("seed", range(5))
def test_slope_and_intercept_equal_scikit_learn(seed: int) -> None:
    labels, logits, _ = _draw(seed, mean=0.5)
    found = calibration(labels, 2 * logits + 1)
    line = LogisticRegression(C=np.inf, tol=1e-10).fit(2 * logits[:, None] + 1, labels)
    assert found.slope.value == pytest.approx(line.coef_[0, 0], abs=1e-4)
    assert found.intercept.value is not None
    assert expit(2 * logits + 1 + found.intercept.value).mean() == pytest.approx(labels.mean(), abs=1e-12)
    assert found.observed_expected.value == pytest.approx(labels.mean() / expit(2 * logits + 1).mean())
    assert (found.photos, found.anaemic, found.undefined) == (200, labels.sum(), "")


def test_a_calibrated_model_has_intercept_0_slope_1_and_ratio_1() -> None:
    found = calibration(*_draw(0, clusters=20_000)[:2])
    for interval, truth in ((found.intercept, 0.0), (found.slope, 1.0), (found.observed_expected, 1.0)):
        assert _covers(interval, truth)
        assert interval.value == pytest.approx(truth, abs=0.05)


def test_doubled_logits_have_slope_one_half_and_raised_ones_their_shift() -> None:
    labels, logits, _ = _draw(1, clusters=20_000)
    assert calibration(labels, 2 * logits).slope.value == pytest.approx(0.5, abs=0.02)
    raised = calibration(labels, logits + 0.7)
    assert raised.intercept.value == pytest.approx(-0.7, abs=0.05)
    assert raised.slope.value == pytest.approx(1.0, abs=0.05)
    assert raised.observed_expected.high is not None
    assert raised.observed_expected.high < 1


def _coverages(draws: int, *, clusters: int, photos: int = 1, mean: float = 0.0) -> NDArray[np.float64]:
    """Returns how often intercept, slope, ratio and the slope as if of single photos cover the truth."""
    hits = []
    for seed in range(draws):
        labels, logits, cluster = _draw(seed, clusters=clusters, photos=photos, mean=mean)
        found, single = calibration(labels, logits, clusters=cluster), calibration(labels, logits)
        pairs = (found.intercept, 0.0), (found.slope, 1.0), (found.observed_expected, 1.0), (single.slope, 1.0)
        hits.append([_covers(interval, truth) for interval, truth in pairs])
    return np.asarray(np.mean(hits, axis=0))


def test_intervals_cover_by_cluster_and_do_not_by_photo() -> None:
    covered = _coverages(300, clusters=100, photos=4)
    assert ((covered[:3] > 0.91) & (covered[:3] < 0.99)).all()
    assert covered[3] < 0.80


@pytest.mark.slow
@pytest.mark.parametrize(
    ("clusters", "photos", "mean"), [(50, 1, 0.0), (200, 1, 0.0), (200, 1, -2.0), (1000, 1, 0.0), (100, 4, 0.0)]
)
def test_intervals_cover_as_often_as_they_say(clusters: int, photos: int, mean: float) -> None:
    covered = _coverages(2000, clusters=clusters, photos=photos, mean=mean)
    assert ((covered[:3] > 0.93) & (covered[:3] < 0.97)).all()


def test_copies_leave_the_intervals_nearly_as_they_are() -> None:
    labels, logits, cluster = _draw(3)
    once, tenfold = (
        calibration(labels, logits),
        calibration(np.tile(labels, 10), np.tile(logits, 10), clusters=list(cluster) * 10),
    )
    for name in ("intercept", "slope", "observed_expected"):
        first, second = getattr(once, name), getattr(tenfold, name)
        assert [second.value, second.low, second.high] == pytest.approx([first.value, first.low, first.high], abs=1e-6)


def test_a_wider_level_is_a_wider_interval() -> None:
    labels, logits, _ = _draw(4)
    narrow, wide = (calibration(labels, logits, level=level).slope for level in (0.5, 0.99))
    assert None not in (narrow.low, wide.low, narrow.high, wide.high)
    assert wide.low < narrow.low < narrow.high < wide.high  # type: ignore[operator]  # none of them is None


@pytest.mark.parametrize("size", [100, 500, 1000])
def test_bins_of_equal_mass_equal_scikit_learns_quantiles(size: int) -> None:
    labels, logits, _ = _draw(size, clusters=size)
    found = binned_error(labels, logits)
    observed, probability = calibration_curve(labels, expit(logits), n_bins=10, strategy="quantile")
    assert [each.observed for each in found.bins] == pytest.approx(observed.tolist())
    assert [each.probability for each in found.bins] == pytest.approx(probability.tolist())
    assert {each.photos for each in found.bins} == {size // 10}
    assert found.value == pytest.approx(np.abs(observed - probability).mean())


@pytest.mark.parametrize(("size", "bins"), [(10, 1), (19, 1), (20, 2), (75, 7), (100, 10), (5000, 10)])
def test_fewer_photos_have_fewer_bins(size: int, bins: int) -> None:
    labels, logits, _ = _draw(0, clusters=size)
    filled = binned_error(labels, logits).bins
    assert len(filled) == bins
    assert sum(each.photos for each in filled) == size
    assert sum(each.anaemic for each in filled) == labels.sum()
    assert max(each.photos for each in filled) - min(each.photos for each in filled) <= 1


@pytest.mark.parametrize("seed", range(10))
def test_ties_stay_in_one_bin_so_that_the_order_of_photos_changes_nothing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels, logits = rng.integers(0, 2, 90), np.round(rng.normal(0, 1, 90))
    order = rng.permutation(90)
    first, second = binned_error(labels, logits), binned_error(labels[order], logits[order])
    assert first.value == pytest.approx(second.value)
    assert [each.photos for each in first.bins] == [each.photos for each in second.bins]


def test_the_error_by_chance_is_what_calibrated_models_show() -> None:
    logits = _draw(0, clusters=300)[1]
    rng = np.random.default_rng(1)
    errors = [binned_error((rng.random(300) < expit(logits)).astype(int), logits).value for _ in range(400)]
    assert binned_error(np.append([1], [0] * 299), logits).by_chance == pytest.approx(np.mean(errors), rel=0.04)


def test_one_bin_is_calibration_in_the_large() -> None:
    labels, logits, _ = _draw(2, clusters=19)
    found = binned_error(labels, logits)
    assert len(found.bins) == 1
    assert found.value == pytest.approx(abs(labels.mean() - expit(logits).mean()))


@pytest.mark.parametrize("seed", range(10))
def test_the_brier_score_is_scikit_learns_and_the_sum_of_its_parts(seed: int) -> None:
    labels, logits, _ = _draw(seed, clusters=60)
    found = brier_parts(labels, 2 * logits)
    assert found is not None
    assert found.brier == pytest.approx(brier_score_loss(labels, expit(2 * logits)))
    assert found.miscalibration - found.discrimination + found.uncertainty == pytest.approx(found.brier)
    assert min(found.miscalibration, found.discrimination) >= 0
    monotone = brier_parts(labels, logits - 3)
    assert monotone is not None
    assert monotone.discrimination == pytest.approx(found.discrimination)


def test_the_parts_of_hand_worked_scores() -> None:
    perfect = brier_parts([0, 1], [-800.0, 800.0])
    assert perfect is not None
    assert (perfect.brier, perfect.miscalibration, perfect.discrimination, perfect.uncertainty) == (0, 0, 0.25, 0.25)
    reversed_ = brier_parts([1, 0], [-800.0, 800.0])
    assert reversed_ is not None
    assert (reversed_.brier, reversed_.miscalibration, reversed_.discrimination) == (1.0, 0.75, 0.0)
    assert brier_parts([], []) is None


@pytest.mark.parametrize(
    ("labels", "fault"),
    [
        ([], "0 photos are fewer than 10"),
        ([0, 1] * 4, "8 photos are fewer than 10"),
        ([1] * 12, "the photos are of one class"),
        ([0] * 12, "the photos are of one class"),
    ],
)
def test_too_few_photos_or_one_class_is_undefined_and_says_why(labels: list[int], fault: str) -> None:
    found = calibration(labels, np.linspace(-1, 1, len(labels)))
    assert found.undefined == fault
    assert found.ece is None
    assert {found.intercept, found.slope, found.observed_expected} == {Interval(None, None, None, note=fault)}


def test_one_logit_has_no_slope_and_all_else() -> None:
    found = calibration([0, 1, 1] * 10, [0.0] * 30)
    assert found.slope == Interval(None, None, None, note="all photos have one logit")
    assert found.intercept.value == pytest.approx(np.log(2))
    assert found.observed_expected.value == pytest.approx(4 / 3)
    assert found.ece is not None
    assert found.ece.value == pytest.approx(1 / 6)
    assert len(found.ece.bins) == 1


@pytest.mark.parametrize("sign", [1, -1])
def test_separated_classes_have_no_slope_and_a_reason(sign: int) -> None:
    found = calibration([0] * 10 + [1] * 10, sign * np.arange(20.0))
    assert found.slope.value is None
    assert found.slope.note == "a cut separates the classes, so that no finite slope is likeliest"
    assert found.intercept.low is not None


def test_a_class_in_one_cluster_has_values_and_no_intervals() -> None:
    labels, logits, _ = _draw(0, clusters=30)
    found = calibration(labels, logits, clusters=np.where(labels == 1, 0, np.arange(30) + 1))
    for each in (found.intercept, found.slope, found.observed_expected):
        assert each.value is not None
        assert (each.low, each.high) == (None, None)
        assert each.note == "a class stands in one cluster, which cannot tell how far others of it would differ"


@pytest.mark.parametrize("seed", range(20))
def test_huge_and_tied_logits_make_no_noise(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = np.append([0, 1], rng.integers(0, 2, 20))
    logits = rng.choice([-800.0, 0.0, 800.0][: 1 + seed % 3], 22)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = calibration(labels, logits)
    for each in (found.intercept, found.slope, found.observed_expected):
        assert (each.value is not None and each.low is not None) or each.note
        assert all(np.isfinite(part) for part in (each.value, each.low, each.high) if part is not None)


def test_photos_of_one_cluster_have_values_without_intervals() -> None:
    labels, logits = np.tile([0, 1], 10), np.random.default_rng(0).normal(size=20)
    found, free = calibration(labels, logits, clusters=np.zeros(20)), calibration(labels, logits)
    for name in ("intercept", "slope", "observed_expected"):
        interval = getattr(found, name)
        assert interval.value == getattr(free, name).value
        assert (interval.low, interval.high) == (None, None)
        assert interval.note.startswith("a class stands in one cluster")


@pytest.mark.parametrize("seed", range(3))
def test_observed_to_expected_alone_is_that_of_the_whole(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels, logits, cluster = rng.integers(0, 2, 60), rng.normal(size=60), np.repeat(np.arange(20), 3)
    whole = calibration(labels, logits, clusters=cluster)
    assert observed_expected(labels, logits, clusters=cluster) == whole.observed_expected
    one_class = np.ones(60, dtype=int)
    assert observed_expected(one_class, logits) == calibration(one_class, logits).observed_expected
