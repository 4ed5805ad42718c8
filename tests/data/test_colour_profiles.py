import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from anemia_lightning.data.colour_profiles import convert_cmyk, convert_to_srgb
from anemia_lightning.data.container import PhotoFault
from anemia_lightning.data.reading import open_photo

SRGB = bytes(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
# Primaries of Display P3, adapted to D50 (ICC registry, "Display P3"), as columns of RGB to XYZ.
P3_TO_XYZ = np.array([[0.51512, 0.29198, 0.15710], [0.24120, 0.69225, 0.06657], [-0.00105, 0.04189, 0.78407]])
SRGB_TO_XYZ = np.array([[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]])


def display_p3() -> bytes:
    """Returns the profile of sRGB with the primaries of Display P3."""
    profile = bytearray(SRGB)
    for number in range(struct.unpack_from(">L", profile, 128)[0]):
        name, start, _ = struct.unpack_from(">4sLL", profile, 132 + 12 * number)
        if name in {b"rXYZ", b"gXYZ", b"bXYZ"}:
            column = P3_TO_XYZ[:, b"rgb".index(name[0])]
            struct.pack_into(">3l", profile, start + 8, *(round(value * 65536) for value in column))
    return bytes(profile)


def press() -> bytes:
    """Returns a profile by which cyan alone prints as mid grey and the other inks not at all (ICC.1:2010, lut8)."""
    corners = [[50 if c else 100, 0, 0] for c in (0, 1) for _ in range(8)]
    lab = bytes(value for light, a, b in corners for value in (round(light * 2.55), a + 128, b + 128))
    identity = struct.pack(">9l", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
    table = b"mft1\0\0\0\0" + bytes((4, 3, 2, 0)) + identity + bytes(range(256)) * 4 + lab + bytes(range(256)) * 3
    white = b"XYZ \0\0\0\0" + struct.pack(">3l", 63190, 65536, 54061)
    at = 128 + 4 + 2 * 12
    tags = struct.pack(">L4sLL4sLL", 2, b"A2B0", at, len(table), b"wtpt", at + len(table), len(white))
    head = bytearray(128)
    struct.pack_into(">L", head, 0, at + len(table) + len(white))
    head[8:12] = b"\x02\x10\0\0"
    head[12:24] = b"prtrCMYKLab "
    head[36:40] = b"acsp"
    struct.pack_into(">3l", head, 68, 63190, 65536, 54061)
    return bytes(head) + tags + table + white


def colours(*, alpha: bool = False) -> NDArray[np.uint8]:
    rgba = np.random.default_rng(0).integers(0, 256, (300, 20, 4), dtype=np.uint8)
    if not alpha:
        rgba[..., 3] = 255
    return rgba


def by_hand(rgb: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Display P3 to sRGB by the transfer function of IEC 61966-2-1 and the two matrices."""
    level = rgb / 255
    linear = np.where(level <= 0.04045, level / 12.92, ((level + 0.055) / 1.055) ** 2.4)
    linear = (linear @ (np.linalg.inv(SRGB_TO_XYZ) @ P3_TO_XYZ).T).clip(0, 1)
    return np.asarray(np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055) * 255)


def test_display_p3_becomes_srgb_as_the_formulas_say() -> None:
    rgba = colours(alpha=True)
    seen = rgba.copy()
    assert convert_to_srgb(seen, display_p3()) == "converted to sRGB from its colour profile 'sRGB built-in'"
    assert np.abs(seen[..., :3] - by_hand(rgba[..., :3])).max() < 2
    assert np.array_equal(seen[..., 3], rgba[..., 3])
    assert np.abs(seen.astype(int) - rgba).max() > 20


def test_srgb_stays_as_it_is_without_a_word() -> None:
    rgba = colours()
    assert convert_to_srgb(rgba, SRGB) is None
    assert np.array_equal(rgba, colours())


@pytest.mark.parametrize("broken", [b"", b"x" * 600, SRGB[:300], press(), bytes(5_000_000)])
def test_a_broken_profile_is_passed_over_and_noted(broken: bytes) -> None:
    rgba = colours()
    assert convert_to_srgb(rgba, broken) == "a broken colour profile, passed over: its colours were taken as sRGB"
    assert np.array_equal(rgba, colours())


def test_inks_are_converted_by_their_own_profile() -> None:
    inks = np.zeros((300, 20, 4), dtype=np.uint8)
    inks[:150, :, 0] = 255
    inks[:, :, 1] = 99
    rgba = convert_cmyk(inks, press())
    assert rgba.shape == (300, 20, 4)
    assert np.abs(rgba[:150].astype(int) - (119, 119, 119, 255)).max() <= 2  # L* = 50
    assert np.abs(rgba[150:].astype(int) - 255).max() <= 2


@pytest.mark.parametrize(("profile", "found"), [(None, "without a colour profile"), (SRGB, "a broken colour profile")])
def test_inks_without_a_profile_are_refused(profile: bytes | None, found: str) -> None:
    with pytest.raises(PhotoFault) as caught:
        convert_cmyk(np.zeros((20, 20, 4), dtype=np.uint8), profile)
    assert caught.value.code == "IMG_CMYK"
    assert found in caught.value.reason


@pytest.mark.parametrize(("suffix", "options"), [("png", {}), ("webp", {"lossless": True}), ("jpg", {"quality": 100})])
def test_phone_photographs_are_brought_to_srgb_whatever_their_format(
    tmp_path: Path, suffix: str, options: dict[str, Any]
) -> None:
    smooth = Image.fromarray(colours()[:6, :6, :3]).resize((60, 60), Image.Resampling.BICUBIC)
    plain, tagged = tmp_path / f"plain.{suffix}", tmp_path / f"tagged.{suffix}"
    smooth.save(plain, **options)
    smooth.save(tagged, icc_profile=display_p3(), **options)
    photograph = open_photo(tagged)
    assert photograph.notes == ("converted to sRGB from its colour profile 'sRGB built-in'",)
    assert np.abs(photograph.rgba[..., :3] - by_hand(open_photo(plain).rgba[..., :3])).max() < 2


def test_a_cmyk_photograph_with_its_profile_is_read(tmp_path: Path) -> None:
    inks = np.zeros((40, 40, 4), dtype=np.uint8)
    inks[:20] = 255
    memory = io.BytesIO()
    Image.frombytes("CMYK", (40, 40), inks.tobytes()).save(memory, "JPEG", icc_profile=press(), quality=95)
    (tmp_path / "a.jpg").write_bytes(memory.getvalue())
    mask = tmp_path / "a.jpg"
    photo = tmp_path / "photo.png"
    Image.fromarray(colours()[:40, :, :3].repeat(2, axis=1)).save(photo)
    rgba = open_photo(photo, mask=mask).rgba
    assert (rgba[25:, :, 3] == 255).all()
    assert (rgba[:15, :, 3] == 0).all()
