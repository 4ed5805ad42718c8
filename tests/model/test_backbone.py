"""Stages, freezing and entries of the network."""

from collections.abc import Iterator
from itertools import compress
from pathlib import Path
from typing import get_args

import pytest
import torch
from lightning.pytorch.plugins.layer_sync import TorchSyncBatchNorm
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel
from torchvision import models

from anemia_lightning.contracts import Entry
from anemia_lightning.errors import ConfigError, UnknownNameError
from anemia_lightning.model.backbone import GROUPS, STAGES, AnemiaNetwork, backbone_names


def tiny(**settings: object) -> AnemiaNetwork:
    return AnemiaNetwork(**{"backbone": "resnet18", "hidden": 8, **settings})  # type: ignore[arg-type]


def images(count: int = 4, side: int = 32) -> Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(1))


def snapshot(network: nn.Module) -> dict[str, Tensor]:
    return {key: value.detach().clone() for key, value in network.state_dict().items()}


def stage_of(key: str) -> str:
    part = key.removeprefix("backbone.").split(".")[0]
    return part if part in STAGES else "stem"


def moved_stages(network: nn.Module, before: dict[str, Tensor]) -> set[str]:
    return {stage_of(key) for key, value in network.state_dict().items() if not torch.equal(value, before[key])}


def train_steps(network: AnemiaNetwork, steps: int = 3) -> None:
    groups = [{"params": params, "name": name} for name, params in network.parameter_groups()]
    optimizer = torch.optim.Adam(groups, lr=1e-2, weight_decay=1e-2)
    network.train()
    for _ in range(steps):
        loss = nn.functional.cross_entropy(network(images()), torch.tensor([0, 1, 0, 1]))
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()


def test_the_real_network_has_torchvisions_keys_and_a_2048_wide_vector() -> None:
    network = AnemiaNetwork()
    with torch.device("meta"):
        expected = models.resnet50().state_dict()
    keys = {key.removeprefix("backbone.") for key in network.state_dict() if key.startswith("backbone.")}
    assert keys == {key for key in expected if not key.startswith("fc.")}
    assert {key for key in network.state_dict() if not key.startswith("backbone.")} == {
        "head.hidden.weight",
        "head.hidden.bias",
        "head.output.weight",
        "head.output.bias",
    }
    assert network.head.hidden.weight.shape == (512, 2048)
    assert network.head.output.weight.shape == (2, 512)
    with torch.no_grad():
        assert network.trunk(images(1, 64)).shape == (1, 1024, 4, 4)


def test_the_backbone_agrees_with_a_plain_torchvision_forward() -> None:
    network = tiny().eval()
    plain = models.resnet18()
    plain.fc = nn.Identity()
    plain.load_state_dict(network.backbone.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(network.embed(images()), plain.eval()(images()), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_its_pooling_is_torchs_and_the_gradient_stays_in_channels_last(dtype: torch.dtype) -> None:
    network = tiny()
    network.release("layer4")
    maps = torch.rand(4, 256, 4, 6, generator=torch.Generator().manual_seed(2))
    seen: dict[str, Tensor] = {}
    network.backbone.layer4.register_forward_hook(lambda module, inputs, output: seen.update(maps=output))
    with torch.autocast("cpu", dtype, enabled=dtype == torch.bfloat16):
        pooled = network.embed(maps, "layer3")
    seen["maps"].register_hook(lambda gradient: seen.update(gradient=gradient))  # type: ignore[no-untyped-call]
    pooled.sum().backward()  # type: ignore[no-untyped-call]
    assert pooled.dtype == dtype
    assert torch.equal(pooled, network.backbone.avgpool(seen["maps"]).flatten(1))
    assert seen["gradient"].is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(seen["gradient"], torch.full_like(seen["maps"], 1 / 6))


@pytest.mark.parametrize("train_from", ["layer4", "stem"])
@pytest.mark.parametrize("side", [32, 224])
def test_gradients_lie_in_memory_as_their_weights_do(side: int, train_from: str) -> None:
    """Torch's fused Adam takes that for granted on a CPU, and else mixes the elements up without a word."""
    network = tiny()
    network.release(train_from)
    with torch.autocast("cpu", torch.bfloat16):
        logits = network(images(2, side))
    logits.sum().backward()
    trained = [param for param in network.parameters() if param.requires_grad]
    assert trained
    for param in trained:
        assert param.grad is not None
        wide = [side > 1 for side in param.shape]
        assert list(compress(param.grad.stride(), wide)) == list(compress(param.stride(), wide))


def test_the_head_is_linear_relu_dropout_linear() -> None:
    network = tiny(dropout=0.25)
    pooled = torch.rand(4, 512)
    keep = torch.tensor([[True] * 6 + [False] * 2] * 4)
    head = network.head
    hidden = (pooled @ head.hidden.weight.T + head.hidden.bias).clamp(min=0) * keep / 0.75
    expected = hidden @ head.output.weight.T + head.output.bias
    torch.testing.assert_close(network(pooled, entry="pooled", keep=keep), expected)


def test_no_mask_keeps_every_unit() -> None:
    network = tiny()
    pooled = torch.rand(2, 512)
    head = network.head
    expected = head.output(head.hidden(pooled).relu())
    torch.testing.assert_close(network(pooled, entry="pooled"), expected, rtol=0, atol=0)


@pytest.mark.parametrize("train_from", STAGES)
def test_every_entry_gives_the_same_logits(train_from: str) -> None:
    network = tiny().eval()
    network.release(train_from)
    from_image = network(images())
    layer3 = network.trunk(images())
    assert torch.equal(network(layer3, entry="layer3"), from_image)
    assert torch.equal(network(network.embed(layer3, "layer3"), entry="pooled"), from_image)
    assert from_image.shape == (4, 2)


def test_every_entry_of_the_contract_is_known() -> None:
    network = tiny().eval()
    shapes = {"image": (2, 3, 32, 32), "layer3": (2, 256, 2, 2), "pooled": (2, 512)}
    assert set(shapes) == set(get_args(Entry))
    for entry in get_args(Entry):
        assert network(torch.rand(shapes[entry]), entry=entry).shape == (2, 2)


def test_logits_are_float32_and_not_rounded_under_autocast() -> None:
    network = tiny().eval()
    pooled = torch.rand(3, 512)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = network(images())
        exact = network(pooled, entry="pooled")
    assert rounded.dtype == torch.float32
    assert torch.equal(exact, network(pooled, entry="pooled"))


def test_maps_are_channels_last() -> None:
    network = tiny().eval()
    assert network.backbone.layer1[0].conv1.weight.is_contiguous(memory_format=torch.channels_last)
    assert network.trunk(images()).is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    ("train_from", "moving"),
    [("head", {"head"}), ("layer4", {"layer4", "head"}), ("stem", set(STAGES))],
)
@pytest.mark.parametrize("frozen_batchnorm", ["eval", "train"])
def test_frozen_stages_are_bit_identical_unless_their_batchnorm_trains(
    train_from: str, moving: set[str], frozen_batchnorm: str
) -> None:
    network = tiny(frozen_batchnorm=frozen_batchnorm)
    network.release(train_from)
    before = snapshot(network)
    train_steps(network)
    # The negative control: with BatchNorm in train mode the statistics of frozen stages do move.
    assert moved_stages(network, before) == (set(STAGES) if frozen_batchnorm == "train" else moving)
    frozen = {key for key in dict(network.named_parameters()) if stage_of(key) not in moving}
    assert all(torch.equal(network.state_dict()[key], before[key]) for key in frozen)


@pytest.mark.parametrize(("batchnorm", "statistics_move"), [("frozen", False), ("train", True)])
def test_statistics_of_released_batchnorm_follow_the_setting(batchnorm: str, statistics_move: bool) -> None:
    network = tiny(batchnorm=batchnorm)
    network.release("layer4")
    before = snapshot(network)
    train_steps(network)
    after = network.state_dict()
    moved = {key for key in after if "running" in key and not torch.equal(after[key], before[key])}
    assert {stage_of(key) for key in moved} == ({"layer4"} if statistics_move else set())
    assert not torch.equal(
        after["backbone.layer4.0.bn1.weight"], before["backbone.layer4.0.bn1.weight"]
    )  # the affine part trains either way


@pytest.mark.parametrize("frozen_batchnorm", ["eval", "train"])
def test_eval_puts_every_batchnorm_in_eval(frozen_batchnorm: str) -> None:
    network = tiny(batchnorm="train", frozen_batchnorm=frozen_batchnorm).train().eval()
    assert not any(module.training for module in network.modules())


def test_synchronised_batchnorm_is_frozen_too() -> None:
    network = nn.SyncBatchNorm.convert_sync_batchnorm(tiny()).train()  # type: ignore[no-untyped-call]
    kinds = {type(module): module.training for module in network.modules() if "BatchNorm" in type(module).__name__}
    assert kinds == {nn.SyncBatchNorm: False}


def test_batchnorm_stays_frozen_when_lightning_has_undone_its_synchronisation() -> None:
    lightnings = TorchSyncBatchNorm()
    network = lightnings.revert(lightnings.apply(tiny())).train()
    modes = [module.training for module in network.modules() if "BatchNorm" in type(module).__name__]
    assert modes == [False] * 20


def test_a_stage_that_is_frozen_again_stays_put() -> None:
    network = tiny()
    network.release("layer4")
    train_steps(network)
    before = snapshot(network)
    network.release("head")
    train_steps(network)
    assert moved_stages(network, before) == {"head"}


def test_a_new_network_trains_the_head_alone() -> None:
    network = tiny()
    assert network.train_from == "head"
    assert {key for key, param in network.named_parameters() if param.requires_grad} == {
        key for key in dict(network.named_parameters()) if key.startswith("head.")
    }
    assert [network.trains(group) for group in GROUPS] == [True, False, False]


@pytest.mark.parametrize("stage", STAGES[:4])
def test_the_trunk_trains_when_any_of_its_stages_does(stage: str) -> None:
    network = tiny()
    network.release(stage)
    assert all(network.trains(group) for group in GROUPS)


def test_parameter_groups_hold_each_parameter_once() -> None:
    network = tiny()
    groups = dict(network.parameter_groups())
    assert list(groups) == ["head", "layer4", "trunk"]
    names = {id(param): key for key, param in network.named_parameters()}
    stages = {group: {stage_of(names[id(param)]) for param in params} for group, params in groups.items()}
    assert stages == {"head": {"head"}, "layer4": {"layer4"}, "trunk": set(STAGES[:4])}
    assert sum(len(params) for params in groups.values()) == len(names)


@pytest.fixture
def process_group(tmp_path: Path) -> Iterator[None]:
    distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


@pytest.mark.usefixtures("process_group")
def test_a_release_after_distributed_wrapping_trains_the_released_stage() -> None:
    network = tiny()
    network.apply_freezing(keep_requires_grad_from="layer4")
    wrapped = DistributedDataParallel(network, find_unused_parameters=True)
    groups = [{"params": params} for _, params in network.parameter_groups()]
    optimizer = torch.optim.Adam(groups, lr=1e-2, weight_decay=1e-2)
    for stage, moving in (("head", {"head"}), ("layer4", {"layer4", "head"})):
        network.release(stage)
        before = snapshot(network)
        for _ in range(2):
            optimizer.zero_grad()
            torch.autograd.backward(wrapped(images()).square().sum())
            optimizer.step()
        assert moved_stages(network, before) == moving


def test_random_weights_depend_on_their_seed_and_nothing_else() -> None:
    torch.manual_seed(1)
    one = snapshot(tiny(init_seed=3, head_seed=4))
    torch.manual_seed(2)
    state = torch.get_rng_state()
    two = snapshot(tiny(init_seed=3, head_seed=4))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(one[key], two[key]) for key in one)


def test_backbone_and_head_have_seeds_of_their_own() -> None:
    start, other_backbone, other_head = tiny(), tiny(init_seed=1), tiny(head_seed=1)
    assert moved_stages(other_backbone, snapshot(start)) == set(STAGES) - {"head"}
    assert moved_stages(other_head, snapshot(start)) == {"head"}


def test_the_head_starts_alike_on_any_backbone_of_its_width() -> None:
    one, other = tiny(), tiny(backbone="resnet34")
    assert torch.equal(one.head.hidden.weight, other.head.hidden.weight)


def test_random_weights_are_scaled_as_torchvision_scales_them() -> None:
    weight = tiny().backbone.layer4[1].conv2.weight
    # Kaiming, fan out: a standard deviation of sqrt(2 / (512 filters of 3 by 3)).
    assert weight.std().item() == pytest.approx((2 / (512 * 9)) ** 0.5, rel=0.01)


def test_torchvisions_resnets_are_known_and_nothing_else() -> None:
    assert {"resnet18", "resnet50", "resnext50_32x4d", "wide_resnet50_2"} <= set(backbone_names())
    for name in backbone_names():
        with torch.device("meta"):
            assert isinstance(models.get_model(name), models.ResNet)


def test_an_unknown_backbone_is_named_with_its_nearest() -> None:
    with pytest.raises(UnknownNameError) as caught:
        AnemiaNetwork(backbone="resnet_50")
    assert str(caught.value).startswith(
        "Looked for a torchvision ResNet for model.backbone; found 'resnet_50'. Known, the nearest first: resnet50,"
    )


def test_an_unknown_stage_is_named_with_its_nearest() -> None:
    with pytest.raises(UnknownNameError) as caught:
        tiny().release("layer5")
    assert str(caught.value).startswith("Looked for a stage of the network; found 'layer5'.")
    assert "layer4" in str(caught.value)


def test_impossible_heads_are_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        tiny(hidden=0, dropout=1.0)
    expected = "model.hidden is 0; it must be 1 or more. model.dropout is 1.0; it must lie in [0, 1)."
    assert str(caught.value) == expected


def test_float32_is_convolved_in_full_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    tiny()
    assert not torch.backends.cudnn.allow_tf32


def test_a_batch_may_not_enter_above_a_stage_that_trains() -> None:
    network = tiny().train()
    network.release("layer4")
    with pytest.raises(AssertionError, match="layer4 trains, but a batch enters above it"):
        network(torch.rand(2, 512), entry="pooled")
