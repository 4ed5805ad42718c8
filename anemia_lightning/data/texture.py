"""The texture of tissue: what light, camera and outline leave unchanged, and its local features."""

from typing import NamedTuple, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

MOST_FEATURES = 96

TEXTURE_SIGMA_PX = 5.0
"""Waves much longer than this are light, which another cut-out may show differently; shorter ones are tissue."""

_Plane = NDArray[np.float32]

_SPREAD_SIGMAS = 2.0
_LARGEST = 3.0
# What the camera's noise and 8 bits do to a flat area, as variance in grey levels.
_NOISE = np.float32(1.0)
_HUE_LEVELS = 128.0
_HUE_OFFSET = 8.0

# Much lower than Lowe's: tissue is smooth, and the geometry of what matches is checked afterwards.
_CONTRAST, _EDGE, _LAYERS = 0.005, 20.0, 4
_GREY, _CONTRAST_LEVELS = 128, 40


class Tissue(NamedTuple):
    """Tissue with an empty margin around it."""

    rgb: NDArray[np.uint8]
    """[H, W, 3]; 0 beside the tissue."""
    mask: NDArray[np.uint8]
    """[H, W]: 1 where there is tissue."""


class Features(NamedTuple):
    """Local features of a picture."""

    keypoints: NDArray[np.float32]
    """[K, 4]: x, y and diameter in pixels, angle in degrees."""
    descriptors: NDArray[np.uint8]
    """[K, 128], of unit length when divided by 255."""


class HasFeatures(Protocol):
    """What has local features, alone or among other things."""

    @property
    def keypoints(self) -> NDArray[np.float32]:
        """As those of `Features`."""

    @property
    def descriptors(self) -> NDArray[np.uint8]:
        """As those of `Features`."""


NO_FEATURES = Features(np.zeros((0, 4), np.float32), np.zeros((0, 128), np.uint8))


def light(rgb: NDArray[np.uint8]) -> _Plane:
    """Returns the green channel, in which blood stands out most, [H, W] in 0..255."""
    return rgb[..., 1].astype(np.float32)


def hue(rgb: NDArray[np.uint8]) -> _Plane:
    """Returns the logarithm of green over blue, [H, W], scaled to about grey levels.

    Brightness, contrast, gamma and white balance do no more than scale and shift it.
    """
    levels = np.log(rgb[..., 1:].astype(np.float32) + np.float32(_HUE_OFFSET)) * np.float32(_HUE_LEVELS)
    plane: _Plane = levels[..., 0] - levels[..., 1]
    return plane


def standardise(plane: _Plane, mask: NDArray[np.uint8], sigma_px: float) -> _Plane:
    """Returns a plane against the mean and the standard deviation of its surroundings, [H, W] in -3..3.

    Both are taken over tissue alone and beside it the result is 0, so the outline leaves no trace.
    """
    weight = mask.astype(np.float32)
    # Where no tissue is near, both means are 0 over next to nothing, and the weight makes them 0.
    near = np.maximum(_blur(weight, sigma_px), np.float32(1e-3))
    wide = np.maximum(_blur(weight, _SPREAD_SIGMAS * sigma_px), np.float32(1e-3))
    detail = (plane - _blur(plane * weight, sigma_px) / near) * weight
    spread = np.sqrt(_blur(detail * detail, _SPREAD_SIGMAS * sigma_px) / wide + _NOISE)
    standardised: _Plane = np.clip(detail / spread, -_LARGEST, _LARGEST)
    return standardised


def local_features(tissue: Tissue) -> Features:
    """Finds the tissue's strongest local features.

    They are SIFT's (Lowe 2004) of the standardised texture, with the square root of each share as Arandjelovic
    & Zisserman (2012) have it, so that the Euclidean distance compares them well.

    Returns:
        At most 96, and none where all is smooth.
    """
    texture = standardise(light(tissue.rgb), tissue.mask, TEXTURE_SIGMA_PX)
    picture = np.rint(_GREY + _CONTRAST_LEVELS * texture).clip(0, 255).astype(np.uint8)
    sift = cv2.SIFT.create(contrastThreshold=_CONTRAST, edgeThreshold=_EDGE, nOctaveLayers=_LAYERS)
    found, shares = sift.detectAndCompute(picture, tissue.mask)
    if not found:
        return NO_FEATURES
    keypoints = np.array([(*point.pt, point.size, point.angle, point.response) for point in found], np.float32)
    strongest = np.lexsort((*keypoints.T[:4], -keypoints[:, 4]))[:MOST_FEATURES]
    shares = shares[strongest] / np.maximum(shares[strongest].sum(axis=1, keepdims=True), 1)
    return Features(keypoints[strongest, :4], np.rint(np.sqrt(shares) * 255).astype(np.uint8))


_PLACES = np.arange(128).reshape(4, 4, 8)
_MIRRORED_PLACES = _PLACES[::-1, :, (-np.arange(8)) % 8].ravel()


def mirror_features(features: HasFeatures) -> Features:
    """Returns the features that the picture has when it is turned upside down about y = 0."""
    upside_down = np.array([1, -1, 1, -1], np.float32)
    return Features(features.keypoints * upside_down, features.descriptors[:, _MIRRORED_PLACES])


def _blur(plane: NDArray[np.floating], sigma_px: float) -> _Plane:
    return cv2.GaussianBlur(plane, (0, 0), sigma_px).astype(np.float32, copy=False)
