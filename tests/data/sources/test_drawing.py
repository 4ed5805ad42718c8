"""The drawn inner eyelid: a cut-out whose redness is what was asked for."""

import numpy as np
import pytest

from anemia_lightning.data.colour import srgb_to_lab, tissue_colour
from anemia_lightning.data.sources.drawing import draw_conjunctiva


def _draw(redness_a: float = 33.0, vessel_contrast: float = 0.75, seed: int = 0) -> np.ndarray:
    return draw_conjunctiva(redness_a, vessel_contrast, np.random.default_rng(seed))


def test_is_a_cut_out() -> None:
    for seed in range(5):
        rgba = _draw(seed=seed)
        height, width, channels = rgba.shape
        assert rgba.dtype == np.uint8
        assert channels == 4
        assert 1.4 < width / height < 2.4
        assert (rgba[rgba[..., 3] == 0] == 0).all()
        assert 0.2 < (rgba[..., 3] == 255).mean() < 0.6


def test_corners_are_transparent() -> None:
    rgba = _draw()
    assert not rgba[[0, -1], :8].any()
    assert not rgba[[0, -1], -8:].any()


@pytest.mark.parametrize("redness_a", [9.0, 33.0, 57.0])
def test_tissue_has_the_redness_asked_for(redness_a: float) -> None:
    measured = [tissue_colour(_draw(redness_a, seed=seed))["a_mean"] for seed in range(8)]
    assert np.mean(measured) == pytest.approx(redness_a, abs=3.5)


@pytest.mark.parametrize("redness_a", [9.0, 57.0])
def test_hardly_a_pixel_is_clipped_at_the_ends_of_the_range(redness_a: float) -> None:
    pixels = np.concatenate([rgba[rgba[..., 3] == 255] for rgba in (_draw(redness_a, seed=s) for s in range(6))])
    assert np.isin(pixels[:, :3], (0, 255)).any(axis=1).mean() < 0.02


def test_vessels_are_thin_and_darker_by_their_contrast() -> None:
    without, faint, strong = (srgb_to_lab(_draw(vessel_contrast=c)[..., :3])[..., 0] for c in (0.0, 0.5, 1.5))
    tissue = _draw()[..., 3] == 255
    assert (without - strong)[tissue].max() > (without - faint)[tissue].max() > 3
    assert 0.02 < ((without - strong)[tissue] > 5).mean() < 0.4


def test_same_stream_same_pixels_and_other_stream_another_photo() -> None:
    np.testing.assert_array_equal(_draw(seed=3), _draw(seed=3))
    assert not np.array_equal(_draw(seed=3)[:100, :200], _draw(seed=4)[:100, :200])
