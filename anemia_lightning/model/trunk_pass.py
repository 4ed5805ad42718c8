"""The pass through the frozen stages: what of a photo never changes while only what lies above trains."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from anemia_lightning.model.backbone import AnemiaNetwork
from anemia_lightning.model.compiling import CompiledStages
from anemia_lightning.model.folding import fold_batchnorm
from anemia_lightning.model.fused import can_fuse, fuse
from anemia_lightning.model.weights import tensors_sha256

_BATCH_SIZES = {"cpu": 8, "cuda": 64}
"""Images per pass. On a CPU, what becomes of eight images fits into its cache: on two cores with bf16 instructions an
image took 8.9 ms, where it took 11.3 ms in passes of 32. On an H200 a second did for 9,400 images in passes of 32,
13,700 in passes of 64, 14,200 in passes of 256."""


class TrunkPass:
    """Computes layer3 maps and pooled vectors in batches of one fixed shape, on one device, in one precision.

    The fixed shape makes the values of a photo a function of its image alone: with another number of images, the
    same convolution may add in another order. So on a CPU it does not matter which photos are computed together. On a
    GPU the place of a photo among them does, in the last bits: seen on an H200, in fp32.

    Args:
        network: Its frozen stages are copied as they are now.
        device: Where to compute.
        dtype: In which precision.
        batch_size: Images per pass; None for what suits the device.
        compiled: Whether stem to layer3 are compiled, at their first batch.
    """

    def __init__(
        self,
        network: AnemiaNetwork,
        *,
        device: torch.device,
        dtype: torch.dtype,
        batch_size: int | None = None,
        compiled: bool = False,
    ) -> None:
        folded = fold_batchnorm(network.backbone)
        stem = [folded.conv1, folded.relu, folded.maxpool]
        trunk = nn.Sequential(*stem, folded.layer1, folded.layer2, folded.layer3)
        top = nn.Sequential(folded.layer4, folded.avgpool, nn.Flatten())
        for stages in (trunk, top):
            stages.to(device=device, dtype=dtype).to(memory_format=torch.channels_last)
        self.is_fused = can_fuse(device, dtype)
        """Whether sums and ReLU are part of convolutions, where nothing is compiled; it changes last bits in bf16."""
        fused = fuse if self.is_fused else nn.Sequential
        self._compute_trunk = CompiledStages(trunk) if compiled else fused(trunk)
        self._compute_top = fused(top)
        self.device = device
        self.dtype = dtype
        self.batch_size = batch_size or _BATCH_SIZES.get(device.type, 32)

    def trunk(self, images: Tensor) -> Tensor:
        """Returns layer3's output, [B, C, h, w], for images, float [B, 3, S, S].

        Raises:
            CompilerMissingError: If it is to be compiled and cannot be.
        """
        return self._in_passes(self._compute_trunk, images)

    def pool(self, maps: Tensor) -> Tensor:
        """Returns the pooled vector, [B, features], for layer3's output."""
        return self._in_passes(self._compute_top, maps)

    def _in_passes(self, stages: Callable[[Tensor], Tensor], values: Tensor) -> Tensor:
        # Not inference mode: layer4 saves what enters it for its gradients.
        with torch.no_grad(), torch.autocast(self.device.type, enabled=False):
            parts = [self._one_pass(stages, part) for part in torch.split(values, self.batch_size)]
            return torch.cat(parts)

    def _one_pass(self, stages: Callable[[Tensor], Tensor], part: Tensor) -> Tensor:
        padded = torch.zeros(self.batch_size, *part.shape[1:], device=self.device, dtype=self.dtype)
        padded = padded.contiguous(memory_format=torch.channels_last)
        padded[: len(part)] = part
        return stages(padded)[: len(part)]


def map_shapes(backbone: str, size: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Returns the shapes of a photo's layer3 map and pooled vector.

    Args:
        backbone: Name of the torchvision ResNet.
        size: Side of an image in pixels.
    """
    with torch.device("meta"):
        network = AnemiaNetwork(backbone=backbone)
        maps = network.trunk(torch.empty(1, 3, size, size))
        pooled = network.embed(maps, "layer3")
    return tuple(maps.shape[1:]), tuple(pooled.shape[1:])


def frozen_sha256(network: AnemiaNetwork) -> tuple[str, str]:
    """Returns the SHA-256 of the weights of stem to layer3, and of those of layer4."""
    state = network.backbone.state_dict()
    # The counter of seen batches changes no value, and not every weights file has it.
    weights = {
        key: value.to(torch.promote_types(value.dtype, torch.float32))
        for key, value in state.items()
        if not key.endswith("num_batches_tracked")
    }
    top = {key: value for key, value in weights.items() if key.startswith("layer4.")}
    return tensors_sha256({key: value for key, value in weights.items() if key not in top}), tensors_sha256(top)
