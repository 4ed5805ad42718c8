"""What a forest plot shows, also of groups without a value or an interval."""

import numpy as np
import pytest
from matplotlib.collections import LineCollection

from anemia_lightning.metrics.intervals import Interval
from anemia_lightning.plots import to_png
from anemia_lightning.plots.subgroups import Row, Section, draw_forest

ROWS = [
    Row("North", "n = 40, 18 anaemic", Interval(0.8, 0.7, 0.9)),
    Row("South", "n = 9, 4 anaemic", Interval(0.6, 0.2, 0.9), is_small=True),
    Row("West", "n = 12, 12 anaemic", Interval(None, None, None, note="no non-anaemic photos")),
    Row("East", "n = 20, 10 anaemic", Interval(1.0, None, None, note="all pairs are in order")),
]
MEAN = Row("the mean site", "3 sites", Interval(0.75, 0.6, 0.85), is_summary=True)
FURTHER = Row("a further site", "95 % prediction interval", Interval(0.75, 0.4, 0.95), is_prediction=True)


def test_every_group_has_its_line_its_count_and_its_numbers() -> None:
    sections = [Section("site", ROWS), Section("together", [MEAN, FURTHER])]
    figure = draw_forest(sections, score="AUROC", overall=0.78, chance=0.5)
    (axes,) = figure.axes
    assert [tick.get_text() for tick in axes.get_yticklabels()] == [
        "site",
        "North\nn = 40, 18 anaemic",
        "South\nn = 9, 4 anaemic",
        "West\nn = 12, 12 anaemic",
        "East\nn = 20, 10 anaemic",
        "together",
        "the mean site\n3 sites",
        "a further site\n95 % prediction interval",
    ]
    assert [text.get_text() for text in axes.texts] == [
        "0.80 [0.70, 0.90]",
        "0.60 [0.20, 0.90]",
        "undefined: no non-anaemic photos",
        "1.00 (no interval)",
        "0.75 [0.60, 0.85]",
        "[0.40, 0.95]",
    ]
    spans = [each.get_segments()[0] for each in axes.collections if isinstance(each, LineCollection)]
    assert np.round(spans, 9).tolist() == [
        [[0.7, 1], [0.9, 1]],
        [[0.2, 2], [0.9, 2]],
        [[0.6, 6], [0.85, 6]],
        [[0.4, 7], [0.95, 7]],
    ]
    assert axes.get_xlabel() == "AUROC, with 95 % interval"
    assert to_png(figure)


def test_small_groups_are_hollow_summaries_diamonds_and_predictions_without_a_point() -> None:
    (axes,) = draw_forest([Section("site", [ROWS[0], ROWS[1], MEAN, FURTHER])], score="AUROC").axes
    looks = [(line.get_marker(), line.get_markerfacecolor()) for line in axes.get_lines()]
    assert looks == [("o", "#0072B2"), ("o", "white"), ("D", "#0072B2")]


def test_an_area_is_shown_from_where_it_lies_and_a_share_from_nothing() -> None:
    def left(row: Row, chance: float | None = None) -> float:
        return draw_forest([Section("site", [row])], score="AUROC", chance=chance).axes[0].get_xlim()[0]

    assert left(ROWS[0], 0.5) == pytest.approx(0.48)
    assert left(ROWS[1], 0.5) == pytest.approx(0.18)
    assert left(FURTHER, 0.5) == pytest.approx(0.38)
    assert left(ROWS[2], 0.5) == pytest.approx(0.48)
    assert left(ROWS[0]) == pytest.approx(-0.02)


def test_the_level_of_the_intervals_is_named() -> None:
    figure = draw_forest([Section("site", ROWS[:1])], score="sensitivity", level=0.9)
    assert figure.axes[0].get_xlabel() == "sensitivity, with 90 % interval"


def test_numbers_stand_beside_the_axes_and_words_are_large_enough_for_a_page() -> None:
    long = Row("Hospital " * 12, "n = 40, 18 anaemic", Interval(0.8, 0.7, 0.9))
    figure = draw_forest([Section("site", [*ROWS, long])], score="AUROC", chance=0.5)
    figure.draw_without_rendering()
    (axes,) = figure.axes
    shown = axes.texts + axes.get_yticklabels()
    assert min(text.get_fontsize() for text in shown) >= 8
    assert figure.get_figwidth() <= 5.6
    boxes = [text.get_window_extent() for text in shown]
    for index, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[index + 1 :])
        assert box.x0 >= 0
        assert box.x1 <= figure.bbox.x1
    assert axes.get_window_extent().width > figure.bbox.width / 4


def test_lines_of_all_photos_and_of_chance_are_named() -> None:
    figure = draw_forest([Section("site", ROWS[:1])], score="AUROC", overall=0.78, chance=0.5, note="below")
    names = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]  # type: ignore[union-attr]
    assert names == ["all photos, 0.780", "chance, 0.500"]
    assert figure.get_supxlabel() == "below"


@pytest.mark.parametrize("groups", [0, 1, 60])
def test_few_and_many_groups_are_drawn(groups: int) -> None:
    (axes,) = draw_forest([Section("site", ROWS[:1] * groups)], score="AUROC").axes
    assert len(axes.get_yticklabels()) == len(axes.collections) + 1 == groups + 1
