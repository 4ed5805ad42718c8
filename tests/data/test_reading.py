import hashlib
import io
import os
import struct
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps

from anemia_lightning.data.framing import Framing
from anemia_lightning.data.reading import open_photo, read_photo
from anemia_lightning.data.transforms import normalise
from anemia_lightning.errors import PhotoUnreadable, UnreadablePhotosError


def colourful(height: int = 26, width: int = 29, channels: int = 3) -> NDArray[np.uint8]:
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
    assert rgba.shape == (26, 29, 4)
    assert rgba.dtype == np.uint8
    assert (rgba[..., 3] == 255).all()


def test_the_extension_says_nothing(tmp_path: Path) -> None:
    path = save(tmp_path / "a.jpg", colourful(), format="PNG")
    assert np.array_equal(read_photo(str(path))[..., :3], colourful())


def test_the_facts_of_a_file_are_kept(tmp_path: Path) -> None:
    path = save(tmp_path / "a.jpg", colourful(), format="PNG")
    photograph = open_photo(path)
    assert photograph.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert photograph.file_bytes == path.stat().st_size
    facts = (photograph.format, photograph.mode, photograph.width, photograph.height, photograph.orientation)
    assert facts == ("PNG", "RGB", 29, 26, 1)
    assert photograph.notes == ("named '.jpg', in the format PNG",)
    assert np.array_equal(photograph.rgba, read_photo(path))


def exif(orientation: int) -> Image.Exif:
    block = Image.Exif()
    block[ExifTags.Base.Orientation] = orientation
    return block


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(("suffix", "options"), [("png", {}), ("jpg", {"quality": 95}), ("webp", {"lossless": True})])
def test_every_exif_orientation_is_applied_as_pillow_does(
    tmp_path: Path, orientation: int, suffix: str, options: dict[str, Any]
) -> None:
    path = save(tmp_path / f"a.{suffix}", colourful(), exif=exif(orientation), **options)
    photograph = open_photo(path)
    with Image.open(path) as image:
        expected = np.asarray(ImageOps.exif_transpose(image).convert("RGBA"))
    assert np.array_equal(photograph.rgba, expected)
    assert (photograph.orientation, photograph.width, photograph.height) == (orientation, *expected.shape[1::-1])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_rotated_copy_gives_the_same_tensor_as_the_upright_one(tmp_path: Path, orientation: int) -> None:
    undo = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 8, 7: 7, 8: 6}
    upright = Image.fromarray(colourful())
    turned = upright.copy()
    turned.getexif()[ExifTags.Base.Orientation] = undo[orientation]
    as_held = ImageOps.exif_transpose(turned)
    upright.save(tmp_path / "upright.png")
    as_held.save(tmp_path / "held.png", exif=exif(orientation))
    framing = Framing(size=16, region="full", resize="stretch", background=(124, 116, 104))
    squares = [framing.apply(read_photo(tmp_path / name)) for name in ("upright.png", "held.png")]
    tensors = [normalise(torch.from_numpy(square).permute(2, 0, 1)[None]) for square in squares]
    assert torch.equal(*tensors)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
@pytest.mark.parametrize("block", [b"Exif\0\0garbage that is no TIFF", b"Exif\0\0II*\0\x08\0\0\0\x09\0\x12\x01"])
def test_a_photo_with_damaged_exif_counts_as_upright_and_is_noted(tmp_path: Path, suffix: str, block: bytes) -> None:
    photograph = open_photo(save(tmp_path / f"a.{suffix}", colourful(), exif=block))
    assert (photograph.orientation, photograph.rgba.shape) == (1, (26, 29, 4))
    assert photograph.notes[0].startswith("damaged EXIF data (")


@pytest.mark.parametrize(
    "name", ["lid \u202egnp.png", "a\nb.png", "眼瞼.png", "é e\u0301.png", "-rf.png", "a'\"$(x).png"]
)
def test_any_file_name_will_do(tmp_path: Path, name: str) -> None:
    assert read_photo(save(tmp_path / name, colourful())).shape == (26, 29, 4)


def test_reading_writes_nothing(tmp_path: Path) -> None:
    path = save(tmp_path / "a.jpg", colourful())
    path.write_bytes(path.read_bytes()[:-2])
    before = path.read_bytes()
    refusal(path)
    assert [*tmp_path.iterdir()] == [path]
    assert path.read_bytes() == before


# --- refusals ---


def test_files_that_are_no_photograph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
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
        (
            "IMG_FORMAT",
            "a HEIC file in place of JPEG, PNG or WebP (convert it, or pip install 'anemia-lightning[heic]')",
        ),
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
    assert refusal(path).reason == "a damaged file (Premature end of JPEG file)"


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


def test_pictures_that_show_no_pallor_are_refused(tmp_path: Path) -> None:
    grey = colourful()[..., 0]
    transparent = np.dstack([colourful(), np.full((26, 29), 127, dtype=np.uint8)])
    lone = np.dstack([colourful(), np.zeros((26, 29), dtype=np.uint8)])
    lone[3:5, 3:5] = (200, 90, 80, 255)
    pictures = {"grey": grey, "stored": np.dstack([grey] * 3), "blank": np.full((26, 29, 3), (200, 90, 80), np.uint8)}
    pictures |= {"transparent": transparent, "lone": lone, "thin": colourful(15, 400)}
    found = {name: refusal(save(tmp_path / f"{name}.png", pixels)) for name, pixels in pictures.items()}
    assert {name: (fault.code, fault.reason) for name, fault in found.items()} == {
        "grey": ("IMG_GREY", "a greyscale picture, which shows no pallor"),
        "stored": ("IMG_GREY", "a greyscale picture, which shows no pallor"),
        "blank": ("IMG_BLANK", "a blank picture (one colour throughout)"),
        "transparent": ("IMG_NO_TISSUE", "a picture that is transparent throughout (no alpha of 128)"),
        "lone": ("IMG_BLANK", "a blank picture (one colour throughout)"),
        "thin": ("IMG_TOO_SMALL", "a picture of 400x15 pixels, which is less than 16 a side"),
    }


def test_a_little_tissue_on_a_wide_canvas_is_found(tmp_path: Path) -> None:
    rgba = np.zeros((700, 900, 4), dtype=np.uint8)
    rgba[401, 333:335] = [(200, 90, 80, 255), (180, 70, 60, 255)]
    assert np.array_equal(read_photo(save(tmp_path / "a.png", rgba)), rgba)


def test_a_file_of_too_many_bytes_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    with path.open("wb") as file:
        file.truncate(50_000_001)
    assert (refusal(path).code, refusal(path).reason) == ("IMG_TOO_LARGE", "a file of more than 50 MB")


# --- masks ---


def test_a_mask_becomes_the_alpha_channel(tmp_path: Path) -> None:
    photo = save(tmp_path / "a.png", colourful())
    values = colourful()[..., 1]
    tissue = np.where(values >= 128, 255, 0)
    grey = save(tmp_path / "grey.png", values)
    deep = save(tmp_path / "deep.png", values.astype(np.uint16) * 257)
    cut_out = save(tmp_path / "cut.png", np.dstack([colourful(), values]))
    for mask in (grey, deep, cut_out):
        rgba = read_photo(photo, mask=mask)
        assert np.array_equal(rgba[..., 3], tissue)
        assert np.array_equal(rgba[..., :3], colourful())


def test_a_mask_of_16_bits_is_scaled_not_clipped(tmp_path: Path) -> None:
    photo = save(tmp_path / "a.png", colourful())
    values = np.full((26, 29), 32_000, dtype=np.uint16)
    values[:13] = 33_000
    rgba = read_photo(photo, mask=save(tmp_path / "mask.png", values))
    assert (rgba[:13, :, 3] == 255).all()
    assert (rgba[13:, :, 3] == 0).all()


def test_a_mask_must_fit_and_hold_tissue(tmp_path: Path) -> None:
    photo = save(tmp_path / "a.png", colourful())
    wide = refusal(photo, mask=save(tmp_path / "wide.png", np.full((26, 30), 255, dtype=np.uint8)))
    dark = refusal(photo, mask=save(tmp_path / "dark.png", np.ones((26, 29), dtype=np.uint8)))
    assert (wide.code, wide.reason) == ("MASK_SIZE", "a mask of 30x26 pixels for a photograph of 29x26")
    assert (dark.code, dark.reason) == ("MASK_NO_TISSUE", "a mask without tissue (no value of 128 or more)")
    gone = refusal(photo, mask=tmp_path / "gone.png")
    assert (gone.code, gone.reason) == ("MASK_MISSING", f"no file there, at its mask {tmp_path / 'gone.png'}")


def test_the_notes_of_a_mask_are_told_apart(tmp_path: Path) -> None:
    photo = save(tmp_path / "a.png", colourful())
    mask = save(tmp_path / "mask.jpg", colourful()[..., 0], format="PNG")
    assert open_photo(photo, mask=mask).notes == ("mask: named '.jpg', in the format PNG",)


# --- listing ---


def test_of_very_many_the_first_are_named_and_the_others_counted() -> None:
    denied = [(f"{number}.png", f"/disk/{number}.png", "IMG_DENIED", "no permission") for number in range(1300)]
    empty = [(f"{number}.jpg", f"/disk/{number}.jpg", "IMG_EMPTY", "an empty file") for number in range(50)]
    lines = str(UnreadablePhotosError([*denied, *empty], change="Replace them")).splitlines()
    assert lines[1] == "  0.png: IMG_DENIED, no permission (/disk/0.png)"
    assert lines[200] == "  199.png: IMG_DENIED, no permission (/disk/199.png)"
    assert lines[201:] == [
        "  and 1,150 more: IMG_DENIED 1,100, IMG_EMPTY 50; audit.json, which the command audit leaves, lists all"
    ]
    alone = str(UnreadablePhotosError(denied, change="Replace them", is_none_left=True))
    assert alone.endswith("and 1,100 more: IMG_DENIED 1,100"), "an audit could not go on either"
    assert str(UnreadablePhotosError(denied[:200], change="Replace them")).count("\n") == 200


def test_only_a_jpeg_without_a_mask_is_read_smaller(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (900, 1000, 3), dtype=np.uint8)
    mask = np.zeros((900, 1000), dtype=np.uint8)
    mask[:500] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    for suffix in ("jpg", "png"):
        Image.fromarray(pixels).save(tmp_path / f"a.{suffix}")
    assert read_photo(tmp_path / "a.jpg", least_side=448).shape == (450, 500, 4)
    assert read_photo(tmp_path / "a.jpg").shape == (900, 1000, 4)
    assert read_photo(tmp_path / "a.png", least_side=448).shape == (900, 1000, 4)
    assert read_photo(tmp_path / "a.jpg", mask=tmp_path / "mask.png", least_side=448).shape == (900, 1000, 4)


def test_what_only_the_whole_photo_can_tell_is_not_guessed_from_a_smaller_one(tmp_path: Path) -> None:
    tissue = np.full((900, 1000, 3), 255, dtype=np.uint8)
    tissue[300:600, 200:800] = np.random.default_rng(0).integers(80, 200, (300, 600, 3))
    Image.fromarray(tissue).save(tmp_path / "white.jpg", quality=95)
    whole, asked_smaller = read_photo(tmp_path / "white.jpg"), read_photo(tmp_path / "white.jpg", least_side=448)
    assert (whole[..., 3] == 0).any(), "a white background becomes transparent"
    assert np.array_equal(whole, asked_smaller)
    grey = np.full((900, 1000, 3), 128, dtype=np.uint8)
    grey[::2, ::2] = (140, 120, 120)
    Image.fromarray(grey).save(tmp_path / "fine.jpg", quality=95, subsampling=0)
    assert read_photo(tmp_path / "fine.jpg", least_side=448).shape[2] == 4
