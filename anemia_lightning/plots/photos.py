"""Grids of photographs, each with a line or two above it."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from anemia_lightning.plots.style import house_style

_CELL_INCHES = 1.6
_GAP_INCHES = 0.08
_TITLE_POINTS = 9
_TITLE_LETTERS = 18


@house_style()
def draw_photo_grid(images: NDArray[np.uint8], titles: Sequence[str], columns: int = 4) -> Figure:
    """Draws photographs in rows.

    Args:
        images: uint8 [N, H, W, 3].
        titles: One for each image, taken literally; a line that is too long keeps its end.
        columns: Photographs in a full row; with more, the letters are too small for a page.
    """
    columns = max(1, min(columns, len(images)))
    rows = max(1, math.ceil(len(images) / columns))
    lines = max((title.count("\n") + 1 for title in titles), default=1)
    head = (lines * 1.4 + 0.8) * _TITLE_POINTS / 72
    width, row_height = columns * _CELL_INCHES, head + _CELL_INCHES * _aspect(images)
    figure = Figure(figsize=(width, rows * row_height))
    if not len(images):
        figure.text(0.5, 0.5, "no photos", ha="center", va="center")
    # One axes for all, in inches: an axes for each photograph takes most of the time.
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    for index, (image, title) in enumerate(zip(images, titles, strict=True)):
        row, column = divmod(index, columns)
        left, top = column * _CELL_INCHES + _GAP_INCHES / 2, row * row_height + head
        side = _CELL_INCHES - _GAP_INCHES
        axes.imshow(image, extent=(left, left + side, top + side * _aspect(images), top))
        words = axes.text(left + side / 2, top - _GAP_INCHES / 3, _shortened(title), fontsize=_TITLE_POINTS)
        words.set(ha="center", va="bottom", parse_math=False)
    axes.set(xlim=(0, width), ylim=(rows * row_height, 0))
    return figure


def _aspect(images: NDArray[np.uint8]) -> float:
    return images.shape[1] / images.shape[2] if len(images) else 1.0


def _shortened(title: str) -> str:
    # A file name that is not UTF-8 reaches us with letters that no font can draw.
    drawable = title.encode("utf-8", errors="backslashreplace").decode("utf-8")
    cut = 1 - _TITLE_LETTERS
    return "\n".join(line if len(line) <= _TITLE_LETTERS else f"…{line[cut:]}" for line in drawable.split("\n"))
