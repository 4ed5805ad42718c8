"""Makes cut-outs of a photograph, as careless curators do: each time along another line, at another size."""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from anemia_lightning.benchmarks.photographs import Photograph
from anemia_lightning.data.fingerprints import orientations
from anemia_lightning.randomness import stream

_OFTEN, _SOMETIMES, _RARELY = 0.5, 0.3, 0.1
_MASK_LEVEL = 128
_FEWEST_PX = 1000
_ATTEMPTS = 50
LEAST_DETAIL, LEAST_LIGHT = 2.0, 40
"""Medians of a cut-out's detail and of its green channel, in grey levels, below which it would be a piece of sky or of
night, like any other; 99 in 100 of the cut-outs in CP-AnemiC have more of each."""


class Cut(NamedTuple):
    """A cut-out, and which part of its photograph it shows."""

    rgba: NDArray[np.uint8]
    photograph: str
    footprint: NDArray[np.bool_]
    """[H, W] of the photograph."""


def make_cut(photograph: Photograph, rng: np.random.Generator) -> Cut | None:
    """Makes a cut-out by chance, or none where the photograph shows next to nothing.

    The outline is a crescent of 140 to 235 pixels by 22 to 46 about a line that all cut-outs of a photograph share,
    give or take a sixth of its length along and half of its height across; half the time it is clipped at one
    end. The colours get another brightness, contrast, gamma and white balance half the time, and a JPEG's loss at
    quality 80 to 95 half the time. The cut-out is scaled by 0.78 to 1.28, so that two differ by up to 1.6, turned by
    up to 12 degrees half the time, and mirrored or turned by right angles three times in ten. One in ten loses its
    alpha channel and lies on black or white.
    """
    footprint = _draw_footprint(photograph, rng)
    if footprint is None:
        return None
    rgb = photograph.rgb
    if rng.random() < _OFTEN:
        rgb = _change_colours(rgb, rng)
    rgba = _render(rgb, footprint, rng)
    if rng.random() < _OFTEN:
        rgba[..., :3] = _compress(rgba[..., :3], int(rng.integers(80, 96)))
    if rng.random() < _SOMETIMES:
        rgba = np.ascontiguousarray(orientations(rgba)[int(rng.integers(1, 8))])
    outside = rgba[..., 3] < _MASK_LEVEL
    rgba[outside, :3] = 0
    if rng.random() < _RARELY:
        rgba[outside, :3] = rng.choice([0, 255])
        rgba[..., 3] = 255
    return Cut(rgba, photograph.name, footprint)


def shared_tissue(first: Cut, second: Cut) -> float:
    """Returns which share of the smaller cut-out's tissue the other shows too; 0 for other photographs."""
    if first.photograph != second.photograph:
        return 0.0
    smaller = min(first.footprint.sum(), second.footprint.sum())
    return float((first.footprint & second.footprint).sum() / smaller)


def _draw_footprint(photograph: Photograph, rng: np.random.Generator) -> NDArray[np.bool_] | None:
    """Returns a crescent about the photograph's line, where it shows anything, [H, W]."""
    line = stream("benchmark line", photograph.name)
    bow, lean = line.uniform(0.1, 0.4) * line.choice([-1, 1]), line.uniform(-0.15, 0.15)
    for _ in range(_ATTEMPTS):
        footprint = _draw_crescent(photograph.area.shape, float(bow), lean, rng) & (photograph.area > 0)
        if footprint.sum() >= _FEWEST_PX and _shows_something(photograph, footprint):
            return footprint
    return None


def _draw_crescent(shape: tuple[int, ...], bow: float, lean: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    height, width = shape
    column = np.arange(width) + 0.5
    half_length, thickness = rng.uniform(70, 118), rng.uniform(22, 46)
    along = (column - width / 2) / half_length - rng.uniform(-1, 1) / 3
    across = column / (width / 2) - 1
    middle = height * (0.5 + bow * (0.4 - across**2) + lean * across)
    middle = middle + rng.uniform(-0.5, 0.5) * thickness + rng.uniform(-6, 6) * along
    half_height = thickness / 2 * np.clip(1 - np.abs(along) ** 2.4, 0, 1) ** rng.uniform(0.7, 1.2)
    crescent: NDArray[np.bool_] = np.abs(np.arange(height)[:, None] + 0.5 - middle) < half_height
    if rng.random() < _OFTEN:
        crescent &= along > rng.uniform(-1, -0.4)
    return crescent


def _shows_something(photograph: Photograph, footprint: NDArray[np.bool_]) -> bool:
    detail, light = np.median(photograph.detail[footprint]), np.median(photograph.rgb[footprint, 1])
    return bool(detail >= LEAST_DETAIL and light >= LEAST_LIGHT)


def _change_colours(rgb: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    share = (rgb / 255.0) ** rng.uniform(0.75, 1.33)
    share = (share - 0.5) * rng.uniform(0.8, 1.2) + 0.5
    share = share * rng.uniform(0.75, 1.25) * rng.uniform(0.9, 1.1, 3)
    return np.asarray(np.rint(share.clip(0, 1) * 255), dtype=np.uint8)


def _render(rgb: NDArray[np.uint8], footprint: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Returns the cut-out at its new size and angle, cropped to its outline, [H, W, 4]."""
    height, width = footprint.shape
    turn = rng.uniform(-12, 12) if rng.random() < _OFTEN else 0.0
    scale = float(np.exp(rng.uniform(np.log(0.78), np.log(1.28))))
    side = int(np.ceil(np.hypot(height, width) * scale)) + 2
    to_canvas = cv2.getRotationMatrix2D((width / 2, height / 2), turn, scale)
    to_canvas[:, 2] += side / 2 - width / 2, side / 2 - height / 2
    soft = cv2.GaussianBlur(rgb, (0, 0), 0.45 / scale) if scale < 1 else rgb
    colours = cv2.warpAffine(soft, to_canvas, (side, side), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    alpha = cv2.warpAffine(footprint.astype(np.uint8) * 255, to_canvas, (side, side), flags=cv2.INTER_LINEAR)
    left, top, wide, tall = cv2.boundingRect((alpha >= _MASK_LEVEL).astype(np.uint8))
    window = np.s_[top : top + tall, left : left + wide]
    return np.dstack([colours[window], alpha[window]])


def _compress(rgb: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    coded = cv2.imencode(".jpg", rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), dtype=np.uint8)[..., ::-1]
