"""Colour of tissue in CIE 1976 L*a*b*, where a* is the redness that anaemia takes away."""

import numpy as np
from numpy.typing import NDArray

from anemia_lightning.data.reading import TISSUE_ALPHA
from anemia_lightning.randomness import stream

# IEC 61966-2-1 (sRGB primaries, D65 white, 2 degree observer), the matrix as printed there to four digits.
_XYZ_FROM_RGB = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
_RGB_FROM_XYZ = np.linalg.inv(_XYZ_FROM_RGB)
# The row sums, not a tabulated D65: so grey has a* = b* = 0 exactly.
_WHITE = _XYZ_FROM_RGB.sum(axis=1)
_CIE_DELTA = 6 / 29
# Where the straight foot of the transfer curve ends, as encoded and as linear value.
_ENCODED_FOOT, _LINEAR_FOOT = 0.04045, 0.0031308
# CIE 15:2004, equations 3.3 and 3.4: x of daylight as a cubic in 1 / K, highest power first.
_YELLOWER = (-4.6070e9, 2.9678e6, 0.09911e3, 0.244063)
_BLUER = (-2.0064e9, 1.9018e6, 0.24748e3, 0.237040)
_BLUER_FROM_KELVIN = 7000
_D65_KELVIN = 6500
# The CIE's formula still counts in the kelvin of 1964, with another second radiation constant.
_TODAYS_KELVIN = 1.4388 / 1.4380
_QUANTILES = (10, 25, 50, 75, 90)
_SUMMARIES = ("mean", "sd", *(f"p{percent}" for percent in _QUANTILES))
_SPREAD_MEASURES = ("lightness", "a", "b", "erythema")
_SHARES = ("red_share", "green_share")
_MOST_PIXELS = 50_000

COLOUR_MEASURES = (
    *(f"{measure}_{summary}" for measure in _SPREAD_MEASURES for summary in _SUMMARIES),
    *(f"{share}_{summary}" for share in _SHARES for summary in ("mean", "sd")),
)
"""What `tissue_colour` measures: mean, standard deviation (sd) and the percentiles p10, p25, p50, p75 and p90 over
the tissue's pixels of L*, a*, b* and the erythema index; mean and standard deviation of red's and of green's share
in r + g + b."""


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
    relative = linear_light(rgb) @ _XYZ_FROM_RGB.T / _WHITE
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
    return encoded_light((relative * _WHITE) @ _RGB_FROM_XYZ.T)


def linear_light(rgb: NDArray[np.uint8] | NDArray[np.floating]) -> NDArray[np.float64]:
    """Undoes sRGB's transfer curve: uint8 in 0..255 or floats in 0..1, [...], to light in 0..1, [...]."""
    if rgb.dtype == np.uint8:
        return _LINEAR_OF_BYTE[rgb]
    return _undo_transfer(rgb.astype(np.float64))


def encoded_light(linear: NDArray[np.float64]) -> NDArray[np.float64]:
    """Applies sRGB's transfer curve, the inverse of `linear_light`: [...], to values in 0..1 where the light is."""
    bright = 1.055 * np.maximum(linear, _LINEAR_FOOT) ** (1 / 2.4) - 0.055
    return np.where(linear > _LINEAR_FOOT, bright, linear * 12.92)


def daylight_gains(kelvin: float) -> NDArray[np.float64]:
    """Returns how a camera balanced for D65 renders grey in daylight of another colour: red, green, blue, float64 [3].

    Factors on linear light of the luminance of D65. The chromaticity of daylight by its correlated colour temperature
    is that of CIE 15:2004, section 3.1, with the temperature counted on today's scale (so D50 is 5000 K here).

    Args:
        kelvin: Correlated colour temperature, 4000 to 25000 K; lower is yellower.

    Example:
        >>> daylight_gains(5000).round(2).tolist()
        [1.18, 0.98, 0.72]
    """
    return _rgb_of_daylight(kelvin) / _rgb_of_daylight(_D65_KELVIN)


def erythema_index(rgb: NDArray[np.uint8] | NDArray[np.floating]) -> NDArray[np.float64]:
    """Returns the erythema index of sRGB colours: log10 of red over green, both as linear light.

    Haemoglobin absorbs green light and hardly any red, so the difference of the two optical densities grows with the
    blood in the tissue, and the lamp's strength cancels (Dawson et al., Phys Med Biol 1980;25:695, with a
    spectrometer; Collings et al., PLoS One 2016;11:e0153286, with photographs of the conjunctiva). A channel below
    half of one of the 255 steps counts as that.

    Args:
        rgb: [..., 3]; uint8 in 0..255, or floats in 0..1.

    Returns:
        [...]: 0 for grey, positive for red, at most 3.9 in size.

    Example:
        >>> erythema_index(np.array([[200, 90, 80], [90, 90, 90]], dtype=np.uint8)).round(3).tolist()
        [0.752, 0.0]
    """
    log_light = np.log10(np.maximum(linear_light(rgb), 0.5 / 255 / 12.92))
    index: NDArray[np.float64] = log_light[..., 0] - log_light[..., 1]
    return index


def tissue_colour(rgba: NDArray[np.uint8]) -> dict[str, float]:
    """Measures the colour of the tissue in a photo, and of nothing else in it.

    Of a tissue of more than 50,000 pixels as many are taken, one from each of 50,000 equal stretches along the rows.

    Args:
        rgba: uint8 [H, W, 4]; tissue is where alpha is at least 128, so all of an opaque photo.

    Returns:
        The measures named in `COLOUR_MEASURES`; all of them NaN where there is no tissue.
    """
    places = np.flatnonzero(rgba[..., 3] >= TISSUE_ALPHA)
    if not len(places):
        return dict.fromkeys(COLOUR_MEASURES, np.nan)
    if len(places) > _MOST_PIXELS:
        # Even steps could fall on the same columns in every row.
        within = stream("tissue pixels").random(_MOST_PIXELS)
        places = places[((np.arange(_MOST_PIXELS) + within) * (len(places) / _MOST_PIXELS)).astype(np.int64)]
    rgb = rgba.reshape(-1, 4)[places, :3]
    spread = np.column_stack([srgb_to_lab(rgb), erythema_index(rgb)])
    # Black has no hue: counting it as grey keeps the shares defined.
    lifted = rgb.astype(np.float64) + (rgb.sum(axis=1, keepdims=True) == 0)
    shares = lifted[:, :2] / lifted.sum(axis=1, keepdims=True)
    summaries = np.vstack([_mean_and_sd(spread), np.percentile(spread, _QUANTILES, axis=0)])
    measured = np.concatenate([summaries.T.ravel(), _mean_and_sd(shares).T.ravel()])
    return dict(zip(COLOUR_MEASURES, measured.tolist(), strict=True))


def _mean_and_sd(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.stack([values.mean(axis=0), values.std(axis=0)])


def _rgb_of_daylight(kelvin: float) -> NDArray[np.float64]:
    inverse = 1 / (kelvin * _TODAYS_KELVIN)
    cubic = _YELLOWER if kelvin <= _BLUER_FROM_KELVIN else _BLUER
    x = float(np.polyval(cubic, inverse))
    y = -3.0 * x * x + 2.870 * x - 0.275
    xyz: NDArray[np.float64] = np.array([x / y, 1.0, (1 - x - y) / y])
    rgb: NDArray[np.float64] = _RGB_FROM_XYZ @ xyz
    return rgb


def _undo_transfer(encoded: NDArray[np.float64]) -> NDArray[np.float64]:
    bright = ((np.maximum(encoded, _ENCODED_FOOT) + 0.055) / 1.055) ** 2.4
    return np.where(encoded > _ENCODED_FOOT, bright, encoded / 12.92)


_LINEAR_OF_BYTE = _undo_transfer(np.arange(256) / 255)
