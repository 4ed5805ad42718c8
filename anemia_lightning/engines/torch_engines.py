"""PyTorch as an engine: as training scores, and compiled."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

import torch
from torch import Tensor

from anemia_lightning.engines.engine import in_passes
from anemia_lightning.engines.whole_network import WholeNetwork
from anemia_lightning.model.backbone import AnemiaNetwork
from anemia_lightning.model.precision import dtype_of, read_precision
from anemia_lightning.model.trunk_pass import TrunkPass


class TorchEngine:
    """Computes what `train` and `evaluate` compute: trunk pass, then layer4 and head as they trained.

    Bit for bit where the batches have the same size.

    Args:
        networks: With equal trunks.
        precision: Of the Trainer, such as 32-true or bf16-mixed.
        device: Where to compute.
    """

    def __init__(self, networks: Sequence[AnemiaNetwork], *, precision: str, device: torch.device) -> None:
        number, is_mixed = read_precision(precision)
        self.name = f"torch {number}"
        self.device = device
        self._dtype, self._is_mixed = dtype_of(precision), is_mixed
        self._trunk = TrunkPass(networks[0], device=device, dtype=self._dtype)
        own = None if is_mixed else self._dtype
        self._networks = [network.to(device=device, dtype=own).eval() for network in networks]

    def __call__(self, images: Tensor) -> Tensor:
        """Returns the logits, float32 [B, models], for images, float32 [B, 3, S, S]."""
        with torch.inference_mode():
            maps = self._trunk.trunk(images)
            with self._autocast():
                both = [network(maps, entry="layer3") for network in self._networks]
            return torch.stack([outputs[:, 1] - outputs[:, 0] for outputs in both], dim=1).cpu()

    def _autocast(self) -> AbstractContextManager[object]:
        return torch.autocast(self.device.type, dtype=self._dtype, enabled=self._is_mixed)


class CompiledEngine:
    """The whole network through torch.compile, in float32 or bfloat16; uncompiled where there is no compiler.

    Args:
        networks: With equal trunks.
        precision: 32 or bf16.
        device: Where to compute.
        size: Side of an image in pixels.
        say: Told why nothing is compiled.
    """

    def __init__(
        self,
        networks: Sequence[AnemiaNetwork],
        *,
        precision: str,
        device: torch.device,
        size: int,
        say: Callable[[str], None],
    ) -> None:
        self.name = f"torch compiled {precision}"
        self.device = device
        network = WholeNetwork(networks).to(device).in_precision(dtype_of(precision))
        self._compute: Callable[[Tensor], Tensor] = torch.compile(network)
        try:
            self(torch.zeros(1, 3, size, size, device=device))
        except Exception as error:  # whatever compilers that are not there make of it
            say(f"Note: the network could not be compiled ({_first_line(error)}), so it computes as it is.")
            self.name = f"torch whole {precision}"
            self._compute = network

    def __call__(self, images: Tensor) -> Tensor:
        """Returns the logits, float32 [B, models], for images, float32 [B, 3, S, S]."""
        with torch.inference_mode():
            return in_passes(self._pass, images).cpu()

    def _pass(self, images: Tensor) -> Tensor:
        return self._compute(images.contiguous(memory_format=torch.channels_last))


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
