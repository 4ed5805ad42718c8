"""A compiled network is the same network, and one that cannot be compiled runs all the same."""

from collections.abc import Iterator

import pytest
import torch

from anemia_lightning.model.backbone import AnemiaNetwork
from anemia_lightning.model.compiling import MODES, compile_network
from anemia_lightning.settings_check import _MODEL_CHOICES


def step(network: AnemiaNetwork, size: int) -> dict[str, torch.Tensor]:
    """Returns the logits of a training batch and the gradients that follow from them."""
    values = torch.linspace(-1, 1, size * 256 * 4).reshape(size, 256, 2, 2)
    keep = torch.arange(size * 8).reshape(size, 8) % 3 > 0
    logits = network(values, entry="layer3", keep=keep)
    logits.square().sum().backward()
    found = {name: param.grad.clone() for name, param in network.named_parameters() if param.grad is not None}
    network.zero_grad()
    return {"logits": logits.detach(), **found}


@pytest.fixture
def pair() -> Iterator[tuple[AnemiaNetwork, AnemiaNetwork]]:
    """Two equal networks."""
    # The switch that lets a failed compilation pass is one of the whole process.
    with torch._dynamo.config.patch(suppress_errors=False):
        torch._dynamo.reset()
        yield AnemiaNetwork(backbone="resnet18", hidden=8), AnemiaNetwork(backbone="resnet18", hidden=8)


def test_every_mode_is_a_choice_and_none_is_the_default() -> None:
    assert _MODEL_CHOICES["model.compile"] == (None, *MODES)


@pytest.mark.slow
def test_it_computes_what_the_plain_one_computes_before_and_after_a_release(
    pair: tuple[AnemiaNetwork, AnemiaNetwork],
) -> None:
    plain, compiled = pair
    keys = list(compiled.state_dict())
    compile_network(compiled, "default")
    assert list(compiled.state_dict()) == keys
    for stage in ("head", "layer4"):
        for network in pair:
            network.train()
            network.release(stage)
        expected, found = step(plain, 4), step(compiled, 4)
        assert found.keys() == expected.keys()
        assert any(name.startswith("backbone.layer4") for name in found) == (stage == "layer4")
        for name, value in expected.items():
            torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-4, msg=name)


@pytest.mark.slow
def test_without_a_compiler_it_runs_as_it_is(
    pair: tuple[AnemiaNetwork, AnemiaNetwork], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> object:
        raise RuntimeError("no compiler")

    monkeypatch.setattr("torch._inductor.compile_fx.compile_fx_inner", refuse)
    plain, compiled = pair
    compile_network(compiled, "default")
    for name, value in step(plain, 2).items():
        assert torch.equal(step(compiled, 2)[name], value), name
