"""Photographs that are known to be distinct: pieces of those that libraries carry, and drawn eyelids."""

from importlib import resources
from typing import Literal, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from anemia_lightning.data.sources.drawing import draw_conjunctiva
from anemia_lightning.randomness import stream

Half = Literal["tune", "test"]

HALVES: dict[Half, dict[str, tuple[str, ...]]] = {
    "tune": {
        "skimage.data": (
            "astronaut.png",
            "brick.png",
            "coffee.png",
            "coins.png",
            "grass.png",
            "ihc.png",
            "motorcycle_left.png",
        ),
        "sklearn.datasets.images": ("china.jpg",),
    },
    "test": {
        "skimage.data": (
            "camera.png",
            "cell.png",
            "chelsea.png",
            "gravel.png",
            "hubble_deep_field.jpg",
            "moon.png",
            "retina.jpg",
            "rocket.jpg",
        ),
        "sklearn.datasets.images": ("flower.jpg",),
        "matplotlib": ("mpl-data/sample_data/grace_hopper.jpg",),
    },
}
"""Pictures by package. A picture gives photographs to one half alone."""

_TILE_WIDTH, _TILE_HEIGHT = 240, 120
_LIGHT_SIGMA_PX = 8.0
_OPAQUE = 255


class Photograph(NamedTuple):
    """A photograph of which cut-outs can be made."""

    name: str
    rgb: NDArray[np.uint8]
    """[H, W, 3]"""
    area: NDArray[np.uint8]
    """[H, W]: 1 where a cut-out may show it."""
    detail: NDArray[np.floating]
    """[H, W]: by how many grey levels a pixel and those around it stand out, as a standard deviation."""


def collect_photographs(half: Half, *, drawn: int) -> list[Photograph]:
    """Returns all photographs of one half of the benchmark: pieces of its pictures, and drawn eyelids.

    Pieces are 240 x 120 pixels and do not overlap.

    Args:
        half: tune or test; no picture and no drawing is in both.
        drawn: How many eyelids to draw.
    """
    pieces = [
        piece
        for package, names in HALVES[half].items()
        for name in names
        for piece in _cut_into_pieces(name, _read(package, name))
    ]
    return pieces + [draw_photograph(half, number) for number in range(drawn)]


def draw_photograph(purpose: str, number: int) -> Photograph:
    """Draws an eyelid; equal arguments give the same one."""
    rng = stream("benchmark photograph", purpose, number)
    rgba = draw_conjunctiva(float(rng.uniform(18, 48)), float(rng.uniform(0.3, 1.3)), rng)
    area = (rgba[..., 3] == _OPAQUE).astype(np.uint8)
    return Photograph(f"drawn {number}", rgba[..., :3], area, _detail(rgba[..., :3], area))


def _read(package: str, name: str) -> NDArray[np.uint8]:
    path = resources.files(package.partition(".")[0]).joinpath(*package.split(".")[1:], *name.split("/"))
    with path.open("rb") as file, Image.open(file) as image:
        return np.asarray(image.convert("RGB"))


def _cut_into_pieces(name: str, picture: NDArray[np.uint8]) -> list[Photograph]:
    pieces = []
    for top in range(0, picture.shape[0] - _TILE_HEIGHT + 1, _TILE_HEIGHT):
        for left in range(0, picture.shape[1] - _TILE_WIDTH + 1, _TILE_WIDTH):
            rgb = picture[top : top + _TILE_HEIGHT, left : left + _TILE_WIDTH]
            area = np.ones(rgb.shape[:2], np.uint8)
            pieces.append(Photograph(f"{name} {top} {left}", rgb, area, _detail(rgb, area)))
    return pieces


def _detail(rgb: NDArray[np.uint8], area: NDArray[np.uint8]) -> NDArray[np.floating]:
    weight, green = area.astype(np.float32), rgb[..., 1].astype(np.float32)
    near = np.maximum(_blur(weight), 1e-3)
    detail = (green - _blur(green * weight) / near) * weight
    return np.asarray(np.sqrt(_blur(detail**2) / near))


def _blur(plane: NDArray[np.floating]) -> NDArray[np.floating]:
    return np.asarray(cv2.GaussianBlur(plane, (0, 0), _LIGHT_SIGMA_PX))
