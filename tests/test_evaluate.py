"""Scoring a finished model again, and on photos that it has never met."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from omegaconf import OmegaConf

from anemia_lightning.errors import DataChangedError, OverlapError, RunNotFoundError
from anemia_lightning.evaluation import evaluate_checkpoint, evaluate_run
from anemia_lightning.predict import predict
from anemia_lightning.settings import compose
from anemia_lightning.training import train_run

SMALL = ("experiment=quick", "data.image_size=32", "data.patients=24", "data.photos=48", "trainer.accelerator=cpu")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("trained")
    overrides = [*SMALL, f"paths.root={root}", "data.resize=letterbox", "evaluation.threshold=0.4"]
    return train_run(compose("train", overrides, run_dir=root / "run")).folder


def test_a_run_scores_exactly_what_training_wrote(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cfg = compose("evaluate", [f"run={run}", "trainer.accelerator=cpu"], run_dir=tmp_path / "again")
    scores = evaluate_run(cfg)
    assert scores["test"] == json.loads((run / "metrics.json").read_text())["test"]
    assert "starts from random weights" in capsys.readouterr().out
    again = (tmp_path / "again" / "predictions_test.csv").read_text()
    assert again == (run / "predictions_test.csv").read_text()


def test_another_precision_is_said(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trained = json.loads((run / "run.json").read_text())["precision"]
    other = "64-true" if trained != "64-true" else "32-true"
    overrides = [f"run={run}", "trainer.accelerator=cpu", f"trainer.precision={other}"]
    evaluate_run(compose("evaluate", overrides, run_dir=tmp_path / "again"))
    assert f"training scored in precision {trained}, this is {other}" in capsys.readouterr().out


def test_changed_photographs_are_refused(run: Path, tmp_path: Path) -> None:
    settings = (run / "config_resolved.yaml").read_text()
    changed = OmegaConf.create(settings)
    changed.data.source.update(root=str(tmp_path / "drawn"), seed=1)
    (run / "config_resolved.yaml").write_text(OmegaConf.to_yaml(changed))
    try:
        with pytest.raises(DataChangedError, match="ids, labels, patients or contents differ"):
            evaluate_run(compose("evaluate", [f"run={run}"], run_dir=tmp_path / "again"))
    finally:
        (run / "config_resolved.yaml").write_text(settings)


def test_a_missing_run_is_told(tmp_path: Path) -> None:
    with pytest.raises(RunNotFoundError, match=r"Looked for the run .*; found no .*config_resolved.yaml"):
        evaluate_run(compose("evaluate", [f"run={tmp_path}"], run_dir=tmp_path / "again"))


def test_a_checkpoint_scores_other_data_with_its_own_framing_and_threshold(run: Path, tmp_path: Path) -> None:
    overrides = [f"ckpt={run}/checkpoints/best.ckpt", "data=realistic", "data.patients=12", "data.photos=24"]
    overrides += [f"paths.root={tmp_path}", "trainer.accelerator=cpu"]
    scores = evaluate_checkpoint(compose("evaluate", overrides, run_dir=tmp_path / "other"))
    table = pd.read_csv(tmp_path / "other" / "predictions_test.csv")
    assert scores["test"]["n"] == len(table) == 24
    assert ((table["probability"] >= 0.4) == (table["prediction"] == 1)).all()


def test_predict_agrees_with_the_predictions_of_training(run: Path, tmp_path: Path) -> None:
    trained = pd.read_csv(run / "predictions_test.csv")
    photos = next((run.parent / "data" / "synthetic").iterdir()) / "photos"
    overrides = [f"ckpt={run}/checkpoints/best.ckpt", f"source={photos}", "trainer.accelerator=cpu"]
    table = predict(compose("predict", overrides, run_dir=tmp_path / "predicted"))
    assert len(table) == 48
    assert "label" not in table
    trained["photo"] = trained["photo"].str.rsplit("/").str[-1]
    both = trained.merge(table, on="photo", suffixes=("", "_again"))
    assert len(both) == len(trained)
    # Other batches, other blocking of the sums.
    assert (both["logit"] - both["logit_again"]).abs().max() < 0.02
    one = predict(compose("predict", [*overrides[:1], f"source={photos / both['photo'][0]}"], run_dir=tmp_path / "one"))
    assert one["photo"].tolist() == [both["photo"][0]]


class TestPhotographsThatTheModelHasMet:
    def evaluate(self, run: Path, tmp_path: Path, drawn_photos: Path, *overrides: str) -> Any:
        settings = [
            f"ckpt={run}/checkpoints/best.ckpt",
            "data=synthetic",
            f"data.root={drawn_photos}",
            "data.patients=24",
            "data.photos=48",
            "data.photo_groups=bytes",
            "trainer.accelerator=cpu",
        ]
        return evaluate_checkpoint(compose("evaluate", [*settings, *overrides], run_dir=tmp_path / "other"))

    def met(self, run: Path) -> set[str]:
        splits = pd.read_csv(run / "splits.csv")
        return set(splits.loc[splits["split"].isin(["train", "val"]), "photo"])

    def test_they_stop_the_evaluation(self, run: Path, tmp_path: Path, drawn_photos: Path) -> None:
        with pytest.raises(OverlapError, match=f"found {len(self.met(run))} of 48 that did: ") as caught:
            self.evaluate(run, tmp_path, drawn_photos)
        assert set(caught.value.met) == self.met(run)

    def test_they_can_be_left_out(self, run: Path, tmp_path: Path, drawn_photos: Path) -> None:
        scores = self.evaluate(run, tmp_path, drawn_photos, "evaluation.on_overlap=drop")
        table = pd.read_csv(tmp_path / "other" / "predictions_test.csv")
        assert scores["test"]["n"] == len(table) == 48 - len(self.met(run))
        assert not self.met(run) & set(table["photo"])

    def test_they_can_be_reported(
        self, run: Path, tmp_path: Path, drawn_photos: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        scores = self.evaluate(run, tmp_path, drawn_photos, "evaluation.on_overlap=report")
        assert scores["test"]["n"] == 48
        said = capsys.readouterr().out
        assert f"{len(self.met(run))} of these 48 photos trained or chose the model: the scores are too good." in said
