"""Weights to start from: torchvision's by name, a file's, the random ones that a network has, or a checkpoint's."""

import hashlib
import http.client
import logging
import queue
import re
import threading
import urllib.request
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.error import HTTPError, URLError

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torchvision import models

from anemia_lightning.errors import (
    UnknownNameError,
    WeightsFileError,
    WeightsMismatchError,
    WeightsUnavailableError,
)
from anemia_lightning.model.backbone import AnemiaNetwork

_log = logging.getLogger(__name__)

_BACKBONE_PARTS = ("conv1.", "bn1.", "layer1.", "layer2.", "layer3.", "layer4.")
_LANDMARK = "layer1.0.conv1.weight"
_WRAPPERS = ("state_dict", "model")
_COUNTER = "num_batches_tracked"
_NETWORK = "network."


@dataclass(frozen=True)
class WeightsRecord:
    """Where a network's first weights came from, in plain values for the record of a run."""

    name: str | None
    """Torchvision's name of the weights; None for all others."""
    source: Literal["torchvision", "file", "random", "checkpoint"]
    sha256: str
    """`tensors_sha256` of the backbone as loaded; of a checkpoint that of the whole network, which it replaces."""
    file_name: str | None
    """The file's name without its folder; None for random weights."""


def load_weights(network: AnemiaNetwork, weights: str | None, *, timeout_s: float = 10.0) -> WeightsRecord:
    """Loads weights into the backbone; the head keeps its own.

    Args:
        network: Receives the weights.
        weights: Torchvision's name for weights of this backbone; or a .pth, .pt, .ckpt or .safetensors file
            with torchvision's keys, behind any one prefix, in any float type, with or without a classifier;
            or None for the random weights that the network has.
        timeout_s: Longest wait, in seconds, for a download to begin, and for each of its parts.

    Raises:
        UnknownNameError: If `weights` is neither a file nor a name that torchvision knows for this backbone.
        WeightsUnavailableError: If named weights are not in torch hub's folder and cannot be downloaded.
        WeightsFileError: If the file is damaged or holds no usable weights.
        WeightsMismatchError: If the file holds another architecture.
    """
    if weights is None:
        return WeightsRecord(None, "random", _sha256(network.backbone), None)
    named = models.get_model_weights(network.backbone_name).__members__
    if weights in named:
        name = named[weights].name
        file = _hub_file(network.backbone_name, name, named[weights].url, timeout_s)
    elif Path(weights).expanduser().is_file():
        name = None
        file = Path(weights).expanduser()
    else:
        sought = f"a weights file, or torchvision's name for weights of {network.backbone_name}"
        raise UnknownNameError(sought, weights, list(named))
    _load_backbone(network, _read_tensors(file), file)
    source: Literal["torchvision", "file"] = "torchvision" if name else "file"
    return WeightsRecord(name, source, _sha256(network.backbone), file.name)


def load_checkpoint(network: AnemiaNetwork, weights: Mapping[str, Tensor], file: Path) -> WeightsRecord:
    """Loads the weights of a checkpoint that training wrote: those of the backbone and those of the head.

    Args:
        network: Receives the weights.
        weights: The checkpoint's state dict.
        file: Where it lies.

    Raises:
        WeightsMismatchError: If it holds another architecture.
    """
    given = {key.removeprefix(_NETWORK): weights[key] for key in weights if key.startswith(_NETWORK)}
    expected = network.state_dict()
    if faults := _mismatches(expected, given):
        change = "Set model.backbone and model.hidden to what the checkpoint was trained with, or give another one."
        raise WeightsMismatchError(str(file), network.backbone_name, faults, change=change)
    network.load_state_dict({**expected, **given})
    return WeightsRecord(None, "checkpoint", _sha256(network), file.name)


def tensors_sha256(tensors: Mapping[str, Tensor]) -> str:
    """Returns the SHA-256 of names, types, shapes and bits, whatever the order, memory format and device."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _sha256(module: nn.Module) -> str:
    # The counter of seen batches changes no output, and not every file has it.
    state = module.state_dict()
    return tensors_sha256({key: value for key, value in state.items() if not key.endswith(_COUNTER)})


def _read_tensors(file: Path) -> dict[str, Tensor]:
    """Returns the tensors of a file, those of the state dict that it wraps if it wraps one."""
    change = "Give a file that safetensors or torch.save(model.state_dict(), FILE) wrote."
    try:
        if file.suffix == ".safetensors":
            content: Any = load_file(file)
        else:
            content = torch.load(file, map_location="cpu", weights_only=True)
    # A damaged file can raise nearly anything while it is unpickled.
    except Exception as error:
        raise WeightsFileError(str(file), f"a file that cannot be read ({type(error).__name__})", change) from error
    for wrapper in _WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    if not isinstance(content, Mapping):
        raise WeightsFileError(str(file), f"a {type(content).__name__} instead of named tensors", change)
    return {str(key): value for key, value in content.items() if isinstance(value, Tensor)}


def _load_backbone(network: AnemiaNetwork, tensors: dict[str, Tensor], file: Path) -> None:
    expected = network.backbone.state_dict()
    prefix = _prefix(tensors, file)
    given = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
    given = {key: value for key, value in given.items() if key.startswith(_BACKBONE_PARTS)}
    faults = _mismatches(expected, given)
    if faults:
        change = "Give model.weights=FILE a file of this architecture, or name the file's by model.backbone=NAME."
        raise WeightsMismatchError(str(file), network.backbone_name, faults, change=change)
    broken = [key for key, value in given.items() if not value.to(torch.float32).isfinite().all()]
    if broken:
        change = "Give a file with finite numbers; float16 cannot hold every BatchNorm statistic."
        raise WeightsFileError(str(file), f"infinite or undefined numbers in {broken[0]}", change)
    # load_state_dict copies in place: the parameters keep float32 and channels_last.
    network.backbone.load_state_dict({**expected, **given})


def _prefix(tensors: Mapping[str, Tensor], file: Path) -> str:
    """Returns what wrappers such as DataParallel or a LightningModule put before torchvision's keys."""
    prefixes = [key.removesuffix(_LANDMARK) for key in tensors if f".{key}".endswith(f".{_LANDMARK}")]
    if len(prefixes) > 1:
        listed = " and ".join(f"'{prefix}'" for prefix in sorted(prefixes))
        raise WeightsFileError(str(file), f"several networks, under {listed}", "Give a file that holds one network.")
    return prefixes[0] if prefixes else ""


def _mismatches(expected: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> list[str]:
    needed = {key: value for key, value in expected.items() if not key.endswith(_COUNTER)}
    missing = [f"no {key}" for key in needed if key not in given]
    shapes = [
        f"{key} is {tuple(given[key].shape)}, not {tuple(value.shape)}"
        for key, value in expected.items()
        if key in given and given[key].shape != value.shape
    ]
    types = [f"{key} is {given[key].dtype}" for key in needed if key in given and not given[key].is_floating_point()]
    surplus = [f"{key} too many" for key in given if key not in expected]
    return missing + shapes + types + surplus


def _hub_file(backbone: str, name: str, url: str, timeout_s: float) -> Path:
    """Returns the file of named weights in torch hub's folder, downloaded if it is not there."""
    file = Path(torch.hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[-1]
    if file.exists():
        with file.open("rb") as opened:
            found = hashlib.file_digest(opened, "sha256").hexdigest()
        if not found.startswith(_promised_sha256(file)):
            change = "Delete it, so that it is downloaded again, or give another file by model.weights=FILE."
            raise WeightsFileError(str(file), f"a damaged file: its SHA-256 begins with {found[:8]}", change)
        return file
    _log.info("Downloading %s to %s", url, file.parent)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        _download(url, file, timeout_s)
    except (OSError, http.client.HTTPException) as error:
        reason = _reason(error, timeout_s)
        raise WeightsUnavailableError(name, backbone, url, file.parent, reason) from error
    return file


def _promised_sha256(file: Path) -> str:
    """Returns the first digits of the SHA-256, which torchvision puts into the names of its files."""
    match = re.search(r"-([0-9a-f]{8,})\.", file.name)
    return match.group(1) if match else ""


def _download(url: str, file: Path, timeout_s: float) -> None:
    """Writes a file, whole or not at all; a slow download may take its time, a stalled one ends."""
    partial = file.with_name(f"{file.name}.{uuid.uuid4().hex}.partial")
    digest = hashlib.sha256()
    try:
        with _open_in_time(url, timeout_s) as answer, partial.open("xb") as opened:
            while part := answer.read(1 << 20):
                opened.write(part)
                digest.update(part)
        if not digest.hexdigest().startswith(_promised_sha256(file)):
            raise OSError(f"the answer's SHA-256 begins with {digest.hexdigest()[:8]}")
        partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)


def _open_in_time(url: str, timeout_s: float) -> http.client.HTTPResponse:
    """Returns the answer to a request, or raises TimeoutError.

    The socket's own time-out bounds each wait for the peer, but neither the search for its address nor the
    sum over several addresses. So a thread asks, and is left behind if it takes too long.
    """
    answers: queue.Queue[http.client.HTTPResponse | Exception] = queue.Queue()

    def ask() -> None:
        try:
            # The address is one of torchvision's own, all https.
            answers.put(urllib.request.urlopen(url, timeout=timeout_s))  # noqa: S310
        except Exception as error:
            if isinstance(error, HTTPError):
                error.close()  # It holds the connection.
            answers.put(error)

    threading.Thread(target=ask, daemon=True).start()
    try:
        answer = answers.get(timeout=timeout_s)
    except queue.Empty:
        raise TimeoutError from None
    if isinstance(answer, Exception):
        raise answer
    return answer


def _reason(error: Exception, timeout_s: float) -> str:
    cause = error.reason if isinstance(error, URLError) and isinstance(error.reason, Exception) else error
    if isinstance(cause, TimeoutError):
        return f"no answer within {timeout_s:g} s"
    return getattr(cause, "strerror", None) or str(cause)
