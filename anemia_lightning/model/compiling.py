"""What computes compiled: the network's own step, and the pass through its frozen stages."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from anemia_lightning.errors import CompilerMissingError
from anemia_lightning.model.backbone import AnemiaNetwork

_MOST_VARIANTS = 64

MODES = ("default", "reduce-overhead", "max-autotune")
"""What torch.compile calls its modes; `reduce-overhead` records CUDA graphs."""


def compile_network(network: AnemiaNetwork, mode: str) -> None:
    """Compiles a network in place, at the first batch of each shape and anew when a stage is released.

    Names, weights and checkpoints stay as they are, and so does the pass through frozen layers, which is not part of a
    step. The order of sums changes, and with it the last digits. Where a system cannot compile (there is no C++
    compiler, no Triton), torch says so once and the network runs as it is.

    Args:
        network: It is not compiled yet.
        mode: One of `MODES`.
    """
    # An experiment must not end because a compiler is missing: it would only be slower.
    torch._dynamo.config.suppress_errors = True  # noqa: SLF001  torch has no public way
    # Each phase has four kinds of batch, whole ones and last ones, to train and to validate. Beyond its limit torch
    # computes the next kind uncompiled, with a line in a log that nobody sees.
    torch._dynamo.config.recompile_limit = _MOST_VARIANTS  # noqa: SLF001  as above
    # A backward pass runs where nothing is cast; torch would compile it as if it ran where the forward pass does, and
    # round the head's gradients.
    torch._functorch.config.backward_pass_autocast = "off"  # noqa: S105, SLF001  as above
    network.compile(mode=mode, dynamic=False)


class CompiledStages:
    """Stages whose weights never change again, compiled at their first batch; all batches have one shape.

    Args:
        stages: Their weights become constants of the compiled code.
    """

    def __init__(self, stages: nn.Module) -> None:
        self._stages = stages
        self._compute: Callable[[Tensor], Tensor] | None = None

    def __call__(self, batch: Tensor) -> Tensor:
        """Returns what the stages make of a batch, computed without gradients.

        Raises:
            CompilerMissingError: If this system cannot compile them.
        """
        if self._compute is None:
            return self._compile(batch)
        return self._compute(batch)

    def _compile(self, batch: Tensor) -> Tensor:
        compute = torch.compile(self._stages, dynamic=False, options={"freezing": True})
        try:
            # What is kept says that it was computed by compiled code.
            with torch._dynamo.config.patch(suppress_errors=False):  # noqa: SLF001  as above
                values: Tensor = compute(batch)
        except torch._dynamo.exc.TorchDynamoException as error:  # noqa: SLF001  its public module names none
            raise CompilerMissingError(str(error).strip().partition("\n")[0]) from error
        self._compute = compute
        return values
