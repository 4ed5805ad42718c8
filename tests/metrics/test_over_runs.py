"""Means, spreads and intervals over runs, against SciPy and against what they promise."""

import numpy as np
import pytest
from scipy import stats

from anemia_lightning.metrics.over_runs import CORRECTED, STUDENT, UNCORRECTED, over_runs, ratio_interval


@pytest.mark.parametrize("seed", range(20))
def test_mean_spread_interval_and_p_are_those_of_scipy(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = rng.normal(0.3, 1, rng.integers(2, 12))
    found = over_runs(values.tolist(), level=0.9)
    expected = stats.ttest_1samp(values, 0)
    assert found.n == len(values)
    assert found.mean == pytest.approx(values.mean())
    assert found.sd == pytest.approx(stats.tstd(values))
    assert (found.low, found.high) == pytest.approx(tuple(expected.confidence_interval(0.9)))
    assert found.p == pytest.approx(expected.pvalue)


def test_of_differences_it_is_the_paired_t_test() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, 7))
    assert over_runs((first - second).tolist()).p == pytest.approx(stats.ttest_rel(first, second).pvalue)


def test_undefined_scores_are_left_out_and_counted_out() -> None:
    assert over_runs([0.5, None, 0.7]) == over_runs([0.5, 0.7])
    alone = over_runs([None, 0.5])
    assert (alone.n, alone.mean, alone.sd, alone.low, alone.high, alone.p) == (1, 0.5, None, None, None, None)
    nothing = over_runs([None])
    assert (nothing.n, nothing.mean, nothing.low) == (0, None, None)


def test_equal_runs_have_an_interval_without_width_and_no_test() -> None:
    found = over_runs([0.5, 0.5, 0.5])
    assert (found.sd, found.low, found.high, found.p) == (0.0, 0.5, 0.5, None)


def test_folds_are_tested_as_nadeau_and_bengio_correct_it() -> None:
    # By hand, four folds: mean 0.025, variance 0.0007, and 1/4 + 1/3 of that is the variance of the mean.
    found = over_runs([0.02, 0.05, -0.01, 0.04], test_to_train=1 / 3)
    error = (0.0007 * 7 / 12) ** 0.5
    assert (found.mean, found.sd) == pytest.approx((0.025, 0.0007**0.5))
    assert found.method == CORRECTED
    assert (found.low, found.high) == pytest.approx((0.025 - 3.182446 * error, 0.025 + 3.182446 * error), rel=1e-6)
    assert found.p == pytest.approx(2 * stats.t.sf(0.025 / error, 3))


@pytest.mark.parametrize("folds", [2, 3, 5, 10])
def test_the_correction_widens_by_what_folds_share(folds: int) -> None:
    values = np.random.default_rng(folds).normal(0.1, 1, folds).tolist()
    plain, corrected = over_runs(values), over_runs(values, test_to_train=1 / (folds - 1))
    assert None not in (plain.high, corrected.high, plain.p, corrected.p)
    widths = [(each.high or 0) - (each.low or 0) for each in (plain, corrected)]
    assert (widths[1] / widths[0]) ** 2 == pytest.approx((1 / folds + 1 / (folds - 1)) / (1 / folds))
    assert (corrected.p or 0) > (plain.p or 0)
    assert (plain.mean, plain.sd, plain.method) == (corrected.mean, corrected.sd, STUDENT)


def test_of_runs_that_share_photos_the_correction_errs_as_often_as_it_says() -> None:
    # Ten times five folds, whose gaps correlate as Nadeau & Bengio take it: by the share of photos that one tests.
    rng, shared = np.random.default_rng(0), 1 / 5
    gaps = shared**0.5 * rng.normal(size=(600, 1)) + (1 - shared) ** 0.5 * rng.normal(size=(600, 50))
    p = np.array([[over_runs(row.tolist(), test_to_train=ratio).p for ratio in (0.0, 1 / 4)] for row in gaps])
    plain, corrected = (p < 0.05).mean(axis=0)
    assert plain > 0.4
    assert 0.03 <= corrected <= 0.07


def test_where_nobody_knows_what_runs_share_there_is_no_p() -> None:
    values = [0.5, 0.6, 0.8]
    found, plain = over_runs(values, test_to_train=None), over_runs(values)
    assert (found.p, found.method) == (None, UNCORRECTED)
    assert (found.low, found.high) == (plain.low, plain.high)
    assert (over_runs([0.5], test_to_train=1 / 4).low, over_runs([0.5], test_to_train=1 / 4).method) == (None, "")


@pytest.mark.parametrize("seed", range(20))
def test_at_the_ends_of_a_ratio_the_paired_t_test_is_at_its_level(seed: int) -> None:
    rng = np.random.default_rng(seed)
    wholes = rng.normal(5, 0.8, 6)
    parts = 0.4 * wholes + rng.normal(0, 0.7, 6)
    ratio, low, high = ratio_interval(parts.tolist(), wholes.tolist())
    assert low is not None
    assert high is not None
    assert ratio == pytest.approx(parts.mean() / wholes.mean())
    for end in (low, high):
        assert stats.ttest_rel(parts, end * wholes).pvalue == pytest.approx(0.05, abs=1e-9)
    assert stats.ttest_rel(parts, (low + high) / 2 * wholes).pvalue > 0.05


@pytest.mark.parametrize("seed", range(5))
def test_the_ratio_of_folds_is_what_the_corrected_test_does_not_tell_from_equal(seed: int) -> None:
    rng = np.random.default_rng(seed)
    wholes = rng.normal(5, 0.4, 5)
    parts = 0.4 * wholes + rng.normal(0, 0.5, 5)
    _, low, high = ratio_interval(parts.tolist(), wholes.tolist(), test_to_train=1 / 4)
    assert low is not None
    assert high is not None
    for end in (low, high):
        assert over_runs((parts - end * wholes).tolist(), test_to_train=1 / 4).p == pytest.approx(0.05, abs=1e-9)


def test_ratios_cover_the_truth_as_often_as_they_say() -> None:
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(2000):
        wholes = rng.normal(5, 1, 5)
        parts = 0.6 * wholes + rng.normal(0, 0.5, 5)
        _, low, high = ratio_interval(parts.tolist(), wholes.tolist())
        hits += low is not None and high is not None and low <= 0.6 <= high
    assert 0.93 <= hits / 2000 <= 0.97


def test_a_whole_that_may_be_nothing_gives_no_interval() -> None:
    ratio, low, high = ratio_interval([1.0, 2.0, 1.5], [0.5, -0.6, 0.4])
    assert ratio == pytest.approx(15.0)
    assert (low, high) == (None, None)
    assert ratio_interval([1.0], [2.0]) == (0.5, None, None)
    assert ratio_interval([1.0, 1.0], [0.0, 0.0]) == (None, None, None)
    assert ratio_interval([], []) == (None, None, None)


def test_a_multiple_has_an_interval_without_width() -> None:
    ratio, low, high = ratio_interval([5.0, 5.5, 6.0], [10.0, 11.0, 12.0])
    assert (ratio, low, high) == pytest.approx((0.5, 0.5, 0.5))
