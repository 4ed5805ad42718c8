"""Convolutions on small maps whose gradient is taken tap by tap, where a CPU trains them in bf16."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional
from torch.nn.grad import conv2d_input

_MOST_PIXELS = 49
"""Of an output map: those of layer4 for images of 224 pixels. On two cores with AVX-512, for 32 images, the gradient
took 18 ms in place of 26 ms with a stride of two, and 16 in place of 19 ms with one; on 14x14 pixels it took longer."""


class TapwiseConv2d(nn.Conv2d):
    """A convolution whose weights' gradient, in bf16 on a CPU, is a matrix product for each tap of its filter.

    A tap meets only those pixels that its filter does not lay on the padding, of 7x7 pixels and a 3x3 filter four in
    five. oneDNN's gradient for the weights computes the others too, and reaches two thirds of the rate of a matrix
    product where the stride is two. Everywhere else torch's own gradient is the faster one.

    Args:
        conv: What it replaces: without bias, groups or dilation, padded by zeros. They share their weight.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        assert can_be_tapwise(conv)
        assert not isinstance(conv.padding, str)
        (height, width), (rows, columns), (above, left) = conv.kernel_size, conv.stride, conv.padding
        super().__init__(
            conv.in_channels,
            conv.out_channels,
            (height, width),
            stride=(rows, columns),
            padding=(above, left),
            bias=False,
            device="meta",
        )
        self.weight = conv.weight

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  the name that nn.Conv2d has
        """Returns what `nn.Conv2d` does, [B, C', h', w']."""
        trains = torch.is_grad_enabled() and self.weight.requires_grad
        if not (trains and input.device.type == "cpu" and input.dtype == torch.bfloat16 and self._fits(input)):
            return super().forward(input)
        result = _Convolution.apply(input, self.weight.to(input.dtype), self.stride, self.padding)
        assert isinstance(result, Tensor)
        return result

    def _fits(self, values: Tensor) -> bool:
        rows, columns = self.stride
        # Rounded up, as a 3x3 filter with a padding of one does.
        return -(-values.shape[2] // rows) * -(-values.shape[3] // columns) <= _MOST_PIXELS


def can_be_tapwise(conv: nn.Conv2d) -> bool:
    """Returns whether a convolution has no bias, groups, dilation or padding other than by zeros."""
    is_plain = conv.bias is None and conv.groups == 1 and set(conv.dilation) == {1}
    return is_plain and conv.padding_mode == "zeros" and not isinstance(conv.padding, str)


def make_tapwise(module: nn.Module) -> None:
    """Replaces the wider convolutions below a module by ones that train tap by tap; weights and names stay."""
    for name, part in list(module.named_modules()):
        if type(part) is nn.Conv2d and part.kernel_size != (1, 1) and can_be_tapwise(part):
            module.set_submodule(name, TapwiseConv2d(part))


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401  its attributes are free
        values: Tensor,
        weight: Tensor,
        stride: tuple[int, int],
        padding: tuple[int, int],
    ) -> Tensor:
        ctx.save_for_backward(values, weight)
        ctx.stride, ctx.padding = stride, padding
        return functional.conv2d(values, weight, None, stride, padding)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:  # noqa: ANN401  as above
        values, weight = ctx.saved_tensors
        by_values = by_weight = None
        if ctx.needs_input_grad[0]:
            by_values = conv2d_input(values.shape, weight, upstream, ctx.stride, ctx.padding)  # type: ignore[no-untyped-call]
        if ctx.needs_input_grad[1]:
            by_weight = _weight_gradient(values, weight, upstream, ctx.stride, ctx.padding)
        return by_values, by_weight, None, None


def _weight_gradient(
    values: Tensor, weight: Tensor, upstream: Tensor, stride: tuple[int, int], padding: tuple[int, int]
) -> Tensor:
    pixels, gradients = values.permute(0, 2, 3, 1), upstream.permute(0, 2, 3, 1)
    outputs, inputs, height, width = weight.shape
    by_tap = weight.new_empty(outputs, height, width, inputs)
    for row in range(height):
        here, there = _reach(row, pixels.shape[1], gradients.shape[1], stride[0], padding[0])
        for column in range(width):
            across, beyond = _reach(column, pixels.shape[2], gradients.shape[2], stride[1], padding[1])
            met = pixels[:, there, beyond].reshape(-1, inputs)
            upper = gradients[:, here, across].reshape(-1, outputs)
            torch.mm(upper.t(), met, out=by_tap[:, row, column])
    return by_tap.permute(0, 3, 1, 2)


def _reach(tap: int, size: int, outputs: int, stride: int, padding: int) -> tuple[slice, slice]:
    """Returns which outputs a tap adds to without lying on the padding, and the inputs that it meets there."""
    first = max(0, -((tap - padding) // stride))
    end = min(outputs, (size - 1 + padding - tap) // stride + 1)
    start = first * stride + tap - padding
    return slice(first, end), slice(start, start + max(0, end - first) * stride, stride)
