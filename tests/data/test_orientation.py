import struct

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageOps

from anemia_lightning.data.orientation import read_orientation, turn_upright


def block(order: str, *fields: tuple[int, int, int]) -> bytes:
    mark = {"<": b"II*\0", ">": b"MM\0*"}[order]
    packed = b"".join(
        struct.pack(order + ("HHLHH" if kind == 3 else "HHLL"), tag, kind, 1, *((value, 0) if kind == 3 else (value,)))
        for tag, kind, value in fields
    )
    return mark + struct.pack(order + "LH", 8, len(fields)) + packed


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", [3, 4])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_is_found_in_either_byte_order(order: str, kind: int, orientation: int) -> None:
    found = block(order, (0x010F, 3, 9), (0x0112, kind, orientation), (0x0131, 3, 2))
    assert read_orientation(found) == orientation
    assert read_orientation(b"Exif\0\0" + found) == orientation


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pillow_s_blocks_are_understood_and_turned_as_pillow_does(orientation: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 4), dtype=np.uint8)
    image = Image.fromarray(pixels)
    image.getexif()[ExifTags.Base.Orientation] = orientation
    assert read_orientation(image.getexif().tobytes()) == orientation
    upright = turn_upright(pixels, orientation)
    assert np.array_equal(upright, np.asarray(ImageOps.exif_transpose(image)))
    assert upright.flags.c_contiguous


def test_a_photo_that_names_no_orientation_is_upright() -> None:
    assert read_orientation(b"") == 1
    assert read_orientation(block("<", (0x010F, 3, 9))) == 1


@pytest.mark.parametrize(
    ("damaged", "found"),
    [
        (b"no TIFF", "no TIFF block"),
        (b"II*\0", "a directory that is cut short"),
        (block("<", (0x0112, 3, 6))[:-6], "a directory that is cut short"),
        (block("<", (0x0112, 2, 6)), "a directory that is cut short"),
        (block(">", (0x0112, 3, 9)), "an orientation of 9"),
        (b"II*\0\xff\xff\xff\xff", "a directory that is cut short"),
    ],
)
def test_damage_is_named(damaged: bytes, found: str) -> None:
    with pytest.raises(ValueError, match=found):
        read_orientation(damaged)
