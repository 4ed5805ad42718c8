"""What a swap keeps it keeps, and what it changes it changes whole."""

import numpy as np
import pytest
from numpy.typing import NDArray

from anemia_lightning.data.cut_outs import CutOut, cut_out
from anemia_lightning.data.framing import Framing
from anemia_lightning.data.swaps import BACKGROUNDS, mean_colour, on_background, painted, transplanted

FRAMING = Framing(size=64, region="full", resize="stretch", background=(124, 116, 104))
RED, PALE = (200, 80, 70), (210, 160, 150)


def cut(colour: tuple[int, int, int], rows: slice, columns: slice) -> CutOut:
    rgba = np.zeros((64, 64, 4), dtype=np.uint8)
    rgba[rows, columns] = (*colour, 255)
    return cut_out(rgba, FRAMING)


@pytest.fixture
def tall() -> CutOut:
    return cut(RED, slice(4, 60), slice(20, 30))


@pytest.fixture
def wide() -> CutOut:
    return cut(PALE, slice(40, 50), slice(2, 58))


def differs(pixels: NDArray[np.uint8], background: tuple[int, int, int]) -> NDArray[np.bool_]:
    return np.asarray((pixels != np.array(background)).any(axis=-1))


@pytest.mark.parametrize("name", BACKGROUNDS)
def test_another_background_leaves_the_tissue(tall: CutOut, name: str) -> None:
    found = on_background(tall, BACKGROUNDS[name])
    assert np.array_equal(found[tall.is_tissue], tall.image[tall.is_tissue])
    assert not differs(found, BACKGROUNDS[name])[~tall.is_tissue].any()


def test_paint_leaves_the_outline(tall: CutOut) -> None:
    found = painted(tall, (1, 2, 3))
    assert (found[tall.is_tissue] == (1, 2, 3)).all()
    assert np.array_equal(found[~tall.is_tissue], tall.image[~tall.is_tissue])


def test_a_transplant_has_the_tissue_of_one_and_the_outline_of_the_other(tall: CutOut, wide: CutOut) -> None:
    found = transplanted(tall, wide)
    assert np.array_equal(differs(found, FRAMING.background), wide.is_tissue)
    assert (found[wide.is_tissue] == RED).all()


def test_a_transplant_keeps_what_is_left_and_right(wide: CutOut) -> None:
    rgba = np.zeros((64, 64, 4), dtype=np.uint8)
    rgba[10:20, 10:30] = (*RED, 255)
    rgba[10:20, 30:50] = (*PALE, 255)
    found = transplanted(cut_out(rgba, FRAMING), wide)
    assert (found[45, 2:25] == RED).all()
    assert (found[45, 36:58] == PALE).all()


def test_gaps_of_the_tissue_do_not_show_in_another_outline(wide: CutOut) -> None:
    rgba = np.zeros((64, 64, 4), dtype=np.uint8)
    for at in range(10, 50):
        rgba[at : at + 6, at : at + 6] = (*RED, 255)
    found = transplanted(cut_out(rgba, FRAMING), wide)
    assert (found[wide.is_tissue] == RED).all()


def test_a_transplant_onto_itself_changes_nothing(tall: CutOut) -> None:
    assert np.array_equal(transplanted(tall, tall), tall.image)


def test_the_mean_counts_each_photograph_once(tall: CutOut, wide: CutOut) -> None:
    small = cut((0, 0, 0), slice(0, 2), slice(0, 2))
    assert mean_colour([tall]) == RED
    assert mean_colour([tall, small]) == (100, 40, 35)
    assert mean_colour([tall, wide]) == (205, 120, 110)
