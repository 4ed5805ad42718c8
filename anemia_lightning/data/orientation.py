"""Orientation: which way up a photograph is, as its EXIF data say, and turning it so."""

import struct

import numpy as np
from numpy.typing import NDArray

_UPRIGHT = 1
_TAG = 0x0112
_FIELD = 12  # bytes of a field: tag, type, count, value
_TYPES = {3: "H", 4: "L"}
_BYTE_ORDERS = {b"II*\0": "<", b"MM\0*": ">"}


def read_orientation(exif: bytes) -> int:
    """Finds the orientation, 1-8, in the first directory of an EXIF block (TIFF 6.0, tag 274); 1 if it names none.

    Not by Pillow, which warns of damage through filters that all threads of a process share.

    Raises:
        ValueError: If the block is damaged before the orientation, or it is none of the eight.
    """
    block = exif.removeprefix(b"Exif\0\0")
    if not block:
        return _UPRIGHT
    if (order := _BYTE_ORDERS.get(block[:4])) is None:
        raise ValueError("no TIFF block")
    try:
        (start,) = struct.unpack_from(order + "L", block, 4)
        (count,) = struct.unpack_from(order + "H", block, start)
        for field in range(start + 2, start + 2 + count * _FIELD, _FIELD):
            tag, kind = struct.unpack_from(order + "HH", block, field)
            if tag == _TAG:
                (value,) = struct.unpack_from(order + _TYPES[kind], block, field + 8)
                return _require_known(value)
    except (struct.error, KeyError) as fault:
        raise ValueError("a directory that is cut short") from fault
    return _UPRIGHT


def _require_known(value: int) -> int:
    if not 1 <= value <= 8:  # noqa: PLR2004
        raise ValueError(f"an orientation of {value}")
    return value


def turn_upright(rgba: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Turns and mirrors a photograph as its EXIF orientation, 1-8, says; [H, W, 4], or [W, H, 4] from 5 on."""
    if orientation > 4:  # noqa: PLR2004 (from here on rows are columns)
        rgba = rgba.transpose(1, 0, 2)
    if orientation in {3, 4, 7, 8}:
        rgba = rgba[::-1]
    if orientation in {2, 3, 6, 7}:
        rgba = rgba[:, ::-1]
    return np.ascontiguousarray(rgba)
