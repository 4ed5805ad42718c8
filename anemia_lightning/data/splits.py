"""Which photos train, which choose the model and which judge it: no patient and no photo group ever on two sides."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from anemia_lightning.errors import SplitImpossibleError, SplitLeakError
from anemia_lightning.randomness import stream

SPLITS = ("train", "val", "test")


def assign_splits(manifest: pd.DataFrame, *, fractions: Mapping[str, float], seed: int) -> pd.Series:
    """Gives every photo of a manifest its split.

    Splits that the manifest brings along are kept, after a check that nothing crosses them; where they lack a
    validation part, it is cut from their training part.

    Args:
        manifest: The photos.
        fractions: The share of photos that each of train, val and test should get.
        seed: Of the draw.

    Returns:
        train, val or test for each row, with the manifest's index.

    Raises:
        SplitLeakError: If given splits share a patient or a photo group.
        SplitImpossibleError: If a split would lack one of the classes.
    """
    groups = independent_groups(manifest)
    splits = manifest["split"].astype(str).copy()
    if (splits == "").all():
        splits[:] = draw_splits(manifest["label"].to_numpy(), groups, fractions=fractions, seed=seed)
    elif not (splits == "val").any():
        splits = _cut_validation(manifest, splits, groups, fractions=fractions, seed=seed)
    check_splits(manifest, splits)
    return splits


def independent_groups(manifest: pd.DataFrame) -> NDArray[np.int64]:
    """Numbers the sets of photos that must stay together, int64 [N].

    Two photos belong together when they share a patient or a photo group, directly or through others.
    """
    patients = pd.factorize(manifest["patient"])[0]
    copies = pd.factorize(manifest["photo_group"])[0] + patients.max() + 1
    size = int(copies.max()) + 1
    links = coo_matrix((np.ones(len(manifest)), (patients, copies)), shape=(size, size))
    components = connected_components(links, directed=False)[1]
    return np.asarray(components[patients], dtype=np.int64)


def draw_splits(
    labels: NDArray[np.int64], groups: NDArray[np.int64], *, fractions: Mapping[str, float], seed: int
) -> NDArray[np.str_]:
    """Deals whole groups to splits so that each comes close to its share of both classes.

    Large groups are dealt first, ties in random order; each goes where its photos are missing most.

    Args:
        labels: 0 or 1, int64 [N].
        groups: Which photos stay together, int64 [N].
        fractions: Split name to share; the shares add up to 1.
        seed: Of the draw.

    Returns:
        The split's name for each photo, str [N].
    """
    names = np.array(list(fractions))
    totals = np.bincount(labels, minlength=2)
    wanted = np.outer(list(fractions.values()), totals).astype(float)
    missing = wanted.copy()
    group_labels = pd.crosstab(groups, labels).reindex(columns=[0, 1], fill_value=0).to_numpy()
    order = stream("split", seed).permutation(len(group_labels))
    order = order[np.argsort(-group_labels[order].sum(axis=1), kind="stable")]
    chosen = np.empty(len(group_labels), dtype=int)
    for group in order:
        need = (missing / np.maximum(wanted, 1e-9)) @ group_labels[group]
        chosen[group] = int(np.argmax(need))
        missing[chosen[group]] -= group_labels[group]
    positions = np.searchsorted(np.unique(groups), groups)
    return np.asarray(names[chosen[positions]])


def check_splits(manifest: pd.DataFrame, splits: pd.Series) -> None:
    """Asserts that nothing crosses a split and that each holds both classes.

    Raises:
        SplitLeakError: If a patient or a photo group stands in more than one split.
        SplitImpossibleError: If a split lacks a class.
    """
    for column in ("patient", "photo_group"):
        spread = splits.groupby(manifest[column]).nunique()
        crossing = spread[spread > 1].index.astype(str).tolist()
        if crossing:
            raise SplitLeakError(column, crossing)
    for name in SPLITS:
        labels = manifest.loc[splits == name, "label"]
        lacking = [label for label in (0, 1) if not (labels == label).any()]
        if lacking:
            raise SplitImpossibleError(name, lacking, patients=_patients_by_label(manifest))


def _patients_by_label(manifest: pd.DataFrame) -> dict[int, int]:
    return {label: manifest.loc[manifest["label"] == label, "patient"].nunique() for label in (0, 1)}


def _cut_validation(
    manifest: pd.DataFrame,
    splits: pd.Series,
    groups: NDArray[np.int64],
    *,
    fractions: Mapping[str, float],
    seed: int,
) -> pd.Series:
    splits = splits.copy()
    pool = (splits == "train").to_numpy()
    together = fractions["train"] + fractions["val"]
    shares = {name: fractions[name] / together for name in ("train", "val")}
    splits[pool] = draw_splits(manifest["label"].to_numpy()[pool], groups[pool], fractions=shares, seed=seed)
    return splits
