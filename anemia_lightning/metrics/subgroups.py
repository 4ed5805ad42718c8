"""Who the model works for: its scores in named groups at the one threshold, groups too small to judge marked."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from anemia_lightning.metrics.calibration import observed_expected
from anemia_lightning.metrics.estimates import Estimate, Resampling, estimate_auroc, estimate_share
from anemia_lightning.metrics.intervals import Interval, numbered
from anemia_lightning.metrics.scores import checked

FEWEST, FEWEST_EVENTS = 20, 10
"""Groups with fewer clusters, or fewer that hold photos of either class, are marked: their scores say next to nothing.
Clusters and not photos, since ten photos of one patient tell of one patient."""
MOST_GROUPS = 20
"""A column with more groups shows the largest; the others stand together."""
UNKNOWN, OTHERS = "(unknown)", "(others)"
COMPARED = ("auroc", "sensitivity", "specificity")
"""The scores of which the worst group is named."""

_ROBUST = "Wald, robust to clusters"
_NO_OTHERS = "the group holds anaemic photos alone"


@dataclass(frozen=True)
class Group:
    """The scores of one group of photos, at the threshold of all."""

    name: str
    n: int
    events: int
    """Anaemic photos."""
    clusters: int
    """Independent sets of photos."""
    small: str
    """Why the group is too small to be judged; else empty."""
    auroc: Estimate
    sensitivity: Estimate
    specificity: Estimate
    observed_expected: Estimate
    """Anaemic photos over the sum of the probabilities: 1 is perfect, below 1 the probabilities are too high."""


@dataclass(frozen=True)
class Column:
    """The groups of one column."""

    name: str
    groups: tuple[Group, ...]
    events_only: bool
    """Whether it follows from the label, so that it tells of anaemic photos alone, and of sensitivity alone."""
    note: str
    """What must be said of the column; else empty."""


@dataclass(frozen=True)
class Worst:
    """The group with the lowest score, of those large enough."""

    column: str
    group: str
    estimate: Estimate


@dataclass(frozen=True)
class Subgroups:
    """The scores of the groups of several columns."""

    columns: tuple[Column, ...]
    absent: tuple[str, ...]
    """Columns that were asked for and are not there, or are empty."""
    worst: dict[str, Worst | None]
    """By score; None where no two groups of a column are large enough. Some group is lowest by chance alone."""


def compare_groups(
    labels: ArrayLike,
    logits: ArrayLike,
    columns: Mapping[str, ArrayLike | None],
    clusters: ArrayLike,
    *,
    called: ArrayLike,
    scaled: ArrayLike,
    events_only: Collection[str] = ("severity",),
    orders: Mapping[str, Sequence[str]] | None = None,
    how: Resampling | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Subgroups:
    """Returns the scores of each group of each column, without p-values: this is no search for differences.

    Args:
        labels: int [N], 1 anaemic and 0 not.
        logits: float [N], what orders the photos.
        columns: Text [N] by name, "" where it is unknown; None for a column that was asked for and is not there.
        clusters: [N]: what joins patients and photo groups.
        called: bool [N], which photos are called anaemic.
        scaled: float [N], the log-odds of the probabilities, for the calibration.
        events_only: Columns that follow from the label, so that sensitivity among the anaemic is all they have.
        orders: By column, the groups in the order to show them; else, and behind these, they go by the alphabet.
        how: Of the intervals.
        progress: Called with (columns done, columns in all).

    Raises:
        ValueError: If lengths differ or a label is not 0 or 1.
        NonFiniteLogitsError: If a logit is infinite or not a number.
    """
    known, odds = checked(labels, logits)
    photos = _Photos(
        known,
        odds,
        checked(labels, scaled)[1],
        np.asarray(called, dtype=bool),
        numbered(clusters, len(known)),
        how or Resampling(),
    )
    given = {name: np.asarray(each, dtype=object) for name, each in columns.items() if each is not None}
    present = {name: texts for name, texts in given.items() if (texts != "").any()}
    found = []
    for done, (name, texts) in enumerate(present.items(), start=1):
        order = (orders or {}).get(name, ())
        found.append(_column(photos, name, texts, order, is_events_only=name in events_only))
        if progress is not None:
            progress(done, len(present))
    judged = [column for column in found if column.name not in events_only]
    return Subgroups(
        columns=tuple(found),
        absent=tuple(name for name in columns if name not in present),
        worst={score: _worst(judged, score) for score in COMPARED},
    )


@dataclass(frozen=True)
class _Photos:
    labels: NDArray[np.int64]
    logits: NDArray[np.float64]
    scaled: NDArray[np.float64]
    called: NDArray[np.bool_]
    cluster: NDArray[np.int64]
    how: Resampling


def _column(
    photos: _Photos, name: str, texts: NDArray[np.object_], order: Sequence[str], *, is_events_only: bool
) -> Column:
    rows = photos.labels == 1 if is_events_only else np.ones(len(texts), dtype=bool)
    names = _group_names(texts[rows], order)
    notes = []
    if is_events_only:
        notes.append("It follows from the label, so anaemic photos alone are told of.")
    if len(names) == 1:
        notes.append("There is one group, so nothing to compare.")
    kept = [each for each in names if each != OTHERS]
    if OTHERS in names:
        notes.append(f"The {len(kept)} largest groups are shown; {OTHERS} holds the rest.")
    shown = np.array([text or UNKNOWN for text in texts], dtype=object)
    shown[~np.isin(shown.astype(str), kept)] = OTHERS
    groups = tuple(_group(photos, each, rows & (shown == each), is_events_only=is_events_only) for each in names)
    return Column(name, groups, is_events_only, " ".join(notes))


def _group_names(texts: NDArray[np.object_], order: Sequence[str]) -> list[str]:
    """Returns the groups in order, the unknown last, and `OTHERS` for those that are too many."""
    names, counts = np.unique(np.array([str(text) or UNKNOWN for text in texts]), return_counts=True)
    largest: list[str] = names[np.argsort(-counts, kind="stable")][:MOST_GROUPS].tolist()
    places = {each: place for place, each in enumerate(order)}
    ordered = sorted(largest, key=lambda each: (each == UNKNOWN, places.get(each, len(places)), each))
    return ordered if len(names) <= MOST_GROUPS else [*ordered, OTHERS]


def _group(photos: _Photos, name: str, rows: NDArray[np.bool_], *, is_events_only: bool) -> Group:
    labels, cluster, called, how = photos.labels[rows], photos.cluster[rows], photos.called[rows], photos.how
    n, events = len(labels), int(labels.sum())
    sensitivity = estimate_share(called[labels == 1], cluster[labels == 1], how, lacking="anaemic photos")
    nothing = Estimate(None, None, None, 0, "", _NO_OTHERS)
    auroc = specificity = expected = nothing
    if not is_events_only:
        auroc = estimate_auroc(labels, photos.logits[rows], cluster, how)
        specificity = estimate_share(~called[labels == 0], cluster[labels == 0], how, lacking="non-anaemic photos")
        ratio = observed_expected(labels, photos.scaled[rows], clusters=cluster, level=how.level)
        expected = Estimate.of(ratio, _ROBUST)
    return Group(
        name=name,
        n=n,
        events=events,
        clusters=len(np.unique(cluster)),
        small=_small(labels, cluster, is_events_only=is_events_only),
        auroc=auroc,
        sensitivity=sensitivity,
        specificity=specificity,
        observed_expected=expected,
    )


def _small(labels: NDArray[np.int64], cluster: NDArray[np.int64], *, is_events_only: bool) -> str:
    if len(np.unique(cluster)) < FEWEST:
        return f"fewer than {FEWEST} independent sets of photos"
    classes = {1: "anaemic"} if is_events_only else {1: "anaemic", 0: "non-anaemic"}
    for label, name in classes.items():
        # A set may hold photos of both classes, so the one count is not the rest of the other.
        if len(np.unique(cluster[labels == label])) < FEWEST_EVENTS:
            return f"fewer than {FEWEST_EVENTS} independent sets of {name} photos"
    return ""


def _worst(columns: list[Column], score: str) -> Worst | None:
    found: list[tuple[float, Worst]] = []
    for column in columns:
        large = [group for group in column.groups if not group.small and group.name not in (UNKNOWN, OTHERS)]
        for group in large if len(large) > 1 else ():
            estimate: Estimate = getattr(group, score)
            if estimate.value is not None:
                found.append((estimate.value, Worst(column.name, group.name, estimate)))
    return min(found, key=lambda each: each[0])[1] if found else None


def intervals_of(column: Column) -> list[Interval]:
    """Returns the AUROCs of the groups that are known and large enough, for `sites.across_sites`."""
    return [group.auroc.interval for group in column.groups if not group.small and group.name not in (UNKNOWN, OTHERS)]
