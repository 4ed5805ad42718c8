"""How predictions with few views are compared with those with fresh ones."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import sem, ttest_1samp
from scipy.stats import t as student
from sklearn.metrics import roc_auc_score

from anemia_lightning.benchmarks import views
from anemia_lightning.plots.style import to_png

PHOTOS = 200


def table(seed: int, *, signal: float, noise: float = 0.3) -> pd.DataFrame:
    """Predictions that share what is easy and hard about each photo, in an order of their own."""
    shared = np.random.default_rng(0)
    labels = shared.integers(0, 2, PHOTOS)
    logits = signal * labels + shared.normal(size=PHOTOS)
    own = np.random.default_rng((1, seed))
    names = [f"photo {number:03d}" for number in range(PHOTOS)]
    found = pd.DataFrame(
        {
            "photo": names,
            "patient": [f"patient {number // 2}" for number in range(PHOTOS)],
            "photo_group": names,
            "label": labels,
            "logit": logits + noise * own.normal(size=PHOTOS),
        }
    )
    return found.sample(frac=1, random_state=seed)


def test_scores_are_those_of_scikit_learn_and_differences_are_paired() -> None:
    runs = {
        "2": [table(seed, signal=1.0) for seed in range(3)],
        "fresh": [table(10 + seed, signal=1.0) for seed in range(3)],
    }
    report = views.compare_views(runs, resamples=400)
    expected = {name: [roc_auc_score(each["label"], each["logit"]) for each in tables] for name, tables in runs.items()}
    for name, aurocs in expected.items():
        assert report["views"][name]["aurocs"] == pytest.approx(aurocs)
    gaps = np.subtract(expected["2"], expected["fresh"])
    found = report["views"]["2"]
    assert found["by_seed"] == pytest.approx(gaps.tolist())
    assert found["minus_fresh"] == pytest.approx(gaps.mean())
    low, high = found["interval"]
    assert low < found["minus_fresh"] < high
    # Unpaired, the interval of either AUROC alone would be several times as wide.
    assert high - low < 0.08
    assert "minus_fresh" not in report["views"]["fresh"]


def test_a_real_loss_is_not_called_equal() -> None:
    runs = {
        "1": [table(seed, signal=0.6) for seed in range(3)],
        "fresh": [table(10 + seed, signal=1.2) for seed in range(3)],
    }
    report = views.compare_views(runs, resamples=400)
    found = report["views"]["1"]
    assert not found["is_equal"]
    assert found["interval"][1] < 0
    assert (found["seeds_needed"], found["photos_needed"]) == (None, None)
    assert "not shown to be equal; the difference itself is no less than 0.02" in views.words(report)[2]


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_the_interval_holds_what_other_photos_and_other_seeds_would_move(seeds: int) -> None:
    runs = {
        "2": [table(seed, signal=1.0) for seed in range(seeds)],
        "fresh": [table(10 + seed, signal=1.0) for seed in range(seeds)],
    }
    found = views.compare_views(runs, resamples=400)["views"]["2"]
    low, high = found["interval"]
    by_photos = found["interval_of_these_seeds"]
    by_seeds = ttest_1samp(found["by_seed"], 0).confidence_interval()
    mean = found["minus_fresh"]
    assert mean - low == pytest.approx(np.hypot(mean - by_photos[0], mean - by_seeds.low))
    assert high - mean == pytest.approx(np.hypot(by_photos[1] - mean, by_seeds.high - mean))


def test_what_keeps_from_calling_two_equal_is_named() -> None:
    def said(gap: float, seeds: int, noise: float) -> str:
        runs = {
            "2": [table(seed, signal=1.0 + gap, noise=noise) for seed in range(seeds)],
            "fresh": [table(10 + seed, signal=1.0, noise=noise) for seed in range(seeds)],
        }
        return views.words(views.compare_views(runs, resamples=400))[2]

    assert "one seed does not tell how far another would move it" in said(0.0, 1, 0.01)
    assert "no number of seeds would show it on these photos; it would take about" in said(0.0, 3, 0.5)
    assert re.search(r"on these photos it would take about \d+ seeds$", said(0.0, 2, 0.1))
    assert said(0.0, 4, 0.01).endswith("against fresh views: equal within 0.02")


def test_intervals_hold_the_true_difference_as_often_as_they_say() -> None:
    # Of photos and seeds both drawn anew each time: the difference of two recipes that are alike is 0.
    held = 0
    for repetition in range(100):
        rng = np.random.default_rng(repetition)
        labels, shared = rng.integers(0, 2, 120), rng.normal(size=120)

        def run(own: np.random.Generator, labels: Any = labels, shared: Any = shared) -> pd.DataFrame:
            # What differs between seeds is shared by photos: how much of the signal a network has found.
            logits = own.normal(1.0, 0.3) * labels + shared + 0.3 * own.normal(size=120)
            names = [f"{number:03d}" for number in range(120)]
            facts = {"photo": names, "patient": names, "photo_group": names}
            return pd.DataFrame({**facts, "label": labels, "logit": logits})

        runs = {name: [run(rng) for _ in range(3)] for name in ("2", "fresh")}
        low, high = views.compare_views(runs, resamples=200)["views"]["2"]["interval"]
        held += low <= 0 <= high
    assert held >= 90


def test_equal_predictions_are_equal() -> None:
    same = [table(seed, signal=1.0) for seed in range(2)]
    report = views.compare_views({"4": same, "fresh": same}, resamples=200)
    assert report["views"]["4"]["is_equal"]
    assert report["views"]["4"]["minus_fresh"] == 0
    assert any("equal within 0.02" in line for line in views.words(report))
    assert to_png(views.draw_views_curve(report)).startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("gaps", "reach", "expected"),
    [([0.01], 0.0, None), ([0.03, 0.03], 0.0, None), ([0.0, 0.0], 0.0, 2), ([0.0, 0.0], 0.02, None)],
)
def test_how_many_seeds_it_takes(gaps: list[float], reach: float, expected: int | None) -> None:
    assert views.seeds_needed(gaps, reach) == expected


def test_so_many_seeds_are_enough_and_one_less_is_not() -> None:
    gaps, reach = [0.004, -0.006, 0.01], 0.012
    needed = views.seeds_needed(gaps, reach)
    assert needed is not None
    for seeds, is_enough in ((needed, True), (needed - 1, False)):
        by_seeds = sem(gaps) * np.sqrt(3 / seeds) * student(seeds - 1).ppf(0.975)
        assert (abs(np.mean(gaps)) + np.hypot(reach, by_seeds) < 0.02) == is_enough


def test_fresh_views_must_be_among_them(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        views.main(["--views", "1", "2"])
    assert "fresh views are what the others are compared with" in capsys.readouterr().err


def test_predictions_of_other_settings_are_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(views, "_predictions", lambda _, __, seed, ___: table(seed, signal=1.0))
    command = ["--views", "4", "fresh", "--seeds", "1", "--folder", str(tmp_path / "views")]
    assert views.main([*command, "model.weights=null"]) == 0
    written = (tmp_path / "views" / "views.json").read_bytes()
    capsys.readouterr()
    assert views.main([*command, "model.weights=IMAGENET1K_V1"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "another model.weights" in said.err
    assert (tmp_path / "views" / "views.json").read_bytes() == written
    # More views and seeds take nothing from what is there.
    more = ["--views", "2", "4", "fresh", "--seeds", "2", "--folder", str(tmp_path / "views")]
    assert views.main([*more, "model.weights=null"]) == 0


def test_a_setting_that_there_is_not_is_told_in_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert views.main(["--folder", str(tmp_path), "data.nonsense=1"]) == 2
    assert "Unknown setting data.nonsense" in capsys.readouterr().err


@pytest.mark.slow
def test_it_cross_validates_and_goes_on(
    tiny_overrides: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["--views", "1", "fresh", "--seeds", "1", "--folder", str(tmp_path / "views"), *tiny_overrides]
    command += ["folds=2", f"paths.cache={tmp_path}/cache", f"paths.root={tmp_path}"]
    assert views.main(command) == 0
    first = (tmp_path / "views" / "views.json").read_bytes()
    capsys.readouterr()
    assert views.main(command) == 0
    assert (tmp_path / "views" / "views.json").read_bytes() == first
    assert "views, seed" not in capsys.readouterr().out, "what is finished is not trained again"
