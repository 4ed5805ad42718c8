"""What run.json says."""

import json
import math
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import Timer
from lightning.pytorch.trainer.states import RunningStage

from anemia_lightning import __version__
from anemia_lightning.callbacks.checkpoint import BestAndLastCheckpoint
from anemia_lightning.callbacks.early_stopping import EarlyStopping
from anemia_lightning.callbacks.run_card import RunCard

FitScript = Callable[..., L.Trainer]


class Interrupts(L.Callback):
    """Ends training as a signal does."""

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.current_epoch == 1:
            raise GeneratorExit


class RunsOut(Timer):
    """A limit of time that is reached in the second epoch."""

    is_up = False

    def time_elapsed(self, stage: str = RunningStage.TRAINING) -> float:
        return 3600.0 * self.is_up

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.is_up = trainer.current_epoch == 1


def content(path: Path) -> dict[str, Any]:
    card = json.loads(path.read_text(encoding="utf-8"), parse_constant=pytest.fail)
    assert isinstance(card, dict)
    return card


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run.json"


def test_it_says_what_ran_how_long_and_why_it_ended(path: Path, fit_script: FitScript) -> None:
    card = RunCard(path, {"seeds": {"seed": 3}, "precision": "32-true"})
    fit_script([0.5, 0.4], card)
    assert content(path)["status"] == "running"
    card.content["best_epoch"] = 1
    card.finish()

    found = content(path)
    assert (found["status"], found["stop_reason"]) == ("finished", "trainer.max_epochs=2 reached")
    assert (found["epochs"], found["best_epoch"], found["seeds"]) == (2, 1, {"seed": 3})
    assert found["versions"]["anemia_lightning"] == __version__
    assert found["versions"]["torch"] == version("torch")
    assert found["peak_memory_mib"] > 10
    (session,) = found["sessions"]
    assert session["device"].startswith("cpu (")
    assert session["processes"] == 1
    assert [epoch["epoch"] for epoch in session["epochs"]] == [0, 1]
    for epoch in session["epochs"]:
        assert epoch["train_from"] == "head"
        assert epoch["photos"] == 2
        assert 0 <= epoch["train_s"] < 60
        assert 0 <= epoch["val_s"] < 60


def test_it_is_whole_from_the_first_epoch_on(path: Path, fit_script: FitScript) -> None:
    seen = []

    class Look(L.Callback):
        def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
            seen.append(len(content(path)["sessions"][0]["epochs"]))

    fit_script([0.5, 0.4], RunCard(path, {}), Look())
    assert seen == [0, 1]


@pytest.mark.parametrize(
    ("values", "reason", "epochs"),
    [
        ([1.0, 2.0, 2.0], "val/loss had not improved on 1.0000 for 1 epochs", 2),
        ([math.nan, 2.0], "val/loss was not finite, so training has diverged", 1),
        ([2.0, 1.0], "trainer.max_epochs=2 reached", 2),
    ],
)
def test_it_names_why_training_ended(
    values: list[float], reason: str, epochs: int, path: Path, fit_script: FitScript
) -> None:
    fit_script(values, RunCard(path, {}), EarlyStopping(monitor="val/loss", patience=1))
    assert (content(path)["stop_reason"], content(path)["epochs"]) == (reason, epochs)


@pytest.mark.parametrize(
    ("values", "reason"),
    [([0.5, 0.4], "trainer.max_epochs=2 reached"), ([0.5, 0.4, 0.3], "trainer.max_time ran out")],
)
def test_time_that_ran_out_in_the_last_epoch_has_ended_nothing(
    values: list[float], reason: str, path: Path, fit_script: FitScript
) -> None:
    fit_script(values, RunCard(path, {}), RunsOut("00:00:00:01", interval="epoch"))
    assert (content(path)["stop_reason"], content(path)["epochs"]) == (reason, 2)


def test_an_interruption_is_named(path: Path, fit_script: FitScript) -> None:
    with pytest.raises(GeneratorExit):
        fit_script([0.5, 0.4], RunCard(path, {}), Interrupts())
    assert (content(path)["status"], content(path)["stop_reason"]) == ("interrupted", "GeneratorExit")


def test_a_resumed_run_adds_a_session_and_keeps_what_it_does_not_say_anew(path: Path, fit_script: FitScript) -> None:
    keep = BestAndLastCheckpoint(path.parent, monitor="val/loss", mode="min")
    fit_script([0.5, 0.4], RunCard(path, {"warnings": ["from random weights"], "precision": "32-true"}), keep)
    fit_script([0.5, 0.4, 0.3], RunCard(path, {"precision": "bf16-mixed"}), ckpt_path=keep.last)
    found = content(path)
    assert [[epoch["epoch"] for epoch in session["epochs"]] for session in found["sessions"]] == [[0, 1], [2]]
    assert (found["warnings"], found["precision"]) == (["from random weights"], "bf16-mixed")
    assert found["epochs"] == 3


def test_a_resumed_run_with_nothing_left_to_train_counts_the_epochs_that_it_has(
    path: Path, fit_script: FitScript
) -> None:
    def resume(patience: int, values: list[float], ckpt_path: Path | None) -> Path:
        keep = BestAndLastCheckpoint(path.parent, monitor="val/loss", mode="min")
        stop = EarlyStopping(monitor="val/loss", patience=patience, check_on_train_epoch_end=True)
        fit_script(values, RunCard(path, {}), stop, keep, ckpt_path=ckpt_path)
        return keep.last

    last = resume(1, [1.0, 2.0, 3.0], None)
    assert content(path)["epochs"] == 2
    resume(1, [1.0, 2.0, 3.0], last)
    assert content(path)["epochs"] == 2
    assert content(path)["stop_reason"] == "val/loss had not improved on 1.0000 for 1 epochs"


@pytest.mark.parametrize("damaged", ["", "{", '{"sessions": 3}', "[]", '{"status": "running"}', "\x00\x00"])
def test_a_damaged_card_is_replaced(damaged: str, path: Path, fit_script: FitScript) -> None:
    path.write_text(damaged, encoding="utf-8")
    fit_script([0.5], RunCard(path, {}))
    assert len(content(path)["sessions"]) == 1


def test_a_number_that_is_none_never_enters(path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        RunCard(path, {"loss": math.nan}).write()
    assert not path.exists()


def test_the_clock_waits_for_a_gpu(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: done.append(str(device)))
    trainer = SimpleNamespace(strategy=SimpleNamespace(root_device=torch.device("cuda", 0)))
    card = RunCard(path, {})
    card.on_train_epoch_start(cast("L.Trainer", trainer), L.LightningModule())
    card.on_validation_start(cast("L.Trainer", trainer), L.LightningModule())
    assert done == ["cuda:0"] * 2
