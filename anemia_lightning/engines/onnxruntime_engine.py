"""ONNX Runtime as an engine, on the CPU."""

from pathlib import Path

import torch
from torch import Tensor

from anemia_lightning.engines.engine import in_passes
from anemia_lightning.engines.onnx_models import INPUT


class OnnxRuntimeEngine:
    """Computes a model of `OnnxModels`.

    Args:
        model: The file.
        precision: Of the file, for the name.
        threads: At work at once.
    """

    def __init__(self, model: Path, *, precision: str, threads: int) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        # Threads that wait by turning round would take the cores from those that read photographs.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        self.name = f"onnxruntime {precision}"
        self.device = torch.device("cpu")

    def __call__(self, images: Tensor) -> Tensor:
        """Returns the logits, float32 [B, models], for images, float32 [B, 3, S, S]."""
        return in_passes(self._pass, images)

    def _pass(self, images: Tensor) -> Tensor:
        return torch.from_numpy(self._session.run(None, {INPUT: images.numpy()})[0])
