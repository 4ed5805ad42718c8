"""One shard: what it gives back, and that it never gives back anything else."""

import hashlib
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from anemia_lightning.features.shard import Pick, RowLayout, Shard, ShardDamaged, as_bytes, row_bytes
from anemia_lightning.features.shard import write_shard as write_rows

COLLECTION = "0" * 32
LAYOUT: RowLayout = {"values": ((3, 2), torch.bfloat16), "scale": ((3,), torch.float32)}


def key(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def draw(layout: RowLayout, rows: int, seed: int = 0) -> dict[str, Tensor]:
    rng = np.random.default_rng(seed)
    drawn = {}
    for name, (shape, dtype) in layout.items():
        size = (rows, int(np.prod(shape, dtype=int)) * dtype.itemsize)
        drawn[name] = torch.from_numpy(rng.integers(0, 256, size, dtype=np.uint8)).view(dtype).view(rows, *shape)
    return drawn


def write_shard(path: Path, collection: str, keys: list[str], rows: Mapping[str, Tensor]) -> None:
    write_rows(path, collection, {name: {part: rows[part][row] for part in rows} for row, name in enumerate(keys)})


def read(shard: Shard, layout: RowLayout, picks: list[Pick]) -> dict[str, Tensor]:
    out = {name: torch.empty((len(picks), *shape), dtype=dtype) for name, (shape, dtype) in layout.items()}
    shard.read(picks, {name: as_bytes(tensor) for name, tensor in out.items()})
    return out


def read_all(path: Path, layout: RowLayout = LAYOUT) -> dict[str, dict[str, Any]]:
    """Returns the bytes of every row by its key."""
    shard = Shard(path, COLLECTION, layout)
    rows = read(shard, layout, [Pick(row, name, row) for row, name in enumerate(shard.keys)])
    return content(shard.keys, rows)


def content(keys: list[str], rows: Mapping[str, Tensor]) -> dict[str, dict[str, Any]]:
    return {
        name: {part: as_bytes(tensor)[row].tobytes() for part, tensor in rows.items()} for row, name in enumerate(keys)
    }


@pytest.fixture
def written(tmp_path: Path) -> tuple[Path, dict[str, dict[str, Any]]]:
    """A shard with five rows, and what it holds."""
    keys, rows = [key(number) for number in range(5)], draw(LAYOUT, 5)
    path = tmp_path / "shard.safetensors"
    write_shard(path, COLLECTION, keys, rows)
    return path, content(keys, rows)


dtypes = st.sampled_from([torch.bfloat16, torch.uint8, torch.float32, torch.float16, torch.int64])
shapes = st.lists(st.integers(1, 4), max_size=3).map(tuple)
layouts = st.dictionaries(st.sampled_from(["values", "scale", "a", "é"]), st.tuples(shapes, dtypes), min_size=1)


@given(layouts, st.integers(1, 7), st.integers(0, 1000), st.randoms(use_true_random=False))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_rows_come_back_to_the_last_bit_in_any_order(
    tmp_path: Path, layout: RowLayout, count: int, seed: int, random: Any
) -> None:
    keys, rows = [key(number) for number in range(count)], draw(layout, count, seed)
    path = tmp_path / f"{seed}.safetensors"
    write_shard(path, COLLECTION, keys, rows)
    shard = Shard(path, COLLECTION, layout)
    assert shard.keys == keys
    order = [random.randrange(count) for _ in range(9)]
    got = read(shard, layout, [Pick(row, keys[row], place) for place, row in enumerate(order)])
    for name, tensor in rows.items():
        assert np.array_equal(as_bytes(got[name]), as_bytes(tensor[order]))
    assert path.stat().st_size >= count * row_bytes(layout)


def test_the_file_is_one_that_the_library_reads(tmp_path: Path) -> None:
    rows = {"values": torch.randn(4, 3, 2).bfloat16(), "scale": torch.randn(4, 3)}
    write_shard(tmp_path / "x.safetensors", COLLECTION, [key(number) for number in range(4)], rows)
    loaded = safetensors.torch.load_file(tmp_path / "x.safetensors")
    assert loaded.keys() == rows.keys()
    assert all(torch.equal(loaded[name], rows[name]) for name in rows)


def test_a_flipped_bit_anywhere_is_never_believed(written: tuple[Path, dict[str, Any]]) -> None:
    path, held = written
    whole = path.read_bytes()
    refused = 0
    for position in range(len(whole)):
        torn = bytearray(whole)
        torn[position] ^= 1 << position % 8
        path.write_bytes(torn)
        try:
            assert read_all(path) == held  # as where the header names a type, which we know better
        except ShardDamaged:
            refused += 1
    assert refused > 0.9 * len(whole)


def test_a_file_cut_short_anywhere_is_never_believed(written: tuple[Path, dict[str, Any]]) -> None:
    path, _ = written
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(ShardDamaged):
            Shard(path, COLLECTION, LAYOUT)


def test_a_file_that_grows_is_not_believed(written: tuple[Path, dict[str, Any]]) -> None:
    path, _ = written
    with path.open("ab") as file:
        file.write(b"more")
    with pytest.raises(ShardDamaged, match="bytes long, where its header says otherwise"):
        Shard(path, COLLECTION, LAYOUT)


@pytest.mark.parametrize(
    "foreign",
    [b"", b"\0" * 4096, b"PK\x03\x04 torn", b"\x02" + b"\0" * 7 + b"[]", b"\x02" + b"\0" * 7 + b"{}", b"[" * 9000],
)
def test_a_foreign_file_is_not_believed(foreign: bytes, tmp_path: Path) -> None:
    path = tmp_path / "foreign.safetensors"
    path.write_bytes(foreign)
    with pytest.raises(ShardDamaged):
        Shard(path, COLLECTION, LAYOUT)


def test_a_foreign_header_that_nests_without_end_is_not_believed(tmp_path: Path) -> None:
    path = tmp_path / "foreign.safetensors"
    path.write_bytes((100_000).to_bytes(8, "little") + b"[" * 100_000)
    with pytest.raises(ShardDamaged):
        Shard(path, COLLECTION, LAYOUT)


def test_a_safetensors_file_of_somebody_else_is_not_believed(tmp_path: Path) -> None:
    path = tmp_path / "foreign.safetensors"
    safetensors.torch.save_file(draw(LAYOUT, 3), path, metadata={"format": "pt"})
    with pytest.raises(ShardDamaged, match="no shard of ours"):
        Shard(path, COLLECTION, LAYOUT)


def test_the_shard_of_another_collection_is_not_believed(written: tuple[Path, dict[str, Any]]) -> None:
    path, _ = written
    with pytest.raises(ShardDamaged, match="of another collection"):
        Shard(path, "1" * 32, LAYOUT)


@pytest.mark.parametrize(
    "layout",
    [
        {"values": ((3, 2), torch.bfloat16)},
        {**LAYOUT, "scale": ((4,), torch.float32)},
        {**LAYOUT, "more": ((3,), torch.int8)},
    ],
)
def test_rows_of_another_layout_are_not_believed(layout: RowLayout, written: tuple[Path, dict[str, Any]]) -> None:
    path, _ = written
    with pytest.raises(ShardDamaged, match="of another layout"):
        Shard(path, COLLECTION, layout)


def test_a_file_that_changes_or_shrinks_after_it_was_opened_is_found_out(
    written: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    path, _ = written
    changed, shrunk = (Shard(path, COLLECTION, LAYOUT) for _ in range(2))
    picks = [Pick(4, key(4), 0)]
    other = tmp_path / "other.safetensors"
    write_shard(other, COLLECTION, [key(number) for number in range(5)], draw(LAYOUT, 5, seed=1))
    shutil.copy(other, path)
    with pytest.raises(ShardDamaged, match="changed since it was written, in row 4"):
        read(changed, LAYOUT, picks)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 1)
    with pytest.raises(ShardDamaged, match="cut short"):
        read(shrunk, LAYOUT, picks)


def test_a_row_is_not_given_for_the_key_of_another(written: tuple[Path, dict[str, Any]]) -> None:
    shard = Shard(written[0], COLLECTION, LAYOUT)
    with pytest.raises(ShardDamaged, match="in row 0"):
        read(shard, LAYOUT, [Pick(0, key(1), 0)])


def test_verifying_looks_at_every_row_again(written: tuple[Path, dict[str, Any]]) -> None:
    path, _ = written
    shard = Shard(path, COLLECTION)
    shard.verify()
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ShardDamaged, match="changed since it was written"):
        shard.verify()
