"""Scoring a finished model again, and on photos that it has never met."""

import io
import json
import shutil
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from omegaconf import OmegaConf
from PIL import Image
from scipy.special import expit

from anemia_lightning.assessment.options import SUBGROUPS
from anemia_lightning.command_line.settings import compose
from anemia_lightning.contracts import PREDICTION_COLUMNS, SPLIT_COLUMNS
from anemia_lightning.errors import ConfigError, DataChangedError, NoConformalSetsError, OverlapError, RunNotFoundError
from anemia_lightning.evaluating.evaluation import evaluate_checkpoint, evaluate_run
from anemia_lightning.evaluating.prediction import predict_source
from anemia_lightning.fitting.training import train_run
from anemia_lightning.metrics.conformal import ABSTAIN
from anemia_lightning.metrics.decision import Decision
from anemia_lightning.metrics.thresholds import choose_threshold
from anemia_lightning.model.trunk_pass import TrunkPass
from anemia_lightning.predict import predict

pytestmark = pytest.mark.usefixtures("thin_networks")

# Where the network looks is compared in test_training.
BRIEF = ("trainer.accelerator=cpu", "evaluation.resamples=200", "evaluation.probe_photos=0")
DRAWN = ("data.patients=24", "data.photos=48", "data.photo_groups=bytes")
SMALL = (*BRIEF, *DRAWN, "experiment=quick", "data.image_size=32")


# Enough validation photos to calibrate and to choose sets; in full precision, so that only the order of sums differs;
# of what is asked of the scores none is the default.
DECIDED = (
    "split.fractions={train: 0.5, val: 0.3, test: 0.2}",
    "evaluation.threshold=sensitivity:0.8",
    "evaluation.calibration=platt",
    "evaluation.coverage=0.6",
    "evaluation.pooling=max",
    "evaluation.subgroups=[site, ward]",
    "trainer.precision=32-true",
    # At the usual rate a thin network learns nothing in six epochs.
    "optimizer.lr=0.003",
)


@pytest.fixture(scope="module")
def run(drawn_photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("trained")
    overrides = [*SMALL, *DECIDED, f"data.root={drawn_photos}", f"paths.root={root}", "data.resize=letterbox"]
    return train_run(compose("train", overrides, run_dir=root / "run")).folder


def decision_of(folder: Path) -> Decision:
    return Decision.from_dict(json.loads((folder / "decision.json").read_text()))


def predictions_of(folder: Path, file: str = "predictions_test.csv") -> pd.DataFrame:
    return pd.read_csv(folder / file, keep_default_na=False)


def evaluate(run: Path, folder: Path, *overrides: str) -> dict[str, Any]:
    # The same precision, by its short name.
    settings = [*BRIEF, f"run={run}", "trainer.precision=32", *overrides]
    return evaluate_run(compose("evaluate", settings, run_dir=folder))


@dataclass(frozen=True)
class Again:
    """A run that was scored again, as it was."""

    folder: Path
    scores: dict[str, Any]
    said: str


def score_again(run: Path, folder: Path, *overrides: str) -> Again:
    with redirect_stdout(io.StringIO()) as said:
        scores = evaluate(run, folder, *overrides)
    return Again(folder, scores, said.getvalue())


@pytest.fixture(scope="module")
def again(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Again:
    with pytest.MonkeyPatch.context() as patch:
        # What training has computed of the test photos is kept.
        patch.setattr(TrunkPass, "trunk", pytest.fail)
        return score_again(run, tmp_path_factory.mktemp("evaluated") / "again")


@pytest.fixture(scope="module")
def otherwise(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Again:
    """The same with other wishes."""
    wishes = ("evaluation.pooling=median", "evaluation.subgroups=[]", "trainer.precision=64-true")
    return score_again(run, tmp_path_factory.mktemp("evaluated") / "otherwise", *wishes)


def test_a_run_scores_exactly_what_training_wrote(run: Path, again: Again) -> None:
    assert again.scores["test"] == json.loads((run / "metrics.json").read_text())["test"]
    assert "starts from random weights" in again.said
    assert "training scored in precision" not in again.said
    for name in ("predictions_test.csv", "decision.json", "assessment.json", "splits.csv", "flow.md"):
        assert (again.folder / name).read_text() == (run / name).read_text(), name
    assert decision_of(run).scaling.slope != 1, "what was chosen is not what there would be without a choice"


def test_an_evaluation_that_is_killed_before_it_has_written_its_documents_is_not_finished(
    run: Path, again: Again, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kill(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("anemia_lightning.evaluating.evaluation.write_documents", kill)
    with pytest.raises(KeyboardInterrupt):
        evaluate(run, tmp_path)
    cards = [json.loads((folder / "run.json").read_text()) for folder in (tmp_path, again.folder)]
    assert [card["status"] for card in cards] == ["running", "finished"]


def test_a_threshold_of_the_user_changes_decisions_and_no_probability(run: Path, tmp_path: Path) -> None:
    before, carried = predictions_of(run), decision_of(run)
    highest = float(before["probability"].max())
    scores = evaluate(run, tmp_path, f"evaluation.threshold={highest}")
    after = predictions_of(tmp_path)
    pd.testing.assert_frame_equal(after.drop(columns="prediction"), before.drop(columns="prediction"))
    assert 0 < before["prediction"].sum() != after["prediction"].sum() <= 1
    assert scores["test"]["tp"] + scores["test"]["fp"] == after["prediction"].sum()
    assert decision_of(tmp_path) == carried.at(highest)


def asked_of(folder: Path) -> tuple[str, set[str]]:
    """Returns how patients were pooled and which groups were looked at, as all records of it have it."""
    found = json.loads((folder / "assessment.json").read_text())
    pooling, groups = found["settings"]["pooling"], found["subgroups"]
    columns = {*(each["name"] for each in groups["columns"]), *groups["absent"]}
    recorded = json.loads((folder / "run.json").read_text())["evaluation"]
    assert (recorded["pooling"], set(recorded["subgroups"])) == (pooling, columns)
    assert f'<th scope="row">evaluation.pooling</th><td>{pooling}</td>' in (folder / "report.html").read_text()
    return pooling, columns


def test_patients_are_pooled_and_groups_looked_at_as_in_training_unless_the_user_says_otherwise(
    again: Again, otherwise: Again
) -> None:
    assert asked_of(again.folder) == ("max", {"site", "ward"})
    assert asked_of(otherwise.folder) == ("median", set())


def test_choosing_anew_by_the_rules_of_the_run_gives_what_training_chose(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluate(run, tmp_path, "evaluation.refit=true")
    assert decision_of(tmp_path) == decision_of(run)
    assert (tmp_path / "predictions_test.csv").read_text() == (run / "predictions_test.csv").read_text()
    assert "Warning: evaluation.refit=true: threshold, calibration and conformal sets" in capsys.readouterr().out


def test_choosing_anew_by_another_rule_looks_at_validation_photos_and_leaves_the_model_alone(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = (run / "checkpoints" / "best.ckpt").read_bytes()
    evaluate(run, tmp_path, "evaluation.refit=true", "evaluation.threshold=cost:0.2")
    val, found, carried = predictions_of(run, "predictions_val.csv"), decision_of(tmp_path), decision_of(run)
    assert found.threshold == choose_threshold(val["label"], val["probability"], "cost:0.2")
    assert (found.scaling, found.conformal) == (carried.scaling, carried.conformal)
    said = capsys.readouterr().out
    assert f"chosen anew on the run's {len(val)} validation photos. The model still carries others: " in said
    assert f"threshold {carried.threshold.value:.3g} (sensitivity>=0.8)" in said
    assert (run / "checkpoints" / "best.ckpt").read_bytes() == model


def test_a_model_without_a_decision_decides_at_its_threshold_and_says_so(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # The best model carries one; that of the last epoch was there before any was made.
    overrides = [f"ckpt={run}/checkpoints/last.ckpt", "data=realistic", "data.patients=12", "data.photos=24", *BRIEF]
    evaluate_checkpoint(compose("evaluate", [*overrides, f"paths.root={tmp_path}"], run_dir=tmp_path / "other"))
    table = predictions_of(tmp_path / "other")
    assert table["probability"].to_numpy() == pytest.approx(expit(table["logit"]), rel=1e-7)
    assert (table["prediction"] == (table["probability"] >= 0.5)).all()
    sentence = "Note: Threshold: it is fixed at 0.5, since the model carries no decision made on validation photos."
    assert sentence in capsys.readouterr().out


def test_another_precision_is_said(run: Path, again: Again, otherwise: Again) -> None:
    assert json.loads((run / "run.json").read_text())["precision"] == "32-true"
    assert "training scored in precision 32-true, this is 64-true" in otherwise.said
    # The same to about seven digits, and not to the last.
    assert otherwise.scores["test"]["loss"] != again.scores["test"]["loss"]
    assert otherwise.scores["test"]["loss"] == pytest.approx(again.scores["test"]["loss"], rel=1e-4)


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


def test_a_checkpoint_scores_other_data_with_its_own_framing_and_decision(run: Path, tmp_path: Path) -> None:
    overrides = [f"ckpt={run}/checkpoints/best.ckpt", "data=realistic", "data.patients=12", "data.photos=24"]
    overrides += [f"paths.root={tmp_path}", "trainer.accelerator=cpu"]
    scores = evaluate_checkpoint(compose("evaluate", overrides, run_dir=tmp_path / "other"))
    table, decision = predictions_of(tmp_path / "other"), decision_of(run)
    assert scores["test"]["n"] == len(table) == 24
    assert table["probability"].to_numpy() == pytest.approx(decision.probability(table["logit"]), rel=1e-6)
    assert (table["prediction"] == decision.decide(table["probability"])).all()
    assert decision_of(tmp_path / "other") == decision
    assert asked_of(tmp_path / "other") == ("mean", set(SUBGROUPS))
    report = (tmp_path / "other" / "report.html").read_text()
    assert "pixels 32, region full, resize letterbox" in report
    assert '<th scope="row">data.image_size</th><td>32</td>' in report
    card = (tmp_path / "other" / "MODEL_CARD.md").read_text()
    assert "one photograph of 32 pixels a side" in card
    assert "Labels are those of the data set (rule own)" in card


def test_another_framing_than_that_of_the_checkpoint_is_refused(run: Path, tmp_path: Path) -> None:
    overrides = [f"ckpt={run}/checkpoints/best.ckpt", "data=synthetic", "trainer.accelerator=cpu"]
    overrides += ["data.image_size=64", "data.resize=letterbox", "data.background=[0,0,0]"]
    with pytest.raises(ConfigError) as caught:
        evaluate_checkpoint(compose("evaluate", overrides, run_dir=tmp_path / "other"))
    assert caught.value.problems == [
        f"data.{name} would have no effect: the model reads photographs with data.{carried}, as its checkpoint says. "
        "Leave it out."
        for name, carried in {
            "image_size=64": "image_size=32",
            "background=[0, 0, 0]": "background=[124, 116, 104]",
        }.items()
    ]


def test_whoever_is_left_out_of_other_data_is_told_and_counted(
    run: Path, tmp_path: Path, drawn_photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    splits = pd.read_csv(run / "splits.csv")
    unmet, met = splits[splits["split"] == "test"], splits[splits["split"] == "train"].iloc[:2]
    drawn, classes = next(drawn_photos.rglob("photos")), [tmp_path / "photos" / name for name in ("Healthy", "Anemic")]
    for folder in classes:
        folder.mkdir(parents=True)
    for photo, label in pd.concat([unmet, met])[["photo", "label"]].itertuples(index=False):
        shutil.copy(drawn / Path(photo).name, classes[label])
    shutil.copy(drawn / Path(unmet["photo"].iloc[0]).name, classes[1 - unmet["label"].iloc[0]] / "copy.png")
    (classes[0] / "empty.png").touch()
    known, label = met[["photo", "label"]].iloc[0]
    noise = np.random.default_rng(0).integers(60, 200, (40, 60, 3), dtype=np.uint8)
    Image.fromarray(noise).save(classes[label] / f"beside_{Path(known).name}")
    overrides = [f"ckpt={run}/checkpoints/best.ckpt", "data=folder", f"data.root={tmp_path}/photos"]
    overrides += ["data.positive_class=Anemic", "data.photo_groups=bytes", "data.on_unreadable=skip"]
    overrides += ["data.patient_pattern='(?:beside_)?([^.]+)'"]
    overrides += ["evaluation.on_overlap=drop", *BRIEF]
    scores = evaluate_checkpoint(compose("evaluate", overrides, run_dir=tmp_path / "other"))
    assert scores["test"]["n"] == len(unmet) - 1
    table = pd.read_csv(tmp_path / "other" / "splits.csv", keep_default_na=False)
    assert tuple(table) == SPLIT_COLUMNS
    assert set(table["photo"][table["split"] == "test"]) == set(predictions_of(tmp_path / "other")["photo"])
    counted = {
        "label conflict: copies of one photograph with both labels": 2,
        "met before: it trained or chose the model": 2,
        "patient or copy met before: a photo of the same patient, or a copy, trained or chose the model": 1,
        "IMG_EMPTY: an empty file": 1,
    }
    assert table["reason"][table["split"] == "excluded"].value_counts().to_dict() == counted
    flow = (tmp_path / "other" / "flow.md").read_text()
    assert f"photos found: {len(unmet) + 5} photos of" in flow
    assert all(f"- left out: {reason}: {count} photo" in flow for reason, count in counted.items())
    assert f"photos used: {len(unmet) - 1} photos of" in flow
    said = capsys.readouterr().out
    assert f"{len(unmet) - 1} photos of {len(unmet) - 1} patients from folder\nLeft out: 2 label conflict, " in said
    assert "2 met before, 1 IMG_EMPTY, 1 patient or copy met before; splits.csv says which." in said
    assert "2 photos that trained or chose the model were left out, beside 1 with a patient or a copy" in said


PredictAll = Callable[..., pd.DataFrame]


@pytest.fixture
def predict_all(run: Path, drawn_photos: Path) -> PredictAll:
    """Predicts all drawn photographs with a checkpoint of the run, the best one by default."""

    def predict_into(folder: Path, *overrides: str, ckpt: str = "best") -> pd.DataFrame:
        settings = [f"ckpt={run}/checkpoints/{ckpt}.ckpt", f"source={next(drawn_photos.rglob('photos'))}"]
        settings += ["trainer=cpu", "trainer.precision=32-true"]
        return predict_source(compose("predict", [*settings, *overrides], run_dir=folder))

    return predict_into


def test_predict_agrees_with_the_predictions_of_training(run: Path, drawn_photos: Path, tmp_path: Path) -> None:
    trained = pd.read_csv(run / "predictions_test.csv")
    photos = next(drawn_photos.rglob("photos"))
    overrides = [f"ckpt={run}/checkpoints/best.ckpt", f"source={photos}", "trainer.accelerator=cpu"]
    table = predict(compose("predict", [*overrides, "trainer.precision=32-true"], run_dir=tmp_path / "predicted"))
    assert len(table) == 48
    assert "label" not in table
    trained["photo"] = trained["photo"].str.rsplit("/").str[-1]
    both = trained.merge(table, on="photo", suffixes=("", "_again"))
    assert len(both) == len(trained)
    # Other batches, other blocking of the sums.
    assert (both["logit"] - both["logit_again"]).abs().max() < 1e-4
    assert (both["probability"] - both["probability_again"]).abs().max() < 1e-5
    assert (both["prediction"] == both["prediction_again"]).all()
    overrides += [f"source={photos / both['photo'][0]}", "trainer.precision=32-true"]
    one = predict(compose("predict", overrides, run_dir=tmp_path / "one"))
    assert one["photo"].tolist() == [both["photo"][0]]
    assert one["logit"][0] == pytest.approx(both["logit"][0], abs=1e-4)


def test_photographs_unlike_those_that_trained_the_model_are_told(
    run: Path, drawn_photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ckpt = f"ckpt={run}/checkpoints/best.ckpt"
    splits = pd.read_csv(run / "splits.csv")
    for photo, label in splits[["photo", "label"]][splits["split"] == "test"].itertuples(index=False):
        (folder := tmp_path / "photos" / ("healthy", "anaemic")[label]).mkdir(parents=True, exist_ok=True)
        with Image.open(next(drawn_photos.glob(f"*/photos/{Path(photo).name}"))) as picture:
            picture.convert("RGB").save(folder / f"{Path(photo).stem}.png")
    predict_source(compose("predict", [ckpt, f"source={tmp_path}/photos", "trainer=cpu"], run_dir=tmp_path / "whole"))
    test = (splits["split"] == "test").sum()
    warning = f"{test} of {test} photos are whole, but the model was trained on cut-outs of the tissue alone: "
    assert f"Warning: {warning}" in capsys.readouterr().out
    other = ["data=folder", f"data.root={tmp_path}/photos", "data.positive_class=anaemic", "data.photo_groups=bytes"]
    evaluate_checkpoint(compose("evaluate", [ckpt, *other, *BRIEF], run_dir=tmp_path / "other"))
    assert warning in capsys.readouterr().out
    (written,) = json.loads((tmp_path / "other" / "run.json").read_text())["warnings"]
    assert written.startswith(warning)
    predict_source(compose("predict", [ckpt, f"source={drawn_photos}", "trainer=cpu"], run_dir=tmp_path / "drawn"))
    assert "Warning" not in capsys.readouterr().out


@pytest.mark.parametrize(
    "fit_reads", ["features.dtype=uint8", pytest.param("features.compile=true", marks=pytest.mark.slow)]
)
def test_whatever_the_fit_has_read_all_commands_give_one_logit(
    fit_reads: str, tiny_overrides: list[str], drawn_photos: Path, tmp_path: Path
) -> None:
    own = [f"paths.root={tmp_path}", f"paths.cache={tmp_path}/cache", "trainer.max_epochs=3", fit_reads]
    trained = train_run(compose("train", [*tiny_overrides, *own], run_dir=tmp_path / "run")).folder
    tested = predictions_of(trained)
    # The same photographs in the same order go through layer4 together.
    (tmp_path / "photos").mkdir()
    for number, photo in enumerate(tested["photo"]):
        drawn = next(drawn_photos.glob(f"*/photos/{Path(photo).name}"))
        shutil.copy(drawn, tmp_path / "photos" / f"{number:03d}{drawn.suffix}")
    settings = [f"ckpt={trained}/checkpoints/best.ckpt", f"source={tmp_path}/photos", "batch_size=16", "trainer=cpu"]
    predict_source(compose("predict", [*settings, "trainer.precision=32-true"], run_dir=tmp_path / "predicted"))
    predicted = predictions_of(tmp_path / "predicted", "predictions.csv")
    same = ["logit", "probability", "prediction"]
    pd.testing.assert_frame_equal(predicted[same], tested[same], check_exact=True)
    evaluate(trained, tmp_path / "again")
    pd.testing.assert_frame_equal(predictions_of(tmp_path / "again"), tested, check_exact=True)


def test_predict_can_abstain(
    run: Path, predict_all: PredictAll, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = predict_all(tmp_path / "all")
    decision = decision_of(run)
    assert "abstained" not in whole
    table = predict_all(tmp_path / "sure", "abstain=true")
    written = predictions_of(tmp_path / "sure", "predictions.csv")
    assert list(written) == [name for name in (*PREDICTION_COLUMNS, "abstained") if name != "label"]
    answers, sets = decision.answers(table["probability"]), decision.sets(table["probability"])
    assert answers is not None
    assert sets is not None
    is_answered = answers != ABSTAIN
    assert 0 < is_answered.sum() < len(table)
    assert (written["prediction"] == np.where(is_answered, answers, "").astype(str)).all()
    assert (written["prediction"][is_answered] == whole["prediction"][is_answered].astype(str)).all()
    reasons = {0: "neither label fits", 1: "only the label across the threshold fits", 2: "both labels are possible"}
    expected = ["" if sure else reasons[size] for sure, size in zip(is_answered, sets.sum(axis=1), strict=True)]
    assert written["abstained"].tolist() == expected
    assert f"{answers[is_answered].sum()} called anaemic, {(~is_answered).sum()} without a prediction," in (
        capsys.readouterr().out
    )


def test_without_sets_a_model_cannot_abstain(predict_all: PredictAll, tmp_path: Path) -> None:
    with pytest.raises(NoConformalSetsError, match=r"conformal sets in .*last\.ckpt.* evaluation\.coverage=0\.9"):
        predict_all(tmp_path, "abstain=true", ckpt="last")


def test_predict_takes_a_threshold_of_the_user(predict_all: PredictAll, tmp_path: Path) -> None:
    table = predict_all(tmp_path, "threshold=0.9")
    assert 0 < table["prediction"].sum() < len(table)
    assert (table["prediction"] == (table["probability"] >= 0.9)).all()


class TestPhotographsThatTheModelHasMet:
    def evaluate(self, run: Path, tmp_path: Path, drawn_photos: Path, *overrides: str) -> Any:
        settings = [
            f"ckpt={run}/checkpoints/best.ckpt",
            "data=synthetic",
            f"data.root={drawn_photos}",
            "data.patients=24",
            "data.photos=48",
            "data.photo_groups=bytes",
            *BRIEF,
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
