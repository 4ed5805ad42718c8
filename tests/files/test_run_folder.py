"""The files of a run and the pointer to the newest."""

import errno
import json
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pandas as pd
import pytest

from anemia_lightning.errors import DiskFullError
from anemia_lightning.files.run_folder import RunFolder, find_run, read_table, write_json, write_table
from anemia_lightning.plots import style


def test_latest_names_the_newest_run(tmp_path: Path) -> None:
    for name in ("first", "second"):
        RunFolder(tmp_path / "logs" / "train" / "runs" / name).point_latest()
        assert find_run("last", tmp_path).name == name


def test_latest_is_a_file_where_links_are_not_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise OSError

    monkeypatch.setattr(Path, "symlink_to", refuse)
    for name in ("first", "second"):
        folder = RunFolder(tmp_path / "logs" / "train" / "runs" / name)
        folder.point_latest()
        assert find_run("last", tmp_path) == folder.path
        assert find_run(str(tmp_path / "logs" / "train" / "latest"), tmp_path) == folder.path
    assert (tmp_path / "logs" / "train" / "latest").read_text() == "runs/second\n"


def test_pointers_that_kills_have_left_go_after_a_while(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "logs" / "train" / "runs" / "one")
    old, new = (folder.path.parent.parent / f".latest-{name}" for name in ("old", "new"))
    for left in (old, new):
        left.symlink_to("runs/gone", target_is_directory=True)
    os.utime(old, (1, 1), follow_symlinks=False)
    folder.point_latest()
    assert find_run("last", tmp_path) == folder.path
    assert sorted(path.name for path in old.parent.iterdir()) == [".latest-new", "latest", "runs"]


def test_processes_of_one_number_point_to_their_runs_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = [RunFolder(tmp_path / "logs" / "train" / "runs" / name) for name in ("one", "other")]
    real = Path.symlink_to

    def link(path: Path, target: Path, target_is_directory: bool) -> None:
        real(path, target, target_is_directory)
        if runs:
            runs.pop().point_latest()

    # As in two containers, where the first process has the same number.
    monkeypatch.setattr(os, "getpid", lambda: 7)
    monkeypatch.setattr(Path, "symlink_to", link)
    one = runs.pop(0)
    one.point_latest()
    assert find_run("last", tmp_path) == one.path


def test_a_fold_makes_latest_name_its_cross_validation(tmp_path: Path) -> None:
    run = tmp_path / "logs" / "crossval" / "runs" / "one"
    RunFolder(run / "folds" / "repeat-0_fold-0").point_latest()
    assert find_run("last", tmp_path, "crossval") == run
    assert sorted(path.name for path in run.iterdir()) == ["folds"]


def test_a_folder_elsewhere_moves_no_pointer(tmp_path: Path) -> None:
    RunFolder(tmp_path / "mine").point_latest()
    RunFolder(tmp_path / "mine" / "folds" / "one").point_latest()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine"]


def test_tables_keep_what_tells_float32_values_apart(tmp_path: Path) -> None:
    values = pd.Series([0.1, 1 / 3, 1e-30, 12345.678], dtype="float32")
    write_table(tmp_path / "table.csv", pd.DataFrame({"value": values}))
    again = pd.read_csv(tmp_path / "table.csv", dtype="float32")["value"]
    assert (again == values).all()


def test_names_in_tables_stay_as_they_were_written(tmp_path: Path) -> None:
    names = pd.DataFrame({"photo": ["007", "NA", "1e3"], "patient": ["1", "", "null"], "site": "2", "label": [0, 1, 0]})
    write_table(tmp_path / "table.csv", names)
    again = read_table(tmp_path / "table.csv")
    assert again.to_dict("list") == names.to_dict("list")


def test_json_refuses_what_is_not_json_and_keeps_the_old_file(tmp_path: Path) -> None:
    write_json(tmp_path / "scores.json", {"auroc": 0.5})
    with pytest.raises(ValueError, match="Out of range float"):
        write_json(tmp_path / "scores.json", {"auroc": float("nan")})
    assert json.loads((tmp_path / "scores.json").read_text()) == {"auroc": 0.5}
    assert [path.name for path in tmp_path.iterdir()] == ["scores.json"]


def test_a_figure_that_cannot_be_written_leaves_the_one_before(
    real_figures: Callable[[], AbstractContextManager[None]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    folder = RunFolder(tmp_path)
    monkeypatch.setattr(style, "to_png", lambda drawing: drawing)
    with real_figures():
        assert folder.write_plot("curves", b"before") == b"before"  # type: ignore[arg-type]
        monkeypatch.setattr(os, "fsync", fail)
        with pytest.raises(DiskFullError, match=r"curves\.png"):
            folder.write_plot("curves", b"after")  # type: ignore[arg-type]
    assert [path.read_bytes() for path in folder.plots.iterdir()] == [b"before"]
