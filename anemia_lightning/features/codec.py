"""How rows of features are written down: as they are, or as one byte per value and a scale per channel."""

from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor

from anemia_lightning.features.shard import RowLayout

_MAP_DIMS = 4
_LEVELS = 255


class Codec(Protocol):
    """Writes values down and reads them back; what is read back is what enters the network, stored or not."""

    name: str
    layout: RowLayout

    def encode(self, values: Tensor) -> dict[str, Tensor]:
        """Returns what is stored of values, each tensor [B, …]."""

    def decode(self, rows: Mapping[str, Tensor]) -> Tensor:
        """Returns values for what is stored of them."""


class AsTheyAre:
    """Stores values without loss.

    Args:
        shape: Of a row: (C, h, w) or (C,).
        dtype: Of the values.
    """

    name = "as computed"

    def __init__(self, shape: tuple[int, ...], dtype: torch.dtype) -> None:
        self.layout: RowLayout = {"values": (_channels_last(shape), dtype)}

    def encode(self, values: Tensor) -> dict[str, Tensor]:
        """Returns the values with their channels behind, as convolutions read them."""
        return {"values": _to_rows(values)}

    def decode(self, rows: Mapping[str, Tensor]) -> Tensor:
        """Returns the values, [B, C, h, w] in memory format channels_last, or [B, C]."""
        return _from_rows(rows["values"])


class BytesPerChannel:
    """Stores values of 0 and more as 255 levels between 0 and the largest of their photo and channel.

    Half the size of bfloat16; off by at most 1/510 of that largest value. What leaves a ReLU is never negative.

    Args:
        shape: Of a row: (C, h, w) or (C,).
        dtype: Of the values that are read back.
    """

    name = "uint8"

    def __init__(self, shape: tuple[int, ...], dtype: torch.dtype) -> None:
        self._dtype = dtype
        self.layout: RowLayout = {
            "values": (_channels_last(shape), torch.uint8),
            "scale": ((shape[0],) if len(shape) > 1 else (1,), torch.float32),
        }

    def encode(self, values: Tensor) -> dict[str, Tensor]:
        """Returns the levels and the size of one level."""
        rows = _to_rows(values).float()
        # A vector has one value per channel, so there a photo has one scale.
        within = tuple(range(1, rows.dim() - 1)) if rows.dim() == _MAP_DIMS else (1,)
        scale = rows.amax(dim=within, keepdim=True) / _LEVELS
        levels = (rows / scale.clamp_min(torch.finfo(torch.float32).tiny)).round().clamp_(0, _LEVELS)
        return {"values": levels.to(torch.uint8), "scale": scale.reshape(len(rows), -1)}

    def decode(self, rows: Mapping[str, Tensor]) -> Tensor:
        """Returns the values, [B, C, h, w] in memory format channels_last, or [B, C]."""
        levels, scale = rows["values"], rows["scale"]
        spread = scale.view(len(levels), *[1] * (levels.dim() - 2), -1)
        return _from_rows((levels * spread).to(self._dtype))


def _channels_last(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (*shape[1:], shape[0])


def _to_rows(values: Tensor) -> Tensor:
    return values.movedim(1, -1).contiguous()


def _from_rows(rows: Tensor) -> Tensor:
    return rows.movedim(-1, 1)
