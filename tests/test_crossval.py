"""Cross-validation as users run it: folds that do not leak, scores of photos that no model saw, resumption."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from omegaconf import DictConfig
from sklearn.metrics import roc_auc_score

from anemia_lightning.callbacks.checkpoint import read_checkpoint
from anemia_lightning.cross_validation import CrossvalResult, cross_validate
from anemia_lightning.errors import CheckpointUnreadableError, ConfigError, DataChangedError
from anemia_lightning.evaluation import load_classifier
from anemia_lightning.fold_scores import read_predictions
from anemia_lightning.prediction import find_checkpoints, predict_source
from anemia_lightning.resuming import continue_overrides
from anemia_lightning.run_folder import RunFolder
from anemia_lightning.settings import compose
from anemia_lightning.settings_check import check_settings

Compose = Callable[..., DictConfig]


@pytest.fixture(scope="module")
def compose_crossval(tiny_overrides: list[str]) -> Compose:
    def compose_tiny(run_dir: Path, *overrides: str) -> DictConfig:
        quick = ["trainer.max_epochs=1", "callbacks.unfreeze.phases=[]", "folds=3", f"paths.root={run_dir.parent}"]
        return compose("crossval", [*tiny_overrides, *quick, *overrides], run_dir=run_dir)

    return compose_tiny


@pytest.fixture(scope="module")
def finished(compose_crossval: Compose, tmp_path_factory: pytest.TempPathFactory) -> CrossvalResult:
    return cross_validate(compose_crossval(tmp_path_factory.mktemp("cv") / "run"))


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


def test_baselines_judge_the_same_photos(finished: CrossvalResult) -> None:
    table = pd.read_csv(finished.folder / "baseline_predictions.csv")
    assert set(table["photo"]) == set(finished.predictions["photo"])
    found = finished.scores["baselines"]
    assert finished.scores["pooled"]["prevalence"] == finished.predictions["label"].mean()
    forest = found["colour statistics, forest"]
    assert forest["auroc"] == pytest.approx(roc_auc_score(table["label"], table["colour statistics, forest"]))
    low, high = forest["network_minus_this_interval"]
    assert low <= forest["network_minus_this"] <= high


def test_a_finished_fold_is_not_trained_again(
    finished: CrossvalResult, compose_crossval: Compose, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("anemia_lightning.training.train_run", pytest.fail)
    again = cross_validate(compose_crossval(finished.folder))
    pd.testing.assert_frame_equal(again.predictions, finished.predictions)
    assert again.scores == finished.scores


def test_folds_that_are_missing_come_out_alike(
    finished: CrossvalResult, compose_crossval: Compose, tmp_path: Path
) -> None:
    cfg = compose_crossval(tmp_path / "run")
    from anemia_lightning import training

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
    with pytest.raises(DataChangedError):
        cross_validate(compose_crossval(tmp_path / "run"))


def test_the_labels_of_the_held_out_fold_change_no_weight(
    finished: CrossvalResult, tiny_overrides: list[str], tmp_path: Path
) -> None:
    from anemia_lightning.data.sources.table import read_table
    from anemia_lightning.training import train_run

    del read_table
    name = fold_names(finished)[0]
    held_out = pd.read_csv(finished.folder / "splits" / f"{name}.csv").query("split == 'test'")["photo"]
    root = Path(next(each for each in tiny_overrides if each.startswith("data.root=")).removeprefix("data.root="))
    (drawn,) = root.glob("separation-*")
    rows = pd.read_csv(drawn / "manifest.csv")
    is_held_out = rows["photo"].isin(held_out)
    assert 0 < rows.loc[is_held_out, "label"].mean() < 1
    rows["split"] = "train"
    rows.loc[is_held_out, "split"] = "test"
    states = []
    for flipped in (False, True):
        labels = rows["label"].where(~is_held_out | (not flipped), 1 - rows["label"])
        table = rows.assign(label=labels)[["path", "label", "patient", "split"]]
        table.to_csv(tmp_path / f"{flipped}.csv", index=False)
        settings = [
            each for each in tiny_overrides if not each.startswith(("data.root=", "data.patients", "data.photos"))
        ]
        cfg = compose(
            "train",
            [
                *settings,
                "data=table",
                f"data.root={drawn}",
                f"data.table={tmp_path / f'{flipped}.csv'}",
                "data.columns.photo=path",
                "trainer.max_epochs=1",
                "callbacks.unfreeze.phases=[]",
                f"paths.root={tmp_path}",
            ],
            run_dir=tmp_path / f"run_{flipped}",
        )
        run = RunFolder(train_run(cfg).folder)
        states.append((read_checkpoint(run.best)["state_dict"], read_predictions(run, "test")))
    (one, before), (other, after) = states
    assert (before["label"] != after["label"]).all()
    assert all(torch.equal(one[key], other[key]) for key in one)
    assert before["logit"].equals(after["logit"])


def test_sites_are_left_out_one_by_one(compose_crossval: Compose, tmp_path: Path) -> None:
    result = cross_validate(compose_crossval(tmp_path / "run", "leave_out=site"))
    assert all(name.startswith("site-") for name in fold_names(result))
    for _, rows in result.predictions.groupby("fold"):
        assert rows["site"].nunique() == 1


def test_side_by_side_and_one_by_one_agree(finished: CrossvalResult, compose_crossval: Compose, tmp_path: Path) -> None:
    beside = cross_validate(compose_crossval(tmp_path / "run", "jobs=2"))
    pd.testing.assert_frame_equal(beside.predictions, finished.predictions)
    assert (tmp_path / "run" / "folds" / fold_names(beside)[0] / "fold.log").read_text()


def test_predict_averages_the_logits_of_all_folds(finished: CrossvalResult, drawn_photos: Path, tmp_path: Path) -> None:
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
    assert load_classifier(find_checkpoints(finished.folder)[0]).hparams["threshold"] == 0.5


def test_an_unfinished_cross_validation_cannot_predict(tmp_path: Path) -> None:
    (tmp_path / "splits").mkdir()
    (tmp_path / "splits" / "repeat-0_fold-0.csv").write_text("photo,split\n")
    with pytest.raises(CheckpointUnreadableError, match="no file there"):
        find_checkpoints(tmp_path)


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
