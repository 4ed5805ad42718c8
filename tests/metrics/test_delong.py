"""DeLong's formulas against published examples, against all pairs, and where they say nothing."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit, logit
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from anemia_lightning.errors import NonFiniteLogitsError
from anemia_lightning.metrics.delong import AurocDifference, delong_interval, delong_test
from anemia_lightning.metrics.intervals import Interval

# Patients with ovarian cancer and bowel obstruction: albumin, total protein, 10 - the K-G score, and whether surgery
# helped. DeLong et al. compare them in the paper that the method is named after; the SAS/STAT User's Guide prints the
# 43 complete ones and what PROC LOGISTIC makes of them ("Comparing Receiver Operating Characteristic Curves").
# fmt: off
OVARIAN = np.array([
    (3.0, 5.8, 0, 0), (3.2, 6.3, 5, 1), (3.9, 6.8, 7, 1), (2.8, 4.8, 4, 0), (3.2, 5.8, 7, 1), (0.9, 4.0, 5, 0),
    (2.5, 5.7, 2, 0), (1.6, 5.6, 5, 1), (3.8, 5.7, 5, 1), (3.7, 6.7, 4, 1), (3.2, 5.4, 6, 1), (3.8, 6.6, 4, 1),
    (4.1, 6.6, 5, 1), (3.6, 5.7, 5, 1), (4.3, 7.0, 6, 1), (3.6, 6.7, 6, 0), (2.3, 4.4, 4, 1), (4.2, 7.6, 6, 0),
    (4.0, 6.6, 4, 0), (3.5, 5.8, 4, 1), (3.8, 6.8, 3, 1), (3.0, 4.7, 2, 0), (4.5, 7.4, 5, 1), (3.7, 7.4, 5, 1),
    (3.1, 6.6, 4, 1), (4.1, 8.2, 4, 1), (4.3, 7.0, 5, 1), (4.3, 6.5, 6, 1), (3.2, 5.1, 5, 1), (2.6, 4.7, 4, 1),
    (3.3, 6.8, 4, 0), (1.7, 4.0, 3, 0), (3.7, 6.1, 5, 1), (3.3, 6.3, 3, 1), (4.2, 7.7, 4, 1), (3.5, 6.2, 5, 1),
    (2.9, 5.7, 1, 0), (2.1, 4.8, 3, 1), (2.8, 6.2, 2, 0), (4.0, 7.0, 3, 1), (3.3, 5.7, 4, 1), (3.7, 6.9, 5, 1),
    (3.6, 6.6, 5, 1),
])
# fmt: on
ALBUMIN, PROTEIN, KG_SCORE = OVARIAN[:, :3].T
HELPED = OVARIAN[:, 3].astype(np.int64)

# How many patients with a good and with a poor outcome had each value of S100B, from the lowest, in the data aSAH of
# R's pROC, which gives their AUROC's variance as 0.00266868245717244.
S100B_GOOD = [0, 5, 3, 2, 6, 6, 6, 7, 4, 0, 3, 4, 4, 3, 2, 1, 2, 0, 0, 1, 0, 0, 0, 1, 0]
S100B_GOOD += [1, 1, 1, 0, 1, 0, 1, 0, 1, 1, 2, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
S100B_POOR = [1, 0, 0, 0, 3, 1, 2, 2, 1, 1, 2, 1, 0, 1, 0, 0, 0, 1, 1, 0, 1, 1, 1, 0, 1]
S100B_POOR += [1, 1, 0, 1, 0, 1, 0, 2, 0, 0, 0, 1, 1, 0, 1, 1, 1, 1, 2, 1, 1, 1, 1, 1, 1]


def _error(found: Interval, level: float = 0.95) -> float:
    """Returns the standard error of the AUROC behind an interval that is symmetric in the log-odds."""
    assert found.value is not None
    assert found.low is not None
    reach = float(logit(found.value) - logit(found.low))
    return reach / float(norm.ppf((1 + level) / 2)) * found.value * (1 - found.value)


@pytest.mark.parametrize(
    ("values", "area", "error"), [(ALBUMIN, 0.7366, 0.0927), (KG_SCORE, 0.7258, 0.1028), (PROTEIN, 0.6478, 0.1000)]
)
def test_equals_what_sas_prints_of_one_auroc(values: NDArray[np.float64], area: float, error: float) -> None:
    found = delong_interval(HELPED, values)
    assert found.value == pytest.approx(area, abs=5e-5)
    assert _error(found) == pytest.approx(error, abs=5e-5)


@pytest.mark.parametrize(
    ("values", "difference", "error", "low", "high", "chi_square", "p"),
    [
        (ALBUMIN, 0.0108, 0.0953, -0.1761, 0.1976, 0.0127, 0.9102),
        (PROTEIN, -0.0780, 0.1046, -0.2830, 0.1271, 0.5554, 0.4561),
    ],
)
def test_equals_what_sas_prints_of_two(
    values: NDArray[np.float64],
    difference: float,
    error: float,
    low: float,
    high: float,
    chi_square: float,
    p: float,
) -> None:
    found = delong_test(HELPED, values, KG_SCORE)
    told = [found.difference, found.standard_error, found.low, found.high, (found.z or 0) ** 2, found.p]
    assert told == pytest.approx([difference, error, low, high, chi_square, p], abs=6e-5)
    assert found.note == ""


def test_equals_what_r_gives_of_tied_values() -> None:
    labels = np.repeat([0, 1], [72, 41])
    values = np.concatenate([np.repeat(np.arange(50), S100B_GOOD), np.repeat(np.arange(50), S100B_POOR)])
    found = delong_interval(labels, values)
    assert found.value == pytest.approx(0.73136856368563685, abs=1e-15)
    assert _error(found) ** 2 == pytest.approx(0.00266868245717244, rel=1e-12)


def _components(labels: NDArray[Any], scores: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """The structural components, from every pair of an anaemic and another photo."""
    pairs = scores[labels == 1][:, None] - scores[labels == 0][None, :]
    won = (pairs > 0) + 0.5 * (pairs == 0)
    return won.mean(axis=1), won.mean(axis=0)


def _draw(seed: int) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.append([0, 0, 1, 1], rng.integers(0, 2, int(rng.integers(0, 90)))))
    first = rng.normal(labels * 1.0)
    second = first + rng.normal(0, 1.5, len(labels))
    return (labels, np.round(first), np.round(second)) if seed % 2 else (labels, first, second)


@pytest.mark.parametrize("seed", range(60))
def test_midranks_equal_all_pairs(seed: int) -> None:
    labels, first, second = _draw(seed)
    ours, theirs = _components(labels, first), _components(labels, second)
    anaemic, others = (np.cov(np.stack(pair)) / len(pair[0]) for pair in zip(ours, theirs, strict=True))
    expected = anaemic + others
    error = np.sqrt(max(expected[0, 0] + expected[1, 1] - 2 * expected[0, 1], 0))
    found = delong_test(labels, first, second)
    assert found.standard_error == pytest.approx(error, rel=1e-7, abs=1e-8)
    assert [found.first, found.second] == pytest.approx([roc_auc_score(labels, each) for each in (first, second)])
    assert found.z is not None or error < 1e-6
    if found.z is not None:
        assert found.z == pytest.approx((roc_auc_score(labels, first) - roc_auc_score(labels, second)) / error)
        assert found.p == pytest.approx(2 * (1 - norm.cdf(abs(found.z))))


@pytest.mark.parametrize("seed", range(60))
def test_the_interval_is_that_of_the_log_odds(seed: int) -> None:
    labels, scores, _ = _draw(seed)
    found = delong_interval(labels, scores, level=0.9)
    variance = sum(each.var(ddof=1) / len(each) for each in _components(labels, scores))
    if found.low is None:
        assert variance == pytest.approx(0, abs=1e-15)
        return
    assert found.value is not None
    reach = 1.6448536269514722 * np.sqrt(variance) / (found.value * (1 - found.value))
    assert [found.low, found.high] == pytest.approx(expit(logit(found.value) + np.array([-reach, reach])))
    assert 0 < found.low < found.value < (found.high or 0) < 1


def test_the_order_alone_counts() -> None:
    labels, first, second = _draw(0)
    assert delong_test(labels, np.exp(first), second * 3 + 1) == delong_test(labels, first, second)
    mirrored = delong_test(labels, second, first)
    assert mirrored.p == delong_test(labels, first, second).p


@pytest.mark.parametrize(
    ("labels", "scores", "expected"),
    [
        ([], [], Interval(None, None, None, note="no anaemic photos")),
        ([0, 0], [1, 2], Interval(None, None, None, note="no anaemic photos")),
        ([1, 1], [1, 2], Interval(None, None, None, note="no non-anaemic photos")),
        ([0, 0, 1], [1, 3, 2], Interval(0.5, None, None, note="only one anaemic photo")),
        ([0, 1, 1], [1, 3, 2], Interval(1.0, None, None, note="only one non-anaemic photo")),
        (
            [0, 0, 1, 1],
            [1, 2, 3, 4],
            Interval(1.0, None, None, note="DeLong's variance is zero: all pairs are in order"),
        ),
        (
            [1, 1, 0, 0],
            [1, 2, 3, 4],
            Interval(0.0, None, None, note="DeLong's variance is zero: all pairs are in reverse order"),
        ),
        ([0, 0, 1, 1], [7, 7, 7, 7], Interval(0.5, None, None, note="DeLong's variance is zero: all pairs are tied")),
    ],
)
def test_where_there_is_no_interval_it_says_why(labels: Any, scores: Any, expected: Interval) -> None:
    assert delong_interval(labels, scores) == expected


def test_a_model_does_not_differ_from_itself() -> None:
    labels, scores, _ = _draw(4)
    area = delong_interval(labels, scores).value
    note = "DeLong's variance is zero: no photo differs from the others in what it says of the two models"
    found = delong_test(labels, scores, scores)
    assert found == AurocDifference(area, area, 0.0, 0.0, None, None, None, None, note)


def test_one_class_leaves_the_test_undefined() -> None:
    found = delong_test([1, 1, 1], [1, 2, 3], [3, 2, 1])
    assert found == AurocDifference(None, None, None, None, None, None, None, None, "no non-anaemic photos")


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_scores_that_are_no_numbers_are_refused(broken: float) -> None:
    with pytest.raises(NonFiniteLogitsError):
        delong_interval([0, 1], [0.0, broken])
    with pytest.raises(NonFiniteLogitsError):
        delong_test([0, 1], [0.0, 1.0], [0.0, broken])


def test_some_hundred_thousand_photos_are_no_burden() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 200_000)
    found = delong_interval(labels, rng.normal(labels * 1.0))
    assert found.value == pytest.approx(norm.cdf(np.sqrt(0.5)), abs=0.005)
