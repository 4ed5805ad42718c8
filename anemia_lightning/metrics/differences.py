"""By how much one model beats another on the same photos, and whether that could be chance."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from anemia_lightning.errors import PhotosDifferError
from anemia_lightning.metrics.delong import AurocDifference, delong_test
from anemia_lightning.metrics.intervals import Interval, numbered, percentile_interval, resample
from anemia_lightning.metrics.resampled_scores import NAMES, ResampledScores, Values
from anemia_lightning.metrics.scores import checked
from anemia_lightning.metrics.undefined import defects

SIGNIFICANT = 0.05
"""A p below this, corrected for the number of comparisons, is not put down to chance."""

_MOST_NAMED = 3


@dataclass(frozen=True)
class ScoreDifference:
    """A score of two models on the same photos."""

    first: float | None
    """The first model's score; None where it is undefined."""
    second: float | None
    """The second model's."""
    interval: Interval
    """The first less the second, with its interval from resamples that both share."""
    p: float | None
    """Two-sided, of the hypothesis that the two are equal; None where there is no interval."""


@dataclass(frozen=True)
class Comparison:
    """Two models on the same photos."""

    n: int
    """Photos."""
    n_positive: int
    """Anaemic photos."""
    delong: AurocDifference
    """The AUROCs by DeLong's test, which takes photos as independent."""
    scores: dict[str, ScoreDifference]
    """Every score of `resampled_scores.NAMES` but the prevalence, resampled by cluster."""


def compare_predictions(
    first: pd.DataFrame,
    second: pd.DataFrame,
    clusters: pd.Series,
    *,
    names: tuple[str, str] = ("the first model", "the second model"),
    resamples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> Comparison:
    """Compares what two models said of the same photos, in whatever order the tables have them.

    Args:
        first: Columns photo, label and logit, one row per photo; a logit of 0 and more calls a photo anaemic.
        second: The same of the other model.
        clusters: What joins patients and photo groups, indexed by photo id.
        names: What to call the models in messages.
        resamples: How many times to draw clusters.
        level: Share of the resamples within an interval, in (0, 1).
        seed: Names the draws.

    Raises:
        PhotosDifferError: If the photos or their labels are not the same, or a photo stands twice.
        NonFiniteLogitsError: If a logit is infinite or not a number.
        KeyError: If a photo has no cluster.
    """
    if faults := _disagreements(first, second, names):
        raise PhotosDifferError(names, faults)
    other = second.set_index("photo").loc[first["photo"]]
    labels, logits = first["label"].to_numpy(), (first["logit"].to_numpy(), other["logit"].to_numpy())
    return Comparison(
        len(labels),
        int(labels.sum()),
        delong_test(labels, *logits, level=level),
        score_differences(
            labels,
            *logits,
            clusters=clusters.loc[first["photo"]].to_numpy(),
            resamples=resamples,
            level=level,
            seed=seed,
        ),
    )


def score_differences(
    labels: ArrayLike,
    first: ArrayLike,
    second: ArrayLike,
    *,
    clusters: ArrayLike,
    resamples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> dict[str, ScoreDifference]:
    """Returns by how much each score of `first` exceeds that of `second`, but for the prevalence, which they share.

    Each resample takes the same clusters for both, so what is hard for both cancels. Of ``brier`` and ``log_loss``
    less is better. The p is twice the smaller share of resamples on one side of 0 (Efron & Tibshirani 1993, chapter
    16, in the form that never is 0): it is small where the interval leaves 0 out.

    Args:
        labels: int [N], 1 anaemic and 0 not.
        first: float [N], logits of the one model; one of 0 and more calls a photo anaemic.
        second: float [N], logits of the other.
        clusters: [N], what joins patients and photo groups.
        resamples: How many times to draw.
        level: Share of the resamples within an interval, in (0, 1).
        seed: Names the draws.

    Raises:
        NonFiniteLogitsError: If a logit is infinite or not a number.
        ValueError: If the lengths differ, or a label is not 0 or 1.
    """
    (known, one), (_, other) = checked(labels, first), checked(labels, second)
    cluster = numbered(clusters, len(known))
    both = (one, other)
    called = [logits >= 0 for logits in both]
    models = [ResampledScores(known, logits, cluster, called=each) for logits, each in zip(both, called, strict=True)]
    (value, drawn), (its_value, its_drawn) = resample(models, cluster, resamples=resamples, seed=seed)
    found = {}
    for name in [name for name in NAMES if name != "prevalence"]:
        faults = defects(name, known == 1, called, cluster)
        gaps = drawn[name] - its_drawn[name]
        interval = percentile_interval(value[name] - its_value[name], gaps, faults, level=level)
        p = None if interval.low is None else two_sided_p(gaps)
        found[name] = ScoreDifference(_known(value[name]), _known(its_value[name]), interval, p)
    return found


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Returns p-values that allow for how many comparisons were made (Holm, Scand J Stat 1979;6:65), in their order.

    One below 0.05 then means that at most one family of comparisons in twenty would hold any false finding. Those
    that are None stay so and do not count.

    Example:
        >>> holm([0.01, 0.04, None, 0.03])
        [0.03, 0.06, None, 0.06]
    """
    ranked = sorted((p, place) for place, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    highest = 0.0
    for done, (p, place) in enumerate(ranked):
        highest = max(highest, min(1.0, p * (len(ranked) - done)))
        adjusted[place] = highest
    return adjusted


def verdict(difference: ScoreDifference, first: str, second: str) -> str:
    """Says in a plain sentence whether one model tells anaemia better than another.

    Args:
        difference: That of the AUROC, the first model's less the second's.
        first: What to call the first model, such as "the network".
        second: What to call the second, such as "colour alone".

    Example:
        >>> found = ScoreDifference(0.81, 0.73, Interval(0.08, 0.02, 0.14, 2000), 0.01)
        >>> verdict(found, "the network", "colour alone")
        'The network is better than colour alone: AUROC 0.810 against 0.730, by 0.080 [0.020, 0.140].'
    """
    low, high, value = difference.interval.low, difference.interval.high, difference.interval.value
    subject = first[:1].upper() + first[1:]
    if value is None or low is None or high is None:
        return f"{subject} cannot be compared with {second}: {difference.interval.note}."
    if difference.first == difference.second == 1:
        # Every resample finds no difference, which shows neither that there is one nor that there is none.
        return f"{subject} is not shown to differ from {second}: both put every pair in order, AUROC 1.000."
    kind = "is better than" if low > 0 else "is worse than" if high < 0 else "is not shown to differ from"
    against = f"AUROC {difference.first:.3f} against {difference.second:.3f}"
    return f"{subject} {kind} {second}: {against}, by {value:.3f} [{low:.3f}, {high:.3f}]."


def _disagreements(first: pd.DataFrame, second: pd.DataFrame, names: tuple[str, str]) -> list[str]:
    """Returns in what the photos of two tables differ."""
    faults = []
    for table, name in zip((first, second), names, strict=True):
        faults.append(_few("predicted more than once by " + name, table["photo"][table["photo"].duplicated()].unique()))
    mine, theirs = (table.drop_duplicates("photo").set_index("photo")["label"] for table in (first, second))
    faults.append(_few(f"predicted by {names[0]} alone", mine.index.difference(theirs.index)))
    faults.append(_few(f"predicted by {names[1]} alone", theirs.index.difference(mine.index)))
    shared = mine.index.intersection(theirs.index)
    faults.append(_few("with another label", shared[(mine[shared] != theirs[shared]).to_numpy()]))
    return [fault for fault in faults if fault]


def _few(what: str, photos: Iterable[object]) -> str:
    named = [str(photo) for photo in photos]
    more = f" and {len(named) - _MOST_NAMED} more" if named[_MOST_NAMED:] else ""
    return f"{len(named)} {what} ({', '.join(named[:_MOST_NAMED])}{more})" if named else ""


def two_sided_p(gaps: Values) -> float:
    """Returns the two-sided p of no difference, from differences drawn around the one found."""
    defined = gaps[~np.isnan(gaps)]
    least = min(int(np.sum(defined <= 0)), int(np.sum(defined >= 0)))
    return min(1.0, 2 * (1 + least) / (len(defined) + 1))


def least_p(draws: int) -> float:
    """Returns the smallest p that `two_sided_p` can give of so many differences: none is on the other side."""
    return 2 / (draws + 1)


def _known(value: float) -> float | None:
    return None if np.isnan(value) else value
