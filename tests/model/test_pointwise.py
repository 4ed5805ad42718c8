"""Matrix products in place of 1x1 convolutions change neither values nor names."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torchvision import models

from anemia_lightning.model.pointwise import PointwiseConv2d, make_pointwise

BF16_ROUNDING = 2.0**-7
CheckStep = Callable[[nn.Module, nn.Conv2d, Tensor], None]


def count_products(conv: nn.Module, values: Tensor) -> int:
    """How many matrix products a pass takes, convolutions not counted."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        conv(values)
    return sum(event.count for event in profile.key_averages() if event.key == "aten::mm")


def maps(seed: int, *, dtype: torch.dtype) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(3, 24, 7, 6, generator=draw).to(dtype).to(memory_format=torch.channels_last)


@pytest.mark.parametrize("stride", [1, 2, (2, 1)])
@pytest.mark.parametrize("seed", range(5))
def test_values_and_gradients_are_those_of_the_convolution(
    check_step: CheckStep, stride: int | tuple[int, int], seed: int
) -> None:
    torch.manual_seed(seed)
    conv = nn.Conv2d(24, 40, 1, stride=stride, bias=False).to(torch.bfloat16)
    check_step(PointwiseConv2d(conv), conv, maps(seed, dtype=torch.bfloat16))


def test_a_bias_counts() -> None:
    conv = PointwiseConv2d(nn.Conv2d(24, 40, 1, bias=False).to(torch.bfloat16))
    values = maps(0, dtype=torch.bfloat16)
    without = conv(values)
    conv.bias = nn.Parameter(torch.full((40,), 2.0, dtype=torch.bfloat16))
    torch.testing.assert_close(conv(values), without + 2, rtol=BF16_ROUNDING, atol=BF16_ROUNDING)


def test_its_result_stays_in_channels_last() -> None:
    result = PointwiseConv2d(nn.Conv2d(24, 40, 1, bias=False).to(torch.bfloat16))(maps(0, dtype=torch.bfloat16))
    assert result.is_contiguous(memory_format=torch.channels_last)


def test_products_are_taken_where_bf16_trains_and_nowhere_else() -> None:
    conv = PointwiseConv2d(nn.Conv2d(24, 40, 1, bias=False).to(torch.bfloat16))
    values = maps(0, dtype=torch.bfloat16)
    assert count_products(conv, values) == 1
    with torch.no_grad():
        assert count_products(conv, values) == 0
    assert count_products(copy.deepcopy(conv).float(), values.float()) == 0
    conv.requires_grad_(requires_grad=False)
    assert count_products(conv, values) == 0


def test_where_it_is_no_product_it_is_the_convolution_to_the_last_bit() -> None:
    conv = nn.Conv2d(24, 40, 1, stride=2, bias=False)
    values = maps(1, dtype=torch.float32)
    assert torch.equal(PointwiseConv2d(conv)(values), conv(values))


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "resnext50_32x4d", "wide_resnet50_2"])
def test_a_network_keeps_its_weights_and_their_names(name: str) -> None:
    network = models.get_model(name, weights=None)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    ones = [key for key, part in network.named_modules() if isinstance(part, nn.Conv2d) and part.kernel_size == (1, 1)]
    make_pointwise(network)
    assert list(network.state_dict()) == list(before)
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert [key for key, part in network.named_modules() if isinstance(part, PointwiseConv2d)] == ones
    assert ones
