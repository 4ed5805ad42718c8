"""The LightningModule: its loss, its curves, its checkpoint."""

import copy
import socket
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import lightning as L
import numpy as np
import pytest
import torch
from lightning.pytorch.plugins.precision import MixedPrecision
from sklearn.metrics import accuracy_score, log_loss, recall_score, roc_auc_score
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader

from anemia_lightning.command_line.terminal import quiet
from anemia_lightning.contracts import Batch, Entry
from anemia_lightning.metrics.decision import Decision
from anemia_lightning.metrics.scaling import UNSCALED
from anemia_lightning.metrics.thresholds import Threshold
from anemia_lightning.model.classifier import AnemiaClassifier, load_classifier
from anemia_lightning.model.schedule import Cosine, Plateau
from anemia_lightning.randomness import dropout_keep

DrawBatch = Callable[..., Batch]


def trainer(epochs: int = 1, **settings: Any) -> L.Trainer:
    quiet()
    return L.Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        **settings,
    )


def loader(batches: Sequence[Batch]) -> "DataLoader[Batch]":
    return DataLoader(batches, batch_size=None, collate_fn=lambda batch: batch)  # type: ignore[arg-type]


class Gradients(L.Callback):
    """Keeps the gradients of the last step before the optimizer uses them."""

    def __init__(self) -> None:
        self.kept: dict[str, Tensor] = {}

    def on_before_optimizer_step(
        self, trainer: L.Trainer, pl_module: L.LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        self.kept = {n: p.grad.clone() for n, p in pl_module.named_parameters() if p.grad is not None}


def plain_loss(classifier: AnemiaClassifier, batch: Batch, pooled: Tensor, epoch: int) -> Tensor:
    """The loss written by hand: two linear layers, a mask that is given, torch's own weighted cross-entropy."""
    head, settings = classifier.network.head, classifier.hparams
    mask = dropout_keep(batch.photo, settings["hidden"], settings["dropout"], seed=settings["seed"], epoch=epoch)
    hidden = functional.relu(pooled @ head.hidden.weight.T + head.hidden.bias)
    hidden = torch.where(torch.from_numpy(mask), hidden / (1 - settings["dropout"]), 0.0)
    logits = hidden @ head.output.weight.T + head.output.bias
    return functional.cross_entropy(logits, batch.label, weight=torch.tensor(settings["class_weights"]))


def test_the_gradient_is_that_of_torchs_weighted_cross_entropy(
    classifier_settings: dict[str, Any], draw_batch: DrawBatch
) -> None:
    batch, gradients = draw_batch(), Gradients()
    classifier = AnemiaClassifier(**classifier_settings)
    reference = AnemiaClassifier(**classifier_settings)
    trainer(callbacks=[gradients]).fit(classifier, loader([batch]), loader([batch]))
    plain_loss(reference, batch, batch.values, epoch=0).backward()  # type: ignore[no-untyped-call]

    expected = {n: p.grad for n, p in reference.named_parameters() if p.grad is not None}
    assert (
        gradients.kept.keys()
        == expected.keys()
        == {f"network.head.{n}" for n, _ in reference.network.head.named_parameters()}
    )
    for name, gradient in expected.items():
        torch.testing.assert_close(gradients.kept[name], gradient, rtol=1e-5, atol=1e-7)


def test_with_layer4_released_its_gradient_is_autograds_own(
    classifier_settings: dict[str, Any], draw_batch: DrawBatch
) -> None:
    batch, gradients = draw_batch(entry="image"), Gradients()
    classifier = AnemiaClassifier(**classifier_settings)
    reference = AnemiaClassifier(**classifier_settings)
    for module in (classifier, reference):
        module.network.release("layer4")
    trainer(callbacks=[gradients]).fit(classifier, loader([batch]), loader([batch]))
    backbone = reference.network.backbone.eval().requires_grad_()
    plain_loss(reference, batch, backbone(batch.values), epoch=0).backward()  # type: ignore[no-untyped-call]

    trained = {name for name in gradients.kept if "layer4" in name}
    assert len(trained) == 15
    for name, gradient in gradients.kept.items():
        expected = reference.get_parameter(name).grad
        assert expected is not None
        torch.testing.assert_close(gradient, expected, rtol=1e-4, atol=1e-6)


def cut(batch: Batch, parts: int) -> list[Batch]:
    """Deals a step's photos to micro-batches, of unequal class counts."""
    return [
        batch._replace(photo=batch.photo[part::parts], label=batch.label[part::parts], values=batch.values[part::parts])
        for part in range(parts)
    ]


@pytest.mark.parametrize("parts", [2, 4])
def test_accumulated_parts_give_the_step_of_the_whole(
    parts: int, classifier_settings: dict[str, Any], draw_batch: DrawBatch
) -> None:
    steps = [draw_batch(12, seed=seed) for seed in range(3)]
    weights = []
    for batches, accumulate in ((steps, 1), ([part for step in steps for part in cut(step, parts)], parts)):
        settings = {**classifier_settings, "optimizer": partial(torch.optim.SGD, lr=0.1)}
        classifier = AnemiaClassifier(**settings)
        trainer(epochs=2, accumulate_grad_batches=accumulate).fit(classifier, loader(batches), loader(batches))
        weights.append(classifier.state_dict())
    for name, whole in weights[0].items():
        torch.testing.assert_close(weights[1][name], whole, rtol=1e-5, atol=1e-6)
    # A mean of the parts' own means would be another step: the classes are not spread evenly.
    assert len({tuple(torch.bincount(part.label, minlength=2).tolist()) for part in cut(steps[0], parts)}) > 1


class Held(L.Callback):
    """Notes after each batch whether any gradient is still held."""

    def __init__(self) -> None:
        self.notes: list[bool] = []

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: object) -> None:
        self.notes.append(any(p.grad is not None for p in pl_module.parameters()))


@pytest.mark.parametrize(("accumulate", "expected"), [(1, [False] * 4), (2, [True, False] * 2)])
def test_gradients_are_held_until_their_step_and_no_longer(
    accumulate: int, expected: list[bool], classifier_settings: dict[str, Any], draw_batch: DrawBatch
) -> None:
    batches, held = [draw_batch(seed=seed) for seed in range(4)], Held()
    classifier = AnemiaClassifier(**classifier_settings)
    trainer(callbacks=[held], accumulate_grad_batches=accumulate).fit(classifier, loader(batches), loader(batches))
    assert held.notes == expected


class Probabilities(L.Callback):
    """Keeps what the curves are computed from."""

    def __init__(self) -> None:
        self.values: dict[str, float] = {}

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.values = {name: float(value) for name, value in trainer.callback_metrics.items()}


def test_the_curves_of_an_epoch_are_scikit_learns_whatever_the_batches(
    classifier_settings: dict[str, Any], draw_batch: DrawBatch
) -> None:
    curves = Probabilities()
    classifier = AnemiaClassifier(**{**classifier_settings, "threshold": 0.45})
    batches = [draw_batch(6, seed=1), draw_batch(7, seed=2), draw_batch(2, seed=3)]
    trainer(callbacks=[curves]).fit(classifier, loader(batches), loader(batches))

    label = np.concatenate([batch.label for batch in batches])
    with torch.no_grad():
        probability = torch.cat([classifier(batch).softmax(1)[:, 1] for batch in batches]).double().numpy()
    weight = np.array(classifier_settings["class_weights"])[label]
    decision = probability >= 0.45
    assert 0 < decision.sum() < len(decision)
    expected = {
        "val/loss": log_loss(label, probability, sample_weight=weight),
        "val/acc": accuracy_score(label, decision),
        "val/auroc": roc_auc_score(label, probability),
        "val/sensitivity": recall_score(label, decision),
        "val/specificity": recall_score(label, decision, pos_label=0),
    }
    assert {name: curves.values[name] for name in expected} == pytest.approx(expected, abs=1e-6)


def test_the_seeds_epoch_loss_is_the_mean_of_batch_means(
    classifier_settings: dict[str, Any], draw_batch: DrawBatch
) -> None:
    curves = Probabilities()
    classifier = AnemiaClassifier(**{**classifier_settings, "epoch_loss": "batch_mean"})
    batches = [draw_batch(6, seed=1), draw_batch(7, seed=2), draw_batch(2, seed=3)]
    trainer(callbacks=[curves]).fit(classifier, loader(batches), loader(batches))
    weight = torch.tensor(classifier_settings["class_weights"])
    with torch.no_grad():
        means = [float(functional.cross_entropy(classifier(b), b.label, weight=weight)) for b in batches]
    assert curves.values["val/loss"] == pytest.approx(sum(means) / 3, abs=1e-6)


def test_the_schedule_steps_before_others_see_the_end_of_the_epoch(
    classifier_settings: dict[str, Any], draw_batch: DrawBatch
) -> None:
    rates = []

    class Checkpointing(L.pytorch.callbacks.Checkpoint):
        def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
            rates.append(trainer.optimizers[0].param_groups[0]["lr"])

    classifier_settings["schedule"] = partial(Cosine, epochs=2, min_lr=0.0)
    quiet()
    fitting = L.Trainer(
        accelerator="cpu",
        max_epochs=2,
        callbacks=[Checkpointing()],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    batches = loader([draw_batch()])
    fitting.fit(AnemiaClassifier(**classifier_settings), batches, batches)
    # A checkpoint that is written here holds the rates of the epoch to come, once and not twice stepped.
    assert rates == pytest.approx([0.005, 0.0])


def test_groups_are_named_and_have_their_factors(classifier_settings: dict[str, Any]) -> None:
    classifier = AnemiaClassifier(**classifier_settings)
    configured = cast("dict[str, Any]", classifier.configure_optimizers())
    groups = {group["name"]: group for group in configured["optimizer"].param_groups}
    assert list(groups) == ["head", "layer4", "trunk"]
    assert [group["lr"] for group in groups.values()] == pytest.approx([0.01, 0.001, 0.0001])
    assert sum(len(group["params"]) for group in groups.values()) == len(list(classifier.parameters()))
    assert isinstance(configured["lr_scheduler"]["scheduler"], Plateau)
    assert configured["lr_scheduler"]["monitor"] == "val/loss"


def test_one_that_only_predicts_says_what_training_lacks(classifier_settings: dict[str, Any]) -> None:
    classifier = AnemiaClassifier(**{**classifier_settings, "optimizer": None})
    with pytest.raises(TypeError, match="needs an optimizer and a schedule"):
        classifier.configure_optimizers()


@pytest.mark.parametrize("entry", ["image", "layer3", "pooled"])
def test_a_prediction_is_the_difference_of_the_outputs_without_dropout(
    entry: Entry, classifier_settings: dict[str, Any], draw_batch: DrawBatch
) -> None:
    classifier = AnemiaClassifier(**classifier_settings).eval()
    batch = draw_batch(4, entry=entry)
    (predicted,) = cast("list[Any]", trainer().predict(classifier, loader([batch])))
    with torch.no_grad():
        logits = classifier(batch)
    assert predicted.photo == batch.photo
    assert predicted.logit.dtype == torch.float32
    torch.testing.assert_close(predicted.logit, logits[:, 1] - logits[:, 0], rtol=0, atol=0)


@pytest.fixture
def checkpoint(classifier_settings: dict[str, Any], draw_batch: DrawBatch, tmp_path: Path) -> Path:
    fitting = trainer()
    fitting.fit(AnemiaClassifier(**classifier_settings), loader([draw_batch()]), loader([draw_batch()]))
    fitting.save_checkpoint(tmp_path / "model.ckpt")
    return tmp_path / "model.ckpt"


def test_a_checkpoint_alone_gives_the_same_logits(
    checkpoint: Path, draw_batch: DrawBatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_network(*_: object, **__: object) -> None:
        raise AssertionError("a checkpoint needs no network")

    monkeypatch.setattr(socket, "socket", no_network)
    first = AnemiaClassifier.load_from_checkpoint(checkpoint).eval()
    plain = AnemiaClassifier.load_from_checkpoint(checkpoint, weights_only=True).eval()
    batch = draw_batch(entry="image", seed=5)
    with torch.no_grad():
        for other in (plain, load_classifier(checkpoint).eval()):
            torch.testing.assert_close(first(batch), other(batch), rtol=0, atol=0)
    saved = torch.load(checkpoint, weights_only=True)
    assert first.state_dict().keys() == saved["state_dict"].keys()
    assert all(torch.equal(saved["state_dict"][name], value) for name, value in first.state_dict().items())
    assert first.class_weights.tolist() == [0.75, 1.5]


def test_a_checkpoint_is_read_once(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[object] = []
    load = torch.load

    def count(file: Path, **options: Any) -> Any:
        reads.append(file)
        return load(file, **options)

    monkeypatch.setattr(torch, "load", count)
    load_classifier(checkpoint)
    assert reads == [checkpoint]


def test_class_weights_are_no_part_of_the_weights(checkpoint: Path) -> None:
    saved = torch.load(checkpoint, weights_only=True)
    assert {name.split(".")[0] for name in saved["state_dict"]} == {"network"}
    assert saved["hyper_parameters"]["class_weights"] == [0.75, 1.5]
    assert "optimizer" not in saved["hyper_parameters"]
    assert "schedule" not in saved["hyper_parameters"]


def test_a_decision_comes_back_from_the_settings(classifier_settings: dict[str, Any], checkpoint: Path) -> None:
    carried = Decision(UNSCALED, Threshold(0.3, "youden", reached=True, note=""), None, photos=40, anaemic=20)
    assert AnemiaClassifier(**classifier_settings, decision=carried.to_dict()).decision == carried
    none = AnemiaClassifier.load_from_checkpoint(checkpoint).decision
    assert (none.threshold.value, none.scaling, none.conformal) == (0.5, UNSCALED, None)
    assert none.notes == [
        "Threshold: it is fixed at 0.5, since the model carries no decision made on validation photos."
    ]


@pytest.fixture
def fused_adam(classifier_settings: dict[str, Any]) -> AnemiaClassifier:
    return AnemiaClassifier(**{**classifier_settings, "optimizer": partial(torch.optim.Adam, lr=1e-3, fused=True)})


class Steps(L.Callback):
    """Keeps the norm of the gradients with which each step is made."""

    def __init__(self) -> None:
        self.norms: list[float] = []

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        trainer.optimizers[0].register_step_post_hook(self._note)

    def _note(self, optimizer: torch.optim.Optimizer, *_: object) -> None:
        gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        self.norms.append(float(torch.nn.utils.get_total_norm(gradients)))


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_gradients_of_a_fused_optimizer_are_clipped(
    precision: str, fused_adam: AnemiaClassifier, draw_batch: DrawBatch
) -> None:
    steps = Steps()
    fitting = trainer(precision=precision, gradient_clip_val=1e-3, callbacks=[steps])
    fitting.fit(fused_adam, loader([draw_batch(seed=seed) for seed in range(3)]), loader([draw_batch()]))
    assert steps.norms == pytest.approx([1e-3] * 3, rel=0.01)


def test_gradients_in_fp16_are_shown_as_they_are(fused_adam: AnemiaClassifier, draw_batch: DrawBatch) -> None:
    found = {}
    for name, plugins in {"32": [], "16": [MixedPrecision("16-mixed", "cpu")]}.items():
        gradients = Gradients()
        fitting = trainer(callbacks=[gradients], plugins=plugins)
        fitting.fit(copy.deepcopy(fused_adam), loader([draw_batch()]), loader([draw_batch()]))
        found[name] = gradients.kept
    for name, gradient in found["32"].items():
        torch.testing.assert_close(found["16"][name].float(), gradient, rtol=0.05, atol=1e-3)
