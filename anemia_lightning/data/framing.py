"""Framing: how a photograph becomes the square for the network."""

from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from anemia_lightning.data.reading import TISSUE_ALPHA
from anemia_lightning.errors import ConfigError

Region = Literal["full", "mask_crop"]
Resize = Literal["stretch", "letterbox"]

_OPAQUE = 255


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

    @property
    def least_side(self) -> int:
        """Pixels that each side of a photograph must have to lose nothing by framing; 0 where it needs all it has."""
        # Antialiased by a factor of two and more, what a decoder averaged before makes no difference to be seen.
        return 2 * self.size if self.region == "full" else 0

    def apply(self, rgba: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Frames a photograph, uint8 [H, W, 4] to [size, size, 3]."""
        return frame_photo(rgba, size=self.size, region=self.region, resize=self.resize, background=self.background)

    def on(self, background: tuple[int, int, int]) -> "Framing":
        """Returns the same with another background: red, green and blue, 0-255."""
        return replace(self, background=background)

    def tissue(self, rgba: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Returns how much of each pixel of the square is tissue, uint8 [size, size]: 255 all of it, 0 none.

        Nothing is where the photograph is transparent, and beside a letterboxed one; the rest is resized as colours
        are, so the square is colour * tissue + background * (255 - tissue), divided by 255.
        """
        white = rgba.copy()
        white[..., :3] = _OPAQUE
        return self.on((0, 0, 0)).apply(white)[..., 0]


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
    image = Image.fromarray(composite(rgba, background))
    if resize == "stretch":
        return np.array(image.resize((size, size), Image.Resampling.BILINEAR))
    scale = size / max(image.size)
    width, height = (max(1, round(side * scale)) for side in image.size)
    square = Image.new("RGB", (size, size), background)
    inner = image.resize((width, height), Image.Resampling.BILINEAR)
    square.paste(inner, ((size - width) // 2, (size - height) // 2))
    return np.array(square)


def composite(rgba: NDArray[np.uint8], background: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Lays a photograph on a background, uint8 [H, W, 4] to [H, W, 3].

    (colour * alpha + background * (255 - alpha)) / 255, rounded to the nearest whole number.

    Args:
        rgba: uint8 [H, W, 4].
        background: Red, green and blue.
    """
    if (rgba[..., 3] == _OPAQUE).all():
        return rgba[..., :3]
    alpha = rgba[..., 3:].astype(np.uint16)
    # 255 * 255 + 127 still fits into 16 bits.
    mixed = rgba[..., :3] * alpha + np.array(background, dtype=np.uint16) * (255 - alpha)
    return ((mixed + 127) // 255).astype(np.uint8)


def _crop_to_tissue(rgba: NDArray[np.uint8]) -> NDArray[np.uint8]:
    tissue = rgba[..., 3] >= TISSUE_ALPHA
    rows, columns = np.flatnonzero(tissue.any(axis=1)), np.flatnonzero(tissue.any(axis=0))
    if not rows.size:
        return rgba
    return rgba[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_colour(value: object) -> bool:
    if not isinstance(value, list | tuple) or len(value) != len("rgb"):
        return False
    return all(_is_whole(each) and 0 <= each <= _OPAQUE for each in value)
