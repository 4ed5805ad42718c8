"""How much room a store may take by default."""

import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from anemia_lightning.features.budget import default_budget, free_bytes

Usage = namedtuple("Usage", "total used free")


@pytest.mark.parametrize(
    ("free", "held", "budget"),
    [
        (1_000_000_000, 0, 200_000_000),
        (900_000_000, 100_000_000, 200_000_000),
        (100_000_000_000, 0, 20_000_000_000),
        (10**15, 10**12, 20_000_000_000),
        (0, 0, 0),
    ],
)
def test_a_fifth_of_what_is_free_but_20_gb_at_most(
    free: int, held: int, budget: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda place: Usage(2 * free, free, free))
    assert default_budget(tmp_path, held) == budget


def test_a_folder_that_is_not_there_yet_has_the_room_of_its_disk(tmp_path: Path) -> None:
    assert free_bytes(tmp_path / "not" / "there") == pytest.approx(shutil.disk_usage(tmp_path).free, rel=0.05)
    assert not (tmp_path / "not").exists()


def test_a_folder_below_a_file_has_the_room_of_its_disk(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert free_bytes(tmp_path / "file" / "below") > 0
