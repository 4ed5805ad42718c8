"""Photographs of other data that a model has met before: they stop its evaluation, are left out of it, or reported."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

import pandas as pd

from anemia_lightning.data.manifest import require_both_classes
from anemia_lightning.data.overlap import MetPhotos, find_overlap, find_related
from anemia_lightning.data.preparation import Prepared
from anemia_lightning.errors import OverlapError

_MET = "met before: it trained or chose the model"
_RELATED = "patient or copy met before: a photo of the same patient, or a copy, trained or chose the model"


def unmet_photos(
    prepared: Prepared, carried: MetPhotos | None, *, on_overlap: Literal["stop", "drop", "report"]
) -> tuple[Prepared, list[str]]:
    """Returns the photos to score, the others being excluded, and what to say of those that the model has met before.

    Args:
        prepared: All photos.
        carried: Those that the model has met, as far as it says.
        on_overlap: What becomes of an evaluation where it has met any.

    Raises:
        OverlapError: If there are any, and that is to stop the evaluation.
        ManifestError: If those that it has not met are of one class.
    """
    if carried is None:
        return prepared, ["The checkpoint does not say which photographs trained it: some of these may have."]
    met = find_overlap(prepared.facts, carried.met)
    if not met:
        return prepared, []
    related = find_related(prepared.manifest, met)
    found = len(prepared.manifest)
    if on_overlap == "stop":
        raise OverlapError(met, found, related=len(related))
    beside = f", beside {len(related)} with a patient or a copy in common" if related else ""
    if on_overlap == "report":
        said = f"{len(met)} of these {found} photos trained or chose the model{beside}: the scores are too good."
        return prepared, [said]
    unmet = _without(dict.fromkeys(met, _MET) | dict.fromkeys(related, _RELATED), prepared)
    require_both_classes(unmet.manifest)
    return unmet, [f"{len(met)} photos that trained or chose the model were left out{beside}."]


def _without(reasons: Mapping[str, str], prepared: Prepared) -> Prepared:
    """Returns the photos with those among the excluded for which there is a reason."""
    is_left_out = prepared.manifest["photo"].isin(reasons)
    left_out = prepared.manifest[is_left_out].assign(reason=lambda rows: rows["photo"].map(reasons))
    return replace(
        prepared,
        manifest=prepared.manifest[~is_left_out].reset_index(drop=True),
        excluded=pd.concat([prepared.excluded, left_out], ignore_index=True),
        facts=prepared.facts[~prepared.facts["photo"].isin(reasons)].reset_index(drop=True),
    )
