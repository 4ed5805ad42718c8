"""What a pass through the frozen stages gives depends on the image and the weights, and on nothing else."""

import copy
from typing import cast

import pytest
import torch
from lightning.pytorch.plugins.layer_sync import TorchSyncBatchNorm
from torch import nn
from torch.nn.modules.module import register_module_forward_hook

from anemia_lightning.model.backbone import AnemiaNetwork
from anemia_lightning.model.trunk_pass import TrunkPass, frozen_sha256, map_shapes

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def network() -> AnemiaNetwork:
    network = AnemiaNetwork(backbone="resnet18", hidden=8)
    torch.manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.3)  # type: ignore[union-attr]
            module.running_var.uniform_(0.5, 2)  # type: ignore[union-attr]
    return network.eval()


def images(count: int, size: int = 48) -> torch.Tensor:
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(count))


def test_it_agrees_with_the_network_itself(network: AnemiaNetwork) -> None:
    frozen = TrunkPass(network, device=CPU, dtype=torch.float32)
    values = images(11)
    with torch.no_grad():
        maps, pooled = network.trunk(values), network.embed(values)
    torch.testing.assert_close(frozen.trunk(values), maps, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(frozen.pool(frozen.trunk(values)), pooled, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_every_stage_computes_with_channels_last(network: AnemiaNetwork, dtype: torch.dtype) -> None:
    given: list[torch.Tensor] = []
    frozen = TrunkPass(network, device=CPU, dtype=dtype)

    def note(module: nn.Module, inputs: object, output: object) -> None:
        if isinstance(output, torch.Tensor) and output.dim() == 4 and min(output.shape[1:]) > 1:
            given.append(output)

    with register_module_forward_hook(note):
        frozen.pool(frozen.trunk(images(3)))
    assert len(given) > 16, "of eight blocks with two convolutions each"
    for output in given:
        assert output.is_contiguous(memory_format=torch.channels_last)
        assert output.dtype == dtype


def test_synchronised_batchnorm_is_folded_too_also_when_lightning_has_undone_it(network: AnemiaNetwork) -> None:
    lightnings = TorchSyncBatchNorm()
    synchronised = lightnings.apply(copy.deepcopy(network))
    undone = lightnings.revert(copy.deepcopy(synchronised))
    networks = [cast("AnemiaNetwork", each) for each in (network, synchronised, undone)]
    plain, *others = (TrunkPass(each, device=CPU, dtype=torch.float32) for each in networks)
    for other in others:
        assert torch.equal(other.trunk(images(3)), plain.trunk(images(3)))
    assert len({frozen_sha256(each) for each in networks}) == 1


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize(
    ("size", "compiled"),
    [(32, False), (48, False), (64, False), pytest.param(48, True, marks=pytest.mark.slow)],
)
def test_an_image_does_not_depend_on_its_company(
    network: AnemiaNetwork, dtype: torch.dtype, size: int, compiled: bool
) -> None:
    frozen = TrunkPass(network, device=CPU, dtype=dtype, compiled=compiled)
    values = images(20, size)
    maps = frozen.trunk(values)
    pooled = frozen.pool(maps)
    assert maps.dtype == pooled.dtype == dtype
    for seed in range(5):
        order = torch.randperm(20, generator=torch.Generator().manual_seed(seed))
        assert torch.equal(frozen.trunk(values[order]), maps[order])
        assert torch.equal(frozen.pool(maps[order]), pooled[order])
    for index in range(0, 20, 7):
        assert torch.equal(frozen.trunk(values[index : index + 1]), maps[index : index + 1])


def test_every_pass_has_one_shape(network: AnemiaNetwork, monkeypatch: pytest.MonkeyPatch) -> None:
    frozen = TrunkPass(network, device=CPU, dtype=torch.float32, batch_size=4)
    shapes = []
    assert isinstance(frozen._compute_trunk, nn.Module)
    frozen._compute_trunk.register_forward_hook(lambda module, inputs, output: shapes.append(tuple(inputs[0].shape)))
    assert len(frozen.trunk(images(10, 32))) == 10
    assert shapes == [(4, 3, 32, 32)] * 3


def test_what_it_gives_can_be_trained_on() -> None:
    network = AnemiaNetwork(backbone="resnet18", hidden=8)
    network.release("layer4")
    maps = TrunkPass(network, device=CPU, dtype=torch.float32).trunk(images(3))
    assert not maps.requires_grad
    network(maps, entry="layer3").sum().backward()
    assert network.backbone.layer4[0].conv1.weight.grad.abs().sum() > 0


def test_training_the_network_on_changes_no_pass(network: AnemiaNetwork) -> None:
    frozen = TrunkPass(network, device=CPU, dtype=torch.float32)
    values = images(3)
    before = frozen.trunk(values)
    with torch.no_grad():
        network.backbone.conv1.weight.mul_(1.5)
    assert torch.equal(frozen.trunk(values), before)
    with torch.no_grad():
        network.backbone.conv1.weight.div_(1.5)


def test_the_hashes_say_which_weights_were_used(network: AnemiaNetwork) -> None:
    trunk, top = frozen_sha256(network)
    with torch.no_grad():
        network.backbone.layer4[0].conv1.weight[0, 0, 0, 0] += 1
    other_trunk, other_top = frozen_sha256(network)
    assert (other_trunk, other_top != top) == (trunk, True)
    with torch.no_grad():
        network.backbone.layer2[0].bn1.running_var[0] += 1
    assert frozen_sha256(network)[0] != trunk
    with torch.no_grad():
        network.head.output.weight.add_(1)
    network.backbone.bn1.num_batches_tracked += 1
    network.backbone.layer2[0].bn1.running_var[0] -= 1
    assert frozen_sha256(network) == (trunk, other_top), "neither the head nor a counter changes a feature"


@pytest.mark.parametrize("size", [32, 50, 224])
def test_shapes_are_those_of_what_it_gives(network: AnemiaNetwork, size: int) -> None:
    frozen = TrunkPass(network, device=CPU, dtype=torch.float32, batch_size=1)
    maps = frozen.trunk(images(1, size))
    assert map_shapes("resnet18", size) == (tuple(maps.shape[1:]), tuple(frozen.pool(maps).shape[1:]))
