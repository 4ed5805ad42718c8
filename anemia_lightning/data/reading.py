"""Reading photographs: the one place where a file becomes pixels, and pixels the square for the network."""

import stat
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from anemia_lightning.errors import ConfigError, PhotoUnreadable

Region = Literal["full", "mask_crop"]
Resize = Literal["stretch", "letterbox"]

MAX_PIXELS = 50_000_000
"""Photographs with more pixels are refused by their header, before anything is decoded."""

TISSUE_ALPHA = 128
"""From this alpha value on, a pixel counts as tissue."""

_OPAQUE = 255
_FORMATS = ("JPEG", "PNG", "WEBP")
_OTHER_FORMATS = {b"GIF8": "GIF", b"BM": "BMP", b"II*\0": "TIFF", b"MM\0*": "TIFF", b"%PDF": "PDF"}
_PHONE_FORMATS = {
    b"ftyphei": "HEIC",
    b"ftyphev": "HEIC",
    b"ftypmif1": "HEIC",
    b"ftypmsf1": "HEIC",
    b"ftypavi": "AVIF",
}

# A file of a few kilobytes can claim gigapixels; Pillow would only warn and go on.
warnings.filterwarnings("error", category=Image.DecompressionBombWarning)
# Of an EXIF block only the orientation matters here, and it comes first.
warnings.filterwarnings("ignore", category=UserWarning, message="Corrupt EXIF data")


class Unreadable(NamedTuple):
    """A photograph that cannot be used, and why."""

    photo: str
    path: str
    code: str
    """Stable: IMG_MISSING, IMG_NOT_A_FILE, IMG_EMPTY, IMG_DENIED, IMG_FORMAT, IMG_ANIMATED, IMG_TOO_LARGE,
    IMG_DAMAGED; the same with MASK_ where they are the mask's; MASK_SIZE, MASK_NO_TISSUE."""
    reason: str


@dataclass(frozen=True, kw_only=True)
class Framing:
    """How a photograph becomes a square; plain values that travel in checkpoints.

    Args:
        size: Side of the square in pixels.
        region: The whole photograph, or the bounding box of its tissue.
        resize: Stretch to the square, or keep the aspect ratio and fill up with the background.
        background: Red, green and blue, 0-255, behind transparent pixels and beside a letterboxed photograph.

    Raises:
        ConfigError: If a value is none of the choices.
    """

    size: int
    region: Region
    resize: Resize
    background: tuple[int, int, int]

    def __post_init__(self) -> None:
        problems = []
        if not _is_whole(self.size) or self.size < 1:
            problems.append(f"data.image_size is {self.size!r}; it must be a whole number of pixels above 0.")
        for key, choices in (("region", get_args(Region)), ("resize", get_args(Resize))):
            if (value := getattr(self, key)) not in choices:
                problems.append(f"data.{key} is {value!r}; choose {' or '.join(choices)}.")
        if not _is_colour(self.background):
            problems.append(f"data.background is {self.background!r}; it must be three whole numbers from 0 to 255.")
        if problems:
            raise ConfigError(problems)
        object.__setattr__(self, "background", tuple(self.background))

    def to_dict(self) -> dict[str, Any]:
        """Returns what `Framing(**...)` takes, as plain values."""
        return asdict(self)

    def apply(self, rgba: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Frames a photograph, uint8 [H, W, 4] to [size, size, 3]."""
        return frame_photo(rgba, size=self.size, region=self.region, resize=self.resize, background=self.background)


def read_photo(path: str | Path, *, mask: str | Path | None = None) -> NDArray[np.uint8]:
    """Decodes a photograph, upright as its EXIF orientation says.

    JPEG, PNG and WebP are told by their content. Greyscale becomes three equal channels, 16 bits are scaled
    to 8, and colour profiles are not applied.

    Args:
        path: The file.
        mask: A picture of the same size whose pixels of 128 and more (of its alpha channel if it has one that
            is not opaque, else of its brightest channel) are tissue. It replaces the photograph's own alpha.

    Returns:
        Red, green, blue, alpha: uint8 [H, W, 4]; alpha is 255 where the file has none.

    Raises:
        PhotoUnreadable: If the file cannot be decoded to its last byte, or does not fit its mask.
    """
    rgba = _decode(Path(path))
    if mask is not None:
        rgba[..., 3] = _read_mask(Path(mask), rgba.shape[:2])
    return rgba


def frame_photo(
    rgba: NDArray[np.uint8], *, size: int, region: Region, resize: Resize, background: tuple[int, int, int]
) -> NDArray[np.uint8]:
    """Cuts, composites and resizes a photograph to a square.

    Composited first, (colour * alpha + background * (255 - alpha)) / 255 rounded to the nearest whole number,
    so that colours hidden under transparent pixels never bleed into the tissue. Resized bilinearly with
    antialiasing.

    Args:
        rgba: uint8 [H, W, 4].
        size: Side of the square in pixels.
        region: full, or mask_crop: the bounding box of alpha >= 128, which is everything if no pixel has it.
        resize: stretch, or letterbox: centred, with its aspect ratio, on the background.
        background: Red, green and blue.

    Returns:
        uint8 [size, size, 3].
    """
    if region == "mask_crop":
        rgba = _crop_to_tissue(rgba)
    image = Image.fromarray(_composite(rgba, background))
    if resize == "stretch":
        return np.array(image.resize((size, size), Image.Resampling.BILINEAR))
    scale = size / max(image.size)
    width, height = (max(1, round(side * scale)) for side in image.size)
    square = Image.new("RGB", (size, size), background)
    inner = image.resize((width, height), Image.Resampling.BILINEAR)
    square.paste(inner, ((size - width) // 2, (size - height) // 2))
    return np.array(square)


def check_photos(
    manifest: pd.DataFrame, *, threads: int = 2, progress: Callable[[int, int], None] | None = None
) -> list[Unreadable]:
    """Decodes every photograph of a manifest once, to its last byte.

    Args:
        manifest: The photos.
        threads: Decoders at work; they change nothing but the time it takes.
        progress: Called with (photos checked, photos in all) after each photo.

    Returns:
        Those that cannot be read, in the manifest's order.
    """
    rows = list(zip(manifest["photo"], manifest["path"], manifest["mask"], strict=True))
    unreadable = []
    with ThreadPoolExecutor(threads) as pool:
        for done, fault in enumerate(pool.map(_check_photo, rows), start=1):
            if fault is not None:
                unreadable.append(fault)
            if progress is not None:
                progress(done, len(rows))
    return unreadable


def _check_photo(row: tuple[str, str, str]) -> Unreadable | None:
    photo, path, mask = row
    try:
        read_photo(path, mask=mask or None)
    except PhotoUnreadable as fault:
        return Unreadable(photo, path, fault.code, fault.reason)
    return None


def _decode(path: Path) -> NDArray[np.uint8]:
    _check_file(path)
    try:
        with Image.open(path, formats=_FORMATS) as image:
            _check_header(path, image)
            image.load()
            # As in any viewer, a photograph whose EXIF block is damaged counts as upright.
            with suppress(Exception):
                ImageOps.exif_transpose(image, in_place=True)
            return _to_rgba(image)
    except PhotoUnreadable:
        raise
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as fault:
        raise _too_large(path) from fault
    except PermissionError as fault:
        raise PhotoUnreadable(path, "IMG_DENIED", "no permission to read it") from fault
    except UnidentifiedImageError as fault:
        raise PhotoUnreadable(path, "IMG_FORMAT", _describe_content(path)) from fault
    except Exception as fault:  # decoders raise whatever they like on damaged bytes
        raise PhotoUnreadable(path, "IMG_DAMAGED", f"a damaged file ({fault})") from fault


def _check_file(path: Path) -> None:
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise PhotoUnreadable(path, "IMG_MISSING", "no file there") from None
    except (OSError, ValueError) as fault:
        raise PhotoUnreadable(path, "IMG_DENIED", f"no access to it ({fault})") from fault
    if not stat.S_ISREG(status.st_mode):
        raise PhotoUnreadable(path, "IMG_NOT_A_FILE", "a folder or device in place of a file")
    if status.st_size == 0:
        raise PhotoUnreadable(path, "IMG_EMPTY", "an empty file")


def _check_header(path: Path, image: Image.Image) -> None:
    if image.width * image.height > MAX_PIXELS:
        raise _too_large(path)
    # Some phones store a photograph and its preview together (MPO); the photograph is the first.
    if image.format != "MPO" and getattr(image, "is_animated", False):
        raise PhotoUnreadable(path, "IMG_ANIMATED", "an animation in place of one photograph")


def _too_large(path: Path) -> PhotoUnreadable:
    return PhotoUnreadable(path, "IMG_TOO_LARGE", f"a picture of more than {MAX_PIXELS // 10**6} megapixels")


def _describe_content(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(12)
    names = [name for mark, name in _OTHER_FORMATS.items() if start.startswith(mark)]
    names += [name for mark, name in _PHONE_FORMATS.items() if start[4:].startswith(mark)]
    return f"a {names[0]} file in place of JPEG, PNG or WebP" if names else "no JPEG, PNG or WebP picture in the file"


def _to_rgba(image: Image.Image) -> NDArray[np.uint8]:
    if image.mode.startswith("I"):
        # Pillow would clip 16-bit grey at 255 and turn nearly everything white.
        grey = np.asarray(image).astype(np.uint32)
        image = Image.fromarray(((grey * 255 + 32767) // 65535).astype(np.uint8))
    if image.mode == "CMYK":
        image = image.convert("RGB")
    return np.array(image.convert("RGBA"))


def _read_mask(path: Path, size: tuple[int, ...]) -> NDArray[np.uint8]:
    try:
        rgba = _decode(path)
    except PhotoUnreadable as fault:
        code = fault.code.replace("IMG", "MASK")
        raise PhotoUnreadable(path, code, f"{fault.reason}, at its mask {path}") from fault
    if rgba.shape[:2] != size:
        found = f"a mask of {rgba.shape[1]}x{rgba.shape[0]} pixels for a photograph of {size[1]}x{size[0]}"
        raise PhotoUnreadable(path, "MASK_SIZE", found)
    alpha = rgba[..., 3]
    values = rgba[..., :3].max(axis=-1) if (alpha == _OPAQUE).all() else alpha
    tissue = values >= TISSUE_ALPHA
    if not tissue.any():
        raise PhotoUnreadable(path, "MASK_NO_TISSUE", f"a mask without tissue (no value of {TISSUE_ALPHA} or more)")
    return np.where(tissue, _OPAQUE, 0).astype(np.uint8)


def _crop_to_tissue(rgba: NDArray[np.uint8]) -> NDArray[np.uint8]:
    tissue = rgba[..., 3] >= TISSUE_ALPHA
    rows, columns = np.flatnonzero(tissue.any(axis=1)), np.flatnonzero(tissue.any(axis=0))
    if not rows.size:
        return rgba
    return rgba[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _composite(rgba: NDArray[np.uint8], background: tuple[int, int, int]) -> NDArray[np.uint8]:
    if (rgba[..., 3] == _OPAQUE).all():
        return rgba[..., :3]
    alpha = rgba[..., 3:].astype(np.uint16)
    # 255 * 255 + 127 still fits into 16 bits.
    mixed = rgba[..., :3] * alpha + np.array(background, dtype=np.uint16) * (255 - alpha)
    return ((mixed + 127) // 255).astype(np.uint8)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_colour(value: object) -> bool:
    if not isinstance(value, list | tuple) or len(value) != len("rgb"):
        return False
    return all(_is_whole(each) and 0 <= each <= _OPAQUE for each in value)
