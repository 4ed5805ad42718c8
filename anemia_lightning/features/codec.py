"""How rows of features are written down: as they are, or as one byte per value and a scale per channel."""

from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor

from anemia_lightning.features.shard import RowLayout

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
    """Stores maps of values of 0 and more as 255 levels between 0 and the largest of their photo and channel.

    Half the size of bfloat16; off by at most 1/510 of that largest value. What leaves a ReLU is never negative.

    Args:
        shape: Of a row: (C, h, w).
        dtype: Of the values that are read back.
    """

    name = "uint8"

    def __init__(self, shape: tuple[int, ...], dtype: torch.dtype) -> None:
        self._dtype = dtype
        self.layout: RowLayout = {
            "values": (_channels_last(shape), torch.uint8),
            "scale": ((shape[0],), torch.float32),
        }

    def encode(self, values: Tensor) -> dict[str, Tensor]:
        """Returns the levels, and the size of a level of each photo and channel."""
        rows = _to_rows(values).float()
        scale = rows.amax(dim=(1, 2), keepdim=True) / _LEVELS
        levels = (rows / scale.clamp_min(torch.finfo(torch.float32).tiny)).round().clamp_(0, _LEVELS)
        return {"values": levels.to(torch.uint8), "scale": scale.flatten(1)}

    def decode(self, rows: Mapping[str, Tensor]) -> Tensor:
        """Returns the values, [B, C, h, w] in memory format channels_last."""
        return _from_rows((rows["values"] * rows["scale"][:, None, None]).to(self._dtype))


def _channels_last(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (*shape[1:], shape[0])


def _to_rows(values: Tensor) -> Tensor:
    return values.movedim(1, -1).contiguous()


def _from_rows(rows: Tensor) -> Tensor:
    return rows.movedim(-1, 1)
