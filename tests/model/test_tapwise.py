"""Gradients taken tap by tap change neither values nor names."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torchvision import models

from anemia_lightning.model.tapwise import TapwiseConv2d, make_tapwise

CheckStep = Callable[[nn.Module, nn.Conv2d, Tensor], None]


def count_products(conv: nn.Module, values: Tensor) -> int:
    """How many matrix products a step takes, convolutions not counted."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        result = conv(values)
        if result.requires_grad:
            result.sum().backward()
    return sum(event.count for event in profile.key_averages() if event.key == "aten::mm")


def maps(seed: int, height: int, width: int, *, dtype: torch.dtype = torch.bfloat16) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(3, 24, height, width, generator=draw).to(dtype).to(memory_format=torch.channels_last)


def make_conv(**options: object) -> nn.Conv2d:
    settings = {"kernel_size": 3, "padding": 1, "bias": False} | options
    return nn.Conv2d(24, 40, **settings).to(torch.bfloat16)  # type: ignore[arg-type]


@pytest.mark.parametrize("stride", [1, 2, 3, (2, 1)])
@pytest.mark.parametrize("size", [(1, 1), (1, 2), (2, 3), (4, 4), (5, 8), (7, 7)])
@pytest.mark.parametrize(("kernel", "padding"), [(3, 1), (5, 2), ((3, 1), (1, 0))])
def test_values_and_gradients_are_those_of_the_convolution(
    check_step: CheckStep,
    stride: int | tuple[int, int],
    size: tuple[int, int],
    kernel: int | tuple[int, int],
    padding: int | tuple[int, int],
) -> None:
    torch.manual_seed(sum(size))
    conv = make_conv(stride=stride, kernel_size=kernel, padding=padding)
    check_step(TapwiseConv2d(conv), conv, maps(0, *size))


def test_under_autocast_full_weights_get_full_gradients() -> None:
    conv = TapwiseConv2d(make_conv().float())
    values = maps(1, 7, 7).float()
    with torch.autocast("cpu", torch.bfloat16):
        result = conv(values.to(torch.bfloat16))
    assert result.dtype == torch.bfloat16
    result.sum().backward()
    assert conv.weight.grad is not None
    assert conv.weight.grad.dtype == torch.float32


def test_its_result_is_that_of_the_convolution_in_channels_last() -> None:
    conv = make_conv(stride=2)
    values = maps(2, 14, 14)
    result = TapwiseConv2d(conv)(values)
    assert torch.equal(result, conv(values))
    assert result.is_contiguous(memory_format=torch.channels_last)


def test_taps_are_taken_where_bf16_trains_on_small_maps_and_nowhere_else() -> None:
    conv = TapwiseConv2d(make_conv())
    assert count_products(conv, maps(0, 7, 7)) == 9
    assert count_products(TapwiseConv2d(make_conv(stride=2)), maps(0, 14, 14)) == 9
    assert count_products(conv, maps(0, 7, 8)) == 0
    assert count_products(TapwiseConv2d(make_conv(stride=2)), maps(0, 14, 15)) == 0
    with torch.no_grad():
        assert count_products(conv, maps(0, 7, 7)) == 0
    assert count_products(copy.deepcopy(conv).float(), maps(0, 7, 7, dtype=torch.float32)) == 0
    conv.requires_grad_(requires_grad=False)
    assert count_products(conv, maps(0, 7, 7)) == 0


@pytest.mark.parametrize(("name", "replaced"), [("resnet18", 4), ("resnet50", 3), ("resnext50_32x4d", 0)])
def test_a_network_keeps_its_weights_and_their_names(name: str, replaced: int) -> None:
    network = models.get_model(name, weights=None)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    make_tapwise(network.layer4)
    assert list(network.state_dict()) == list(before)
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert sum(isinstance(part, TapwiseConv2d) for part in network.modules()) == replaced
