"""Comparing runs: every number against another's arithmetic, every folder either compared or said why not."""

import base64
import json
import re
from collections.abc import Callable
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from omegaconf import DictConfig, OmegaConf
from scipy import stats
from sklearn.metrics import accuracy_score, average_precision_score, brier_score_loss, recall_score, roc_auc_score

from anemia_lightning.command_line.settings import compose, flat_settings
from anemia_lightning.compare import compare
from anemia_lightning.comparing.settings import SEEDS
from anemia_lightning.data.splits import independent_groups
from anemia_lightning.errors import ConfigError, NoRunsError, NothingToCompareError, UnknownNameError
from anemia_lightning.metrics.differences import compare_predictions, holm
from anemia_lightning.metrics.over_runs import CORRECTED

WriteRun = Callable[..., Path]


@cache
def defaults() -> DictConfig:
    return compose("compare", ["runs=x", "resamples=200"], run_dir="x")


@pytest.fixture(autouse=True)
def _no_picture(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    # Half of the time of a comparison goes into its picture.
    if "drawn" not in request.node.name:
        monkeypatch.setattr("anemia_lightning.comparing.comparison.to_png", lambda _: b"")


def compared(folder: Path, *runs: Path | str, **settings: object) -> dict[str, Any]:
    """Compares runs into folder/compared and returns what compare.json holds."""
    cfg = deepcopy(defaults())
    cfg.paths.run_dir = str(folder / "compared")
    cfg.runs = [str(run) for run in runs]
    cfg.paths.root = str(folder)
    for key, value in settings.items():
        cfg[key] = value
    returned = compare(cfg)
    assert returned == json.loads((folder / "compared" / "compare.json").read_text())
    return returned


def predictions(run: Path) -> pd.DataFrame:
    return pd.read_csv(run / "predictions_test.csv", dtype={"photo": str, "patient": str, "photo_group": str})


def test_scores_are_those_of_scikit_learn(tmp_path: Path, write_run: WriteRun) -> None:
    run = write_run(tmp_path / "runs" / "a")
    (row,) = compared(tmp_path, run)["runs"]
    table = predictions(run)
    label = table["label"]
    expected = {
        "auroc": roc_auc_score(label, table["logit"]),
        "average_precision": average_precision_score(label, table["logit"]),
        "acc": accuracy_score(label, table["prediction"]),
        "sensitivity": recall_score(label, table["prediction"]),
        "specificity": recall_score(label, table["prediction"], pos_label=0),
        "brier": brier_score_loss(label, table["probability"]),
    }
    assert {name: found["value"] for name, found in row["scores"].items()} == pytest.approx(expected)
    assert all(found["low"] < found["value"] < found["high"] for found in row["scores"].values())


def test_each_interval_is_named_by_how_it_came_about(tmp_path: Path, write_run: WriteRun) -> None:
    runs = [write_run(tmp_path / name) for name in "ab"]
    table = predictions(runs[1])
    table.assign(patient=table["photo"]).to_csv(runs[1] / "predictions_test.csv", index=False)
    repeated, alone = compared(tmp_path, *runs)["runs"]
    assert {found["method"] for found in repeated["scores"].values()} == {"bootstrap over clusters"}
    assert {name: found["method"] for name, found in alone["scores"].items()} == {
        "auroc": "DeLong",
        "average_precision": "bootstrap over clusters",
        **dict.fromkeys(("acc", "sensitivity", "specificity"), "Wilson"),
        "brier": "bootstrap over clusters",
    }
    compared(tmp_path, runs[1])
    text = (tmp_path / "compared" / "compare.md").read_text()
    assert (
        "Intervals by DeLong: AUROC; bootstrap over clusters: average precision, Brier score; "
        "Wilson: accuracy, sensitivity, specificity." in text
    )
    assert "The bootstrap is made of 200 draws of patients, each with all copies of the photographs." in text
    assert "other patients would move these scores, and not how far another training would." in text
    compared(tmp_path, runs[0])
    names = "AUROC, average precision, accuracy, sensitivity, specificity, Brier score"
    assert f"Intervals by bootstrap over clusters: {names}." in (tmp_path / "compared" / "compare.md").read_text()


def test_seeds_stand_together_with_the_t_interval_of_scipy(tmp_path: Path, write_run: WriteRun) -> None:
    runs = [write_run(tmp_path / "runs" / f"{seed}", seed=seed) for seed in range(4)]
    (group,) = compared(tmp_path, tmp_path / "runs", level=0.9)["groups"]
    areas = [roc_auc_score(table["label"], table["logit"]) for table in map(predictions, runs)]
    found = group["scores"]["auroc"]
    assert (group["name"], group["differ_in"], found["n"]) == ("all runs", ["seed"], 4)
    assert (found["mean"], found["sd"]) == pytest.approx((np.mean(areas), np.std(areas, ddof=1)))
    interval = stats.t.interval(0.9, 3, np.mean(areas), stats.sem(areas))
    assert (found["low"], found["high"]) == pytest.approx(interval)


def test_differences_are_recomputed_from_the_predictions_with_holm(tmp_path: Path, write_run: WriteRun) -> None:
    runs = [write_run(tmp_path / name, seed=seed, signal=signal) for name, seed, signal in
            (("a", 0, 1.0), ("b", 1, 2.5), ("c", 2, 0.9))]  # fmt: skip
    # The order of the photos in a table means nothing.
    predictions(runs[1]).sample(frac=1, random_state=0).to_csv(runs[1] / "predictions_test.csv", index=False)
    found = compared(tmp_path, *runs)["differences"]
    assert [(row["run"], row["reference"]) for row in found] == [("b", "a"), ("c", "a")]
    reference = predictions(runs[0])
    clusters = pd.Series(independent_groups(reference), index=reference["photo"])
    expected = [compare_predictions(predictions(run), reference, clusters, resamples=200) for run in runs[1:]]
    for row, direct in zip(found, expected, strict=True):
        area = direct.scores["auroc"]
        mine = row["scores"]["auroc"]
        assert (mine["value"], mine["low"], mine["high"], mine["p"]) == pytest.approx(
            (area.interval.value, area.interval.low, area.interval.high, area.p)
        )
        assert row["delong"]["p"] == pytest.approx(direct.delong.p)
    for tests in ([row["scores"]["auroc"] for row in found], [row["delong"] for row in found]):
        assert [test["p_holm"] for test in tests] == pytest.approx(holm([test["p"] for test in tests]))
    assert found[0]["scores"]["sensitivity"]["value"] == pytest.approx(
        recall_score(reference["label"], predictions(runs[1]).set_index("photo").loc[reference["photo"], "prediction"])
        - recall_score(reference["label"], reference["prediction"])
    )
    assert found[0]["says"].startswith("Run b is better than run a: AUROC")
    text = (tmp_path / "compared" / "compare.md").read_text()
    assert "2 comparisons were made with the reference." in text
    assert "| ≤ 0.010 | ≤ 0.020 |" in text, "200 draws allow no p below 2 / 201"


def test_the_reference_can_be_named_by_name_and_by_folder(tmp_path: Path, write_run: WriteRun) -> None:
    runs = [write_run(tmp_path / name, seed=seed) for seed, name in enumerate("ab")]
    for named in ("b", str(runs[1])):
        found = compared(tmp_path, *runs, reference=named)
        assert (found["reference"], found["runs"][0]["name"]) == ("b", "b")
        assert [row["run"] for row in found["differences"]] == ["a"]
    with pytest.raises(UnknownNameError, match=r"Looked for one of the runs, as the reference; found 'z'\."):
        compared(tmp_path, *runs, reference="z")


def test_what_may_be_chance_after_many_comparisons_is_not_claimed(tmp_path: Path, write_run: WriteRun) -> None:
    runs = [write_run(tmp_path / f"{seed:02d}", seed=seed, signal=1.0 + 0.1 * (seed % 3)) for seed in range(12)]
    found = compared(tmp_path, *runs)["differences"]
    claimed = [row for row in found if "is better than" in row["says"] or "is worse than" in row["says"]]
    doubtful = [row for row in claimed if row["scores"]["auroc"]["p_holm"] >= 0.05]
    assert doubtful
    for row in claimed:
        assert ("Allowing for 11 comparisons, this may be chance: p " in row["says"]) == (row in doubtful)


def test_other_photos_are_refused_by_name(tmp_path: Path, write_run: WriteRun) -> None:
    runs = [write_run(tmp_path / "a"), write_run(tmp_path / "b", photos=62), write_run(tmp_path / "c")]
    table = predictions(runs[2])
    table.loc[table["photo"] == "007.png", "label"] = 0
    table.to_csv(runs[2] / "predictions_test.csv", index=False)
    found = compared(tmp_path, *runs)
    refused = {row["run"]: row["refused"] for row in found["differences"]}
    assert "2 predicted by b alone (060.png, 061.png)" in refused["b"]
    assert "1 with another label (007.png)" in refused["c"]
    assert (
        "Not compared, b: Looked for one prediction of each photo by b and by a"
        in (tmp_path / "compared" / "compare.md").read_text()
    )


def test_a_sweep_is_taken_apart_and_shows_what_differs(tmp_path: Path, write_run: WriteRun) -> None:
    sweep = tmp_path / "multiruns" / "sweep"
    job = 0
    for lr in (1e-3, 1e-4):
        for seed in (0, 1, 2):
            write_run(sweep / f"{job}", {"optimizer": {"lr": lr}}, seed=seed, signal=1.0 + 600 * lr)
            job += 1
    write_run(sweep / "10", {"optimizer": {"lr": 1e-5}})
    (sweep / "multirun.yaml").write_text("hydra: {}\n")
    found = compared(tmp_path, sweep)
    assert [run["name"] for run in found["runs"]] == ["0", "1", "2", "3", "4", "5", "10"]
    assert [run["settings"] for run in found["runs"]][3] == {"optimizer.lr": "0.0001", "seed": "0"}
    assert {group["name"]: group["runs"] for group in found["groups"]} == {
        "optimizer.lr=0.001": ["0", "1", "2"],
        "optimizer.lr=0.0001": ["3", "4", "5"],
    }
    (pair,) = found["group_differences"]
    areas = {run["name"]: run["scores"]["auroc"]["value"] for run in found["runs"]}
    one, other = ([areas[name] for name in names] for names in (("3", "4", "5"), ("0", "1", "2")))
    expected = stats.ttest_rel(one, other)
    assert (pair["n"], pair["mean"]) == (3, pytest.approx(np.mean(np.subtract(one, other))))
    assert pair["p"] == pytest.approx(expected.pvalue)
    assert (pair["low"], pair["high"]) == pytest.approx(tuple(expected.confidence_interval()))
    csv = pd.read_csv(tmp_path / "compared" / "compare.csv")
    assert csv["optimizer.lr"].tolist() == [1e-3] * 3 + [1e-4] * 3 + [1e-5]
    assert csv["auroc"].tolist() == pytest.approx(list(areas.values()))


def test_leftovers_are_listed_with_the_reason(tmp_path: Path, write_run: WriteRun) -> None:
    runs = tmp_path / "runs"
    write_run(runs / "good")
    for name in ("killed", "interrupted", "torn", "diverged"):
        write_run(runs / name)
    for name in ("killed", "interrupted"):
        (runs / name / "metrics.json").unlink()
        (runs / name / "metrics.csv").write_text("epoch,val/loss\n0,1\n1,1\n")
    (runs / "killed" / "run.json").write_text('{"status": "running", "sessions": []}')
    (runs / "interrupted" / "run.json").write_text(
        '{"status": "interrupted", "stop_reason": "KeyboardInterrupt", "sessions": []}'
    )
    (runs / "torn" / "metrics.json").write_text('{"test": {"auroc": 0.')
    table = predictions(runs / "diverged").assign(logit=np.inf)
    table.to_csv(runs / "diverged" / "predictions_test.csv", index=False)
    (runs / "failed").mkdir()
    (runs / "failed" / "FAILED.txt").write_text("Looked for weights;\nfound none.\n")
    (runs / "audit").mkdir()
    (runs / "audit" / "config_resolved.yaml").write_text("verb: audit\n")
    (runs / "early" / ".hydra").mkdir(parents=True)
    (runs / "empty").mkdir()
    (runs / "note.txt").write_text("mine")
    found = compared(tmp_path, f"{runs}/*")
    assert [run["name"] for run in found["runs"]] == ["good"]
    reasons = {row["name"]: row["reason"] for row in found["leftovers"]}
    assert reasons.pop("torn").startswith("it cannot be read: JSONDecodeError: ")
    assert reasons == {
        "audit": "a run of audit, which judges no predictions",
        "diverged": "predictions_test.csv holds logits that are not finite: training has diverged",
        "early": "unfinished: it ended before its settings were written",
        "empty": "not a run folder",
        "failed": "failed: Looked for weights; found none.",
        "interrupted": "unfinished: interrupted (KeyboardInterrupt), 2 epochs done",
        "killed": "unfinished: it runs still, or was killed, 2 epochs done",
        "note.txt": "a file, not a run folder",
    }
    assert "failed: Looked for weights; found none." in (tmp_path / "compared" / "compare.md").read_text()
    (runs / "good" / "metrics.json").unlink()
    with pytest.raises(
        NothingToCompareError, match="a run with predictions and scores; found 10 without: audit: a run"
    ):
        compared(tmp_path, f"{runs}/*")
    write_run(runs / "again")
    with pytest.raises(NothingToCompareError, match="found 1 without: failed: failed: Looked"):
        compared(tmp_path, f"{runs}/*", reference="failed")


@pytest.mark.parametrize("named", ["nowhere", "nowhere/*"])
def test_what_leads_to_no_run_is_said(named: str, tmp_path: Path) -> None:
    with pytest.raises(NoRunsError, match=r"Looked for runs at .*nowhere.*; found nothing (there|that matches)"):
        compared(tmp_path, tmp_path / named)


def test_settings_that_cannot_be_are_refused(tmp_path: Path, write_run: WriteRun) -> None:
    run = write_run(tmp_path / "a")
    for name, value, sentence in (
        ("level", 1.0, "level is a share between 0 and 1, not 1.0."),
        ("resamples", 0, "resamples must be at least 1, not 0."),
    ):
        with pytest.raises(ConfigError) as caught:
            compared(tmp_path, run, **{name: value})
        assert str(caught.value) == sentence
    with pytest.raises(ConfigError, match="runs names nothing"):
        compared(tmp_path)
    assert not (tmp_path / "compared").exists()


def test_what_must_be_said_of_a_run_stands_beside_its_numbers(
    tmp_path: Path, write_run: WriteRun, capsys: pytest.CaptureFixture[str]
) -> None:
    stand_in = {"source": "file", "name": None, "file": "mine.pth", "sha256": "cd" * 32}
    runs = [
        write_run(tmp_path / "a", {"data": {"name": "synthetic"}}, warnings=("Random weights, by choice.",)),
        write_run(tmp_path / "b", weights=stand_in, warnings=("Random weights, by choice.",)),
        write_run(tmp_path / "c"),
        write_run(tmp_path / "d"),
    ]
    (runs[2] / "metrics.json").write_text('{"test": {"auroc": 0.99}}')
    (runs[2] / "run.json").write_text((runs[2] / "run.json").read_text().replace("finished", "running"))
    (runs[3] / "decision.json").write_text('{"notes": ["No threshold reaches the rule."]}')
    found = {run["name"]: run for run in compared(tmp_path, *runs)["runs"]}
    assert found["a"]["warnings"] == [
        "The photographs are drawn: the scores say nothing about real ones.",
        "Random weights, by choice.",
    ]
    weights = "mine.pth, SHA-256 cdcdcdcdcdcd"
    assert found["b"]["warnings"][0] == f"Weights from a file ({weights}): the scores say nothing about other weights."
    assert (found["b"]["weights"], found["c"]["weights"]) == (weights, "IMAGENET1K_V1")
    assert found["c"]["warnings"][0] == "The run has not come to its end, though to its scores."
    assert found["c"]["warnings"][1].startswith("Its metrics.json says AUROC 0.9900, its predictions give 0.")
    assert found["d"]["warnings"] == ["No threshold reaches the rule."]
    page = (tmp_path / "compared" / "compare.html").read_text()
    assert "<li><strong>b:</strong> Random weights, by choice. (a, b)</li>" in page
    rows = re.findall(r'<th scope="row">([abcd])(?: \(reference\))?</th><td>[^<]*</td><td>([a-z,]+)</td>', page)
    assert dict(rows) == {"a": "a,b", "b": "b,c", "c": "d,e", "d": "f"}
    printed = capsys.readouterr().out
    assert "Warning b: Random weights, by choice. (a, b)" in printed


def write_crossval(cv: Path, write_run: WriteRun, *, signal: float = 1.0, knows_splits: bool = True) -> pd.DataFrame:
    """Writes two repeats of two folds of 60 photos, and returns the pooled predictions."""
    tables = []
    (cv / "splits").mkdir(parents=True)
    for repeat in (0, 1):
        for number in (0, 1):
            name = f"repeat-{repeat}_fold-{number}"
            split_file = cv / "splits" / f"{name}.csv"
            settings = {"split": {"file": str(split_file)}, "optimizer": {"lr": signal}}
            # By a seed of its own, so that folds differ.
            fold = write_run(
                cv / "folds" / name, settings, seed=10 * repeat + number, signal=signal, warnings=(f"fold {number}",)
            )
            everyone = predictions(fold)
            is_tested = everyone.index // 30 == number
            if knows_splits:
                splits = everyone.assign(
                    split=np.where(is_tested, "test", np.where(everyone.index % 5, "train", "val"))
                )
                for file in (split_file, fold / "splits.csv"):
                    splits[["photo", "split"]].to_csv(file, index=False)
            table = everyone[is_tested]
            table.to_csv(fold / "predictions_test.csv", index=False)
            area = roc_auc_score(table["label"], table["logit"])
            (fold / "metrics.json").write_text(json.dumps({"test": {"auroc": area}}))
            tables.append(table.assign(repeat=repeat, fold=name))
    cfg = {"verb": "crossval", "seed": 0, "folds": 2, "repeats": 2, "data": {"name": "set"}}
    (cv / "config_resolved.yaml").write_text(OmegaConf.to_yaml(OmegaConf.create(cfg)))
    pooled = pd.concat(tables)
    pooled.to_csv(cv / "predictions.csv", index=False)
    (cv / "metrics.json").write_text('{"pooled": {}}')
    return pooled


def fold_areas(pooled: pd.DataFrame) -> list[float]:
    return [roc_auc_score(table["label"], table["logit"]) for _, table in pooled.groupby("fold", sort=False)]


def corrected_test(values: Any) -> tuple[float, float, float]:
    """Interval and p of four values over folds, of which each judges as many photos as made its model."""
    mean, error = np.mean(values), np.std(values, ddof=1) * (1 / 4 + 1) ** 0.5
    low, high = stats.t.interval(0.95, 3, mean, error)
    return low, high, 2 * stats.t.sf(abs(mean) / error, 3)


def test_a_cross_validation_is_one_run_and_its_folds(tmp_path: Path, write_run: WriteRun) -> None:
    cv = tmp_path / "crossval" / "cv"
    pooled = write_crossval(cv, write_run)
    found = compared(tmp_path, cv)
    (row,) = found["runs"]
    photos = pooled.groupby("photo").agg(
        label=("label", "first"), logit=("logit", "mean"), called=("prediction", "mean")
    )
    assert (row["kind"], row["n"]) == ("cross-validation", 60)
    assert row["scores"]["auroc"]["value"] == pytest.approx(roc_auc_score(photos["label"], photos["logit"]))
    # Where one of two models calls a photo anaemic, it counts as anaemic.
    majority = (photos["called"] >= 0.5).astype(int)
    assert row["scores"]["acc"]["value"] == pytest.approx(accuracy_score(photos["label"], majority))
    assert row["warnings"] == ["fold 0", "fold 1"]
    (folds,) = found["folds"]
    areas = fold_areas(pooled)
    assert (folds["scores"]["auroc"]["n"], folds["scores"]["auroc"]["mean"]) == (4, pytest.approx(np.mean(areas)))
    expected = corrected_test(areas)
    assert [folds["scores"]["auroc"][key] for key in ("low", "high")] == pytest.approx(expected[:2])
    assert (folds["scores"]["auroc"]["method"], folds["note"]) == (CORRECTED, "")
    # Named one by one, folds are runs of one recipe on photos of their own.
    (group,) = compared(tmp_path, f"{cv}/folds/*")["groups"]
    assert (group["differ_in"], len(group["runs"])) == (["seed", "fold", "test photos"], 4)
    found = group["scores"]["auroc"]
    assert (found["mean"], found["low"], found["high"]) == pytest.approx((np.mean(areas), *expected[:2]))


def test_recipes_are_compared_over_folds_as_these_share_photos(tmp_path: Path, write_run: WriteRun) -> None:
    one, other = (write_crossval(tmp_path / name, write_run, signal=signal) for name, signal in (("a", 0.5), ("b", 2)))
    (pair,) = compared(tmp_path, tmp_path / "a/folds/*", tmp_path / "b/folds/*")["group_differences"]
    gaps = np.subtract(fold_areas(other), fold_areas(one))
    assert (pair["n"], pair["method"], pair["note"]) == (4, CORRECTED, "")
    assert (pair["low"], pair["high"], pair["p"]) == pytest.approx(corrected_test(gaps))
    assert pair["p"] > stats.ttest_1samp(gaps, 0).pvalue
    assert "corrected resampled t-test of Nadeau" in (tmp_path / "compared" / "compare.md").read_text()


def test_over_folds_of_unknown_splits_there_is_an_interval_and_no_p(
    tmp_path: Path, write_run: WriteRun, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, signal in (("a", 0.5), ("b", 2.0)):
        write_crossval(tmp_path / name, write_run, signal=signal, knows_splits=False)
    found = compared(tmp_path, tmp_path / "a/folds/*", tmp_path / "b/folds/*", tmp_path / "a")
    (pair,) = found["group_differences"]
    assert (pair["n"], pair["p"], pair["p_holm"]) == (4, None, None)
    assert pair["low"] < pair["mean"] < pair["high"]
    note = "no p, and the interval is too narrow: the runs are of several divisions of the photos"
    for row in (pair, *found["groups"], *found["folds"]):
        assert row["note"].startswith(note)
    assert (tmp_path / "compared" / "compare.md").read_text().count(note) == 4
    assert "no p, and the interval is too narrow" in " ".join(capsys.readouterr().out.split())


def test_an_unfinished_cross_validation_says_which_folds_can_be_compared(tmp_path: Path, write_run: WriteRun) -> None:
    cv = tmp_path / "cv"
    write_run(cv / "folds" / "one")
    (cv / "splits").mkdir()
    for name in ("one", "two"):
        (cv / "splits" / f"{name}.csv").write_text("photo\n")
    (cv / "config_resolved.yaml").write_text("verb: crossval\n")
    with pytest.raises(NothingToCompareError, match=r"1 of 2 folds are done; compare its finished folds with 'runs="):
        compared(tmp_path, cv)


def record_evaluation(folder: Path, trained: Path, **more: object) -> Path:
    """Writes the record that an evaluation of a training run leaves."""
    (folder / "run.json").write_text(json.dumps({"evaluated": str(trained), "sessions": [], **more}))
    return folder


def test_evaluations_are_told_apart_by_the_training_behind_them(tmp_path: Path, write_run: WriteRun) -> None:
    evaluations = []
    for seed in (0, 1):
        trained = write_run(tmp_path / "train" / f"{seed}", seed=seed, warnings=("A word of caution.",))
        judged = write_run(tmp_path / "evaluate" / f"{seed}", seed=seed)
        (judged / "config_resolved.yaml").unlink()
        record_evaluation(judged, trained)
        (judged / ".hydra").mkdir()
        (judged / ".hydra" / "config.yaml").write_text("verb: evaluate\nckpt: best.ckpt\ndata:\n  name: other\n")
        evaluations.append(judged)
    found = compared(tmp_path, *evaluations)
    assert [run["kind"] for run in found["runs"]] == ["evaluation", "evaluation"]
    assert all(run["warnings"] == ["A word of caution."] for run in found["runs"])
    assert [(group["differ_in"], group["note"]) for group in found["groups"]] == [(["seed"], "")]
    (tmp_path / "train").rename(tmp_path / "moved")
    lost = compared(tmp_path, *evaluations)
    assert lost["runs"][0]["warnings"] == [
        "Nothing is known of the training behind this: its run.json cannot be found any more."
    ]
    (group,) = lost["groups"]
    assert group["note"].startswith("no p, and the interval is too narrow: ")


def test_an_evaluation_is_another_recipe_than_its_training(tmp_path: Path, write_run: WriteRun) -> None:
    trained = write_run(tmp_path / "a", {"evaluation": {"threshold": "youden"}})
    evaluation = {"verb": "evaluate", "run": str(trained), "evaluation": {"threshold": None}}
    judged = record_evaluation(write_run(tmp_path / "b", evaluation, seed=1), trained)
    found = compared(tmp_path, trained, judged)
    assert found["groups"] == []
    assert [run["kind"] for run in found["runs"]] == ["training", "evaluation"]
    # What an evaluation has besides is no setting in which the two differ.
    assert [run["settings"] for run in found["runs"]] == [{}, {}]


def test_what_an_evaluation_left_open_is_read_from_its_record(tmp_path: Path, write_run: WriteRun) -> None:
    trained = write_run(tmp_path / "a", {"evaluation": {"pooling": "max"}})
    evaluation = {"verb": "evaluate", "ckpt": f"{trained}/checkpoints/best.ckpt", "evaluation": {"pooling": None}}
    judged = []
    for name in ("mean", "max"):
        folder = write_run(tmp_path / name, evaluation)
        judged.append(record_evaluation(folder, trained, evaluation={"pooling": name, "threshold": None}))
    found = compared(tmp_path, *judged)
    assert [run["settings"] for run in found["runs"]] == [{"evaluation.pooling": name} for name in ("mean", "max")]


def test_what_an_evaluation_of_drawn_photos_says(tmp_path: Path, write_run: WriteRun) -> None:
    trained = write_run(tmp_path / "a", {"data": {"name": "synthetic"}})
    judged = write_run(tmp_path / "b", {"verb": "evaluate", "run": str(trained), "data": None})
    record_evaluation(judged, trained)
    (run,) = compared(tmp_path, judged)["runs"]
    assert run["warnings"] == ["The photographs are drawn: the scores say nothing about real ones."]


def test_seeds_that_the_protocol_has_are_known() -> None:
    cfg = compose("train")
    seeds = {key for key in flat_settings(cfg) if key.endswith("seed") and not key.startswith("data.source.")}
    # With another drawing seed the photographs are others, and so it is no repetition.
    assert seeds - {"data.drawing_seed"} == set(SEEDS)
    assert [OmegaConf.select(cfg, key) for key in SEEDS] == [0] * len(SEEDS)


def test_names_are_taken_literally(tmp_path: Path, write_run: WriteRun) -> None:
    attack = "<b>bold|name"
    runs = [
        write_run(tmp_path / "runs" / attack, {"model": {"x": "<i>"}}, warnings=("<u>",)),
        write_run(tmp_path / "z"),
    ]
    compared(tmp_path, *runs)
    page = (tmp_path / "compared" / "compare.html").read_text()
    assert not re.search("<b>|<i>|<u>", page)
    assert "&lt;b&gt;bold|name" in page
    text = (tmp_path / "compared" / "compare.md").read_text()
    assert r"\<b\>bold\|name" in text
    assert "<b>" not in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in rows[:4]}) == 1


def test_everything_is_drawn_and_nothing_comes_from_elsewhere(tmp_path: Path, write_run: WriteRun) -> None:
    compared(tmp_path, write_run(tmp_path / "a"), write_run(tmp_path / "b", photos=62))
    page = (tmp_path / "compared" / "compare.html").read_text()
    pictures = re.findall('data:image/png;base64,([^"]*)', page)
    assert [base64.b64decode(picture)[1:4] for picture in pictures] == [b"PNG", b"PNG"]
    assert not re.search(r"<script|https?://", page)
    assert (tmp_path / "compared").stat().st_mode & 0o777 == 0o700
