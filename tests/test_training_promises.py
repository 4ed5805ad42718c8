"""What training promises: frozen is frozen, a stopped run loses nothing, and equal runs are equal to the last bit."""

import hashlib
import json
import math
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import lightning as L
import numpy as np
import pandas as pd
import pytest
import torch
from lightning.pytorch.callbacks import Checkpoint
from omegaconf import DictConfig
from scipy.special import expit
from sklearn.metrics import accuracy_score, log_loss, recall_score, roc_auc_score
from torchvision import models

from anemia_lightning import wiring
from anemia_lightning.data.splits import independent_groups
from anemia_lightning.files.checkpoint_file import read_checkpoint
from anemia_lightning.fitting import finishing, training
from anemia_lightning.fitting.finishing import Fit, finish_run
from anemia_lightning.metrics.decision import Decision, fit_decision
from anemia_lightning.metrics.scaling import UNSCALED
from anemia_lightning.model.classifier import AnemiaClassifier
from anemia_lightning.photos import prepare_photos
from anemia_lightning.randomness import dropout_keep

pytestmark = pytest.mark.usefixtures("thin_networks")

ComposeTiny = Callable[..., DictConfig]
FitOnly = Callable[..., Fit]
Hashes = dict[str, dict[str, str]]

ROOT = Path(__file__).parents[1]

WRITTEN_AFTER_EACH_EPOCH = "callbacks.checkpoint.every_s=0"
RESTLESS = (
    WRITTEN_AFTER_EACH_EPOCH,
    # A rate so high that the validation loss rises now and then, and a plateau that loses patience at once.
    "trainer.max_epochs=5",
    "optimizer.lr=0.02",
    "scheduler.patience=0",
)

RELEASED_AT_0 = "callbacks.unfreeze.phases=[{epoch: 0, train_from: layer4}]"
RELEASED_AT_1 = "callbacks.unfreeze.phases=[{epoch: 1, train_from: layer4}]"
NO_CHECKPOINTS = "~callbacks.checkpoint"
# Adam would blow the rounding of tiny gradients up to whole steps. No step of 13 or 6 photos can be dealt evenly, so
# that a mean of the parts' own means would show.
SMOOTH = ("optimizer=sgd", "optimizer.lr=0.01", "data.batch_size=13")


class Fingerprints(L.Callback):
    """Notes the SHA-256 of every tensor of the network when a fit starts and after each epoch."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._note("start", trainer, pl_module)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._note(str(trainer.current_epoch), trainer, pl_module)

    def _note(self, when: str, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        path = self._folder / f"fingerprints_{trainer.global_rank}.json"
        known = json.loads(path.read_text()) if path.exists() else {}
        network = cast("AnemiaClassifier", pl_module).network
        tensors = [*network.named_parameters(), *network.named_buffers()]
        known[when] = {name: hashlib.sha256(value.detach().numpy().tobytes()).hexdigest() for name, value in tensors}
        path.write_text(json.dumps(known))


class Snapshots(Checkpoint):
    """Copies the run folder after each epoch, as a kill at that moment would leave it."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        copy = self._folder.with_name(f"{self._folder.name}-after-{trainer.current_epoch}")
        # Links are enough: files of a run are replaced, never changed.
        shutil.copytree(self._folder, copy, copy_function=os.link)


class Poison(L.Callback):
    """Makes the network useless when epoch 1 starts, as a diverging step would."""

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.current_epoch == 1:
            with torch.no_grad():
                next(pl_module.get_submodule("network.head").parameters()).fill_(math.nan)


def watched_by(callback: type[L.Callback]) -> str:
    folder = ", folder: '${paths.run_dir}'" if callback is not Poison else ""
    return f"+callbacks.{callback.__name__.lower()}={{_target_: {__name__}.{callback.__name__}{folder}}}"


FINGERPRINTS, SNAPSHOTS, POISON = map(watched_by, (Fingerprints, Snapshots, Poison))


def fingerprints(folder: Path, rank: int = 0) -> Hashes:
    hashes: Hashes = json.loads((folder / f"fingerprints_{rank}.json").read_text())
    return hashes


def moved(hashes: Hashes, when: str, then: str) -> set[str]:
    """Returns the tensors that are not the same bit for bit."""
    assert hashes[when].keys() == hashes[then].keys()
    return {name for name, value in hashes[when].items() if hashes[then][name] != value}


def of_stage(hashes: Hashes, *stages: str) -> set[str]:
    return {name for name in hashes["start"] if name.startswith(stages)}


def statistics(names: set[str]) -> set[str]:
    return {name for name in names if name.rsplit(".", 1)[-1] in ("running_mean", "running_var", "num_batches_tracked")}


@pytest.fixture(scope="module")
def fit_only() -> Iterator[FitOnly]:
    """Runs `train_run` without the scoring, unless told to score, and returns what its fit left behind."""
    kept: list[Fit] = []
    scoring = False

    def finish(fit: Fit) -> dict[str, Any]:
        kept.append(fit)
        return finish_run(fit) if scoring else {}

    def run(cfg: DictConfig, *, score: bool = False) -> Fit:
        nonlocal scoring
        scoring = score
        training.train_run(cfg)
        return kept.pop()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(finishing, "finish_run", finish)
        yield run


@pytest.fixture(scope="module")
def whole(tiny_cfg: ComposeTiny, fit_only: FitOnly, tmp_path_factory: pytest.TempPathFactory) -> Fit:
    """A run of five epochs that nothing interrupts, layer4 released at epoch 2."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    return fit_only(tiny_cfg(folder, *RESTLESS, FINGERPRINTS, SNAPSHOTS), score=True)


class TestFreezing:
    def test_before_the_release_only_the_head_moves_and_then_layer4_too(self, whole: Fit) -> None:
        hashes = fingerprints(whole.folder.path)
        head, layer4 = of_stage(hashes, "head"), of_stage(hashes, "backbone.layer4")
        assert len(head) == 4
        assert moved(hashes, "start", "0") == moved(hashes, "0", "1") == head
        trained = layer4 - statistics(layer4)
        for before, after in (("1", "2"), ("2", "3"), ("3", "4")):
            assert moved(hashes, before, after) == head | trained

    def test_the_check_finds_batchnorm_that_was_left_in_train_mode(
        self, tiny_cfg: ComposeTiny, fit_only: FitOnly, tmp_path: Path
    ) -> None:
        one_epoch = ("trainer.max_epochs=1", NO_CHECKPOINTS)
        fit_only(tiny_cfg(tmp_path, *one_epoch, "model.frozen_batchnorm=train", FINGERPRINTS))
        hashes = fingerprints(tmp_path)
        below = moved(hashes, "start", "0") - of_stage(hashes, "head")
        assert below == statistics(of_stage(hashes, "backbone"))
        assert len(below) == 3 * 20

    def test_released_statistics_move_when_they_are_told_to(
        self, tiny_cfg: ComposeTiny, fit_only: FitOnly, tmp_path: Path
    ) -> None:
        epochs = ("trainer.max_epochs=2", RELEASED_AT_1, NO_CHECKPOINTS)
        fit_only(tiny_cfg(tmp_path, *epochs, "model.batchnorm=train", FINGERPRINTS))
        hashes = fingerprints(tmp_path)
        assert moved(hashes, "start", "0") == of_stage(hashes, "head")
        assert moved(hashes, "0", "1") == of_stage(hashes, "head", "backbone.layer4")

    def test_in_the_real_network_with_all_its_tensors_also_across_a_resume(
        self, tiny_cfg: ComposeTiny, fit_only: FitOnly, tmp_path: Path
    ) -> None:
        settings = (
            "model.backbone=resnet50",
            "data.image_size=64",
            "trainer.max_epochs=2",
            "trainer.limit_train_batches=1",
            RELEASED_AT_1,
            FINGERPRINTS,
        )
        folder = tmp_path / "run"
        fit_only(tiny_cfg(folder, *settings, SNAPSHOTS))
        hashes = fingerprints(folder)
        theirs = {f"backbone.{name}" for name in models.resnet50().state_dict() if not name.startswith("fc.")}
        head = of_stage(hashes, "head")
        assert hashes["start"].keys() == theirs | head

        layer4 = of_stage(hashes, "backbone.layer4")
        assert moved(hashes, "start", "0") == head
        assert moved(hashes, "0", "1") == head | (layer4 - statistics(layer4))

        stopped = folder.with_name("run-after-0")
        fit_only(tiny_cfg(stopped, *settings, f"resume={stopped}/checkpoints/last.ckpt"))
        resumed = fingerprints(stopped)
        assert (resumed["start"], resumed["1"]) == (hashes["0"], hashes["1"])


def differences(one: Any, other: Any, place: str = "") -> Iterator[str]:
    """Yields the places at which two checkpoints are not the same bit for bit."""
    if isinstance(one, torch.Tensor):
        same = one.dtype == other.dtype and one.numpy().tobytes() == other.numpy().tobytes()
        if not same or one.shape != other.shape:
            yield place
    elif isinstance(one, dict):
        if one.keys() != other.keys():
            yield f"{place}: {one.keys() ^ other.keys()}"
        for key in one.keys() & other.keys():
            yield from differences(one[key], other[key], f"{place}/{key}")
    elif isinstance(one, list | tuple):
        if len(one) != len(other):
            yield place
        for index, (left, right) in enumerate(zip(one, other, strict=False)):
            yield from differences(left, right, f"{place}/{index}")
    elif one != other:
        yield f"{place}: {one!r} and {other!r}"


def assert_same_run(one: Path, other: Path) -> None:
    for name in ("last", "best"):
        left, right = (read_checkpoint(folder / "checkpoints" / f"{name}.ckpt") for folder in (one, other))
        for checkpoint in (left, right):
            # Lightning counts its own steps of the schedule, which come after the checkpoint and do nothing here.
            del checkpoint["loops"]["fit_loop"]["epoch_loop.scheduler_progress"]
            # Chosen after the fit, where there is a scoring.
            del checkpoint["hyper_parameters"]["decision"]
        assert list(differences(left, right)) == []
    assert (one / "metrics.csv").read_bytes() == (other / "metrics.csv").read_bytes()


class TestResuming:
    @pytest.mark.parametrize("after", [0, 1, 2])
    def test_a_run_goes_on_as_if_it_had_never_been_stopped(
        self, after: int, whole: Fit, tiny_cfg: ComposeTiny, fit_only: FitOnly
    ) -> None:
        folder = whole.folder.path.with_name(f"run-after-{after}")
        fit_only(tiny_cfg(folder, *RESTLESS, f"resume={folder}/checkpoints/last.ckpt"))
        assert_same_run(folder, whole.folder.path)

    def test_what_is_compared_holds_all_that_could_be_lost(self, whole: Fit) -> None:
        last = read_checkpoint(whole.folder.last)
        assert last["epoch"] == 4
        (optimizer,) = last["optimizer_states"]
        assert len(optimizer["state"]) == 4 + 15
        assert {"best", "num_bad_epochs", "cooldown_counter"} <= last["lr_schedulers"][0].keys()
        states = {key.split("{")[0]: state for key, state in last["callbacks"].items()}
        assert states.keys() == {"EpochTable", "StagedUnfreezing", "EarlyStopping", "BestAndLastCheckpoint"}
        assert states["StagedUnfreezing"] == {"released": ["layer4"]}
        assert math.isfinite(states["EarlyStopping"]["best_score"])
        assert math.isfinite(states["BestAndLastCheckpoint"]["best_score"])
        assert len(states["EpochTable"]["rows"]) == 5
        rates = pd.read_csv(whole.folder.metrics_csv)["lr/head"]
        assert list(rates) == sorted(rates, reverse=True)
        assert rates.nunique() > 2, "the schedule steps at the boundaries that are tested"

    def test_a_hybrid_schedule_goes_on_in_the_same_folder(
        self, tiny_cfg: ComposeTiny, fit_only: FitOnly, tmp_path: Path
    ) -> None:
        settings = (*RESTLESS, RELEASED_AT_1, "scheduler=plateau_cosine", "scheduler.first_cycle=3")
        epochs = "trainer.max_epochs=4"
        fit_only(tiny_cfg(tmp_path / "whole", *settings, epochs))
        fit_only(tiny_cfg(tmp_path / "run", *settings, "trainer.max_epochs=2"))
        fit_only(tiny_cfg(tmp_path / "run", *settings, epochs, f"resume={tmp_path}/run"))
        assert_same_run(tmp_path / "run", tmp_path / "whole")
        assert pd.read_csv(tmp_path / "whole" / "metrics.csv")["lr/head"].nunique() > 2

    def test_early_stopping_ends_it_at_the_same_epoch_and_for_good(
        self, tiny_cfg: ComposeTiny, fit_only: FitOnly, tmp_path: Path
    ) -> None:
        settings = (*RESTLESS, RELEASED_AT_1, "trainer.max_epochs=30", "callbacks.early_stopping.patience=1")
        whole = tmp_path / "run"
        stopped = fit_only(tiny_cfg(whole, *settings, SNAPSHOTS))
        epochs = len(stopped.table.rows)
        assert 2 < epochs < 30

        killed = tmp_path / f"run-after-{epochs - 2}"
        assert_same_stop(stopped, fit_only(tiny_cfg(killed, *settings, f"resume={killed}")))
        assert_same_run(killed, whole)
        assert_same_stop(stopped, fit_only(tiny_cfg(killed, *settings, f"resume={killed}")))
        assert_same_run(killed, whole)


def assert_same_stop(one: Fit, other: Fit) -> None:
    assert other.table.rows == one.table.rows
    for fact in ("epochs", "stop_reason"):
        assert other.card.content[fact] == one.card.content[fact]
    assert "had not improved" in other.card.content["stop_reason"]


class TestEquality:
    @pytest.mark.usefixtures("real_networks")
    def test_equal_runs_write_equal_metrics(self, tiny_cfg: ComposeTiny, fit_only: FitOnly, tmp_path: Path) -> None:
        short = ("trainer.max_epochs=2", RELEASED_AT_1, NO_CHECKPOINTS)
        metrics = []
        for run, seed in enumerate((0, 0, 1)):
            fit_only(tiny_cfg(tmp_path / f"{run}", *short, f"seed={seed}"))
            metrics.append((tmp_path / f"{run}" / "metrics.csv").read_bytes())
        assert metrics[0] == metrics[1] != metrics[2]

    def test_what_enters_the_network_does_not_depend_on_threads(self, tiny_cfg: ComposeTiny, tmp_path: Path) -> None:
        inputs = []
        for threads in (1, 2):
            torch.set_num_threads(threads)
            try:
                inputs.append(self.first_epoch(tiny_cfg(tmp_path, "data.image_size=160")))
            finally:
                torch.set_num_threads(1)
        assert inputs[0] == inputs[1]
        assert len(inputs[0]) == 2

    def first_epoch(self, cfg: DictConfig) -> list[tuple[tuple[str, ...], bytes, bytes]]:
        datamodule = wiring.build_datamodule(cfg, prepare_photos(cfg))
        datamodule.setup()
        return [
            (batch.photo, batch.values.numpy().tobytes(), dropout_keep(batch.photo, 512, 0.5, 0, 0).tobytes())
            for batch in datamodule.train_dataloader()
        ]

    def test_accumulation_changes_no_weight_beyond_rounding(
        self, tiny_cfg: ComposeTiny, fit_only: FitOnly, tmp_path: Path
    ) -> None:
        settings = ("trainer.max_epochs=1", RELEASED_AT_0, NO_CHECKPOINTS, *SMOOTH)
        runs = [
            fit_only(tiny_cfg(tmp_path / str(parts), *settings, f"trainer.accumulate_grad_batches={parts}"))
            for parts in (1, 2, 4)
        ]
        start = wiring.build_classifier(runs[0].cfg, class_weights=[1.0, 1.0]).state_dict()
        whole = runs[0].classifier.state_dict()
        for run in runs[1:]:
            for name, value in run.classifier.state_dict().items():
                torch.testing.assert_close(value, whole[name], rtol=1e-5, atol=1e-6)
        steps = {name: float((whole[name] - start[name]).abs().max()) for name in whole if "layer4.1.conv1" in name}
        assert min(steps.values()) > 1e-5, "the weights have moved by more than the tolerance"


PLAIN = (str, int, float, bool, type(None))


def foreign(value: object, place: str = "") -> Iterator[str]:
    """Yields the places of what is neither a plain value nor a tensor."""
    if type(value) in (dict, list, tuple):
        items = value.items() if isinstance(value, dict) else enumerate(cast("list[object]", value))
        for key, inner in items:
            if type(key) not in PLAIN:
                yield f"{place}: key {key!r}"
            yield from foreign(inner, f"{place}/{key}")
    elif type(value) is not torch.Tensor and type(value) not in PLAIN:
        yield f"{place}: {type(value)}"


class TestCheckpoint:
    @pytest.mark.parametrize("name", ["best", "last"])
    def test_it_holds_plain_values_and_tensors(self, name: str, whole: Fit) -> None:
        checkpoint = torch.load(whole.folder.path / "checkpoints" / f"{name}.ckpt", weights_only=True)
        # Torch's own state dicts are ordered dictionaries.
        checkpoint["state_dict"] = dict(checkpoint["state_dict"])
        assert list(foreign(checkpoint)) == []

    def test_the_walk_finds_what_is_foreign(self) -> None:
        planted = {"a": [1, {"b": Path()}], "c": np.float64(1), "d": (None, torch.zeros(1))}
        assert [text.split(":")[0] for text in foreign(planted)] == ["/a/1/b", "/c"]

    def test_names_of_files_need_no_quotes(self, whole: Fit) -> None:
        names = [path.name for path in whole.folder.path.rglob("*.ckpt")]
        assert sorted(names) == ["best.ckpt", "last.ckpt"]

    def test_it_opens_without_arguments_and_network(self, whole: Fit, monkeypatch: pytest.MonkeyPatch) -> None:
        def no_network(*_: object, **__: object) -> None:
            raise AssertionError("a checkpoint needs no network")

        monkeypatch.setattr(socket, "socket", no_network)
        opened = AnemiaClassifier.load_from_checkpoint(whole.folder.last)
        written = torch.load(whole.folder.last, weights_only=True)["state_dict"]
        assert written.keys() == opened.state_dict().keys()
        assert all(torch.equal(value, written[name]) for name, value in opened.state_dict().items())
        assert opened.hparams["preprocessing"]["size"] == 32


RULES = (
    WRITTEN_AFTER_EACH_EPOCH,
    "trainer.max_epochs=2",
    RELEASED_AT_1,
    "split.fractions={train: 0.4, val: 0.4, test: 0.2}",
    "evaluation.calibration=platt",
    "evaluation.coverage=0.6",
)
"""A run with as many validation photos as it takes to calibrate."""


@pytest.fixture(scope="module")
def decided(tiny_cfg: ComposeTiny, fit_only: FitOnly, tmp_path_factory: pytest.TempPathFactory) -> Fit:
    """A run of two epochs that has chosen how its model decides."""
    folder = tmp_path_factory.mktemp("decided") / "run"
    return fit_only(tiny_cfg(folder, *RULES, SNAPSHOTS), score=True)


class TestDecision:
    def test_the_best_model_carries_what_its_validation_photos_chose(self, decided: Fit) -> None:
        table = pd.read_csv(decided.folder.predictions("val")).sort_values("photo")
        rows = decided.datamodule.rows("val").sort_values("photo")
        # The logits of a table have nine digits, which is all of a float32.
        logits = table["logit"].to_numpy(np.float32)
        clusters = independent_groups(rows)
        chosen = fit_decision(table["label"], logits, scaling="platt", coverage=0.6, clusters=clusters)
        assert chosen.scaling.slope != 1
        assert AnemiaClassifier.load_from_checkpoint(decided.folder.best).decision == chosen
        assert Decision.from_dict(json.loads(decided.folder.decision.read_text())) == chosen

    def test_both_tables_hold_its_probabilities_and_predictions(self, decided: Fit) -> None:
        decision = AnemiaClassifier.load_from_checkpoint(decided.folder.best).decision
        for split in ("val", "test"):
            table = pd.read_csv(decided.folder.predictions(split))
            assert table["probability"].to_numpy() == pytest.approx(decision.probability(table["logit"]), rel=1e-6)
            assert (table["prediction"] == decision.decide(table["probability"])).all()
            scores = json.loads(decided.folder.metrics_json.read_text())[split]
            assert scores["acc"] == accuracy_score(table["label"], table["prediction"])
            assert scores["sensitivity"] == recall_score(table["label"], table["prediction"])

    def test_nothing_but_the_decision_was_added_to_the_checkpoint(self, decided: Fit) -> None:
        best = int(decided.card.content["best_epoch"])
        folder = decided.folder.path
        before = read_checkpoint(folder.with_name(f"run-after-{best}") / "checkpoints" / "best.ckpt")
        after = read_checkpoint(decided.folder.best)
        assert before["hyper_parameters"]["decision"] is None
        before["hyper_parameters"]["decision"] = after["hyper_parameters"]["decision"]
        assert list(differences(before, after)) == []
        assert read_checkpoint(decided.folder.last)["hyper_parameters"]["decision"] is None

    def test_last_decides_at_the_threshold_of_its_curves_and_says_so(self, decided: Fit) -> None:
        decision = AnemiaClassifier.load_from_checkpoint(decided.folder.last).decision
        assert (decision.threshold.value, decision.scaling) == (0.5, UNSCALED)
        assert decision.notes == [
            "Threshold: it is fixed at 0.5, since the model carries no decision made on validation photos."
        ]

    @pytest.mark.slow
    @pytest.mark.parametrize("step", ["carry_decision", "write_decision", "write_predictions"])
    def test_a_run_killed_while_it_decides_ends_alike(
        self, step: str, decided: Fit, tiny_cfg: ComposeTiny, fit_only: FitOnly, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder = decided.folder.path.with_name(f"killed-at-{step}")
        shutil.copytree(decided.folder.path.with_name("run-after-1"), folder)
        cfg = tiny_cfg(folder, *RULES, f"resume={folder}/checkpoints/last.ckpt")

        def kill(*_: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(finishing, step, kill)
            with pytest.raises(KeyboardInterrupt):
                fit_only(cfg, score=True)
        assert not (folder / "metrics.json").exists()
        fit_only(cfg, score=True)
        for name in ("decision.json", "predictions_val.csv", "predictions_test.csv", "metrics.json"):
            assert (folder / name).read_bytes() == (decided.folder.path / name).read_bytes()
        ours, theirs = (read_checkpoint(place / "checkpoints/best.ckpt") for place in (folder, decided.folder.path))
        assert ours["hyper_parameters"] == theirs["hyper_parameters"]
        assert list(differences(ours["state_dict"], theirs["state_dict"])) == []


class TestScores:
    def test_the_curves_at_the_best_epoch_are_scikit_learns_scores_of_the_predictions(self, whole: Fit) -> None:
        best = int(whole.card.content["best_epoch"])
        logged = pd.read_csv(whole.folder.metrics_csv).iloc[best]
        table = pd.read_csv(whole.folder.predictions("val"))
        label, probability = table["label"], expit(table["logit"])
        weight = np.array(whole.classifier.hparams["class_weights"])[label]
        expected = {
            "val/loss": log_loss(label, probability, sample_weight=weight),
            "val/acc": accuracy_score(label, probability >= 0.5),
            "val/auroc": roc_auc_score(label, probability),
            "val/sensitivity": recall_score(label, probability >= 0.5),
            "val/specificity": recall_score(label, probability >= 0.5, pos_label=0),
        }
        assert dict(logged[[*expected]]) == pytest.approx(expected, abs=1e-6)
        # Whatever calibration does to the probabilities.
        final = json.loads(whole.folder.metrics_json.read_text())["val"]
        assert (final["loss"], final["auroc"]) == pytest.approx((expected["val/loss"], expected["val/auroc"]), abs=1e-6)

    def test_the_best_epoch_is_the_one_with_the_lowest_loss(self, whole: Fit) -> None:
        losses = pd.read_csv(whole.folder.metrics_csv)["val/loss"]
        assert losses.nunique() == 5
        assert whole.card.content["best_epoch"] == losses.idxmin()

    def test_a_loss_that_is_no_number_stops_the_run_and_is_not_the_best(
        self, tiny_cfg: ComposeTiny, fit_only: FitOnly, tmp_path: Path
    ) -> None:
        fit_only(tiny_cfg(tmp_path, POISON), score=True)
        assert list(pd.read_csv(tmp_path / "metrics.csv")["val/loss"].isna()) == [False, True]
        card = json.loads((tmp_path / "run.json").read_text())
        assert card["stop_reason"] == "val/loss was not finite, so training has diverged"
        assert (card["best_epoch"], card["epochs"], card["status"]) == (0, 2, "finished")
        assert np.isfinite(pd.read_csv(tmp_path / "predictions_test.csv")["logit"]).all()


def together() -> dict[str, str]:
    """Returns the environment of processes that train together."""
    return {
        **os.environ,
        "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}",
        "OMP_NUM_THREADS": "1",
        # Not every machine finds its own name.
        "GLOO_SOCKET_IFNAME": "lo" if sys.platform == "linux" else "lo0",
    }


@pytest.fixture(scope="module")
def distributed(tiny_overrides: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a command with two processes has been run."""
    folder = tmp_path_factory.mktemp("distributed")
    watch = f"+callbacks.fingerprints={{_target_: {Path(__file__).stem}.Fingerprints, folder: '{folder}'}}"
    command = [sys.executable, "-m", "anemia_lightning.train", *tiny_overrides, *SMOOTH, watch]
    ended = subprocess.run(
        [*command, "trainer=ddp_cpu", "trainer.devices=2"],
        cwd=folder,
        env=together(),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert "Traceback" not in ended.stderr
    return folder


@pytest.mark.slow
@pytest.mark.usefixtures("real_networks")
class TestSeveralProcesses:
    def test_all_have_the_same_weights_after_every_epoch(self, distributed: Path) -> None:
        first, second = fingerprints(distributed, 0), fingerprints(distributed, 1)
        assert list(first) == ["start", "0", "1", "2", "3"]
        assert first == second
        layer4 = of_stage(first, "backbone.layer4")
        assert moved(first, "0", "1") == of_stage(first, "head")
        assert moved(first, "1", "2") == of_stage(first, "head") | (layer4 - statistics(layer4))

    def test_there_is_one_run_and_it_scores_each_photo_once(self, distributed: Path) -> None:
        (run,) = (distributed / "logs" / "train" / "runs").iterdir()
        assert {path.name for path in (distributed / "logs").rglob("*.ckpt")} == {"best.ckpt", "last.ckpt"}
        splits = pd.read_csv(run / "splits.csv")
        for split in ("val", "test"):
            scored = pd.read_csv(run / f"predictions_{split}.csv")["photo"]
            assert sorted(scored) == sorted(splits.loc[splits["split"] == split, "photo"])
        card = json.loads((run / "run.json").read_text())
        assert [session["processes"] for session in card["sessions"]] == [2]
        assert card["status"] == "finished"

    def test_a_signal_ends_them_all(self, tiny_overrides: list[str], tmp_path: Path) -> None:
        many = ["trainer.max_epochs=300", "callbacks.early_stopping=null", "trainer=ddp_cpu", "trainer.devices=2"]
        command = [sys.executable, "-m", "anemia_lightning.train", *tiny_overrides, *many]
        out, err = subprocess.DEVNULL, subprocess.PIPE
        process = subprocess.Popen(
            command, cwd=tmp_path, env=together(), start_new_session=True, stdout=out, stderr=err, text=True
        )
        try:
            deadline = time.monotonic() + 120
            while not (tmp_path / "logs" / "train" / "latest" / "metrics.csv").is_file():
                assert time.monotonic() < deadline
                time.sleep(0.05)
            process.terminate()
            # Which ends when nobody holds the pipe any more.
            _, errors = process.communicate(timeout=60)
            assert process.returncode == 143, errors
            assert "Continue with resume=last." in errors
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)

    def test_the_result_is_that_of_one_process(
        self, distributed: Path, tiny_cfg: ComposeTiny, fit_only: FitOnly, tmp_path: Path
    ) -> None:
        (run,) = (distributed / "logs" / "train" / "runs").iterdir()
        alone = fit_only(tiny_cfg(tmp_path, *SMOOTH))
        together = read_checkpoint(run / "checkpoints" / "last.ckpt")["state_dict"]
        for name, value in alone.classifier.state_dict().items():
            torch.testing.assert_close(together[name], value, rtol=1e-4, atol=1e-6, msg=name)
        one, two = (pd.read_csv(path / "metrics.csv") for path in (tmp_path, run))
        pd.testing.assert_frame_equal(one, two, rtol=1e-4, atol=1e-6)
