"""The grid shows each photograph once, in order, under its own words."""

from itertools import pairwise

import numpy as np
import pytest
from matplotlib.figure import Figure
from numpy.typing import NDArray

from anemia_lightning.plots import draw_photo_grid, to_pixels, to_png


def _photos(count: int, height: int = 8, width: int = 8) -> NDArray[np.uint8]:
    grey = np.arange(count, dtype=np.uint8)[:, None, None, None]
    return np.broadcast_to(grey, (count, height, width, 3)).copy()


def _titles(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts]


def test_each_photograph_stands_once_in_order_below_its_words() -> None:
    figure = draw_photo_grid(_photos(11), [f"photo {index}" for index in range(11)], columns=4)
    axes = figure.axes[0]
    assert _titles(figure) == [f"photo {index}" for index in range(11)]
    shown = [image.get_array() for image in axes.images]
    assert [int(np.unique(image)[0]) for image in shown if image is not None] == list(range(11))
    boxes = [image.get_window_extent() for image in axes.images]
    places = [(round(box.y1, 3), round(box.x0, 3)) for box in boxes]
    assert places == sorted(places, key=lambda place: (-place[0], place[1]))
    assert [len({x for _, x in places}), len({y for y, _ in places})] == [4, 3]
    for box, text in zip(boxes, axes.texts, strict=True):
        words = text.get_window_extent()
        assert words.y0 >= box.y1
        assert (words.x0 + words.x1) / 2 == pytest.approx((box.x0 + box.x1) / 2, abs=1)


@pytest.mark.parametrize("shape", [(8, 8), (8, 20), (20, 8)])
def test_photographs_keep_their_shape_and_do_not_overlap(shape: tuple[int, int]) -> None:
    figure = draw_photo_grid(_photos(6, *shape), ["one\ntwo"] * 6, columns=3)
    axes = figure.axes[0]
    to_png(figure)
    images = [image.get_window_extent() for image in axes.images]
    boxes = [*images, *(text.get_window_extent() for text in axes.texts)]
    for index, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[index + 1 :])
        assert figure.bbox.containsx(box.x0)
        assert figure.bbox.containsy(box.y1)
    for image in images:
        assert image.height / image.width == pytest.approx(shape[0] / shape[1], rel=0.02)


def test_a_file_name_is_taken_literally_and_keeps_its_end() -> None:
    names = ["$a_b$ \\frac{1}.png", "hospital of Kumasi/Anemic/Image_001.png\nlabel 1", "$"]
    figure = draw_photo_grid(_photos(3), names)
    assert _titles(figure) == ["$a_b$ \\frac{1}.png", "…mic/Image_001.png\nlabel 1", "$"]
    assert to_png(figure)


def test_a_file_name_that_is_not_utf_8_can_be_drawn() -> None:
    figure = draw_photo_grid(_photos(1), ["a\udc80.png"])
    assert _titles(figure) == ["a\\udc80.png"]
    assert to_png(figure)


def test_letters_are_large_enough_for_a_page_and_long_names_do_not_touch() -> None:
    figure = draw_photo_grid(_photos(32), ["a_folder/CP-AnemiC_WHOM_0001.png\nnot anaemic"] * 32)
    figure.draw_without_rendering()
    # A page shows a figure at about 5.5 inches.
    assert all(float(text.get_fontsize()) * 5.5 / figure.get_figwidth() > 7 for text in figure.axes[0].texts)
    boxes = [text.get_window_extent() for text in figure.axes[0].texts[:4]]
    assert all(left.x1 < right.x0 for left, right in pairwise(boxes))


def test_fewer_photographs_than_columns_make_a_narrow_figure() -> None:
    two = draw_photo_grid(_photos(2), ["", ""], columns=8)
    eight = draw_photo_grid(_photos(8), [""] * 8, columns=8)
    assert two.get_figwidth() * 4 == pytest.approx(eight.get_figwidth())


def test_no_photographs_are_said() -> None:
    figure = draw_photo_grid(_photos(0), [])
    assert [text.get_text() for text in figure.texts] == ["no photos"]
    assert to_pixels(figure).ndim == 3
