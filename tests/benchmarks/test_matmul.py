"""The work of a trunk is counted right, and its rate is that of the work that was done."""

import pytest
import torch
from torch import Tensor, nn
from torchvision import models

from anemia_lightning.benchmarks import matmul
from anemia_lightning.benchmarks.matmul import count_macs, measure_trunk
from anemia_lightning.benchmarks.trunk_rate import trunk_macs
from anemia_lightning.model.backbone import AnemiaNetwork


def counted_by_hooks(backbone: str, size: int) -> int:
    """Multiply-accumulates of all convolutions up to layer3, from the shapes of what they return."""
    net = models.get_model(backbone).eval()
    trunk = nn.Sequential(net.conv1, net.bn1, net.relu, net.maxpool, net.layer1, net.layer2, net.layer3)
    total = 0

    def add(module: nn.Module, _: object, output: Tensor) -> None:
        nonlocal total
        assert isinstance(module, nn.Conv2d)
        per_value = module.in_channels // module.groups * module.kernel_size[0] * module.kernel_size[1]
        total += output.numel() * per_value

    for module in trunk.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(add)
    with torch.no_grad():
        trunk(torch.zeros(1, 3, size, size))
    return total


def test_the_trunk_of_resnet50_takes_what_is_known_of_it() -> None:
    assert trunk_macs(AnemiaNetwork(backbone="resnet50"), 224) == pytest.approx(3.2779e9, rel=1e-4)


@pytest.mark.parametrize(("backbone", "size"), [("resnet18", 64), ("resnet34", 32), ("resnext50_32x4d", 64)])
def test_any_trunk_is_counted_as_by_hooks(backbone: str, size: int) -> None:
    assert trunk_macs(AnemiaNetwork(backbone=backbone), size) == counted_by_hooks(backbone, size)


def test_the_share_is_that_of_the_best_product_in_the_same_round(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matmul, "_SHAPES", {"cpu": ((16, 16, 16), (16, 16, 32))})
    macs = 1000
    # Per round: two products, then the pass of 4 images.
    clock = iter([2.0, 2.0, 1.0, 2.0, 2.0, 2.0, 4.0, 4.0, 1.0])
    monkeypatch.setattr(matmul, "_seconds", lambda work, device: next(clock))
    images = torch.zeros(4, 3, 8, 8)
    found = measure_trunk(lambda values: values, images, macs_per_image=macs, dtype=torch.float32, rounds=3)
    best = 16 * 16 * 32 / 2
    assert found.shares == pytest.approx([4000 / best, 2000 / best, 4000 / (best / 2)])
    assert found.share == pytest.approx(4000 / best)
    assert found.matmul_macs_per_s == best
    assert found.images_per_s == 4.0


def test_products_and_a_pass_are_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matmul, "_SHAPES", {"cpu": ((64, 64, 64),)})
    monkeypatch.setattr(matmul, "_LEAST_S", 0.01)
    weight = torch.randn(64, 64)
    found = measure_trunk(lambda values: values @ weight, weight, macs_per_image=64 * 64, dtype=torch.bfloat16)
    assert found.share > 0
    assert len(found.shares) == 5
    assert found.to_dict()["share"] == found.share


def test_a_matrix_product_counts_once() -> None:
    weight = torch.empty(3 * 8 * 8, 5, device="meta")
    assert count_macs(lambda images: images.flatten(1) @ weight, 8) == 3 * 8 * 8 * 5
