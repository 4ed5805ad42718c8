"""Each perturbation does what its name and level say, by independent implementations, and nothing else."""

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from skimage.color import rgb2xyz
from torchvision.transforms.v2 import functional

from anemia_lightning.data.perturbations import (
    PERTURBATIONS,
    Perturbation,
    blur,
    brighten,
    recompress,
    relight,
    shrink,
)

EACH = pytest.mark.parametrize("change", PERTURBATIONS, ids=lambda change: f"{change.name} {change.level:g}")


def textured(size: int = 64) -> NDArray[np.uint8]:
    rng = np.random.default_rng(size)
    smooth = cv2.resize(rng.integers(40, 216, (8, 8, 3), dtype=np.uint8), (size, size))
    return (smooth + rng.integers(-15, 16, (size, size, 3))).astype(np.uint8)


@EACH
def test_each_is_a_pure_function_of_the_pixels(change: Perturbation) -> None:
    pixels = textured()
    before = pixels.copy()
    pixels.setflags(write=False)
    found = change.apply(pixels)
    assert found.shape == pixels.shape
    assert found.dtype == np.uint8
    assert np.array_equal(pixels, before)
    assert np.array_equal(change.apply(pixels), found)
    assert not np.array_equal(found, pixels)


def test_each_has_a_level_of_its_own() -> None:
    assert len({(change.name, change.level) for change in PERTURBATIONS}) == len(PERTURBATIONS)
    assert all(change.unit for change in PERTURBATIONS)


@pytest.mark.parametrize("factor", [0.7, 0.85, 1.15, 1.3])
def test_brightness_is_that_of_torchvision(factor: float) -> None:
    pixels = np.arange(256, dtype=np.uint8).repeat(3).reshape(16, 16, 3)
    expected = functional.adjust_brightness(torch.from_numpy(pixels).permute(2, 0, 1), factor)
    assert np.array_equal(brighten(pixels, factor), expected.permute(1, 2, 0).numpy())


@pytest.mark.parametrize(
    ("kelvin", "x", "y"),
    # D50, D55, D65 and D75 as CIE 15:2004, table T.3, prints them.
    [(5000, 0.3457, 0.3585), (5500, 0.3324, 0.3474), (6500, 0.3127, 0.3290), (7500, 0.2990, 0.3149)],
)
def test_grey_takes_the_colour_of_the_light(kelvin: float, x: float, y: float) -> None:
    grey = np.full((1, 1, 3), 180, dtype=np.uint8)
    xyz = rgb2xyz(relight(grey, kelvin))[0, 0]
    assert xyz[:2] / xyz.sum() == pytest.approx([x, y], abs=1.5e-3)
    assert xyz[1] == pytest.approx(rgb2xyz(grey)[0, 0, 1], rel=0.015)


def test_yellow_light_reddens_and_blue_light_pales() -> None:
    pixels = textured().astype(float)
    ratios = [
        relight(textured(), kelvin)[..., 0].mean() / relight(textured(), kelvin)[..., 2].mean()
        for kelvin in (5000, 5500, 6500, 7500, 9300)
    ]
    assert ratios == sorted(ratios, reverse=True)
    assert ratios[2] == pytest.approx(pixels[..., 0].mean() / pixels[..., 2].mean(), rel=1e-3)


@pytest.mark.parametrize("quality", [90, 50, 20])
def test_jpeg_is_what_another_encoder_makes_of_it(quality: int) -> None:
    pixels = textured()
    _, file = cv2.imencode(
        ".jpg",
        pixels[..., ::-1],
        [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420],
    )
    expected = cv2.imdecode(file, cv2.IMREAD_COLOR)
    assert expected is not None
    assert np.abs(recompress(pixels, quality).astype(int) - expected[..., ::-1]).mean() < 0.5


def test_less_quality_loses_more() -> None:
    pixels = textured().astype(int)
    lost = [np.abs(recompress(textured(), quality) - pixels).mean() for quality in (90, 50, 20)]
    assert lost == sorted(lost)
    assert lost[0] > 0.5


@pytest.mark.parametrize("sigma", [1.0, 2.0])
def test_blur_is_a_gaussian(sigma: float) -> None:
    pixels = textured()
    expected = gaussian_filter(pixels.astype(float), (sigma, sigma, 0), mode="reflect")
    assert np.abs(blur(pixels, sigma) - expected).max() <= 2


@pytest.mark.parametrize("share", [0.5, 0.25])
def test_a_low_resolution_keeps_shades_and_loses_detail(share: float) -> None:
    flat = np.full((64, 64, 3), (190, 90, 80), dtype=np.uint8)
    assert np.array_equal(shrink(flat, share), flat)
    stripes = np.zeros((64, 64, 3), dtype=np.uint8)
    stripes[:, ::2] = 200
    assert np.abs(shrink(stripes, share).astype(int) - 100)[:, 4:-4].max() <= 4
    ramp = np.broadcast_to(np.arange(0, 256, 4, dtype=np.uint8)[:, None, None], (64, 64, 3))
    assert np.abs(shrink(ramp, share)[8:-8].astype(int) - ramp[8:-8]).max() <= 1
