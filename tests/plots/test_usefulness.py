"""What decision curves and the chart of 1,000 people show, also where a number is undefined."""

from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from scipy.special import expit

from anemia_lightning.metrics.intervals import Interval
from anemia_lightning.metrics.populations import at_prevalences
from anemia_lightning.metrics.proportions import wilson
from anemia_lightning.metrics.usefulness import decision_curve
from anemia_lightning.plots import to_png
from anemia_lightning.plots.style import ORANGE, new_axes
from anemia_lightning.plots.usefulness import draw_decision_curve, draw_over_prevalence

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(0, 1.5, 200)
LABELS = (RNG.random(200) < expit(LOGITS)).astype(int)
PREDICTORS = {"network": expit(LOGITS), "colour": expit(LOGITS / 2)}


def _lines(axes: Axes) -> dict[Any, Any]:
    return {line.get_label(): np.asarray(line.get_xydata()) for line in axes.get_lines()}


def test_every_predictor_stands_beside_testing_all_and_none() -> None:
    curve = decision_curve(LABELS, PREDICTORS, resamples=20)
    axes = draw_decision_curve(curve, thresholds=[0.4])
    lines = _lines(axes)
    assert set(lines) == {"network", "colour", "test all", "test none", "threshold 0.400"}
    assert lines["colour"] == pytest.approx(np.column_stack([curve.thresholds, curve.net_benefit["colour"]]))
    assert [each.get_label() for each in axes.collections] == ["95% band of network alone"]
    title = axes.get_legend().get_title().get_text()  # type: ignore[union-attr]
    assert title == "Whether two lines differ, the band does not tell: all are of the same photos."
    assert axes.get_xlabel() == "threshold: probability from which on to refer"
    assert axes.get_ylabel() == "net benefit (true positives per photo)"
    assert axes.get_title(loc="left") == f"n = 200 photos, {LABELS.sum()} anaemic"
    assert to_png(axes)


@pytest.mark.parametrize(
    ("anaemic", "thresholds", "reach"),
    [(100, [], 0.625), (100, [0.6], 0.75), (100, [0.2, 0.7], 0.875), (10, [], 0.2), (10, [0.3], 0.375), (190, [], 1.0)],
)
def test_a_decision_curve_ends_above_prevalence_and_threshold(
    anaemic: int, thresholds: list[float], reach: float
) -> None:
    curve = decision_curve(np.arange(200) < anaemic, {"network": np.linspace(0.9, 0.1, 200)})
    axes = draw_decision_curve(curve, thresholds=thresholds)
    assert axes.get_xlim() == pytest.approx((0, reach))


def test_the_thresholds_of_several_models_are_a_span() -> None:
    axes = draw_decision_curve(decision_curve(LABELS, PREDICTORS), thresholds=[0.3, 0.2, 0.57])
    names = axes.get_legend_handles_labels()[1]
    assert "thresholds of the folds' models,\n0.20 to 0.57" in names
    assert not any(name.startswith("threshold ") for name in names)


def test_lines_that_are_easily_mistaken_differ_in_tone_and_style() -> None:
    many = {f"predictor {number}": expit(LOGITS / number) for number in range(1, 6)}
    first = draw_decision_curve(decision_curve(LABELS, many)).get_lines()[:5]
    assert len({line.get_color() for line in first}) == 5
    assert [line.get_color() for line in first[:4]].count(ORANGE) == 0
    rows = at_prevalences(wilson(80, 100), wilson(150, 200))
    counts = draw_over_prevalence(rows, anaemic=100, not_anaemic=200).axes[0].get_lines()
    assert len({line.get_marker() for line in counts}) == 4
    looks = {line.get_label(): (line.get_color(), line.get_linestyle()) for line in counts}
    assert all(
        one != other for one, other in zip(looks["needlessly referred"], looks["anaemic and missed"], strict=True)
    )


def test_without_a_band_only_lines_are_drawn() -> None:
    axes = draw_decision_curve(decision_curve(LABELS, PREDICTORS))
    assert not axes.collections
    assert not axes.get_legend().get_title().get_text()  # type: ignore[union-attr]


def test_more_predictors_than_colours_are_all_drawn() -> None:
    many = {f"predictor {number}": expit(LOGITS / number) for number in range(1, 9)}
    axes = draw_decision_curve(decision_curve(LABELS, many))
    assert set(many) < set(_lines(axes))
    assert len({(line.get_color(), line.get_linestyle()) for line in axes.get_lines()[:8]}) == 8


@pytest.mark.parametrize("labels", [[], [0, 0], [1, 1]])
def test_one_class_is_said_to_be_undefined(labels: list[int]) -> None:
    axes = draw_decision_curve(decision_curve(labels, {"network": [0.5] * len(labels)}), thresholds=[0.5])
    assert [text.get_text() for text in axes.texts] == ["undefined:\nIt takes photos of both classes."]
    assert not axes.get_lines()
    assert to_png(axes)


def test_axes_that_are_given_are_drawn_on() -> None:
    axes = new_axes()
    assert draw_decision_curve(decision_curve(LABELS, PREDICTORS), axes) is axes


def test_the_four_counts_and_both_predictive_values_stand_over_prevalence() -> None:
    rows = at_prevalences(wilson(80, 100), wilson(150, 200))
    figure = draw_over_prevalence(rows, anaemic=100, not_anaemic=200, prevalence=0.333)
    counts, values = figure.axes
    lines = _lines(counts)
    words = {"referred", "needlessly referred", "anaemic and found", "anaemic and missed", "these photos, 33%"}
    assert set(lines) == words
    assert lines["anaemic and missed"].tolist() == [[row.prevalence, row.missed.value] for row in rows]
    assert set(_lines(values)) == {
        "positive predictive value: anaemic, of those referred",
        "negative predictive value: not anaemic, of those not referred",
        "these photos, 33%",
    }
    assert (len(counts.collections), len(values.collections)) == (4, 2)
    assert (counts.get_ylabel(), values.get_ylabel()) == ("people per 1,000", "predictive value (share)")
    assert values.get_xlabel() == "prevalence of anaemia"
    assert figure.get_suptitle() == "from n = 100 anaemic and 200 other photos; bands: 95 % intervals"
    wide = draw_over_prevalence(rows, anaemic=100, not_anaemic=200, level=0.9)
    assert wide.get_suptitle().endswith("bands: 90 % intervals")
    assert to_png(figure)


@pytest.mark.parametrize(
    ("sensitivity", "specificity"),
    [
        (wilson(0, 10), wilson(10, 10)),
        (wilson(10, 10), wilson(0, 10)),
        (wilson(0, 0), wilson(10, 10)),
        (Interval(0.8, None, None), Interval(0.7, None, None)),
    ],
)
def test_undefined_and_unbounded_numbers_leave_gaps(sensitivity: Interval, specificity: Interval) -> None:
    rows = at_prevalences(sensitivity, specificity)
    assert to_png(draw_over_prevalence(rows, anaemic=10, not_anaemic=10))
