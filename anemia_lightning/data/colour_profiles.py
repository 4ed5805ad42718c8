"""Colour profiles: colours as the file means them, brought to sRGB, which the network knows."""

import io
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from anemia_lightning.data.container import PROFILE_LIMIT, PhotoFault

_INTENT = ImageCms.Intent.RELATIVE_COLORIMETRIC
_FLAGS = ImageCms.Flags.BLACKPOINTCOMPENSATION
_FAULTS = (ImageCms.PyCMSError, OSError, ValueError, TypeError)
_LATTICE = np.stack(np.meshgrid(*[np.linspace(0, 255, 9).astype(np.uint8)] * 3), axis=-1).reshape(1, -1, 3)
_STRIP = 256

SAME_COLOUR = 2
"""A profile that moves no colour by more than so many of 255 levels is sRGB by another name."""


class _Conversion(NamedTuple):
    transform: ImageCms.ImageCmsTransform
    name: str
    moves: bool
    """Whether any colour comes out as another."""


def convert_to_srgb(rgba: NDArray[np.uint8], profile: bytes) -> str | None:
    """Converts colours in place, relative colorimetric with black point compensation.

    Args:
        rgba: uint8 [H, W, 4]; alpha stays.
        profile: The ICC profile of its red, green and blue.

    Returns:
        What was done, for the record; None if the profile is sRGB and the colours stay as they are.
    """
    try:
        conversion = _find_conversion(profile, "RGB")
    except _FAULTS:
        return "a broken colour profile, passed over: its colours were taken as sRGB"
    if not conversion.moves:
        return None
    for top in range(0, len(rgba), _STRIP):
        strip = Image.fromarray(np.ascontiguousarray(rgba[top : top + _STRIP, :, :3]))
        rgba[top : top + _STRIP, :, :3] = np.asarray(conversion.transform.apply(strip))
    return f"converted to sRGB from its colour profile {conversion.name!a}"


def convert_cmyk(inks: NDArray[np.uint8], profile: bytes | None) -> NDArray[np.uint8]:
    """Converts printing inks to sRGB by way of their own profile; arithmetic alone would miss the colours by far.

    Args:
        inks: Cyan, magenta, yellow, black: uint8 [H, W, 4], 0 for none and 255 for all.
        profile: Their ICC profile.

    Returns:
        uint8 [H, W, 4], opaque.

    Raises:
        PhotoFault: IMG_CMYK without a profile that can be used.
    """
    if profile is None:
        raise PhotoFault("IMG_CMYK", "printing inks (CMYK) without a colour profile to tell their colours")
    try:
        conversion = _find_conversion(profile, "CMYK")
    except _FAULTS as fault:
        raise PhotoFault("IMG_CMYK", "printing inks (CMYK) with a broken colour profile") from fault
    rgba = np.full_like(inks, 255)
    for top in range(0, len(inks), _STRIP):
        strip = inks[top : top + _STRIP]
        image = Image.frombytes("CMYK", strip.shape[1::-1], strip.tobytes())
        rgba[top : top + _STRIP, :, :3] = np.asarray(conversion.transform.apply(image))
    return rgba


@lru_cache(maxsize=16)
def _find_conversion(profile: bytes, mode: str) -> _Conversion:
    if not 0 < len(profile) <= PROFILE_LIMIT:
        raise ValueError(f"a profile of {len(profile)} bytes")
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB", _INTENT, _FLAGS)
    name = (source.profile.profile_description or "without a name").strip()
    moves = True
    if mode == "RGB":
        seen = np.asarray(transform.apply(Image.fromarray(_LATTICE)))
        moves = int(np.abs(seen.astype(int) - _LATTICE).max()) > SAME_COLOUR
    return _Conversion(transform, name, moves)
