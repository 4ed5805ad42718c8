"""What a training run does when weights or memory are missing, and what it writes."""

import html
import io
import itertools
import json
import math
import re
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, redirect_stdout
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
import torch
from lightning.pytorch.callbacks import Timer
from omegaconf import DictConfig
from PIL import Image, ImageOps

from anemia_lightning import wiring
from anemia_lightning.callbacks.run_card import RunCard
from anemia_lightning.command_line.settings import compose
from anemia_lightning.contracts import PREDICTION_COLUMNS, SPLIT_COLUMNS
from anemia_lightning.errors import (
    ConfigError,
    DataChangedError,
    MemoryExhaustedError,
    SettingsChangedError,
    UnfinishedRunError,
    WeightsMismatchError,
    WeightsUnavailableError,
)
from anemia_lightning.evaluating.evaluation import evaluate_run
from anemia_lightning.files.run_folder import is_finished
from anemia_lightning.fitting import training
from anemia_lightning.fitting.finishing import Fit, images_per_second
from anemia_lightning.fitting.training import train_run
from anemia_lightning.model.classifier import AnemiaClassifier
from anemia_lightning.report.checklists import checklist_items

SMALL = (
    "experiment=quick",
    "data.image_size=32",
    "data.patients=24",
    "data.photos=48",
    "trainer.accelerator=cpu",
    "trainer.max_epochs=3",
    "evaluation.resamples=200",
)
CLOSER_LOOK = "evaluation.probe_photos=4"
BRIEF = ("trainer.max_epochs=1", "callbacks.unfreeze.phases=[]")

Small = Callable[..., DictConfig]
"""Called with a run folder and overrides: ``small(folder, "model.hidden=64")``."""


@pytest.fixture(scope="session")
def small(drawn_photos: Path) -> Small:
    """Composes a run without what takes longest: a look at where the network looks, and for cut-outs of one photo."""
    quick = ("data.photo_groups=bytes", "evaluation.probe_photos=0", f"data.root={drawn_photos}")

    def compose_small(run_dir: Path, *overrides: str) -> DictConfig:
        return compose("train", [*SMALL, *quick, f"paths.root={run_dir.parent}", *overrides], run_dir=run_dir)

    return compose_small


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise OSError("no network here")

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "hub"))


def test_drawn_photographs_go_on_without_weights_and_say_so_and_a_resumed_run_needs_none(
    tmp_path: Path, small: Small, monkeypatch: pytest.MonkeyPatch, no_network: None, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, sentence = tmp_path / "run", "starts from random weights"
    assert train_run(small(folder, "model.weights=IMAGENET1K_V1", *BRIEF)).folder == folder
    before = json.loads((folder / "run.json").read_text())
    assert sentence in before["warnings"][0]
    assert before["weights"]["source"] == "random"
    assert sentence in (folder / "report.html").read_text()
    assert sentence in capsys.readouterr().out

    def fail(*args: object, **kwargs: object) -> None:
        pytest.fail("a resumed run asked for weights")

    monkeypatch.setattr("urllib.request.urlopen", fail)
    (folder / "report.html").unlink()
    longer = (*BRIEF, "trainer.max_epochs=2", f"resume={folder}")
    train_run(small(folder, "model.weights=IMAGENET1K_V1", *longer))
    after = json.loads((folder / "run.json").read_text())
    assert len(after["sessions"]) == 2
    assert (after["warnings"], after["weights"]) == (before["warnings"], before["weights"])
    assert sentence in (folder / "report.html").read_text()


@pytest.mark.usefixtures("no_network")
def test_other_data_without_weights_are_refused_with_three_ways_out(tmp_path: Path, small: Small) -> None:
    with pytest.raises(WeightsUnavailableError) as caught:
        train_run(small(tmp_path / "run", "model.weights=IMAGENET1K_V1", "data.name=mine"))
    for way in ("resnet18-f37072fd.pth", "model.weights=", "model.weights=null"):
        assert way in str(caught.value)


@pytest.mark.parametrize(("rank", "ends"), [("0", 0), ("1", 1)])
def test_who_was_started_to_help_ends_with_the_first_process(
    rank: str, ends: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.setenv("LOCAL_RANK", rank)
    asked: list[bool] = []
    monkeypatch.setattr(training, "end_with_parent", lambda: asked.append(True))
    with pytest.raises(ConfigError, match="there is no such device here"):
        train_run(compose("train", ["trainer.accelerator=tpu"], run_dir=tmp_path))
    assert len(asked) == ends


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("DefaultCPUAllocator: can't allocate memory")]
)
def test_out_of_memory_names_what_to_lower(
    tmp_path: Path, small: Small, monkeypatch: pytest.MonkeyPatch, error: RuntimeError
) -> None:
    def exhaust(*args: Any, **kwargs: Any) -> None:
        raise error

    monkeypatch.setattr(AnemiaClassifier, "training_step", exhaust)
    with pytest.raises(MemoryExhaustedError, match=r"data\.batch_size.*trainer\.accumulate_grad_batches"):
        train_run(small(tmp_path / "run"))


@pytest.mark.parametrize("interrupted", [False, True])
def test_the_processes_of_a_fit_that_fails_are_not_left_waiting(
    interrupted: bool, tmp_path: Path, small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fit(*_: object, **__: object) -> None:
        if interrupted:
            raise KeyError("no such thing")

    ended: list[object] = []
    monkeypatch.setattr(training, "end_others", ended.append)
    trainer: Any = SimpleNamespace(fit=fit, interrupted=interrupted)
    nothing: Any = None
    with pytest.raises(KeyError) if interrupted else nullcontext():
        training._fit(trainer, nothing, nothing, None, small(tmp_path))
    assert ended == [trainer] * interrupted


def test_a_limit_of_time_lets_the_epoch_come_to_its_end(
    tmp_path: Path, small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Enough when the fit starts; it runs out with the first step.
    elapsed = itertools.chain([0.0], itertools.repeat(3600.0))
    monkeypatch.setattr(Timer, "time_elapsed", lambda *_: next(elapsed))
    folder = train_run(small(tmp_path / "run", "trainer.max_time=00:00:30:00")).folder
    (epoch,) = pd.read_csv(folder / "metrics.csv").to_dict("records")
    assert math.isfinite(epoch["val/loss"])
    card = json.loads((folder / "run.json").read_text())
    assert (card["epochs"], card["stop_reason"]) == (1, "trainer.max_time ran out")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, real_figures: Callable[[], AbstractContextManager[None]]) -> Path:
    root = tmp_path_factory.mktemp("trained")
    with real_figures():
        return train_run(compose("train", [*SMALL, CLOSER_LOOK, f"paths.root={root}"], run_dir=root / "run")).folder


def test_the_run_folder_holds_what_is_promised(run: Path) -> None:
    for name in (
        "config_resolved.yaml",
        "run.json",
        "splits.csv",
        "metrics.csv",
        "metrics.json",
        "decision.json",
        "predictions_val.csv",
        "predictions_test.csv",
        "checkpoints/best.ckpt",
        "checkpoints/last.ckpt",
        "assessment.json",
        "baselines.json",
        "looks.json",
        "report.html",
        "MODEL_CARD.md",
        "flow.md",
        "table1.md",
        "checklists.md",
        "plots/curves.png",
        "plots/roc.png",
        "plots/precision_recall.png",
        "plots/confusion.png",
        "plots/reliability.png",
        "plots/decision_curve.png",
        "plots/baselines.png",
        "plots/robustness.png",
        "plots/training_photos.png",
    ):
        assert (run / name).stat().st_size > 0, name
    assert run.stat().st_mode & 0o777 == 0o700
    assert tuple(pd.read_csv(run / "splits.csv").columns) == SPLIT_COLUMNS
    assert tuple(pd.read_csv(run / "predictions_test.csv").columns) == PREDICTION_COLUMNS
    assert set(json.loads((run / "metrics.json").read_text())) == {"val", "test"}
    card = json.loads((run / "run.json").read_text())
    assert card["status"] == "finished"
    assert card["precision"] in ("bf16-mixed", "32-true")
    assert card["stop_reason"] == "trainer.max_epochs=3 reached"


def test_every_answer_of_the_checklists_lies_in_the_run_folder(run: Path) -> None:
    assert {
        answer.file for item in checklist_items() for answer in item.answers if not (run / answer.file).exists()
    } == set()


def test_the_checklists_point_at_all_that_the_record_of_the_run_holds(run: Path) -> None:
    answers = [answer for item in checklist_items() for answer in item.answers if answer.file == "run.json"]
    assert "best_epoch" in {answer.place for answer in answers}
    shown = (run / "checklists.md").read_text()
    assert [answer.place for answer in answers if str(answer) not in shown] == []


def test_the_page_begins_with_what_the_scores_are_worth_and_needs_nothing_else(run: Path) -> None:
    page = (run / "report.html").read_text()
    assessment = json.loads((run / "assessment.json").read_text())
    summary = html.unescape(page)
    assert assessment["drawn"]
    assert all(sentence in summary for sentence in assessment["summary"])
    assert "Random weights" in summary
    assert "Grad-CAM" in summary
    # What tests of runs without photographs and looks miss on their pages.
    assert "Training photos as the network sees them" in summary
    assert "Decisions flipped" in summary
    assert "data:image/jpeg" in page
    assert not re.search(r"(src|href)=.?(https?:)?//", page)
    assert "<script" not in page
    assert len(page) < 10_000_000


def test_scoring_again_gives_the_same_in_whatever_precision_the_machine_trains(run: Path, tmp_path: Path) -> None:
    same = ("trainer.accelerator=cpu", "evaluation.resamples=200", CLOSER_LOOK)
    evaluate_run(compose("evaluate", [f"run={run}", *same], run_dir=tmp_path))
    for name in ("predictions_test.csv", "decision.json", "assessment.json", "looks.json"):
        assert (tmp_path / name).read_bytes() == (run / name).read_bytes()


def test_each_test_photo_is_scored_once_and_no_patient_is_on_two_sides(run: Path) -> None:
    splits = pd.read_csv(run / "splits.csv")
    predictions = pd.read_csv(run / "predictions_test.csv")
    assert sorted(predictions["photo"]) == sorted(splits.loc[splits["split"] == "test", "photo"])
    assert (splits.groupby("patient")["split"].nunique() == 1).all()


@pytest.mark.usefixtures("no_network")
def test_a_run_can_start_from_the_weights_of_another_and_remembers_whom_that_has_met(
    run: Path, tmp_path: Path, small: Small
) -> None:
    start = torch.load(run / "checkpoints/best.ckpt", weights_only=True)
    # As if it had been started from a model of other photographs itself.
    start["AnemiaDataModule"]["photo_hashes"].append("f" * 16)
    torch.save(start, tmp_path / "best.ckpt")
    cfg = small(
        tmp_path / "next",
        # Which the checkpoint replaces: nobody need have them, and nothing may be said of them.
        "model.weights=IMAGENET1K_V1",
        f"init_from={tmp_path}/best.ckpt",
        "optimizer.lr=1e-12",
        "scheduler=constant",
        *BRIEF,
    )
    folder = train_run(cfg).folder
    after = torch.load(folder / "checkpoints/best.ckpt", weights_only=True)
    for name, tensor in start["state_dict"].items():
        torch.testing.assert_close(after["state_dict"][name], tensor, rtol=0, atol=1e-6, msg=name)
    assert after["AnemiaDataModule"]["photo_hashes"] == sorted(start["AnemiaDataModule"]["photo_hashes"])
    card = json.loads((folder / "run.json").read_text())
    sha256 = card["weights"].pop("sha256")
    assert card["weights"] == {"source": "checkpoint", "name": None, "file": "best.ckpt"}
    assert card["warnings"] == []
    says = "The checkpoint best.ckpt of another run; its model card says where they came from."
    assert f"{says} SHA-256 of its tensors: {sha256}." in (folder / "MODEL_CARD.md").read_text()


def test_a_run_that_is_continued_with_another_head_is_refused(run: Path, tmp_path: Path, small: Small) -> None:
    with pytest.raises(WeightsMismatchError, match=r"last\.ckpt; found .* not \(64, 512\).* model\.hidden"):
        train_run(small(tmp_path, f"resume={run}", "model.hidden=64"))


def table_settings(data: Path, folder: Path, *overrides: str) -> DictConfig:
    """Composes the settings of a run on the table that lies beside drawn photographs."""
    theirs = [each for each in SMALL if not each.startswith(("data.patients", "data.photos"))]
    table = ["data=table", f"data.root={data}", f"data.table={data}/manifest.csv", "data.columns.photo=path"]
    table += ["data.photo_groups=bytes", "evaluation.probe_photos=0"]
    return compose("train", [*theirs, *table, f"paths.root={folder.parent}", *overrides], run_dir=folder)


@pytest.fixture(scope="module")
def begun(drawn_photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with drawn photographs, and a run on them that shall train for longer."""
    folder = tmp_path_factory.mktemp("begun")
    data = shutil.copytree(next(drawn_photos.iterdir()), folder / "drawn")
    train_run(table_settings(data, folder / "run", "trainer.max_epochs=1"))
    return folder


def flip_a_label(data: Path) -> None:
    table = pd.read_csv(data / "manifest.csv")
    table["label"] = table["label"].where(table.index > 0, 1 - table["label"])
    table.to_csv(data / "manifest.csv", index=False)


def mix_patients_up(data: Path) -> None:
    pd.read_csv(data / "manifest.csv").assign(patient="one").to_csv(data / "manifest.csv", index=False)


def export_a_photo_anew(data: Path) -> None:
    path = data / pd.read_csv(data / "manifest.csv")["path"][0]
    with Image.open(path) as photo:
        ImageOps.invert(photo.convert("RGB")).save(path)


@pytest.mark.parametrize("change", [flip_a_label, mix_patients_up, export_a_photo_anew])
def test_data_that_have_changed_stop_a_run_that_goes_on(
    change: Callable[[Path], None], begun: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(begun, tmp_path / "copy")
    change(folder / "drawn")
    with pytest.raises(DataChangedError, match="ids, labels, patients or contents differ"):
        train_run(table_settings(folder / "drawn", folder / "run", f"resume={folder}/run"))
    for name in ("run.json", "splits.csv", "config_resolved.yaml"):
        assert (folder / "run" / name).read_bytes() == (begun / "run" / name).read_bytes()


@pytest.mark.parametrize("change", ["split.seed=7", "init_from=other.ckpt"])
def test_another_start_is_not_recorded_of_a_run_that_goes_on(change: str, begun: Path) -> None:
    before = (begun / "run" / "config_resolved.yaml").read_bytes()
    with pytest.raises(SettingsChangedError, match=rf"found another {change.partition('=')[0]}\. Leave these as they"):
        train_run(table_settings(begun / "drawn", begun / "run", f"resume={begun}/run", change))
    assert (begun / "run" / "config_resolved.yaml").read_bytes() == before


def test_a_run_goes_on_from_elsewhere_and_without_its_record(
    begun: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shutil.copytree(begun, tmp_path / "copy")
    reads: list[str] = []
    load = torch.load

    def count(file: Path, **options: Any) -> Any:
        reads.append(Path(file).name)
        return load(file, **options)

    monkeypatch.setattr(torch, "load", count)
    for lost in (False, True):
        if lost:
            (folder / "run" / "run.json").unlink()
        epochs = f"trainer.max_epochs={2 + lost}"
        train_run(table_settings(folder / "drawn", folder / "run", f"resume={folder}/run", epochs))
        assert len(pd.read_csv(folder / "run" / "metrics.csv")) == 2 + lost
    # Each time by us, before photos are read, and by Lightning.
    assert reads.count("last.ckpt") == 4


def test_a_run_goes_on_in_its_precision_on_another_machine(
    begun: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shutil.copytree(begun, tmp_path / "copy")
    precision = json.loads((folder / "run" / "run.json").read_text())["precision"]

    def stop(cfg: DictConfig, **_: object) -> None:
        assert wiring.resolve_precision(cfg) == precision
        raise KeyboardInterrupt

    monkeypatch.setattr(wiring, "_cpu_has_bf16", lambda: precision == "32-true")
    monkeypatch.setattr(wiring, "build_trainer", stop)
    with pytest.raises(KeyboardInterrupt):
        train_run(table_settings(folder / "drawn", folder / "run", f"resume={folder}/run"))


def test_the_throughput_is_that_of_the_photos_which_an_epoch_has_trained_on(tmp_path: Path) -> None:
    card = RunCard(tmp_path / "run.json", {})
    few = {"train_from": "head", "photos": 8, "train_s": 2.0}
    many = {"train_from": "head", "photos": 80, "train_s": 10.0}
    deeper = {"train_from": "layer4", "photos": 8, "train_s": 8.0}
    card.content["sessions"] = [{"epochs": [few]}, {"epochs": [many, deeper, {**deeper, "train_s": 0.0}]}]
    assert images_per_second(card) == {"training from head": 6.0, "training from layer4": 1.0}


def test_a_run_that_is_killed_before_it_has_written_its_documents_is_not_finished(
    begun: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shutil.copytree(begun, tmp_path / "copy")
    run = folder / "run"
    assert is_finished(run)

    def kill(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("anemia_lightning.fitting.finishing.write_documents", kill)
    with pytest.raises(KeyboardInterrupt):
        train_run(table_settings(folder / "drawn", run, f"resume={run}", "trainer.max_epochs=1"))
    assert (run / "report.html").is_file(), "that of its earlier end"
    assert not is_finished(run)
    with pytest.raises(UnfinishedRunError, match=r"found no end of run\. Finish it with resume="):
        evaluate_run(compose("evaluate", [f"run={run}"], run_dir=tmp_path / "evaluated"))


def test_tensorboard_holds_curves_charts_and_final_values(run: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run / "tensorboard"), size_guidance={"scalars": 0, "images": 0})
    events.Reload()
    scalars = events.Tags()["scalars"]
    for name in ("train/loss", "val/loss", "train/acc", "val/acc", "val/auroc", "val/sensitivity", "val/specificity"):
        assert [event.step for event in events.Scalars(name)] == [0, 1, 2], name
    assert {"lr/head", "lr/layer4", "lr/trunk", "train/grad_norm"} <= set(scalars)
    final = json.loads((run / "metrics.json").read_text())["test"]["auroc"]
    assert events.Scalars("hp/test_auroc")[-1].value == pytest.approx(final)
    assert {"final/roc", "final/precision_recall", "final/confusion", "train/photos"} <= set(events.Tags()["images"])
    names = {metadata.plugin_data.plugin_name for metadata in events.summary_metadata.values()}
    assert {"hparams", "custom_scalars"} <= names


def test_the_moments_of_training_are_gone_before_anything_is_scored(
    tmp_path: Path, small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[tuple[int, list[int]]] = []

    def note(fit: Fit) -> dict[str, dict[str, Any]]:
        held.append((fit.trainer.global_step, [len(optimizer.state) for optimizer in fit.trainer.optimizers]))
        return {}

    monkeypatch.setattr("anemia_lightning.fitting.finishing.finish_run", note)
    train_run(small(tmp_path / "run", *BRIEF, "~callbacks.checkpoint"))
    ((steps, moments),) = held
    assert steps > 0
    assert moments == [0]


@pytest.fixture(scope="module")
def private(small: Small, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A run on leaky data that keeps photographs out of what it writes, and what it said."""
    overrides = ("logger.photos=false", "data.caution='These photographs leak.'", CLOSER_LOOK, *BRIEF)
    with redirect_stdout(io.StringIO()) as said:
        folder = train_run(small(tmp_path_factory.mktemp("private") / "run", *overrides)).folder
    return folder, said.getvalue()


def test_photographs_can_be_kept_out(private: tuple[Path, str]) -> None:
    folder, _ = private
    assert not (folder / "plots" / "training_photos.png").exists()
    page = (folder / "report.html").read_text()
    assert "Training photos as the network sees them" not in page
    assert "data:image/jpeg" not in page


def test_a_run_that_goes_on_shows_no_photos_that_it_may_not_and_no_looks_of_another_model(
    run: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(run, tmp_path / "run")
    gone = {"training_photos", "robustness", "subgroups", "subgroups_sensitivity", "sites"}
    (folder / "plots" / "of_mine.png").write_bytes((folder / "plots" / "roc.png").read_bytes())
    less = ("logger.photos=false", "evaluation.probe_photos=0", "evaluation.subgroups=[]")
    longer = ("trainer.max_epochs=4", f"resume={folder}", f"paths.root={run.parent}")
    train_run(compose("train", [*SMALL, *longer, *less], run_dir=folder))
    plots = {path.stem for path in (folder / "plots").iterdir()}
    assert plots == {path.stem for path in (run / "plots").iterdir()} - gone | {"of_mine"}
    assert not (folder / "looks.json").exists()
    page = (folder / "report.html").read_text()
    assert "Training photos as the network sees them" not in page
    assert "Decisions flipped" not in page
    assert "data:image/jpeg" not in page
    assert "looks.json" in (run / "report.html").read_text()
    assert "looks.json" not in page


def test_random_weights_and_leaky_data_and_what_too_few_photos_could_not_choose_are_labelled(
    private: tuple[Path, str],
) -> None:
    folder, said = private
    page = (folder / "report.html").read_text()
    assert "These photographs leak." in page
    assert "starts from random weights, by choice" in page
    assert len(json.loads((folder / "run.json").read_text())["warnings"]) == 2
    notes = json.loads((folder / "decision.json").read_text())["notes"]
    sentence = r"The logits are left as they are: \d photos are fewer than 10\."
    for text in (notes[0], page, said):
        assert re.search(sentence, text)
    assert "Note: Conformal sets: " in said
    assert re.search(
        r"Decided by: threshold 0\.\d+ \(youden\); logits as they are; sets built to hold the label of about 90 %",
        said,
    )
