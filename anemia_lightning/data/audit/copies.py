"""What copies of one photograph do to data: how many there are, what they contradict, what a split of them leaks."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import gammaln

from anemia_lightning.contracts import GRAINS, GROUP_COLUMNS, names_patient


def count_distinct(manifest: pd.DataFrame) -> dict[str, int]:
    """Returns the number of distinct photographs at each grain by its name, and the number of rows."""
    return {"rows": len(manifest), **{grain: int(manifest[f"group_{grain}"].nunique()) for grain in GRAINS}}


def count_copies(manifest: pd.DataFrame) -> pd.DataFrame:
    """Counts groups of copies at each grain, and what they cross.

    Returns:
        One row per grain: grain; distinct photographs; groups of two photos or more, and the photos in them; largest:
        photos in the largest; within_class, across_classes, across_patients, across_sites: groups; other_hemoglobin:
        groups with more than one haemoglobin; spread_median_g_dl and spread_highest_g_dl: of the haemoglobin within
        these groups, NaN if there are none.
    """
    return pd.DataFrame([_count_grain(manifest, grain) for grain in GRAINS])


def _count_grain(manifest: pd.DataFrame, grain: str) -> dict[str, object]:
    # What is missing counts as no site, and as no patient.
    site = manifest["site"].where(manifest["site"] != "")
    patient = manifest["patient"].where(names_patient(manifest))
    grouped = manifest.assign(site=site, patient=patient).groupby(f"group_{grain}")
    groups = grouped.agg(
        photos=("photo", "size"),
        labels=("label", "nunique"),
        patients=("patient", "nunique"),
        sites=("site", "nunique"),
        lowest=("hemoglobin_g_dl", "min"),
        highest=("hemoglobin_g_dl", "max"),
    )
    several = groups[groups["photos"] > 1]
    spread = several["highest"] - several["lowest"]
    spread = spread[spread > 0]
    return {
        "grain": grain,
        "distinct": len(groups),
        "groups": len(several),
        "photos": int(several["photos"].sum()),
        "largest": int(groups["photos"].max()),
        "within_class": int((several["labels"] == 1).sum()),
        "across_classes": int((several["labels"] > 1).sum()),
        "across_patients": int((several["patients"] > 1).sum()),
        "across_sites": int((several["sites"] > 1).sum()),
        "other_hemoglobin": len(spread),
        "spread_median_g_dl": float(spread.median()),
        "spread_highest_g_dl": float(spread.max()),
    }


def list_copies(manifest: pd.DataFrame) -> pd.DataFrame:
    """Lists the photos of all groups of copies, the most troubling group first.

    Returns:
        One row per photo that has a copy: group (a number from 1), group_size, opposite (the narrowest grain at which
        the photo has a copy with the other label; "" if none), photo, label, patient, site, sex, age_months,
        hemoglobin_g_dl and `GROUP_COLUMNS`. Groups across classes come first, those that contradict each other at the
        narrowest grain before others; then those with the widest spread of haemoglobin; then the largest. Within a
        group too, the photos that contradict each other come first.
    """
    widest = manifest[GROUP_COLUMNS[-1]]
    copies = manifest.assign(opposite=_narrowest_contradiction(manifest), group_size=widest.map(widest.value_counts()))
    copies = copies[copies["group_size"] > 1].copy()
    grouped = copies.groupby(GROUP_COLUMNS[-1])
    hemoglobin = grouped["hemoglobin_g_dl"]
    ranks = {grain: rank for rank, grain in enumerate((*GRAINS, ""))}
    keys = pd.DataFrame(
        {
            "contradiction": grouped["opposite"].agg(lambda grains: min(ranks[grain] for grain in grains)),
            "spread": -(hemoglobin.max() - hemoglobin.min()).fillna(0),
            "size": -grouped.size(),
        }
    )
    order = keys.sort_values(["contradiction", "spread", "size"], kind="stable").index
    copies["group"] = copies[GROUP_COLUMNS[-1]].map({name: rank for rank, name in enumerate(order, start=1)})
    columns = ["group", "group_size", "opposite", "photo", "label", "patient", "site", "sex", "age_months"]
    columns += ["hemoglobin_g_dl", *GROUP_COLUMNS]
    copies["contradiction"] = copies["opposite"].map(ranks)
    return copies.sort_values(["group", "contradiction", "photo"], ignore_index=True)[columns]


def _narrowest_contradiction(manifest: pd.DataFrame) -> "pd.Series[str]":
    opposite = pd.Series("", index=manifest.index, dtype=object)
    for grain in reversed(GRAINS):
        labels = manifest.groupby(f"group_{grain}")["label"]
        opposite[labels.transform("nunique") > 1] = grain
    return opposite


def expect_leak(manifest: pd.DataFrame, *, test_share: float = 0.2) -> pd.DataFrame:
    """Returns what a random split by photo, stratified by label, would leak: the exact expectation, not a simulation.

    A test photo of class c whose group has a further a photos of class 0 and b of class 1 has none of them in training
    with the probability that all of them were dealt to the test split too, which is hypergeometric in either class.

    Args:
        manifest: The photos.
        test_share: The test split's share of the photos of each class; all others train.

    Returns:
        One row per grain: grain, and leaked: the expected share of test photos with a copy in training.
    """
    return pd.DataFrame(
        [{"grain": grain, "leaked": _expect_leak(manifest, f"group_{grain}", test_share)} for grain in GRAINS]
    )


def _expect_leak(manifest: pd.DataFrame, column: str, test_share: float) -> float:
    labels = manifest["label"].to_numpy()
    in_all = np.bincount(labels, minlength=2)
    in_test = np.rint(test_share * in_all).astype(int)
    sizes = pd.crosstab(manifest[column], labels).reindex(columns=[0, 1], fill_value=0).loc[manifest[column]].to_numpy()
    # One of the class's test places is taken by the photo itself.
    own = np.eye(2, dtype=int)[labels]
    alone = np.exp(_log_all_chosen(sizes - own, in_all - own, in_test - own).sum(axis=1))
    weights = (in_test / np.maximum(in_all, 1))[labels]
    return float(np.average(1 - alone, weights=weights)) if weights.any() else 0.0


def _log_all_chosen(
    wanted: NDArray[np.int64], in_all: NDArray[np.int64], chosen: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Returns the log-probability that all `wanted` are among `chosen` drawn from `in_all`: C(N-k, n-k) / C(N, n)."""
    possible = wanted <= chosen
    wanted = np.where(possible, wanted, 0)
    chosen = np.maximum(chosen, 0)
    # In this order the terms of a photo without copies cancel to the last bit.
    log = (gammaln(in_all - wanted + 1) - gammaln(in_all + 1)) - (gammaln(chosen - wanted + 1) - gammaln(chosen + 1))
    return np.where(possible, log, -np.inf)


def measure_leak(manifest: pd.DataFrame, splits: "pd.Series[str]") -> pd.DataFrame:
    """Returns what a split leaks.

    Args:
        manifest: The photos.
        splits: train, val, test or anything else for each row.

    Returns:
        One row for the patients and for each grain: grain ("patient" or its name), crossing (patients or groups that
        stand in more than one of train, val and test), val and test: the shares of their photos with a copy in
        training, NaN for a split without photos.
    """
    columns = {"patient": "patient", **{grain: f"group_{grain}" for grain in GRAINS}}
    return pd.DataFrame(
        [{"grain": name, **_measure_leak(manifest[column], splits)} for name, column in columns.items()]
    )


def _measure_leak(groups: "pd.Series[str]", splits: "pd.Series[str]") -> dict[str, float]:
    used = splits.isin(["train", "val", "test"])
    crossing = splits[used].groupby(groups[used]).nunique() > 1
    met = groups.isin(groups[splits == "train"])
    return {
        "crossing": int(crossing.sum()),
        **{split: float(met[splits == split].mean()) for split in ("val", "test")},
    }
