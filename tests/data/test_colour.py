"""Colours against published values and against a second, scalar implementation."""

import math

import numpy as np
import pytest

from anemia_lightning.data.colour import lab_to_srgb, srgb_to_lab, tissue_colour


@pytest.mark.parametrize(
    ("rgb", "lab"),
    [
        ((255, 255, 255), (100.0, 0.0, 0.0)),
        ((0, 0, 0), (0.0, 0.0, 0.0)),
        ((255, 0, 0), (53.24, 80.09, 67.20)),
        ((0, 255, 0), (87.73, -86.18, 83.18)),
        ((0, 0, 255), (32.30, 79.19, -107.86)),
        ((128, 128, 128), (53.59, 0.0, 0.0)),
    ],
)
def test_known_colours(rgb: tuple[int, int, int], lab: tuple[float, float, float]) -> None:
    assert srgb_to_lab(np.array(rgb, dtype=np.uint8)) == pytest.approx(lab, abs=0.05)


def _lab_by_epsilon_and_kappa(rgb: tuple[float, ...]) -> tuple[float, float, float]:
    """Another way to write the standard: CIE's epsilon and kappa, a matrix of seven digits, tabulated D65."""
    red, green, blue = (c / 12.92 if c <= 0.04045 else math.pow((c + 0.055) / 1.055, 2.4) for c in rgb)
    xyz = (
        (0.4124564 * red + 0.3575761 * green + 0.1804375 * blue) / 0.95047,
        0.2126729 * red + 0.7151522 * green + 0.0721750 * blue,
        (0.0193339 * red + 0.1191920 * green + 0.9503041 * blue) / 1.08883,
    )
    fx, fy, fz = (math.cbrt(t) if t > 216 / 24389 else (24389 / 27 * t + 16) / 116 for t in xyz)
    return 116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)


def test_agrees_with_a_second_implementation() -> None:
    rgb = np.random.default_rng(0).random((300, 3)) ** 2
    expected = [_lab_by_epsilon_and_kappa(tuple(row)) for row in rgb.tolist()]
    np.testing.assert_allclose(srgb_to_lab(rgb), expected, atol=0.05)


def test_bytes_and_fractions_are_the_same_colour() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    np.testing.assert_array_equal(srgb_to_lab(rgb), srgb_to_lab(rgb / 255))


def test_lab_to_srgb_undoes_srgb_to_lab() -> None:
    rgb = np.random.default_rng(1).random((7, 9, 3))
    rgb[0] /= 100
    np.testing.assert_allclose(lab_to_srgb(srgb_to_lab(rgb)), rgb, atol=1e-6)


def _cut_out(alpha: int) -> np.ndarray:
    rgba = np.zeros((4, 6, 4), dtype=np.uint8)
    rgba[1:3, :] = (200, 90, 80, alpha)
    return rgba


def test_tissue_colour_ignores_what_is_transparent() -> None:
    measured = tissue_colour(_cut_out(alpha=255))
    lightness, a, b = srgb_to_lab(np.array([200, 90, 80], dtype=np.uint8))
    assert measured == pytest.approx(
        {"lightness_mean": lightness, "a_mean": a, "b_mean": b, "lightness_sd": 0, "a_sd": 0, "b_sd": 0}
    )


def test_tissue_begins_at_half_opacity() -> None:
    assert tissue_colour(_cut_out(alpha=128))["a_mean"] == pytest.approx(44, abs=3)
    assert all(math.isnan(value) for value in tissue_colour(_cut_out(alpha=127)).values())


def test_all_of_an_opaque_photo_is_tissue() -> None:
    rgba = np.full((2, 2, 4), 255, dtype=np.uint8)
    rgba[0, :, :3] = 0
    measured = tissue_colour(rgba)
    assert measured["lightness_mean"] == pytest.approx(50)
    assert measured["lightness_sd"] == pytest.approx(50)
