"""What several runs of one recipe say together: mean, spread and intervals over runs, single, paired or as ratios."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student

_LEAST = 2
"""Runs that a spread takes."""


@dataclass(frozen=True)
class OverRuns:
    """A score of several runs."""

    n: int
    """Runs in which the score is defined."""
    mean: float | None
    """None without a run."""
    sd: float | None
    """Sample standard deviation, with n - 1 below; None of fewer than two runs."""
    low: float | None
    """Where the interval of the mean begins; None of fewer than two runs."""
    high: float | None
    """Where it ends."""
    p: float | None
    """Two-sided, of the hypothesis that the mean is 0; None of fewer than two runs, or without any spread."""


def over_runs(values: Sequence[float | None], *, level: float = 0.95) -> OverRuns:
    """Returns mean, standard deviation and Student's t interval of the mean; of differences, this is the paired t-test.

    The interval says how far other runs of the same recipe would move the mean, if the runs were independent draws.
    Runs on the same photos share these, and folds share training photos: for such it is rather too narrow (Bengio &
    Grandvalet, JMLR 2004;5:1089).

    Args:
        values: One per run; None where it is undefined, and left out.
        level: How often such intervals hold the mean, in (0, 1).

    Example:
        >>> found = over_runs([1.0, 2.0, 3.0, None])
        >>> found.n, found.mean, found.sd, round(found.low, 3), round(found.high, 3)
        (3, 2.0, 1.0, -0.484, 4.484)
    """
    known = [value for value in values if value is not None]
    if not known:
        return OverRuns(0, None, None, None, None, None)
    mean = statistics.fmean(known)
    if len(known) < _LEAST:
        return OverRuns(len(known), mean, None, None, None, None)
    sd, freedom = statistics.stdev(known), len(known) - 1
    error = sd / math.sqrt(len(known))
    reach = float(student.ppf((1 + level) / 2, freedom)) * error
    p = float(2 * student.sf(abs(mean) / error, freedom)) if error else None
    return OverRuns(len(known), mean, sd, mean - reach, mean + reach, p)


def ratio_interval(
    parts: Sequence[float], wholes: Sequence[float], *, level: float = 0.95
) -> tuple[float | None, float | None, float | None]:
    """Returns the mean of `parts` over the mean of `wholes`, paired by run, with Fieller's interval.

    It holds every ratio r at which the paired t-test does not tell parts from r times wholes (Fieller, J R Stat Soc B
    1954;16:175). Where it does not tell the mean of the wholes from 0, no ratio is out of the question, and there is
    no interval.

    Args:
        parts: One per run.
        wholes: One per run, in the same order.
        level: How often such intervals hold the ratio of the means, in (0, 1).

    Returns:
        The ratio, and where its interval begins and ends; None where there is none.

    Example:
        >>> [round(value, 3) for value in ratio_interval([1.0, 2.0, 3.0], [4.0, 4.0, 4.0])]
        [0.5, -0.121, 1.121]
    """
    if not parts:
        return None, None, None
    above, below = statistics.fmean(parts), statistics.fmean(wholes)
    ratio = above / below if below else None
    n = len(parts)
    if n < _LEAST:
        return ratio, None, None
    variances = np.cov(np.array([parts, wholes], dtype=np.float64)) / n
    reach = float(student.ppf((1 + level) / 2, n - 1)) ** 2
    square = below**2 - reach * variances[1, 1]
    middle = above * below - reach * variances[0, 1]
    constant = above**2 - reach * variances[0, 0]
    if square <= 0:
        return ratio, None, None
    # Exact zeros, as of parts that are a multiple of the wholes, come out a little below.
    root = math.sqrt(max(0.0, middle**2 - square * constant))
    return ratio, float((middle - root) / square), float((middle + root) / square)
