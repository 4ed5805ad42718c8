"""OpenVINO as an engine, on the CPU."""

from pathlib import Path

import torch
from torch import Tensor

from anemia_lightning.engines.engine import in_passes

_HINTS = {"32": "f32", "bf16": "bf16", "int8": "f32"}
"""In what the parts of a model are computed that are not in integers already."""


class OpenVinoEngine:
    """Computes a model of `OnnxModels`.

    Args:
        model: The file.
        precision: 32 or bf16 for a file in float32, int8 for one in integers.
        threads: At work at once.
    """

    def __init__(self, model: Path, *, precision: str, threads: int) -> None:
        import openvino

        core = openvino.Core()
        settings = {
            "INFERENCE_PRECISION_HINT": _HINTS[precision],
            "INFERENCE_NUM_THREADS": threads,
            "PERFORMANCE_HINT": "LATENCY",
        }
        self._compiled = core.compile_model(core.read_model(model), "CPU", settings)
        self.name = f"openvino {precision}"
        self.device = torch.device("cpu")

    def __call__(self, images: Tensor) -> Tensor:
        """Returns the logits, float32 [B, models], for images, float32 [B, 3, S, S]."""
        return in_passes(self._pass, images)

    def _pass(self, images: Tensor) -> Tensor:
        # The memory of the result is used again for the next.
        return torch.from_numpy(self._compiled(images.numpy())[0].copy())
