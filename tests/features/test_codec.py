"""What is written down of features, and what is read back."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from anemia_lightning.features.codec import AsTheyAre, BytesPerChannel

MAP = (6, 4, 5)
SHAPES = [MAP, (7,)]


def drawn(shape: tuple[int, ...], seed: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Values as a ReLU leaves them, some channels of them all zero."""
    numbers = torch.Generator().manual_seed(seed)
    scale = torch.rand(9, shape[0], *[1] * (len(shape) - 1), generator=numbers) * 50
    values = torch.randn(9, *shape, generator=numbers).relu() * scale
    values[:, ::3] = 0
    return values.to(dtype)


@pytest.mark.parametrize(("codec", "shape"), [*((AsTheyAre, shape) for shape in SHAPES), (BytesPerChannel, MAP)])
def test_rows_are_laid_out_as_promised(codec: Callable[..., AsTheyAre], shape: tuple[int, ...]) -> None:
    written = codec(shape, torch.bfloat16)
    rows = written.encode(drawn(shape, 0, torch.bfloat16))
    assert {name: (tuple(row.shape[1:]), row.dtype) for name, row in rows.items()} == dict(written.layout)
    assert all(row.is_contiguous() for row in rows.values())
    back = written.decode(rows)
    assert back.shape == (9, *shape)
    assert back.dtype == torch.bfloat16
    if len(shape) > 1:
        assert back.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.uint8], ids=str)
def test_what_is_stored_as_it_is_loses_nothing(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    codec = AsTheyAre(shape, dtype)
    values = drawn(shape, 1, dtype)
    assert torch.equal(codec.decode(codec.encode(values)), values)


@pytest.mark.parametrize("seed", range(20))
def test_bytes_are_off_by_half_a_level_at_most(seed: int) -> None:
    codec = BytesPerChannel(MAP, torch.float32)
    values = drawn(MAP, seed)
    off = (codec.decode(codec.encode(values)) - values).abs()
    largest = values.amax(dim=(2, 3), keepdim=True)
    assert (off <= largest / 510 * (1 + 1e-4)).all()
    assert (off[values == 0] == 0).all(), "what a ReLU has cut stays zero"


def test_bytes_of_one_photo_do_not_depend_on_the_others() -> None:
    codec = BytesPerChannel(MAP, torch.bfloat16)
    values = drawn(MAP, 3, torch.bfloat16)
    together = codec.decode(codec.encode(values))
    assert torch.equal(torch.cat([codec.decode(codec.encode(each[None])) for each in values]), together)
