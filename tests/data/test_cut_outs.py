"""A photograph taken apart is the photograph when put together, and nothing hidden gets into it."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from anemia_lightning.data.cut_outs import cut_out, spread
from anemia_lightning.data.framing import Framing

GREY = (124, 116, 104)


def framing(**changes: Any) -> Framing:
    settings: dict[str, Any] = {"size": 48, "region": "full", "resize": "stretch", "background": GREY}
    return Framing(**(settings | changes))


def photograph(seed: int, height: int = 70, width: int = 110) -> NDArray[np.uint8]:
    """An ellipse of uneven red on nothing, with a soft rim."""
    rng = np.random.default_rng(seed)
    down, across = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    shade = 20 * np.sin(6 * across + rng.random()) + 10 * np.cos(7 * down)
    colours = np.array([190, 90, 80]) + shade[..., None] + rng.integers(-8, 9, (height, width, 3))
    alpha = (12 * (0.7 - np.hypot(down, across))).clip(0, 1) * 255
    levels: NDArray[np.float64] = np.rint(np.dstack([colours, alpha])).clip(0, 255)
    return levels.astype(np.uint8)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("region", ["full", "mask_crop"])
@pytest.mark.parametrize("resize", ["stretch", "letterbox"])
def test_put_together_it_is_the_photograph(seed: int, region: str, resize: str) -> None:
    frame = framing(region=region, resize=resize)
    rgba = photograph(seed)
    photo = cut_out(rgba, frame)
    assert photo.is_masked
    assert np.array_equal(photo.image, frame.apply(rgba))
    again = photo.compose(photo.colours).astype(int)
    difference = np.abs(again - photo.image)
    assert difference[photo.tissue >= 128].max() <= 2
    assert difference[photo.tissue == 0].max() == 0
    # The rim that is mostly background gets the colour of its neighbour.
    assert difference.max() <= 20
    assert difference.mean() < 0.3


@pytest.mark.parametrize("resize", ["stretch", "letterbox"])
def test_another_background_is_that_of_another_framing(resize: str) -> None:
    frame = framing(resize=resize)
    rgba = photograph(0)
    photo = cut_out(rgba, frame)
    white = photo.compose(photo.colours, background=(255, 255, 255)).astype(int)
    assert np.abs(white - frame.on((255, 255, 255)).apply(rgba)).max() <= 20
    assert (white[photo.tissue == 0] == 255).all()


def test_the_share_of_tissue_is_what_the_square_is_mixed_by() -> None:
    frame, rgba = framing(), photograph(1)
    share = frame.tissue(rgba).astype(float)[..., None] / 255
    plain = rgba.copy()
    plain[..., :3] = (200, 80, 70)
    expected = np.array([200, 80, 70]) * share + np.array(GREY) * (1 - share)
    assert np.abs(frame.apply(plain) - expected).max() <= 1


def test_beside_a_letterboxed_photograph_there_is_no_tissue() -> None:
    opaque = np.full((20, 80, 4), 255, dtype=np.uint8)
    share = framing(resize="letterbox").tissue(opaque)
    assert (share[18:30] == 255).all()
    assert not share[:17].any()
    assert not share[31:].any()


def test_colours_under_transparent_pixels_do_not_matter() -> None:
    rgba = photograph(2)
    lurid = rgba.copy()
    lurid[rgba[..., 3] == 0, :3] = (0, 255, 0)
    first, second = cut_out(rgba, framing()), cut_out(lurid, framing())
    assert np.array_equal(first.colours, second.colours)
    assert np.array_equal(first.tissue, second.tissue)


@pytest.mark.parametrize("resize", ["stretch", "letterbox"])
def test_without_a_mask_all_is_the_photograph(resize: str) -> None:
    rgba = photograph(3)
    rgba[..., 3] = 255
    photo = cut_out(rgba, framing(resize=resize))
    assert not photo.is_masked
    assert (photo.tissue == 255).all()
    assert np.array_equal(photo.compose(photo.colours), photo.image)


def test_tissue_too_small_to_be_seen_counts_as_none() -> None:
    rgba = photograph(0, 480, 480)
    rgba[..., 3] = 0
    rgba[100:102, 100:102, 3] = 255
    assert not cut_out(rgba, framing()).is_masked
    assert cut_out(rgba, framing(region="mask_crop", size=8)).is_masked is False  # nothing around the tissue is left


@pytest.mark.parametrize("seed", range(3))
def test_beyond_the_outline_stands_the_nearest_colour(seed: int) -> None:
    rng = np.random.default_rng(seed)
    colours = rng.integers(0, 256, (13, 17, 3), dtype=np.uint8)
    known = rng.random((13, 17)) < 0.1
    found = spread(colours, known)
    assert np.array_equal(found[known], colours[known])
    places = np.argwhere(known)
    for at in np.ndindex(known.shape):
        distances = np.hypot(*(places - at).T)
        nearest = places[distances <= distances.min() + 1e-9]
        assert any((found[at] == colours[tuple(place)]).all() for place in nearest)
