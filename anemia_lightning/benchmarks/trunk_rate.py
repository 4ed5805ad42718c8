"""The trunk pass as a run would make it, beside the machine's matrix products."""

import torch
from omegaconf import DictConfig

from anemia_lightning import wiring
from anemia_lightning.benchmarks.matmul import TrunkRate, count_macs, measure_trunk
from anemia_lightning.benchmarks.orders import device_of
from anemia_lightning.model.backbone import AnemiaNetwork
from anemia_lightning.model.precision import dtype_of
from anemia_lightning.model.trunk_pass import TrunkPass
from anemia_lightning.model.weights import load_weights


def rate_trunk(cfg: DictConfig) -> TrunkRate:
    """Times the trunk pass of a run's network, precision and batch size in turns with matrix products."""
    network = AnemiaNetwork(backbone=cfg.model.backbone)
    load_weights(network, cfg.model.weights)
    trunk_pass = pass_of(cfg, network)
    size = cfg.data.image_size
    images = torch.randn(cfg.data.batch_size, 3, size, size, device=trunk_pass.device)
    macs = trunk_macs(network, size)
    return measure_trunk(trunk_pass.trunk, images, macs_per_image=macs, dtype=trunk_pass.dtype)


def pass_of(cfg: DictConfig, network: AnemiaNetwork, *, compiled: bool = False) -> TrunkPass:
    """Returns the trunk pass of a network, where and in which precision a run would make it."""
    dtype = dtype_of(wiring.resolve_precision(cfg))
    return TrunkPass(network, device=torch.device(device_of(cfg)), dtype=dtype, compiled=compiled)


def trunk_macs(network: AnemiaNetwork, size: int) -> int:
    """Returns the multiply-accumulates of the trunk for one image; 3.278e9 for ResNet-50 at 224 px."""
    with torch.device("meta"):
        shapes = AnemiaNetwork(backbone=network.backbone_name)
    return count_macs(shapes.trunk, size)
