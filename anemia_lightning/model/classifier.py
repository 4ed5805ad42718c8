"""The LightningModule: network, weighted loss, optimizer, schedule and the epoch's curves."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

import lightning as L
import torch
from lightning.pytorch.core.optimizer import LightningOptimizer
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor
from torch.nn import functional
from torch.optim import Optimizer
from torchmetrics import MetricCollection

from anemia_lightning.contracts import Batch
from anemia_lightning.errors import CheckpointUnreadableError
from anemia_lightning.files.checkpoint_file import read_checkpoint
from anemia_lightning.metrics.collection import WeightedLoss, epoch_metrics
from anemia_lightning.metrics.decision import Decision
from anemia_lightning.model.backbone import AnemiaNetwork
from anemia_lightning.model.finished import carried_decision
from anemia_lightning.model.schedule import EpochSchedule
from anemia_lightning.model.step_graphs import StepGraphs
from anemia_lightning.randomness import dropout_keep

OptimizerFactory = Callable[[list[dict[str, Any]]], Optimizer]
ScheduleFactory = Callable[[Optimizer], EpochSchedule]


class Predictions(NamedTuple):
    """What `predict_step` returns for a batch."""

    photo: tuple[str, ...]
    logit: Tensor
    """float32 [B]: output for label 1 minus output for label 0."""


class AnemiaClassifier(L.LightningModule):
    """Tells anaemia from an image, a layer3 map or a pooled vector.

    The network starts from random weights; a command loads others into it. So a checkpoint opens without
    any file or network beside it. Frozen stages run in eval mode and without gradients.

    Args:
        backbone: Name of a torchvision ResNet.
        hidden: Width of the head's hidden layer.
        dropout: Chance of a hidden unit to be dropped, in [0, 1).
        batchnorm: Whether the statistics of released BatchNorm layers stay `frozen` or `train`.
        frozen_batchnorm: Mode of BatchNorm in frozen stages; `train` reproduces loops that forget to freeze it.
        class_weights: Weight of labels 0 and 1 in the loss.
        epoch_loss: Whether an epoch's loss is that of the data set or, as some loops have it, the mean of its batches.
        threshold: Probability from which the curves of training call a photo anaemic. Finished models carry a decision.
        learning_rate_factors: Factor on the optimizer's learning rate for head, layer4 and trunk.
        init_seed: Of the backbone's random weights.
        seed: Of the head's start and the dropout masks.
        preprocessing: How photographs become images, in plain values: carried, so that a checkpoint alone suffices.
        monitor: The value that the schedule watches.
        decision: What turns a finished model's logits into decisions, as `Decision.to_dict` gives it: written into the
            best checkpoint once it is chosen; None before that.
        optimizer: Builds the optimizer from named parameter groups; not needed to predict.
        schedule: Builds the learning-rate schedule; not needed to predict.
    """

    class_weights: Tensor
    """float32 [2]: weights of labels 0 and 1."""

    def __init__(
        self,
        *,
        backbone: str,
        hidden: int,
        dropout: float,
        batchnorm: Literal["frozen", "train"],
        frozen_batchnorm: Literal["eval", "train"],
        class_weights: Sequence[float],
        epoch_loss: Literal["dataset", "batch_mean"],
        threshold: float = 0.5,
        learning_rate_factors: Mapping[str, float],
        init_seed: int,
        seed: int,
        preprocessing: Mapping[str, Any],
        monitor: str = "val/loss",
        decision: Mapping[str, Any] | None = None,
        optimizer: OptimizerFactory | None = None,
        schedule: ScheduleFactory | None = None,
    ) -> None:
        super().__init__()
        self.save_hyperparameters(ignore=["optimizer", "schedule"], logger=False)
        self.network = AnemiaNetwork(
            backbone=backbone,
            hidden=hidden,
            dropout=dropout,
            batchnorm=batchnorm,
            frozen_batchnorm=frozen_batchnorm,
            init_seed=init_seed,
            head_seed=seed,
        )
        self._optimizer_factory = optimizer
        self._schedule_factory = schedule
        # Not persistent: the weights are in the hyperparameters, and a checkpoint needs no loss to load.
        self.register_buffer("class_weights", torch.tensor(list(class_weights)), persistent=False)
        self.train_loss = WeightedLoss()
        self.val_loss = WeightedLoss()
        self.train_metrics = epoch_metrics("train/", threshold=threshold)
        self.val_metrics = epoch_metrics("val/", threshold=threshold)
        self._logged: set[str] = set()
        self.cuda_graphs = False
        """Whether training steps are recorded and replayed where that is possible; a command says so."""
        self._step_graphs: StepGraphs | None = None

    def forward(self, batch: Batch, keep: Tensor | None = None) -> Tensor:
        """Returns the logits of both labels, float32 [B, 2]."""
        return cast("Tensor", self.network(batch.values, entry=batch.entry, keep=keep))

    def on_fit_start(self) -> None:
        """Prepares to replay steps, on one GPU: gradients that are shared or accumulated cannot be replayed."""
        is_alone = self.trainer.world_size == 1 and self.trainer.accumulate_grad_batches == 1
        stand_still = self.hparams["batchnorm"] == "frozen" and self.hparams["frozen_batchnorm"] == "eval"
        if self.cuda_graphs and self.device.type == "cuda" and is_alone and stand_still:
            self._step_graphs = StepGraphs(self.network)

    def on_fit_end(self) -> None:
        """Gives the memory of recorded steps back."""
        self._step_graphs = None

    def on_train_epoch_start(self) -> None:
        """Begins new curves."""
        self._logged.discard("train")

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Returns the batch's share of the loss of the whole optimizer step, Σ w·l / Σ w."""
        logits = self._step(batch, self._dropout(batch))
        losses, weights = self._record(self.train_loss, self.train_metrics, logits, batch.label)
        self._log_curves("train", self.train_loss, self.train_metrics)
        step_weight = (self.class_weights * batch.step_label_counts).sum()
        # Lightning averages over ranks and accumulated batches; the loss of the step is a sum over them.
        parts = self.trainer.world_size * self.trainer.accumulate_grad_batches
        return (weights * losses).sum() * parts / step_weight

    def on_validation_epoch_start(self) -> None:
        """Begins new curves."""
        self._logged.discard("val")

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Adds a batch to the epoch's curves."""
        logits = self(batch)
        self._record(self.val_loss, self.val_metrics, logits, batch.label)
        self._log_curves("val", self.val_loss, self.val_metrics)

    def predict_step(self, batch: Batch, batch_idx: int) -> Predictions:
        """Returns the logit of each photo of a batch."""
        return Predictions(batch.photo, _logit(self(batch)))

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Builds the optimizer over the groups head, layer4 and trunk, and the schedule."""
        if self._optimizer_factory is None or self._schedule_factory is None:
            msg = "a classifier that is to be trained needs an optimizer and a schedule"
            raise TypeError(msg)
        optimizer = self._optimizer_factory(
            [{"params": params, "name": name} for name, params in self.network.parameter_groups()]
        )
        # Fused ones would undo the scaling of fp16 in their step. Lightning then refuses to clip gradients, in any
        # precision, and shows callbacks those of fp16 as they were scaled.
        optimizer._step_supports_amp_scaling = False  # type: ignore[attr-defined]  # noqa: SLF001  torch has no public way
        for group in optimizer.param_groups:
            group["lr"] *= self.hparams["learning_rate_factors"][group["name"]]
        schedule = self._schedule_factory(optimizer)
        return cast(
            "OptimizerLRSchedulerConfig",
            {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "monitor": self.hparams["monitor"]}},
        )

    def optimizer_step(
        self,
        epoch: int,
        batch_idx: int,
        optimizer: Optimizer | LightningOptimizer,
        optimizer_closure: Callable[[], Any] | None = None,
    ) -> None:
        """Steps, and frees the gradients at once.

        Lightning frees them amid the next step, between its forward and its backward pass. The heap then never comes
        to rest: on a CPU it grew by half a megabyte with every step of layer4 while no more of it was in use.
        """
        super().optimizer_step(epoch, batch_idx, optimizer, optimizer_closure)
        optimizer.zero_grad()

    def lr_scheduler_step(self, scheduler: object, metric: object) -> None:
        """Does nothing: Lightning steps after the epoch's checkpoint, and a resumed run would lose that step."""

    def on_train_epoch_end(self) -> None:
        """Steps the schedule with the epoch's value, before the checkpoint is written."""
        if self.hparams["monitor"] in self.trainer.callback_metrics:
            self.schedule.step(float(self.trainer.callback_metrics[self.hparams["monitor"]]))

    @property
    def decision(self) -> Decision:
        """The decision that the model carries; see `carried_decision`."""
        return carried_decision(self.hparams)

    @property
    def schedule(self) -> EpochSchedule:
        """The learning-rate schedule of the running fit."""
        return cast("EpochSchedule", self.lr_schedulers())

    def release(self, stage: str) -> None:
        """Trains the network from `stage` on, newly released groups at the learning rate that the schedule says."""
        optimizer = cast("Optimizer", self.optimizers(use_pl_optimizer=False))
        frozen = [group for group in optimizer.param_groups if not self.network.trains(group["name"])]
        self.network.release(stage)
        self.schedule.release([group for group in frozen if self.network.trains(group["name"])])

    def _step(self, batch: Batch, keep: Tensor) -> Tensor:
        if self._step_graphs is None:
            return cast("Tensor", self(batch, keep=keep))
        return self._step_graphs(batch.values, batch.entry, keep)

    def _dropout(self, batch: Batch) -> Tensor:
        keep = dropout_keep(
            batch.photo,
            self.hparams["hidden"],
            self.hparams["dropout"],
            seed=self.hparams["seed"],
            epoch=self.current_epoch,
        )
        # Else the copy would wait for all that a GPU still has to do.
        return torch.from_numpy(keep).to(self.device, non_blocking=self.device.type == "cuda")

    def _record(
        self, loss: WeightedLoss, metrics: MetricCollection, logits: Tensor, label: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Adds a batch to the epoch's curves, and returns the loss and the weight of each photo."""
        losses, weights = functional.cross_entropy(logits, label, reduction="none"), self.class_weights[label]
        value, weight = losses.detach(), weights
        if self.hparams["epoch_loss"] == "batch_mean":
            value, weight = (weight * value).sum(dim=0, keepdim=True) / weight.sum(), weight.new_ones(1)
        loss.update(value, weight)
        metrics.update(_logit(logits.detach()).sigmoid(), label)
        return losses, weights

    def _log_curves(self, stage: str, loss: WeightedLoss, metrics: MetricCollection) -> None:
        # Lightning holds the metrics themselves, and asks them when the epoch ends: to log them at each step is idle.
        if stage not in self._logged:
            self._logged.add(stage)
            self.log(f"{stage}/loss", loss, on_step=False, on_epoch=True, logger=False)
            self.log_dict(metrics, on_step=False, on_epoch=True, logger=False)


def load_classifier(path: Path) -> AnemiaClassifier:
    """Opens a checkpoint: no other file, no network.

    Raises:
        CheckpointUnreadableError: If it is not one of ours.
    """
    return classifier_of(read_checkpoint(path), path)


def classifier_of(checkpoint: Mapping[str, Any], path: Path) -> AnemiaClassifier:
    """Returns the classifier that a checkpoint holds.

    Args:
        checkpoint: What `read_checkpoint` returns.
        path: Where it lies.

    Raises:
        CheckpointUnreadableError: If it is not one of ours.
    """
    try:
        classifier = AnemiaClassifier(**checkpoint["hyper_parameters"])
        classifier.load_state_dict(checkpoint["state_dict"])
    except (KeyError, TypeError, RuntimeError) as error:
        raise CheckpointUnreadableError(path, error) from error
    return classifier


def _logit(logits: Tensor) -> Tensor:
    return logits[:, 1] - logits[:, 0]
