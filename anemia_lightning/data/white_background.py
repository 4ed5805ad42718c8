"""Cut-outs on white paper: tells the white around the tissue from the tissue where a file has no transparency."""

import cv2
import numpy as np
from numpy.typing import NDArray

NEAR_WHITE = 240
"""From this value on in all three channels, a pixel may be white background; JPEG turns pure white into as little."""

BORDER_SHARE = 0.7
"""A photograph whose outermost pixels are near-white to this share is a cut-out on white.

Cut-outs with transparency, as CP-AnemiC publishes them tightly cropped, have 74 % to 99 % of their border transparent;
a photograph of an eye shows skin there.
"""

WHITE_NOTE = "an opaque white background, taken as transparent"
"""What is noted of a photograph whose white background was made transparent."""

_OPAQUE = 255


def is_on_white(rgba: NDArray[np.uint8]) -> bool:
    """Says whether a photograph is a cut-out on an opaque white background.

    Args:
        rgba: uint8 [H, W, 4].

    Returns:
        True if it has no transparency, at least `BORDER_SHARE` of its outermost pixels are near-white, and not all
        of its pixels are.
    """
    if (rgba[..., 3] != _OPAQUE).any():
        return False
    border = np.concatenate([rgba[0], rgba[-1], rgba[:, 0], rgba[:, -1]])
    return bool(_is_near_white(border).mean() >= BORDER_SHARE and not _is_near_white(rgba).all())


def clear_white_background(rgba: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Makes the white around a cut-out transparent.

    Background is what is near-white and connected to the border (over edges, not corners), and the pixels around it,
    in which white and tissue are mixed. White inside the tissue, such as the reflection of a lamp, stays.

    Args:
        rgba: uint8 [H, W, 4].

    Returns:
        The same colours with alpha 0 in the background and 255 elsewhere; the photograph itself if it is not on white
        (see `is_on_white`), or nothing of it would remain.
    """
    if not is_on_white(rgba):
        return rgba
    # A frame of white joins all that touches the border into one region.
    framed = np.pad(_is_near_white(rgba), 1, constant_values=True).astype(np.uint8)
    regions = cv2.connectedComponents(framed, connectivity=4)[1]
    around = (regions == regions[0, 0]).astype(np.uint8)
    tissue = cv2.dilate(around, np.ones((3, 3), np.uint8))[1:-1, 1:-1] == 0
    if not tissue.any():
        return rgba
    cleared = rgba.copy()
    cleared[..., 3] = np.where(tissue, _OPAQUE, 0)
    return cleared


def _is_near_white(pixels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    return np.asarray((pixels[..., :3] >= NEAR_WHITE).all(axis=-1))
