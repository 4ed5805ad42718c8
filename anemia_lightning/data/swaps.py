"""Photographs whose tissue, outline and background do not belong together: which of them does a decision follow?"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from anemia_lightning.data.cut_outs import CutOut, Pixels, spread

Colour = tuple[int, int, int]

BACKGROUNDS: dict[str, Colour] = {
    "black background": (0, 0, 0),
    "white background": (255, 255, 255),
    "ImageNet-mean background": (124, 116, 104),
}
"""Where cut-outs come to lie: transparency that a viewer ignores, paper, and what a network takes for nothing."""


def on_background(photo: CutOut, background: Colour) -> Pixels:
    """Returns a photograph's tissue in its own outline on another background, uint8 [S, S, 3]."""
    return photo.compose(photo.colours, background=background)


def painted(photo: CutOut, colour: Colour) -> Pixels:
    """Returns a photograph's outline on its own background, filled with one colour, uint8 [S, S, 3]."""
    return photo.compose(np.broadcast_to(np.array(colour, dtype=np.uint8), photo.colours.shape))


def transplanted(tissue_of: CutOut, outline_of: CutOut) -> Pixels:
    """Returns the tissue of one photograph in the outline of another, on the other's background, uint8 [S, S, 3].

    The tissue's bounding box is stretched to that of the outline. Where the outline reaches beyond, the nearest tissue
    is continued.
    """
    top, bottom, left, right = _box(tissue_of.is_tissue)
    above, below, before, behind = _box(outline_of.is_tissue)
    size = (behind - before, below - above)
    colours = np.zeros_like(tissue_of.colours)
    fitted = cv2.resize(tissue_of.colours[top:bottom, left:right], size, interpolation=cv2.INTER_LINEAR)
    colours[above:below, before:behind] = fitted
    known = np.zeros(colours.shape[:2], dtype=bool)
    known[above:below, before:behind] = True
    return outline_of.compose(spread(colours, known))


def mean_colour(photos: Sequence[CutOut]) -> Colour:
    """Returns the mean colour of the photographs' tissue, each photograph counted once."""
    means = [photo.colours[photo.is_tissue].mean(axis=0) for photo in photos]
    red, green, blue = np.rint(np.mean(means, axis=0)).astype(int).tolist()
    return red, green, blue


def _box(is_tissue: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """Returns first row, last row + 1, first column, last column + 1 of what is True somewhere."""
    rows, columns = np.flatnonzero(is_tissue.any(axis=1)), np.flatnonzero(is_tissue.any(axis=0))
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
