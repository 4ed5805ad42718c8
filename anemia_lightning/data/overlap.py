"""Whether a model has met a photograph before: hashes that a checkpoint carries instead of the training photos."""

import hashlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from anemia_lightning.data.splits import independent_groups
from anemia_lightning.errors import StartOverlapError

_GRAINS = ("file", "pixels", "turned")
_LENGTH = 16


def photo_hashes(facts: pd.DataFrame) -> list[str]:
    """Returns what a checkpoint remembers of the photographs that trained and chose its model.

    Each hash is the first 16 hexadecimal digits of SHA-256 over a purpose and a fact. So they cannot be joined with
    lists of file hashes that others keep, and no photograph can be drawn from them. With 100,000 photographs on either
    side, the chance that any is mistaken for another is 5 in a billion.

    Args:
        facts: Columns file_sha256, pixels_sha256 and turned_sha256, "" where unknown.

    Returns:
        Sorted, without repetition.
    """
    return sorted({each for hashes in _hashes(facts) for each in hashes})


def find_overlap(facts: pd.DataFrame, hashes: Collection[str]) -> list[str]:
    """Returns the ids of photographs that a model has met: as the same file, or with the same pixels, even turned.

    Another cut-out of a photograph that the model has met is not found: hashes cannot tell.

    Args:
        facts: Columns photo, file_sha256, pixels_sha256 and turned_sha256.
        hashes: What `photo_hashes` gave for the model.
    """
    met = set(hashes)
    return [photo for photo, own in zip(facts["photo"], _hashes(facts), strict=True) if not met.isdisjoint(own)]


def find_related(manifest: pd.DataFrame, met: Collection[str]) -> list[str]:
    """Returns the ids of the other photos of the patients and photo groups in which a model has met a photo.

    Args:
        manifest: The photos.
        met: Ids of those that it has met.
    """
    return manifest["photo"][_is_together(manifest, met) & ~manifest["photo"].isin(met).to_numpy()].tolist()


@dataclass(frozen=True)
class MetPhotos:
    """What a checkpoint remembers of the photographs that its model has met, as `photo_hashes` gives it."""

    trained: frozenset[str] = frozenset()
    """Of those that trained it, or a model that it was started from."""
    met: frozenset[str] = frozenset()
    """Of these, and of those by which its epoch, its threshold and its calibration were chosen."""

    @classmethod
    def of(cls, *, train: pd.DataFrame, val: pd.DataFrame) -> "MetPhotos":
        """Returns what there is to remember of a fit, from the facts of its photos."""
        trained = frozenset(photo_hashes(train))
        return cls(trained, trained.union(photo_hashes(val)))

    @classmethod
    def carried_by(cls, carried: Mapping[str, Any]) -> "MetPhotos | None":
        """Returns what a checkpoint remembers; None for one that does not say, and may have met any photograph.

        Args:
            carried: What the checkpoint carries of the data.
        """
        if "photo_hashes" not in carried:
            return None
        return cls(frozenset(carried["training_hashes"]), frozenset(carried["photo_hashes"]))

    def to_dict(self) -> dict[str, list[str]]:
        """Returns plain values for a checkpoint."""
        return {"photo_hashes": sorted(self.met), "training_hashes": sorted(self.trained)}

    def __or__(self, other: "MetPhotos") -> "MetPhotos":
        return MetPhotos(self.trained | other.trained, self.met | other.met)


def check_unmet(
    manifest: pd.DataFrame, facts: pd.DataFrame, splits: "pd.Series[str]", *, file: Path, met: MetPhotos
) -> None:
    """Asserts that a model from which a fit starts has met neither what is to judge the fit nor what is to choose it.

    Test photos may neither have trained nor chosen that model, validation photos not have trained it; and none may
    share a patient or a photo group with one that did, be it that the fit itself leaves that one out. What the fit has
    on both sides of its own split anyway, as copies with data.photo_groups=none, is not for its start to answer.

    Args:
        manifest: All photos that could be used.
        facts: What the survey measured, one row per row of `manifest`, in its order.
        splits: The split of each.
        file: What the fit starts from.
        met: What that has met.

    Raises:
        StartOverlapError: If it has.
    """
    for split, hashes, others in (("test", met.met, ("train", "val")), ("val", met.trained, ("train",))):
        own = photo_hashes(facts[splits.isin(others).to_numpy()])
        found = find_overlap(facts, hashes.difference(own))
        stained = manifest["photo"][_is_together(manifest, found) & (splits == split).to_numpy()]
        if len(stained):
            raise StartOverlapError(file, split, stained.tolist(), int((splits == split).sum()))


def _is_together(manifest: pd.DataFrame, photos: Collection[str]) -> NDArray[np.bool_]:
    """Says which rows are of some photos, or must stay together with one of them, directly or through others."""
    groups = independent_groups(manifest)
    return np.isin(groups, groups[manifest["photo"].isin(photos).to_numpy()])


def _hashes(facts: pd.DataFrame) -> Iterator[list[str]]:
    for values in zip(*(facts[f"{grain}_sha256"] for grain in _GRAINS), strict=True):
        yield [_hash(grain, value) for grain, value in zip(_GRAINS, values, strict=True) if value]


def _hash(grain: str, value: str) -> str:
    return hashlib.sha256(f"anemia_lightning overlap {grain} {value}".encode()).hexdigest()[:_LENGTH]
