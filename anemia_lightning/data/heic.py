"""HEIC files, as iPhones write them: read by pillow-heif, where that is installed."""

from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anemia_lightning.data.container import Container, PhotoFault, damaged


def read_header(data: bytes) -> Container:
    """Reads the headers of a HEIC file.

    Raises:
        PhotoFault: IMG_FORMAT without pillow-heif; IMG_DAMAGED if they make no sense.
    """
    photo = _open(data)
    # libheif turns the picture upright by the file's own transformations, which EXIF only repeats.
    return Container(
        format="HEIC",
        mode=str(photo.mode),
        width=photo.size[0],
        height=photo.size[1],
        content=data,
        profile=photo.info.get("icc_profile"),
    )


def decode(container: Container) -> NDArray[np.uint8]:
    """Decodes a HEIC file's main picture to uint8 [H, W, 4], upright.

    Raises:
        PhotoFault: If it is not whole.
    """
    try:
        return np.array(_open(container.content).to_pillow().convert("RGBA"))
    except PhotoFault:
        raise
    except Exception as fault:  # libheif's plugins raise whatever they like on damaged bytes
        raise damaged(str(fault)) from fault


def _open(data: bytes) -> Any:  # noqa: ANN401 (a class of a package that need not be there)
    try:
        pillow_heif = import_module("pillow_heif")
    except ImportError:
        found = "a HEIC file in place of JPEG, PNG or WebP (convert it, or pip install 'anemia-lightning[heic]')"
        raise PhotoFault("IMG_FORMAT", found) from None
    try:
        file = pillow_heif.open_heif(data)
        return file[file.primary_index]
    except Exception as fault:
        raise damaged(str(fault)) from fault
