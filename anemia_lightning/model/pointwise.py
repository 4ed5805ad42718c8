"""Convolutions of one pixel as what they are, matrix products, where a CPU trains them in bf16."""

import torch
from torch import Tensor, nn
from torch.nn import functional


class PointwiseConv2d(nn.Conv2d):
    """A 1x1 convolution whose training step in bf16 on a CPU is made of matrix products.

    oneDNN's gradient for the weights of such a convolution reaches three quarters of the rate of the same matrix
    product, on AVX-512. Everywhere else, in fp32 and where nothing trains, torch's own convolution is the faster one.

    Args:
        conv: What it replaces: 1x1, without bias, padding or groups. They share their weight.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        assert conv.kernel_size == (1, 1)
        assert conv.padding == (0, 0)
        assert conv.groups == 1
        assert conv.bias is None
        rows, columns = conv.stride
        super().__init__(conv.in_channels, conv.out_channels, 1, stride=(rows, columns), bias=False, device="meta")
        self.weight = conv.weight

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  the name that nn.Conv2d has
        """Returns what `nn.Conv2d` does, up to rounding, [B, C', h', w']."""
        trains = torch.is_grad_enabled() and self.weight.requires_grad
        if not (trains and input.device.type == "cpu" and input.dtype == torch.bfloat16):
            return super().forward(input)
        rows, columns = self.stride
        by_pixel = input[:, :, ::rows, ::columns].permute(0, 2, 3, 1)
        return functional.linear(by_pixel, self.weight.flatten(1), self.bias).permute(0, 3, 1, 2)


def make_pointwise(module: nn.Module) -> None:
    """Replaces the 1x1 convolutions below a module by ones that train as matrix products; weights and names stay."""
    for name, part in list(module.named_modules()):
        if type(part) is nn.Conv2d and part.kernel_size == (1, 1):
            module.set_submodule(name, PointwiseConv2d(part))
