"""The mean site and the next one, against statsmodels, and how often the next one lies where it should."""

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import norm
from scipy.stats import t as student_t
from statsmodels.stats.meta_analysis import combine_effects

from anemia_lightning.metrics.intervals import Interval
from anemia_lightning.metrics.sites import across_sites, between_variance

REACH = float(norm.ppf(0.975))


def _sites(effects: list[float], errors: list[float], reach: float = REACH) -> list[Interval]:
    ends = expit([np.array(effects) + shift * reach * np.array(errors) for shift in (0, -1, 1)])
    return [Interval(value, low, high) for value, low, high in ends.T.tolist()]


def _drawn(seed: int, spread: float) -> tuple[list[float], list[float]]:
    rng = np.random.default_rng(seed)
    errors = rng.uniform(0.1, 0.6, 6)
    return rng.normal(1.0, np.hypot(spread, errors)).tolist(), errors.tolist()


# Of seed 1 statsmodels' iteration finds no variance between sites where Cochran's Q, 8.2 on 5 degrees, demands some.
@pytest.mark.parametrize("seed", [0, 2, 3, 4, 5])
@pytest.mark.parametrize("spread", [0.0, 0.3, 1.0])
def test_equals_statsmodels(seed: int, spread: float) -> None:
    effects, errors = _drawn(seed, spread)
    found = across_sites(_sites(effects, errors))
    other = combine_effects(np.array(effects), np.array(errors) ** 2, method_re="iterated", atol=1e-12)
    assert found.tau == pytest.approx(np.sqrt(other.tau2), abs=1e-4)
    assert found.mean.value == pytest.approx(expit(other.mean_effect_re), abs=1e-5)
    # Hartung and Knapp's standard error, never smaller than the one without their factor.
    error = max(other.sd_eff_w_re_hksj, other.sd_eff_w_re)
    reach = student_t.ppf(0.975, 5) * error
    ends = expit([other.mean_effect_re - reach, other.mean_effect_re + reach])
    assert (found.mean.low, found.mean.high) == pytest.approx(ends, abs=1e-4)
    reach = student_t.ppf(0.975, 4) * np.hypot(np.sqrt(other.tau2), error)
    ends = expit([other.mean_effect_re - reach, other.mean_effect_re + reach])
    assert (found.prediction.low, found.prediction.high) == pytest.approx(ends, abs=1e-4)


@pytest.mark.parametrize("seed", range(10))
def test_the_variance_between_sites_makes_cochrans_q_what_it_should_be(seed: int) -> None:
    effects, variances = (np.array(each) for each in _drawn(seed, 1.0))
    variances **= 2
    between = between_variance(effects, variances)
    weights = 1 / (variances + between)
    q = float((weights * (effects - np.average(effects, weights=weights)) ** 2).sum())
    assert between > 0
    assert q == pytest.approx(len(effects) - 1, abs=1e-6)


def test_alike_sites_do_not_differ() -> None:
    found = across_sites(_sites([1.0] * 4, [0.2] * 4))
    assert found.tau == 0
    assert found.mean.value == pytest.approx(expit(1.0))


def test_two_sites_say_nothing_of_a_third() -> None:
    found = across_sites(_sites([1.0, 2.0], [0.2, 0.2]))
    assert (found.sites, found.mean.value, found.prediction.low, found.tau) == (2, None, None, None)
    assert found.note == "2 sites are fewer than 3."


def test_sites_without_an_interval_are_left_out_and_said_to_be() -> None:
    known = _sites([1.0, 1.2, 0.8], [0.2, 0.3, 0.2])
    found = across_sites([*known, Interval(1.0, None, None), Interval(None, None, None), Interval(1.0, 1.0, 1.0)])
    assert found.sites == 3
    assert found.note == "3 of 6 sites have no interval to go by and do not count."
    assert found.mean == across_sites(known).mean


def test_an_interval_that_ends_at_1_is_told_by_its_other_end() -> None:
    known = _sites([1.0, 1.2, 0.8], [0.2, 0.3, 0.2])
    cut = Interval(known[0].value, known[0].low, 1.0)
    assert across_sites([cut, *known[1:]]).mean.value == pytest.approx(across_sites(known).mean.value)


def test_another_level_gives_the_same_mean_and_wider_limits() -> None:
    effects, errors = _drawn(0, 0.3)
    sites = _sites(effects, errors, float(norm.ppf(0.995)))
    found, usual = across_sites(sites, level=0.99), across_sites(_sites(effects, errors))
    assert found.mean.value == pytest.approx(usual.mean.value)
    assert found.prediction.low is not None
    assert usual.prediction.low is not None
    assert found.prediction.low < usual.prediction.low


@pytest.mark.slow
@pytest.mark.parametrize(("spread", "least"), [(0.3, 0.89), (0.8, 0.93)])
def test_the_next_site_lies_within_about_as_often_as_it_says(spread: float, least: float) -> None:
    """Of ten sites; where they differ little beside their own errors, less often, as the docstring says."""
    rng, held = np.random.default_rng(0), 0
    for _ in range(2000):
        errors = rng.uniform(0.15, 0.35, 10)
        effects = rng.normal(1.0, spread, 10) + rng.normal(0, errors)
        found = across_sites(_sites(effects.tolist(), errors.tolist())).prediction
        assert found.low is not None
        assert found.high is not None
        held += int(found.low <= expit(rng.normal(1.0, spread)) <= found.high)
    assert least <= held / 2000 <= 0.97
