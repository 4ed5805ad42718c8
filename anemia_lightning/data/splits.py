"""Which photos train, which choose the model and which judge it: no patient and no photo group ever on two sides."""

from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from anemia_lightning.data.split_file import EXCLUDED, read_splits
from anemia_lightning.errors import Fault, ManifestError, SplitImpossibleError, SplitLeakError
from anemia_lightning.randomness import stream

SPLITS = ("train", "val", "test")
_TINY = 1e-9


def assign_splits(
    manifest: pd.DataFrame, *, fractions: Mapping[str, float], seed: int, file: Path | None = None
) -> "pd.Series[str]":
    """Gives every photo of a manifest its split.

    Splits that a file or else the manifest brings along are kept, after a check that nothing crosses them. Where they
    lack validation or test photos, these are cut from the training photos, in the proportions of `fractions`.

    Args:
        manifest: The photos; the order of its rows changes nothing.
        fractions: The share of photos that each of train, val and test should get.
        seed: Of the draw.
        file: A table of photos and splits that takes the place of the manifest's splits; see `read_splits`.

    Returns:
        train, val or test for each row, or excluded where the file says so, with the manifest's index.

    Raises:
        SourceError: If the file cannot be read.
        SplitFileError: If it does not place every photo, or places others.
        ManifestError: If some photos bring a split along and others do not.
        SplitLeakError: If given splits share a patient or a photo group.
        SplitImpossibleError: If a split would lack one of the classes.
    """
    splits = read_splits(file, manifest["photo"]) if file else manifest["split"].astype(str)
    given = [name for name in SPLITS if (splits == name).any()]
    unplaced = manifest["photo"][splits == ""]
    if given and len(unplaced):
        raise ManifestError([Fault("photos without a split, beside others that have one", unplaced.tolist())])
    check_separate(manifest, splits)
    drawn = [name for name in SPLITS if name == "train" or name not in given]
    if len(drawn) > 1:
        splits = _cut(manifest, splits, {name: fractions[name] for name in drawn}, seed=seed)
    check_classes(manifest, splits, given=(*given, "train") if given else ())
    return splits


def independent_groups(
    manifest: pd.DataFrame, *, by: tuple[str, str] = ("patient", "photo_group")
) -> NDArray[np.int64]:
    """Numbers the sets of photos that must stay together, int64 [N].

    Two photos belong together when they share a patient or a photo group, directly or through others. Sets are
    numbered in the order of their first photo ids, whatever the order of the rows.

    Args:
        manifest: The photos.
        by: Two columns, each of which names what stays together.
    """
    patients = pd.factorize(manifest[by[0]])[0]
    copies = pd.factorize(manifest[by[1]])[0] + patients.max() + 1
    size = int(copies.max()) + 1
    links = coo_matrix((np.ones(len(manifest)), (patients, copies)), shape=(size, size))
    components = connected_components(links, directed=False)[1]
    by_photo = np.argsort(manifest["photo"].to_numpy(), kind="stable")
    groups = np.empty(len(manifest), dtype=np.int64)
    groups[by_photo] = pd.factorize(components[patients][by_photo])[0]
    return groups


def draw_splits(
    labels: NDArray[np.int64], groups: NDArray[np.int64], *, fractions: Mapping[str, float], seed: int
) -> NDArray[np.str_]:
    """Deals whole groups to splits so that each comes close to its share of both classes.

    Large groups are dealt first, ties in random order. Each goes where its photos are missing most, unless the
    groups after it would then no longer suffice to give every split both classes.

    Whole groups permit no exact shares. Where each group is of one class, a split gets less than one group (the largest
    of the class) too many of its photos, and less than S - 1 too few, S being the number of splits; less than one if
    its share is the smallest. Where groups hold both classes, the sum of (got - wanted)² / wanted over splits and
    classes is at most (1/f - 1) times the sum over classes of the sum of squares of the groups' photos over their sum;
    f is the smallest share. Only where the last groups must give a split a class that it lacks can it come to more.

    Args:
        labels: 0 or 1, int64 [N].
        groups: Which photos stay together, int64 [N].
        fractions: Split name to share; the shares add up to 1.
        seed: Of the draw.

    Returns:
        The split's name for each photo, str [N].
    """
    names = np.array(list(fractions))
    wanted = np.outer(list(fractions.values()), np.bincount(labels, minlength=2))
    photos = np.zeros((groups.max() + 1, 2), dtype=np.int64)
    np.add.at(photos, (groups, labels), 1)
    order = stream("split", seed).permutation(len(photos))
    order = order[np.argsort(-photos[order].sum(axis=1), kind="stable")]
    return np.asarray(names[_deal(photos, order, wanted)[groups]])


def _deal(photos: NDArray[np.int64], order: NDArray[np.int64], wanted: NDArray[np.float64]) -> NDArray[np.int64]:
    """Returns the split of each group; `photos` is groups by classes, `wanted` splits by classes."""
    chosen = np.empty(len(photos), dtype=np.int64)
    missing = wanted.copy()
    lacking = np.ones(wanted.shape, dtype=bool)
    holds = photos > 0
    left = Counter(map(tuple, holds.tolist()))
    for group in order:
        left[tuple(holds[group].tolist())] -= 1
        need = (missing / np.maximum(wanted, _TINY)) @ photos[group]
        chosen[group] = split = _choose(need, holds[group], left, lacking) if lacking.any() else int(np.argmax(need))
        missing[split] -= photos[group]
        lacking[split] &= ~holds[group]
    return chosen


def _choose(
    need: NDArray[np.float64],
    holds: NDArray[np.bool_],
    left: Mapping[tuple[bool, ...], int],
    lacking: NDArray[np.bool_],
) -> int:
    """Returns the neediest split with which every split can still get both classes, or else the neediest."""
    ranked = np.argsort(-need, kind="stable")
    for split in ranked:
        lacking_then = lacking.copy()
        lacking_then[split] &= ~holds
        if _suffices(left, lacking_then):
            return int(split)
    return int(ranked[0])


def _suffices(left: Mapping[tuple[bool, ...], int], lacking: NDArray[np.bool_]) -> bool:
    """Returns whether the groups that are left can give every split the classes that it lacks.

    Args:
        left: How many groups hold (label 0, label 1).
        lacking: Splits by classes.
    """
    # A group of both classes serves best where both are lacking, and else as a group of either class.
    doubly = min(int(lacking.all(axis=1).sum()), left[True, True])
    needs = lacking.sum(axis=0) - doubly
    short = sum(max(0, needs[label] - left[label == 0, label == 1]) for label in (0, 1))
    return bool(short <= left[True, True] - doubly)


def check_separate(manifest: pd.DataFrame, splits: "pd.Series[str]") -> None:
    """Asserts that nothing crosses a split; excluded photos are in none.

    Raises:
        SplitLeakError: If a patient or a photo group stands in more than one split.
    """
    placed = splits[splits != EXCLUDED]
    for column in ("patient", "photo_group"):
        spread = placed.groupby(manifest[column]).nunique()
        crossing = spread[spread > 1].index.astype(str).tolist()
        if crossing:
            raise SplitLeakError(column, crossing)


def check_classes(manifest: pd.DataFrame, splits: "pd.Series[str]", *, given: Collection[str] = ()) -> None:
    """Asserts that each of train, val and test has both classes.

    Args:
        manifest: The photos.
        splits: The split of each.
        given: The splits that were not drawn, which takes another remedy.

    Raises:
        SplitImpossibleError: If a split lacks a class.
    """
    placed = manifest[splits != EXCLUDED]
    for name in SPLITS:
        labels = manifest["label"][splits == name]
        lacking = [label for label in (0, 1) if not (labels == label).any()]
        if lacking:
            patients = {label: placed["patient"][placed["label"] == label].nunique() for label in (0, 1)}
            raise SplitImpossibleError(name, lacking, patients=patients, is_given=name in given)


def _cut(
    manifest: pd.DataFrame, splits: "pd.Series[str]", fractions: Mapping[str, float], *, seed: int
) -> "pd.Series[str]":
    """Deals the photos that are in no split or in train to the splits of `fractions`."""
    splits = splits.copy()
    pool = splits.isin(["", "train"]).to_numpy()
    if pool.any():
        shares = {name: fraction / sum(fractions.values()) for name, fraction in fractions.items()}
        groups = np.unique(independent_groups(manifest)[pool], return_inverse=True)[1]
        splits[pool] = draw_splits(manifest["label"].to_numpy()[pool], groups, fractions=shares, seed=seed)
    return splits
