"""Figures come out the same whatever the reader's settings, and never through pyplot."""

import subprocess
import sys
from io import BytesIO

import matplotlib as mpl
import numpy as np
from PIL import Image

from anemia_lightning.plots import draw_roc, house_style, new_figure, to_pixels, to_png


def test_a_figure_becomes_png_and_pixels_of_one_size() -> None:
    figure = new_figure(3.0)
    pixels = to_pixels(figure)
    assert pixels.dtype == np.uint8
    png = to_png(figure)
    with Image.open(BytesIO(png)) as image:
        assert image.format == "PNG"
        assert (image.height, image.width, 3) == pixels.shape
    np.testing.assert_array_equal(to_pixels(png), pixels)


def test_the_same_figure_gives_the_same_bytes() -> None:
    labels, probabilities = [0, 1, 1], [0.2, 0.1, 0.9]
    first, second = (to_png(draw_roc(labels, probabilities)) for _ in range(2))
    assert first == second


def test_the_readers_settings_neither_matter_nor_change() -> None:
    with mpl.rc_context({"axes.facecolor": "black", "font.size": 30}):
        with house_style():
            assert mpl.rcParams["axes.facecolor"] == "white"
            assert mpl.rcParams["axes.spines.top"] is False
        assert mpl.rcParams["axes.facecolor"] == "black"
        assert mpl.rcParams["font.size"] == 30


def test_letters_that_the_font_lacks_make_no_noise() -> None:
    figure = new_figure(3.0)
    figure.text(0.5, 0.5, "漢字")
    assert to_png(figure)


def test_pyplot_is_never_loaded() -> None:
    code = (
        "import sys; sys.path[:0] = sys.argv[1:]; import anemia_lightning.plots as plots; "
        "plots.to_png(plots.draw_roc([0, 1], [0.1, 0.9])); assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, *sys.path], check=True)
