"""Intervals of scores by the bootstrap over clusters: photos that may depend on one another are drawn together."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from anemia_lightning.metrics.resampled_scores import NAMES, Ranking, ResampledScores, Times, Values, auroc_of
from anemia_lightning.metrics.scores import checked
from anemia_lightning.metrics.undefined import defects

_CELLS_AT_ONCE = 125_000
"""Photos times resamples that are counted together: so many fit into a processor's cache. With 20,000 photos this takes
a third of the time that two million took, and a fourteenth of the memory."""


@dataclass(frozen=True)
class Interval:
    """A score and the interval around it."""

    value: float | None
    """The score of all photos; None where it is undefined, as an AUROC of one class."""
    low: float | None
    """Where the interval begins; None where the value is undefined, and where there is no interval."""
    high: float | None
    """Where the interval ends; None where `low` is."""
    resamples: int = 0
    """Resamples that the interval rests on: those in which the score is defined. 0 where there is no interval, and
    where a formula gives it."""
    note: str = ""
    """Why there is no value or no interval, or why the interval says nothing; empty where all is well."""


def auroc_interval(
    labels: ArrayLike,
    scores: ArrayLike,
    clusters: ArrayLike,
    *,
    resamples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Returns the area under the ROC curve with its percentile interval.

    Whole clusters are drawn with replacement, as many as there are (Field & Welsh, J R Stat Soc B 2007;69:369), so that
    ten copies of a photo do not pass for ten patients. Resamples of one class are left out. The interval says how far
    other patients would move the score of this model, not how far other training photos would move the model. It is too
    narrow where clusters are few (see `score_estimates.estimate_scores`), and [1, 1] where no two photos are out of
    order. There is none where a class stands in fewer than two clusters, since drawing clusters then cannot tell how
    far others of that class would differ.

    Args:
        labels: int [N], 1 anaemic and 0 not.
        scores: float [N], finite; higher means rather anaemic, and the order alone matters.
        clusters: [N], texts or numbers: the patient, the photo group, or what joins the two.
        resamples: How many times to draw.
        level: Share of the resamples within the interval, in (0, 1).
        seed: Names the draws: equal seeds, equal intervals.

    Raises:
        NonFiniteLogitsError: If a score is infinite or not a number.
        ValueError: If the lengths differ, or a label is not 0 or 1.

    Example:
        >>> auroc_interval([0, 0, 1, 1], [0.1, 0.4, 0.3, 0.8], ["a", "b", "c", "d"]).value
        0.75
    """
    return _auroc_bootstrap(labels, [scores], clusters, resamples=resamples, level=level, seed=seed)


def auroc_difference_interval(
    labels: ArrayLike,
    first: ArrayLike,
    second: ArrayLike,
    clusters: ArrayLike,
    *,
    resamples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Returns by how much the AUROC of `first` exceeds that of `second` on the same photos, with its interval.

    Each resample takes the same clusters for both, so what is hard for both cancels.

    Args:
        labels: int [N], 1 anaemic and 0 not.
        first: float [N], scores of the one model.
        second: float [N], scores of the other.
        clusters: [N], as for `auroc_interval`.
        resamples: How many times to draw.
        level: Share of the resamples within the interval, in (0, 1).
        seed: Names the draws.

    Raises:
        NonFiniteLogitsError: As `auroc_interval` does.
        ValueError: Likewise.
    """
    return _auroc_bootstrap(labels, [first, second], clusters, resamples=resamples, level=level, seed=seed)


def resample(
    models: list[ResampledScores],
    cluster: NDArray[np.int64],
    *,
    resamples: int,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
) -> list[tuple[dict[str, float], dict[str, Values]]]:
    """Returns each model's scores of all photos, and those of the same resamples [R]; NaN where undefined."""
    if not len(cluster):
        return [(dict.fromkeys(NAMES, np.nan), dict.fromkeys(NAMES, np.zeros(0)))] * len(models)
    once = np.ones((1, int(cluster.max()) + 1), dtype=np.int64)
    wholes = [{name: float(value[0]) for name, value in model(once).items()} for model in models]
    parts: list[list[dict[str, Values]]] = [[] for _ in models]
    done = 0
    for times in draw_clusters(cluster, resamples, seed):
        for model, part in zip(models, parts, strict=True):
            part.append(model(times))
        done += len(times)
        if progress is not None:
            progress(done, resamples)
    joined = [{name: np.concatenate([each[name] for each in part]) for name in NAMES} for part in parts]
    return list(zip(wholes, joined, strict=True))


def draw_clusters(cluster: NDArray[np.int64], resamples: int, seed: int) -> Iterator[Times]:
    """Yields how often each cluster stands in each resample, int64 [some resamples, clusters].

    Args:
        cluster: int [N], each photo's cluster, numbered from 0; some resamples with all photos fit into memory.
        resamples: How many times to draw.
        seed: Names the draws.
    """
    rng = np.random.default_rng(seed)
    clusters = int(cluster.max()) + 1
    at_once = max(1, _CELLS_AT_ONCE // len(cluster))
    for start in range(0, resamples, at_once):
        rows = min(at_once, resamples - start)
        drawn = rng.integers(clusters, size=(rows, clusters)) + clusters * np.arange(rows)[:, None]
        yield np.bincount(drawn.ravel(), minlength=rows * clusters).reshape(rows, clusters)


def percentile_interval(value: float, drawn: Values, faults: tuple[str, str], *, level: float) -> Interval:
    """Returns the interval that holds the middle of what was drawn.

    Args:
        value: The score of all photos; NaN where it is undefined.
        drawn: The score of each resample, [R]; NaN where it is undefined.
        faults: What `defects` says.
        level: Share of the resamples within the interval, in (0, 1).
    """
    undefined, alone = faults
    known = None if undefined else value
    if alone:
        return Interval(known, None, None, 0, alone)
    defined = drawn[~np.isnan(drawn)]
    if not len(defined):
        return Interval(known, None, None, 0, "undefined in every resample")
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2]).tolist()
    return Interval(known, low, high, len(defined), "" if low < high else "the same in nearly all resamples")


def numbered(clusters: ArrayLike, photos: int) -> NDArray[np.int64]:
    """Returns the clusters numbered from 0, int64 [N].

    Raises:
        ValueError: If there is not one for each photo.
    """
    given = np.asarray(clusters)
    if given.shape != (photos,):
        raise ValueError(f"labels, scores and clusters are not all [N] but {[(photos,), given.shape]}")
    return np.unique(given, return_inverse=True)[1]


def _auroc_bootstrap(
    labels: ArrayLike, scores: list[ArrayLike], clusters: ArrayLike, *, resamples: int, level: float, seed: int
) -> Interval:
    """Returns the interval of the first scores' AUROC, less that of the second scores where there are two."""
    known = [checked(labels, each) for each in scores]
    anaemic = known[0][0] == 1
    cluster = numbered(clusters, len(anaemic))
    faults = defects("auroc", anaemic, [anaemic], cluster)
    if faults[0]:
        return Interval(None, None, None, 0, faults[0])
    rankings = [Ranking(anaemic, each, cluster) for _, each in known]

    def areas(times: Times) -> Values:
        first, *second = [auroc_of(*ranking.count(times)) for ranking in rankings]
        return first - second[0] if second else first

    area = float(areas(np.ones((1, int(cluster.max()) + 1), dtype=np.int64))[0])
    # Without an interval nothing needs to be drawn for it.
    drawn = [] if faults[1] else [areas(times) for times in draw_clusters(cluster, resamples, seed)]
    return percentile_interval(area, np.concatenate([*drawn, np.zeros(0)]), faults, level=level)
