"""What is kept of a photograph so that copies of it can be found without decoding it again."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from anemia_lightning.data.reading import TISSUE_ALPHA
from anemia_lightning.data.texture import NO_FEATURES, Tissue, local_features

THUMBNAIL_PX = 24
"""Side of the thumbnail by which turned and re-encoded copies are found."""

MOST_TISSUE_PX = 6144
"""Tissue with more pixels is shrunk to so many: so a fingerprint's size and cost do not grow with the photo's."""

MARGIN_PX = 8
"""Empty rim around the tissue at working size."""

_ARRAYS = ("thumbnail", "packed_mask", "packed_rgb", "keypoints", "descriptors")
_PAIRS = ("canvas", "size")
_NO_TISSUE = Tissue(np.zeros((0, 0, 3), np.uint8), np.zeros((0, 0), np.uint8))
_OPAQUE = 255
# A cut-out that went through a format without transparency lies on black or white, give or take the codec's ringing.
_BLACK_UP_TO, _WHITE_FROM = 10, 245


@dataclass(frozen=True, slots=True, eq=False)
class Fingerprint:
    """A photo in some 40 KB: hashes of its pixels, a thumbnail, its tissue at working size, local features.

    Tissue and features serve to find cut-outs alone: where none are sought they are empty, which leaves 2 KB.
    """

    pixels: str
    """SHA-256 of the decoded pixels and their shape, 64 hexadecimal digits."""
    turned_pixels: str
    """The same of one of the photo's eight orientations, whichever is picked: equal for all eight."""
    canvas: tuple[int, int]
    """Height and width of the photo in pixels."""
    thumbnail: NDArray[np.uint8]
    """[24, 24, 3]: red, green and blue, black where there is no tissue."""
    size: tuple[int, int]
    """Height and width of the tissue at working size, its empty margin included."""
    packed_mask: NDArray[np.uint8]
    """Where there is tissue, a bit per pixel."""
    packed_rgb: NDArray[np.uint8]
    """[N, 3]: the tissue's pixels, row by row."""
    keypoints: NDArray[np.float32]
    """[K, 4]: x, y and diameter in pixels of the working size, angle in degrees."""
    descriptors: NDArray[np.uint8]
    """[K, 128]: of unit length when divided by 255."""

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Returns all but the hashes as arrays."""
        held = {name: getattr(self, name) for name in _ARRAYS}
        return held | {name: np.array(getattr(self, name), np.int64) for name in _PAIRS}

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, NDArray[Any]], *, pixels: str, turned_pixels: str) -> "Fingerprint":
        """Returns the fingerprint whose arrays and hashes these are."""
        held: dict[str, Any] = {name: arrays[name] for name in _ARRAYS}
        held |= {name: (int(arrays[name][0]), int(arrays[name][1])) for name in _PAIRS}
        return cls(pixels=pixels, turned_pixels=turned_pixels, **held)

    def unpack(self) -> Tissue:
        """Returns the tissue at working size."""
        height, width = self.size
        mask = np.unpackbits(self.packed_mask, count=height * width).reshape(height, width)
        rgb = np.zeros((height, width, 3), dtype=np.uint8)
        rgb[mask > 0] = self.packed_rgb
        return Tissue(rgb, mask)


def take_fingerprint(rgba: NDArray[np.uint8], *, of_cuts: bool = True) -> Fingerprint:
    """Takes the fingerprint of a photo.

    Args:
        rgba: uint8 [H, W, 4].
        of_cuts: Whether other cut-outs of the photograph are to be found by it.

    Returns:
        The fingerprint; it depends on the pixels alone.
    """
    mask = find_tissue(rgba)
    tissue = _shrink(rgba, mask) if of_cuts else _NO_TISSUE
    keypoints, descriptors = local_features(tissue) if of_cuts else NO_FEATURES
    return Fingerprint(
        pixels=hash_pixels(rgba),
        turned_pixels=hash_pixels(_turn_to_canon(rgba)),
        canvas=(rgba.shape[0], rgba.shape[1]),
        thumbnail=_take_thumbnail(rgba, mask),
        size=(tissue.mask.shape[0], tissue.mask.shape[1]),
        packed_mask=np.packbits(tissue.mask),
        packed_rgb=tissue.rgb[tissue.mask > 0],
        keypoints=keypoints,
        descriptors=descriptors,
    )


def find_tissue(rgba: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Finds the tissue: alpha of at least 128, or of an opaque photo all but a black or white backdrop.

    A backdrop is a black or a white area that reaches the photo's edge; JPEG leaves a cut-out on one.

    Args:
        rgba: uint8 [H, W, 4].

    Returns:
        uint8 [H, W] of 0 and 1; 1 everywhere if nothing is tissue.
    """
    alpha = rgba[..., 3]
    if alpha.min() < _OPAQUE:
        mask: NDArray[np.uint8] = (alpha >= TISSUE_ALPHA).astype(np.uint8)
    else:
        is_black = rgba[..., :3].max(axis=2) <= _BLACK_UP_TO
        is_white = rgba[..., :3].min(axis=2) >= _WHITE_FROM
        mask = (~(_touching_edge(is_black) | _touching_edge(is_white))).astype(np.uint8)
    return mask if mask.any() else np.ones_like(mask)


def _touching_edge(area: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Returns the connected parts of an area that reach the picture's edge."""
    if not (area[[0, -1]].any() or area[:, [0, -1]].any()):
        return np.zeros_like(area)
    parts = cv2.connectedComponents(area.astype(np.uint8), connectivity=4, ltype=cv2.CV_32S)[1]
    edge = np.concatenate([parts[[0, -1]].ravel(), parts[:, [0, -1]].ravel()])
    touching: NDArray[np.bool_] = np.isin(parts, np.unique(edge[edge > 0]))
    return touching


def _shrink(rgba: NDArray[np.uint8], mask: NDArray[np.uint8]) -> Tissue:
    """Cuts to the tissue and shrinks it to at most `MOST_TISSUE_PX` pixels; never enlarges."""
    left, top, width, height = cv2.boundingRect(mask)
    window = np.s_[top : top + height, left : left + width]
    rgb, mask = rgba[window][..., :3], mask[window]
    scale = (MOST_TISSUE_PX / float(mask.sum())) ** 0.5
    if scale < 1:
        # Colours are averaged over tissue alone, so that what lies beside it never bleeds in.
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        weight = cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA)[..., None]
        total = cv2.resize((rgb * mask[..., None]).astype(np.float32), size, interpolation=cv2.INTER_AREA)
        rgb = np.rint(total / np.maximum(weight, 1e-3)).clip(0, 255).astype(np.uint8)
        mask = (weight[..., 0] > 1 - 1e-3).astype(np.uint8)
    rim = (MARGIN_PX, MARGIN_PX, MARGIN_PX, MARGIN_PX, cv2.BORDER_CONSTANT)
    # The outermost pixels are half background wherever the edge was smoothed.
    mask = cv2.erode(cv2.copyMakeBorder(mask, *rim), np.ones((3, 3), np.uint8)).astype(np.uint8)
    return Tissue((cv2.copyMakeBorder(rgb, *rim) * mask[..., None]).astype(np.uint8), mask)


def _take_thumbnail(rgba: NDArray[np.uint8], mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    tissue = (rgba[..., :3] * mask[..., None]).astype(np.float32)
    small = cv2.resize(tissue, (THUMBNAIL_PX, THUMBNAIL_PX), interpolation=cv2.INTER_AREA)
    return np.rint(small).clip(0, 255).astype(np.uint8)


def orientations(picture: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """Returns the eight pictures that flips and right angles make of [H, W, ...], as views."""
    turned = [np.rot90(picture, quarter) for quarter in range(4)]
    return turned + [each[:, ::-1] for each in turned]


def _turn_to_canon(rgba: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Returns the orientation whose pixels come first in the order of bytes, row by row."""
    left = orientations(rgba)
    narrow = min(each.shape[1] for each in left)
    left = [each for each in left if each.shape[1] == narrow]
    for row in range(left[0].shape[0]):
        rows = [each[row].tobytes() for each in left]
        first = min(rows)
        left = [each for each, line in zip(left, rows, strict=True) if line == first]
        if len(left) == 1:
            break
    return left[0]


def hash_pixels(rgba: NDArray[np.uint8]) -> str:
    """Returns the SHA-256 of a photograph's size and pixels, those of its mask among them."""
    digest = hashlib.sha256(repr(rgba.shape).encode())
    digest.update(np.ascontiguousarray(rgba).data)
    return digest.hexdigest()
