"""JPEG files: what their headers say, and their pixels, decoded so that no damage is repaired in silence."""

import re
import struct
from collections.abc import Iterator

import numpy as np
import simplejpeg  # type: ignore[import-untyped]
from numpy.typing import NDArray

from anemia_lightning.data.colour_profiles import convert_cmyk
from anemia_lightning.data.container import BROKEN_PROFILE, MOST_PARTS, Container, PhotoFault, damaged

_MODES = {1: "L", 3: "RGB", 4: "CMYK"}
_FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_FRAME = struct.Struct(">BHHB")
_SCAN, _END, _APP1, _APP2, _FILL = 0xDA, 0xD9, 0xE1, 0xE2, 0xFF
_ICC_MARK = b"ICC_PROFILE\0"
_ICC_HEADER = 14  # the mark, the number of the piece, and how many there are
_PADDING = re.compile(r"(\d+) extraneous bytes before marker 0xd9")

_MOST_SCAN_PIXELS = 1_000_000_000
"""Pixels times scans: a progressive file of a few kilobytes can hold scans for minutes. Encoders make up to 12."""


def read_header(data: bytes) -> Container:
    """Reads the headers of a JPEG file.

    Raises:
        PhotoFault: If they make no sense.
    """
    exif, pieces, is_first_of_several, frame = b"", dict[int, bytes](), False, None
    for _, marker, content in _segments(data):
        if marker in _FRAMES and frame is None and len(content) >= _FRAME.size:
            frame = _FRAME.unpack_from(content)
        elif marker == _APP1 and content.startswith(b"Exif\0\0") and not exif:
            exif = content
        elif marker == _APP2 and content.startswith(_ICC_MARK) and len(content) > _ICC_HEADER:
            pieces[content[_ICC_HEADER - 2]] = content[_ICC_HEADER:]
        elif marker == _APP2 and content.startswith(b"MPF\0"):
            is_first_of_several = True
    mode, width, height = _read_frame(frame)
    if width * height * data.count(bytes((_FILL, _SCAN))) > _MOST_SCAN_PIXELS:
        raise PhotoFault("IMG_TOO_LARGE", "a progressive JPEG of too many scans for its size")
    return Container(
        format="MPO" if is_first_of_several else "JPEG",
        mode=mode,
        width=width,
        height=height,
        content=data,
        exif=exif,
        profile=_join(pieces),
        notes=("the first of several pictures in the file",) if is_first_of_several else (),
    )


def _read_frame(frame: tuple[int, ...] | None) -> tuple[str, int, int]:
    """Returns (mode, width, height) of a frame header: bits, height, width, number of components."""
    if frame is None:
        raise damaged("no header of a picture")
    depth, height, width, components = frame
    if depth != 8:  # noqa: PLR2004
        raise PhotoFault("IMG_FORMAT", f"a JPEG of {depth} bits a channel in place of 8")
    if components not in _MODES or not width or not height:
        raise damaged("a header that makes no sense")
    return _MODES[components], width, height


def decode(container: Container, least_side: int = 0) -> NDArray[np.uint8]:
    """Decodes a JPEG file to uint8 [H, W, 4], opaque; CMYK by way of its own colour profile.

    Args:
        container: The file.
        least_side: Where not 0, the picture may come at 1/2 to 1/8 of its size, as small as it can be with both sides
            of at least so many pixels: the decoder leaves out what would be averaged away, and is much faster.

    Raises:
        PhotoFault: If libjpeg would have to repair it, or if it is CMYK without a profile.
    """
    if container.mode == "CMYK":
        # Stored the other way round, 255 for none, as all have done since Photoshop did.
        return convert_cmyk(255 - _decode_strictly(container.content, "CMYK", least_side), container.profile)
    return _decode_strictly(container.content, "RGBA", least_side)


def _decode_strictly(data: bytes, space: str, least_side: int) -> NDArray[np.uint8]:
    """Decodes; of what libjpeg warns of, only what some cameras do to sound photographs is passed over."""
    while True:
        try:
            return _decode_without_repair(data, space, least_side)
        except ValueError as fault:
            mended = _without_camera_habits(data, str(fault))
            if mended is None or mended == data:
                raise damaged(str(fault)) from fault
            # Of all warnings libjpeg tells but the first, so the next may stand behind it.
            data = mended


def _decode_without_repair(data: bytes, space: str, least_side: int) -> NDArray[np.uint8]:
    try:
        pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(
            data,
            colorspace=space,
            strict=True,
            fastdct=False,
            fastupsample=False,
            min_height=least_side,
            min_width=least_side,
            min_factor=2,
        )
    except KeyError:  # simplejpeg has no name for it
        raise ValueError("chroma of an unknown resolution") from None
    return pixels


def _without_camera_habits(data: bytes, warning: str) -> bytes | None:
    """Returns the file without what a warning is about, or None if pixels may depend on it."""
    segments = list(_segments(data))
    scan = next((at for at, marker, _ in segments if marker == _SCAN), len(data))
    if "bad ICC marker" in warning:
        profile = [at for at, marker, content in segments if marker == _APP2 and content.startswith(_ICC_MARK)]
        for at in reversed(profile):
            data = data[:at] + data[_end_of_segment(data, at) :]
        return data
    if warning.startswith("Invalid SOS parameters"):
        # A baseline scan has but one choice here, so decoders ignore what it says.
        end = _end_of_segment(data, scan)
        return data[: end - 3] + b"\0\x3f\0" + data[end:]
    if padding := _PADDING.search(warning):
        end = data.find(bytes((_FILL, _END)), scan)
        start = end - int(padding[1])
        if set(data[start:end]) <= {0, _FILL}:
            return data[:start] + data[end:]
    return None


def _end_of_segment(data: bytes, start: int) -> int:
    return start + 2 + int.from_bytes(data[start + 2 : start + 4], "big")


def _segments(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Yields (offset, marker, content) of the segments up to the first scan."""
    at = 2
    for _ in range(MOST_PARTS):
        head = data[at : at + 4]
        if len(head) < 4 or head[0] != _FILL:  # noqa: PLR2004 (the decoder judges what stands here instead)
            return
        marker, size = head[1], int.from_bytes(head[2:], "big")
        if marker == _FILL:
            at += 1
            continue
        yield at, marker, data[at + 4 : at + 2 + size]
        if marker == _SCAN:
            return
        at += 2 + size
    raise damaged(f"more than {MOST_PARTS} segments")


def _join(pieces: dict[int, bytes]) -> bytes | None:
    if not pieces:
        return None
    is_whole = sorted(pieces) == list(range(1, len(pieces) + 1))
    return b"".join(pieces[number] for number in sorted(pieces)) if is_whole else BROKEN_PROFILE
