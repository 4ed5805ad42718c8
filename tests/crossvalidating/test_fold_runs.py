"""Folds side by side: each is trained once, no more at a time than there are workers, and a fault ends all."""

import json
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from omegaconf import OmegaConf

from anemia_lightning.crossvalidating import fold_runs
from anemia_lightning.crossvalidating.fold_runs import FoldRun, begun_precision, check_one_start, run_folds
from anemia_lightning.data.preparation import Prepared
from anemia_lightning.errors import MixedWeightsError

NOTHING = OmegaConf.create({})
PREPARED = cast("Prepared", None)


class Counting(ThreadPoolExecutor):
    """Threads in place of processes, which count what was handed out and has not come back."""

    def __init__(self, workers: int) -> None:
        super().__init__(workers)
        self.handed_out: list[Future[Any]] = []
        self.most = 0

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.most = max(self.most, 1 + sum(not future.done() for future in self.handed_out))
        self.handed_out.append(super().submit(fn, *args, **kwargs))
        return self.handed_out[-1]


@pytest.fixture
def pools(monkeypatch: pytest.MonkeyPatch) -> list[Counting]:
    opened: list[Counting] = []

    @contextmanager
    def threads(count: int) -> Iterator[Counting]:
        with Counting(count) as pool:
            opened.append(pool)
            yield pool

    monkeypatch.setattr(fold_runs, "worker_processes", threads)
    monkeypatch.setattr(fold_runs, "fold_settings", lambda _, run: run)
    monkeypatch.setattr(fold_runs, "restore_datamodule", lambda *_: None)
    return opened


@pytest.fixture
def runs(tmp_path: Path) -> list[FoldRun]:
    made = [FoldRun(f"fold {number}", tmp_path / f"{number}", tmp_path / "split.csv") for number in range(5)]
    for run in made:
        run.folder.mkdir()
    return made


def finish(run: FoldRun) -> None:
    (run.folder / "run.json").write_text('{"status": "finished", "sessions": []}')
    (run.folder / "report.html").touch()


@pytest.mark.parametrize("jobs", [2, 3, 8])
def test_each_fold_that_is_left_is_trained_once(
    runs: list[FoldRun], pools: list[Counting], jobs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[str] = []
    monkeypatch.setattr(fold_runs, "_train_apart", lambda run, *_: trained.append(run.name))
    finish(runs[1])
    run_folds(NOTHING, runs, PREPARED, jobs=jobs)
    assert sorted(trained) == ["fold 0", "fold 2", "fold 3", "fold 4"]
    assert pools[0].most <= jobs


def test_a_fold_that_fails_ends_all(
    runs: list[FoldRun], pools: list[Counting], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(run: FoldRun, *_: object) -> None:
        raise ValueError(run.name)

    monkeypatch.setattr(fold_runs, "_train_apart", fail)
    with pytest.raises(ValueError, match="fold"):
        run_folds(NOTHING, runs, PREPARED, jobs=2)
    assert len(pools[0].handed_out) == 2


def test_folds_that_are_all_finished_start_nothing(
    runs: list[FoldRun], pools: list[Counting], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fold_runs, "_train_apart", None)
    for run in runs:
        finish(run)
    run_folds(NOTHING, runs, PREPARED, jobs=2)
    assert not any(pool.handed_out for pool in pools)


def test_folds_that_started_from_different_weights_are_not_pooled(runs: list[FoldRun], tmp_path: Path) -> None:
    def start(run: FoldRun, sha256: str | None) -> None:
        card = {"status": "finished", "sessions": [], "weights": {"source": "file", "sha256": sha256}}
        (run.folder / "run.json").write_text(json.dumps(card))

    for run in runs:
        start(run, "a" * 64)
    check_one_start(tmp_path, runs)
    start(runs[3], None)
    with pytest.raises(MixedWeightsError) as caught:
        check_one_start(tmp_path, runs)
    assert str(caught.value) == (
        f"Looked for folds of {tmp_path} that all started from the same weights; found that fold 3 started from others "
        "than fold 0, as the run.json of both says. Remove the folder of the one that is wrong and continue with "
        "resume=: that fold trains anew."
    )


def test_the_precision_is_that_of_the_first_fold_that_was_begun(runs: list[FoldRun], tmp_path: Path) -> None:
    assert begun_precision([FoldRun("none", tmp_path / "none", tmp_path / "split.csv"), *runs]) is None
    assert not (tmp_path / "none").exists()
    for run, precision in zip(runs[1:3], ("bf16-mixed", "32-true"), strict=True):
        (run.folder / "run.json").write_text(json.dumps({"precision": precision, "sessions": []}))
    assert begun_precision(runs) == "bf16-mixed"
