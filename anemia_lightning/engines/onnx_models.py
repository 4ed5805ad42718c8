"""A finished model as an ONNX file, in float32 or 8-bit integers, made once and kept by all that it depends on."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path

import torch
from torch import Tensor

from anemia_lightning.engines.engine import PASS_IMAGES
from anemia_lightning.engines.whole_network import WholeNetwork
from anemia_lightning.files.private_folder import share_file
from anemia_lightning.files.whole_file import draft_folder, note_use
from anemia_lightning.model.backbone import AnemiaNetwork
from anemia_lightning.model.weights import tensors_sha256

MODELS_VERSION = 1
"""Raised whenever the same networks, images and packages would give another file."""

INPUT, OUTPUT = "images", "logits"
_OPERATORS = ("Conv", "Add", "Relu", "MaxPool")
"""What is computed in integers. The two small products of the head cost no time, and logits are their sums."""


class OnnxModels:
    """Makes the ONNX files of some networks, or finds those that were made before.

    Args:
        networks: With equal trunks.
        size: Side of an image in pixels.
        folder: Where the files are kept.
    """

    def __init__(self, networks: Sequence[AnemiaNetwork], *, size: int, folder: Path) -> None:
        self._networks = networks
        self._size = size
        self._folder = folder
        self._weights = [tensors_sha256(network.state_dict()) for network in networks]

    def float32(self) -> Path:
        """Returns the file of the networks as they are, in passes of `PASS_IMAGES` images."""
        return self._made_once(self._export, "float32", "torch", "onnx", "onnxscript")

    def int8(self, images: Tensor) -> Path:
        """Returns the file in 8-bit integers: weights by channel, activations by the ranges that photographs give them.

        Args:
            images: Of photographs, float32 [N, 3, S, S]: not those whose scores are of interest.
        """
        content = tensors_sha256({INPUT: images})

        def make(file: Path) -> None:
            _quantise(self.float32(), file, images)

        kind = f"int8 {content} {' '.join(_OPERATORS)}"
        return self._made_once(make, kind, "torch", "onnx", "onnxscript", "onnxruntime")

    def _made_once(self, make: Callable[[Path], None], kind: str, *packages: str) -> Path:
        shape = f"{PASS_IMAGES} images of {self._size} pixels"
        made_by = [f"{name} {version(name)}" for name in packages]
        made_of = [f"version {MODELS_VERSION}", kind, *self._weights, shape, *made_by]
        name = hashlib.sha256("\n".join(made_of).encode()).hexdigest()[:32]
        file = self._folder / f"{name}.onnx"
        if not file.is_file():
            # Elsewhere first: another process, or one that is killed, must not leave half a file here.
            with draft_folder(self._folder) as place:
                draft = place / file.name
                make(draft)
                share_file(draft, self._folder)
                draft.replace(file)
        note_use(file)
        return file

    def _export(self, file: Path) -> None:
        network = WholeNetwork(self._networks)
        images = torch.zeros(PASS_IMAGES, 3, self._size, self._size)
        program = torch.onnx.export(
            network, (images,), dynamo=True, input_names=[INPUT], output_names=[OUTPUT], verbose=False
        )
        assert program is not None
        program.save(str(file), external_data=False)


def _quantise(float32: Path, int8: Path, images: Tensor) -> None:
    """Writes a model in 8-bit integers, as ONNX Runtime's tools make it."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Photographs(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._batches = _whole_passes(images)

        def get_next(self) -> dict[str, object] | None:
            batch = next(self._batches, None)
            return None if batch is None else {INPUT: batch.numpy()}

    prepared = int8.with_name("prepared.onnx")
    quant_pre_process(str(float32), str(prepared), skip_symbolic_shape=True)
    quantize_static(
        str(prepared),
        str(int8),
        Photographs(),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=list(_OPERATORS),
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )


def _whole_passes(images: Tensor) -> Iterator[Tensor]:
    """Yields passes of equal size; the last images go round to the first ones, which changes no range."""
    missing = -len(images) % PASS_IMAGES
    again = images[torch.arange(missing) % len(images)]
    yield from torch.split(torch.cat([images, again]), PASS_IMAGES)
