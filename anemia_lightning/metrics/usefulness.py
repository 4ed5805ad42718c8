"""What a classifier is good for: its net benefit over thresholds, against testing all, none, or by other predictors."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from anemia_lightning.metrics.intervals import draw_clusters
from anemia_lightning.metrics.logistic import ALONE, Floats, checked_photos, is_alone
from anemia_lightning.metrics.populations import PEOPLE
from anemia_lightning.metrics.scores import logit_of

TEST_ALL, TEST_NONE = "test all", "test none"

_THRESHOLDS = tuple(round(0.01 * step, 2) for step in range(1, 100))


@dataclass(frozen=True)
class DecisionCurve:
    """Net benefit of each predictor over thresholds, and of testing all and none."""

    photos: int
    anaemic: int
    thresholds: Floats
    """[T], rising, in (0, 1): the probability from which on a person would be referred."""
    net_benefit: dict[str, Floats]
    """By predictor, `TEST_ALL` and `TEST_NONE`, [T], in true positives per photo; empty where it is undefined."""
    low: dict[str, Floats]
    """Where the band of each predictor begins, [T]; empty without a band."""
    high: dict[str, Floats]
    resamples: int
    """Resamples that the bands rest on; 0 without a band."""
    level: float
    """Share of the resamples within a band."""
    note: str
    """Why there is no curve, or not the band that was asked for; else empty."""

    def tests_avoided(self, name: str) -> Floats:
        """Returns the net reduction in blood tests per `PEOPLE` against test-all, [T].

        It is the difference in net benefit over the odds of the threshold (Vickers & Elkin 2006): the tests that are
        not made, less what the missed anaemias are worth in tests at that threshold. Below 0 testing all is better.
        """
        odds = self.thresholds / (1 - self.thresholds)
        avoided: Floats = PEOPLE * (self.net_benefit[name] - self.net_benefit[TEST_ALL]) / odds
        return avoided


def decision_curve(
    labels: ArrayLike,
    predictors: Mapping[str, ArrayLike],
    *,
    thresholds: Sequence[float] = _THRESHOLDS,
    clusters: ArrayLike | None = None,
    resamples: int = 0,
    level: float = 0.95,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> DecisionCurve:
    """Returns the decision curves of predictors on the same photos (Vickers & Elkin, Med Decis Making 2006;26:565).

    The net benefit at threshold t is TP / N - FP / N * t / (1 - t): true positives per photo, less the false positives
    at the price at which t is the right threshold. Probabilities must be calibrated, for a threshold to be a price.

    Args:
        labels: int [N], 1 anaemic and 0 not.
        predictors: Probabilities in [0, 1], float [N], by name: the model, and what else is known of the same photos.
        thresholds: Rising, in (0, 1); hundredths by default.
        clusters: [N]: the patient, the photo group, or what joins the two; None where photos are independent.
        resamples: How many times to draw whole clusters for the percentile bands; 0 draws none.
        level: Share of the resamples within a band, in (0, 1).
        seed: Names the draws, the same for every predictor.
        progress: Called with (resamples done, resamples in all).

    Raises:
        ValueError: If lengths differ, a label is not 0 or 1, or a probability or a threshold is out of range.
    """
    asked = np.asarray(thresholds, dtype=np.float64)
    if not ((asked > 0) & (asked < 1)).all():
        raise ValueError("a threshold is not in (0, 1)")
    for each in predictors.values():
        checked_photos(labels, logit_of(each))
    truth, _, cluster = checked_photos(labels, np.zeros(len(np.asarray(labels))), clusters)
    sizes = len(truth), int(truth.sum())
    if sizes[1] in (0, sizes[0]):
        return DecisionCurve(*sizes, asked, {}, {}, {}, 0, level, "It takes photos of both classes.")
    gains = {name: _gains(truth, np.asarray(each), asked) for name, each in predictors.items()}
    gains |= {TEST_ALL: _gains(truth, np.ones(len(truth)), asked), TEST_NONE: np.zeros((len(truth), len(asked)))}
    alone = bool(resamples) and is_alone(truth, cluster)
    low: dict[str, Floats] = {}
    high: dict[str, Floats] = {}
    if resamples and not alone:
        low, high = _bands(gains, cluster, resamples=resamples, level=level, seed=seed, progress=progress)
    return DecisionCurve(
        *sizes,
        thresholds=asked,
        net_benefit={name: each.mean(axis=0) for name, each in gains.items()},
        low=low,
        high=high,
        resamples=resamples if low else 0,
        level=level,
        note=f"There is no band: {ALONE}." if alone else "",
    )


def _gains(labels: Floats, probabilities: Floats, thresholds: Floats) -> Floats:
    """Returns what each photo adds to the net benefit at each threshold, [N, T]."""
    odds = thresholds / (1 - thresholds)
    worth = np.where(labels[:, None] == 1, 1.0, -odds)
    return np.where(probabilities[:, None] >= thresholds, worth, 0.0)


def _bands(
    gains: Mapping[str, Floats],
    cluster: NDArray[np.int64],
    *,
    resamples: int,
    level: float,
    seed: int,
    progress: Callable[[int, int], None] | None,
) -> tuple[dict[str, Floats], dict[str, Floats]]:
    sizes = np.bincount(cluster)
    sums = {name: _sum_clusters(each, cluster) for name, each in gains.items()}
    parts: dict[str, list[Floats]] = {name: [] for name in gains}
    done = 0
    for times in draw_clusters(cluster, resamples, seed):
        photos = (times @ sizes)[:, None]
        for name, part in parts.items():
            part.append(times @ sums[name] / photos)
        done += len(times)
        if progress is not None:
            progress(done, resamples)
    ends = [(1 - level) / 2, (1 + level) / 2]
    limits = {name: np.quantile(np.concatenate(part), ends, axis=0) for name, part in parts.items()}
    return {name: each[0] for name, each in limits.items()}, {name: each[1] for name, each in limits.items()}


def _sum_clusters(gains: Floats, cluster: NDArray[np.int64]) -> Floats:
    sums = np.zeros((int(cluster.max()) + 1, gains.shape[1]))
    np.add.at(sums, cluster, gains)
    return sums
