"""Cross-validation: folds that keep patients and copies of photographs together, dealt at random or one per site."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from anemia_lightning.data.split_file import EXCLUDED
from anemia_lightning.data.splits import check_classes, check_separate, draw_splits, independent_groups
from anemia_lightning.errors import (
    Fault,
    FoldsImpossibleError,
    LeaveOneValueOutError,
    ManifestError,
    SplitImpossibleError,
    UnknownNameError,
)
from anemia_lightning.randomness import stream

_NAME_LENGTH = 60


class Fold(NamedTuple):
    """One division of the photos: some are held out as the test split, the others train and choose the model."""

    repeat: int
    """Which shuffle of the photos, from 0."""
    number: int
    """Which fold of the repeat, from 0."""
    name: str
    """Unique among the folds, and fit for the name of a file: "repeat-0_fold-3", "site-Harbour"."""
    splits: "pd.Series[str]"
    """train, val, test or excluded for each photo, with the manifest's index."""
    reason: str = ""
    """Why some photos are excluded; "" where none is."""

    @property
    def dropped(self) -> int:
        """How many photos are excluded from this fold."""
        return int((self.splits == EXCLUDED).sum())


class LeftOut(NamedTuple):
    """The folds in which each value of a column is the test split once."""

    folds: list[Fold]
    skipped: dict[str, str]
    """Values that could not be the test split, each with the reason."""


def draw_folds(manifest: pd.DataFrame, *, folds: int, repeats: int, seed: int, val_share: float) -> list[Fold]:
    """Deals the photos to folds, grouped and stratified, each of which is the test split once.

    Patients and photo groups stay whole, in the test splits as in the validation part that is cut from the other
    folds' photos. Both are dealt by `draw_splits`, so both classes are in each split of each fold.

    Args:
        manifest: The photos; the order of its rows changes nothing.
        folds: How many, 2 or more.
        repeats: How many times the photos are shuffled and dealt anew, 1 or more.
        seed: Of all draws.
        val_share: The share of the photos outside of the test split that goes to validation, in (0, 1).

    Returns:
        `folds` folds of the first repeat, then those of the second, and so on.

    Raises:
        FoldsImpossibleError: If too few independent groups hold photos of one class, with the largest number of
            folds that is possible.
    """
    assert folds > 1, "with one fold there is nothing to train on"
    labels = manifest["label"].to_numpy(np.int64)
    groups = independent_groups(manifest)
    parts = _parts(folds)
    _require_enough_groups(labels, groups, folds=folds)
    shares = {str(part): 1 / parts for part in range(parts)}
    drawn = []
    for repeat in range(repeats):
        dealt = draw_splits(labels, groups, fractions=shares, seed=_seed("folds", seed, repeat)).astype(np.int64)
        for number in range(folds):
            held_out = np.where(dealt % folds == number, "test", "")
            splits = _complete(manifest, held_out, groups, val_share, seed=_seed("val", seed, repeat, number))
            check_classes(manifest, splits)
            drawn.append(Fold(repeat, number, f"repeat-{repeat}_fold-{number}", splits))
    return drawn


def leave_one_value_out(manifest: pd.DataFrame, column: str, *, seed: int, val_share: float) -> LeftOut:
    """Makes the photos of each value of a column the test split once, as in leave-one-site-out.

    A patient or a copy of a photograph may stand at several sites. Such photos are excluded from the fold that tests
    on their site, whose training photos would give them away; the folds of other sites train on them.

    Args:
        manifest: The photos; the order of its rows changes nothing.
        column: A text column of the manifest, such as site or source.
        seed: Of the draws of the validation parts.
        val_share: The share of the photos outside of the test fold that goes to validation, in (0, 1).

    Returns:
        One fold for each value, in alphabetical order, and why the others have none: they would lack a class.

    Raises:
        UnknownNameError: If there is no such column.
        ManifestError: If a photo has no value in it.
        LeaveOneValueOutError: If no value can be left out.
    """
    values = _values(manifest, column)
    groups = independent_groups(manifest)
    reason = f"a patient or a photograph that another {column} has too"
    folds: list[Fold] = []
    skipped: dict[str, str] = {}
    for value, name in _file_names(column, sorted(values.unique())):
        is_inside = (values == value).to_numpy()
        is_shared = is_inside & np.isin(groups, groups[~is_inside])
        held_out = np.where(is_shared, EXCLUDED, np.where(is_inside, "test", ""))
        splits = _complete(manifest, held_out, groups, val_share, seed=_seed("val", seed, column, value))
        try:
            check_classes(manifest, splits)
        except SplitImpossibleError as error:
            skipped[value] = error.found + (f", {is_shared.sum()} excluded as {reason}" if is_shared.any() else "")
        else:
            folds.append(Fold(0, len(folds), name, splits, reason if is_shared.any() else ""))
    if not folds:
        raise LeaveOneValueOutError(column, skipped)
    return LeftOut(folds, skipped)


def _parts(folds: int) -> int:
    """Returns into how many parts with both classes the photos must be dealt to make so many folds.

    Outside of the test split there must be both classes for train and for val. With three folds and more they are
    found in two other folds; of two folds each consists of two parts.
    """
    return folds if folds > 2 else 4  # noqa: PLR2004


def _require_enough_groups(labels: NDArray[np.int64], groups: NDArray[np.int64], *, folds: int) -> None:
    # As many groups as parts hold each class: groups of both classes first, then pairs of one of either.
    holding = {label: len(np.unique(groups[labels == label])) for label in (0, 1)}
    scarcer = min(holding, key=lambda label: holding[label])
    needed, most = _parts(folds), holding[scarcer]
    if most < needed:
        possible = most if _parts(most) <= most else 0
        raise FoldsImpossibleError(folds, label=scarcer, groups=most, needed=needed, most=possible)


def _complete(
    manifest: pd.DataFrame, held_out: NDArray[np.str_], groups: NDArray[np.int64], val_share: float, *, seed: int
) -> "pd.Series[str]":
    """Deals the photos that are in no split yet to train and val, and asserts that nothing crosses."""
    splits = pd.Series(held_out, index=manifest.index, dtype=object)
    pool = held_out == ""
    if pool.any():
        within = np.unique(groups[pool], return_inverse=True)[1]
        labels = manifest["label"].to_numpy(np.int64)[pool]
        shares = {"train": 1 - val_share, "val": val_share}
        splits[pool] = draw_splits(labels, within, fractions=shares, seed=seed)
    check_separate(manifest, splits)
    return splits


def _seed(*ingredients: str | int) -> int:
    return int(stream(*ingredients).integers(2**63))


def _values(manifest: pd.DataFrame, column: str) -> "pd.Series[str]":
    if column not in manifest:
        known = [str(each) for each in manifest]
        raise UnknownNameError("a column of the manifest to leave out by", column, known)
    values = manifest[column]
    unknown = manifest["photo"][values.isna() | (values == "")]
    if len(unknown):
        raise ManifestError([Fault(f"photos without a {column}, by which they are to be left out", unknown.tolist())])
    return values.astype(str)


def _file_names(column: str, values: list[str]) -> Iterator[tuple[str, str]]:
    """Yields each value and the name of its fold, which no other has even where upper and lower case are one."""
    taken: Counter[str] = Counter()
    for value in values:
        letters = unicodedata.normalize("NFKD", value).encode("ascii", "ignore").decode()
        plain = re.sub("[^A-Za-z0-9.]+", "-", letters).strip("-.") or "x"
        name = f"{column}-{plain}"[:_NAME_LENGTH]
        taken[name.casefold()] += 1
        count = taken[name.casefold()]
        yield value, name if count == 1 else f"{name}_{count}"
