"""What a fingerprint keeps, and what it does not depend on."""

import io

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from anemia_lightning.data.fingerprints import (
    MOST_TISSUE_PX,
    Fingerprint,
    find_tissue,
    orientations,
    take_fingerprint,
)
from anemia_lightning.data.sources.drawing import draw_conjunctiva
from anemia_lightning.data.texture import MOST_FEATURES, Features, mirror_features
from anemia_lightning.randomness import stream

Pixels = NDArray[np.uint8]

PACKED = ("packed_mask", "packed_rgb", "keypoints", "descriptors")


def draw(number: int) -> Pixels:
    return draw_conjunctiva(33.0, 0.8, stream("a fingerprint's photo", number))


def same(one: Fingerprint, other: Fingerprint) -> bool:
    texts, arrays = ("pixels", "turned_pixels", "canvas", "size"), ("thumbnail", *PACKED)
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in (*texts, *arrays))


def count_bytes(fingerprint: Fingerprint) -> int:
    return sum(getattr(fingerprint, name).nbytes for name in ("thumbnail", *PACKED))


def test_the_same_pixels_give_the_same_fingerprint() -> None:
    assert same(take_fingerprint(draw(0)), take_fingerprint(draw(0).copy()))
    assert not same(take_fingerprint(draw(0)), take_fingerprint(draw(1)))


@pytest.mark.parametrize("seed", range(20))
def test_turned_pixels_are_one_for_all_orientations_and_for_nothing_else(seed: int) -> None:
    rng = np.random.default_rng(seed)
    # Few values make rows alike, so that the choice among orientations goes deep.
    shape = tuple(int(side) for side in rng.integers(1, 7, 2))
    rgba = rng.integers(0, 2, (*shape, 4), dtype=np.uint8) * np.uint8(255)
    turned = [np.ascontiguousarray(each) for each in orientations(rgba)]
    assert len({take_fingerprint(each).turned_pixels for each in turned}) == 1
    assert len({take_fingerprint(each).pixels for each in turned}) == len({(e.shape, e.tobytes()) for e in turned})
    other = rgba.copy()
    other[0, 0, 0] ^= 1
    assert take_fingerprint(other).turned_pixels != take_fingerprint(rgba).turned_pixels


def test_the_shape_belongs_to_the_pixels() -> None:
    rgba = np.zeros((2, 8, 4), np.uint8)
    assert take_fingerprint(rgba).pixels != take_fingerprint(rgba.reshape(4, 4, 4)).pixels


def test_a_large_photo_has_no_larger_fingerprint() -> None:
    small = draw(0)
    large = np.asarray(Image.fromarray(small).resize((2400, 1300), Image.Resampling.BICUBIC))
    fingerprint = take_fingerprint(large)
    assert fingerprint.canvas == (1300, 2400)
    assert 0.8 * MOST_TISSUE_PX < len(fingerprint.packed_rgb) <= MOST_TISSUE_PX
    assert len(fingerprint.keypoints) <= MOST_FEATURES
    assert count_bytes(fingerprint) < 45_000


def test_tissue_comes_back_as_it_was() -> None:
    tissue = take_fingerprint(draw(2)).unpack()
    assert tissue.rgb[tissue.mask == 0].max() == 0
    assert tissue.rgb[tissue.mask == 1].mean() > 50
    assert not tissue.mask[[0, -1]].any()
    assert not tissue.mask[:, [0, -1]].any()


def test_no_feature_lies_beside_the_tissue() -> None:
    for number in range(5):
        fingerprint = take_fingerprint(draw(number))
        x, y = np.rint(fingerprint.keypoints[:, :2]).astype(int).T
        assert len(x) > 20
        assert fingerprint.unpack().mask[y, x].all()


@pytest.mark.parametrize("backdrop", [0, 255])
def test_a_cut_out_without_alpha_is_told_from_its_backdrop(backdrop: int) -> None:
    rgba = draw(3)
    wanted = rgba[..., 3] >= 128
    flat = np.where(wanted[..., None], rgba[..., :3], np.uint8(backdrop))
    file = io.BytesIO()
    Image.fromarray(flat).save(file, "JPEG", quality=90)
    opaque = np.dstack([np.asarray(Image.open(file)), np.full(wanted.shape, 255, np.uint8)])
    found = find_tissue(opaque) > 0
    assert (found & wanted).sum() / (found | wanted).sum() > 0.9


def test_a_dark_pupil_is_no_backdrop() -> None:
    rgba = np.full((60, 90, 4), 160, np.uint8)
    rgba[..., 3] = 255
    rgba[20:40, 30:60, :3] = 0
    assert find_tissue(rgba).all()


@pytest.mark.parametrize("alpha", [0, 127])
def test_where_nothing_is_tissue_everything_is(alpha: int) -> None:
    rgba = np.full((5, 6, 4), alpha, np.uint8)
    assert find_tissue(rgba).all()
    assert take_fingerprint(rgba).keypoints.shape == (0, 4)


def test_mirrored_features_are_those_of_the_mirrored_picture() -> None:
    """SIFT's descriptor is a grid of histograms: mirroring the picture permutes its 128 numbers."""
    rng = np.random.default_rng(0)
    picture = cv2.GaussianBlur(rng.integers(0, 256, (160, 200), dtype=np.uint8), (0, 0), 2.5)
    picture = cv2.normalize(picture, None, 0, 255, cv2.NORM_MINMAX)  # type: ignore[call-overload]
    sift = cv2.SIFT.create()
    agreements = []
    for angle in (0.0, 30.0, 200.0):
        here = cv2.KeyPoint(100.0, 80.0, 12.0, angle)
        there = cv2.KeyPoint(100.0, 79.0, 12.0, (360 - angle) % 360)
        plain = sift.compute(picture, [here])[1]
        mirrored = sift.compute(np.ascontiguousarray(picture[::-1]), [there])[1]
        turned = mirror_features(Features(np.zeros((1, 4), np.float32), plain.astype(np.uint8))).descriptors
        agreements.append(np.corrcoef(turned[0].astype(float), mirrored[0])[0, 1])
    assert min(agreements) > 0.97
