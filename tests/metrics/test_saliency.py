"""Shares of heat by hand, and the interval of a mean against SciPy's."""

import numpy as np
import pytest
from scipy.stats import bootstrap

from anemia_lightning.metrics.saliency import by_chance, energy_inside, mean_interval


@pytest.mark.parametrize("seed", range(5))
def test_the_share_is_that_of_the_sums(seed: int) -> None:
    rng = np.random.default_rng(seed)
    heat, mask = rng.random((4, 7, 9)), rng.random((4, 7, 9)) < 0.4
    for photo in range(4):
        expected = sum(heat[photo][mask[photo]]) / sum(heat[photo].ravel())
        assert energy_inside(heat, mask)[photo] == pytest.approx(expected)
        assert by_chance(mask)[photo] == pytest.approx(mask[photo].sum() / 63)


def test_heat_that_is_everywhere_the_same_lies_inside_by_chance() -> None:
    mask = np.random.default_rng(0).random((3, 8, 8))
    assert energy_inside(np.full((3, 8, 8), 0.3), mask) == pytest.approx(by_chance(mask))


def test_without_heat_there_is_no_share() -> None:
    heat = np.stack([np.zeros((4, 4)), np.ones((4, 4))])
    assert np.isnan(energy_inside(heat, np.ones((2, 4, 4)))).tolist() == [True, False]


def test_the_scale_of_the_heat_does_not_matter() -> None:
    rng = np.random.default_rng(1)
    heat, mask = rng.random((2, 5, 5)), rng.random((2, 5, 5))
    assert energy_inside(heat * 1e-6, mask) == pytest.approx(energy_inside(heat, mask))


@pytest.mark.parametrize("photos", [8, 40])
def test_the_interval_of_a_mean_is_that_of_scipy_s_bootstrap(photos: int) -> None:
    values = np.random.default_rng(photos).beta(2, 5, photos)
    found = mean_interval([*values, np.nan], resamples=20_000)
    expected = bootstrap((values,), np.mean, n_resamples=20_000, method="percentile", rng=0).confidence_interval
    assert found.value == pytest.approx(values.mean())
    assert found.low == pytest.approx(expected.low, abs=0.005)
    assert found.high == pytest.approx(expected.high, abs=0.005)


def test_one_photo_has_a_mean_without_an_interval_and_none_has_neither() -> None:
    alone, none = mean_interval([0.25]), mean_interval([np.nan])
    assert (alone.value, alone.low, alone.high, alone.note) == (0.25, None, None, "one photo alone")
    assert (none.value, none.low, none.note) == (None, None, "no photos")
