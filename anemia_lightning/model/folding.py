"""BatchNorm folded into the convolutions before it: the same function in fewer steps, where nothing trains."""

import copy

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torchvision import models
from torchvision.models.resnet import BasicBlock, Bottleneck


def fold_batchnorm(backbone: models.ResNet) -> models.ResNet:
    """Returns a copy in eval mode in which each BatchNorm is part of its convolution; it cannot be trained.

    Equal to the original up to rounding: the weights are scaled by what BatchNorm scales by, its shift is the bias.
    """
    folded = copy.deepcopy(backbone).eval().requires_grad_(requires_grad=False)
    # In full precision at least, whatever the original has been cast to.
    folded.to(torch.promote_types(folded.conv1.weight.dtype, torch.float32))
    _fold_pair(folded, "conv1", "bn1")
    for module in folded.modules():
        if isinstance(module, BasicBlock | Bottleneck):
            for number in range(1, 4):
                if hasattr(module, f"conv{number}"):
                    _fold_pair(module, f"conv{number}", f"bn{number}")
            if module.downsample is not None:
                _fold_pair(module.downsample, "0", "1")
    return folded


def _fold_pair(parent: nn.Module, conv: str, norm: str) -> None:
    before, after = parent.get_submodule(conv), parent.get_submodule(norm)
    assert isinstance(before, nn.Conv2d)
    # Also what Lightning makes of a synchronised one when a fit ends.
    assert isinstance(after, _BatchNorm)
    setattr(parent, conv, fuse_conv_bn_eval(before, after))
    setattr(parent, norm, nn.Identity())
