"""What several runs of one recipe say together: mean, spread and intervals over runs, single, paired or as ratios."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student

STUDENT = "Student's t"
CORRECTED = "corrected resampled t"
UNCORRECTED = "Student's t, too narrow for shared photos"

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
    """Two-sided, of the hypothesis that the mean is 0; None of fewer than two runs, without any spread, or where runs
    share photos and nobody knows how many."""
    method: str
    """How the interval came about: `STUDENT`, `CORRECTED` or `UNCORRECTED`; empty where there is none."""


def over_runs(values: Sequence[float | None], *, level: float = 0.95, test_to_train: float | None = 0.0) -> OverRuns:
    """Returns mean, standard deviation and t interval of the mean; of differences, this is the paired t-test.

    The interval says how far other runs of the same recipe would move the mean. Runs that differ in their seeds alone
    are independent draws, given the photos that they share: 1/n of the variance of single runs is that of their mean.
    Runs on other divisions of the same photos, as folds, are not, since they share training photos, and with several
    repeats test photos too: the variance of their mean is 1/n + test / train of that of single runs (Nadeau & Bengio,
    Mach Learn 2003;52:239; for repeated folds Bouckaert & Frank, LNCS 2004;3056:3). That is an approximation:
    nothing in the folds of one set of photos tells their variance without bias (Bengio & Grandvalet, JMLR 2004;5:1089).

    Args:
        values: One per run; None where it is undefined, and left out.
        level: How often such intervals hold the mean, in (0, 1).
        test_to_train: Test photos of a run over the photos that made its model, of runs on several divisions of the
            photos: 1 / (k - 1) of k folds. 0 of runs on one division. None of several where it is not known: the
            interval is then that of independent runs, and there is no p.

    Example:
        >>> found = over_runs([1.0, 2.0, 3.0, None])
        >>> found.n, found.mean, found.sd, round(found.low, 3), round(found.high, 3)
        (3, 2.0, 1.0, -0.484, 4.484)
    """
    known = [value for value in values if value is not None]
    if not known:
        return OverRuns(0, None, None, None, None, None, "")
    mean = statistics.fmean(known)
    if len(known) < _LEAST:
        return OverRuns(len(known), mean, None, None, None, None, "")
    sd, freedom = statistics.stdev(known), len(known) - 1
    error = sd * math.sqrt(1 / len(known) + (test_to_train or 0.0))
    reach = float(student.ppf((1 + level) / 2, freedom)) * error
    p = float(2 * student.sf(abs(mean) / error, freedom)) if error and test_to_train is not None else None
    method = UNCORRECTED if test_to_train is None else CORRECTED if test_to_train else STUDENT
    return OverRuns(len(known), mean, sd, mean - reach, mean + reach, p, method)


def ratio_interval(
    parts: Sequence[float], wholes: Sequence[float], *, level: float = 0.95, test_to_train: float = 0.0
) -> tuple[float | None, float | None, float | None]:
    """Returns the mean of `parts` over the mean of `wholes`, paired by run, with Fieller's interval.

    It holds every ratio r at which the paired t-test does not tell parts from r times wholes (Fieller, J R Stat Soc B
    1954;16:175). Where it does not tell the mean of the wholes from 0, no ratio is out of the question, and there is
    no interval.

    Args:
        parts: One per run.
        wholes: One per run, in the same order.
        level: How often such intervals hold the ratio of the means, in (0, 1).
        test_to_train: As of `over_runs`, whose variance of the mean stands in for that of independent runs.

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
    variances = np.cov(np.array([parts, wholes], dtype=np.float64)) * (1 / n + test_to_train)
    reach = float(student.ppf((1 + level) / 2, n - 1)) ** 2
    square = below**2 - reach * variances[1, 1]
    middle = above * below - reach * variances[0, 1]
    constant = above**2 - reach * variances[0, 0]
    if square <= 0:
        return ratio, None, None
    # Exact zeros, as of parts that are a multiple of the wholes, come out a little below.
    root = math.sqrt(max(0.0, middle**2 - square * constant))
    return ratio, float((middle - root) / square), float((middle + root) / square)
