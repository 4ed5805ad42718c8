"""From a source to photos that can be split: labelled, surveyed, copies grouped, contradictions resolved."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from anemia_lightning.contracts import GRAINS, GROUP_COLUMNS
from anemia_lightning.data.conflicts import ConflictRule, resolve_conflicts
from anemia_lightning.data.exclusions import set_excluded_aside
from anemia_lightning.data.labels import LabelRule, OnUnlabelled, label_manifest
from anemia_lightning.data.manifest import require_both_classes
from anemia_lightning.data.splits import independent_groups
from anemia_lightning.data.survey import StepProgress, Survey, survey_photos
from anemia_lightning.data.survey_store import stored_survey
from anemia_lightning.errors import UnreadablePhotosError

Grain = Literal["none", "bytes", "pixels", "turned", "recut"]


@dataclass(frozen=True)
class Prepared:
    """The photos of a source, ready to be split."""

    manifest: pd.DataFrame
    """Those that can be used: MANIFEST_COLUMNS, GROUP_COLUMNS and the source's own; `photo_group` is of the chosen
    grain."""
    excluded: pd.DataFrame
    """Those that cannot, with the `reason`."""
    facts: pd.DataFrame
    """What the survey measured, one row per row of `manifest`, in its order."""
    near: pd.DataFrame
    """The nearest pairs of photos that were not taken for copies: first, second (ids), grain, score."""
    labels: dict[str, Any]
    """How the labels came about, as plain values: what `Labelled.record` says of all photos before copies were made to
    agree, and relabelled: the ids of those that got the commoner label of their copies."""

    @property
    def joined(self) -> pd.DataFrame:
        """`manifest` and `facts` side by side."""
        return self.manifest.merge(self.facts, on="photo", validate="one_to_one")


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """Reads a source and makes its photos ready to be split.

    Args:
        source: Returns the manifest.
        labels: How labels follow from haemoglobin.
        grain: What counts as copies of one photograph and stays together.
        on_unlabelled: Whether photos of which the labels say nothing stop everything, or are excluded and listed.
        on_unreadable: Whether photos that cannot be read stop everything, or are excluded and listed.
        on_label_conflict: What becomes of photo groups with contradicting labels.
        store: Folder that keeps surveys; None surveys anew each time.
        threads: Readers of photographs, and processes that compare them.
    """

    source: Callable[[], pd.DataFrame]
    labels: LabelRule = field(default_factory=LabelRule)
    grain: Grain = "recut"
    on_unlabelled: OnUnlabelled = "stop"
    on_unreadable: Literal["stop", "skip"] = "stop"
    on_label_conflict: ConflictRule = "drop"
    store: Path | None = None
    threads: int = 2

    def __call__(self, *, progress: StepProgress | None = None) -> Prepared:
        """Prepares the photos.

        Args:
            progress: Told how far the survey has come.

        Raises:
            ManifestError: If the source, its labels or its photos are at fault.
            UnreadablePhotosError: With all photos that cannot be decoded, if they are to stop everything, or are all.
            LabelConflictError: If copies of one photograph contradict each other, and that is to stop everything.
        """
        usable, set_aside = set_excluded_aside(self.source())
        labelled = label_manifest(usable, self.labels, on_unlabelled=self.on_unlabelled)
        survey = self._survey(labelled.manifest, progress)
        self._check_readable(survey)
        reasons = {photo.photo: f"{photo.code}: {photo.reason}" for photo in survey.unreadable}
        is_readable = ~labelled.manifest["photo"].isin(reasons)
        unreadable = labelled.manifest[~is_readable].assign(reason=lambda rows: rows["photo"].map(reasons))
        grouped = group_copies(labelled.manifest[is_readable].reset_index(drop=True), survey, self.grain)
        resolved = resolve_conflicts(grouped, rule=self.on_label_conflict)
        excluded = pd.concat([set_aside, labelled.unlabelled, unreadable, resolved.dropped], ignore_index=True)
        require_both_classes(resolved.manifest, left_out=excluded)
        return Prepared(
            resolved.manifest.reset_index(drop=True),
            excluded,
            survey.facts[survey.facts["photo"].isin(resolved.manifest["photo"])].reset_index(drop=True),
            _name(survey.copies.near, survey.facts["photo"]),
            {**labelled.record, "relabelled": resolved.relabelled},
        )

    def _check_readable(self, survey: Survey) -> None:
        is_none_left = survey.facts.empty
        if survey.unreadable and (is_none_left or self.on_unreadable == "stop"):
            change = "Replace or remove them, or leave them out with data.on_unreadable=skip"
            if is_none_left:
                change = "Replace them, for no other is left"
            raise UnreadablePhotosError(survey.unreadable, change=change, is_none_left=is_none_left)

    def _survey(self, manifest: pd.DataFrame, progress: StepProgress | None) -> Survey:
        seek_recuts = self.grain == GRAINS[-1]

        def take() -> Survey:
            return survey_photos(
                manifest,
                seek_recuts=seek_recuts,
                threads=self.threads,
                store=self.store,
                progress=progress,
            )

        return take() if self.store is None else stored_survey(self.store, manifest, take, kind=f"recuts={seek_recuts}")


def group_copies(manifest: pd.DataFrame, survey: Survey, grain: Grain) -> pd.DataFrame:
    """Returns a manifest with `GROUP_COLUMNS`, and `photo_group` of the chosen grain.

    Where the source names photo groups itself, these stay together too.
    """
    photos = survey.facts["photo"].to_numpy()
    groups = {column: photos[survey.copies.groups[column].to_numpy()] for column in GROUP_COLUMNS}
    grouped = manifest.assign(**groups)
    if grain != "none":
        joined = independent_groups(grouped, by=("photo_group", f"group_{grain}"))
        grouped["photo_group"] = grouped["photo"].groupby(joined).transform("min")
    return grouped


def _name(pairs: pd.DataFrame, photos: "pd.Series[str]") -> pd.DataFrame:
    """Replaces row numbers by photo ids."""
    ids = photos.to_numpy(dtype=object)
    return pairs.assign(**{side: ids[pairs[side].to_numpy(dtype=int)] for side in ("first", "second")})
