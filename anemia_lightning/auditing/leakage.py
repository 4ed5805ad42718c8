"""What keeping copies together is worth: the baselines out of fold at every grain, from a random split to re-cuts."""

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd

from anemia_lightning.baselines import out_of_fold
from anemia_lightning.contracts import GRAINS
from anemia_lightning.data.conflicts import resolve_conflicts
from anemia_lightning.data.folds import draw_folds
from anemia_lightning.data.splits import independent_groups
from anemia_lightning.errors import FoldsImpossibleError
from anemia_lightning.metrics.intervals import auroc_interval

PROBES = ("size", "site", "age and sex", "colour statistics, linear", "colour statistics, forest")
"""The baselines of the table: what is no look at the tissue, then colour."""

SHORTCUTS = PROBES[:3]
"""Those that tell nothing of anaemia: what they achieve, a network could achieve for the same reason."""

RANDOM = "random"
"""The grain at which every photo is dealt alone, as in most publications."""

PATIENT = "patient"
"""The grain at which patients stay together and copies do not."""

# Only the train and test parts are used here; folds are the same as those of a network, which needs the third.
_VAL_SHARE = 0.15


def compare_grains(
    described: pd.DataFrame,
    *,
    folds: int,
    repeats: int,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:
    """Scores the baselines out of fold, with copies of one photograph dealt at random and kept together.

    At each grain, photos whose copies of that grain have the other label are left out, since a fold can hold no such
    group fairly. Fitted on all photos outside of the test fold; of several repeats the mean probability counts. The
    intervals are bootstrapped over the widest groups in each row, patients and all copies together, so that rows differ
    by the split alone.

    Args:
        described: Manifest and survey joined, with GROUP_COLUMNS.
        folds: Of the cross-validation.
        repeats: How many times the folds are drawn.
        seed: Of the folds, the models and the bootstrap.
        progress: Called with (folds done, folds in all).

    Returns:
        One row per grain and baseline: grain, photos, groups (that the folds kept whole), dropped (photos with
        contradicting copies), baseline, auroc, low, high. A baseline that lacks its columns has no row, nor has a
        grain at which there are too few groups for the folds, or none that copies do not contradict.
    """
    tables = list(_regroup(described))
    widest = independent_groups(described, by=("patient", f"group_{GRAINS[-1]}"))
    clusters = pd.Series(widest, index=described.index)
    known: dict[tuple[int, ...], pd.DataFrame] = {}
    scored = []
    for position, (grain, table, dropped) in enumerate(tables):
        groups = independent_groups(table)
        key = (*groups.tolist(), *table.index.tolist())
        # Where a wider grain joins nothing more, the same folds would be fitted again.
        if key not in known:
            known[key] = _score(table, clusters[table.index], folds=folds, repeats=repeats, seed=seed)
        scored.append(known[key].assign(grain=grain, photos=len(table), groups=len(np.unique(groups)), dropped=dropped))
        if progress is not None:
            progress(position + 1, len(tables))
    names = ["grain", "photos", "groups", "dropped", "baseline", "auroc", "low", "high"]
    return pd.concat(scored, ignore_index=True)[names]


def _regroup(described: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame, int]]:
    """Yields each grain, the photos with what stays together at it, and how many photos it drops."""
    alone = described["photo"]
    yield RANDOM, described.assign(patient=alone, photo_group=alone), 0
    if described["patient"].duplicated().any():
        yield PATIENT, described.assign(photo_group=alone), 0
    for grain in GRAINS:
        resolved = resolve_conflicts(described.assign(photo_group=described[f"group_{grain}"]), rule="drop")
        # Where copies contradict one another throughout, nothing is left to deal.
        if len(resolved.manifest):
            yield grain, resolved.manifest, len(resolved.dropped)


def _score(table: pd.DataFrame, clusters: "pd.Series[int]", *, folds: int, repeats: int, seed: int) -> pd.DataFrame:
    probabilities = _predict(table, folds=folds, repeats=repeats, seed=seed)
    rows = []
    for name in probabilities:
        interval = auroc_interval(table["label"], probabilities[name], clusters, seed=seed)
        rows.append({"baseline": name, "auroc": interval.value, "low": interval.low, "high": interval.high})
    return pd.DataFrame(rows, columns=["baseline", "auroc", "low", "high"])


def _predict(table: pd.DataFrame, *, folds: int, repeats: int, seed: int) -> pd.DataFrame:
    """Returns the mean out-of-fold probability of each photo, one column per baseline."""
    try:
        drawn = draw_folds(table, folds=folds, repeats=repeats, seed=seed, val_share=_VAL_SHARE)
    except FoldsImpossibleError:
        return pd.DataFrame(index=table.index)
    is_test = [(fold.splits == "test").to_numpy() for fold in drawn]
    places = [(np.flatnonzero(~tested), np.flatnonzero(tested)) for tested in is_test]
    return out_of_fold(table, places, names=PROBES, seed=seed)
