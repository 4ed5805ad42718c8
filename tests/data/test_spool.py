"""Arrays in the spool are as they were, apart from one another, in no memory of ours, and leave nothing behind."""

import errno
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from anemia_lightning.data import spool as module
from anemia_lightning.data.spool import BLOCK_BYTES, Spool

FILL = """
import sys
import numpy as np
from pathlib import Path
from anemia_lightning.data.spool import Spool

def anonymous():
    line = next(line for line in open("/proc/self/status") if line.startswith("RssAnon:"))
    return int(line.split()[1]) / 1000

spool, before = Spool(Path(sys.argv[1])), anonymous()
held = [spool.empty((40_000,), np.uint8) for number in range(5_000)]
for number, array in enumerate(held):
    array[:] = number % 251
assert all((array == number % 251).all() for number, array in enumerate(held))
print(anonymous() - before)
"""


def keep(spool: Spool, array: NDArray[Any]) -> NDArray[Any]:
    kept = spool.empty(array.shape, array.dtype)
    kept[...] = array
    return kept


@pytest.mark.parametrize("seed", range(20))
def test_arrays_are_kept_as_they_were(seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK_BYTES", 1 << 16)
    rng = np.random.default_rng(seed)
    spool = Spool(tmp_path)
    arrays = [
        rng.integers(0, 100, tuple(rng.integers(0, 60, int(rng.integers(1, 4))))).astype(kind)
        for kind in rng.choice(["uint8", "float32", "int64", "bool"], 200)
    ]
    kept = [keep(spool, array) for array in arrays]
    for one, other in zip(kept, arrays, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other, strict=True)


def test_new_arrays_hold_zeros_and_may_be_larger_than_a_block(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    large = spool.empty((BLOCK_BYTES + 1,), np.uint8)
    assert not large.any()
    large[:] = 7
    assert not spool.empty((3, 2), np.int64).any()
    assert (large == 7).all()


def test_no_file_can_be_seen_and_none_stays(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "new")
    kept = keep(spool, np.ones(10))
    assert list(tmp_path.rglob("*")) == [tmp_path / "new"]
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700
    del spool
    assert (kept == 1).all()


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="the system has no /proc")
def test_200_mb_take_no_memory_of_ours(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", FILL, str(tmp_path)], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 20


def test_a_folder_that_cannot_be_made_means_memory(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    kept = keep(Spool(tmp_path / "file" / "folder"), np.arange(5))
    assert kept.tolist() == [0, 1, 2, 3, 4]


def test_a_full_disk_means_memory(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    first = keep(spool, np.arange(5))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (BLOCK_BYTES + 5, before[1]))
    try:
        large = keep(spool, np.full(2 * BLOCK_BYTES, 3, np.uint8))
        small = keep(spool, np.arange(7))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (large == 3).all()
    assert (first.tolist(), small.tolist()) == ([0, 1, 2, 3, 4], [0, 1, 2, 3, 4, 5, 6])


def test_it_asks_a_full_disk_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def refuse(*_: object, **__: object) -> None:
        asked.append(None)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    spool = Spool(tmp_path)
    assert [keep(spool, np.arange(3)).tolist() for _ in range(10)] == [[0, 1, 2]] * 10
    assert len(asked) == 1
