"""A finished model in one piece, from the image to the logit, for engines that take no less."""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torchvision import models

from anemia_lightning.model.backbone import AnemiaNetwork
from anemia_lightning.model.folding import fold_batchnorm


class WholeNetwork(nn.Module):
    """Networks with equal trunks in eval mode, BatchNorm folded throughout; it cannot be trained.

    Args:
        networks: They are copied.
    """

    def __init__(self, networks: Sequence[AnemiaNetwork]) -> None:
        super().__init__()
        folded = [fold_batchnorm(network.backbone) for network in networks]
        first = folded[0]
        self.trunk = nn.Sequential(first.conv1, first.relu, first.maxpool, first.layer1, first.layer2, first.layer3)
        self.tops = nn.ModuleList([_top(backbone) for backbone in folded])
        self.heads = nn.ModuleList([copy.deepcopy(network.head) for network in networks])
        self._dtype = torch.float32
        self.eval().requires_grad_(requires_grad=False)

    def in_precision(self, dtype: torch.dtype) -> "WholeNetwork":
        """Computes in a type, and keeps its memory channels last; heads stay in float32, as in training."""
        self._dtype = dtype
        for part in (self.trunk, self.tops):
            part.to(dtype=dtype).to(memory_format=torch.channels_last)
        return self

    def forward(self, images: Tensor) -> Tensor:
        """Returns the logits, float32 [B, models], for images, float32 [B, 3, S, S]."""
        maps = self.trunk(images.to(self._dtype))
        both = [head(top(maps).float(), None, 0.0) for top, head in zip(self.tops, self.heads, strict=True)]
        return torch.stack([outputs[:, 1] - outputs[:, 0] for outputs in both], dim=1)


def _top(backbone: models.ResNet) -> nn.Module:
    return nn.Sequential(backbone.layer4, backbone.avgpool, nn.Flatten())
