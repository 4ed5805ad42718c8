"""Folding BatchNorm changes no value and nothing of the original."""

import pytest
import torch
from torch import nn
from torchvision import models

from anemia_lightning.model.folding import fold_batchnorm


def trained_looking(name: str, seed: int) -> models.ResNet:
    """A network whose BatchNorm layers do something."""
    torch.manual_seed(seed)
    network = models.get_model(name, weights=None).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.3)  # type: ignore[union-attr]
            module.running_var.uniform_(0.5, 2)  # type: ignore[union-attr]
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.3)
    return network


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "resnext50_32x4d", "wide_resnet50_2"])
def test_it_computes_what_the_original_computes(name: str) -> None:
    network = trained_looking(name, seed=0).double()
    images = torch.randn(2, 3, 48, 48, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(fold_batchnorm(network)(images), network(images), rtol=1e-9, atol=1e-9)


def test_no_batchnorm_is_left_and_nothing_trains() -> None:
    folded = fold_batchnorm(trained_looking("resnet50", seed=0))
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    assert not any(param.requires_grad for param in folded.parameters())
    assert not folded.training


def test_the_original_stays_as_it_is() -> None:
    network = trained_looking("resnet18", seed=1).train()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    fold_batchnorm(network)
    assert network.training
    assert all(param.requires_grad for param in network.parameters())
    after = network.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(value, after[key]) for key, value in before.items())
