"""The look that all figures share, and figures as PNG bytes or pixels, without pyplot's global state."""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.rcsetup import cycler
from numpy.typing import NDArray
from PIL import Image

# Okabe & Ito's palette (2008), told apart with any colour vision.
BLUE, VERMILION, GREEN, ORANGE, PURPLE = "#0072B2", "#D55E00", "#009E73", "#E69F00", "#CC79A7"
GREY = "#666666"

WIDTH_INCHES = 6.4
_DOTS_PER_INCH = 150

_LOOK = {
    "axes.axisbelow": True,
    "axes.edgecolor": GREY,
    "axes.grid": True,
    "axes.labelsize": 9,
    "axes.prop_cycle": cycler(color=[BLUE, VERMILION, GREEN, ORANGE, PURPLE]),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 9,
    "figure.facecolor": "white",
    "font.size": 9,
    "grid.color": "#E5E5E5",
    "grid.linewidth": 0.6,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "xtick.color": GREY,
    "xtick.labelcolor": "black",
    "ytick.color": GREY,
    "ytick.labelcolor": "black",
}


@contextmanager
def house_style() -> Iterator[None]:
    """Gives what is drawn inside the house's look, whatever the reader's own matplotlib settings are."""
    with matplotlib.style.context(["default", _LOOK]):
        yield


def new_figure(height_inches: float, width_inches: float = WIDTH_INCHES) -> Figure:
    """Returns an empty figure that no display and no pyplot knows of."""
    return Figure(figsize=(width_inches, height_inches), layout="constrained")


def new_axes(height_inches: float = 4.6) -> Axes:
    """Returns the axes of a new figure."""
    return new_figure(height_inches, 5.2).add_subplot()


def to_png(drawing: Figure | Axes) -> bytes:
    """Returns a figure, or the one that axes stand on, as PNG: the same bytes whenever it is drawn."""
    figure = drawing if isinstance(drawing, Figure) else drawing.figure
    assert isinstance(figure, Figure)
    buffer = io.BytesIO()
    with house_style(), _any_script():
        figure.savefig(buffer, format="png", dpi=_DOTS_PER_INCH, metadata={"Software": None})
    return buffer.getvalue()


def to_pixels(drawing: Figure | Axes | bytes) -> NDArray[np.uint8]:
    """Returns a figure, or the one that axes stand on, or what `to_png` made of it, as pixels, uint8 [H, W, 3]."""
    png = drawing if isinstance(drawing, bytes) else to_png(drawing)
    with Image.open(io.BytesIO(png)) as image:
        return np.asarray(image.convert("RGB"))


@contextmanager
def _any_script() -> Iterator[None]:
    """Draws a box for a letter that the font lacks, as file names may hold, without a warning for each."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from font")
        yield
