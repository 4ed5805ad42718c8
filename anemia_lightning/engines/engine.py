"""What every engine offers, and passes of one fixed shape."""

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

PASS_IMAGES = 8
"""Images that a CPU computes at a time: what becomes of eight still fits into its cache."""


class Engine(Protocol):
    """Computes the logits of one model, or of several models with equal trunks, which share one pass through it."""

    @property
    def name(self) -> str:
        """As a person reads it, with its precision."""

    @property
    def device(self) -> torch.device:
        """Where images are wanted."""

    def __call__(self, images: Tensor) -> Tensor:
        """Returns the logit of each image by each model, float32 [B, models] on the CPU, for float32 [B, 3, S, S]."""


def in_passes(compute: Callable[[Tensor], Tensor], images: Tensor, size: int = PASS_IMAGES) -> Tensor:
    """Computes images so many at a time, the last ones filled up with black: no value depends on its company.

    Args:
        compute: Takes [size, ...] and returns [size, ...].
        images: [B, ...].
        size: Images of a pass.
    """
    done = []
    for part in torch.split(images, size):
        padded = torch.nn.functional.pad(part, [0, 0] * (part.ndim - 1) + [0, size - len(part)])
        done.append(compute(padded)[: len(part)])
    return torch.cat(done)
