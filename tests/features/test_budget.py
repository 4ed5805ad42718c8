"""How much room a store may take by default."""

import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from anemia_lightning.errors import ConfigError
from anemia_lightning.features.budget import agreed_budget, default_budget, free_bytes

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


@pytest.mark.parametrize(("text", "agreed"), [("500000000000\n", 500_000_000_000), ("5e11", 500_000_000_000), ("0", 0)])
def test_those_who_share_a_store_may_agree_on_its_room(text: str, agreed: int, tmp_path: Path) -> None:
    assert agreed_budget(tmp_path) is None
    (tmp_path / "max_bytes").write_text(text)
    assert agreed_budget(tmp_path) == agreed


@pytest.mark.parametrize("content", [b"", b"500 GB", b"nan", b"inf", b"\xff"])
def test_what_is_no_number_is_no_agreement(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "max_bytes").write_bytes(content)
    with pytest.raises(ConfigError, match=r"max_bytes holds '.*', which is no number of bytes: mend or remove it\."):
        agreed_budget(tmp_path)
