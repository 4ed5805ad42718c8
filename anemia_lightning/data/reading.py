"""Reading photographs: the one place where a file becomes pixels."""

from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from anemia_lightning.data import heic, jpeg, png, webp
from anemia_lightning.data.colour_profiles import convert_to_srgb
from anemia_lightning.data.container import Container, PhotoFault, sniff_format
from anemia_lightning.data.orientation import read_orientation, turn_upright
from anemia_lightning.data.photo_file import name_wrong_suffix, read_bytes
from anemia_lightning.data.white_background import WHITE_NOTE, clear_white_background
from anemia_lightning.errors import PhotoUnreadable

MAX_PIXELS = 50_000_000
"""Photographs with more pixels are refused by their header, before anything is decoded."""

MIN_SIDE = 16
"""Photographs with a shorter side are refused."""

TISSUE_ALPHA = 128
"""From this alpha value on, a pixel counts as tissue."""

SAME_LEVEL = 2
"""Values that differ by no more of 255 levels count as the same, because lossy formats do not keep them equal."""

_OPAQUE = 255
_SAMPLES = 64
_STRIP = 256
_GREY_MODES = {"1", "L", "LA", "I;16"}
_FORMATS = {"JPEG": jpeg, "MPO": jpeg, "PNG": png, "WEBP": webp, "HEIC": heic}


class Unreadable(NamedTuple):
    """A photograph that cannot be used, and why."""

    photo: str
    path: str
    code: str
    """Stable: IMG_MISSING, IMG_NOT_A_FILE, IMG_EMPTY, IMG_DENIED, IMG_FORMAT, IMG_ANIMATED, IMG_TOO_LARGE,
    IMG_TOO_SMALL, IMG_DAMAGED, IMG_CMYK, IMG_GREY, IMG_BLANK, IMG_NO_TISSUE; of a mask, MASK_ with what can be
    wrong with a file (MISSING to TOO_LARGE, DAMAGED, CMYK), MASK_SIZE and MASK_NO_TISSUE."""
    reason: str


@dataclass(frozen=True, eq=False, kw_only=True)
class Photograph:
    """A photograph, upright and in sRGB, and what its file was."""

    rgba: NDArray[np.uint8]
    """uint8 [height, width, 4]: red, green, blue, and alpha, which is 255 where neither file nor mask has any."""
    sha256: str
    """Of the file's bytes, in hexadecimal digits."""
    file_bytes: int
    format: str
    """JPEG, MPO, PNG, WEBP or HEIC, by content."""
    mode: str
    """Of the file, as Pillow names it: RGB, RGBA, P or CMYK."""
    width: int
    """Pixels, upright."""
    height: int
    orientation: int
    """The EXIF orientation, 1-8, that has been applied."""
    notes: tuple[str, ...]
    """What is out of the ordinary and was dealt with, for the record."""


def open_photo(path: str | Path, *, mask: str | Path | None = None, least_side: int = 0) -> Photograph:
    """Reads a photograph: decoded to its last byte, upright as its EXIF orientation says, in sRGB.

    JPEG, PNG and WebP are told by their content, HEIC too where pillow-heif is installed. Of a file with several
    pictures in one (MPO) the first is read. Nothing is repaired or guessed, but for what no pixel depends on: damaged
    EXIF data count as upright, damaged text and colour profiles as none, and each is noted. PNG has checksums, so no
    damage passes; JPEG and WebP have none, and of single flipped bits most decode without a trace: against those
    only the file's sha256 helps.

    Args:
        path: The file.
        mask: A picture of the same size whose pixels of 128 and more (of its alpha channel if it has one that
            is not opaque, else of its brightest channel) are tissue. It replaces the photograph's own alpha.
        least_side: Where not 0, a JPEG without a mask may be decoded at a smaller size, with both sides of at least so
            many pixels.

    Raises:
        PhotoUnreadable: If the file cannot be decoded whole, holds no colour photograph, or does not fit its mask.
    """
    path = Path(path)
    if least_side and mask is None and (smaller := _open_smaller(path, least_side)):
        return smaller
    try:
        photograph = _decode(path, is_mask=False)
    except PhotoFault as fault:
        raise PhotoUnreadable(path, fault.code, fault.reason) from fault
    if mask is not None:
        notes = _apply_mask(photograph.rgba, path, Path(mask))
        photograph = replace(photograph, notes=photograph.notes + notes)
    elif (cleared := clear_white_background(photograph.rgba)) is not photograph.rgba:
        notes = (*photograph.notes, WHITE_NOTE)
        photograph = replace(photograph, rgba=cleared, notes=notes)
    _check_content(photograph.rgba, path)
    return photograph


def _open_smaller(path: Path, least_side: int) -> Photograph | None:
    """Reads a photograph at a smaller size; None where only the whole can tell what it shows."""
    try:
        photograph = _decode(path, is_mask=False, least_side=least_side)
        _check_content(photograph.rgba, path)
    except (PhotoFault, PhotoUnreadable):
        return None
    return photograph if clear_white_background(photograph.rgba) is photograph.rgba else None


def read_photo(path: str | Path, *, mask: str | Path | None = None, least_side: int = 0) -> NDArray[np.uint8]:
    """Reads the pixels of a photograph, uint8 [H, W, 4], as `open_photo` does."""
    return open_photo(path, mask=mask, least_side=least_side).rgba


def _decode(path: Path, *, is_mask: bool, least_side: int = 0) -> Photograph:
    data = read_bytes(path)
    container = _FORMATS[sniff_format(data)].read_header(data)
    _check_header(container, is_mask=is_mask)
    notes = name_wrong_suffix(path, container.format) + container.notes
    try:
        orientation = read_orientation(container.exif)
    except ValueError as fault:
        orientation, notes = 1, (*notes, f"damaged EXIF data ({fault}), taken as upright")
    decoder = _FORMATS[container.format]
    rgba = jpeg.decode(container, least_side) if decoder is jpeg else decoder.decode(container)
    # CMYK has been converted by its profile already, and the values of a mask are no colours.
    if container.profile is not None and container.mode != "CMYK" and not is_mask:
        note = convert_to_srgb(rgba, container.profile)
        notes += (note,) if note else ()
    rgba = turn_upright(rgba, orientation)
    return Photograph(
        rgba=rgba,
        sha256=sha256(data).hexdigest(),
        file_bytes=len(data),
        format=container.format,
        mode=container.mode,
        width=rgba.shape[1],
        height=rgba.shape[0],
        orientation=orientation,
        notes=notes,
    )


def _check_header(container: Container, *, is_mask: bool) -> None:
    if container.is_animated:
        raise PhotoFault("IMG_ANIMATED", "an animation in place of one photograph")
    if container.width * container.height > MAX_PIXELS:
        raise PhotoFault("IMG_TOO_LARGE", f"a picture of more than {MAX_PIXELS // 10**6} megapixels")
    if is_mask:
        return
    if min(container.width, container.height) < MIN_SIDE:
        found = f"a picture of {container.width}x{container.height} pixels, which is less than {MIN_SIDE} a side"
        raise PhotoFault("IMG_TOO_SMALL", found)
    if container.mode in _GREY_MODES:
        raise _grey()


def _check_content(rgba: NDArray[np.uint8], path: Path) -> None:
    # Nearly every photograph shows by a few thousand pixels that it is one.
    for step in (max(1, min(rgba.shape[:2]) // _SAMPLES), 1):
        has_tissue, is_varied, is_coloured = _look_at_tissue(rgba[::step, ::step])
        if is_varied and is_coloured:
            return
    if not has_tissue:
        fault = PhotoFault("IMG_NO_TISSUE", f"a picture that is transparent throughout (no alpha of {TISSUE_ALPHA})")
    elif not is_varied:
        fault = PhotoFault("IMG_BLANK", "a blank picture (one colour throughout)")
    else:
        fault = _grey()
    raise PhotoUnreadable(path, fault.code, fault.reason)


def _look_at_tissue(rgba: NDArray[np.uint8]) -> tuple[bool, bool, bool]:
    """Says whether there is any tissue, whether its pixels differ, and whether any is other than grey."""
    low, high, spread = np.full(3, 255), np.zeros(3, dtype=int), 0
    # By strips, lest the search for one pixel of colour take more memory than the photograph.
    for top in range(0, len(rgba), _STRIP):
        strip = rgba[top : top + _STRIP]
        channels = np.ascontiguousarray(strip[strip[..., 3] >= TISSUE_ALPHA][:, :3].T)
        if channels.size:
            low, high = np.minimum(low, channels.min(axis=1)), np.maximum(high, channels.max(axis=1))
            spread = max(spread, int((channels.max(axis=0) - channels.min(axis=0)).max()))
    return bool((low <= high).all()), int((high - low).max()) > SAME_LEVEL, spread > SAME_LEVEL


def _grey() -> PhotoFault:
    return PhotoFault("IMG_GREY", "a greyscale picture, which shows no pallor")


def _apply_mask(rgba: NDArray[np.uint8], path: Path, mask: Path) -> tuple[str, ...]:
    """Writes a mask into the alpha channel, and returns what is to be noted of its file."""
    try:
        drawn = _decode(mask, is_mask=True)
    except PhotoFault as fault:
        code = fault.code.replace("IMG", "MASK")
        raise PhotoUnreadable(path, code, f"{fault.reason}, at its mask {mask}") from fault
    if drawn.rgba.shape != rgba.shape:
        found = f"a mask of {drawn.width}x{drawn.height} pixels for a photograph of {rgba.shape[1]}x{rgba.shape[0]}"
        raise PhotoUnreadable(path, "MASK_SIZE", found)
    alpha = drawn.rgba[..., 3]
    values = drawn.rgba[..., :3].max(axis=-1) if (alpha == _OPAQUE).all() else alpha
    tissue = values >= TISSUE_ALPHA
    if not tissue.any():
        raise PhotoUnreadable(path, "MASK_NO_TISSUE", f"a mask without tissue (no value of {TISSUE_ALPHA} or more)")
    rgba[..., 3] = np.where(tissue, _OPAQUE, 0)
    return tuple(f"mask: {note}" for note in drawn.notes)
