"""Which engines there are, and how the one that is asked for is built."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

from anemia_lightning.engines.engine import Engine
from anemia_lightning.errors import ConfigError, EngineUnavailableError, UnknownNameError
from anemia_lightning.model.backbone import AnemiaNetwork

ENGINES: Mapping[str, tuple[str, ...]] = {
    "torch": ("32", "bf16"),
    "compiled": ("32", "bf16"),
    "onnxruntime": ("32", "int8"),
    "openvino": ("32", "bf16", "int8"),
}
"""The precisions of each engine; the first is what it takes where none is asked for."""

_NEEDS = {
    "onnxruntime": ("onnx", ("onnx", "onnxscript", "onnxruntime")),
    "openvino": ("openvino", ("onnx", "onnxscript", "onnxruntime", "openvino")),
}
"""The extra of our package that brings what an engine needs, and what that is."""


@dataclass(frozen=True, kw_only=True)
class Build:
    """What an engine is built from."""

    networks: Sequence[AnemiaNetwork]
    """With equal trunks; an engine may keep and move them."""
    size: int
    """Side of an image in pixels."""
    device: torch.device
    """Where PyTorch computes; the other engines compute on the CPU."""
    trainer_precision: str
    """What torch computes in where no precision is asked for: that of the Trainer, such as bf16-mixed."""
    folder: Path
    """Where files are kept that take long to make."""
    range_images: Callable[[], Tensor] | None
    """Returns images of photographs, float32 [N, 3, S, S], whose ranges int8 takes; None if there are none."""
    say: Callable[[str], None]
    """Told what a person should know."""


def check_engine(name: str, precision: str) -> None:
    """Refuses what cannot be, before anything is read.

    Args:
        name: Of an engine, or auto.
        precision: 32, bf16, int8 or auto.

    Raises:
        UnknownNameError: If there is no such engine.
        ConfigError: If it does not compute in this precision.
        EngineUnavailableError: If what it needs is not installed.
    """
    if name == "auto":
        name = "torch"
    if name not in ENGINES:
        raise UnknownNameError("an engine for engine=", name, ["auto", *ENGINES])
    if precision not in ("auto", *ENGINES[name]):
        raise ConfigError(
            [f"engine={name} computes in precision={' or '.join(ENGINES[name])}, or auto, not in {precision}."]
        )
    extra, packages = _NEEDS.get(name, ("", ()))
    missing = [package for package in packages if find_spec(package) is None]
    if missing:
        raise EngineUnavailableError(name, missing, extra)


def build_engine(name: str, precision: str, build: Build) -> Engine:
    """Returns an engine.

    Args:
        name: One of `ENGINES`, or auto: torch, which needs nothing more and scores as training did.
        precision: One of its precisions, or auto.
        build: What it is built from.

    Raises:
        AnemiaError: As `check_engine`; also if int8 has no photographs to take its ranges from.
    """
    check_engine(name, precision)
    if name in ("auto", "torch"):
        from anemia_lightning.engines.torch_engines import TorchEngine

        own = {"auto": build.trainer_precision, "32": "32-true", "bf16": "bf16-mixed"}[precision]
        return TorchEngine(build.networks, precision=own, device=build.device)
    precision = ENGINES[name][0] if precision == "auto" else precision
    if name == "compiled":
        from anemia_lightning.engines.torch_engines import CompiledEngine

        return CompiledEngine(build.networks, precision=precision, device=build.device, size=build.size, say=build.say)
    file, threads = _onnx_file(precision, build), torch.get_num_threads()
    if name == "onnxruntime":
        from anemia_lightning.engines.onnxruntime_engine import OnnxRuntimeEngine

        return OnnxRuntimeEngine(file, precision=precision, threads=threads)
    from anemia_lightning.engines.openvino_engine import OpenVinoEngine

    return OpenVinoEngine(file, precision=precision, threads=threads)


def _onnx_file(precision: str, build: Build) -> Path:
    from anemia_lightning.engines.onnx_models import OnnxModels

    models = OnnxModels(build.networks, size=build.size, folder=build.folder)
    if precision != "int8":
        return models.float32()
    if build.range_images is None:
        raise ConfigError(
            ["precision=int8 takes its ranges from photographs: name a folder of some with calibration=FOLDER, not "
             "those whose scores you will report."]
        )  # fmt: skip
    return models.int8(build.range_images())
