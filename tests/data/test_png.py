import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from anemia_lightning.data import png
from anemia_lightning.data.container import BROKEN_PROFILE, PhotoFault

ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
PROFILE = bytes(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())


def picture(mode: str = "RGB") -> Image.Image:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (300, 37, 3), dtype=np.uint8))
    if mode == "RGBA":
        image.putalpha(Image.linear_gradient("L").resize(image.size))
    return image.convert(mode)


def encode(image: Image.Image, **options: Any) -> bytes:
    memory = io.BytesIO()
    image.save(memory, "PNG", **options)
    return memory.getvalue()


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def with_chunk(data: bytes, extra: bytes) -> bytes:
    return data[:33] + extra + data[33:]


def of_16_bits(colour: int, values: "np.ndarray[Any, Any]") -> bytes:
    header = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], 16, colour, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def decode(data: bytes) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return png.decode(png.read_header(data))


def refusal(data: bytes) -> str:
    with pytest.raises(PhotoFault) as caught:
        decode(data)
    assert caught.value.code == "IMG_DAMAGED"
    return caught.value.reason


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "L", "LA", "1"])
def test_pixels_are_pillow_s(mode: str) -> None:
    image = picture().convert("L").convert(mode) if mode in {"L", "LA", "1"} else picture(mode)
    assert np.array_equal(decode(encode(image)), np.asarray(image.convert("RGBA")))
    assert png.read_header(encode(image)).mode == mode


def test_a_palette_and_a_transparent_colour_become_alpha() -> None:
    image = Image.fromarray(np.array([[0, 1]], dtype=np.uint8), mode="P")
    image.putpalette([10, 20, 30, 40, 50, 60])
    assert decode(encode(image, transparency=b"\x00\xff")).tolist() == [[[10, 20, 30, 0], [40, 50, 60, 255]]]
    plain = Image.fromarray(np.array([[[1, 2, 3], [4, 5, 6]]], dtype=np.uint8))
    assert decode(encode(plain, transparency=(1, 2, 3))).tolist() == [[[1, 2, 3, 0], [4, 5, 6, 255]]]


@pytest.mark.parametrize(("colour", "channels"), [(0, 1), (2, 3), (4, 2), (6, 4)])
def test_16_bits_are_scaled_not_clipped(colour: int, channels: int) -> None:
    values = np.random.default_rng(0).integers(0, 65536, (20, 30, channels))
    data = of_16_bits(colour, values)
    rgba = decode(data)
    seen = rgba[..., [0, 3]] if colour == 4 else rgba[..., :channels]
    assert np.abs(seen - values / 257).max() < 1
    assert png.read_header(data).notes == ("16 bits a channel, scaled to 8",)


# --- checksums ---


def test_a_picture_with_any_flipped_bit_is_refused_or_has_the_same_pixels() -> None:
    image = picture("RGBA")
    data = encode(image, icc_profile=PROFILE, dpi=(72, 72))
    rng = np.random.default_rng(0)
    read = 0
    for at in [*range(8, 60), *rng.integers(60, len(data), 400)]:
        changed = bytearray(data)
        changed[at] ^= 1 << int(rng.integers(8))
        try:
            header = png.read_header(bytes(changed))
            rgba = png.decode(header)
        except PhotoFault:
            continue
        read += 1
        assert np.array_equal(rgba, np.asarray(image))
        assert header.notes
    assert 0 < read < 100


def test_chunks_that_no_pixel_needs_may_be_broken() -> None:
    data = encode(picture(), icc_profile=PROFILE)
    at = data.index(b"iCCP")
    header = png.read_header(data[: at + 20] + b"\0\0\0" + data[at + 23 :])
    assert header.notes == ("its chunk 'iCCP' does not match its checksum and was passed over",)
    assert header.profile == BROKEN_PROFILE
    assert np.array_equal(png.decode(header)[..., :3], np.asarray(picture()))


@pytest.mark.parametrize("content", [b"", b"x", b"name", b"name\0\0no zlib", b"name\0\0" + zlib.compress(b"")])
def test_a_profile_that_cannot_be_unpacked_is_broken(content: bytes) -> None:
    assert png.read_header(with_chunk(encode(picture()), chunk(b"iCCP", content))).profile == BROKEN_PROFILE


def test_a_transparency_with_a_wrong_checksum_is_refused() -> None:
    data = bytearray(encode(picture("P"), transparency=b"\0" * 9))
    data[data.index(b"tRNS") + 5] ^= 1
    assert refusal(bytes(data)) == "a damaged file (its chunk 'tRNS' does not match its checksum)"


def test_pixels_with_a_wrong_checksum_are_refused() -> None:
    data = bytearray(encode(picture()))
    data[data.index(b"IDAT") + 200] ^= 1
    assert refusal(bytes(data)) == "a damaged file (its chunk 'IDAT' does not match its checksum)"


def test_chunks_that_pixels_may_need_and_no_one_knows_are_refused() -> None:
    extra = chunk(b"CgBI", b"\0" * 4)
    assert refusal(with_chunk(encode(picture()), extra)) == "a damaged file (its chunk 'CgBI' is none of PNG's)"


@pytest.mark.parametrize("kept", [8, 20, 33, 40, 200, -1, -12])
def test_a_file_cut_short_is_refused(kept: int) -> None:
    assert refusal(encode(picture())[:kept]).startswith("a damaged file (")


@pytest.mark.parametrize("interlace", [0, 1])
@pytest.mark.parametrize(("depth", "colour", "bits"), [(8, 2, 24), (16, 6, 64), (2, 0, 2), (1, 3, 1)])
def test_rows_that_are_missing_are_not_shown_as_black(depth: int, colour: int, bits: int, interlace: int) -> None:
    width, height = 37, 21
    columns = [(range(left, width, right), range(top, height, down)) for left, top, right, down in ADAM7]
    passes = columns if interlace else [(range(width), range(height))]
    size = sum(len(rows) * (1 + (len(across) * bits + 7) // 8) for across, rows in passes)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace))
    table = chunk(b"PLTE", bytes(6)) if colour == 3 else b""

    def packed(data: bytes) -> bytes:
        return b"\x89PNG\r\n\x1a\n" + header + table + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")

    assert decode(packed(bytes(size))).shape == (height, width, 4)
    assert decode(packed(bytes(size + 9))).shape == (height, width, 4)
    assert refusal(packed(bytes(size - 5))) == "a damaged file (its pixels lack 5 bytes)"


def test_texts_are_never_unpacked() -> None:
    bomb = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(10**8), 1))
    header = png.read_header(with_chunk(encode(picture()), bomb))
    assert b"zTXt" not in header.content
    assert png.decode(header).shape == (300, 37, 4)


def test_bytes_after_the_end_and_a_movie_of_one_frame_are_harmless() -> None:
    still = with_chunk(encode(picture()), chunk(b"acTL", struct.pack(">II", 1, 0)))
    assert not png.read_header(still + b"any bytes").is_animated
    assert png.read_header(encode(picture(), save_all=True, append_images=[picture().rotate(90)])).is_animated
