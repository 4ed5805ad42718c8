"""Values are computed once, and are the same whether they are kept, lost or never kept."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor

from anemia_lightning.errors import DiskFullError
from anemia_lightning.features.codec import AsTheyAre
from anemia_lightning.features.keys import row_key
from anemia_lightning.features.shard_collection import Collection, StoredRowsLost
from anemia_lightning.features.store import FeatureStore
from anemia_lightning.features.stored import OpenView, Stored

KEYS = [row_key(str(number)) for number in range(10)]


class Computer:
    """Computes (row, view), and notes for which rows it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[list[int], int]] = []

    def __call__(self, indices: Sequence[int], view: int) -> Tensor:
        self.asked.append((list(indices), view))
        return torch.tensor([[10.0 * view + index, view] for index in indices])


def keep_in(folder: Path, *, shard_bytes: int = 24) -> OpenView:
    store = FeatureStore(folder, max_bytes=10**6, shard_bytes=shard_bytes)
    return lambda view: store.open({"view": view}, CODEC.layout)


CODEC = AsTheyAre((2,), torch.float32)


def stored(
    compute: Computer,
    open_view: OpenView,
    *,
    keys: Sequence[str] | None = KEYS,
    told: list[str] | None = None,
    may_add: Callable[[int], bool] = lambda view: True,
) -> Stored:
    told = [] if told is None else told
    return Stored(
        compute,
        keys=keys,
        codec=CODEC,
        open_view=open_view,
        may_add=may_add,
        on_failure=lambda error: told.append(str(error)),
    )


def test_each_row_of_a_view_is_computed_once(tmp_path: Path) -> None:
    compute = Computer()
    values = stored(compute, keep_in(tmp_path))
    for view in (0, 1, 0, 1):
        for indices in ([3, 1, 4], [1, 5, 9]):
            assert torch.equal(values.values(indices, view), Computer()(indices, view))
    assert compute.asked == [([3, 1, 4], 0), ([5, 9], 0), ([3, 1, 4], 1), ([5, 9], 1)]


def test_the_next_process_finds_what_was_flushed(tmp_path: Path) -> None:
    first = stored(Computer(), keep_in(tmp_path, shard_bytes=10**6))
    first.values(range(10), 0)
    first.flush()
    compute = Computer()
    second = stored(compute, keep_in(tmp_path))
    assert torch.equal(second.values([7, 7, 2], 0), Computer()([7, 7, 2], 0))
    assert compute.asked == []


def test_another_view_writes_what_waits(tmp_path: Path) -> None:
    values = stored(Computer(), keep_in(tmp_path, shard_bytes=10**6))
    values.values([0, 1], 0)
    values.values([0, 1], 1)
    compute = Computer()
    stored(compute, keep_in(tmp_path)).values([0, 1], 0)
    assert compute.asked == []


@pytest.mark.parametrize("is_kept", [True, False])
def test_rows_with_one_key_are_computed_once_and_together(tmp_path: Path, is_kept: bool) -> None:
    compute = Computer()
    keys = [KEYS[0], KEYS[1], KEYS[0], KEYS[2]]
    values = stored(compute, keep_in(tmp_path) if is_kept else lambda view: None, keys=keys)
    rows = values.values([0, 1, 2, 3], 0)
    assert torch.equal(rows, Computer()([2, 1, 2, 3], 0))
    assert compute.asked == [([2, 1, 3], 0)]


def test_without_a_place_everything_is_computed_and_alike(tmp_path: Path) -> None:
    compute = Computer()
    values = stored(compute, lambda view: None)
    assert torch.equal(values.values([2, 3], 1), stored(Computer(), keep_in(tmp_path)).values([2, 3], 1))
    values.values([2, 3], 1)
    assert compute.asked == [([2, 3], 1)] * 2


def test_a_full_disk_costs_time_and_is_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise DiskFullError(tmp_path / "shard")

    monkeypatch.setattr("anemia_lightning.features.shard_collection.write_shard", refuse)
    compute, told = Computer(), list[str]()
    values = stored(compute, keep_in(tmp_path), told=told)
    for _ in range(2):
        assert torch.equal(values.values(range(10), 0), Computer()(range(10), 0))
    assert len(told) == 1
    assert str(tmp_path) in told[0]


def test_what_is_kept_is_read_where_no_more_may_be_added(tmp_path: Path) -> None:
    stored(Computer(), keep_in(tmp_path)).values(range(6), 0)
    compute = Computer()
    full = stored(compute, keep_in(tmp_path), may_add=lambda view: False)
    for _ in range(2):
        assert torch.equal(full.values([1, 2], 0), Computer()([1, 2], 0))
        assert torch.equal(full.values([8, 1, 9, 2, 8], 0), Computer()([8, 1, 9, 2, 8], 0))
        assert torch.equal(full.values([7], 0), Computer()([7], 0))
    assert compute.asked == [([8, 9], 0), ([7], 0)] * 2


def test_rows_without_keys_are_not_kept(tmp_path: Path) -> None:
    values = stored(Computer(), keep_in(tmp_path), keys=None)
    assert torch.equal(values.values([1, 2], 0), Computer()([1, 2], 0))
    assert not list(tmp_path.iterdir())


def test_what_another_process_has_computed_meanwhile_is_read(tmp_path: Path) -> None:
    compute = Computer()
    values = stored(compute, keep_in(tmp_path))
    values.values([0], 0)
    stored(Computer(), keep_in(tmp_path)).values([1, 2, 3], 0)
    values.values([1, 2, 3], 0)
    assert compute.asked == [([0], 0)]


def test_what_is_computed_is_written_before_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("anemia_lightning.features.stored.time.monotonic", lambda: now[0])
    values = stored(Computer(), keep_in(tmp_path, shard_bytes=10**6))
    values.values([0, 1], 0)
    now[0] = 31.0
    values.values([2], 0)
    compute = Computer()
    stored(compute, keep_in(tmp_path)).values([0, 1, 2], 0)
    assert compute.asked == []


def test_a_lost_row_is_computed_again(tmp_path: Path) -> None:
    values = stored(Computer(), keep_in(tmp_path))
    values.values(range(10), 0)
    values.flush()
    for shard in tmp_path.rglob("*.safetensors"):
        shard.write_bytes(b"torn")
    compute = Computer()
    again = stored(compute, keep_in(tmp_path))
    assert torch.equal(again.values(range(10), 0), Computer()(range(10), 0))
    assert compute.asked == [(list(range(10)), 0)]


def test_a_disk_that_loses_everything_is_not_asked_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def lose(self: Collection, keys: Sequence[str]) -> None:
        raise StoredRowsLost(keys)

    monkeypatch.setattr(Collection, "read", lose)
    values = stored(Computer(), keep_in(tmp_path))
    assert torch.equal(values.values([1, 2], 0), Computer()([1, 2], 0))
