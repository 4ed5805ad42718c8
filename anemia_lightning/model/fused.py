"""Frozen stages in fewer operations on a CPU: oneDNN adds shortcuts and takes ReLU while it convolves."""

import platform

import torch
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck


def can_fuse(device: torch.device, dtype: torch.dtype) -> bool:
    """Returns whether stages can be fused for a device and a precision: on x86, where torch was built with oneDNN."""
    mkldnn = torch.backends.mkldnn
    if device.type != "cpu" or platform.machine() not in ("x86_64", "AMD64"):
        return False
    # The operations that torch.compile puts into its code; torch names them nowhere else.
    is_there = mkldnn.is_available() and mkldnn.enabled  # type: ignore[no-untyped-call]
    if not (is_there and hasattr(torch.ops.mkldnn, "_convolution_pointwise_")):
        return False
    has_bf16 = torch.ops.mkldnn._is_mkldnn_bf16_supported()  # noqa: SLF001  as above
    return dtype == torch.float32 or (dtype == torch.bfloat16 and has_bf16)


def fuse(stages: nn.Sequential) -> nn.Sequential:
    """Returns stages that compute what others do, in which ReLU and the sums with shortcuts are part of convolutions.

    In bf16 a sum with a shortcut is rounded once, not twice; in fp32 a ResNet-50 gave the same values to the last bit.

    Args:
        stages: Of a ResNet whose BatchNorm is folded, none of which trains: convolutions, each before its ReLU, stages
            of blocks, and pooling.
    """
    parts: list[nn.Module] = []
    for part in stages:
        if isinstance(part, nn.Conv2d):
            parts.append(_FusedConv2d(part))
        elif isinstance(part, nn.Sequential):
            parts.append(nn.Sequential(*(_FusedBlock(block) for block in part)))
        elif not isinstance(part, nn.ReLU):
            parts.append(part)
    return nn.Sequential(*parts)


class _FusedConv2d(nn.Module):
    """A convolution that never trains, and ReLU, or the sum with a shortcut and ReLU."""

    def __init__(self, conv: nn.Conv2d, *, relu: bool = True) -> None:
        super().__init__()
        self._activation = "relu" if relu else "none"
        self._geometry = (conv.padding, conv.stride, conv.dilation, conv.groups)
        self._bias = None if conv.bias is None else conv.bias.detach()
        self._weight = conv.weight.detach()
        self._packed_for: torch.Size | None = None

    def forward(self, values: Tensor) -> Tensor:
        self._pack(values.shape)
        result: Tensor = torch.ops.mkldnn._convolution_pointwise(  # noqa: SLF001  see `can_fuse`
            values, self._weight, self._bias, *self._geometry, self._activation, [], ""
        )
        return result

    def add_to(self, shortcut: Tensor, values: Tensor) -> Tensor:
        """Returns ReLU of the sum, written over `shortcut`: another piece of memory would take 6 % more time."""
        self._pack(values.shape)
        result: Tensor = torch.ops.mkldnn._convolution_pointwise_.binary(
            shortcut, values, self._weight, self._bias, *self._geometry, "add", 1.0, "relu", [], ""
        )
        return result

    def _pack(self, shape: torch.Size) -> None:
        # In which order weights are read best depends on the shape of the batch, and all batches have one.
        if self._packed_for == shape:
            return
        weight = self._weight.to_dense() if self._weight.is_mkldnn else self._weight
        reorder = torch.ops.aten.mkldnn_reorder_conv2d_weight
        self._weight = reorder(weight.to_mkldnn(), *self._geometry, list(shape))
        self._packed_for = shape


class _FusedBlock(nn.Module):
    """A residual block of fused convolutions."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        assert isinstance(block, BasicBlock | Bottleneck)
        names = [f"conv{number}" for number in (1, 2, 3) if hasattr(block, f"conv{number}")]
        *first, last = (block.get_submodule(name) for name in names)
        self.first = nn.Sequential(*(_FusedConv2d(conv) for conv in first))
        self.last = _FusedConv2d(last)
        self.projection = None
        if block.downsample is not None:
            self.projection = _FusedConv2d(block.downsample[0], relu=False)

    def forward(self, values: Tensor) -> Tensor:
        # Nobody else reads what enters a block without a projection: it comes from the block or the pooling before.
        shortcut = values if self.projection is None else self.projection(values)
        return self.last.add_to(shortcut, self.first(values))
