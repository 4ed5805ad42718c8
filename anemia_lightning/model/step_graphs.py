"""Training steps replayed as CUDA graphs: a GPU runs the kernels of a step sooner than they can be started singly."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn

from anemia_lightning.contracts import Entry
from anemia_lightning.model.backbone import AnemiaNetwork

_Step = Callable[[Tensor, Tensor], Tensor]


class StepGraphs:
    """Runs a network forward, and later backward, by replaying what was recorded at the second batch of each kind.

    Batches of another shape, such as the last of an epoch, are of another kind. What was recorded may add in another
    order than the network itself, with other last digits. The gradients of a step are overwritten by the next, so they
    cannot be accumulated. Where nothing can be recorded, the network runs as it is, with a warning.

    Args:
        network: Lives on a CUDA device; its BatchNorm statistics stand still.
    """

    def __init__(self, network: AnemiaNetwork) -> None:
        self._network = network
        self._steps: dict[tuple[object, ...], _Step] = {}
        self._seen: set[tuple[object, ...]] = set()
        self._works = True

    def __call__(self, values: Tensor, entry: Entry, keep: Tensor) -> Tensor:
        """Returns the logits of both labels, float32 [B, 2], as the network does in training."""
        kind = (self._network.train_from, entry, values.shape, values.dtype)
        # Images come from loaders whose threads reserve memory for the GPU meanwhile, which would spoil a recording.
        # To look for NaN in each gradient asks the GPU for an answer, which a recording cannot wait for.
        may_record = self._works and entry != "image" and not torch.is_anomaly_enabled()
        if may_record and kind in self._seen and kind not in self._steps:
            self._record(kind, values, entry, keep)
        self._seen.add(kind)
        if kind in self._steps:
            return self._steps[kind](values, keep)
        return cast("Tensor", self._network(values, entry=entry, keep=keep))

    def _record(self, kind: tuple[object, ...], values: Tensor, entry: Entry, keep: Tensor) -> None:
        # Nobody enters the network below where it trained before.
        self._steps = {known: step for known, step in self._steps.items() if known[0] == kind[0]}
        # The stream that records is another one than that which replays, as is meant.
        torch.autograd.graph.set_warn_on_accumulate_grad_stream_mismatch(False)
        device = values.device
        step = _Entered(self._network, entry, _same_precision(device.type))
        try:
            with _own_stream_again(device), torch.autocast(device.type, enabled=False, cache_enabled=False):
                recorded = torch.cuda.make_graphed_callables(
                    step, (values.clone(), keep.clone()), allow_unused_input=True
                )
        except RuntimeError as error:
            self._works = False
            warnings.warn(
                f"Training steps cannot be recorded as CUDA graphs, and run one by one: {error}", stacklevel=2
            )
            return
        self._steps[kind] = cast("_Step", recorded)


@contextmanager
def _own_stream_again(device: torch.device) -> Iterator[None]:
    """Comes back to the stream of before: a recording that fails midway leaves its own in place.

    Whatever then ran on it would not wait for what other threads compute on the usual one.
    """
    if device.type != "cuda":
        yield
        return
    stream = torch.cuda.current_stream(device)
    try:
        yield
    finally:
        torch.cuda.set_stream(stream)


def _same_precision(device: str) -> Callable[[], torch.autocast]:
    """Returns what casts as around this call, but weights anew in each step: a replay must not read earlier ones."""
    return partial(
        torch.autocast,
        device,
        dtype=torch.get_autocast_dtype(device),
        enabled=torch.is_autocast_enabled(device),
        cache_enabled=False,
    )


class _Entered(nn.Module):
    """A network with tensors as its only arguments.

    It casts by itself. The backward pass is recorded in the same place as the forward pass: in a place that casts it
    would be cast too, as no backward pass otherwise is, and the head's gradients would be rounded.
    """

    def __init__(self, network: AnemiaNetwork, entry: Entry, precision: Callable[[], torch.autocast]) -> None:
        super().__init__()
        self.network = network
        self._entry: Entry = entry
        self._precision = precision

    def forward(self, values: Tensor, keep: Tensor) -> Tensor:
        with self._precision():
            return cast("Tensor", self.network(values, entry=self._entry, keep=keep))
