"""Values of photos that live on the accelerator, where all of a data set fit."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from anemia_lightning.features.stored import Compute


class OnDevice:
    """Brings all values of a view to a device when the first of them is asked for, and keeps them there.

    Views that do not fit beside those that are there push the oldest out; one that does not fit at all is passed on
    as it is asked for.

    Args:
        values: Where the values come from.
        rows: Rows of the data set.
        device: Where they are to live.
        budget: Returns how many bytes they may take there, asked once, when the first view is there.
        chunk: Rows that are brought at a time.
    """

    def __init__(
        self, values: Compute, *, rows: int, device: torch.device, budget: Callable[[], int], chunk: int = 256
    ) -> None:
        self._values = values
        self._rows = rows
        self._device = device
        self._budget = budget
        self._chunk = chunk
        self._room: int | None = None
        self._is_too_large = False
        self._held: dict[int, Tensor] = {}

    def __call__(self, indices: Sequence[int], view: int) -> Tensor:
        """Returns the values of some rows in one view, on the device."""
        if view not in self._held and not self._bring(view):
            return self._values(indices, view).to(self._device)
        return self._held[view][torch.tensor(list(indices), device=self._device)]

    def _bring(self, view: int) -> bool:
        if self._is_too_large:
            return False
        first = self._values(range(min(self._chunk, self._rows)), view)
        needed = first[0].numel() * first.element_size() * self._rows
        if self._room is None:
            self._room = self._budget()
        self._is_too_large = needed > self._room
        if self._is_too_large:
            return False
        while self._held and needed * (len(self._held) + 1) > self._room:
            del self._held[next(iter(self._held))]
        parts = [first.to(self._device)]
        for start in range(len(first), self._rows, self._chunk):
            rows = range(start, min(start + self._chunk, self._rows))
            parts.append(self._values(rows, view).to(self._device))
        self._held[view] = torch.cat(parts)
        return True


def half_of_free_memory(device: torch.device) -> int:
    """Returns half of the memory of a CUDA device that nobody uses; the rest is for the network."""
    free, _ = torch.cuda.mem_get_info(device)
    return free // 2
