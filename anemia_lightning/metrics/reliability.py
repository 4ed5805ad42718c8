"""The smooth reliability curve: how often photos of each probability are anaemic, with a band from the bootstrap."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logit

from anemia_lightning.metrics.intervals import draw_clusters
from anemia_lightning.metrics.logistic import ALONE, Floats, checked_photos, fault_of, fit_logistic, is_alone

_KNOTS = {3: (0.1, 0.5, 0.9), 4: (0.05, 0.35, 0.65, 0.95)}
_PHOTOS_FOR_FOUR_KNOTS = 100
_SHOWN = (0.01, 0.99)
_POINTS = 101
"""G, the probabilities for which the share is told."""
# So little that estimates do not feel it, yet a fit to separated classes stays finite.
_PENALTY = 1e-4


@dataclass(frozen=True)
class Reliability:
    """A reliability curve over the probabilities between the 1st and the 99th percentile of the photos'."""

    photos: int
    anaemic: int
    probability: Floats
    """[G], rising; empty where the curve is undefined."""
    observed: Floats
    """[G], the share that is anaemic among photos of this probability."""
    low: Floats
    """[G], where the band begins; empty where there is none."""
    high: Floats
    """[G]."""
    ici: float | None
    """Integrated calibration index: the mean over the photos of |observed - probability|."""
    e50: float | None
    """Its median."""
    e90: float | None
    """Its 90th percentile."""
    knots: tuple[float, ...]
    """Logits at which the spline bends; none where the logits are too few of a kind, when it is a line."""
    resamples: int
    """Resamples that the band rests on: those with both classes. 0 where there is no band."""
    level: float
    """Share of the resamples within the band."""
    note: str
    """Why there is no curve, or no band; else empty."""


def reliability(
    labels: ArrayLike,
    logits: ArrayLike,
    *,
    clusters: ArrayLike | None = None,
    resamples: int = 500,
    level: float = 0.95,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Reliability:
    """Returns the smooth reliability curve with its pointwise percentile band.

    The curve is a logistic regression of the label on a restricted cubic spline of the logit (Austin & Steyerberg, Stat
    Med 2014;33:517; Harrell, Regression Modeling Strategies, 2015, section 2.4): it holds the perfect line among its
    shapes, keeps to [0, 1] and needs no width to be chosen. 4 knots, 3 below 100 photos, at Harrell's percentiles.
    ICI, E50 and E90 are those of Austin & Steyerberg (Stat Med 2019;38:4051); they are above 0 by chance too.

    Whole clusters are drawn with replacement for the band; the knots stay.

    Args:
        labels: int [N], 1 anaemic and 0 not.
        logits: float [N], the log-odds of anaemia.
        clusters: [N]: the patient, the photo group, or what joins the two; None where photos are independent.
        resamples: How many times to draw.
        level: Share of the resamples within the band, in (0, 1).
        seed: Names the draws.
        progress: Called with (resamples done, resamples in all).

    Raises:
        ValueError: If the lengths differ, or a label is not 0 or 1.
        NonFiniteLogitsError: If a logit is infinite or not a number.
    """
    truth, values, cluster = checked_photos(labels, logits, clusters)
    if fault := fault_of(truth, values):
        return _undefined(truth, level, fault)
    knots = _place_knots(values)
    ends = np.quantile(values, _SHOWN)
    shown = np.linspace(expit(ends[0]), expit(ends[1]), _POINTS)
    design, asked = (_spline(each, knots, values) for each in (values, np.clip(logit(shown), *ends)))
    coefficients = fit_logistic(design, truth, penalty=_penalty(design))[0]
    distance = np.abs(expit(design @ coefficients) - expit(values))
    alone = is_alone(truth, cluster)
    fits = np.empty((0, design.shape[1]))
    if not alone:
        fits = _refit(design, truth, cluster, coefficients, resamples=resamples, seed=seed, progress=progress)
    low, high = _band(expit(fits @ asked.T), level)
    return Reliability(
        photos=len(truth),
        anaemic=int(truth.sum()),
        probability=shown,
        observed=expit(asked @ coefficients),
        low=low,
        high=high,
        ici=float(distance.mean()),
        e50=float(np.median(distance)),
        e90=float(np.quantile(distance, 0.9)),
        knots=tuple(knots.tolist()),
        resamples=len(fits),
        level=level,
        note=f"There is no band: {ALONE}." if alone else "",
    )


def _undefined(labels: Floats, level: float, fault: str) -> Reliability:
    none = np.empty(0)
    return Reliability(
        photos=len(labels),
        anaemic=int(labels.sum()),
        probability=none,
        observed=none,
        low=none,
        high=none,
        ici=None,
        e50=None,
        e90=None,
        knots=(),
        resamples=0,
        level=level,
        note=f"There is no curve: {fault}.",
    )


def _place_knots(logits: Floats) -> Floats:
    """Returns the knots of the spline, none where the logits are too few of a kind to bend between."""
    places = _KNOTS[4 if len(logits) >= _PHOTOS_FOR_FOUR_KNOTS else 3]
    knots = np.unique(np.quantile(logits, places))
    return knots if len(knots) == len(places) < len(np.unique(logits)) else np.empty(0)


def _spline(logits: Floats, knots: Floats, all_logits: Floats) -> Floats:
    """Returns a constant, the logit and its cubic pieces, linear beyond the outer knots, [len(logits), K].

    The columns are centred and scaled to one another's size by the logits of all photos.
    """
    columns, sizes = _pieces(logits, knots), _pieces(all_logits, knots)
    scaled = (columns - sizes.mean(axis=0)) / sizes.std(axis=0)
    return np.column_stack([np.ones(len(logits)), scaled])


def _pieces(logits: Floats, knots: Floats) -> Floats:
    if not len(knots):
        return logits[:, None]
    before, last = knots[-2:]
    cubes = np.maximum(logits[:, None] - knots, 0.0) ** 3
    bent = (
        cubes[:, :-2]
        - cubes[:, [-2]] * (last - knots[:-2]) / (last - before)
        + cubes[:, [-1]] * (before - knots[:-2]) / (last - before)
    )
    return np.column_stack([logits, bent])


def _penalty(design: Floats) -> Floats:
    return np.append(0.0, np.full(design.shape[1] - 1, _PENALTY))


def _refit(
    design: Floats,
    labels: Floats,
    cluster: NDArray[np.int64],
    start: Floats,
    *,
    resamples: int,
    seed: int,
    progress: Callable[[int, int], None] | None,
) -> Floats:
    """Returns the coefficients of each resample with both classes, [R, K]."""
    fits, done = [np.empty((0, design.shape[1]))], 0
    for times in draw_clusters(cluster, resamples, seed):
        weights = times[:, cluster]
        anaemic = weights @ labels
        both = weights[(anaemic > 0) & (anaemic < weights.sum(axis=1))]
        penalty = _penalty(design)
        fits.append(fit_logistic(design, labels, weights=both.astype(np.float64), penalty=penalty, start=start))
        done += len(weights)
        if progress is not None:
            progress(done, resamples)
    found = np.concatenate(fits)
    return found[~np.isnan(found).any(axis=1)]


def _band(curves: Floats, level: float) -> tuple[Floats, Floats]:
    if not len(curves):
        return np.empty(0), np.empty(0)
    low, high = np.quantile(curves, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return low, high
