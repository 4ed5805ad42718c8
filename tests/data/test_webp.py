import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from anemia_lightning.data import webp
from anemia_lightning.data.container import PhotoFault


def picture(mode: str) -> Image.Image:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (30, 37, 3), dtype=np.uint8))
    image = image.resize((91, 67), Image.Resampling.BICUBIC)
    if mode == "RGBA":
        image.putalpha(Image.linear_gradient("L").resize(image.size))
    return image


def encode(image: Image.Image, **options: Any) -> bytes:
    memory = io.BytesIO()
    image.save(memory, "WEBP", **options)
    return memory.getvalue()


def refusal(data: bytes) -> str:
    with pytest.raises(PhotoFault) as caught:
        webp.decode(webp.read_header(data))
    assert caught.value.code == "IMG_DAMAGED"
    return caught.value.reason


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
@pytest.mark.parametrize("options", [{}, {"lossless": True}, {"quality": 5}, {"exif": b"II*\0", "icc_profile": b"p"}])
def test_pixels_and_header_are_pillow_s(mode: str, options: dict[str, Any]) -> None:
    data = encode(picture(mode), **options)
    header = webp.read_header(data)
    with Image.open(io.BytesIO(data)) as image:
        assert (header.mode, (header.width, header.height)) == (image.mode, image.size)
        assert np.array_equal(webp.decode(header), np.asarray(image.convert("RGBA")))
    assert (header.exif, header.profile) == (options.get("exif", b""), options.get("icc_profile"))


def test_a_movie_is_told_from_a_photograph() -> None:
    still = picture("RGB")
    assert not webp.read_header(encode(still)).is_animated
    assert webp.read_header(encode(still, save_all=True, append_images=[still.rotate(180)])).is_animated


@pytest.mark.parametrize("kept", [12, 19, 25, 100, -1])
def test_a_file_cut_short_is_refused(kept: int) -> None:
    data = encode(picture("RGB"))
    lacking = len(data) - len(data[:kept])
    assert refusal(data[:kept]) == f"a damaged file (it lacks {lacking} of {len(data)} bytes)"


def test_a_canvas_that_lies_is_refused_before_anything_is_decoded() -> None:
    data = bytearray(encode(picture("RGBA"), lossless=True, exif=b"II*\0"))
    assert data[12:16] == b"VP8X"
    data[24:30] = b"\xff\x3f\0\xff\x3f\0"
    with pytest.raises(PhotoFault, match="a canvas of another size than its picture"):
        webp.read_header(bytes(data))


def test_chunks_that_make_no_picture_are_refused() -> None:
    assert refusal(b"RIFF\x04\0\0\0WEBP") == "a damaged file (no picture)"
    assert refusal(b"RIFF\x0e\0\0\0WEBPVP8 \x02\0\0\0ab") == "a damaged file (a header that is cut short)"
    assert refusal(b"RIFF\x0c\0\0\0WEBPVP8 \xff\0\0\0") == "a damaged file (it ends within the chunk at byte 12)"
    assert refusal(b"RIFF\x16\0\0\0WEBPVP8 \x0a\0\0\0" + b"\x10\0\0\0\0\0\x20\0\x20\0").startswith(
        "a damaged file (lib"
    )
