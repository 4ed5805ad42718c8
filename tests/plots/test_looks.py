"""The drawing of flips says each change, its share with interval and where the logit goes; heat hides no cold place."""

from typing import Any

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle

from anemia_lightning.plots.looks import change_words, draw_robustness, heat_beside
from anemia_lightning.plots.style import BLUE, VERMILION, to_png


def row(name: str, level: float, unit: str, share: float, shift: float) -> dict[str, Any]:
    interval = {"value": share, "low": max(0, share - 0.1), "high": min(1, share + 0.1)}
    return {
        "perturbation": name,
        "level": level,
        "unit": unit,
        "n": 32,
        "flipped_interval": interval,
        "mean_logit_shift": shift,
    }


ROWS = [
    row("JPEG", 90, "quality", 0.0, 0.0),
    row("brightness", 0.7, "factor", 0.5, -0.4),
    row("white balance", 5000, "K", 0.25, 0.3),
]


def test_each_change_has_its_share_its_interval_and_its_shift() -> None:
    flips, shifts = draw_robustness(ROWS).axes
    assert [label.get_text() for label in flips.get_yticklabels()] == [
        "JPEG quality 90",
        "brightness times 0.7",
        "white balance 5000 K",
    ]
    lines = [np.asarray(line.get_xydata()) for line in flips.lines]
    points = np.concatenate([line for line in lines if len(line) == 1])
    assert points.tolist() == [[0.0, 0], [0.5, 1], [0.25, 2]]
    spans = [line[:, 0] for line in lines if len(line) == 2]
    assert np.array(spans) == pytest.approx(np.array([(0.0, 0.1), (0.4, 0.6), (0.15, 0.35)]))
    bars = [bar for bar in shifts.patches if isinstance(bar, Rectangle)]
    assert [bar.get_width() for bar in bars] == [0.0, -0.4, 0.3]
    assert [to_hex(bar.get_facecolor()).upper() for bar in bars[1:]] == [BLUE, VERMILION]
    assert flips.get_title(loc="left") == "n = 32 photos"
    assert flips.get_ylim()[0] > flips.get_ylim()[1], "the first change stands on top"


def test_what_is_drawn_stays_inside_its_axes() -> None:
    figure = draw_robustness([*ROWS, row("blur", 2, "px", 1.0, 3.0)])
    assert to_png(figure)
    assert figure.axes[0].get_xlim()[1] >= 1.0


def test_without_a_change_there_is_an_empty_drawing() -> None:
    assert to_png(draw_robustness([]))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("resize", 0.25, "of each side"), "resize 25% of each side"),
        (("blur", 1, "px"), "blur 1 px"),
        (("white balance", 9300, "K"), "white balance 9300 K"),
    ],
)
def test_changes_are_read_as_words(change: tuple[str, float, str], words: str) -> None:
    assert change_words(*change) == words


def test_heat_stands_beside_the_photo_and_hides_no_cold_place() -> None:
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    heat = np.zeros((8, 8))
    heat[2:4, 2:4] = 1
    both = heat_beside(image, heat)
    assert both.shape == (8, 16, 3)
    assert np.array_equal(both[:, :8], image)
    warm = both[:, 8:]
    assert np.array_equal(warm[heat == 0], image[heat == 0])
    # The strongest heat is the pale yellow of the map's end, more than the photo's own colour.
    assert (np.abs(warm[2:4, 2:4].astype(int) - image[2:4, 2:4]).sum(axis=-1) > 0).all()
    assert warm[2:4, 2:4, :2].min() > 150
