"""Every engine computes the same function, for one model or several, whatever company an image has."""

import copy
import os
import shutil
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from anemia_lightning.engines import ENGINES, Build, Engine, build_engine, check_engine, choice, onnx_models
from anemia_lightning.engines.engine import in_passes
from anemia_lightning.engines.onnx_models import OnnxModels
from anemia_lightning.errors import ConfigError, EngineUnavailableError, UnknownNameError
from anemia_lightning.model.backbone import AnemiaNetwork
from anemia_lightning.model.trunk_pass import TrunkPass

SIZE = 32
CPU = torch.device("cpu")
MARKS = {
    "openvino": [pytest.mark.skipif(find_spec("openvino") is None, reason="the extra openvino is not installed")],
    "compiled": [pytest.mark.slow],
}
KINDS = [
    pytest.param(name, precision, marks=MARKS.get(name, []))
    for name, precisions in ENGINES.items()
    for precision in precisions
    if (name, precision) != ("compiled", "32")  # one of them takes long enough
]
MOST_DIFFERENCE = {"32": 1e-4, "bf16": 0.2, "int8": 0.5}
"""Of logits with a standard deviation of 1, from a network of random weights."""

NewEngine = Callable[..., Engine]


@cache
def model(head_seed: int = 0) -> AnemiaNetwork:
    """A network whose BatchNorm has something to fold, and whose logits have a standard deviation of 1."""
    made = AnemiaNetwork(backbone="resnet18", hidden=16, head_seed=head_seed).eval()
    numbers = torch.Generator().manual_seed(0)
    for norm in made.modules():
        if isinstance(norm, nn.BatchNorm2d):
            for values in (norm.running_mean, norm.running_var, norm.weight, norm.bias):
                assert values is not None
                values.data += 0.2 * torch.rand(values.shape, generator=numbers)
    with torch.no_grad():
        made.head.output.weight /= logits(made).std()
    return made


@cache
def images() -> Tensor:
    # Each of one mood, so that their logits differ.
    numbers = torch.Generator().manual_seed(1)
    moods = torch.randn(19, 3, 1, 1, generator=numbers)
    return moods + 0.3 * torch.randn(19, 3, SIZE, SIZE, generator=numbers)


def logits(network: AnemiaNetwork) -> Tensor:
    with torch.no_grad():
        both = network(images())
    outputs: Tensor = both[:, 1] - both[:, 0]
    return outputs


@pytest.fixture(scope="module")
def new(tmp_path_factory: pytest.TempPathFactory) -> NewEngine:
    """Builds an engine of two models; files that take long to make are made once."""
    folder = tmp_path_factory.mktemp("engines")

    def build(name: str, precision: str = "auto", **changes: object) -> Engine:
        settings = {
            "networks": [copy.deepcopy(model(seed)) for seed in range(2)],
            "size": SIZE,
            "device": CPU,
            "trainer_precision": "32-true",
            "folder": folder,
            "range_images": images,
            "say": pytest.fail,
        }
        return build_engine(name, precision, Build(**{**settings, **changes}))  # type: ignore[arg-type]

    return build


@pytest.mark.parametrize(("name", "precision"), KINDS)
def test_it_computes_what_the_networks_compute(new: NewEngine, name: str, precision: str) -> None:
    engine = new(name, precision)
    found, wanted = engine(images()), torch.stack([logits(model(seed)) for seed in range(2)], dim=1)
    assert engine.name == f"{'torch compiled' if name == 'compiled' else name} {precision}"
    assert (found.dtype, found.shape, found.device) == (torch.float32, (19, 2), CPU)
    assert wanted.std(dim=0).tolist() == pytest.approx([1, 1], abs=0.01)
    assert (found - wanted).abs().max() < MOST_DIFFERENCE[precision]
    for place in range(2):
        assert torch.corrcoef(torch.stack([found[:, place], wanted[:, place]]))[0, 1] > 0.97
    assert (found[:, 0] - found[:, 1]).abs().max() > 1

    # No logit depends on the company of its image.
    assert torch.equal(engine(images()), found)
    if name != "torch":  # whose layer4 computes a batch as training does
        assert torch.equal(torch.cat([engine(images()[:3]), engine(images()[3:])]), found)


@pytest.mark.parametrize(
    ("precision", "dtype", "mixed"),
    [("32-true", torch.float32, False), ("bf16-mixed", torch.bfloat16, True),
     ("bf16-true", torch.bfloat16, False), ("64-true", torch.float64, False)],
)  # fmt: skip
def test_torch_computes_as_training_does(new: NewEngine, precision: str, dtype: torch.dtype, *, mixed: bool) -> None:
    network = copy.deepcopy(model())
    maps = TrunkPass(network, device=CPU, dtype=dtype).trunk(images())
    with torch.inference_mode(), torch.autocast("cpu", dtype=dtype, enabled=mixed):
        both = (network if mixed else network.to(dtype))(maps, entry="layer3")
    found = new("auto", trainer_precision=precision)(images())
    assert torch.equal(found[:, 0], both[:, 1] - both[:, 0])


def test_a_precision_that_there_is_not_is_named(new: NewEngine) -> None:
    with pytest.raises(UnknownNameError, match=r"trainer\.precision; found '8-true'.*bf16-true"):
        new("torch", trainer_precision="8-true")


def test_passes_are_filled_up_and_cut() -> None:
    sizes: list[int] = []

    def compute(part: Tensor) -> Tensor:
        sizes.append(len(part))
        return part.sum(dim=1)

    values = torch.arange(38.0).reshape(19, 2)
    assert torch.equal(in_passes(compute, values), values.sum(dim=1))
    assert sizes == [8, 8, 8]


def test_where_nothing_can_be_compiled_the_network_computes_as_it_is(
    new: NewEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def compile_nothing(_: nn.Module) -> Callable[[Tensor], Tensor]:
        def fail(_: Tensor) -> Tensor:
            msg = "No working C++ compiler found\nand much more"
            raise RuntimeError(msg)

        return fail

    monkeypatch.setattr(torch, "compile", compile_nothing)
    said: list[str] = []
    engine = new("compiled", "32", say=said.append)
    note = "Note: the network could not be compiled (No working C++ compiler found), so it computes as it is."
    assert said == [note]
    assert engine.name == "torch whole 32"
    assert (engine(images())[:, 0] - logits(model())).abs().max() < 1e-4


class TestOnnxFiles:
    @pytest.fixture(autouse=True)
    def _quickly(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(OnnxModels, "_export", lambda _, file: file.write_bytes(b"a model"))
        monkeypatch.setattr(onnx_models, "_quantise", lambda _, file, __: file.write_bytes(b"a smaller model"))

    def test_one_is_made_once(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        file = OnnxModels([model()], size=SIZE, folder=tmp_path / "engines").float32()
        assert [path.name for path in (tmp_path / "engines").iterdir()] == [file.name]
        monkeypatch.setattr(OnnxModels, "_export", pytest.fail)
        assert OnnxModels([copy.deepcopy(model())], size=SIZE, folder=tmp_path / "engines").float32() == file

    def test_others_have_other_files(self, tmp_path: Path) -> None:
        moved = copy.deepcopy(model())
        moved.backbone.bn1.running_mean += 1
        others = [([model()], 32), ([model()], 64), ([model(1)], 32), ([model(), model(1)], 32), ([moved], 32)]
        made = [OnnxModels(networks, size=size, folder=tmp_path).float32() for networks, size in others]
        models = OnnxModels([model()], size=SIZE, folder=tmp_path)
        made += [models.int8(images()), models.int8(images()[:8])]
        assert len(set(made)) == 7
        assert models.int8(images()) == made[5]

    @pytest.mark.parametrize(
        ("name", "value", "others"),
        [("MODELS_VERSION", 0, 2), ("PASS_IMAGES", 4, 2), ("_OPERATORS", ("Conv",), 1)],
    )
    def test_other_ways_to_make_one_have_other_files(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: object, others: int
    ) -> None:
        def make() -> set[Path]:
            models = OnnxModels([model()], size=SIZE, folder=tmp_path)
            return {models.float32(), models.int8(images())}

        made = make()
        monkeypatch.setattr(onnx_models, name, value)
        assert len(make() - made) == others

    def test_what_fails_leaves_nothing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def half(_: OnnxModels, file: Path) -> None:
            file.write_bytes(b"half a mod")
            raise KeyboardInterrupt

        monkeypatch.setattr(OnnxModels, "_export", half)
        with pytest.raises(KeyboardInterrupt):
            OnnxModels([model()], size=SIZE, folder=tmp_path).float32()
        assert list(tmp_path.iterdir()) == []

    def test_what_a_kill_has_left_goes_when_another_is_made(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        left: list[Path] = []

        def leave(_: OnnxModels, file: Path) -> None:
            file.write_bytes(b"half a mod")
            left.append(shutil.copytree(file.parent, file.parent.with_name(f"{file.parent.name}_left")))

        with monkeypatch.context() as patch:
            patch.setattr(OnnxModels, "_export", leave)
            OnnxModels([model()], size=SIZE, folder=tmp_path).float32()
        (stump,) = left
        made = [OnnxModels([network], size=SIZE, folder=tmp_path).float32() for network in (model(), model(1))]
        assert stump.is_dir(), "its maker may still be at work"
        os.utime(stump, (0, 0))
        made.append(OnnxModels([model()], size=64, folder=tmp_path).float32())
        assert set(tmp_path.iterdir()) == set(made)


@pytest.mark.slow
def test_ranges_come_from_the_photographs(new: NewEngine) -> None:
    wanted = logits(model())
    dim = new("onnxruntime", "int8", range_images=lambda: images() / 20)
    errors = [(engine(images())[:, 0] - wanted).abs().max() for engine in (new("onnxruntime", "int8"), dim)]
    assert errors[1] > 3 * errors[0]


class TestWhatCannotBe:
    def test_an_engine_that_there_is_not(self) -> None:
        with pytest.raises(UnknownNameError, match=r"engine=; found 'onnx'\. Known, the nearest first: onnxruntime"):
            check_engine("onnx", "auto")

    @pytest.mark.parametrize(("name", "precision"), [("torch", "int8"), ("onnxruntime", "bf16"), ("auto", "int8")])
    def test_a_precision_that_it_has_not(self, name: str, precision: str) -> None:
        with pytest.raises(ConfigError, match=f" computes in precision=32 or .*, or auto, not in {precision}"):
            check_engine(name, precision)

    def test_packages_that_are_not_installed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(choice, "find_spec", lambda name: None if name.startswith("onnxs") else object())
        check_engine("torch", "bf16")
        remedy = r"found no onnxscript\. Install it with pip install 'anemia-lightning\[onnx\]'"
        with pytest.raises(EngineUnavailableError, match=remedy):
            check_engine("onnxruntime", "auto")

    def test_int8_without_photographs(self, new: NewEngine) -> None:
        with pytest.raises(ConfigError, match="calibration=FOLDER, not those whose scores you will report"):
            new("onnxruntime", "int8", range_images=None)
