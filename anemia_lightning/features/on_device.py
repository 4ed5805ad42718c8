"""Values of photos that live on the accelerator, where all of a data set fit."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from threading import RLock

import torch
from torch import Tensor

from anemia_lightning.features.stored import Compute

Progress = Callable[[], AbstractContextManager[Callable[[int, int], None]]]
"""Opens something that is told of (rows done, rows in all)."""


class OnDevice:
    """Brings all values of a view to a device when the first of them is asked for, and keeps them there.

    Views for which there is no room beside those that are there are passed on as they are asked for.

    Args:
        values: Where the values come from.
        rows: Rows of the data set.
        row_bytes: What a row takes.
        device: Where they are to live.
        budget: Returns how many bytes they may take there; asked once, before the first view comes.
        progress: Told how many rows of a view have been brought.
        one_at_a_time: Whether no view is asked for again after the next one.
        chunk: Rows that are brought at a time.
    """

    def __init__(
        self,
        values: Compute,
        *,
        rows: int,
        row_bytes: int,
        device: torch.device,
        budget: Callable[[], int],
        progress: Progress,
        one_at_a_time: bool = False,
        chunk: int = 256,
    ) -> None:
        self._values = values
        self._rows = rows
        self._view_bytes = rows * row_bytes
        self._device = device
        self._budget = budget
        self._one_at_a_time = one_at_a_time
        self._chunk = chunk
        self._progress = progress
        # Several threads may ask for the first rows at once.
        self._lock = RLock()
        self._most_views: int | None = None
        self._held: dict[int, Tensor] = {}

    def __call__(self, indices: Sequence[int], view: int) -> Tensor:
        """Returns the values of some rows in one view, on the device."""
        with self._lock:
            if view not in self._held and self._has_room():
                self._try_to_bring(view)
            held = self._held.get(view)
        if held is None:
            return self._values(indices, view).to(self._device)
        # Else the copy would wait for all that a GPU still has to do.
        rows = torch.tensor(list(indices)).to(self._device, non_blocking=self._device.type == "cuda")
        return held[rows]

    def release(self) -> None:
        """Lets go of what is there; from then on values are passed on."""
        with self._lock:
            self._held.clear()
            self._most_views = 0

    def _try_to_bring(self, view: int) -> None:
        try:
            self._held[view] = self._bring(view)
        except torch.OutOfMemoryError:
            # Others on the same device have taken the room since it was asked for.
            self._most_views = len(self._held)

    def _has_room(self) -> bool:
        if self._one_at_a_time:
            self._held.clear()
        if self._most_views is None:
            self._most_views = self._budget() // self._view_bytes
        return len(self._held) < self._most_views

    def _bring(self, view: int) -> Tensor:
        held: Tensor | None = None
        with self._progress() as show:
            for start in range(0, self._rows, self._chunk):
                part = self._values(range(start, min(start + self._chunk, self._rows)), view)
                if held is None:
                    # Filled in place: parts put together at the end would take twice the room.
                    held = _room_for(self._rows, part, self._device)
                held[start : start + len(part)] = part
                show(start + len(part), self._rows)
        assert held is not None, "a data set has photos"
        return held


def _room_for(rows: int, part: Tensor, device: torch.device) -> Tensor:
    """Returns empty rows that lie in memory as those of a part do: else each part and each batch would be reordered."""
    is_map = part.dim() == 4  # noqa: PLR2004 (a map, not a vector)
    is_last = is_map and part.is_contiguous(memory_format=torch.channels_last)
    order = torch.channels_last if is_last else torch.contiguous_format
    return torch.empty((rows, *part.shape[1:]), dtype=part.dtype, device=device, memory_format=order)


def half_of_free_memory(device: torch.device) -> int:
    """Returns half of the memory of a CUDA device that is free to us; the rest is for the network."""
    free, _ = torch.cuda.mem_get_info(device)
    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return (free + kept) // 2
