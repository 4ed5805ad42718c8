"""Who may read what is kept: its owner alone, or a group that shares a folder."""

import os
from pathlib import Path

import pytest

from anemia_lightning.files.private_folder import make_private, share_file
from anemia_lightning.files.whole_file import draft_folder, whole_file


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o7777


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """A folder in which a group is meant to work."""
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(0o2770)
    return folder


def write(path: Path) -> Path:
    with whole_file(path) as file:
        file.write(b"content")
    return path


@pytest.mark.parametrize("around", [0o700, 0o755, 0o775, 0o2755])
def test_a_folder_and_what_is_in_it_are_its_owners_alone(around: int, tmp_path: Path) -> None:
    tmp_path.chmod(around)
    make_private(tmp_path / "one" / "two")
    file = write(tmp_path / "one" / "two" / "file")
    assert [mode(path) & 0o777 for path in (file.parent.parent, file.parent, file)] == [0o700, 0o700, 0o600]


def test_a_group_shares_what_lies_in_its_folder_whatever_the_umask(shared: Path) -> None:
    before = os.umask(0o077)
    try:
        make_private(shared / "one" / "two")
        file = write(shared / "one" / "two" / "file")
        with draft_folder(shared / "drafts") as place:
            draft = write(place / "draft")
            assert (mode(place) & 0o777, mode(draft)) == (0o700, 0o600), "which is nobody's business yet"
            share_file(draft, shared / "drafts")
            assert mode(draft) == 0o660
    finally:
        os.umask(before)
    folders = (file.parent.parent, file.parent, shared / "drafts")
    assert [mode(path) for path in (*folders, file)] == [0o2770, 0o2770, 0o2770, 0o660]


def test_a_folder_that_is_there_stays_as_it_is(shared: Path) -> None:
    (shared / "mine").mkdir()
    (shared / "mine").chmod(0o700)
    make_private(shared / "mine")
    assert mode(shared / "mine") & 0o777 == 0o700


def test_a_file_in_the_place_of_a_folder_is_an_error(tmp_path: Path) -> None:
    write(tmp_path / "file")
    for folder in (tmp_path / "file", tmp_path / "file" / "folder"):
        with pytest.raises(OSError, match=r"File exists|Not a directory"):
            make_private(folder)


def test_what_cannot_be_shared_is_left_as_it_is(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "chmod", refuse)
    monkeypatch.setattr(Path, "chmod", refuse)
    make_private(shared / "theirs")
    assert write(shared / "file").read_bytes() == b"content"
