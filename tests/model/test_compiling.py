"""What is compiled computes the same, and a network that cannot be compiled runs all the same."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor

from anemia_lightning.command_line.settings_check import _MODEL_CHOICES
from anemia_lightning.errors import CompilerMissingError
from anemia_lightning.model.backbone import AnemiaNetwork
from anemia_lightning.model.compiling import MODES, compile_network
from anemia_lightning.model.trunk_pass import TrunkPass


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
    # The switch that lets a failed compilation pass is one of the whole process, and so are the others.
    dynamo = torch._dynamo.config.patch(suppress_errors=False, recompile_limit=8)
    with dynamo, torch._functorch.config.patch(backward_pass_autocast="same_as_forward"):
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


def test_kinds_of_batches_are_compiled_however_many_there_are(
    pair: tuple[AnemiaNetwork, AnemiaNetwork], monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled = []

    def compile_graph(graph: torch.fx.GraphModule, *_: object, **__: object) -> object:
        compiled.append(graph)
        return graph.forward

    monkeypatch.setattr("torch._inductor.compile_fx.compile_fx", compile_graph)
    _, network = pair
    compile_network(network.train(), "default")
    grown = []
    for size in range(2, 14):
        before = len(compiled)
        step(network, size)
        grown.append(len(compiled) - before)
    assert min(grown) > 0
    assert len(set(grown)) == 1, grown


def test_a_compiled_backward_pass_casts_nothing_that_a_plain_one_does_not(
    pair: tuple[AnemiaNetwork, AnemiaNetwork], monkeypatch: pytest.MonkeyPatch
) -> None:
    # What torch makes of both passes before it writes code for them.
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))
    plain, compiled = pair
    compile_network(compiled, "default")
    values, found = torch.linspace(-1, 1, 4 * 512).sin().reshape(4, 512), []
    for network in (plain, compiled):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = network.train()(values, entry="pooled")
        found.append(torch.autograd.grad(logits.sum(), list(network.head.parameters())))
    for expected, gradient in zip(*found, strict=True):
        torch.testing.assert_close(gradient, expected, rtol=1e-4, atol=1e-6)


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


def passes(seed: int, *, dtype: torch.dtype = torch.float32) -> tuple[TrunkPass, TrunkPass]:
    """Returns a pass through the frozen stages of one network, plain and compiled."""
    torch.manual_seed(seed)
    network = AnemiaNetwork(backbone="resnet18", hidden=8)
    cpu = torch.device("cpu")
    return TrunkPass(network, device=cpu, dtype=dtype), TrunkPass(network, device=cpu, dtype=dtype, compiled=True)


def images() -> Tensor:
    return torch.linspace(-1, 1, 3 * 3 * 32 * 32).sin().reshape(3, 3, 32, 32)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_a_compiled_pass_gives_what_the_plain_one_gives(dtype: torch.dtype) -> None:
    plain, compiled = passes(0, dtype=dtype)
    expected, found = plain.trunk(images()), compiled.trunk(images())
    assert found.dtype == dtype
    tolerance = 1e-4 if dtype == torch.float32 else 0.02
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance * float(expected.abs().max()))


@pytest.mark.slow
def test_every_network_of_a_process_is_compiled_and_keeps_its_own_weights() -> None:
    # Of one piece of code torch compiles eight versions.
    pairs = [passes(seed) for seed in range(10)]
    with torch._dynamo.config.patch(fail_on_recompile_limit_hit=True, suppress_errors=False):
        first = [compiled.trunk(images()) for _, compiled in pairs]
        for (plain, compiled), maps in zip(pairs, first, strict=True):
            torch.testing.assert_close(maps, plain.trunk(images()), rtol=1e-4, atol=1e-4)
            assert torch.equal(compiled.trunk(images()), maps)


def test_a_pass_that_cannot_be_compiled_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # What was compiled before would be found in memory and in this folder.
    torch.compiler.reset()
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    _, compiled = passes(0)
    # Errors are suppressed as `model.compile` leaves it for the whole process.
    suppressed = torch._dynamo.config.patch(suppress_errors=True)
    with suppressed, torch._inductor.config.patch({"cpp.cxx": ("no-such-compiler",)}):
        sentence = "Looked for a compiler for features.compile=true; found what torch says: .*no-such-compiler"
        with pytest.raises(CompilerMissingError, match=sentence):
            compiled.trunk(images())
