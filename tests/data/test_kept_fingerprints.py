"""Fingerprints come out of their pages as they went in, in any order, and leave the heaps as they were."""

import gc
import sys
from pathlib import Path

import numpy as np
import pytest

from anemia_lightning.data import kept_fingerprints as module
from anemia_lightning.data.fingerprints import THUMBNAIL_PX, Fingerprint, take_fingerprint
from anemia_lightning.data.kept_fingerprints import KeptFingerprints, Picked
from anemia_lightning.data.spool import Spool

ARRAYS = ("thumbnail", "packed_mask", "packed_rgb", "keypoints", "descriptors")
VALUES = ("pixels", "turned_pixels", "canvas", "size")


def draw(rng: np.random.Generator) -> Fingerprint:
    features, tissue = int(rng.integers(0, 5)), int(rng.integers(0, 50))
    return Fingerprint(
        pixels=rng.bytes(32).hex(),
        turned_pixels=rng.bytes(32).hex(),
        canvas=(int(rng.integers(1, 9000)), int(rng.integers(1, 9000))),
        thumbnail=rng.integers(0, 256, (THUMBNAIL_PX, THUMBNAIL_PX, 3), dtype=np.uint8),
        size=(int(rng.integers(1, 90)), int(rng.integers(1, 90))),
        packed_mask=rng.integers(0, 256, tissue, dtype=np.uint8),
        packed_rgb=rng.integers(0, 256, (tissue, 3), dtype=np.uint8),
        keypoints=rng.random((features, 4)).astype(np.float32),
        descriptors=rng.integers(0, 256, (features, 128), dtype=np.uint8),
    )


def assert_same(one: Fingerprint, other: Fingerprint) -> None:
    assert [getattr(one, name) for name in VALUES] == [getattr(other, name) for name in VALUES]
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), strict=True)


def kept(fingerprints: list[Fingerprint], folder: Path) -> KeptFingerprints:
    held = KeptFingerprints(Spool(folder))
    for each in fingerprints:
        held.add(each)
    return held


@pytest.mark.parametrize("page_bytes", [1, 5_000, 1 << 20])
def test_they_are_as_they_were(page_bytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PAGE_BYTES", page_bytes)
    rng = np.random.default_rng(page_bytes)
    drawn = [draw(rng) for _ in range(50)]
    held = kept(drawn, tmp_path)
    assert len(held) == 50
    for one, other in zip(held, drawn, strict=True):
        assert_same(one, other)
    assert_same(held[-1], drawn[-1])
    for one, other in zip(held[10:40:7], drawn[10:40:7], strict=True):
        assert_same(one, other)


@pytest.mark.parametrize("of_cuts", [True, False])
def test_that_of_a_photo_survives(of_cuts: bool, tmp_path: Path) -> None:
    rgba = np.random.default_rng(0).integers(0, 256, (90, 70, 4), dtype=np.uint8)
    taken = take_fingerprint(rgba, of_cuts=of_cuts)
    assert_same(kept([taken], tmp_path)[0], taken)


def test_what_is_kept_cannot_be_changed(tmp_path: Path) -> None:
    held = kept([draw(np.random.default_rng(1))], tmp_path)
    with pytest.raises(ValueError, match="read-only"):
        held[0].thumbnail[0] = 0


def test_one_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(IndexError):
        kept([], tmp_path)[0]


def test_a_thousand_are_few_objects(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    held = KeptFingerprints(Spool(tmp_path))
    gc.collect()
    before = sys.getallocatedblocks()
    for _ in range(1000):
        held.add(draw(rng))
    gc.collect()
    assert sys.getallocatedblocks() - before < 200


def test_those_picked_are_fetched_when_they_are_asked_for() -> None:
    picked = Picked("abcdef", np.array([4, 0, 0, 2]))
    assert list(picked) == ["e", "a", "a", "c"]
    assert list(picked[1:3]) == ["a", "a"]
    assert (picked[-1], len(picked), len(Picked("abc", []))) == ("c", 4, 0)
