"""The benchmark of cut-outs counts what it should: pairs by tissue that is shared, and wrong links through groups."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from anemia_lightning.benchmarks.cutting import make_cut, shared_tissue
from anemia_lightning.benchmarks.photographs import HALVES, collect_photographs, draw_photograph
from anemia_lightning.benchmarks.recuts import Measured, choose_threshold, fit_exponent, rate_threshold
from anemia_lightning.randomness import stream


def measured(
    links: list[tuple[int, int, float]], wanted: set[tuple[int, int]], undecided: set[tuple[int, int]]
) -> Measured:
    cuts = [make_cut(draw_photograph("a test", 0), stream("a test's cut", 0))] * 6
    return Measured(cuts, wanted, undecided, pd.DataFrame(links, columns=["first", "second", "score"]))  # type: ignore[arg-type]


def test_recall_and_precision_count_pairs_of_whole_groups() -> None:
    found = rate_threshold(measured([(0, 1, 20.0), (1, 2, 20.0), (4, 5, 5.0)], {(0, 1), (0, 2), (4, 5)}, set()), 18.0)
    assert found["recall"] == pytest.approx(2 / 3)
    assert found["precision"] == pytest.approx(2 / 3), "1 and 2 stand in one group and are of two photographs"


def test_pairs_that_share_little_count_neither_way() -> None:
    found = rate_threshold(measured([(0, 1, 20.0), (2, 3, 20.0)], {(0, 1)}, {(2, 3)}), 18.0)
    assert (found["recall"], found["precision"], found["wrong"]) == (1.0, 1.0, 0)


def test_the_threshold_is_the_most_generous_that_is_precise_enough() -> None:
    curve = pd.DataFrame(
        {"threshold": [10.0, 15.0, 18.0, 25.0], "recall": [0.99, 0.95, 0.92, 0.6], "precision": [0.5, 0.96, 0.99, 1.0]}
    )
    assert choose_threshold(curve) == 18.0


def test_the_exponent_of_growth_is_the_slope_of_the_logarithms() -> None:
    rows = [{"photos": float(photos), "total_s": 3.0 * photos**1.3} for photos in (1000, 3000, 10000)]
    assert fit_exponent(rows, "total_s") == pytest.approx(1.3)


def test_the_halves_share_no_picture() -> None:
    names = [{photograph.name for photograph in collect_photographs(half, drawn=0)} for half in HALVES]
    assert min(map(len, names)) > 20
    assert names[0].isdisjoint(names[1])
    drawn = [draw_photograph(half, 0).rgb.tobytes() for half in HALVES]
    assert drawn[0] != drawn[1]


def test_a_cut_is_like_those_of_the_published_set() -> None:
    photograph = draw_photograph("a test", 1)
    made = [make_cut(photograph, stream("a test's cut", number)) for number in range(12)]
    cuts = [cut for cut in made if cut is not None]
    assert len(cuts) >= 6
    for cut in cuts:
        height, width = cut.rgba.shape[:2]
        assert 20 <= height <= 540
        assert 20 <= width <= 540
        share = (cut.rgba[..., 3] >= 128).mean()
        assert 0.02 <= share <= 0.8
    for one, other in combinations(cuts, 2):
        assert 0 <= shared_tissue(one, other) <= 1
    assert shared_tissue(cuts[0], cuts[0]) == pytest.approx(1, abs=0.02)
    assert len({np.asarray(cut.rgba.shape).tobytes() for cut in cuts}) > 1
