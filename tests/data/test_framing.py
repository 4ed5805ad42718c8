from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from anemia_lightning.data.framing import Framing, frame_photo
from anemia_lightning.errors import ConfigError

GREY = (124, 116, 104)


def colourful(height: int = 6, width: int = 9, channels: int = 3) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (height, width, channels), dtype=np.uint8)


def frame(rgba: NDArray[np.uint8], **changes: Any) -> NDArray[np.uint8]:
    settings: dict[str, Any] = {"size": 8, "region": "full", "resize": "stretch", "background": GREY}
    return frame_photo(rgba, **(settings | changes))


def opaque(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.dstack([rgb, np.full(rgb.shape[:2], 255, dtype=np.uint8)])


def test_a_frame_of_the_photo_s_own_size_changes_nothing() -> None:
    pixels = colourful(8, 8)
    assert np.array_equal(frame(opaque(pixels)), pixels)


def test_stretching_is_an_antialiased_bilinear_filter() -> None:
    # Halving with a triangle of radius 2: weights 1, 3, 3, 1 of 8, in both directions.
    pixels = colourful(16, 16)
    weights = np.array([1, 3, 3, 1]) / 8
    expected = np.einsum("i,j,ijc->c", weights, weights, pixels[5:9, 7:11].astype(float))
    assert np.abs(frame(opaque(pixels))[3, 4] - expected).max() <= 1


def test_compositing_rounds_to_the_nearest() -> None:
    rgba = colourful(8, 8, 4)
    share = rgba[..., 3:].astype(float) / 255
    expected = np.floor(rgba[..., :3] * share + np.array(GREY) * (1 - share) + 0.5)
    assert np.array_equal(frame(rgba), expected)


def test_hidden_colours_never_bleed_into_the_tissue() -> None:
    rgba = np.zeros((31, 17, 4), dtype=np.uint8)
    rgba[8:20, 5:12] = (200, 80, 70, 255)
    lurid = rgba.copy()
    lurid[rgba[..., 3] == 0, :3] = (0, 255, 0)
    for resize in ("stretch", "letterbox"):
        for region in ("full", "mask_crop"):
            settings = {"resize": resize, "region": region}
            assert np.array_equal(frame(rgba, **settings), frame(lurid, **settings))


def test_letterboxing_keeps_the_aspect_ratio_in_the_middle() -> None:
    pixels = np.full((4, 16, 3), 200, dtype=np.uint8)
    square = frame(opaque(pixels), resize="letterbox")
    assert (square[3:5] == 200).all()
    assert (square[[0, 1, 2, 5, 6, 7]] == GREY).all()
    assert (frame(opaque(pixels[:, :1]), resize="letterbox")[:, 3:5] == 200).all()
    assert frame(opaque(np.zeros((1, 999, 3), dtype=np.uint8)), resize="letterbox").shape == (8, 8, 3)


def test_mask_crop_cuts_to_the_tissue() -> None:
    rgba = opaque(colourful(20, 30))
    rgba[..., 3] = 127
    rgba[4:12, 6:14, 3] = 255
    assert np.array_equal(frame(rgba, region="mask_crop"), rgba[4:12, 6:14, :3])


@pytest.mark.parametrize("alpha", [0, 127, 255])
def test_mask_crop_keeps_everything_without_tissue_or_background(alpha: int) -> None:
    rgba = opaque(colourful(9, 5))
    rgba[..., 3] = alpha
    assert np.array_equal(frame(rgba, region="mask_crop"), frame(rgba, region="full"))


def test_framing_survives_its_plain_values() -> None:
    framing = Framing(size=8, region="mask_crop", resize="letterbox", background=[1, 2, 3])  # type: ignore[arg-type]
    assert framing.to_dict() == {
        "size": 8,
        "region": "mask_crop",
        "resize": "letterbox",
        "background": (1, 2, 3),
    }
    assert Framing(**framing.to_dict()) == framing
    rgba = colourful(9, 5, 4)
    assert np.array_equal(
        framing.apply(rgba), frame(rgba, region="mask_crop", resize="letterbox", background=(1, 2, 3))
    )


def test_framing_refuses_all_that_is_no_choice_at_once() -> None:
    wrong: dict[str, Any] = {"size": 0, "region": "crop", "resize": "squash", "background": [0, 0, 256]}
    with pytest.raises(ConfigError) as caught:
        Framing(**wrong)
    assert str(caught.value) == (
        "data.image_size is 0; it must be a whole number of pixels above 0. "
        "data.region is 'crop'; choose full or mask_crop. "
        "data.resize is 'squash'; choose stretch or letterbox. "
        "data.background is [0, 0, 256]; it must be three whole numbers from 0 to 255."
    )


@pytest.mark.parametrize("background", ["red", (1, 2), (1.0, 2, 3), (True, 2, 3), None])
def test_framing_refuses_backgrounds_that_are_no_colour(background: Any) -> None:
    with pytest.raises(ConfigError, match="three whole numbers"):
        Framing(size=8, region="full", resize="stretch", background=background)
