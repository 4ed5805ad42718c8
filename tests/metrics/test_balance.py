"""Standardised differences: against their published formulas written out, and as properties over random groups."""

import math
import statistics

import numpy as np
import pytest

from anemia_lightning.metrics.balance import categories_differ, numbers_differ

SEEDS = range(20)


def austin_numbers(first: list[float], second: list[float]) -> float:
    """Austin 2009, for a continuous variable, with the standard library's arithmetic."""
    spread = math.sqrt((statistics.variance(first) + statistics.variance(second)) / 2)
    return (statistics.fmean(first) - statistics.fmean(second)) / spread


def austin_shares(p: float, q: float) -> float:
    """Austin 2009, for a variable with two values."""
    return abs(p - q) / math.sqrt((p * (1 - p) + q * (1 - q)) / 2)


def yang_dalton(first: list[int], second: list[int]) -> float:
    """Yang and Dalton 2012: shares without those of the first value, and their covariance element by element."""
    p = [count / sum(first) for count in first][1:]
    q = [count / sum(second) for count in second][1:]
    size = len(p)
    covariance = np.empty((size, size))
    for row in range(size):
        for column in range(size):
            if row == column:
                covariance[row, column] = (p[row] * (1 - p[row]) + q[row] * (1 - q[row])) / 2
            else:
                covariance[row, column] = -(p[row] * p[column] + q[row] * q[column]) / 2
    apart = np.subtract(p, q)
    return math.sqrt(apart @ np.linalg.solve(covariance, apart))


@pytest.mark.parametrize("seed", SEEDS)
def test_numbers_follow_the_published_formula_and_leave_out_the_unknown(seed: int) -> None:
    draw = np.random.default_rng(seed)
    first, second = draw.normal(30, 5, 17).tolist(), draw.normal(33, 9, 40).tolist()
    expected = austin_numbers(first, second)
    assert numbers_differ(first, [*second, math.nan]) == pytest.approx(expected, rel=1e-12)
    assert numbers_differ(second, first) == pytest.approx(-expected, rel=1e-12)
    scaled = numbers_differ(np.multiply(first, -3) + 7, np.multiply(second, -3) + 7)
    assert scaled == pytest.approx(-expected, rel=1e-9)


@pytest.mark.parametrize("seed", SEEDS)
def test_shares_follow_the_published_formulas(seed: int) -> None:
    draw = np.random.default_rng(seed)
    p, q = draw.integers(1, 50, (2, 2)).tolist()
    assert categories_differ(p, q) == pytest.approx(austin_shares(p[0] / sum(p), q[0] / sum(q)), rel=1e-9)
    first, second = draw.integers(1, 30, (2, 5)).tolist()
    expected = yang_dalton(first, second)
    assert categories_differ(first, second) == pytest.approx(expected, rel=1e-9)
    order = draw.permutation(5)
    assert categories_differ(np.take(second, order), np.take(first, order)) == pytest.approx(expected, rel=1e-9)
    # A value that nobody has, and larger groups of the same shares, change nothing.
    assert categories_differ([*first, 0], np.multiply([*second, 0], 7)) == pytest.approx(expected, rel=1e-9)


def test_a_value_that_one_group_lacks_is_no_obstacle() -> None:
    assert categories_differ([10, 0, 5], [3, 4, 5]) == pytest.approx(yang_dalton([5, 10, 0], [5, 3, 4]), rel=1e-9)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ([3, 3, 3], [3, 3], 0.0),
        ([0.1 + 0.2] * 3, [0.3] * 3, 0.0),
        ([3, 3, 3], [4, 4], None),
        ([3], [1, 2], None),
        ([math.nan, 3], [1, 2], None),
        ([], [1, 2], None),
    ],
)
def test_numbers_without_spread_differ_by_nothing_or_without_measure(
    first: list[float], second: list[float], expected: float | None
) -> None:
    assert numbers_differ(first, second) == expected


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [([5, 5], [10, 10], 0.0), ([5, 0], [9, 0], 0.0), ([5, 0], [0, 9], None), ([0, 0], [1, 2], None)],
)
def test_groups_of_one_value_differ_by_nothing_or_without_measure(
    first: list[int], second: list[int], expected: float | None
) -> None:
    assert categories_differ(first, second) == (expected if expected is None else pytest.approx(expected, abs=1e-9))
