"""Runs side by side: every run has its row, and what is not known is said."""

import numpy as np
from matplotlib.axes import Axes

from anemia_lightning.plots.arms import draw_arms
from anemia_lightning.plots.compared import Bounds, draw_compared
from anemia_lightning.plots.style import to_png


def drawn_values(axes: Axes) -> list[list[float]]:
    return [np.asarray(line.get_xdata(), dtype=float).tolist() for line in axes.lines]


def test_each_run_has_a_row_and_what_is_missing_is_said() -> None:
    names = ["first", "second", "third", "x" * 60]
    rows: list[Bounds | str] = [(0.8, 0.7, 0.9), (0.7, None, None), (None, None, None), "other photos"]
    axes = draw_compared(names, rows, label="AUROC", is_difference=False)
    assert [label.get_text() for label in axes.get_yticklabels()] == [*names[:3], "…" + "x" * 33]
    assert [text.get_text() for text in axes.texts] == ["", "", "undefined", "other photos"]
    assert axes.get_xlabel() == "AUROC"
    assert drawn_values(axes) == [[0.7, 0.9], [0.8], [0.7]]
    assert to_png(axes).startswith(b"\x89PNG")
    marked = draw_compared(names[:1], rows[:1], label="difference", is_difference=True)
    assert drawn_values(marked)[-1] == [0, 0]


def test_arms_show_their_runs_their_means_and_the_claims() -> None:
    axes = draw_arms(["a", "b"], [[90.0, 92.0], [float("nan")]], [[70.0, 72.0], [50.0]], claimed=(98.2, 95.4))
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a (n=2)", "b (n=1)"]
    values = dict(zip([str(line.get_label()) for line in axes.lines], drawn_values(axes), strict=True))
    assert values["validation photos: mean, and single runs"] == [71.0, 50.0]
    assert values["claimed for training: 98.2 %"] == [98.2, 98.2]
    assert to_png(axes).startswith(b"\x89PNG")
