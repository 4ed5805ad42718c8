"""Colour of tissue in CIE 1976 L*a*b*, where a* is the redness that anaemia takes away."""

import numpy as np
from numpy.typing import NDArray

# IEC 61966-2-1 (sRGB primaries, D65 white, 2 degree observer), the matrix as printed there to four digits.
_XYZ_FROM_RGB = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
_RGB_FROM_XYZ = np.linalg.inv(_XYZ_FROM_RGB)
# The row sums, not a tabulated D65: so grey has a* = b* = 0 exactly.
_WHITE = _XYZ_FROM_RGB.sum(axis=1)
_CIE_DELTA = 6 / 29
# Where the straight foot of the transfer curve ends, as encoded and as linear value.
_ENCODED_FOOT, _LINEAR_FOOT = 0.04045, 0.0031308
_OPAQUE = 128


def srgb_to_lab(rgb: NDArray[np.uint8] | NDArray[np.floating]) -> NDArray[np.float64]:
    """Converts sRGB colours to CIE 1976 L*a*b* under D65.

    The transfer curve and primaries are those of IEC 61966-2-1, the rest is CIE 15:2004, section 8.2.1.

    Args:
        rgb: [..., 3]; uint8 in 0..255, or floats in 0..1.

    Returns:
        [..., 3]: L* in 0..100, a* (green to red) and b* (blue to yellow) in about -110..110.

    Example:
        >>> srgb_to_lab(np.array([255, 0, 0], dtype=np.uint8)).round(1).tolist()
        [53.2, 80.1, 67.2]
    """
    encoded = np.asarray(rgb, dtype=np.float64)
    if np.issubdtype(np.asarray(rgb).dtype, np.integer):
        encoded = encoded / 255
    bright = ((np.maximum(encoded, _ENCODED_FOOT) + 0.055) / 1.055) ** 2.4
    linear = np.where(encoded > _ENCODED_FOOT, bright, encoded / 12.92)
    relative = linear @ _XYZ_FROM_RGB.T / _WHITE
    f = np.where(relative > _CIE_DELTA**3, np.cbrt(relative), relative / (3 * _CIE_DELTA**2) + 4 / 29)
    x, y, z = f[..., 0], f[..., 1], f[..., 2]
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def lab_to_srgb(lab: NDArray[np.floating]) -> NDArray[np.float64]:
    """Converts CIE 1976 L*a*b* colours under D65 to sRGB: the inverse of `srgb_to_lab`.

    Args:
        lab: [..., 3]: L*, a*, b*.

    Returns:
        [..., 3]; values outside 0..1 are colours that sRGB does not have, they are not clipped.

    Example:
        >>> lab_to_srgb(srgb_to_lab(np.array([0.8, 0.4, 0.3]))).round(6).tolist()
        [0.8, 0.4, 0.3]
    """
    y = (lab[..., 0] + 16) / 116
    f = np.stack([y + lab[..., 1] / 500, y, y - lab[..., 2] / 200], axis=-1)
    relative = np.where(f > _CIE_DELTA, f * f * f, 3 * _CIE_DELTA**2 * (f - 4 / 29))
    linear: NDArray[np.float64] = (relative * _WHITE) @ _RGB_FROM_XYZ.T
    bright = 1.055 * np.maximum(linear, _LINEAR_FOOT) ** (1 / 2.4) - 0.055
    return np.where(linear > _LINEAR_FOOT, bright, linear * 12.92)


def tissue_colour(rgba: NDArray[np.uint8]) -> dict[str, float]:
    """Measures the colour of the tissue in a photo.

    Args:
        rgba: uint8 [H, W, 4]; tissue is where alpha is at least 128, so all of an opaque photo.

    Returns:
        Mean and standard deviation of L*, a* and b* over the tissue's pixels, under the keys
        `lightness_mean`, `a_mean`, `b_mean`, `lightness_sd`, `a_sd`, `b_sd`; NaN where there is no tissue.
    """
    lab = srgb_to_lab(rgba[..., :3][rgba[..., 3] >= _OPAQUE])
    measured = np.full(6, np.nan) if lab.size == 0 else np.concatenate([lab.mean(axis=0), lab.std(axis=0)])
    keys = ("lightness_mean", "a_mean", "b_mean", "lightness_sd", "a_sd", "b_sd")
    return dict(zip(keys, measured.tolist(), strict=True))
