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
    axes = draw_risk_coverage(curve, answered=0.75)
    lines = _lines(axes)
    assert set(lines) == {"area 0.146, at best 0.062", "all answered, 0.250 wrong", "answered 0.750"}
    assert lines["area 0.146, at best 0.062"] == pytest.approx(
        np.array([[0.25, 0], [0.5, 0], [0.75, 1 / 3], [1.0, 0.25]])
    )
    assert axes.get_xlabel() == "share of photos answered, the surest first"
    assert axes.get_ylabel() == "share of wrong decisions among them"
    assert axes.get_title(loc="left") == "n = 4 photos"
    assert to_png(axes)


@pytest.mark.parametrize("labels", [[0], [1], [0] * 30, [0, 1] * 300])
def test_few_many_right_and_wrong_photos_are_drawn(labels: list[int]) -> None:
    assert to_png(draw_risk_coverage(risk_coverage(labels, np.linspace(-3, -1, len(labels)))))


def test_no_photos_are_said_to_be_undefined() -> None:
    axes = draw_risk_coverage(risk_coverage([], []), answered=0.5)
    assert [text.get_text() for text in axes.texts] == ["undefined:\nthere are no photos"]
    assert to_png(axes)


def test_axes_that_are_given_are_drawn_on() -> None:
    axes = new_axes()
    assert draw_risk_coverage(risk_coverage([0, 1], [0.0, 1.0]), axes) is axes
