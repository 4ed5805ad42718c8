"""What the reliability diagram shows, also where there is no curve to show."""

from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from scipy.special import expit

from anemia_lightning.metrics.calibration import binned_error
from anemia_lightning.metrics.reliability import reliability
from anemia_lightning.plots import to_png
from anemia_lightning.plots.calibration import draw_reliability

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(0, 1.5, 200)
LABELS = (RNG.random(200) < expit(LOGITS)).astype(int)


def _lines(axes: Axes) -> dict[Any, Any]:
    return {line.get_label(): np.asarray(line.get_xydata()) for line in axes.get_lines()}


def _draw(**settings: Any) -> Any:
    curve = reliability(LABELS, LOGITS, resamples=20)
    return curve, draw_reliability(LABELS, expit(LOGITS), curve, **settings)


def test_curve_band_bins_and_both_axes_stand_there() -> None:
    bins = binned_error(LABELS, LOGITS).bins
    curve, figure = _draw(bins=bins)
    above, below = figure.axes
    lines = _lines(above)
    assert set(lines) == {"perfect", f"probabilities, ICI {curve.ici:.3f}", "10 bins of 20 photos"}
    drawn = lines[f"probabilities, ICI {curve.ici:.3f}"]
    assert drawn == pytest.approx(np.column_stack([curve.probability, curve.observed]))
    assert lines["10 bins of 20 photos"] == pytest.approx(
        np.array([[each.probability, each.observed] for each in bins])
    )
    assert [each.get_label() for each in above.collections] == ["95% band"]
    assert above.get_ylabel() == "share of photos that are anaemic"
    assert (below.get_xlabel(), below.get_ylabel()) == ("probability of anaemia", "photos")
    assert figure.get_suptitle() == f"n = 200 photos, {LABELS.sum()} anaemic"
    assert to_png(figure)


def test_the_histogram_counts_every_photo_by_label() -> None:
    below = _draw()[1].axes[1]
    anaemic, others = (sum(bar.get_height() for bar in container.patches) for container in below.containers)
    assert (anaemic, others) == (LABELS.sum(), 200 - LABELS.sum())


def test_before_calibration_is_a_line_of_its_own() -> None:
    before = reliability(LABELS, 3 * LOGITS, resamples=1)
    curve, figure = _draw(before=before)
    assert set(_lines(figure.axes[0])) == {
        "perfect",
        f"after calibration, ICI {curve.ici:.3f}",
        f"before calibration, ICI {before.ici:.3f}",
    }


@pytest.mark.parametrize("labels", [[], [0, 1], [1] * 12])
def test_without_a_curve_the_reason_stands_there(labels: list[int]) -> None:
    curve = reliability(labels, [0.0] * len(labels))
    figure = draw_reliability(labels, [0.5] * len(labels), curve, before=curve)
    assert figure.axes[0].texts[0].get_text() == curve.note.replace(": ", ":\n")
    assert to_png(figure)


def test_without_a_band_the_curve_stands_alone() -> None:
    curve = reliability(LABELS, LOGITS, clusters=np.where(LABELS == 1, -1, np.arange(200)))
    above = draw_reliability(LABELS, expit(LOGITS), curve).axes[0]
    assert not above.collections
    assert len(above.get_lines()) == 2
