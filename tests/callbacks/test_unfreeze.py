"""What trains when, and what a release does once."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import lightning as L
import pytest
import torch
from torch.utils.data import DataLoader

from anemia_lightning.callbacks.checkpoint import BestAndLastCheckpoint, DurableCheckpointIO
from anemia_lightning.callbacks.early_stopping import EarlyStopping
from anemia_lightning.callbacks.unfreeze import Phase, StagedUnfreezing
from anemia_lightning.command_line.terminal import quiet
from anemia_lightning.contracts import Batch
from anemia_lightning.model.classifier import AnemiaClassifier
from anemia_lightning.model.schedule import Constant, Cosine, Plateau, PlateauCosine

LAYER4_AT_3 = [Phase(epoch=3, train_from="layer4")]
# With patience 0 the plateau halves the rates after every epoch that is no better than the best.
RISING = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]


class Scripted(AnemiaClassifier):
    """Logs a val/loss that was given in advance."""

    script: Sequence[float] = ()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self.log("val/loss", torch.tensor(self.script[self.current_epoch]), batch_size=1, logger=False)


class Notes(L.Callback):
    """Notes, at the first step of each epoch, what trains and what the counters say."""

    def __init__(self, early_stopping: EarlyStopping) -> None:
        self._early_stopping = early_stopping
        self.train_from: list[str] = []
        self.head_rate: list[float] = []
        self.layer4_rate: list[float] = []
        self.bad_epochs: list[int] = []
        self.waited: list[int] = []
        self.best: list[float] = []

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        classifier = cast("AnemiaClassifier", pl_module)
        groups = {group["name"]: group["lr"] for group in trainer.optimizers[0].param_groups}
        self.train_from.append(classifier.network.train_from)
        self.head_rate.append(groups["head"])
        self.layer4_rate.append(groups["layer4"])
        self.bad_epochs.append(getattr(classifier.schedule, "num_bad_epochs", 0))
        self.waited.append(self._early_stopping.wait_count)
        self.best.append(float(self._early_stopping.best_score))


class Fit:
    """Fits a classifier through a script of validation losses."""

    def __init__(self, settings: dict[str, Any], draw_batch: Callable[..., Batch], folder: Path) -> None:
        self.settings = settings
        self._draw_batch = draw_batch
        self.folder = folder

    def __call__(
        self,
        script: Sequence[float],
        phases: Sequence[Phase],
        *,
        restart: bool = True,
        patience: int = 9,
        entry: str = "layer3",
        epochs: int | None = None,
        resume: bool = False,
    ) -> Notes:
        quiet()
        classifier = Scripted(**self.settings)
        classifier.script = script
        early_stopping = EarlyStopping(monitor="val/loss", patience=patience, check_on_train_epoch_end=True)
        notes = Notes(early_stopping)
        keep = [BestAndLastCheckpoint(self.folder, monitor="val/loss", mode="min")] if epochs or resume else []
        trainer = L.Trainer(
            accelerator="cpu",
            max_epochs=epochs or len(script),
            callbacks=[notes, StagedUnfreezing(phases, restart_at_release=restart), early_stopping, *keep],
            plugins=[DurableCheckpointIO()],
            logger=False,
            enable_checkpointing=bool(keep),
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
        )
        # One batch an epoch: the data set is a list of batches.
        batches = DataLoader([self._draw_batch(entry=entry)], batch_size=None)  # type: ignore[arg-type, var-annotated]
        trainer.fit(classifier, batches, batches, ckpt_path=keep[0].last if resume else None, weights_only=True)
        return notes


@pytest.fixture
def fit(classifier_settings: dict[str, Any], draw_batch: Callable[..., Batch], tmp_path: Path) -> Fit:
    return Fit(classifier_settings, draw_batch, tmp_path)


@pytest.mark.parametrize(
    ("phases", "trained"),
    [
        ([], ["head"] * 4),
        ([Phase(epoch=0, train_from="layer4")], ["layer4"] * 4),
        ([Phase(epoch=2, train_from="layer4")], ["head", "head", "layer4", "layer4"]),
        (
            [Phase(epoch=1, train_from="layer4"), Phase(epoch=3, train_from="layer2")],
            ["head", "layer4", "layer4", "layer2"],
        ),
    ],
)
def test_what_trains_is_a_function_of_the_epoch(phases: list[Phase], trained: list[str], fit: Fit) -> None:
    assert fit([4.0, 3.0, 2.0, 1.0], phases, entry="image").train_from == trained


def test_a_release_starts_schedule_and_early_stopping_afresh(fit: Fit) -> None:
    notes = fit([1.0, 2.0, 3.0, 4.0, 5.0], LAYER4_AT_3)
    assert notes.waited == [0, 0, 1, 0, 0]
    assert notes.best == [math.inf, 1.0, 1.0, math.inf, 4.0]
    # Counted with patience, or else every bad epoch empties the counter at once.
    fit.settings["schedule"] = lambda optimizer: Plateau(optimizer, patience=4)
    assert fit([1.0, 2.0, 3.0, 4.0, 5.0], LAYER4_AT_3).bad_epochs == [0, 0, 1, 0, 1]


def test_without_restart_a_release_changes_no_counter(fit: Fit) -> None:
    fit.settings["schedule"] = lambda optimizer: Plateau(optimizer, patience=4)
    notes = fit([1.0, 2.0, 3.0, 4.0, 5.0], LAYER4_AT_3, restart=False)
    assert notes.train_from == ["head"] * 3 + ["layer4"] * 2
    assert notes.waited == notes.bad_epochs == [0, 0, 1, 2, 3]
    assert notes.best == [math.inf, 1.0, 1.0, 1.0, 1.0]


@pytest.mark.parametrize("restart", [True, False])
def test_what_is_released_starts_at_its_rate_and_the_head_keeps_its_own(restart: bool, fit: Fit) -> None:
    notes = fit(RISING, LAYER4_AT_3, restart=restart)
    # The plateau's best value stays, so that the epochs after the release are bad ones too.
    assert notes.head_rate == [0.01, 0.01, 0.005, 0.0025, 0.00125, 0.000625]
    assert notes.layer4_rate[3:] == pytest.approx([0.001, 0.0005, 0.00025], rel=1e-12)


@pytest.mark.parametrize("restart", [True, False])
@pytest.mark.parametrize(
    "schedule",
    [Constant, partial(Cosine, epochs=6), partial(PlateauCosine, first_cycle=4)],
    ids=["constant", "cosine", "plateau_cosine"],
)
def test_what_is_released_has_the_share_of_its_rate_that_the_head_has(restart: bool, schedule: Any, fit: Fit) -> None:
    fit.settings["schedule"] = schedule
    notes = fit(RISING, LAYER4_AT_3, restart=restart)
    assert notes.layer4_rate == pytest.approx([rate / 10 for rate in notes.head_rate], rel=1e-12)


def test_no_run_stops_before_the_release(fit: Fit) -> None:
    assert len(fit([1.0, *[2.0] * 9], LAYER4_AT_3, patience=2).train_from) == 6, "2 is the best after the release"
    assert len(fit([1.0, *[2.0] * 9], LAYER4_AT_3, patience=2, restart=False).train_from) == 4
    assert len(fit([1.0, *[2.0] * 9], [], patience=2).train_from) == 3, "nothing to wait for"


def test_a_resumed_run_releases_once(fit: Fit) -> None:
    whole = fit(RISING, LAYER4_AT_3)
    for epochs in (2, 3, 4):
        first = fit(RISING, LAYER4_AT_3, epochs=epochs)
        second = fit(RISING, LAYER4_AT_3, resume=True)
        for name in ("train_from", "head_rate", "layer4_rate", "bad_epochs", "waited", "best"):
            assert getattr(first, name) + getattr(second, name) == getattr(whole, name), (epochs, name)


@pytest.mark.parametrize(
    ("processes", "phases", "watched"),
    [(1, LAYER4_AT_3, {"head"}), (2, LAYER4_AT_3, {"head", "layer4"}), (2, [], {"head"})],
)
def test_with_several_processes_what_will_train_is_watched_from_the_start(
    processes: int, phases: list[Phase], watched: set[str], classifier_settings: dict[str, Any]
) -> None:
    classifier = AnemiaClassifier(**classifier_settings)
    trainer = cast("L.Trainer", SimpleNamespace(world_size=processes))
    StagedUnfreezing(phases, restart_at_release=True).setup(trainer, classifier, "fit")
    groups = dict(classifier.network.parameter_groups())
    assert {name for name, params in groups.items() if all(param.requires_grad for param in params)} == watched
    assert {name for name, params in groups.items() if any(param.requires_grad for param in params)} == watched
    assert classifier.network.train_from == "head"


def test_scoring_leaves_the_network_as_it_is(classifier_settings: dict[str, Any]) -> None:
    classifier = AnemiaClassifier(**classifier_settings)
    classifier.network.release("layer4")
    StagedUnfreezing(LAYER4_AT_3, restart_at_release=True).setup(L.Trainer(logger=False), classifier, "predict")
    assert classifier.network.train_from == "layer4"


def test_its_state_is_plain(fit: Fit) -> None:
    callback = StagedUnfreezing(LAYER4_AT_3, restart_at_release=True)
    assert (callback.state_dict(), callback.last_release) == ({"released": []}, 3)
    assert StagedUnfreezing([], restart_at_release=True).last_release == 0
