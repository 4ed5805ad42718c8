"""What the risk-coverage chart shows."""

from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes

from anemia_lightning.metrics.conformal import risk_coverage
from anemia_lightning.plots import to_png
from anemia_lightning.plots.style import new_axes
from anemia_lightning.plots.uncertainty import draw_risk_coverage


def _lines(axes: Axes) -> dict[Any, Any]:
    return {line.get_label(): np.asarray(line.get_xydata()) for line in axes.get_lines()}


def test_the_curve_ends_at_the_error_rate_of_all() -> None:
    curve = risk_coverage([1, 1, 0, 1], [3.0, 2.0, 1.0, 0.5])
    axes = draw_risk_coverage(curve, answered=(0.75, 0.2))
    lines = _lines(axes)
    mean = "the surest first: 14.6% wrong on average (in the best order 6.2%)"
    point = "the prediction sets answer 75%, 20.0% of these wrong"
    assert set(lines) == {mean, "all answered: 25.0% wrong", point}
    assert lines[mean] == pytest.approx(np.array([[0.25, 0], [0.5, 0], [0.75, 1 / 3], [1.0, 0.25]]))
    assert lines[point].tolist() == [[0.75, 0.2]]
    assert axes.get_xlabel() == "share of photos answered, the surest first"
    assert axes.get_ylabel() == "share of wrong decisions among them"
    assert axes.get_title(loc="left") == "n = 4 photos"
    assert to_png(axes)


def test_what_the_sets_answer_stays_in_sight() -> None:
    axes = draw_risk_coverage(risk_coverage([0, 1] * 30, np.tile([-2.0, 2.0], 30)), answered=(0.5, 0.6))
    assert axes.get_ylim()[1] > 0.6


@pytest.mark.parametrize("labels", [[0], [1], [0] * 30, [0, 1] * 300])
def test_few_many_right_and_wrong_photos_are_drawn(labels: list[int]) -> None:
    assert to_png(draw_risk_coverage(risk_coverage(labels, np.linspace(-3, -1, len(labels)))))


def test_no_photos_are_said_to_be_undefined() -> None:
    axes = draw_risk_coverage(risk_coverage([], []), answered=(0.5, 0.5))
    assert [text.get_text() for text in axes.texts] == ["undefined:\nthere are no photos"]
    assert to_png(axes)


def test_axes_that_are_given_are_drawn_on() -> None:
    axes = new_axes()
    assert draw_risk_coverage(risk_coverage([0, 1], [0.0, 1.0]), axes) is axes
