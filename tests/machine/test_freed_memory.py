"""Freed memory goes back to the system."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest

from anemia_lightning.machine.freed_memory import give_back_memory

_MB = 1 << 20
_STATE = Path("/proc/self/smaps_rollup")


def anonymous_bytes() -> int:
    found = re.search(r"Anonymous:\s+(\d+) kB", _STATE.read_text())
    assert found is not None
    return int(found[1]) * 1024


@pytest.mark.skipif(not _STATE.exists(), reason="this system does not tell how much memory a process has")
def test_a_heap_in_pieces_is_given_back() -> None:
    # The C library takes larger pieces from the system one by one, and gives those back by itself.
    pieces = [np.ones(100_000, dtype=np.uint8) for _ in range(1000)]
    last = pieces.pop()
    pieces.clear()
    before = anonymous_bytes()
    give_back_memory()
    assert before - anonymous_bytes() > 60 * _MB
    assert last.all()


def test_it_does_nothing_where_the_c_library_cannot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ctypes.CDLL", lambda _: object())
    give_back_memory()
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr("ctypes.CDLL", lambda _: 1 / 0)
    give_back_memory()
