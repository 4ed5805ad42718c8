"""Draws the inner eyelid as a cut-out: what the embedded data source puts into its photographs."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from anemia_lightning.data.colour import lab_to_srgb

DRAWING_VERSION = 6
"""Goes up with every change of a pixel, so that photographs of an older drawing are never reused."""

MIDDLE_A = 33.0
"""The a* between pale and rich tissue, about which lightness and yellowness turn."""

_Field = NDArray[np.floating]

_CHANCE_FROM_FOLD = 0.7
_THINNEST_FORKING_CALIBRE = 1.3


class _Lid(NamedTuple):
    """Where the tissue lies in a photo of H by W pixels."""

    along: _Field
    """[H, W]: position from corner to corner, -1..1."""
    across: _Field
    """[H, W]: position from the fold (-1, up) to the lid's rim (1, down), a little beyond outside."""
    inside_px: _Field
    """[H, W]: height above the nearer edge in pixels, negative outside."""
    middle_px: _Field
    """[W]: row of the tissue's middle line."""
    half_px: _Field
    """[W]: half of the tissue's height."""


def draw_conjunctiva(redness_a: float, vessel_contrast: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Draws one photo of palpebral conjunctiva.

    Args:
        redness_a: Mean CIE a* of the tissue before highlights and camera, about 5..60.
        vessel_contrast: How far vessels stand out, 0 (not at all) to about 1.5.
        rng: Draws shape, size, light, white balance, blur, vessels and texture.

    Returns:
        uint8 [H, W, 4], about 130 by 240; outside of the tissue all four channels are 0.
    """
    lid = _draw_shape(rng)
    lab = _draw_tissue(lid, redness_a, vessel_contrast, rng)
    rgb = _photograph(lab_to_srgb(lab), lid, rng)
    alpha = np.clip(lid.inside_px, 0, 1)[..., None]
    rgba: NDArray[np.uint8] = np.rint(np.clip(np.concatenate([rgb, alpha], axis=-1), 0, 1) * 255).astype(np.uint8)
    rgba[rgba[..., 3] == 0] = 0
    return rgba


def _draw_shape(rng: np.random.Generator) -> _Lid:
    width, height = int(rng.integers(216, 265)), int(rng.integers(118, 143))
    margin = rng.uniform(0.01, 0.08)
    along = ((np.arange(width) + 0.5) / width * 2 - 1 + margin * rng.uniform(-1, 1)) / (1 - margin)
    taper = np.clip(1 - np.abs(along) ** 2.4, 0, 1) ** rng.uniform(0.7, 1.0)
    half = height * rng.uniform(0.31, 0.37) * taper * (1 + rng.uniform(-0.2, 0.2) * along)
    bow = rng.uniform(0.18, 0.28) * (0.55 - along**2) + rng.uniform(-0.13, 0.13) * along
    ripple = 0.012 * np.sin(along * rng.uniform(3, 7) + rng.uniform(0, math.tau))
    middle = height * (0.48 + rng.uniform(-0.03, 0.03) + bow + ripple)
    below = np.arange(height)[:, None] + 0.5 - middle
    return _Lid(
        along=np.broadcast_to(np.clip(along, -1, 1), (height, width)).astype(np.float32),
        across=np.clip(below / np.maximum(half, 1), -1.2, 1.2).astype(np.float32),
        inside_px=(half - np.abs(below)).astype(np.float32),
        middle_px=middle,
        half_px=half,
    )


def _draw_tissue(lid: _Lid, redness_a: float, vessel_contrast: float, rng: np.random.Generator) -> _Field:
    """Returns L*, a*, b* as [H, W, 3]; the mean of a* over the tissue is `redness_a`."""
    shape = lid.along.shape
    vessels = _draw_vessels(lid, rng) * vessel_contrast
    blotches, grain = _draw_noise(shape, 26, 32, rng), _draw_noise(shape, 3, 3, rng)
    glands = _draw_noise(shape, 26, 5, rng) * np.clip(0.25 + 0.75 * lid.across, 0, 1)
    rim = np.exp(-(((lid.across - 0.95) / 0.16) ** 2))
    fold = np.exp(-(((lid.across + 1.05) / 0.40) ** 2))
    corners = lid.along**4
    light = rng.normal(0, 2.5) * lid.along + rng.normal(0, 2.5) * lid.across
    richness = redness_a - MIDDLE_A

    # Less haemoglobin sends more light back, hence the slope of lightness on redness; it levels off where
    # darker tissue of that redness would leave sRGB.
    lightness = np.interp(richness, [-24, 10, 24], [81, 54, 53]) + rng.normal(0, 2) + light
    lightness += 2.0 * blotches + 0.8 * grain + 1.2 * glands - 11 * vessels
    lightness += 5 * rim - 8 * fold - 7 * corners - 4 * lid.across**2
    a = 1.3 * blotches - 0.6 * glands + 7 * vessels - 5 * rim + 4 * fold + 3 * corners
    a += redness_a - a[lid.inside_px > 0].mean()
    b = 18 + 0.28 * richness + rng.normal(0, 1.5) + _draw_noise(shape, 40, 40, rng)
    b += 0.8 * glands + 2 * vessels + 2 * rim + fold
    return np.stack([lightness, a, b], axis=-1)


def _draw_vessels(lid: _Lid, rng: np.random.Generator) -> _Field:
    """Returns how much of each pixel is vessel, [H, W] in about 0..1."""
    height, width = lid.along.shape
    canvas = Image.new("L", (2 * width, 2 * height))
    pen = ImageDraw.Draw(canvas)
    for _ in range(int(rng.integers(11, 19))):
        column = int(width * rng.uniform(0.08, 0.92))
        side = -1 if rng.random() < _CHANCE_FROM_FOLD else 1
        start = (column, lid.middle_px[column] + side * lid.half_px[column])
        heading = -side * math.pi / 2 + rng.normal(0, 0.45)
        length_px = lid.half_px[column] * rng.uniform(0.7, 1.7)
        _draw_branch(pen, start, heading, length_px, rng.uniform(1.2, 3.4), rng)
    sharp = np.asarray(canvas.reduce(2), dtype=np.float32)[..., None] / 255
    # Vessels lie under a film of tissue that spreads their colour.
    return (0.65 * sharp + 0.75 * _blur(sharp, 1.6))[..., 0]


def _draw_branch(  # noqa: PLR0917  a pen stroke is what it is
    pen: ImageDraw.ImageDraw,
    start: tuple[float, float],
    heading: float,
    length_px: float,
    calibre: float,
    rng: np.random.Generator,
) -> None:
    """Draws a random walk that forks into thinner ones; `calibre` counts the canvas's half pixels."""
    steps = max(int(length_px / 3), 3)
    turns = heading + np.cumsum(rng.normal(0, 0.2, steps))
    x = start[0] + np.append(0, np.cumsum(np.cos(turns))) * length_px / steps
    y = start[1] + np.append(0, np.cumsum(np.sin(turns))) * length_px / steps
    if calibre > _THINNEST_FORKING_CALIBRE:
        for fork in rng.integers(1, steps + 1, size=2):
            heading = turns[fork - 1] + rng.choice([-1, 1]) * rng.uniform(0.3, 0.8)
            _draw_branch(pen, (x[fork], y[fork]), heading, length_px * 0.5, calibre * 0.6, rng)
    line = list(zip((2 * x).tolist(), (2 * y).tolist(), strict=True))
    pen.line(line, fill=int(min(100 + 45 * calibre, 230)), width=max(round(calibre), 1), joint="curve")


def _photograph(rgb: _Field, lid: _Lid, rng: np.random.Generator) -> _Field:
    """Adds what wetness and the camera do: highlights, exposure, white balance, blur, noise."""
    shine = _draw_highlights(lid, rng)[..., None]
    rgb = rgb + (0.97 - rgb) * shine
    exposure, balance = rng.normal(1, 0.03), rng.normal(1, 0.006, 3)
    rgb = _blur((rgb * exposure * balance).astype(np.float32), rng.uniform(0.4, 1.1))
    return rgb + 0.006 * rng.standard_normal((*rgb.shape[:2], 1), dtype=np.float32)


def _draw_highlights(lid: _Lid, rng: np.random.Generator) -> _Field:
    """Returns how much of each pixel is mirrored light, [H, W] in 0..0.9."""
    sparkle = 0.7 + 0.5 * _draw_noise(lid.along.shape, 3, 5, rng)
    lamp = rng.uniform(-0.5, 0.5)
    glow = np.zeros_like(lid.along)
    for _ in range(int(rng.integers(2, 6))):
        along, across = lamp + rng.normal(0, 0.12), rng.uniform(-0.1, 0.5)
        spread = rng.uniform(0.02, 0.07), rng.uniform(0.05, 0.13)
        distance = ((lid.along - along) / spread[0]) ** 2 + ((lid.across - across) / spread[1]) ** 2
        glow = np.maximum(glow, np.exp(-distance))
    tears = np.exp(-(((lid.across - 0.8) / 0.06) ** 2) - ((lid.along - lamp) / 0.35) ** 2)
    sheen = 0.10 * np.exp(-(((lid.across - 0.25) / 0.35) ** 2) - ((lid.along - lamp) / 0.4) ** 2)
    shine: _Field = np.maximum(glow, 0.5 * tears) * sparkle + sheen
    return np.clip(shine, 0, 0.9)


def _draw_noise(shape: tuple[int, ...], tall_px: int, wide_px: int, rng: np.random.Generator) -> _Field:
    """Returns smooth noise, [H, W], of about unit variance in grains of the given size."""
    coarse = rng.standard_normal((shape[0] // tall_px + 2, shape[1] // wide_px + 2), dtype=np.float32)
    smooth = Image.fromarray(coarse).resize((shape[1], shape[0]), Image.Resampling.BICUBIC)
    return np.asarray(smooth) * np.float32(1.3)


def _blur(image: _Field, sigma_px: float) -> _Field:
    """Blurs [H, W, C] by a Gaussian that ends after 4 pixels."""
    reach = 4
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma_px) ** 2)
    weights = (weights / weights.sum()).astype(np.float32)
    for axis in (0, 1):
        ends = [(reach, reach) if each == axis else (0, 0) for each in range(3)]
        windows = np.lib.stride_tricks.sliding_window_view(np.pad(image, ends, mode="edge"), len(weights), axis)
        image = windows @ weights
    return image
