"""The network's own step compiled: fewer and larger kernels, or on a GPU one CUDA graph for hundreds of calls."""

import torch

from anemia_lightning.model.backbone import AnemiaNetwork

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
    # Batches have few shapes: a whole one, the last of an epoch, those of validation.
    network.compile(mode=mode, dynamic=False)
