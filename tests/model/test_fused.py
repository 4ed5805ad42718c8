"""Fused stages compute what the plain ones do, and are used where torch can fuse them."""

import copy
import platform

import pytest
import torch
from torch import Tensor, nn

from anemia_lightning.model.backbone import AnemiaNetwork
from anemia_lightning.model.folding import fold_batchnorm
from anemia_lightning.model.fused import can_fuse, fuse
from anemia_lightning.model.trunk_pass import TrunkPass

CPU = torch.device("cpu")
DTYPES = [dtype for dtype in (torch.float32, torch.bfloat16) if can_fuse(CPU, dtype)]
BF16_ROUNDING = 2.0**-7


def stages_of(name: str, dtype: torch.dtype) -> tuple[nn.Sequential, nn.Sequential]:
    """Returns folded stages up to layer3, and layer4 with pooling, with weights that keep values in range."""
    backbone = AnemiaNetwork(backbone=name, hidden=4).backbone
    torch.manual_seed(1)
    for module in backbone.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.3)  # type: ignore[union-attr]
            module.running_var.uniform_(0.5, 2)  # type: ignore[union-attr]
            module.weight.data.uniform_(0.2, 0.6)
            module.bias.data.normal_(0, 0.3)
    folded = fold_batchnorm(backbone)
    trunk = nn.Sequential(
        folded.conv1, folded.relu, folded.maxpool, folded.layer1, folded.layer2, folded.layer3
    )  # fmt: skip
    top = nn.Sequential(folded.layer4, folded.avgpool, nn.Flatten())
    for stages in (trunk, top):
        stages.to(dtype).to(memory_format=torch.channels_last)
    return trunk, top


def images(count: int, size: int) -> Tensor:
    values = torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(count))
    return values.contiguous(memory_format=torch.channels_last)


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="fused on x86 alone")
def test_full_precision_can_be_fused_here() -> None:
    assert torch.float32 in DTYPES


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "resnext50_32x4d", "wide_resnet50_2"])
@pytest.mark.parametrize("size", [32, 50])
def test_in_full_precision_the_values_are_the_same(name: str, size: int) -> None:
    if torch.float32 not in DTYPES:
        pytest.skip("nothing can be fused here")
    trunk, top = stages_of(name, torch.float32)
    values = images(3, size)
    with torch.no_grad():
        maps = trunk(values)
        torch.testing.assert_close(fuse(trunk)(values.clone()), maps, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(fuse(top)(maps.clone()), top(maps), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_in_half_precision_they_are_as_near_to_the_exact_ones_as_the_plain_ones_are(name: str) -> None:
    if torch.bfloat16 not in DTYPES:
        pytest.skip("bf16 cannot be fused here")
    trunk, _ = stages_of(name, torch.bfloat16)
    values = images(4, 64).to(torch.bfloat16)
    with torch.no_grad():
        exact = copy.deepcopy(trunk).double()(values.double())
        errors = [
            float((stages(values.clone()).double() - exact).norm() / exact.norm()) for stages in (trunk, fuse(trunk))
        ]
    assert errors[1] <= errors[0] * 1.05
    assert errors[1] < 4 * BF16_ROUNDING


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_what_enters_a_pass_stays_as_it_was_and_a_second_pass_gives_the_same(name: str, dtype: torch.dtype) -> None:
    frozen = TrunkPass(AnemiaNetwork(backbone=name, hidden=4), device=CPU, dtype=dtype)
    values = images(8, 32).to(dtype)
    kept = values.clone()
    maps = frozen.trunk(values)
    assert torch.equal(values, kept)
    kept = maps.clone()
    pooled = frozen.pool(maps)
    assert torch.equal(maps, kept)
    assert torch.equal(frozen.pool(frozen.trunk(values)), pooled)


def test_images_of_another_size_may_follow() -> None:
    trunk, _ = stages_of("resnet18", torch.float32)
    fused = fuse(trunk) if DTYPES else trunk
    with torch.no_grad():
        for size in (32, 48, 32):
            torch.testing.assert_close(fused(images(2, size)), trunk(images(2, size)), rtol=1e-5, atol=1e-5)


def test_nothing_is_fused_where_torch_cannot(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not can_fuse(torch.device("cuda"), torch.float32)
    assert not can_fuse(CPU, torch.float64)
    with torch.backends.mkldnn.flags(enabled=False, allow_tf32=None):
        assert not can_fuse(CPU, torch.float32)
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    assert not can_fuse(CPU, torch.float32)


def test_a_pass_that_is_not_fused_gives_nearly_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    network = AnemiaNetwork(backbone="resnet18", hidden=4)
    here = TrunkPass(network, device=CPU, dtype=torch.float32)
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    elsewhere = TrunkPass(network, device=CPU, dtype=torch.float32)
    assert not elsewhere.is_fused
    torch.testing.assert_close(elsewhere.trunk(images(3, 32)), here.trunk(images(3, 32)), rtol=1e-5, atol=1e-5)
