"""Whether a model has met a photograph before: hashes that a checkpoint carries instead of the training photos."""

import hashlib
from collections.abc import Collection, Iterator

import pandas as pd

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


def _hashes(facts: pd.DataFrame) -> Iterator[list[str]]:
    for values in zip(*(facts[f"{grain}_sha256"] for grain in _GRAINS), strict=True):
        yield [_hash(grain, value) for grain, value in zip(_GRAINS, values, strict=True) if value]


def _hash(grain: str, value: str) -> str:
    return hashlib.sha256(f"anemia_lightning overlap {grain} {value}".encode()).hexdigest()[:_LENGTH]
