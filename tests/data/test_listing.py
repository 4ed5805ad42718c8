import os
from pathlib import Path

import pytest

from anemia_lightning.data.listing import data_folder, find_photos, is_file, subfolders
from anemia_lightning.errors import SourceError


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_whatever_may_be_a_photograph_is_found_sorted(tmp_path: Path) -> None:
    names = ["b.PNG", "a.jpg", "deep/er/c.webp", "phone.heic", "no_extension", "scan.tif"]
    touch(*(tmp_path / name for name in names))
    touch(*(tmp_path / name for name in ("notes.txt", "labels.CSV", "Thumbs.db", "desktop.ini", ".DS_Store")))
    touch(tmp_path / ".ipynb_checkpoints" / "a.jpg", tmp_path / "__MACOSX" / "a.jpg")
    assert find_photos(tmp_path) == sorted(tmp_path / name for name in names)
    assert find_photos(tmp_path, deep=False) == sorted(tmp_path / name for name in names if "/" not in name)
    assert subfolders(tmp_path) == [tmp_path / "deep"]


def test_a_linked_folder_is_not_passed_over_silently(tmp_path: Path) -> None:
    touch(tmp_path / "elsewhere" / "a.jpg", tmp_path / "here" / "b.jpg")
    (tmp_path / "here" / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SourceError, match="found the link"):
        find_photos(tmp_path / "here")


def test_linked_photographs_count(tmp_path: Path) -> None:
    touch(tmp_path / "elsewhere" / "a.jpg")
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "b.jpg").symlink_to(tmp_path / "elsewhere" / "a.jpg")
    assert find_photos(tmp_path / "here") == [tmp_path / "here" / "b.jpg"]


def test_no_file_is_asked_for_what_its_folder_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path / "a.jpg", tmp_path / "deep" / "b.jpg")
    asked: list[str] = []
    real = Path.stat

    def stat(path: Path, *, follow_symlinks: bool = True) -> os.stat_result:
        asked.append(path.name)
        return real(path, follow_symlinks=follow_symlinks)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "stat", stat)
        found = find_photos(tmp_path), subfolders(tmp_path)
    assert set(asked) <= {"deep"}, "a question for each of many files takes minutes over a network"
    assert found == ([tmp_path / "a.jpg", tmp_path / "deep" / "b.jpg"], [tmp_path / "deep"])


def test_a_link_to_itself_is_listed_as_a_photograph_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").symlink_to(tmp_path / "a.jpg")
    assert find_photos(tmp_path) == [tmp_path / "a.jpg"]


@pytest.mark.parametrize(("root", "found"), [(None, "no data.root"), (" ", "no data.root"), ("x", "nothing at")])
def test_a_missing_root_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, root: str | None, found: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SourceError, match=f"Looked for eyelids; found {found}.* Go and find some."):
        data_folder(root, sought="eyelids", change="Go and find some.")


def test_a_file_is_no_root(tmp_path: Path) -> None:
    touch(tmp_path / "a.jpg")
    with pytest.raises(SourceError, match=r"found a file at data\.root="):
        data_folder(tmp_path / "a.jpg", sought="eyelids", change="")


def test_a_root_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert data_folder(".", sought="", change="") == data_folder("~", sought="", change="") == tmp_path


def test_names_that_the_system_refuses_are_no_files(tmp_path: Path) -> None:
    assert not is_file(tmp_path / ("a" * 5000))
    assert not is_file(tmp_path / "a\0b")
