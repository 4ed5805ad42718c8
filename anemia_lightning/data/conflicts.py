"""Copies of one photograph that carry opposite labels: left out, outvoted or refused, and listed."""

from collections.abc import Hashable, Mapping
from typing import Any, Literal, NamedTuple

import pandas as pd

from anemia_lightning.errors import LabelConflictError

ConflictRule = Literal["drop", "majority", "stop", "keep"]

_REASON = "label conflict: copies of one photograph with both labels"


class Resolved(NamedTuple):
    """A manifest in which all photos of a group have one label."""

    manifest: pd.DataFrame
    """The photos that are kept, relabelled where the rule says so, with the index of the manifest before."""
    dropped: pd.DataFrame
    """The photos that are not, with the manifest's columns and reason."""
    conflicts: pd.DataFrame
    """One row for each group with both labels: photo_group, photos, patients, anaemic and non_anaemic (numbers of
    photos before the rule), hemoglobin_min_g_dl, hemoglobin_max_g_dl (NaN where unknown), and outcome: dropped,
    anaemic, non_anaemic or kept."""
    relabelled: list[str]
    """Photo ids whose label the majority changed."""


def resolve_conflicts(manifest: pd.DataFrame, *, rule: ConflictRule) -> Resolved:
    """Makes the labels of each photo group agree.

    Args:
        manifest: Labels are 0 or 1. Two groups of one patient may disagree: haemoglobin changes over time.
        rule: drop leaves out all photos of a group with both labels; majority gives them the label that most of
            them have, and drops the group on a tie; stop refuses the data; keep changes nothing, for who only looks.

    Returns:
        The photos kept and dropped, and all conflicts. A relabelled photo keeps its haemoglobin and severity.

    Raises:
        LabelConflictError: If the rule is stop and any group has both labels.
    """
    conflicts = find_conflicts(manifest)
    if rule == "stop" and len(conflicts):
        raise LabelConflictError([_describe(row) for row in conflicts.to_dict("records")])
    conflicts["outcome"] = "kept" if rule == "keep" else "dropped"
    if rule == "majority":
        for name, other in (("anaemic", "non_anaemic"), ("non_anaemic", "anaemic")):
            conflicts.loc[conflicts[name] > conflicts[other], "outcome"] = name
    outcomes = dict(zip(conflicts["photo_group"], conflicts["outcome"], strict=True))
    outcome = pd.Series(
        [outcomes.get(group, "") for group in manifest["photo_group"]], index=manifest.index, dtype=object
    )
    is_dropped = outcome == "dropped"
    label = manifest["label"].where(~outcome.isin(["anaemic", "non_anaemic"]), (outcome == "anaemic").astype("int64"))
    return Resolved(
        manifest=manifest.assign(label=label)[~is_dropped],
        dropped=manifest[is_dropped].assign(reason=_REASON),
        conflicts=conflicts,
        relabelled=manifest["photo"][(label != manifest["label"]) & ~is_dropped].tolist(),
    )


def find_conflicts(manifest: pd.DataFrame) -> pd.DataFrame:
    """Returns the photo groups with both labels, as `Resolved.conflicts` without the outcome, sorted by group."""
    table = (
        manifest.assign(anaemic=manifest["label"] == 1, non_anaemic=manifest["label"] == 0)
        .groupby("photo_group", sort=True)
        .agg(
            photos=("photo", "size"),
            patients=("patient", "nunique"),
            anaemic=("anaemic", "sum"),
            non_anaemic=("non_anaemic", "sum"),
            hemoglobin_min_g_dl=("hemoglobin_g_dl", "min"),
            hemoglobin_max_g_dl=("hemoglobin_g_dl", "max"),
        )
    )
    return table[(table["anaemic"] > 0) & (table["non_anaemic"] > 0)].reset_index()


def _describe(row: Mapping[Hashable, Any]) -> str:
    low, high = row["hemoglobin_min_g_dl"], row["hemoglobin_max_g_dl"]
    known = f", {low:g} to {high:g} g/dL" if pd.notna(low) else ""
    return f"{row['photo_group']} ({row['anaemic']} anaemic, {row['non_anaemic']} not{known})"
