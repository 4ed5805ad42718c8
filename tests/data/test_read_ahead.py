"""Photographs are read in order, each once, and never too far ahead."""

import threading
import time
from collections.abc import Sized
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from anemia_lightning.data import read_ahead as module
from anemia_lightning.data.framing import Framing
from anemia_lightning.data.read_ahead import read_ahead
from anemia_lightning.data.reading import Photograph, Unreadable, open_photo

SMALL = Framing(size=8, region="full", resize="stretch", background=(0, 0, 0))
LARGE = Framing(size=20, region="full", resize="letterbox", background=(9, 9, 9))
PATIENCE_S = 60
"""For threads of a machine that has much else to do."""


@pytest.fixture
def photos(tmp_path: Path) -> pd.DataFrame:
    """Twelve photographs, the third and the last of which cannot be read."""
    numbers = np.random.default_rng(0)
    paths = [tmp_path / f"{number}.png" for number in range(12)]
    for path in paths:
        Image.fromarray(numbers.integers(0, 255, (24, 32, 3), dtype=np.uint8)).save(path)
    paths[2].write_bytes(paths[2].read_bytes()[:200])
    paths[11].unlink()
    return pd.DataFrame({"photo": [path.name for path in paths], "path": [str(path) for path in paths], "mask": ""})


@pytest.mark.parametrize(("threads", "block"), [(1, 1), (2, 5), (4, 100)])
@pytest.mark.parametrize("is_beside", [False, True])
def test_each_is_read_as_ever_in_its_place(photos: pd.DataFrame, threads: int, block: int, *, is_beside: bool) -> None:
    found = list(read_ahead(photos, [SMALL, LARGE], threads=threads, block=block, is_beside=is_beside))
    faults = {place: read for place, read in enumerate(found) if isinstance(read, Unreadable)}
    assert {place: (fault.photo, fault.code) for place, fault in faults.items()} == {
        2: ("2.png", "IMG_DAMAGED"),
        11: ("11.png", "IMG_MISSING"),
    }
    for path, read in zip(photos["path"], found, strict=True):
        if not isinstance(read, Unreadable):
            for framing in (SMALL, LARGE):
                np.testing.assert_array_equal(read.squares[framing], framing.apply(open_photo(path).rgba))


def settled(opened: Sized, expected: int) -> int:
    """Returns how many were opened, once as many were as expected and threads had a moment to open more."""
    end = time.monotonic() + PATIENCE_S
    while len(opened) < expected and time.monotonic() < end:
        time.sleep(0.005)
    time.sleep(0.02)
    return len(opened)


@pytest.mark.parametrize("is_beside", [False, True])
def test_it_reads_a_block_and_no_more_than_one_beside(
    photos: pd.DataFrame, monkeypatch: pytest.MonkeyPatch, *, is_beside: bool
) -> None:
    opened: list[Path] = []

    def count(path: Path, **settings: object) -> Photograph:
        opened.append(path)
        return open_photo(path, **settings)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "open_photo", count)
    before = threading.active_count()
    stream = read_ahead(photos, [SMALL], threads=2, block=3, is_beside=is_beside)
    for taken in range(1, 6):
        next(stream)
        expected = 3 * ((taken + 2) // 3 + is_beside)
        assert settled(opened, expected) == expected
    stream.close()  # type: ignore[attr-defined]
    end = time.monotonic() + PATIENCE_S
    while threading.active_count() > before and time.monotonic() < end:
        time.sleep(0.005)
    assert threading.active_count() <= before
    assert len(opened) <= 9
