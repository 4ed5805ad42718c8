"""From names and patterns to run folders."""

from pathlib import Path

import pytest

from anemia_lightning.comparing.search import find_runs, is_run, short_names
from anemia_lightning.errors import NoRunsError


def make(root: Path, *names: str) -> None:
    for name in names:
        (root / name).mkdir(parents=True)
        (root / name / "run.json").write_text("{}")


def test_a_pattern_sorts_numbers_as_numbers(tmp_path: Path) -> None:
    make(tmp_path, *(f"sweep/{job}" for job in (0, 1, 2, 10, 9)))
    for named in (tmp_path / "sweep", tmp_path / "sweep" / "*", tmp_path):
        assert [run.name for run in find_runs([str(named)], tmp_path)] == ["0", "1", "2", "9", "10"]


def test_each_run_is_taken_once_in_the_order_of_the_names(tmp_path: Path) -> None:
    make(tmp_path, "a", "b")
    (tmp_path / "link").symlink_to(tmp_path / "b")
    found = find_runs([str(tmp_path / "b"), str(tmp_path / "*"), str(tmp_path / "link")], tmp_path)
    assert [run.name for run in found] == ["b", "a"]


def test_latest_is_followed_as_a_link_and_as_a_file(tmp_path: Path) -> None:
    make(tmp_path, "logs/train/runs/a", "logs/train/runs/b")
    latest = tmp_path / "logs" / "train" / "latest"
    latest.write_text("runs/a\n")
    assert [run.name for run in find_runs(["last"], tmp_path)] == ["a"]
    latest.unlink()
    latest.symlink_to("runs/b")
    assert [run.name for run in find_runs([str(latest)], tmp_path)] == ["b"]
    assert [run.name for run in find_runs([str(tmp_path / "logs")], tmp_path)] == ["a", "b"]


def test_a_name_that_looks_like_a_pattern_is_a_name(tmp_path: Path) -> None:
    make(tmp_path, "a[1]", "a1")
    assert [run.name for run in find_runs([str(tmp_path / "a[1]")], tmp_path)] == ["a[1]"]


def test_folders_within_a_run_are_not_searched(tmp_path: Path) -> None:
    make(tmp_path, "cv", "cv/folds/one")
    assert [run.name for run in find_runs([str(tmp_path)], tmp_path)] == ["cv"]
    assert [run.name for run in find_runs([f"{tmp_path}/cv/folds"], tmp_path)] == ["one"]


def test_what_is_no_run_is_returned_beside_runs_and_refused_alone(tmp_path: Path) -> None:
    make(tmp_path, "runs/a")
    (tmp_path / "runs" / "empty").mkdir()
    (tmp_path / "file").write_text("x")
    found = find_runs([str(tmp_path / "runs")], tmp_path)
    assert [(run.name, is_run(run)) for run in found] == [("a", True), ("empty", False)]
    with pytest.raises(NoRunsError, match=r"found no run folder, in which none of config_resolved\.yaml"):
        find_runs([str(tmp_path / "runs" / "empty")], tmp_path)
    with pytest.raises(NoRunsError, match="found a file, in which"):
        find_runs([str(tmp_path / "fil*")], tmp_path)


@pytest.mark.parametrize(
    ("folders", "names"),
    [
        (["/a/x/0", "/a/y/0"], ["x/0", "y/0"]),
        (["/a/x", "/a/x/y"], ["x", "y"]),
        (["/a/x", "/b/a/x"], ["/a/x", "b/a/x"]),
        (["/a/x/0", "/a/x/1", "/a/run"], ["x/0", "x/1", "run"]),
    ],
)
def test_short_names_tell_runs_apart(folders: list[str], names: list[str]) -> None:
    assert short_names([Path(folder) for folder in folders]) == names
