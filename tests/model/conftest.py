"""What tests of several modules of the network share."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

BF16_ROUNDING = 2.0**-7

CheckStep = Callable[[nn.Module, nn.Conv2d, Tensor], None]


@pytest.fixture
def check_step() -> CheckStep:
    """Asserts that what stands in for a convolution in bf16 gives its exact values and gradients, up to rounding."""
    return _check_step


def _check_step(replacement: nn.Module, conv: nn.Conv2d, values: Tensor) -> None:
    exact = copy.deepcopy(conv).double()
    upstream = torch.randn(exact(values.double()).shape).to(torch.bfloat16)
    found = _values_and_gradients(replacement, values, upstream)
    wanted = _values_and_gradients(exact, values.double(), upstream.double())
    for one, other in zip(found, wanted, strict=True):
        nearly = BF16_ROUNDING * float(other.abs().max())
        torch.testing.assert_close(one.double(), other, rtol=BF16_ROUNDING, atol=nearly)


def _values_and_gradients(conv: nn.Module, values: Tensor, upstream: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    values = values.clone().requires_grad_()
    result = conv(values)
    result.backward(upstream)
    assert values.grad is not None
    weight = next(conv.parameters())
    assert weight.grad is not None
    return result.detach(), values.grad, weight.grad
