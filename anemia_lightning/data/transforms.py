"""What happens to the pixels of a photo: normalisation always, augmentation in training.

One code for CPU and GPU, whole batches at a time. Every operation is pixel by pixel or sums integers, so the
number of threads and the device change nothing that enters the network beyond the last bit of a bilinear weight.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from anemia_lightning.errors import ConfigError
from anemia_lightning.randomness import stream

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
"""Channel means and standard deviations of ImageNet in [0, 1], as torchvision's weights expect them."""


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """How far the views of a training photo may differ from the photo.

    The order is fixed: flip; brightness and contrast in random order, on the photo before any rotation; then
    rotation and affine map as one matrix and one resampling. A strength of zero leaves the photo as it is.
    """

    flip: float
    """Probability of a horizontal flip, in [0, 1]."""
    rotation_degrees: float
    """The rotation is uniform in ± this."""
    brightness: float
    """The factor is uniform in 1 ± this, in [0, 1]."""
    contrast: float
    """Likewise, about the mean grey value."""
    affine_rotation_degrees: float
    """The affine map's own rotation, uniform in ± this."""
    translation: float
    """Shift along each axis, uniform in ± this share of the side. Continuous, where torchvision rounds to pixels."""
    scale: tuple[float, float]
    """The zoom factor is uniform between these."""
    interpolation: Literal["bilinear", "nearest"]
    fill: tuple[int, int, int]
    """RGB that enters from outside the photo, 0 to 255."""
    seed: int
    """`data.augmentation_seed`: runs with another `seed` share their views."""

    def __post_init__(self) -> None:
        problems = [
            f"data.augmentation.{name} must lie in [0, 1], not {getattr(self, name)}."
            for name in ("flip", "brightness", "contrast")
            if not 0 <= getattr(self, name) <= 1
        ]
        if not 0 < self.scale[0] <= self.scale[1]:
            problems.append(f"data.augmentation.scale must be two rising positive factors, not {self.scale}.")
        if self.interpolation not in ("bilinear", "nearest"):
            problems.append(f"data.augmentation.interpolation is bilinear or nearest, not {self.interpolation}.")
        if problems:
            raise ConfigError(problems)

    def to_dict(self) -> dict[str, object]:
        """Returns the settings as plain values."""
        return asdict(self)


class Draws(NamedTuple):
    """The drawn parameters of a batch, each float64 [B]."""

    flip: Tensor
    """-1 where the photo is mirrored, else 1."""
    rotation: Tensor
    """Degrees, counter-clockwise."""
    brightness: Tensor
    contrast: Tensor
    contrast_first: Tensor
    """1 where contrast comes before brightness, else 0."""
    affine_rotation: Tensor
    """Degrees, clockwise."""
    shift_x: Tensor
    """To the right, as a share of the side."""
    shift_y: Tensor
    """Downwards, as a share of the side."""
    scale: Tensor


def draw_views(augmentation: Augmentation, photos: Sequence[str], view: int) -> Draws:
    """Draws the augmentation of each photo for one view.

    A photo's draw depends on (augmentation seed, view, photo id) and on nothing else: not on the batch,
    the order, the worker or the rank.

    Args:
        augmentation: The strengths.
        photos: Photo ids.
        view: Which version of the photos, from 0.
    """
    uniform = np.stack([stream("view", augmentation.seed, view, photo).random(9) for photo in photos])
    unit = torch.from_numpy(uniform)
    signed = 2 * unit - 1
    low, high = augmentation.scale
    return Draws(
        flip=torch.where(unit[:, 0] < augmentation.flip, -1.0, 1.0).double(),
        rotation=augmentation.rotation_degrees * signed[:, 1],
        brightness=1 + augmentation.brightness * signed[:, 2],
        contrast=1 + augmentation.contrast * signed[:, 3],
        contrast_first=(signed[:, 4] < 0).double(),
        affine_rotation=augmentation.affine_rotation_degrees * signed[:, 5],
        shift_x=augmentation.translation * signed[:, 6],
        shift_y=augmentation.translation * signed[:, 7],
        scale=low + (high - low) * unit[:, 8],
    )


def normalise(pixels: Tensor) -> Tensor:
    """Turns uint8 [B, 3, H, W] into float32 with ImageNet's mean at 0 and its deviation at 1."""
    mean = torch.tensor(IMAGENET_MEAN, device=pixels.device).view(3, 1, 1)
    std = torch.tensor(IMAGENET_STD, device=pixels.device).view(3, 1, 1)
    return (pixels.float() / 255 - mean) / std


def augment(pixels: Tensor, draws: Draws, augmentation: Augmentation) -> Tensor:
    """Applies drawn views to photos.

    Args:
        pixels: uint8 [B, 3, S, S].
        draws: One set of parameters per photo.
        augmentation: Interpolation and fill; the strengths are in `draws` already.

    Returns:
        float32 [B, 3, S, S], normalised.
    """
    draws = Draws(*(values.to(pixels.device) for values in draws))
    jittered = jitter(pixels, draws)
    fill = _normalised_fill(augmentation.fill, pixels.device)
    # grid_sample fills with zeros only, so the fill is moved to zero and back.
    return resample(normalise(jittered) - fill, draws, augmentation.interpolation) + fill


def jitter(pixels: Tensor, draws: Draws) -> Tensor:
    """Applies brightness and contrast in the drawn order, on uint8 [B, 3, H, W], rounding down as torchvision does."""
    contrast_first = draws.contrast_first.bool()
    pixels = torch.where(_each(contrast_first), _adjust_contrast(pixels, draws.contrast), pixels)
    pixels = _adjust_brightness(pixels, draws.brightness)
    return torch.where(_each(contrast_first), pixels, _adjust_contrast(pixels, draws.contrast))


def resample(images: Tensor, draws: Draws, interpolation: Literal["bilinear", "nearest"]) -> Tensor:
    """Applies flip, rotation and affine map as one matrix and one resampling; zero enters from outside.

    Args:
        images: float [B, C, S, S], square.
        draws: The drawn maps.
        interpolation: How values between pixels are made.

    Returns:
        Like `images`.
    """
    height, width = images.shape[-2:]
    assert height == width, "normalised coordinates rotate without distortion only in a square"
    grid = functional.affine_grid(
        inverse_map(draws).to(images.dtype), [len(images), 1, height, width], align_corners=False
    )
    return functional.grid_sample(images, grid, mode=interpolation, padding_mode="zeros", align_corners=False)


def inverse_map(draws: Draws) -> Tensor:
    """Returns where each output point comes from, float64 [B, 2, 3], in coordinates that run from -1 to 1.

    Forward, a point p goes to A · R · F · p + t: flip F, rotation R, scaled rotation A, shift t.
    """
    rotation = _rotation(-draws.rotation)
    affine = _rotation(draws.affine_rotation) * _each(draws.scale, dims=2)
    flip = torch.diag_embed(torch.stack([draws.flip, torch.ones_like(draws.flip)], dim=1))
    back = torch.linalg.inv(affine @ rotation @ flip)
    # The side spans two units of these coordinates.
    shift = 2 * torch.stack([draws.shift_x, draws.shift_y], dim=1).unsqueeze(2)
    return torch.cat([back, -back @ shift], dim=2)


def _rotation(degrees: Tensor) -> Tensor:
    """float64 [B, 2, 2]; clockwise on the screen, since y points down."""
    angle = degrees * math.pi / 180
    cos, sin = angle.cos(), angle.sin()
    return torch.stack([torch.stack([cos, -sin], dim=1), torch.stack([sin, cos], dim=1)], dim=1)


def _adjust_brightness(pixels: Tensor, factor: Tensor) -> Tensor:
    return _to_uint8(pixels * _each(factor).float())


def _adjust_contrast(pixels: Tensor, factor: Tensor) -> Tensor:
    red, green, blue = pixels.float().unbind(1)
    # The grey values are whole numbers and are summed as such: no order of summation can change the mean.
    grey = (0.2989 * red + 0.587 * green + 0.114 * blue).floor().to(torch.int64)
    mean = grey.sum(dim=(1, 2)).double() / grey[0].numel()
    ratio, anchor = _each(factor).float(), _each(mean * (1 - factor)).float()
    return _to_uint8(pixels * ratio + anchor)


def _to_uint8(values: Tensor) -> Tensor:
    return values.clamp_(0, 255).to(torch.uint8)


def _normalised_fill(fill: tuple[int, int, int], device: torch.device) -> Tensor:
    values = [
        0.0 if level == round(255 * mean) else (level / 255 - mean) / std
        for level, mean, std in zip(fill, IMAGENET_MEAN, IMAGENET_STD, strict=True)
    ]
    return torch.tensor(values, device=device).view(3, 1, 1)


def _each(values: Tensor, dims: int = 3) -> Tensor:
    """Shapes [B] so that it broadcasts over `dims` further dimensions."""
    return values.view(-1, *[1] * dims)
