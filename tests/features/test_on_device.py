"""What lives on a device is what was asked for, as far as it fits."""

from collections.abc import Sequence
from contextlib import nullcontext

import pytest
import torch
from torch import Tensor

from anemia_lightning.features.on_device import OnDevice
from anemia_lightning.features.stored import Compute

CPU = torch.device("cpu")
ROWS = 10
ROW_BYTES = 3 * 4


class Source:
    """Values that say where they are from, and what was asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[list[int], int]] = []

    def __call__(self, indices: Sequence[int], view: int) -> Tensor:
        self.asked.append((list(indices), view))
        return torch.tensor([[view, index, 7] for index in indices], dtype=torch.float32)


def on_device(source: Compute, views: float, chunk: int = 4, *, one_at_a_time: bool = False) -> OnDevice:
    return OnDevice(
        source,
        rows=ROWS,
        row_bytes=ROW_BYTES,
        device=CPU,
        budget=lambda: int(views * ROWS * ROW_BYTES),
        progress=lambda: nullcontext(lambda *_: None),
        one_at_a_time=one_at_a_time,
        chunk=chunk,
    )


@pytest.mark.parametrize("views", [0, 0.5, 1, 2, 9])
@pytest.mark.parametrize("chunk", [1, 4, 10, 99])
@pytest.mark.parametrize("one_at_a_time", [False, True])
def test_values_are_the_same_whatever_fits(views: float, chunk: int, one_at_a_time: bool) -> None:
    kept = on_device(Source(), views, chunk, one_at_a_time=one_at_a_time)
    for view in (0, 1, 2, 0, 1, 2):
        for indices in ([3, 1, 3], [9], [0, 5]):
            assert torch.equal(kept(indices, view), Source()(indices, view))


def test_maps_stay_in_the_order_of_memory_that_convolutions_read() -> None:
    maps = torch.rand(ROWS, 3, 2, 2).contiguous(memory_format=torch.channels_last)
    kept = on_device(lambda indices, _: maps[list(indices)], 1)
    found = kept([3, 1], 0)
    assert torch.equal(found, maps[[3, 1]])
    assert found.is_contiguous(memory_format=torch.channels_last)


def test_a_view_is_brought_once() -> None:
    source = Source()
    kept = on_device(source, 2)
    for view in (0, 1, 0, 1):
        kept([2, 4], view)
    chunks = [[*range(4)], [*range(4, 8)], [8, 9]]
    assert source.asked == [*((chunk, view) for view in (0, 1) for chunk in chunks)]


def test_views_that_go_round_stay_as_far_as_there_is_room() -> None:
    source = Source()
    kept = on_device(source, 2, chunk=ROWS)
    for view in (0, 1, 2, 0, 1, 2):
        kept([5], view)
    whole = list(range(ROWS))
    assert source.asked == [(whole, 0), (whole, 1), ([5], 2), ([5], 2)]


def test_a_view_that_is_never_asked_for_again_makes_room_for_the_next() -> None:
    source = Source()
    kept = on_device(source, 1, chunk=ROWS, one_at_a_time=True)
    for view in (0, 0, 1, 1, 2):
        kept([5], view)
    whole = list(range(ROWS))
    assert source.asked == [(whole, 0), (whole, 1), (whole, 2)]


def test_what_does_not_fit_is_passed_on() -> None:
    source = Source()
    kept = on_device(source, 0.9)
    for _ in range(3):
        kept([2, 4], 0)
    assert source.asked == [*[([2, 4], 0)] * 3]


def test_what_others_have_taken_the_room_of_is_passed_on() -> None:
    class Cramped(Source):
        def __call__(self, indices: Sequence[int], view: int) -> Tensor:
            values = super().__call__(indices, view)
            if view == 1 and len(indices) > 2:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return values

    source = Cramped()
    kept = on_device(source, 9, chunk=4)
    for view in (0, 1, 1, 0, 2):
        assert torch.equal(kept([2, 4], view), torch.tensor([[view, 2.0, 7], [view, 4, 7]]))
    tried = [(list(range(4)), 1)]
    assert [each for each in source.asked if each[1] > 0] == [*tried, *[([2, 4], 1)] * 2, ([2, 4], 2)]


def test_what_was_let_go_is_passed_on() -> None:
    source = Source()
    kept = on_device(source, 9, chunk=99)
    kept([1], 0)
    kept.release()
    assert torch.equal(kept([2, 4], 0), torch.tensor([[0.0, 2, 7], [0, 4, 7]]))
    assert source.asked == [(list(range(ROWS)), 0), ([2, 4], 0)]
