"""What happens to the pixels of a photo: normalisation always, augmentation in training.

One code for CPU and GPU. Every operation is pixel by pixel or sums whole numbers, so neither the number of threads
nor the other photos of a batch change anything, and another device only the last bit of a bilinear weight.
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
        highest = dict.fromkeys(("flip", "brightness", "contrast", "translation"), 1)
        highest |= dict.fromkeys(("rotation_degrees", "affine_rotation_degrees"), 180)
        problems = [
            f"data.augmentation.{name} must lie in [0, {limit}], not {getattr(self, name)}."
            for name, limit in highest.items()
            if not 0 <= getattr(self, name) <= limit
        ]
        if len(self.scale) != len(("low", "high")) or not 0 < self.scale[0] <= self.scale[-1] < math.inf:
            problems.append(f"data.augmentation.scale must be two rising positive factors, not {list(self.scale)}.")
        if len(self.fill) != len("rgb") or not all(level in range(256) for level in self.fill):
            problems.append(f"data.augmentation.fill must be three whole numbers from 0 to 255, not {list(self.fill)}.")
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
    """Turns levels from 0 to 255, [B, 3, H, W], into float32 with ImageNet's mean at 0 and its deviation at 1."""
    mean, std = (_sent(torch.tensor(each).view(3, 1, 1), pixels.device) for each in (IMAGENET_MEAN, IMAGENET_STD))
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
    back, fill = inverse_map(draws), _sent(_normalised_fill(augmentation.fill), pixels.device)
    draws = Draws(*(_sent(values, pixels.device) for values in draws))
    # What becomes of one photo fits into a CPU's cache, what becomes of a batch does not.
    size = 1 if pixels.device.type == "cpu" else len(pixels)
    parts = [slice(start, start + size) for start in range(0, len(pixels), size)]
    images = []
    for part in parts:
        levels = jitter(pixels[part], Draws(*(values[part] for values in draws)))
        images.append(resample(normalise(levels), back[part], augmentation.interpolation, fill))
    return torch.cat(images)


def jitter(pixels: Tensor, draws: Draws) -> Tensor:
    """Applies brightness and contrast in the drawn order, rounding down after each as torchvision does.

    Args:
        pixels: uint8 [B, 3, H, W].
        draws: The drawn factors.

    Returns:
        float32 [B, 3, H, W], whole numbers from 0 to 255.
    """
    contrast_first = draws.contrast_first.bool()
    levels = _adjust_brightness(pixels.float(), draws.brightness.masked_fill(contrast_first, 1))
    levels = _adjust_contrast(levels, draws.contrast)
    return _adjust_brightness(levels, draws.brightness.masked_fill(~contrast_first, 1))


def inverse_map(draws: Draws) -> Tensor:
    """Returns where each output point comes from, float64 [B, 2, 3], in coordinates that run from -1 to 1.

    Forward, a point p goes to A · R · F · p + t: flip F, rotation R, scaled rotation A, shift t. Backward the two
    rotations are one, by the difference of their angles, since they count in opposite directions.
    """
    back = _rotation(draws.rotation - draws.affine_rotation) / _each(draws.scale, dims=2)
    back = back * torch.stack([draws.flip, torch.ones_like(draws.flip)], dim=1).unsqueeze(2)
    # The side spans two units of these coordinates.
    shift = 2 * torch.stack([draws.shift_x, draws.shift_y], dim=1).unsqueeze(1)
    return torch.cat([back, -(back * shift).sum(dim=2, keepdim=True)], dim=2)


def resample(images: Tensor, back: Tensor, interpolation: Literal["bilinear", "nearest"], fill: Tensor) -> Tensor:
    """Moves images by one resampling.

    Args:
        images: float [B, C, S, S], square.
        back: Where each output point comes from, as of `inverse_map`; looked through where it is, so best on the CPU.
        interpolation: How values between pixels are made.
        fill: What enters from outside, float [C, 1, 1].

    Returns:
        Like `images`.
    """
    side = images.shape[-1]
    assert images.shape[-2] == side, "normalised coordinates rotate without distortion only in a square"
    grid = _source_points(_sent(back, images.device), side).to(images.dtype)
    # grid_sample fills with zeros only, so the fill is moved to zero and back.
    moved = functional.grid_sample(
        images - fill, grid, mode=interpolation, padding_mode="zeros", align_corners=False
    ).add_(fill)
    # A map that moves nothing changes nothing, not even the last bit.
    still = (back == torch.eye(2, 3, dtype=back.dtype, device=back.device)).all(dim=2).all(dim=1)
    for index in still.nonzero().flatten().tolist():
        moved[index] = images[index]
    return moved


def _rotation(degrees: Tensor) -> Tensor:
    """float64 [B, 2, 2]; clockwise on the screen, since y points down."""
    # One angle at a time: vector instructions may round by an angle's place in the batch.
    angles = [math.radians(each) for each in degrees.tolist()]
    turns = [[[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]] for angle in angles]
    return torch.tensor(turns, dtype=torch.float64, device=degrees.device)


def _source_points(back: Tensor, side: int) -> Tensor:
    """Where each output pixel comes from, float64 [B, side, side, 2] as (x, y) between -1 and 1."""
    centres = (2 * torch.arange(side, dtype=back.dtype, device=back.device) + 1) / side - 1
    along_x = back[:, :, :1] * centres + back[:, :, 2:]
    along_y = back[:, :, 1:2] * centres
    return along_x.mT[:, None] + along_y.mT[:, :, None]


def _adjust_brightness(levels: Tensor, factor: Tensor) -> Tensor:
    return _to_levels(levels * _each(factor).float())


def _adjust_contrast(levels: Tensor, factor: Tensor) -> Tensor:
    red, green, blue = levels.unbind(1)
    grey = (0.2989 * red + 0.587 * green + 0.114 * blue).floor_()
    # Whole numbers, summed in float64: no order of summation can change the mean.
    mean = grey.sum(dim=(1, 2), dtype=torch.float64) / grey[0].numel()
    return _to_levels(levels * _each(factor).float() + _each(mean * (1 - factor)).float())


def _to_levels(values: Tensor) -> Tensor:
    return values.clamp_(0, 255).floor_()


def _normalised_fill(fill: tuple[int, int, int]) -> Tensor:
    """The fill colour as `normalise` gives it, but 0 where it is ImageNet's mean in whole levels; float32 [3, 1, 1]."""
    is_mean = [level == round(255 * mean) for level, mean in zip(fill, IMAGENET_MEAN, strict=True)]
    levels = torch.tensor(fill).view(1, 3, 1, 1)
    return normalise(levels)[0].masked_fill(torch.tensor(is_mean).view(3, 1, 1), 0)


def _sent(values: Tensor, device: torch.device) -> Tensor:
    """Returns values on a device, without waiting for what a GPU still has to do."""
    return values.to(device, non_blocking=device.type == "cuda")


def _each(values: Tensor, dims: int = 3) -> Tensor:
    """Shapes [B] so that it broadcasts over `dims` further dimensions."""
    return values.view(-1, *[1] * dims)
