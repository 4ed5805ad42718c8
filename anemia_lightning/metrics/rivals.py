"""One model against several others on the same photos: differences in AUROC, all from the same resamples."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from anemia_lightning.metrics.delong import AurocDifference, delong_interval, delong_test
from anemia_lightning.metrics.differences import SIGNIFICANT, ScoreDifference, holm, two_sided_p, verdict
from anemia_lightning.metrics.estimates import (
    BOOTSTRAP,
    DELONG,
    Estimate,
    Resampling,
    is_independent,
    widen_perfect_auroc,
)
from anemia_lightning.metrics.intervals import draw_clusters, numbered, percentile_interval
from anemia_lightning.metrics.resampled_scores import Ranking, Values, auroc_of
from anemia_lightning.metrics.scores import auroc, checked
from anemia_lightning.metrics.undefined import defects


@dataclass(frozen=True)
class Rival:
    """Another model on the same photos, and by how much the model beats it."""

    name: str
    auroc: Estimate
    difference: Estimate
    """The model's AUROC less this one's, with the interval of the bootstrap over clusters."""
    p: float | None
    """Two-sided, of the hypothesis that the two are equal, from the same resamples."""
    p_holm: float | None
    """The same, allowing for how many rivals there are (Holm); None for one that does not count."""
    delong: AurocDifference
    """DeLong's paired test, which takes photos as independent."""
    sentence: str
    """Whether the model is better, in plain words."""


def compare_rivals(
    labels: ArrayLike,
    scores: ArrayLike,
    rivals: Mapping[str, ArrayLike],
    clusters: ArrayLike,
    *,
    subject: str = "the network",
    uncounted: Collection[str] = (),
    how: Resampling | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Rival]:
    """Compares a model with each of several others.

    Args:
        labels: int [N], 1 anaemic and 0 not.
        scores: float [N], of the model; the order alone matters.
        rivals: float [N] by name, each rival's scores of the same photos.
        clusters: [N]: what joins patients and photo groups.
        subject: What to call the model.
        uncounted: Rivals that are no question to the model, such as an oracle: Holm's correction leaves them out, and
            those that say the same of every photo.
        how: Of the intervals.
        progress: Called with (resamples done, resamples in all).

    Raises:
        ValueError: If lengths differ or a label is not 0 or 1.
        NonFiniteLogitsError: If a score is infinite or not a number.
    """
    drawing = how or Resampling()
    known, own = checked(labels, scores)
    others = {name: checked(labels, each)[1] for name, each in rivals.items()}
    cluster = numbered(clusters, len(known))
    if not others:
        return []
    faults = defects("auroc", known == 1, [known == 1], cluster)
    models = [own, *others.values()]
    own_areas, *areas = _draw(known == 1, models, cluster, drawing, progress, drawn=not faults[1])
    pairs = [
        _difference(auroc(known, own), auroc(known, values), own_areas - each, faults, drawing.level)
        for values, each in zip(others.values(), areas, strict=True)
    ]
    counts = [name not in uncounted and len(np.unique(values)) > 1 for name, values in others.items()]
    adjusted = holm([pair.p if counted else None for pair, counted in zip(pairs, counts, strict=True)])
    return [
        Rival(
            name=name,
            auroc=_estimate(known, values, each, cluster, faults, level=drawing.level),
            difference=Estimate.of(pair.interval, BOOTSTRAP),
            p=pair.p,
            p_holm=p_holm,
            delong=delong_test(known, own, values, level=drawing.level),
            sentence=_said(pair, subject, name, p_holm),
        )
        for (name, values), each, pair, p_holm in zip(others.items(), areas, pairs, adjusted, strict=True)
    ]


def _draw(
    anaemic: NDArray[np.bool_],
    models: list[NDArray[np.float64]],
    cluster: NDArray[np.int64],
    how: Resampling,
    progress: Callable[[int, int], None] | None,
    *,
    drawn: bool,
) -> list[Values]:
    """Returns the AUROC of each model in the same resamples, [R] each; empty where none are to be drawn."""
    if not drawn:
        return [np.empty(0)] * len(models)
    rankings = [Ranking(anaemic, each, cluster) for each in models]
    parts: list[list[Values]] = [[] for _ in models]
    done = 0
    for times in draw_clusters(cluster, how.resamples, how.seed):
        for ranking, part in zip(rankings, parts, strict=True):
            part.append(auroc_of(*ranking.count(times)))
        done += len(times)
        if progress is not None:
            progress(done, how.resamples)
    return [np.concatenate(part) for part in parts]


def _estimate(
    labels: NDArray[np.int64],
    scores: NDArray[np.float64],
    areas: Values,
    cluster: NDArray[np.int64],
    faults: tuple[str, str],
    *,
    level: float,
) -> Estimate:
    """Returns the AUROC as `estimate_auroc` does, from resamples that are drawn already."""
    if is_independent(cluster):
        found = Estimate.of(delong_interval(labels, scores, level=level), DELONG)
    else:
        area = auroc(labels, scores)
        interval = percentile_interval(np.nan if area is None else area, areas, faults, level=level)
        found = Estimate.of(interval, BOOTSTRAP)
    return widen_perfect_auroc(found, labels, cluster, level=level)


def _difference(
    first: float | None, second: float | None, gaps: Values, faults: tuple[str, str], level: float
) -> ScoreDifference:
    value = np.nan if first is None or second is None else first - second
    interval = percentile_interval(value, gaps, faults, level=level)
    return ScoreDifference(first, second, interval, None if interval.low is None else two_sided_p(gaps))


def _said(pair: ScoreDifference, subject: str, name: str, p_holm: float | None) -> str:
    sentence = verdict(pair, subject, name)
    low, high = pair.interval.low, pair.interval.high
    is_shown = low is not None and high is not None and not low <= 0 <= high
    if is_shown and p_holm is not None and p_holm >= SIGNIFICANT:
        return f"{sentence} Allowing for the number of comparisons that could be chance (Holm's p = {p_holm:.2f})."
    return sentence
