import io
import os
import struct
import threading
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from PIL import ExifTags, Image

from anemia_lightning.data import reading
from anemia_lightning.data.reading import Framing, check_photos, frame_photo, read_photo
from anemia_lightning.errors import ConfigError, PhotoUnreadable, UnreadablePhotosError

GREY = (124, 116, 104)


def colourful(height: int = 6, width: int = 9, channels: int = 3) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (height, width, channels), dtype=np.uint8)


def save(path: Path, pixels: NDArray[Any], **options: Any) -> Path:
    Image.fromarray(pixels).save(path, **options)
    return path


def refusal(path: Path, **options: Any) -> PhotoUnreadable:
    with pytest.raises(PhotoUnreadable) as caught:
        read_photo(path, **options)
    return caught.value


# --- decoding ---


@pytest.mark.parametrize(("suffix", "options"), [("png", {}), ("webp", {"lossless": True})])
def test_pixels_arrive_as_they_were_written(tmp_path: Path, suffix: str, options: dict[str, Any]) -> None:
    pixels = colourful(channels=4) | np.array([0, 0, 0, 1], dtype=np.uint8)
    path = save(tmp_path / f"a.{suffix}", pixels, **options)
    assert np.array_equal(read_photo(path)[pixels[..., 3] > 128], pixels[pixels[..., 3] > 128])


def test_a_photo_without_alpha_is_opaque(tmp_path: Path) -> None:
    rgba = read_photo(save(tmp_path / "a.jpg", colourful(), quality=95))
    assert rgba.shape == (6, 9, 4)
    assert rgba.dtype == np.uint8
    assert (rgba[..., 3] == 255).all()


def test_the_extension_says_nothing(tmp_path: Path) -> None:
    path = save(tmp_path / "a.jpg", colourful(), format="PNG")
    assert np.array_equal(read_photo(str(path))[..., :3], colourful())


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "jpg", "webp"])
def test_every_exif_orientation_is_applied(tmp_path: Path, orientation: int, suffix: str) -> None:
    # The corners name themselves by brightness, so every turn and mirror can be told apart.
    upright = np.kron(np.array([[0, 80, 160], [40, 120, 240]], dtype=np.uint8), np.ones((16, 16), dtype=np.uint8))
    by_hand: dict[int, Callable[[Any], Any]] = {
        1: lambda a: a,
        2: np.fliplr,
        3: lambda a: np.rot90(a, 2),
        4: np.flipud,
        5: np.transpose,
        6: lambda a: np.rot90(a, 1),
        7: lambda a: np.rot90(a, 2).T,
        8: lambda a: np.rot90(a, -1),
    }
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    as_taken = np.ascontiguousarray(by_hand[orientation](upright))
    path = save(tmp_path / f"a.{suffix}", np.stack([as_taken] * 3, axis=-1), exif=exif, quality=100)
    grey = read_photo(path)[..., 0].astype(int)
    assert grey.shape == upright.shape
    assert np.abs(grey - upright).max() < 8


def test_16_bit_grey_is_scaled_not_clipped(tmp_path: Path) -> None:
    grey = np.array([[0, 257, 1000, 32768, 65535]], dtype=np.uint16)
    rgba = read_photo(save(tmp_path / "a.png", grey))
    assert rgba[0, :, 0].tolist() == np.round(grey[0] / 257).astype(int).tolist()
    assert (rgba[..., 0] == rgba[..., 2]).all()


@pytest.mark.parametrize("mode", ["L", "LA", "1", "P", "CMYK"])
def test_other_modes_become_rgba(tmp_path: Path, mode: str) -> None:
    image = Image.new("RGB", (4, 3), (255, 255, 255)).convert(mode)
    path = tmp_path / ("a.jpg" if mode == "CMYK" else "a.png")
    image.save(path)
    assert (read_photo(path) == 255).all()


def test_a_palette_keeps_its_transparency(tmp_path: Path) -> None:
    image = Image.fromarray(np.array([[0, 1]], dtype=np.uint8), mode="P")
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.save(tmp_path / "a.png", transparency=b"\x00\xff")
    assert read_photo(tmp_path / "a.png").tolist() == [[[10, 20, 30, 0], [40, 50, 60, 255]]]


def test_the_first_picture_of_a_phone_s_mpo_is_read(tmp_path: Path) -> None:
    first, preview = (Image.new("RGB", (16, 16), colour) for colour in ("red", "blue"))
    first.save(tmp_path / "a.jpg", format="MPO", save_all=True, append_images=[preview])
    assert read_photo(tmp_path / "a.jpg")[0, 0, 0] > 200


# --- refusals ---


def test_files_that_are_no_photograph(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.jpg").write_text("not a picture")
    (tmp_path / "phone.jpg").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    save(tmp_path / "scan.tif", colourful())
    seen = {
        name: refusal(tmp_path / name) for name in ("gone.jpg", ".", "empty.jpg", "text.jpg", "phone.jpg", "scan.tif")
    }
    assert [(fault.code, fault.reason) for fault in seen.values()] == [
        ("IMG_MISSING", "no file there"),
        ("IMG_NOT_A_FILE", "a folder or device in place of a file"),
        ("IMG_EMPTY", "an empty file"),
        ("IMG_FORMAT", "no JPEG, PNG or WebP picture in the file"),
        ("IMG_FORMAT", "a HEIC file in place of JPEG, PNG or WebP"),
        ("IMG_FORMAT", "a TIFF file in place of JPEG, PNG or WebP"),
    ]
    assert str(seen["empty.jpg"]) == (
        f"Looked for a photograph in {tmp_path / 'empty.jpg'}; found an empty file. "
        "Give a whole JPEG, PNG or WebP file."
    )


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP"])
def test_a_truncated_file_is_refused(tmp_path: Path, format_: str) -> None:
    memory = io.BytesIO()
    Image.fromarray(colourful(64, 64)).save(memory, format=format_)
    path = tmp_path / "a"
    path.write_bytes(memory.getvalue()[: len(memory.getvalue()) * 2 // 3])
    assert refusal(path).code == "IMG_DAMAGED"


def test_a_jpeg_that_lacks_two_bytes_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "a.jpg", colourful(64, 64))
    path.write_bytes(path.read_bytes()[:-2])
    assert refusal(path).reason.startswith("a damaged file (image file is truncated")


def test_a_device_is_refused_without_waiting_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.jpg")
    assert refusal(tmp_path / "a.jpg").code == "IMG_NOT_A_FILE"


def test_an_animation_is_refused(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    for suffix in ("png", "webp"):
        frames[0].save(tmp_path / f"a.{suffix}", save_all=True, append_images=frames[1:])
        assert refusal(tmp_path / f"a.{suffix}").code == "IMG_ANIMATED"


@pytest.mark.parametrize("side", [7_100, 10_000, 40_000])
def test_a_picture_of_too_many_pixels_is_refused_by_its_header(tmp_path: Path, side: int) -> None:
    # Below, between and above Pillow's own two limits; there are no pixels behind the header.
    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    (tmp_path / "bomb.png").write_bytes(
        b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    )
    fault = refusal(tmp_path / "bomb.png")
    assert (fault.code, fault.reason) == ("IMG_TOO_LARGE", "a picture of more than 50 megapixels")


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
@pytest.mark.parametrize("exif", [b"Exif\0\0garbage that is no TIFF", b"Exif\0\0II*\0\x08\0\0\0\x09\0\x12\x01"])
def test_a_photo_with_damaged_exif_counts_as_upright(tmp_path: Path, suffix: str, exif: bytes) -> None:
    assert read_photo(save(tmp_path / f"a.{suffix}", colourful(), exif=exif)).shape == (6, 9, 4)


# --- masks ---


def test_a_mask_becomes_the_alpha_channel(tmp_path: Path) -> None:
    photo = save(tmp_path / "a.png", colourful(2, 3))
    values = np.array([[0, 127, 128], [200, 255, 3]], dtype=np.uint8)
    grey = save(tmp_path / "grey.png", values)
    cut_out = save(tmp_path / "cut.png", np.dstack([colourful(2, 3), values]))
    for mask in (grey, cut_out):
        rgba = read_photo(photo, mask=mask)
        assert rgba[..., 3].tolist() == [[0, 0, 255], [255, 255, 0]]
        assert np.array_equal(rgba[..., :3], colourful(2, 3))


def test_a_mask_must_fit_and_hold_tissue(tmp_path: Path) -> None:
    photo = save(tmp_path / "a.png", colourful(2, 3))
    wide = refusal(photo, mask=save(tmp_path / "wide.png", np.full((2, 4), 255, dtype=np.uint8)))
    dark = refusal(photo, mask=save(tmp_path / "dark.png", np.ones((2, 3), dtype=np.uint8)))
    assert (wide.code, wide.reason) == ("MASK_SIZE", "a mask of 4x2 pixels for a photograph of 3x2")
    assert (dark.code, dark.reason) == ("MASK_NO_TISSUE", "a mask without tissue (no value of 128 or more)")
    gone = refusal(photo, mask=tmp_path / "gone.png")
    assert (gone.code, gone.reason) == ("MASK_MISSING", f"no file there, at its mask {tmp_path / 'gone.png'}")


# --- framing ---


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


# --- checking ---


def gallery(folder: Path) -> pd.DataFrame:
    names = [f"{number}.png" for number in range(6)]
    for name in names:
        save(folder / name, colourful())
    (folder / "1.png").write_bytes(b"")
    (folder / "4.png").unlink()
    paths = [str(folder / name) for name in names]
    return pd.DataFrame({"photo": names, "path": paths, "mask": ["", "", "", paths[1], "", ""]})


@pytest.mark.parametrize("threads", [1, 3])
def test_check_lists_the_unreadable_in_order(tmp_path: Path, threads: int) -> None:
    calls: list[tuple[int, int]] = []
    found = check_photos(gallery(tmp_path), threads=threads, progress=lambda done, total: calls.append((done, total)))
    assert [(each.photo, each.code) for each in found] == [
        ("1.png", "IMG_EMPTY"),
        ("3.png", "MASK_EMPTY"),
        ("4.png", "IMG_MISSING"),
    ]
    assert calls == [(done, 6) for done in range(1, 7)]


def test_check_decodes_each_photo_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    lock = threading.Lock()
    decode = reading.read_photo

    def counting(path: str, *, mask: str | None = None) -> NDArray[np.uint8]:
        with lock:
            seen.append(path)
        return decode(path, mask=mask)

    monkeypatch.setattr(reading, "read_photo", counting)
    photos = gallery(tmp_path)
    check_photos(photos)
    assert sorted(seen) == photos["path"].tolist()


def test_the_report_names_all_with_their_reasons(tmp_path: Path) -> None:
    report = str(UnreadablePhotosError(check_photos(gallery(tmp_path))))
    assert report.splitlines() == [
        "Looked for photographs that can be decoded; found 3 that cannot. "
        "Replace or remove them, or leave them out with data.on_unreadable=skip:",
        f"  1.png: IMG_EMPTY, an empty file ({tmp_path / '1.png'})",
        f"  3.png: MASK_EMPTY, an empty file, at its mask {tmp_path / '1.png'} ({tmp_path / '3.png'})",
        f"  4.png: IMG_MISSING, no file there ({tmp_path / '4.png'})",
    ]
