"""One row per epoch, in metrics.csv and in TensorBoard."""

import math
from collections.abc import Callable
from pathlib import Path

import lightning as L
import pandas as pd
import pytest
from lightning.pytorch.callbacks import EarlyStopping
from lightning.pytorch.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar import layout_pb2

from anemia_lightning.callbacks.checkpoint import BestAndLastCheckpoint
from anemia_lightning.callbacks.epoch_table import EpochTable, write_rows
from anemia_lightning.callbacks.gradient_norm import GradientNorm

FitScript = Callable[..., L.Trainer]


class RatePerEpoch(L.Callback):
    """Sets the learning rate as a release does, when an epoch starts."""

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        trainer.optimizers[0].param_groups[0]["lr"] = 0.5 ** (trainer.current_epoch + 1)


def test_a_row_holds_scores_and_the_rate_that_the_epoch_used(fit_script: FitScript, tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    fit_script([0.75, 0.5, 0.25], EpochTable(path), GradientNorm(), RatePerEpoch())
    table = pd.read_csv(path)
    assert list(table.columns) == ["epoch", "train/grad_norm", "val/loss", "lr/head"]
    assert list(table["epoch"]) == [0, 1, 2]
    assert list(table["val/loss"]) == [0.75, 0.5, 0.25]
    assert list(table["lr/head"]) == [0.5, 0.25, 0.125]


def test_a_resumed_run_writes_the_file_of_one_that_was_never_stopped(fit_script: FitScript, tmp_path: Path) -> None:
    values = [0.75, 0.5, 1 / 3]
    fit_script(values, EpochTable(tmp_path / "whole.csv"))

    keep = BestAndLastCheckpoint(tmp_path, monitor="val/loss", mode="min")
    path = tmp_path / "resumed.csv"
    fit_script(values[:2], EpochTable(path), keep)
    # A run that is killed between its row and its checkpoint has a row too many.
    path.write_text(path.read_text() + "2,0.9,0.9\n")
    fit_script(values, EpochTable(path), ckpt_path=keep.last)
    assert path.read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_numbers_have_nine_digits_and_gaps_stay_empty(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    write_rows(path, [{"epoch": 0, "a": 1 / 3}, {"epoch": 10, "a": math.nan, "b": 1e-6}])
    assert path.read_bytes() == b"epoch,a,b\n0,0.333333333,\n10,nan,1e-06\n"


def test_tensorboard_counts_in_epochs_and_lays_train_over_val(fit_script: FitScript, tmp_path: Path) -> None:
    logger = TensorBoardLogger(tmp_path, name="board", version="")
    fit_script([0.75, 0.5], EpochTable(tmp_path / "metrics.csv"), logger=logger)
    board = EventAccumulator(logger.log_dir)
    board.Reload()
    points = {tag: [(event.step, event.value) for event in board.Scalars(tag)] for tag in board.Tags()["scalars"]}
    assert points == {"val/loss": [(0, 0.75), (1, 0.5)], "lr/head": [(0, pytest.approx(0.1)), (1, pytest.approx(0.1))]}

    layout = layout_pb2.Layout()
    layout.ParseFromString(board.Tensors("custom_scalars__config__")[0].tensor_proto.string_val[0])
    charts = {chart.title: list(chart.multiline.tag) for category in layout.category for chart in category.chart}
    assert charts["loss"] == ["train/loss$", "val/loss$"]
    assert set(charts) == {"loss", "acc", "auroc", "sensitivity", "specificity"}


def test_a_run_that_ends_early_has_the_rows_of_its_epochs(fit_script: FitScript, tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    fit_script([0.5, 0.75, 1.0, 1.0], EpochTable(path), EarlyStopping(monitor="val/loss", patience=1))
    assert list(pd.read_csv(path)["val/loss"]) == [0.5, 0.75]
