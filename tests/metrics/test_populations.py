"""Numbers per 1,000 people against Bayes' theorem, published intervals, other formulas and simulated coverage."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, logit

from anemia_lightning.metrics.intervals import Interval
from anemia_lightning.metrics.populations import PREVALENCES, AtPrevalence, at_prevalences
from anemia_lightning.metrics.proportions import wilson

COUNTS = ("referred", "found", "missed", "needlessly_referred")
EVERY = ("ppv", "npv", *COUNTS)


def _known(interval: Interval) -> tuple[float, float, float]:
    assert interval.value is not None
    assert interval.low is not None
    assert interval.high is not None
    return interval.value, interval.low, interval.high


def _row(sensitivity: Interval, specificity: Interval, prevalence: float) -> AtPrevalence:
    return at_prevalences(sensitivity, specificity, prevalences=[prevalence])[0]


def test_a_hand_worked_population() -> None:
    # Of 1,000 people 200 are anaemic: 180 found, 20 missed; of the 800 others 160 are referred.
    row = _row(Interval(0.9, 0.85, 0.95), Interval(0.8, 0.7, 0.88), 0.2)
    assert _known(row.found) == pytest.approx((180, 170, 190))
    assert _known(row.missed) == pytest.approx((20, 10, 30))
    assert _known(row.needlessly_referred) == pytest.approx((160, 96, 240))
    assert _known(row.referred) == pytest.approx((340, 340 - math.hypot(10, 64), 340 + math.hypot(10, 80)))
    assert row.ppv.value == pytest.approx(180 / 340)
    assert row.npv.value == pytest.approx(640 / 660)


def test_the_sum_reproduces_newcombes_published_interval_of_a_difference() -> None:
    # 56/70 - 48/80 = 0.2 with 0.0524 to 0.3339, method 10 of Newcombe, Stat Med 1998;17:873.
    row = _row(wilson(56, 70), wilson(48, 80), 0.5)
    assert [each / 500 - 1 for each in _known(row.referred)] == pytest.approx([0.2, 0.0524, 0.3339], abs=5e-5)


def test_many_photos_give_mercaldos_intervals() -> None:
    tp, positives, tn, negatives, prevalence = 800, 1000, 1400, 2000, 0.25
    row = _row(wilson(tp, positives), wilson(tn, negatives), prevalence)
    sensitivity, specificity = tp / positives, tn / negatives
    errors = {
        "ppv": math.sqrt((1 - sensitivity) / sensitivity / positives + specificity / (1 - specificity) / negatives),
        "npv": math.sqrt(sensitivity / (1 - sensitivity) / positives + (1 - specificity) / specificity / negatives),
    }
    for name, error in errors.items():
        value, low, high = _known(getattr(row, name))
        expected = expit(logit(value) + np.array([-1.96, 1.96]) * error)
        assert [low, high] == pytest.approx(expected.tolist(), abs=0.003)


@given(
    positives=st.integers(1, 300),
    negatives=st.integers(1, 300),
    found=st.floats(0, 1),
    spared=st.floats(0, 1),
    prevalence=st.floats(0.001, 0.999),
)
def test_every_interval_is_in_order_and_every_number_adds_up(
    positives: int, negatives: int, found: float, spared: float, prevalence: float
) -> None:
    sensitivity = wilson(round(found * positives), positives)
    specificity = wilson(round(spared * negatives), negatives)
    row = _row(sensitivity, specificity, prevalence)
    for name in EVERY:
        interval = getattr(row, name)
        if interval.value is None:
            assert interval.note == "no one is referred, or all are"
            continue
        value, low, high = _known(interval)
        assert -1e-9 <= low <= value + 1e-9
        assert value <= high + 1e-9
        assert high <= (1 if name in ("ppv", "npv") else 1000) + 1e-6
    values = {name: _known(getattr(row, name))[0] for name in COUNTS}
    assert values["found"] + values["missed"] == pytest.approx(1000 * prevalence)
    assert values["found"] + values["needlessly_referred"] == pytest.approx(values["referred"])
    if row.ppv.value is not None:
        assert row.ppv.value * values["referred"] == pytest.approx(values["found"])
    if row.npv.value is not None:
        assert (1 - row.npv.value) * (1000 - values["referred"]) == pytest.approx(values["missed"], abs=1e-6)


def test_no_false_alarm_gives_a_certain_value_with_a_bounded_interval() -> None:
    row = _row(wilson(18, 20), wilson(30, 30), 0.1)
    value, low, high = _known(row.ppv)
    assert (value, high) == (1.0, 1.0)
    assert 0.3 < low < 0.6


def test_a_test_that_refers_no_one_has_no_positive_predictive_value() -> None:
    row = _row(wilson(0, 20), wilson(30, 30), 0.1)
    assert row.ppv == Interval(None, None, None, note="no one is referred, or all are")
    assert row.npv.value == pytest.approx(0.9)
    assert row.missed.value == pytest.approx(100)


def test_a_test_that_refers_all_has_no_negative_predictive_value() -> None:
    row = _row(wilson(20, 20), wilson(0, 30), 0.1)
    assert row.npv == Interval(None, None, None, note="no one is referred, or all are")
    assert row.ppv.value == pytest.approx(0.1)


def test_what_is_undefined_or_unbounded_stays_so() -> None:
    none = _row(Interval(None, None, None, note="no anaemic photos"), wilson(20, 30), 0.1)
    assert {getattr(none, name) for name in ("ppv", "npv", "referred", "found", "missed")} == {
        Interval(None, None, None, note="no anaemic photos")
    }
    assert none.needlessly_referred.value == pytest.approx(300)
    unbounded = _row(Interval(0.9, None, None, note="one cluster"), wilson(20, 30), 0.1)
    assert unbounded.ppv.value is not None
    assert {getattr(unbounded, name).low for name in ("ppv", "npv", "referred", "found", "missed")} == {None}
    assert unbounded.referred.note == "one cluster"


def test_the_prevalences_are_those_of_5_to_60_percent() -> None:
    rows = at_prevalences(wilson(80, 100), wilson(80, 100))
    assert [row.prevalence for row in rows] == list(PREVALENCES)
    assert (PREVALENCES[0], PREVALENCES[-1], len(PREVALENCES)) == (0.05, 0.6, 12)
    assert [row.ppv.value for row in rows] == sorted(_known(row.ppv)[0] for row in rows)


@pytest.mark.parametrize("prevalence", [0.0, 1.0, -0.1])
def test_a_prevalence_of_none_or_all_is_a_defect(prevalence: float) -> None:
    with pytest.raises(ValueError, match=r"a prevalence is not in \(0, 1\)"):
        at_prevalences(wilson(8, 10), wilson(8, 10), prevalences=[prevalence])


def _coverages(draws: int, positives: int, negatives: int) -> dict[str, float]:
    sensitivity, specificity, prevalence = 0.85, 0.75, 0.2
    exact = Interval(sensitivity, sensitivity, sensitivity), Interval(specificity, specificity, specificity)
    truth = {name: _known(getattr(_row(*exact, prevalence), name))[0] for name in EVERY}
    rng = np.random.default_rng(positives)
    pairs = zip(rng.binomial(positives, sensitivity, draws), rng.binomial(negatives, specificity, draws), strict=True)
    rows = [_row(wilson(int(tp), positives), wilson(int(tn), negatives), prevalence) for tp, tn in pairs]
    hits = {name: [_known(getattr(row, name))[1:] for row in rows] for name in ("ppv", "npv", "referred")}
    return {name: float(np.mean([low <= truth[name] <= high for low, high in limits])) for name, limits in hits.items()}


@pytest.mark.parametrize(("positives", "negatives"), [(60, 50), (300, 200)])
def test_intervals_cover_the_truth_as_often_as_they_say(positives: int, negatives: int) -> None:
    covered = _coverages(2000, positives, negatives)
    assert all(0.93 < each < 0.97 for each in covered.values()), covered
