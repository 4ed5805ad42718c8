"""When a run ends for want of progress."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import lightning as L
import pytest
from lightning.pytorch.callbacks import EarlyStopping as LightningEarlyStopping

from anemia_lightning.callbacks.checkpoint import BestAndLastCheckpoint
from anemia_lightning.callbacks.early_stopping import EarlyStopping

FitScript = Callable[..., L.Trainer]

FALLS_AND_RISES = [5.0, 4.0, 6.0, 7.0, 8.0, 9.0, 9.0, 9.0, 9.0, 9.0]


class Release(L.Callback):
    """Stands for the callback that releases stages."""

    def __init__(self, epoch: int) -> None:
        self.last_release = epoch


class StopsAt(L.Callback):
    """Ends the run as a time limit would."""

    def __init__(self, epoch: int) -> None:
        self._epoch = epoch

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        trainer.should_stop = trainer.current_epoch == self._epoch


def stopping(patience: int = 2) -> EarlyStopping:
    return EarlyStopping(monitor="val/loss", patience=patience, check_on_train_epoch_end=True)


def test_without_a_release_it_stops_as_lightnings_does(fit_script: FitScript) -> None:
    theirs = LightningEarlyStopping(monitor="val/loss", patience=2)
    epochs = fit_script(FALLS_AND_RISES, theirs).current_epoch
    ours = stopping()
    assert fit_script(FALLS_AND_RISES, ours).current_epoch == epochs == 4
    assert (ours.wait_count, ours.stopped_epoch, float(ours.best_score)) == (2, 3, 4.0)
    assert ours.stop_reason() == "val/loss had not improved on 4.0000 for 2 epochs"


@pytest.mark.parametrize("release", [3, 4, 6])
def test_it_counts_but_does_not_stop_before_the_last_release(release: int, fit_script: FitScript) -> None:
    callback = stopping()
    trainer = fit_script(FALLS_AND_RISES, Release(1), callback, Release(release))
    # Nobody starts it afresh here, so what it counted before counts at the end of the release's own epoch.
    assert trainer.current_epoch == release + 1
    assert (callback.wait_count, callback.stopped_epoch) == (release - 1, release)


def test_starting_afresh_gives_the_whole_patience_again(fit_script: FitScript) -> None:
    callback = stopping()

    class StartAfresh(Release):
        def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
            if trainer.current_epoch == self.last_release:
                callback.start_afresh()
                assert (callback.wait_count, float(callback.best_score)) == (0, math.inf)

    trainer = fit_script(FALLS_AND_RISES, callback, StartAfresh(4))
    # 8 at epoch 4 is the new best; two epochs of 9 exhaust the patience.
    assert trainer.current_epoch == 7
    assert float(callback.best_score) == 8.0


def test_for_a_score_that_should_rise_the_fresh_best_is_the_lowest() -> None:
    callback = EarlyStopping(monitor="val/auroc", mode="max")
    callback.start_afresh()
    assert float(callback.best_score) == -math.inf


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("release", [0, 5])
def test_a_value_that_is_not_finite_stops_at_once(value: float, release: int, fit_script: FitScript) -> None:
    callback = stopping()
    trainer = fit_script([3.0, value, 2.0, 1.0, 1.0, 1.0, 1.0], Release(release), callback)
    assert trainer.current_epoch == 2
    assert callback.stop_reason() == "val/loss was not finite, so training has diverged"


def test_a_limit_of_time_holds_before_a_release_too(fit_script: FitScript) -> None:
    callback = stopping()
    assert fit_script(FALLS_AND_RISES, Release(8), StopsAt(4), callback).current_epoch == 5
    assert callback.stop_reason() is None


def last_of(values: Sequence[float], fit_script: FitScript, folder: Path, patience: int = 2) -> Path:
    keep = BestAndLastCheckpoint(folder, monitor="val/loss", mode="min")
    fit_script(values, stopping(patience), keep, max_epochs=len(values))
    return keep.last


class Trained(L.Callback):
    """Notes which epochs were trained."""

    def __init__(self) -> None:
        self.epochs: list[int] = []

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.epochs.append(trainer.current_epoch)


@pytest.mark.parametrize("epochs", [1, 2, 3])
def test_a_resumed_run_stops_where_the_uninterrupted_one_does(
    epochs: int, fit_script: FitScript, tmp_path: Path
) -> None:
    last = last_of(FALLS_AND_RISES[:epochs], fit_script, tmp_path)
    callback = stopping()
    assert fit_script(FALLS_AND_RISES, callback, ckpt_path=last).current_epoch == 4
    assert (callback.wait_count, callback.stopped_epoch, float(callback.best_score)) == (2, 3, 4.0)


def test_a_stopped_run_is_not_trained_further_by_a_resume(fit_script: FitScript, tmp_path: Path) -> None:
    last = last_of(FALLS_AND_RISES, fit_script, tmp_path)
    callback, trained = stopping(), Trained()
    fit_script(FALLS_AND_RISES, callback, trained, ckpt_path=last)
    assert trained.epochs == []
    assert callback.stop_reason() == "val/loss had not improved on 4.0000 for 2 epochs"


def test_more_patience_continues_a_stopped_run(fit_script: FitScript, tmp_path: Path) -> None:
    last = last_of(FALLS_AND_RISES, fit_script, tmp_path)
    callback, trained = stopping(patience=4), Trained()
    fit_script(FALLS_AND_RISES, callback, trained, ckpt_path=last)
    assert trained.epochs == [4, 5]
    assert callback.stop_reason() == "val/loss had not improved on 4.0000 for 4 epochs"


def test_a_diverged_run_is_not_trained_further_either(fit_script: FitScript, tmp_path: Path) -> None:
    last = last_of([3.0, math.nan, 2.0], fit_script, tmp_path)
    trained = Trained()
    fit_script([3.0, math.nan, 2.0], stopping(patience=9), trained, ckpt_path=last)
    assert trained.epochs == []
