import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from anemia_lightning.data import jpeg
from anemia_lightning.data.container import PhotoFault


def picture(size: tuple[int, int] = (75, 50), mode: str = "RGB") -> Image.Image:
    coarse = np.random.default_rng(0).integers(0, 256, (8, 10, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).convert(mode)


def noisy() -> Image.Image:
    noise = np.random.default_rng(1).normal(0, 20, (120, 160, 3))
    return Image.fromarray((np.asarray(picture((160, 120))) + noise).clip(0, 255).astype(np.uint8))


def encode(image: Image.Image, **options: Any) -> bytes:
    memory = io.BytesIO()
    image.save(memory, **{"format": "JPEG"} | options)
    return memory.getvalue()


def decode(data: bytes) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return jpeg.decode(jpeg.read_header(data))


def by_pillow(data: bytes) -> np.ndarray[Any, Any]:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGBA"))


def refusal(data: bytes) -> PhotoFault:
    with pytest.raises(PhotoFault) as caught:
        decode(data)
    return caught.value


@pytest.mark.parametrize(
    "options",
    [
        *({"subsampling": each} for each in range(3)),
        {"progressive": True},
        {"restart_marker_rows": 1},
        {"keep_rgb": True},
        {"quality": 5},
        {"quality": 100},
    ],
)
@pytest.mark.parametrize("size", [(75, 50), (16, 17), (641, 33)])
def test_pixels_are_pillow_s(options: dict[str, Any], size: tuple[int, int]) -> None:
    data = encode(picture(size), **options)
    assert np.array_equal(decode(data), by_pillow(data))


def test_the_header_tells_what_is_in_the_file() -> None:
    profile = bytes(range(256)) * 300  # longer than one segment
    header = jpeg.read_header(encode(picture(), exif=b"Exif\0\0II*\0", icc_profile=profile))
    assert (header.format, header.mode, header.width, header.height) == ("JPEG", "RGB", 75, 50)
    assert (header.exif, header.profile, header.notes) == (b"Exif\0\0II*\0", profile, ())
    assert [jpeg.read_header(encode(picture(mode=mode))).mode for mode in ("L", "CMYK")] == ["L", "CMYK"]


def test_of_several_pictures_in_a_file_the_first_is_read() -> None:
    data = encode(picture(), format="MPO", save_all=True, append_images=[picture().rotate(180)])
    header = jpeg.read_header(data)
    assert (header.format, header.notes) == ("MPO", ("the first of several pictures in the file",))
    assert np.array_equal(jpeg.decode(header), by_pillow(data))


def test_inks_are_the_way_round_that_pillow_reads_them(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(jpeg, "convert_cmyk", lambda inks, profile: seen.append(inks))
    data = encode(picture(mode="CMYK"), quality=95)
    decode(data)
    with Image.open(io.BytesIO(data)) as image:
        assert np.array_equal(seen[0], np.asarray(image))


# --- damage ---


@pytest.mark.parametrize("lacking", [1, 2, 40, 400])
def test_a_file_cut_short_is_refused(lacking: int) -> None:
    fault = refusal(encode(picture())[:-lacking])
    assert (fault.code, fault.reason) == ("IMG_DAMAGED", "a damaged file (Premature end of JPEG file)")


def rotten(data: bytes) -> bytes:
    """Overwrites a part of the picture, as a bad sector does."""
    middle = (data.index(b"\xff\xda") + len(data)) // 2
    return data[:middle] + bytes(80) + data[middle + 80 :]


def test_what_libjpeg_repairs_in_silence_is_refused() -> None:
    data = encode(noisy(), quality=90)
    assert np.abs(by_pillow(rotten(data)).mean() - by_pillow(data).mean()) > 1  # and Pillow says nothing
    assert refusal(rotten(data)).reason.startswith("a damaged file (Corrupt JPEG data: ")


def test_a_lost_restart_marker_is_refused() -> None:
    data = encode(picture((400, 300)), restart_marker_rows=1)
    lost = data.replace(b"\xff\xd3", b"\x12\x34", 1)
    assert refusal(lost).reason.startswith("a damaged file (Corrupt JPEG data: ")


@pytest.mark.parametrize("padding", [b"\0" * 7, b"\xff" * 3, b"\0\xff\0"])
def test_padding_before_the_end_is_no_damage(padding: bytes) -> None:
    data = encode(picture())
    assert np.array_equal(decode(data[:-2] + padding + data[-2:]), by_pillow(data))
    assert refusal(data[:-2] + b"\x12" * 20 + padding + data[-2:]).code == "IMG_DAMAGED"


@pytest.mark.parametrize("after", [b"\0" * 9, b"any bytes", encode(picture())])
def test_what_follows_the_picture_is_no_damage(after: bytes) -> None:
    data = encode(picture())
    assert np.array_equal(decode(data + after), by_pillow(data))


def with_odd_scan_parameters(data: bytes) -> bytes:
    scan = data.index(b"\xff\xda")
    end = scan + 2 + int.from_bytes(data[scan + 2 : scan + 4], "big")
    return data[: end - 3] + b"\0\0\0" + data[end:]


def with_broken_profile(data: bytes) -> bytes:
    content = b"ICC_PROFILE\0\x07\x02half of one"
    return data[:2] + b"\xff\xe2" + (len(content) + 2).to_bytes(2, "big") + content + data[2:]


@pytest.mark.parametrize("change", [with_odd_scan_parameters, with_broken_profile])
def test_habits_of_cameras_are_no_damage_but_hide_none(change: Any) -> None:
    data = encode(noisy(), quality=90)
    assert np.array_equal(decode(change(data)), by_pillow(data))
    assert refusal(change(rotten(data))).code == "IMG_DAMAGED"


def test_a_profile_in_pieces_that_do_not_fit_counts_as_broken() -> None:
    assert jpeg.read_header(with_broken_profile(encode(picture()))).profile == b""


def test_headers_that_no_decoder_should_see() -> None:
    data = bytearray(encode(picture()))
    frame = data.index(b"\xff\xc0")
    twelve, nothing = data.copy(), data.copy()
    twelve[frame + 4] = 12
    nothing[frame + 5 : frame + 7] = b"\0\0"
    found = [refusal(bytes(each)) for each in (twelve, nothing, b"\xff\xd8\xff")]
    assert [(fault.code, fault.reason) for fault in found] == [
        ("IMG_FORMAT", "a JPEG of 12 bits a channel in place of 8"),
        ("IMG_DAMAGED", "a damaged file (a header that makes no sense)"),
        ("IMG_DAMAGED", "a damaged file (no header of a picture)"),
    ]


def test_a_progressive_file_of_endless_scans_is_refused_before_it_is_decoded() -> None:
    data = encode(picture((1_500, 1_500)), progressive=True, quality=5)
    scan = data.rindex(b"\xff\xda")
    fault = refusal(data[:scan] + data[scan:-2] * 500 + data[-2:])
    assert (fault.code, fault.reason) == ("IMG_TOO_LARGE", "a progressive JPEG of too many scans for its size")


@pytest.mark.parametrize(
    ("size", "least_side", "expected"),
    [
        ((1600, 1200), 400, (600, 450)),
        ((1600, 1200), 150, (200, 150)),
        ((1600, 1200), 601, (1600, 1200)),
        ((1600, 1200), 0, (1600, 1200)),
        ((300, 200), 448, (300, 200)),
        ((3000, 450), 448, (3000, 450)),
    ],
)
def test_a_picture_comes_no_smaller_than_it_must(
    size: tuple[int, int], least_side: int, expected: tuple[int, int]
) -> None:
    decoded = jpeg.decode(jpeg.read_header(encode(picture(size))), least_side)
    assert decoded.shape == (expected[1], expected[0], 4)


def test_a_smaller_picture_is_the_average_of_the_whole() -> None:
    data = encode(picture((1600, 1200)), quality=95)
    whole, small = Image.fromarray(decode(data)), Image.fromarray(jpeg.decode(jpeg.read_header(data), 448))
    assert small.size < whole.size
    framed = [np.asarray(image.resize((224, 224), Image.Resampling.BILINEAR)).astype(int) for image in (whole, small)]
    assert np.abs(framed[0] - framed[1]).mean() < 0.5
    assert np.abs(framed[0] - framed[1]).max() <= 4


@pytest.mark.parametrize("share", [0.3, 0.99])
def test_a_smaller_picture_of_a_truncated_file_is_refused(share: float) -> None:
    data = encode(picture((1600, 1200)))
    with pytest.raises(PhotoFault):
        jpeg.decode(jpeg.read_header(data[: int(share * len(data))]), 448)
