"""Which training steps are recorded and replayed. What a GPU makes of them is measured, see README."""

from typing import Any

import pytest
import torch
from torch import Tensor

from anemia_lightning.contracts import Entry
from anemia_lightning.model.backbone import AnemiaNetwork
from anemia_lightning.model.step_graphs import StepGraphs, _own_stream_again

WIDTHS: dict[Entry, tuple[int, ...]] = {"image": (3, 32, 32), "pooled": (512,), "layer3": (256, 2, 2)}


class Recorder:
    """Stands in for CUDA's graphs: notes what is recorded, and replays the step itself."""

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []
        self.replays = 0

    def __call__(self, step: torch.nn.Module, samples: tuple[Tensor, Tensor], **_: Any) -> Any:
        self.shapes.append(tuple(samples[0].shape))

        def replay(values: Tensor, keep: Tensor) -> Tensor:
            self.replays += 1
            logits: Tensor = step(values, keep)
            return logits

        return replay


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    recorder = Recorder()
    monkeypatch.setattr(torch.cuda, "make_graphed_callables", recorder)
    return recorder


@pytest.fixture
def network() -> AnemiaNetwork:
    return AnemiaNetwork(backbone="resnet18", hidden=8).train()


def step(graphs: StepGraphs, network: AnemiaNetwork, entry: Entry, photos: int) -> None:
    """Asserts that a step gives what the network gives."""
    values, keep = torch.randn(photos, *WIDTHS[entry]), torch.rand(photos, 8) > 0.5
    assert torch.equal(graphs(values, entry, keep), network(values, entry=entry, keep=keep))


def test_each_kind_of_batch_is_recorded_when_it_comes_again(recorder: Recorder, network: AnemiaNetwork) -> None:
    graphs = StepGraphs(network)
    for _ in range(4):
        for photos in (4, 4, 3):  # the last batch of an epoch is smaller
            step(graphs, network, "pooled", photos)
    assert recorder.shapes == [(4, 512), (3, 512)]
    assert recorder.replays == 12 - 2, "the first of each kind runs as it is"


def test_what_a_release_changes_is_recorded_anew(recorder: Recorder, network: AnemiaNetwork) -> None:
    graphs = StepGraphs(network)
    for stage in ("head", "layer4"):
        network.release(stage)
        for _ in range(2):
            step(graphs, network, "layer3", 4)
    assert recorder.shapes == [(4, 256, 2, 2)] * 2


def test_images_are_never_recorded(recorder: Recorder, network: AnemiaNetwork) -> None:
    network.release("layer3")
    graphs = StepGraphs(network)
    for _ in range(3):
        step(graphs, network, "image", 4)
    assert not recorder.shapes


def test_where_nothing_can_be_recorded_every_step_runs(
    network: AnemiaNetwork, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise RuntimeError("operation not permitted when stream is capturing")

    monkeypatch.setattr(torch.cuda, "make_graphed_callables", refuse)
    graphs = StepGraphs(network)
    for _ in range(4):
        step(graphs, network, "pooled", 4)
    (warning,) = [each for each in recwarn if "CUDA graphs" in str(each.message)]
    assert str(warning.message) == (
        "Training steps cannot be recorded as CUDA graphs, and run one by one: "
        "operation not permitted when stream is capturing"
    )


def test_what_was_recorded_of_a_phase_goes_with_it(recorder: Recorder, network: AnemiaNetwork) -> None:
    graphs = StepGraphs(network)
    for stage in ("head", "layer4"):
        network.release(stage)
        for _ in range(2):
            step(graphs, network, "layer3", 4)
        assert len(graphs._steps) == 1


def test_where_torch_looks_for_nan_nothing_is_recorded(recorder: Recorder, network: AnemiaNetwork) -> None:
    graphs = StepGraphs(network)
    with torch.autograd.set_detect_anomaly(True):  # the other way to say so warns of its price
        for _ in range(3):
            step(graphs, network, "pooled", 4)
    assert not recorder.shapes
    step(graphs, network, "pooled", 4)
    assert recorder.shapes == [(4, 512)]


@pytest.mark.parametrize(("stage", "entry"), [("head", "pooled"), ("layer4", "layer3")])
def test_a_backward_pass_is_recorded_as_it_runs_by_itself(
    network: AnemiaNetwork, stage: str, entry: Entry, monkeypatch: pytest.MonkeyPatch
) -> None:
    network.release(stage)
    trained = [param for param in network.parameters() if param.requires_grad]
    recorded: list[Tensor] = []

    def record(step: torch.nn.Module, samples: tuple[Tensor, Tensor], **_: Any) -> torch.nn.Module:
        # As torch does it: one after the other, where it is called.
        recorded.extend(torch.autograd.grad(step(*samples).sum(), trained))
        return step

    monkeypatch.setattr(torch.cuda, "make_graphed_callables", record)
    caches: list[bool] = []
    network.backbone.layer4.register_forward_pre_hook(lambda *_: caches.append(torch.is_autocast_cache_enabled()))
    graphs = StepGraphs(network)
    values, keep = torch.randn(4, *WIDTHS[entry]), torch.rand(4, 8) > 0.5
    with torch.autocast("cpu", dtype=torch.bfloat16):
        first, _ = (graphs(values, entry, keep) for _ in range(2))
    for found, gradient in zip(recorded, torch.autograd.grad(first.sum(), trained), strict=True):
        assert torch.equal(found, gradient)
    assert not any(caches[1:]), "a replay would read the weights of an earlier step"


def test_a_recording_that_fails_leaves_the_stream_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    streams = ["usual"]
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: streams[-1])
    monkeypatch.setattr(torch.cuda, "set_stream", streams.append)

    def record() -> None:
        with _own_stream_again(torch.device("cuda", 0)):
            streams.append("recording")
            raise RuntimeError("operation not permitted when stream is capturing")

    with pytest.raises(RuntimeError):
        record()
    assert streams == ["usual", "recording", "usual"]
