"""Weights by name, from files, from a network that fails, and none."""

import hashlib
import inspect
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn
from torchvision import models

from anemia_lightning.errors import (
    UnknownNameError,
    WeightsFileError,
    WeightsMismatchError,
    WeightsUnavailableError,
)
from anemia_lightning.model.backbone import AnemiaNetwork
from anemia_lightning.model.weights import load_checkpoint, load_weights, tensors_sha256

State = dict[str, Tensor]
NAME = "IMAGENET1K_V1"


@pytest.fixture
def network() -> AnemiaNetwork:
    return AnemiaNetwork(backbone="resnet18", hidden=4)


@pytest.fixture(scope="module")
def state() -> State:
    """A resnet18 with its classifier, as torchvision saves it, unlike the network's own start."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(7)
        return dict(models.resnet18().state_dict())


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Torch hub's folder, empty, and no proxy on the way to this machine."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("no_proxy", "*")
    return tmp_path / "torch" / "hub" / "checkpoints"


@pytest.fixture
def set_url(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Moves torchvision's weights to another address."""
    return lambda url: monkeypatch.setattr(models.ResNet18_Weights[NAME].value, "url", url)


def without_classifier(state: State) -> State:
    return {key: value for key, value in state.items() if not key.startswith("fc.")}


def assert_loaded(network: AnemiaNetwork, state: State) -> None:
    for key, value in network.backbone.state_dict().items():
        assert torch.equal(value, state[key]), key


def saved(folder: Path, state: State) -> bytes:
    """Returns the bytes of a checkpoint."""
    torch.save(state, folder / "saved.pth")
    return (folder / "saved.pth").read_bytes()


class TestFiles:
    def test_a_torch_file_with_a_classifier(self, network: AnemiaNetwork, state: State, tmp_path: Path) -> None:
        head = {key: value.clone() for key, value in network.head.state_dict().items()}
        torch.save(state, tmp_path / "mine.pth")
        record = load_weights(network, str(tmp_path / "mine.pth"))
        assert_loaded(network, state)
        assert all(torch.equal(value, head[key]) for key, value in network.head.state_dict().items())
        assert (record.name, record.source, record.file_name) == (None, "file", "mine.pth")

    def test_a_safetensors_file_without_one(self, network: AnemiaNetwork, state: State, tmp_path: Path) -> None:
        safetensors.torch.save_file(without_classifier(state), tmp_path / "mine.safetensors")
        record = load_weights(network, str(tmp_path / "mine.safetensors"))
        assert_loaded(network, state)
        assert record.file_name == "mine.safetensors"

    @pytest.mark.parametrize(
        ("prefix", "wrapper"),
        [
            ("", "state_dict"),
            ("module.", "model"),
            ("model.", None),
            ("backbone.", None),
            ("network.backbone.", "state_dict"),
            ("a.b.module.", None),
        ],
    )
    def test_prefixes_and_wrappers(
        self, network: AnemiaNetwork, state: State, tmp_path: Path, prefix: str, wrapper: str | None
    ) -> None:
        prefixed = {prefix + key: value for key, value in state.items()}
        torch.save({wrapper: prefixed, "epoch": 3} if wrapper else prefixed, tmp_path / "mine.ckpt")
        load_weights(network, str(tmp_path / "mine.ckpt"))
        assert_loaded(network, state)

    def test_a_checkpoint_of_a_whole_network(self, network: AnemiaNetwork, tmp_path: Path) -> None:
        other = AnemiaNetwork(backbone="resnet18", hidden=4, init_seed=5, head_seed=5)
        content = {f"network.{key}": value for key, value in other.state_dict().items()}
        torch.save({"state_dict": content, "hyper_parameters": {"hidden": 4}}, tmp_path / "best.ckpt")
        load_weights(network, str(tmp_path / "best.ckpt"))
        assert_loaded(network, other.backbone.state_dict())

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.float8_e4m3fn])
    def test_any_float_type(self, network: AnemiaNetwork, state: State, tmp_path: Path, dtype: torch.dtype) -> None:
        cast = {key: value.to(dtype) if value.is_floating_point() else value for key, value in state.items()}
        safetensors.torch.save_file(cast, tmp_path / "mine.safetensors")
        load_weights(network, str(tmp_path / "mine.safetensors"))
        floats = {key: value for key, value in network.backbone.state_dict().items() if value.is_floating_point()}
        assert all(torch.equal(value, cast[key].to(torch.float32)) for key, value in floats.items())
        assert {value.dtype for value in floats.values()} == {torch.float32}

    def test_the_counters_of_batches_are_optional(self, network: AnemiaNetwork, state: State, tmp_path: Path) -> None:
        torch.save({key: value for key, value in state.items() if "num_batches" not in key}, tmp_path / "a.pth")
        torch.save(state, tmp_path / "b.pth")
        records = [load_weights(network, str(tmp_path / file)) for file in ("a.pth", "b.pth")]
        assert records[0].sha256 == records[1].sha256

    def test_the_memory_format_stays(self, network: AnemiaNetwork, state: State, tmp_path: Path) -> None:
        torch.save(state, tmp_path / "mine.pth")
        load_weights(network, str(tmp_path / "mine.pth"))
        weight = network.backbone.layer1[0].conv1.weight
        assert weight.is_contiguous(memory_format=torch.channels_last)

    @pytest.mark.parametrize(
        ("architecture", "fault"),
        [
            ("resnet34", "layer1.2.conv1.weight too many"),
            ("resnet50", "layer1.0.conv1.weight is (64, 64, 1, 1), not (64, 64, 3, 3)"),
            ("squeezenet1_1", "no conv1.weight, no bn1.weight, no bn1.bias and 97 more"),
        ],
    )
    def test_another_architecture(self, network: AnemiaNetwork, tmp_path: Path, architecture: str, fault: str) -> None:
        before = network.backbone.conv1.weight.clone()
        file = tmp_path / "other.pth"
        torch.save(models.get_model(architecture).state_dict(), file)
        with pytest.raises(WeightsMismatchError) as caught:
            load_weights(network, str(file))
        message = str(caught.value)
        assert message.startswith(
            f"Looked for the weights of resnet18 in {file}; found those of another architecture: "
        )
        assert fault in message
        assert "model.backbone=NAME" in message
        assert torch.equal(network.backbone.conv1.weight, before)

    def test_a_quantised_file_is_another_architecture(
        self, network: AnemiaNetwork, state: State, tmp_path: Path
    ) -> None:
        torch.save({key: value.to(torch.int8) for key, value in state.items()}, tmp_path / "int8.pth")
        with pytest.raises(WeightsMismatchError, match=r"conv1\.weight is torch\.int8"):
            load_weights(network, str(tmp_path / "int8.pth"))

    def test_several_networks_in_one_file(self, network: AnemiaNetwork, state: State, tmp_path: Path) -> None:
        both = {f"{prefix}.{key}": value for prefix in ("teacher", "student") for key, value in state.items()}
        torch.save(both, tmp_path / "two.pth")
        with pytest.raises(WeightsFileError, match=r"found several networks, under 'student\.' and 'teacher\.'"):
            load_weights(network, str(tmp_path / "two.pth"))

    def test_statistics_that_overflowed(self, network: AnemiaNetwork, state: State, tmp_path: Path) -> None:
        overflowed = {**state, "bn1.running_var": torch.full((64,), 1e9).to(torch.float16)}
        torch.save(overflowed, tmp_path / "half.pth")
        with pytest.raises(WeightsFileError, match=r"infinite or undefined numbers in bn1\.running_var"):
            load_weights(network, str(tmp_path / "half.pth"))

    @pytest.mark.parametrize("suffix", [".pth", ".ckpt", ".safetensors"])
    @pytest.mark.parametrize("content", [b"", b"not weights at all", b"PK\x03\x04torn"])
    def test_a_damaged_file(self, network: AnemiaNetwork, tmp_path: Path, suffix: str, content: bytes) -> None:
        file = tmp_path / f"torn{suffix}"
        file.write_bytes(content)
        with pytest.raises(WeightsFileError) as caught:
            load_weights(network, str(file))
        assert str(caught.value).startswith(
            f"Looked for the weights of a ResNet in {file}; found a file that cannot be read ("
        )
        assert str(caught.value).endswith("torch.save(model.state_dict(), FILE) wrote.")

    def test_a_file_cannot_run_code(self, network: AnemiaNetwork, tmp_path: Path) -> None:
        torch.save(nn.Linear(1, 1), tmp_path / "module.pth")
        with pytest.raises(WeightsFileError, match=r"cannot be read \(UnpicklingError\)"):
            load_weights(network, str(tmp_path / "module.pth"))

    def test_a_file_with_something_else(self, network: AnemiaNetwork, tmp_path: Path) -> None:
        torch.save([1, 2], tmp_path / "list.pth")
        with pytest.raises(WeightsFileError, match="found a list instead of named tensors"):
            load_weights(network, str(tmp_path / "list.pth"))

    def test_neither_a_file_nor_a_name(self, network: AnemiaNetwork) -> None:
        with pytest.raises(UnknownNameError) as caught:
            load_weights(network, "IMAGENET1K_V3")
        assert str(caught.value) == (
            "Looked for a weights file, or torchvision's name for weights of resnet18; "
            "found 'IMAGENET1K_V3'. Known, the nearest first: IMAGENET1K_V1, DEFAULT."
        )


class TestCheckpoints:
    FILE = Path("run/checkpoints/best.ckpt")

    def weights(self, network: AnemiaNetwork) -> dict[str, Tensor]:
        return {f"network.{key}": value for key, value in network.state_dict().items()}

    def test_the_whole_network_is_loaded(self, network: AnemiaNetwork) -> None:
        other = AnemiaNetwork(backbone="resnet18", hidden=4, init_seed=5, head_seed=5)
        record = load_checkpoint(network, self.weights(other), self.FILE)
        assert all(torch.equal(value, other.state_dict()[key]) for key, value in network.state_dict().items())
        assert (record.name, record.source, record.file_name) == (None, "checkpoint", "best.ckpt")

    def test_another_head_has_another_sha256(self, network: AnemiaNetwork) -> None:
        others = [AnemiaNetwork(backbone="resnet18", hidden=4, head_seed=seed) for seed in (1, 1, 2)]
        records = [load_checkpoint(network, self.weights(other), self.FILE) for other in others]
        assert records[0] == records[1] != records[2]

    def test_another_width_of_the_head(self, network: AnemiaNetwork) -> None:
        before = {key: value.clone() for key, value in network.state_dict().items()}
        other = AnemiaNetwork(backbone="resnet18", hidden=8)
        with pytest.raises(WeightsMismatchError) as caught:
            load_checkpoint(network, self.weights(other), self.FILE)
        assert str(caught.value) == (
            f"Looked for the weights of resnet18 in {self.FILE}; found those of another architecture: "
            "head.hidden.weight is (8, 512), not (4, 512), head.hidden.bias is (8,), not (4,), "
            "head.output.weight is (2, 8), not (2, 4). "
            "Set model.backbone and model.hidden to what the checkpoint was trained with, or give another one."
        )
        assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


class TestRandom:
    def test_null_keeps_what_the_network_has(self, network: AnemiaNetwork) -> None:
        before = {key: value.clone() for key, value in network.state_dict().items()}
        record = load_weights(network, None)
        assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
        assert (record.name, record.source, record.file_name) == (None, "random", None)

    def test_other_random_weights_have_another_sha256(self, network: AnemiaNetwork) -> None:
        other = AnemiaNetwork(backbone="resnet18", hidden=4, init_seed=1)
        other_head = AnemiaNetwork(backbone="resnet18", hidden=4, head_seed=1)
        record = load_weights(network, None)
        assert record != load_weights(other, None)
        assert record == load_weights(other_head, None)


class TestSha256:
    def test_memory_format_and_order_do_not_matter(self) -> None:
        one, two = torch.rand(2, 3, 4, 4), torch.rand(3)
        other = one.contiguous(memory_format=torch.channels_last)
        assert tensors_sha256({"a": one, "b": two}) == tensors_sha256({"b": two, "a": other})

    @pytest.mark.parametrize(
        "other",
        [
            {"b": torch.zeros(4)},
            {"a": torch.zeros(2, 2)},
            {"a": torch.zeros(4, dtype=torch.int32)},
            {"a": torch.tensor([0.0, 0.0, 0.0, -0.0])},
        ],
    )
    def test_name_shape_type_and_bits_do(self, other: State) -> None:
        assert tensors_sha256({"a": torch.zeros(4)}) != tensors_sha256(other)

    def test_scalars_and_bfloat16_are_hashed_too(self) -> None:
        tensors = {"a": torch.tensor(3), "b": torch.zeros(2, dtype=torch.bfloat16)}
        expected = hashlib.sha256(
            b"a torch.int64 ()\n" + (3).to_bytes(8, "little") + b"b torch.bfloat16 (2,)\n" + bytes(4)
        )
        assert tensors_sha256(tensors) == expected.hexdigest()


class TestHubFolder:
    def test_a_file_that_is_there_is_loaded(
        self, network: AnemiaNetwork, state: State, hub: Path, set_url: Callable[[str], None], tmp_path: Path
    ) -> None:
        content = saved(tmp_path, state)
        file_name = f"resnet18-{hashlib.sha256(content).hexdigest()[:8]}.pth"
        hub.mkdir(parents=True)
        (hub / file_name).write_bytes(content)
        set_url(f"http://127.0.0.1:9/{file_name}")
        record = load_weights(network, NAME)
        assert_loaded(network, state)
        assert (record.name, record.source, record.file_name) == (NAME, "torchvision", file_name)
        assert load_weights(network, "DEFAULT").name == NAME

    def test_a_damaged_file_is_refused(self, network: AnemiaNetwork, state: State, hub: Path, tmp_path: Path) -> None:
        hub.mkdir(parents=True)
        file = hub / "resnet18-f37072fd.pth"
        file.write_bytes(saved(tmp_path, state)[:-1])
        with pytest.raises(WeightsFileError) as caught:
            load_weights(network, NAME)
        assert f"in {file}; found a damaged file: its SHA-256 begins with " in str(caught.value)
        assert "Delete it, so that it is downloaded again" in str(caught.value)


class Answer(BaseHTTPRequestHandler):
    """Answers with the server's content, or with a part of it and then silence."""

    def do_GET(self) -> None:
        content, sent, done = self.server.plan  # type: ignore[attr-defined]
        if content is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[:sent])
        self.wfile.flush()
        if sent < len(content):
            done.wait()

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


@pytest.fixture
def serve() -> Iterator[Callable[..., str]]:
    """Starts a web server that sends some bytes of a content, and returns its address."""
    done = threading.Event()
    servers: list[tuple[HTTPServer, threading.Thread]] = []

    def start(content: bytes | None, sent: int | None = None) -> str:
        server = HTTPServer(("127.0.0.1", 0), Answer)
        size = 0 if content is None else len(content)
        server.plan = (content, size if sent is None else sent, done)  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        servers.append((server, thread))
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    done.set()
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()


class TestDownload:
    def test_waits_ten_seconds_unless_told_otherwise(self) -> None:
        assert inspect.signature(load_weights).parameters["timeout_s"].default == 10.0

    def test_a_download_lands_in_the_hub_folder(
        self,
        network: AnemiaNetwork,
        state: State,
        hub: Path,
        set_url: Callable[[str], None],
        serve: Callable[..., str],
        tmp_path: Path,
    ) -> None:
        content = saved(tmp_path, state)
        file_name = f"resnet18-{hashlib.sha256(content).hexdigest()[:8]}.pth"
        set_url(f"{serve(content)}/{file_name}")
        assert load_weights(network, NAME).file_name == file_name
        assert_loaded(network, state)
        assert [file.name for file in hub.iterdir()] == [file_name]

    def test_a_socket_that_never_answers_is_given_up(
        self, network: AnemiaNetwork, hub: Path, set_url: Callable[[str], None]
    ) -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            url = f"http://127.0.0.1:{silent.getsockname()[1]}/resnet18-f37072fd.pth"
            set_url(url)
            with pytest.raises(WeightsUnavailableError) as caught:
                load_weights(network, NAME, timeout_s=0.2)
        assert str(caught.value) == (
            "Looked for torchvision's weights IMAGENET1K_V1 of resnet18; "
            f"found no resnet18-f37072fd.pth in {hub}, and no download of {url} (no answer within 0.2 s). "
            f"Put the file resnet18-f37072fd.pth in {hub}, "
            "give another file by model.weights=FILE, or start from random weights by model.weights=null."
        )
        assert list(hub.iterdir()) == []

    def test_a_name_service_that_never_answers_is_given_up(
        self,
        network: AnemiaNetwork,
        hub: Path,
        set_url: Callable[[str], None],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        released = threading.Event()

        def hang(*_: Any, **__: Any) -> None:
            released.wait()
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

        monkeypatch.setattr(socket, "getaddrinfo", hang)
        set_url("http://weights.invalid/resnet18-f37072fd.pth")
        with pytest.raises(WeightsUnavailableError, match=r"no answer within 0\.2 s"):
            load_weights(network, NAME, timeout_s=0.2)
        released.set()
        assert list(hub.iterdir()) == []

    def test_a_download_that_stalls_leaves_nothing(
        self, network: AnemiaNetwork, hub: Path, set_url: Callable[[str], None], serve: Callable[..., str]
    ) -> None:
        set_url(f"{serve(bytes(2000), sent=1000)}/resnet18-f37072fd.pth")
        with pytest.raises(WeightsUnavailableError, match=r"no answer within 0\.5 s"):
            load_weights(network, NAME, timeout_s=0.5)
        assert list(hub.iterdir()) == []

    @pytest.mark.parametrize(
        ("content", "reason"),
        [(b"<html>Please log in", "the answer's SHA-256 begins with "), (None, "HTTP Error 404: Not Found")],
    )
    def test_a_wrong_answer_leaves_nothing(
        self,
        network: AnemiaNetwork,
        hub: Path,
        set_url: Callable[[str], None],
        serve: Callable[..., str],
        content: bytes | None,
        reason: str,
    ) -> None:
        set_url(f"{serve(content)}/resnet18-f37072fd.pth")
        with pytest.raises(WeightsUnavailableError) as caught:
            load_weights(network, NAME)
        assert f"({reason}" in str(caught.value)
        assert list(hub.iterdir()) == []

    def test_a_socket_that_refuses(self, network: AnemiaNetwork, hub: Path, set_url: Callable[[str], None]) -> None:
        with socket.create_server(("127.0.0.1", 0)) as closed:
            port = closed.getsockname()[1]
        set_url(f"http://127.0.0.1:{port}/resnet18-f37072fd.pth")
        with pytest.raises(WeightsUnavailableError, match=r"\(Connection refused\)"):
            load_weights(network, NAME)
        assert list(hub.iterdir()) == []

    def test_a_hub_folder_that_cannot_be_made(
        self, network: AnemiaNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "file").touch()
        monkeypatch.setenv("TORCH_HOME", str(tmp_path / "file"))
        with pytest.raises(WeightsUnavailableError, match=r"\(Not a directory\)"):
            load_weights(network, NAME)
