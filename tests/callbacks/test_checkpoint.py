"""The best and the last model of a run, on the disk."""

import copy
import io
import math
import os
import pickle
import shutil
import tempfile
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import lightning as L
import pytest
import torch

from anemia_lightning.callbacks.checkpoint import BestAndLastCheckpoint, DurableCheckpointIO
from anemia_lightning.errors import CheckpointUnreadableError, DiskFullError
from anemia_lightning.files.checkpoint_file import read_checkpoint

FitScript = Callable[..., L.Trainer]
NAN = math.nan


class Written(L.Callback):
    """Notes after each epoch from which epochs the files are."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.epochs: list[tuple[int | None, int | None]] = []

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.current_epoch:
            self.look()

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.look()

    def look(self) -> None:
        best, last = (epoch_of(self.folder / name) for name in ("best.ckpt", "last.ckpt"))
        self.epochs.append((best, last))


def epoch_of(path: Path) -> int | None:
    return int(read_checkpoint(path)["epoch"]) if path.exists() else None


def keep(folder: Path, mode: Literal["min", "max"] = "min", every_s: float = 0) -> BestAndLastCheckpoint:
    return BestAndLastCheckpoint(folder, monitor="val/loss", mode=mode, every_s=every_s)


@pytest.mark.parametrize(
    ("mode", "values", "epochs"),
    [
        ("min", [3.0, 2.0, 2.0, 4.0, 1.0], [(0, 0), (1, 1), (1, 2), (1, 3), (4, 4)]),
        ("max", [3.0, 2.0, 4.0, 4.0], [(0, 0), (0, 1), (2, 2), (2, 3)]),
        ("min", [NAN, 2.0, NAN, 1.0], [(None, 0), (1, 1), (1, 2), (3, 3)]),
        ("max", [NAN, 2.0, math.inf], [(None, 0), (1, 1), (1, 2)]),
        ("min", [NAN, -math.inf], [(None, 0), (None, 1)]),
    ],
)
def test_each_epoch_is_the_last_and_the_best_is_kept(
    mode: Literal["min", "max"],
    values: Sequence[float],
    epochs: list[tuple[int, int]],
    fit_script: FitScript,
    tmp_path: Path,
) -> None:
    written = Written(tmp_path)
    fit_script(values, keep(tmp_path, mode), written)
    assert written.epochs == epochs
    assert {path.name for path in tmp_path.iterdir()} <= {"best.ckpt", "last.ckpt"}


def test_the_best_epoch_is_written_once_and_lies_at_both_places(fit_script: FitScript, tmp_path: Path) -> None:
    best, last = tmp_path / "best.ckpt", tmp_path / "last.ckpt"
    fit_script([3.0, 2.0], keep(tmp_path))
    assert best.samefile(last)
    fit_script([3.0, 2.0, 4.0], keep(tmp_path), ckpt_path=last)
    assert not best.samefile(last)
    assert {path.name for path in tmp_path.iterdir()} == {"best.ckpt", "last.ckpt"}


class Stop(L.Callback):
    """Ends a fit at the second step of an epoch."""

    def __init__(self, epoch: int, how: BaseException) -> None:
        self._epoch, self._how = epoch, how

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: object, batch_idx: int
    ) -> None:
        if (trainer.current_epoch, batch_idx) == (self._epoch, 1):
            raise self._how


def assert_same_weights(one: dict[str, Any], other: dict[str, Any]) -> None:
    each = zip(one["state_dict"].values(), other["state_dict"].values(), strict=True)
    assert all(torch.equal(*pair) for pair in each)


def test_quick_epochs_wait_in_memory_and_are_written_at_the_end(fit_script: FitScript, tmp_path: Path) -> None:
    values = [3.0, 2.0, 1.0, 4.0]
    often, seldom = Written(tmp_path / "often"), Written(tmp_path / "seldom")
    for written, every_s in ((often, 0), (seldom, 3600)):
        torch.manual_seed(0)
        fit_script(values, keep(written.folder, every_s=every_s), written)
    assert often.epochs == [(0, 0), (1, 1), (2, 2), (2, 3)]
    assert seldom.epochs == [(0, 0), (0, 0), (0, 0), (2, 3)]
    for name in ("best.ckpt", "last.ckpt"):
        one, other = (read_checkpoint(tmp_path / folder / name) for folder in ("often", "seldom"))
        assert_same_weights(one, other)
        assert one["loops"] == other["loops"]


def watch_copies(monkeypatch: pytest.MonkeyPatch, watch: Callable[[int], None]) -> list[Any]:
    """Calls back with the number of each copy of a checkpoint before it is made; returns references to its weights."""
    copies: list[Any] = []

    def watched(checkpoint: dict[str, Any]) -> dict[str, Any]:
        watch(len(copies))
        copied = copy.deepcopy(checkpoint)
        copies.append(weakref.ref(next(iter(copied["state_dict"].values()))))
        return copied

    monkeypatch.setattr("anemia_lightning.callbacks.checkpoint.copy", SimpleNamespace(deepcopy=watched))
    return copies


def test_of_two_best_epochs_that_wait_the_first_makes_room(
    fit_script: FitScript, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = []
    copies = watch_copies(monkeypatch, lambda _: held.append([each() for each in copies if each() is not None]))
    fit_script([4.0, 3.0, 2.0, 1.0], keep(tmp_path, every_s=3600))
    assert held == [[], [], []]


def test_an_interruption_of_the_copy_loses_no_best_epoch(
    fit_script: FitScript, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(number: int) -> None:
        if number == 1:
            raise KeyboardInterrupt

    watch_copies(monkeypatch, interrupt)
    with pytest.raises(SystemExit):
        fit_script([4.0, 3.0, 2.0, 1.0], keep(tmp_path, every_s=3600))
    assert (epoch_of(tmp_path / "best.ckpt"), epoch_of(tmp_path / "last.ckpt")) == (2, 2)


@pytest.mark.parametrize("how", [RuntimeError("a fault"), KeyboardInterrupt()], ids=["fault", "interrupt"])
def test_the_best_epoch_that_waits_is_written_when_training_is_interrupted(
    how: BaseException, fit_script: FitScript, tmp_path: Path
) -> None:
    values, folder, whole = [3.0, 1.0, 2.0, 4.0], tmp_path / "stopped", tmp_path / "whole"
    torch.manual_seed(0)
    with pytest.raises((RuntimeError, SystemExit)):
        fit_script(values, keep(folder, every_s=3600), Stop(3, how))
    assert (epoch_of(folder / "best.ckpt"), epoch_of(folder / "last.ckpt")) == (1, 1)
    fit_script(values, keep(folder, every_s=3600), ckpt_path=folder / "last.ckpt")
    torch.manual_seed(0)
    fit_script(values, keep(whole, every_s=3600))
    for name, epoch in {"best.ckpt": 1, "last.ckpt": 3}.items():
        one, other = read_checkpoint(folder / name), read_checkpoint(whole / name)
        assert one["epoch"] == other["epoch"] == epoch
        assert_same_weights(one, other)


@pytest.mark.parametrize(
    ("values", "best"),
    [
        ([3.0], 0),
        ([3.0, 4.0], 0),
        ([3.0, 2.0], 1),
        ([3.0, 4.0, 1.0], 2),
        ([NAN], None),
        ([NAN, NAN], None),
        ([NAN, 4.0], 1),
    ],
)
def test_a_best_epoch_after_the_one_that_is_continued_is_none_of_the_run(
    values: list[float], best: int | None, fit_script: FitScript, tmp_path: Path
) -> None:
    last, kept = tmp_path / "run" / "last.ckpt", tmp_path / "kept.ckpt"
    fit_script(values[:1], keep(tmp_path / "run"))
    shutil.copy(last, kept)
    fit_script([values[0], 2.5, 1.5], keep(tmp_path / "run"), ckpt_path=last)
    kept.replace(last)  # as if a kill had come between the writes of the best epoch and of the last
    fit_script(values, keep(tmp_path / "run"), ckpt_path=last)
    assert (epoch_of(tmp_path / "run" / "best.ckpt"), epoch_of(last)) == (best, len(values) - 1)


def test_a_full_disk_is_told_once(fit_script: FitScript, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writes: list[Path] = []

    def full(_: DurableCheckpointIO, checkpoint: dict[str, Any], path: Path, storage_options: Any = None) -> None:
        if storage_options:
            storage_options(checkpoint)
            return
        writes.append(path)
        raise DiskFullError(path)

    monkeypatch.setattr(DurableCheckpointIO, "save_checkpoint", full)
    with pytest.raises(DiskFullError):
        fit_script([1.0], keep(tmp_path))
    assert writes == [tmp_path / "best.ckpt"]


def test_a_resumed_run_knows_the_best_value_also_in_a_folder_that_was_moved(
    fit_script: FitScript, tmp_path: Path
) -> None:
    fit_script([1.0, 2.0], keep(tmp_path / "here"))
    moved = (tmp_path / "here").rename(tmp_path / "there")
    fit_script([1.0, 2.0, 1.5], keep(moved), ckpt_path=moved / "last.ckpt")
    assert (epoch_of(moved / "best.ckpt"), epoch_of(moved / "last.ckpt")) == (0, 2)


def test_without_its_best_file_a_resumed_run_keeps_the_best_of_what_follows(
    fit_script: FitScript, tmp_path: Path
) -> None:
    fit_script([1.0, 2.0], keep(tmp_path / "here"))
    elsewhere = tmp_path / "there"
    fit_script([1.0, 2.0, 1.5, 1.6], keep(elsewhere), ckpt_path=tmp_path / "here" / "last.ckpt")
    assert (epoch_of(elsewhere / "best.ckpt"), epoch_of(elsewhere / "last.ckpt")) == (2, 3)


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "last.ckpt"
    DurableCheckpointIO().save_checkpoint({"state_dict": {"weight": torch.arange(4.0)}}, path)
    return path


def test_what_is_written_is_read(good: Path) -> None:
    assert torch.equal(read_checkpoint(good)["state_dict"]["weight"], torch.arange(4.0))
    assert torch.equal(DurableCheckpointIO().load_checkpoint(good)["state_dict"]["weight"], torch.arange(4.0))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the device of a full disk is Linux's")
@pytest.mark.parametrize("numbers", [3, 3_000_000])
def test_a_full_disk_leaves_the_good_checkpoint(numbers: int, good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def mkstemp(**_: Any) -> tuple[int, str]:
        return os.open("/dev/full", os.O_WRONLY), str(good.with_name("stump"))

    monkeypatch.setattr(tempfile, "mkstemp", mkstemp)
    with pytest.raises(DiskFullError, match="found a full disk"):
        DurableCheckpointIO().save_checkpoint({"state_dict": {"weight": torch.zeros(numbers)}}, good)
    assert torch.equal(read_checkpoint(good)["state_dict"]["weight"], torch.arange(4.0))


def test_a_failure_while_serialising_leaves_the_good_checkpoint(good: Path) -> None:
    with pytest.raises((pickle.PicklingError, AttributeError)):
        DurableCheckpointIO().save_checkpoint({"state_dict": {}, "cannot be pickled": lambda: None}, good)
    assert torch.equal(read_checkpoint(good)["state_dict"]["weight"], torch.arange(4.0))
    assert list(good.parent.iterdir()) == [good]


@pytest.mark.parametrize("writes", [0, 3])
def test_an_interruption_during_a_write_is_one_and_leaves_the_good_checkpoint(
    writes: int, good: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Interrupted(io.FileIO):
        left = writes

        def write(self, data: Any, /) -> int:
            self.left -= 1
            if self.left < 0:
                raise KeyboardInterrupt
            return super().write(data)

    monkeypatch.setattr(os, "fdopen", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        DurableCheckpointIO().save_checkpoint({"state_dict": {"weight": torch.zeros(3_000_000)}}, good)
    assert torch.equal(read_checkpoint(good)["state_dict"]["weight"], torch.arange(4.0))
    assert list(good.parent.iterdir()) == [good]


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_torn_checkpoint_is_named(share: float, good: Path) -> None:
    content = good.read_bytes()
    good.write_bytes(content[: int(share * len(content))])
    with pytest.raises(CheckpointUnreadableError) as caught:
        read_checkpoint(good)
    assert str(caught.value).startswith(f"Looked for a checkpoint at {good}; found a file that cannot be read as one")
    assert str(caught.value).endswith("Give a .ckpt file that a training run wrote, such as RUN/checkpoints/best.ckpt.")


def test_a_missing_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointUnreadableError, match="found no file there"):
        read_checkpoint(tmp_path / "last.ckpt")


class Bomb:
    """What must never go off."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("went-off"),))


def test_code_in_a_checkpoint_does_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": {}, "bomb": Bomb()}, "bomb.ckpt")
    for read in (read_checkpoint, DurableCheckpointIO().load_checkpoint):
        with pytest.raises(CheckpointUnreadableError, match="UnpicklingError"):
            read(Path("bomb.ckpt"))
    assert not Path("went-off").exists()


def test_other_pickles_are_no_checkpoints(tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(1)}, tmp_path / "weights.pth")
    with pytest.raises(CheckpointUnreadableError, match="KeyError"):
        read_checkpoint(tmp_path / "weights.pth")
