import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from anemia_lightning.data.sources.drawing import draw_conjunctiva
from anemia_lightning.data.white_background import NEAR_WHITE, clear_white_background, is_on_white
from anemia_lightning.randomness import stream

SQUARE = np.ones((3, 3), np.bool_)


def draw(seed: int) -> NDArray[np.uint8]:
    return draw_conjunctiva(33.0, 0.75, np.random.default_rng(seed))


def on_white(cut_out: NDArray[np.uint8], white: int = 255) -> NDArray[np.uint8]:
    """Returns a cut-out as it looks on opaque white."""
    alpha = cut_out[..., 3:] / 255
    mixed = np.rint(cut_out[..., :3] * alpha + white * (1 - alpha)).astype(np.uint8)
    return np.dstack([mixed, np.full(mixed.shape[:2], 255, np.uint8)])


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("white", [255, 244])
def test_the_tissue_of_a_cut_out_is_found_again(seed: int, white: int) -> None:
    cut_out = draw(seed)
    cleared = clear_white_background(on_white(cut_out, white))
    tissue, found = cut_out[..., 3] >= 128, cleared[..., 3] == 255
    assert not (found & ~ndimage.binary_dilation(tissue, SQUARE)).any()
    # All that is lost is the rim, where tissue and white are mixed.
    assert not (ndimage.binary_erosion(tissue, SQUARE, iterations=3) & ~found).any()
    np.testing.assert_array_equal(cleared[..., :3], on_white(cut_out, white)[..., :3])


def test_agrees_with_a_filling_from_the_border() -> None:
    for seed in range(200):
        noise = stream("white", seed)
        rgba = np.full((*noise.integers(5, 30, size=2), 4), 255, np.uint8)
        rgba[1:-1, 1:-1, :3] = noise.choice([100, 250], size=rgba[1:-1, 1:-1, :3].shape)
        white = (rgba[..., :3] >= NEAR_WHITE).all(axis=-1)
        if white.all():
            continue
        border = np.ones_like(white)
        border[1:-1, 1:-1] = False
        background = ndimage.binary_dilation(
            ndimage.binary_propagation(border & white, mask=np.asarray(white)), structure=SQUARE
        )
        cleared = clear_white_background(rgba)
        if background.all():
            assert cleared is rgba
        else:
            np.testing.assert_array_equal(cleared[..., 3] == 0, background)


def test_a_reflection_inside_the_tissue_stays() -> None:
    rgba = np.full((40, 60, 4), 255, np.uint8)
    rgba[10:30, 10:50, :3] = (190, 90, 80)
    rgba[18:22, 28:32, :3] = 255
    assert (clear_white_background(rgba)[11:29, 11:49, 3] == 255).all()


@pytest.mark.parametrize("name", ["transparent", "photograph", "white corner", "nothing but white", "specks"])
def test_other_photographs_are_returned_as_they_are(name: str) -> None:
    rgba = np.full((40, 60, 4), 255, np.uint8)
    if name == "transparent":
        rgba = draw(0)
    elif name in ("photograph", "white corner"):
        rgba[..., :3] = (190, 150, 130)
        rgba[:20, :30, :3] = 255 if name == "white corner" else 120
    elif name == "specks":
        rgba[20, 20:30:3, :3] = 0
    assert is_on_white(rgba) == (name == "specks")
    assert clear_white_background(rgba) is rgba
