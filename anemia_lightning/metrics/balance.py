"""How far two groups of people differ in one trait, in standard deviations, whatever their sizes."""

import math

import numpy as np
from numpy.typing import ArrayLike

CONSIDERABLE = 0.1
"""From here on groups are commonly called imbalanced (Austin 2009, section 3)."""

_NEGLIGIBLE = 1e-9


def numbers_differ(first: ArrayLike, second: ArrayLike) -> float | None:
    """Returns the standardised mean difference of a number between two groups.

    It is (mean of the first - mean of the second) over the root of the mean of the two variances: Austin, Statistics
    in Medicine 2009;28:3083-3107. Unlike a p-value it does not grow with the number of people.

    Args:
        first: The numbers of one group, [N]; NaN where unknown, which is left out.
        second: Those of the other, [M].

    Returns:
        The difference; None where a group has fewer than two numbers, or where groups without spread differ.

    Example:
        >>> numbers_differ([1, 2, 3], [2, 3, 4])
        -1.0
    """
    known = [values[~np.isnan(values)] for values in (np.asarray(first, float), np.asarray(second, float))]
    if min(map(len, known)) < 2:  # noqa: PLR2004  one number has no variance
        return None
    difference = float(known[0].mean() - known[1].mean())
    spread = math.sqrt((known[0].var(ddof=1) + known[1].var(ddof=1)) / 2)
    if abs(difference) <= _NEGLIGIBLE * max(1.0, *(float(np.abs(values).max()) for values in known)):
        return 0.0
    return difference / spread if spread > 0 else None


def categories_differ(first: ArrayLike, second: ArrayLike) -> float | None:
    """Returns the standardised difference of a trait with several values between two groups, 0 or more.

    It is the Mahalanobis distance between the shares of the values (Yang and Dalton, SAS Global Forum 2012, paper
    335); for two values it is Austin's |p - q| over the root of the mean of p(1 - p) and q(1 - q).

    Args:
        first: How many people of one group have each value, [K].
        second: The same of the other group, [K].

    Returns:
        The difference; None where a group is empty, or where it is infinite as for groups without a common value.

    Example:
        >>> round(categories_differ([30, 70], [50, 50]), 3)
        0.417
    """
    counts = np.asarray([first, second], float)
    if not counts.sum(axis=1).all():
        return None
    shares = counts / counts.sum(axis=1, keepdims=True)
    apart = shares[0] - shares[1]
    covariance = sum(np.diag(share) - np.outer(share, share) for share in shares) / 2
    # Shares add up to 1, so the matrix is singular in a direction in which groups cannot differ.
    solved = np.linalg.pinv(covariance, hermitian=True) @ apart
    if np.abs(covariance @ solved - apart).max() > _NEGLIGIBLE:
        return None
    return math.sqrt(max(0.0, float(apart @ solved)))
