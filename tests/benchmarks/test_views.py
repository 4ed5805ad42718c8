"""How predictions with few views are compared with those with fresh ones."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
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
    assert not report["views"]["1"]["is_equal"]
    assert report["views"]["1"]["interval"][1] < 0
    assert report["views"]["1"]["seeds_needed"] is None
    assert "not shown to be equal; for these photos it would take more than can be told seeds" in "\n".join(
        views.words(report)
    )


def test_equal_predictions_are_equal() -> None:
    same = [table(seed, signal=1.0) for seed in range(2)]
    report = views.compare_views({"4": same, "fresh": same}, resamples=200)
    assert report["views"]["4"]["is_equal"]
    assert report["views"]["4"]["minus_fresh"] == 0
    assert any("equal within 0.02" in line for line in views.words(report))
    assert to_png(views.draw_views_curve(report)).startswith(b"\x89PNG")


@pytest.mark.parametrize(("gaps", "expected"), [([0.01], None), ([0.03, 0.03], None), ([0.0, 0.0], 1)])
def test_how_many_seeds_it_takes(gaps: list[float], expected: int | None) -> None:
    assert views.seeds_needed(gaps) == expected


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
