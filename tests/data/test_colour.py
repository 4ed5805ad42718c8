"""Colours against published values and against a second, scalar implementation."""

import math

import numpy as np
import pandas as pd
import pytest
import skimage.color
from numpy.typing import NDArray

from anemia_lightning.data.colour import COLOUR_MEASURES, erythema_index, lab_to_srgb, srgb_to_lab, tissue_colour


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
    middles = {"lightness": lightness, "a": a, "b": b, "erythema": erythema_index(np.array([200, 90, 80], np.uint8))}
    for name, middle in middles.items():
        assert [measured[f"{name}_{each}"] for each in ("mean", "p10", "p50", "p90")] == pytest.approx([middle] * 4)
    assert measured["red_share_mean"] == pytest.approx(200 / 370)
    assert measured["green_share_mean"] == pytest.approx(90 / 370)
    assert [value for key, value in measured.items() if key.endswith("_sd")] == pytest.approx([0] * 6)


@pytest.mark.parametrize("seed", range(5))
def test_what_lies_around_the_tissue_changes_nothing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    tissue = _photo(rng, 30, 40)
    framed = rng.integers(0, 256, (50, 70, 4), dtype=np.uint8)
    framed[..., 3] = rng.integers(0, 128, (50, 70))
    framed[7:37, 11:51] = tissue
    assert tissue_colour(framed) == pytest.approx(tissue_colour(tissue), rel=1e-12)


def _photo(rng: np.random.Generator, height: int, width: int) -> NDArray[np.uint8]:
    rgba = np.full((height, width, 4), 255, dtype=np.uint8)
    rgba[..., :3] = rng.normal((190, 100, 90), 25, (height, width, 3)).clip(0, 255)
    return rgba


def _linear(rgba: NDArray[np.uint8]) -> NDArray[np.float64]:
    by_byte = [(c / 255 + 0.055) ** 2.4 / 1.055**2.4 if c > 10 else c / 255 / 12.92 for c in range(256)]
    return np.array(by_byte)[rgba]


def test_every_measure_is_what_its_name_says() -> None:
    rgba = _photo(np.random.default_rng(0), 20, 31)
    lab = skimage.color.rgb2lab(rgba[..., :3]).reshape(-1, 3)
    light = _linear(rgba)
    values = dict(zip(("lightness", "a", "b"), lab.T, strict=True))
    values["erythema"] = np.log10(light[..., 0] / light[..., 1]).ravel()
    values["red_share"], values["green_share"] = [rgba[..., c].ravel() / rgba[..., :3].sum(-1).ravel() for c in (0, 1)]
    measured = tissue_colour(rgba)
    assert tuple(measured) == COLOUR_MEASURES
    for key, value in measured.items():
        name, summary = key.rsplit("_", 1)
        pixels = pd.Series(values[name])
        by_name = {"mean": pixels.mean(), "sd": pixels.std(ddof=0)}
        expected = by_name[summary] if summary in by_name else pixels.quantile(int(summary[1:]) / 100)
        assert value == pytest.approx(expected, abs=0.03 if name in ("lightness", "a", "b") else 1e-9), key


def test_mirrored_and_turned_photos_have_the_same_colour() -> None:
    rgba = _photo(np.random.default_rng(1), 40, 60)
    for other in (rgba[::-1], rgba[:, ::-1], np.rot90(rgba), rgba.transpose(1, 0, 2)):
        assert tissue_colour(other) == pytest.approx(tissue_colour(rgba), rel=1e-9)


@pytest.mark.parametrize("shape", [(400, 500), (1000, 1200), (250, 200)])
def test_a_large_photo_is_measured_by_a_part_of_it(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(2)
    rgba = _photo(rng, *shape)
    rgba[:, : shape[1] // 3, :3] //= 2
    lab = srgb_to_lab(rgba[..., :3]).reshape(-1, 3)
    measured = tissue_colour(rgba)
    assert [measured[f"{name}_mean"] for name in ("lightness", "a", "b")] == pytest.approx(lab.mean(axis=0), abs=0.2)
    assert [measured[f"{name}_p10"] for name in ("lightness", "a", "b")] == pytest.approx(
        np.percentile(lab, 10, axis=0), abs=0.3
    )
    assert tissue_colour(rgba) == measured


@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 0, 0), (0, 255, 0), (255, 255, 255)])
def test_extreme_colours_have_finite_measures(colour: tuple[int, int, int]) -> None:
    measured = tissue_colour(np.full((3, 4, 4), (*colour, 255), dtype=np.uint8))
    assert all(math.isfinite(value) for value in measured.values())
    assert abs(measured["erythema_mean"]) <= 3.9


@pytest.mark.parametrize("seed", range(10))
def test_a_stronger_lamp_leaves_the_erythema_index(seed: int) -> None:
    light = np.random.default_rng(seed).uniform(0.05, 0.4, (50, 3))
    encoded = [1.055 * (strength * light) ** (1 / 2.4) - 0.055 for strength in (1.0, 2.5)]
    assert erythema_index(encoded[1]) == pytest.approx(erythema_index(encoded[0]), abs=1e-9)


def test_erythema_index_of_bytes_and_fractions_agree_and_paler_is_lower() -> None:
    rgb = np.array([[200, 90, 80], [200, 120, 110], [128, 128, 128], [90, 200, 80]], dtype=np.uint8)
    assert erythema_index(rgb) == pytest.approx(erythema_index(rgb / 255))
    assert np.all(np.diff(erythema_index(rgb)) < 0)
    assert erythema_index(rgb)[2] == 0


def test_tissue_begins_at_half_opacity() -> None:
    assert tissue_colour(_cut_out(alpha=128))["a_mean"] == pytest.approx(44, abs=3)
    assert all(math.isnan(value) for value in tissue_colour(_cut_out(alpha=127)).values())


def test_all_of_an_opaque_photo_is_tissue() -> None:
    rgba = np.full((2, 2, 4), 255, dtype=np.uint8)
    rgba[0, :, :3] = 0
    measured = tissue_colour(rgba)
    assert measured["lightness_mean"] == pytest.approx(50)
    assert measured["lightness_sd"] == pytest.approx(50)
