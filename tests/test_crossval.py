"""Cross-validation as users run it: folds that do not leak, scores of photos that no model saw, resumption."""

import io
import json
import shutil
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from omegaconf import DictConfig
from PIL import Image, ImageOps
from scipy.special import expit, logit
from sklearn.metrics import recall_score, roc_auc_score

from anemia_lightning import wiring
from anemia_lightning.command_line.resuming import continue_overrides
from anemia_lightning.command_line.settings import compose
from anemia_lightning.command_line.settings_check import check_settings
from anemia_lightning.crossvalidating import cross_validation
from anemia_lightning.crossvalidating.cross_validation import CrossvalResult, cross_validate
from anemia_lightning.errors import (
    CheckpointUnreadableError,
    ConfigError,
    DataChangedError,
    SettingsChangedError,
    StartOverlapError,
    UnfinishedRunError,
)
from anemia_lightning.evaluating.evaluation import evaluate_run
from anemia_lightning.evaluating.prediction import find_checkpoints, predict_source
from anemia_lightning.files.checkpoint_file import read_checkpoint
from anemia_lightning.files.run_folder import RunFolder, read_table
from anemia_lightning.fitting.training import train_run
from anemia_lightning.metrics.decision import Decision

pytestmark = pytest.mark.usefixtures("thin_networks")

Compose = Callable[..., DictConfig]

SHARES = "split.fractions={train: 0.5, val: 0.3, test: 0.2}"
"""Validation photos enough to calibrate."""


@pytest.fixture(scope="module")
def compose_crossval(tiny_overrides: list[str]) -> Compose:
    def compose_tiny(run_dir: Path, *overrides: str) -> DictConfig:
        quick = ["trainer.max_epochs=1", "callbacks.unfreeze.phases=[]", "folds=3", f"paths.root={run_dir.parent}"]
        quick += [SHARES, "evaluation.calibration=platt"]
        return compose("crossval", [*tiny_overrides, *quick, *overrides], run_dir=run_dir)

    return compose_tiny


@pytest.fixture(scope="module")
def finished(compose_crossval: Compose, tmp_path_factory: pytest.TempPathFactory) -> CrossvalResult:
    folder = tmp_path_factory.mktemp("cv")
    return cross_validate(compose_crossval(folder / "run", f"paths.cache={folder}/cache"))


def decision_of(folder: RunFolder) -> Decision:
    return Decision.from_dict(json.loads(folder.decision.read_text()))


def fold_names(result: CrossvalResult) -> list[str]:
    return sorted(path.stem for path in (result.folder / "splits").iterdir())


def test_each_photo_is_scored_once_by_a_model_that_saw_neither_it_nor_its_patient(finished: CrossvalResult) -> None:
    assert finished.predictions["photo"].nunique() == len(finished.predictions) == 48
    for name in fold_names(finished):
        splits = pd.read_csv(finished.folder / "splits" / f"{name}.csv", dtype=str)
        scored = finished.predictions[finished.predictions["fold"] == name]
        assert set(scored["photo"]) == set(splits.loc[splits["split"] == "test", "photo"])
        for column in ("patient", "photo_group"):
            assert splits.groupby(column)["split"].nunique().eq(1).all()
        run = pd.read_csv(finished.folder / "folds" / name / "splits.csv", dtype=str).set_index("photo")
        assert run["split"].to_dict() == splits.set_index("photo")["split"].to_dict()


def test_folds_compute_each_view_of_a_photo_once(finished: CrossvalResult) -> None:
    cards = [json.loads((finished.folder / "folds" / name / "run.json").read_text()) for name in fold_names(finished)]
    computed = [card["features"]["trunk_images"] for card in cards]
    photos = [card["data"]["photos"] for card in cards]
    assert computed[0] == photos[0]["train"] + photos[0]["val"]
    assert sum(each["train"] for each in photos) > 48
    # Of each photo one augmented view, and the image itself where it validates or tests.
    assert computed[0] < sum(computed) <= 48 + 48


def test_pooled_scores_are_those_of_all_predictions(finished: CrossvalResult) -> None:
    scores = json.loads((finished.folder / "metrics.json").read_text())
    table = pd.read_csv(finished.folder / "predictions.csv")
    pooled = scores["pooled"]
    assert pooled["n"] == 48
    assert pooled["auroc"] == pytest.approx(roc_auc_score(table["label"], table["logit"]))
    low, high = pooled["auroc_interval"]
    assert low <= pooled["auroc"] <= high
    assert list(scores["folds"]) == fold_names(finished)
    for name, found in scores["folds"].items():
        rows = table[table["fold"] == name]
        assert found["auroc"] == pytest.approx(roc_auc_score(rows["label"], rows["logit"]))


def test_each_fold_decides_by_what_its_own_validation_photos_chose(finished: CrossvalResult) -> None:
    decisions = []
    for name, rows in finished.predictions.groupby("fold"):
        decision = decision_of(RunFolder(finished.folder / "folds" / str(name)))
        assert rows["probability"].to_numpy() == pytest.approx(decision.probability(rows["logit"]), rel=1e-6)
        assert (rows["prediction"] == decision.decide(rows["probability"])).all()
        decisions.append((decision.threshold.value, decision.scaling.slope))
    assert len(set(decisions)) == 3
    table, pooled = finished.predictions, finished.scores["pooled"]
    assert pooled["sensitivity"] == recall_score(table["label"], table["prediction"])
    assert pooled["specificity"] == recall_score(table["label"], table["prediction"], pos_label=0)


@pytest.fixture(scope="module")
def again(finished: CrossvalResult, compose_crossval: Compose) -> tuple[CrossvalResult, str]:
    """The same once more, which trains no fold, and what it said."""
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(io.StringIO()) as said:
        patch.setattr("anemia_lightning.fitting.training.train_run", pytest.fail)
        return cross_validate(compose_crossval(finished.folder)), said.getvalue()


def test_what_a_fold_could_not_do_is_said(finished: CrossvalResult, again: tuple[CrossvalResult, str]) -> None:
    _, said = again
    for name in fold_names(finished):
        for note in decision_of(RunFolder(finished.folder / "folds" / name)).notes:
            assert f"Note: {name}: {note}" in said
    assert "Conformal sets: " in said, "so few photos are too few for sets"
    assert said.count("\nWarning: The network starts from random weights, by choice") == 1, "at the end, of all folds"


def test_baselines_judge_the_same_photos(finished: CrossvalResult) -> None:
    table = pd.read_csv(finished.folder / "baseline_predictions.csv")
    assert set(table["photo"]) == set(finished.predictions["photo"])
    found = finished.scores["baselines"]
    assert finished.scores["pooled"]["prevalence"] == finished.predictions["label"].mean()
    forest = found["colour statistics, forest"]
    assert forest["auroc"] == pytest.approx(roc_auc_score(table["label"], table["colour statistics, forest"]))
    assert "prevalence" not in found, "which pooled tells folds apart and not people"
    assert "are left out" in (finished.folder / "report.html").read_text()
    low, high = forest["network_minus_this_interval"]
    assert low <= forest["network_minus_this"] <= high


def test_a_finished_fold_is_not_trained_again(finished: CrossvalResult, again: tuple[CrossvalResult, str]) -> None:
    result, _ = again
    pd.testing.assert_frame_equal(result.predictions, finished.predictions)
    assert result.scores == finished.scores


@pytest.mark.slow
def test_folds_that_are_missing_come_out_alike(
    finished: CrossvalResult, compose_crossval: Compose, tmp_path: Path
) -> None:
    cfg = compose_crossval(tmp_path / "run")
    from anemia_lightning.fitting import training

    whole = training.train_run
    done: list[Any] = []

    def train_two(cfg: DictConfig, **options: Any) -> Any:
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(whole(cfg, **options))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "train_run", train_two)
        with pytest.raises(KeyboardInterrupt):
            cross_validate(cfg)
    assert len(done) == 2
    resumed = cross_validate(compose_crossval(tmp_path / "run"))
    pd.testing.assert_frame_equal(resumed.predictions, finished.predictions)


def test_resuming_with_other_photos_is_refused(
    finished: CrossvalResult, compose_crossval: Compose, tmp_path: Path
) -> None:
    (tmp_path / "run" / "splits").mkdir(parents=True)
    name = fold_names(finished)[0]
    (tmp_path / "run" / "splits" / f"{name}.csv").write_text("photo,split\nanother,train\n")
    with pytest.raises(DataChangedError, match="of run below the data of this cross-validation; found others"):
        cross_validate(compose_crossval(tmp_path / "run"))


@pytest.mark.parametrize(
    "changed",
    [
        ("trainer.max_epochs=2",),
        ("optimizer.lr=0.5", "seed=1"),
        ("model.weights=nowhere.pth",),
        ("trainer.precision=64-true",),
        ("evaluation.threshold=0.4",),
        ("folds=4",),
    ],
)
def test_resuming_with_settings_by_which_folds_would_differ_is_refused(
    finished: CrossvalResult, compose_crossval: Compose, changed: tuple[str, ...]
) -> None:
    recorded = RunFolder(finished.folder).settings.read_text()
    with pytest.raises(SettingsChangedError) as caught:
        cross_validate(compose_crossval(finished.folder, *changed))
    assert sorted(caught.value.changed) == sorted(each.partition("=")[0] for each in changed)
    assert RunFolder(finished.folder).settings.read_text() == recorded


def test_what_changes_no_score_may_change_where_a_cross_validation_goes_on(
    finished: CrossvalResult, compose_crossval: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(finished.folder, tmp_path / "moved")
    monkeypatch.setattr("anemia_lightning.fitting.training.train_run", pytest.fail)
    harmless = ["jobs=2", "resume=last", "evaluation.resamples=100", "evaluation.pooling=max", "data.num_workers=1"]
    harmless += ["trainer.accelerator=auto", "trainer.accumulate_grad_batches=2", "paths.cache=null", "logger=none"]
    result = cross_validate(compose_crossval(tmp_path / "moved", *harmless))
    pd.testing.assert_frame_equal(result.predictions, finished.predictions)


def test_all_folds_have_the_precision_of_the_first_whatever_machine_goes_on(
    compose_crossval: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(cfg: DictConfig, *_: object, **__: object) -> None:
        assert cfg.trainer.precision == "bf16-mixed"
        raise KeyboardInterrupt

    monkeypatch.setattr(wiring, "_cpu_has_bf16", lambda: False)
    monkeypatch.setattr(cross_validation, "begun_precision", lambda _: "bf16-mixed")
    monkeypatch.setattr(cross_validation, "run_folds", stop)
    with pytest.raises(KeyboardInterrupt):
        cross_validate(compose_crossval(tmp_path / "run", "trainer.precision=auto"))
    assert "precision: auto" in (tmp_path / "run" / "config_resolved.yaml").read_text(), "so that it can go on again"


def test_finished_folds_of_photos_that_have_changed_since_are_not_pooled_with_others(
    finished: CrossvalResult, compose_crossval: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("anemia_lightning.fitting.training.train_run", pytest.fail)
    folder = shutil.copytree(finished.folder, tmp_path / "run")
    card = folder / "folds" / fold_names(finished)[0] / "run.json"
    content = json.loads(card.read_text())
    # As if a photograph had been exported anew under its name, which the tables of the folds do not show.
    content["data"]["sha256"] = "0" * 64
    card.write_text(json.dumps(content))
    with pytest.raises(DataChangedError, match="ids, labels, patients or contents differ"):
        cross_validate(compose_crossval(folder))


def test_a_start_that_has_met_the_photos_is_refused_before_anything_is_written(
    finished: CrossvalResult, compose_crossval: Compose, tmp_path: Path
) -> None:
    start = finished.folder / "folds" / fold_names(finished)[0] / "checkpoints" / "best.ckpt"
    with pytest.raises(StartOverlapError, match=r"for test photographs that are new to .*best\.ckpt"):
        cross_validate(compose_crossval(tmp_path / "run", f"init_from={start}"))
    assert not list((tmp_path / "run").iterdir())


def test_labels_and_photos_of_the_held_out_fold_change_neither_weights_nor_decision(
    finished: CrossvalResult, tiny_overrides: list[str], tmp_path: Path
) -> None:
    name = fold_names(finished)[0]
    held_out = pd.read_csv(finished.folder / "splits" / f"{name}.csv").query("split == 'test'")["photo"]
    root = Path(next(each for each in tiny_overrides if each.startswith("data.root=")).removeprefix("data.root="))
    drawn = shutil.copytree(next(root.glob("separation-*")), tmp_path / "drawn")
    rows = pd.read_csv(drawn / "manifest.csv")
    is_held_out = rows["photo"].isin(held_out)
    assert 0 < rows.loc[is_held_out, "label"].mean() < 1
    rows = rows.assign(split=np.where(is_held_out, "test", "train"))

    def train(case: str, table: pd.DataFrame) -> tuple[Any, str, pd.DataFrame]:
        table[["path", "label", "patient", "split"]].to_csv(tmp_path / f"{case}.csv", index=False)
        theirs = ("data.root=", "data.patients", "data.photos")
        settings = [each for each in tiny_overrides if not each.startswith(theirs)]
        settings += ["data=table", f"data.root={drawn}", f"data.table={tmp_path / case}.csv", "data.columns.photo=path"]
        settings += ["trainer.max_epochs=1", "callbacks.unfreeze.phases=[]", f"paths.root={tmp_path}", SHARES]
        run = RunFolder(train_run(compose("train", settings, run_dir=tmp_path / case)).folder)
        return read_checkpoint(run.best), run.decision.read_text(), read_table(run.predictions("test"))

    checkpoint, decision, before = train("as_drawn", rows)
    flipped = rows.assign(label=rows["label"].where(~is_held_out, 1 - rows["label"]))
    for path in rows.loc[is_held_out, "path"]:
        with Image.open(drawn / path) as photo:
            ImageOps.invert(photo.convert("RGB")).save(drawn / path)
    other, decision_then, after = train("flipped_and_inverted", flipped)
    assert (before["label"] != after["label"]).all()
    assert (before["logit"] != after["logit"]).all()
    for key, value in checkpoint["state_dict"].items():
        assert torch.equal(value, other["state_dict"][key])
    assert decision == decision_then
    assert checkpoint["hyper_parameters"]["decision"] == other["hyper_parameters"]["decision"]


@pytest.mark.slow
def test_sites_are_left_out_one_by_one(compose_crossval: Compose, tmp_path: Path) -> None:
    result = cross_validate(compose_crossval(tmp_path / "run", "leave_out=site"))
    assert all(name.startswith("site-") for name in fold_names(result))
    for _, rows in result.predictions.groupby("fold"):
        assert rows["site"].nunique() == 1
    assert "site" not in result.scores["baselines"]
    assert "not people: prevalence, site." in (result.folder / "report.html").read_text()


@pytest.mark.slow
@pytest.mark.usefixtures("real_networks")
def test_side_by_side_and_one_by_one_agree(compose_crossval: Compose, tmp_path: Path) -> None:
    # In processes of their own networks are not thin.
    alone = cross_validate(compose_crossval(tmp_path / "alone"))
    beside = cross_validate(compose_crossval(tmp_path / "run", "jobs=2"))
    pd.testing.assert_frame_equal(beside.predictions, alone.predictions)
    assert (tmp_path / "run" / "folds" / fold_names(beside)[0] / "fold.log").read_text()


@pytest.fixture(scope="module")
def looked(
    finished: CrossvalResult, compose_crossval: Compose, tmp_path_factory: pytest.TempPathFactory
) -> CrossvalResult:
    """The same with a closer look at some photos."""
    folder = shutil.copytree(finished.folder, tmp_path_factory.mktemp("looked") / "run")
    return cross_validate(compose_crossval(folder, "evaluation.probe_photos=8"))


def test_photos_of_all_folds_are_looked_at_together(finished: CrossvalResult, looked: CrossvalResult) -> None:
    result = looked
    values = json.loads((result.folder / "looks.json").read_text())
    assert (values["photos"]["drawn"], values["photos"]["of"]) == (8, 48)
    wrong = result.predictions["prediction"] != result.predictions["label"]
    assert values["photos"]["errors"] == int(wrong.sum())
    assert {row["n"] for row in values["robustness"]} == {8}
    page = (result.folder / "report.html").read_text()
    assert "What it looks at" in page
    assert "Decisions flipped" in page
    assert not list((result.folder / "folds").rglob("looks.json"))
    assert not (finished.folder / "looks.json").exists()


def test_folds_without_checkpoints_are_pooled_and_not_looked_at(
    finished: CrossvalResult, compose_crossval: Compose, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = shutil.copytree(finished.folder, tmp_path / "run")
    name = fold_names(finished)[-1]
    # As callbacks=none leaves a fold.
    shutil.rmtree(folder / "folds" / name / "checkpoints")
    result = cross_validate(compose_crossval(folder, "evaluation.probe_photos=8"))
    assert result.scores == finished.scores
    assert not (folder / "looks.json").exists()
    sentence = "No photo could be looked at closely: 1 of 3 folds kept no best.ckpt."
    assert f"\nNote: {sentence}\n" in capsys.readouterr().out
    assert sentence in (folder / "report.html").read_text()


def test_no_look_of_before_stays_where_none_is_made(
    looked: CrossvalResult, compose_crossval: Compose, tmp_path: Path
) -> None:
    folder = shutil.copytree(looked.folder, tmp_path / "run")
    cross_validate(compose_crossval(folder))
    for name in ("looks.json", "plots/robustness.png"):
        assert (looked.folder / name).is_file()
        assert not (folder / name).exists()
    assert "Decisions flipped" not in (folder / "report.html").read_text()


def test_all_folds_predict_together(finished: CrossvalResult, drawn_photos: Path, tmp_path: Path) -> None:
    (drawn,) = drawn_photos.glob("separation-*")

    def predict(ckpt: Path, name: str) -> pd.DataFrame:
        cfg = compose(
            "predict",
            [f"ckpt={ckpt}", f"source={drawn}", "trainer=cpu", "trainer.precision=32-true"],
            run_dir=tmp_path / name,
        )
        return predict_source(cfg)

    together = predict(finished.folder, "all")
    single = [
        predict(finished.folder / "folds" / name / "checkpoints" / "best.ckpt", name) for name in fold_names(finished)
    ]
    mean = np.mean([table["logit"] for table in single], axis=0)
    assert together["logit"].to_numpy() == pytest.approx(mean, rel=1e-6)
    # Each fold's probability is calibrated before the mean of its log-odds is taken.
    calibrated = np.mean([logit(table["probability"]) for table in single], axis=0)
    assert together["probability"].to_numpy() == pytest.approx(expit(calibrated), abs=1e-5)
    decisions = [decision_of(RunFolder(finished.folder / "folds" / name)) for name in fold_names(finished)]
    threshold = np.mean([decision.threshold.value for decision in decisions])
    assert (together["prediction"] == (together["probability"] >= threshold)).all()
    assert 0 < together["prediction"].sum() < len(together)


def test_an_unfinished_cross_validation_cannot_predict(tmp_path: Path) -> None:
    (tmp_path / "splits").mkdir()
    (tmp_path / "splits" / "repeat-0_fold-0.csv").write_text("photo,split\n")
    with pytest.raises(UnfinishedRunError, match=r"found no end of repeat-0_fold-0\. Finish it with resume="):
        find_checkpoints(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["splits"]
    (tmp_path / "splits" / "repeat-0_fold-0.csv").unlink()
    with pytest.raises(CheckpointUnreadableError, match="no file there"):
        find_checkpoints(tmp_path)


def test_a_fold_that_has_a_best_model_already_is_not_finished(finished: CrossvalResult, tmp_path: Path) -> None:
    run = shutil.copytree(finished.folder, tmp_path / "run")
    assert [path.name for path in find_checkpoints(run)] == ["best.ckpt"] * 3
    last = run / "folds" / fold_names(finished)[-1]
    card = last / "run.json"
    # Continued since it ended, and stopped again.
    card.write_text(card.read_text().replace('"status": "finished"', '"status": "interrupted"'))
    with pytest.raises(UnfinishedRunError) as caught:
        find_checkpoints(run)
    assert caught.value.unfinished == [last]
    shutil.copy(finished.folder / "folds" / last.name / "run.json", card)
    (last / "report.html").unlink()
    with pytest.raises(UnfinishedRunError) as caught:
        find_checkpoints(run)
    assert caught.value.unfinished == [last]
    # Of a fold, it is the cross-validation that can be finished.
    with pytest.raises(UnfinishedRunError, match=f"no end of {last.name}. Finish it with resume={run}, "):
        evaluate_run(compose("evaluate", [f"run={last}"], run_dir=tmp_path / "evaluated"))


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("folds=1", "folds must be at least 2, not 1."),
        ("repeats=0", "repeats must be at least 1, not 0."),
        ("jobs=0", "jobs must be at least 1, not 0."),
        ("split.file=a.csv", "crossval deals the photos to folds itself: leave split.file empty."),
    ],
)
def test_settings_that_cannot_be_are_refused(override: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        check_settings(compose("crossval", [override]))


def test_resume_takes_up_the_command_line_of_the_cross_validation(tmp_path: Path) -> None:
    folder = tmp_path / "logs" / "crossval" / "runs" / "one"
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra" / "overrides.yaml").write_text("- folds=3\n")
    (folder.parent.parent / "latest").symlink_to("runs/one")
    overrides = continue_overrides(["resume=last", f"paths.root={tmp_path}"], verb="crossval")
    assert overrides[0] == "folds=3"
    assert overrides[-1] == f"hydra.run.dir='{folder}'"
