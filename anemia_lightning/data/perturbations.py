"""Changes of light, sharpness and file that a photograph may meet between the eyelid and the network.

Functions of pixels alone, each deterministic, at the network's size. Their levels are in the units that `Perturbation`
names. Beside what training may show (`data.augmentation`, by default brightness and contrast within 20 %) none of them
is met in training.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from anemia_lightning.data.colour import daylight_gains, encoded_light, linear_light
from anemia_lightning.data.cut_outs import Pixels

_HIGHEST = 255


@dataclass(frozen=True)
class Perturbation:
    """One change of a photograph, at one level."""

    name: str
    level: float
    """In `unit`."""
    unit: str
    apply: Callable[[Pixels], Pixels]
    """From uint8 [S, S, 3] to the same."""


def brighten(pixels: Pixels, factor: float) -> Pixels:
    """Multiplies the encoded values and cuts at white, rounding down, as torchvision's `adjust_brightness` does."""
    # In single precision, as torchvision, so that both round alike.
    levels: NDArray[np.float32] = pixels.astype(np.float32) * np.float32(factor)
    return levels.clip(0, _HIGHEST).astype(np.uint8)


def relight(pixels: Pixels, kelvin: float) -> Pixels:
    """Shows a photograph as if daylight of another colour had met a camera balanced for 6500 K (D65).

    Each channel of the linear light is multiplied, in sRGB's primaries, which stand for the camera's own; see
    `colour.daylight_gains`.

    Args:
        pixels: uint8 [S, S, 3].
        kelvin: Correlated colour temperature of the light, 4000 to 25000 K; lower makes the photograph yellower.
    """
    light = linear_light(np.arange(_HIGHEST + 1, dtype=np.uint8))[:, None] * daylight_gains(kelvin)
    table = np.rint(encoded_light(light).clip(0, 1) * _HIGHEST).astype(np.uint8)
    return np.stack([table[pixels[..., channel], channel] for channel in range(3)], axis=-1)


def recompress(pixels: Pixels, quality: float) -> Pixels:
    """Writes a photograph as JPEG and reads it again.

    Args:
        pixels: uint8 [S, S, 3].
        quality: Of libjpeg, 1 to 95; colours at half the resolution, as cameras and messengers keep them.
    """
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=int(quality), subsampling="4:2:0")
    with Image.open(file) as image:
        return np.array(image)


def blur(pixels: Pixels, sigma_px: float) -> Pixels:
    """Blurs by a Gaussian with a standard deviation in pixels of the network's square; mirrored beyond the border."""
    return np.asarray(cv2.GaussianBlur(pixels, (0, 0), sigma_px, borderType=cv2.BORDER_REFLECT), dtype=np.uint8)


def shrink(pixels: Pixels, share: float) -> Pixels:
    """Resizes to a share of each side and back, bilinearly with antialiasing: what a low resolution leaves."""
    height, width = pixels.shape[:2]
    small = (max(1, round(width * share)), max(1, round(height * share)))
    image = Image.fromarray(pixels).resize(small, Image.Resampling.BILINEAR)
    return np.array(image.resize((width, height), Image.Resampling.BILINEAR))


def _levels(name: str, unit: str, apply: Callable[[Pixels, float], Pixels], *levels: float) -> tuple[Perturbation, ...]:
    return tuple(Perturbation(name, level, unit, partial(_at, apply, level)) for level in levels)


def _at(apply: Callable[[Pixels, float], Pixels], level: float, pixels: Pixels) -> Pixels:
    return apply(pixels, level)


PERTURBATIONS = (
    # Within and beyond the 20 % of the protocol's training.
    *_levels("brightness", "factor", brighten, 0.7, 0.85, 1.15, 1.3),
    # D50, D55 and D75 of CIE 15:2004; 9300 K, a white point of displays, is as far from D65 in mired as D50.
    *_levels("white balance", "K", relight, 5000, 5500, 7500, 9300),
    # A camera's, a messenger's, and below what ImageNet-C begins with (25; Hendrycks & Dietterich, ICLR 2019).
    *_levels("JPEG", "quality", recompress, 90, 50, 20),
    # The first two severities of ImageNet-C's Gaussian blur, at its size of 224 pixels.
    *_levels("blur", "px", blur, 1, 2),
    *_levels("resize", "of each side", shrink, 0.5, 0.25),
)
"""What robustness is measured by, in groups of rising level."""
