"""A number with its interval and where that is from: by formula where photos are independent, else by resampling."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from anemia_lightning.metrics.delong import delong_interval
from anemia_lightning.metrics.intervals import Interval, auroc_interval, draw_clusters, numbered, percentile_interval
from anemia_lightning.metrics.proportions import wilson

Floats = NDArray[np.float64]

BOOTSTRAP = "bootstrap over clusters"
DELONG = "DeLong"
WILSON = "Wilson"
WILSON_OVER_CLUSTERS = "Wilson over clusters"
WILSON_OVER_PAIRS = "Wilson over pairs"


@dataclass(frozen=True)
class Estimate:
    """A number, its interval, and how the interval came about."""

    value: float | None
    """None where it is undefined."""
    low: float | None
    """Where the interval begins; None where there is none."""
    high: float | None
    resamples: int
    """Resamples that the interval rests on; 0 where a formula gives it."""
    method: str
    """How the interval came about; empty where there is none."""
    note: str
    """Why there is no value or no interval; empty where all is well."""

    @classmethod
    def of(cls, interval: Interval, method: str) -> "Estimate":
        """Returns an interval together with its method."""
        found = "" if interval.low is None else method
        return cls(interval.value, interval.low, interval.high, interval.resamples, found, interval.note)

    @property
    def interval(self) -> Interval:
        """The same without the method."""
        return Interval(self.value, self.low, self.high, self.resamples, self.note)


@dataclass(frozen=True)
class Resampling:
    """How intervals are drawn."""

    resamples: int = 2000
    """How many times to draw."""
    level: float = 0.95
    """Share of the resamples within an interval, in (0, 1); of formulas, how often they cover the truth."""
    seed: int = 0
    """Names the draws."""


def is_independent(cluster: NDArray[np.int64]) -> bool:
    """Says whether each cluster holds one row, so that formulas for independent rows hold."""
    return len(np.unique(cluster)) == len(cluster)


def estimate_auroc(labels: ArrayLike, scores: ArrayLike, clusters: ArrayLike, how: Resampling) -> Estimate:
    """Returns the AUROC: with DeLong's interval where no two photos share a cluster, else with the bootstrap's.

    One of 0 or 1 has neither: see `widen_perfect_auroc`.

    Args:
        labels: int [N], 1 anaemic and 0 not.
        scores: float [N], finite; the order alone matters.
        clusters: [N]: what joins patients and photo groups.
        how: Of the interval.

    Raises:
        NonFiniteLogitsError: If a score is infinite or not a number.
        ValueError: If lengths differ, or a label is not 0 or 1.
    """
    cluster = numbered(clusters, len(np.asarray(labels)))
    if is_independent(cluster):
        found = Estimate.of(delong_interval(labels, scores, level=how.level), DELONG)
    else:
        drawn = auroc_interval(labels, scores, cluster, resamples=how.resamples, level=how.level, seed=how.seed)
        found = Estimate.of(drawn, BOOTSTRAP)
    return widen_perfect_auroc(found, labels, cluster, level=how.level)


def widen_perfect_auroc(found: Estimate, labels: ArrayLike, cluster: NDArray[np.int64], *, level: float) -> Estimate:
    """Returns an AUROC of 0 or 1 with Wilson's interval over pairs, and any other as it is.

    Of a perfect order every resample says the same, and DeLong's variance is zero, as though nothing could disturb
    it. But the AUROC is the chance that a pair of an anaemic photo and another is in order, and of pairs that share
    no cluster there are at least as many as the smaller class has clusters, or as half of all.

    Args:
        found: The AUROC as another method gives it.
        labels: int [N], 1 anaemic and 0 not.
        cluster: int [N].
        level: Of the interval.
    """
    if found.value not in (0.0, 1.0):
        return found
    known = np.asarray(labels)
    of_classes = (len(np.unique(cluster[known == label])) for label in (0, 1))
    pairs = min(*of_classes, len(np.unique(cluster)) // 2)
    if pairs < 2:  # noqa: PLR2004 (one pair cannot tell how far others would differ)
        return found
    return replace(all_or_none(share=int(found.value), clusters=pairs, level=level), method=WILSON_OVER_PAIRS)


def estimate_share(counted: ArrayLike, clusters: ArrayLike, how: Resampling, *, lacking: str = "photos") -> Estimate:
    """Returns a share of photos: with Wilson's interval where no two share a cluster, else with the bootstrap's.

    Where all or none of the photos are counted, every resample says the same, and the interval would have no width:
    then it is Wilson's, with the clusters for photos, which holds whatever the dependence within a cluster.

    Args:
        counted: bool [N], which photos count.
        clusters: [N]: what joins patients and photo groups.
        how: Of the interval.
        lacking: What there is none of where N is 0, for the note.

    Raises:
        ValueError: If the lengths differ.

    Example:
        >>> found = estimate_share([True] * 18 + [False] * 2, range(20), Resampling())
        >>> found.method, round(found.low, 3), round(found.high, 3)
        ('Wilson', 0.699, 0.972)
    """
    chosen = np.asarray(counted, dtype=bool)
    cluster = numbered(clusters, len(chosen))
    part, whole = int(chosen.sum()), len(chosen)
    if is_independent(cluster):
        return Estimate.of(wilson(part, whole, level=how.level, lacking=lacking), WILSON)
    sums = np.stack([np.bincount(cluster, weights=chosen), np.bincount(cluster)], axis=1).astype(np.float64)
    return share_of_clusters(part, whole, sums, how)


def share_of_clusters(part: int, whole: int, sums: Floats, how: Resampling) -> Estimate:
    """Returns the share `part` of `whole`, as `estimate_share` does, from the clusters' own sums, [C, 2]."""
    clusters = len(sums)
    if clusters < 2:  # noqa: PLR2004 (one cluster cannot tell how far others would differ)
        return Estimate(part / whole, None, None, 0, "", "all stand in one cluster")
    if part in (0, whole):
        return all_or_none(share=part // whole, clusters=clusters, level=how.level)
    drawn = [times @ sums for times in draw_clusters(np.arange(clusters), how.resamples, how.seed)]
    parts, wholes = np.concatenate(drawn).T
    return Estimate.of(percentile_interval(part / whole, parts / wholes, ("", ""), level=how.level), BOOTSTRAP)


def all_or_none(*, share: int, clusters: int, level: float) -> Estimate:
    """Returns the share 0 or 1 with Wilson's interval over so many clusters."""
    return Estimate.of(wilson(share * clusters, clusters, level=level), WILSON_OVER_CLUSTERS)
