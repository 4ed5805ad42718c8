"""What the curves show: the right points, words and counts, also where there is little to show."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes

from anemia_lightning.plots import (
    draw_confusion,
    draw_precision_recall,
    draw_roc,
    draw_training_curves,
    to_png,
)
from anemia_lightning.plots.style import new_axes

LABELS = np.array([0, 0, 1, 0, 1, 1])
PROBABILITIES = np.array([0.1, 0.2, 0.3, 0.6, 0.8, 0.9])


def _table(epochs: int) -> pd.DataFrame:
    epoch = np.arange(epochs)
    return pd.DataFrame(
        {
            "epoch": epoch,
            "train/loss": 1.0 / (epoch + 1),
            "val/loss": (epoch - 6.0) ** 2 + 0.5,
            "train/acc": epoch / 20,
            "val/acc": epoch / 25,
            "lr/head": 1e-4,
            "lr/layer4": np.where(epoch < 5, 0.0, 1e-4),
            "lr/trunk": 0.0,
        }
    )


def _lines(axes: Axes) -> dict[Any, Any]:
    return {line.get_label(): np.asarray(line.get_xydata()) for line in axes.get_lines()}


def _texts(axes: Axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def test_training_and_validation_stand_on_one_chart_each() -> None:
    loss, accuracy, rate = draw_training_curves(_table(9)).axes
    for axes, score in ((loss, "loss"), (accuracy, "acc")):
        lines = _lines(axes)
        assert lines["training (running)"].tolist() == _table(9)[["epoch", f"train/{score}"]].values.tolist()
        assert lines["validation"].tolist() == _table(9)[["epoch", f"val/{score}"]].values.tolist()
    assert (loss.get_ylabel(), accuracy.get_ylabel(), rate.get_ylabel(), rate.get_xlabel()) == (
        "weighted log-loss (nats)",
        "accuracy (share of photos)",
        "learning rate",
        "epoch",
    )


def test_only_rates_that_train_something_are_drawn() -> None:
    lines = _lines(draw_training_curves(_table(9)).axes[2])
    assert lines["head"].tolist() == [[epoch, 1e-4] for epoch in range(9)]
    assert lines["layer4"].tolist() == [[epoch, 1e-4] for epoch in range(5, 9)]
    assert "trunk" not in lines


def test_a_release_stands_before_its_epoch_in_every_panel_and_in_words() -> None:
    figure = draw_training_curves(_table(9), releases=[5])
    for axes in figure.axes:
        assert any(set(line[:, 0]) == {4.5} for line in _lines(axes).values())
    assert _texts(figure.axes[0]) == [" epoch 5:\n more layers\n train"]


def test_a_release_that_was_never_reached_is_not_drawn() -> None:
    assert not _texts(draw_training_curves(_table(4), releases=[5]).axes[0])


def test_the_best_epoch_is_the_given_one_else_the_lowest_validation_loss() -> None:
    assert "best epoch, 6" in _lines(draw_training_curves(_table(9)).axes[0])
    assert "best epoch, 2" in _lines(draw_training_curves(_table(9), best_epoch=2).axes[0])


@pytest.mark.parametrize(
    "table",
    [
        _table(0),
        _table(1),
        _table(3)[["epoch", "train/loss"]],
        _table(3).assign(**{"val/loss": np.nan}),
        _table(200),
    ],
)
def test_short_long_and_partial_records_are_drawn(table: pd.DataFrame) -> None:
    assert to_png(draw_training_curves(table, releases=[5]))


def test_the_roc_curve_passes_through_the_hand_worked_points() -> None:
    axes = draw_roc(LABELS, PROBABILITIES, threshold=0.5)
    lines = _lines(axes)
    corners = {tuple(point) for point in np.round(lines["AUROC 0.889"], 6).tolist()}
    assert corners >= {(0.0, 0.0), (0.0, 0.666667), (0.333333, 0.666667), (0.333333, 1.0), (1.0, 1.0)}
    assert np.allclose(lines["threshold 0.500"], [[1 / 3, 2 / 3]])
    assert axes.get_title(loc="left") == "n = 6 photos, 3 anaemic"


def test_the_precision_recall_curve_stands_beside_the_prevalence() -> None:
    axes = draw_precision_recall(LABELS, PROBABILITIES, threshold=0.5)
    lines = _lines(axes)
    assert set(lines) == {"average precision 0.917", "prevalence 0.500", "threshold 0.500"}
    assert set(lines["prevalence 0.500"][:, 1]) == {0.5}
    assert np.allclose(lines["threshold 0.500"], [[2 / 3, 2 / 3]])


def test_a_threshold_that_calls_no_one_has_no_precision_to_mark() -> None:
    lines = _lines(draw_precision_recall(LABELS, PROBABILITIES, threshold=0.99))
    assert not any(str(label).startswith("threshold") for label in lines)


@pytest.mark.parametrize("draw", [draw_roc, draw_precision_recall])
@pytest.mark.parametrize("labels", [[0, 0], [1, 1], []])
def test_one_class_is_said_to_be_undefined(draw: Any, labels: list[int]) -> None:
    axes = draw(labels, [0.2, 0.7][: len(labels)], threshold=0.5)
    assert _texts(axes) == ["undefined:\nit takes photos of both classes"]
    assert not axes.get_lines()
    assert to_png(axes)


def test_the_confusion_matrix_shows_counts_and_shares_anaemic_first() -> None:
    axes = draw_confusion([1, 1, 1, 1, 0, 0], [1, 1, 1, 0, 1, 0])
    assert _texts(axes) == ["3\n0.750", "1\n0.250", "1\n0.500", "1\n0.500"]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["anaemic\nn = 4", "not anaemic\nn = 2"]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["anaemic", "not anaemic"]


def test_the_share_of_no_photos_is_undefined() -> None:
    assert _texts(draw_confusion([1, 1], [1, 0]))[2:] == ["0\nundefined", "0\nundefined"]


@pytest.mark.parametrize("draw", [draw_roc, draw_precision_recall, draw_confusion])
def test_axes_that_are_given_are_drawn_on(draw: Any) -> None:
    axes = new_axes()
    assert draw(LABELS, (PROBABILITIES > 0.5).astype(int), axes) is axes
    assert axes.get_xlabel()
    assert axes.get_ylabel()
