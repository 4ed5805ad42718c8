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


@pytest.mark.parametrize("missing", ["not/there", "file/below"])
def test_a_folder_that_cannot_be_looked_into_has_the_room_of_the_disk_above(
    missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    real = shutil.disk_usage

    def usage(place: Path) -> Usage:
        real(place)
        # As if the folder and the disk of the system had room of their own.
        return Usage(0, 0, 7 if place.is_relative_to(tmp_path) else 1)

    monkeypatch.setattr(shutil, "disk_usage", usage)
    assert free_bytes(tmp_path / missing) == 7
    assert not (tmp_path / "not").exists()


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
