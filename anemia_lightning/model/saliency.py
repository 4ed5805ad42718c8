"""Grad-CAM: where in an image lies what speaks for the decision of a network."""

import copy
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from anemia_lightning.model.backbone import AnemiaNetwork

_AT_ONCE = 16


def grad_cam(network: AnemiaNetwork, maps: Tensor, called: Tensor, *, size: int) -> Tensor:
    """Returns a heat map for each photo: how much what layer4 found there speaks for the decision.

    Grad-CAM (Selvaraju et al., ICCV 2017, equations 1 and 2) on layer4's output, of the difference of the network's
    two outputs, which alone decides, towards the side that the photo was called. A cell of layer4's output covers 32
    pixels of the image a side, and sees far more: the map says roughly where, not which pixel.

    The network is copied, so its modes, gradients and what of it requires any stay as they are. Under autocast layer4
    computes in that precision; what follows is float32.

    Args:
        network: The network, in any mode and on any device.
        maps: Layer3's output, float [N, C, h, w], where to compute.
        called: Whether each photo is called anaemic, [N] of bool, or of 0 and 1.
        size: Side of the heat maps in pixels, to which layer4's cells are blended bilinearly.

    Returns:
        float32 [N, size, size] on the CPU, from 0 to 1, the largest of each photo 1; all 0 where nothing speaks for
        the decision.
    """
    from captum.attr import LayerGradCam  # not before it is needed: no other part of a run is

    frozen = copy.deepcopy(network).eval().requires_grad_(requires_grad=False).to(maps.device)
    top = _Top(frozen)
    cam = LayerGradCam(top, top.found)
    heat = []
    for part, side in zip(torch.split(maps, _AT_ONCE), torch.split(called, _AT_ONCE), strict=True):
        with torch.no_grad():
            found = frozen.backbone.layer4(part.to(frozen.backbone.conv1.weight.dtype)).float()
        with torch.enable_grad(), torch.autocast(maps.device.type, enabled=False):
            each = cam.attribute(found, target=side.long().to(found.device), relu_attributions=True)
        heat.append(cast("Tensor", each).detach())
    return _normalised(functional.interpolate(torch.cat(heat), size=(size, size), mode="bilinear")).cpu()


class _Top(nn.Module):
    """From layer4's output to what speaks against and for anaemia, float [N, 2]."""

    def __init__(self, network: AnemiaNetwork) -> None:
        super().__init__()
        self.found = nn.Identity()
        self.pool = network.backbone.avgpool
        self.head = network.head

    def forward(self, found: Tensor) -> Tensor:
        logits = self.head(self.pool(self.found(found)).flatten(1), None, 0.0).float()
        difference = logits[:, 1] - logits[:, 0]
        return torch.stack([-difference, difference], dim=1)


def _normalised(heat: Tensor) -> Tensor:
    """Scales each photo's map, [N, 1, S, S], so that its largest value is 1, and drops the channel."""
    highest = heat.amax(dim=(1, 2, 3), keepdim=True)
    return (heat / highest.where(highest > 0, torch.ones_like(highest))).squeeze(1)
