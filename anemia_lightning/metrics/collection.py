"""The running scores of an epoch, as torchmetrics: the same for any batches and any number of processes."""

import torch
from torch import Tensor
from torchmetrics import Metric, MetricCollection
from torchmetrics.classification import BinaryAUROC
from torchmetrics.classification.stat_scores import BinaryStatScores
from torchmetrics.utilities.data import dim_zero_cat


def epoch_metrics(prefix: str, threshold: float) -> MetricCollection:
    """Returns the scores that one stage's curves show, undefined ones as NaN.

    Call ``update(probabilities, labels)`` with float [B] in [0, 1], never logits, and int [B] of 0 and 1.
    From float64 probabilities every score equals that of `metrics.score`; float32 rounds probabilities
    within 6e-8 of each other, or of the threshold, together.

    Args:
        prefix: What the names begin with: "train/" or "val/".
        threshold: Smallest probability that counts as anaemic, in [0, 1].

    Returns:
        The collection of ``acc``, ``auroc``, ``sensitivity`` and ``specificity``.
    """
    return MetricCollection(
        {
            "acc": _Accuracy(threshold, validate_args=False),
            "auroc": _Auroc(validate_args=False),
            "sensitivity": _Sensitivity(threshold, validate_args=False),
            "specificity": _Specificity(threshold, validate_args=False),
        },
        prefix=prefix,
    )


class WeightedLoss(Metric):
    """The weighted mean of the photos' losses over an epoch: Σ w·l / Σ w, NaN before the first photo.

    Each loss is kept, and they are summed in float64 on the CPU at the end. So how they came in batches changes no
    bit, and devices that have no float64 serve too.
    """

    full_state_update = False
    is_differentiable = False
    higher_is_better = False
    losses: list[Tensor]
    weights: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        self.add_state("losses", [], dist_reduce_fx="cat")
        self.add_state("weights", [], dist_reduce_fx="cat")

    def update(self, value: Tensor, weight: Tensor) -> None:
        """Takes some photos in.

        Args:
            value: float [B], each photo's own loss, unweighted.
            weight: float [B], the class weight of each photo's label.
        """
        _add(self.losses, value.detach())
        _add(self.weights, weight.detach())

    def compute(self) -> Tensor:
        """Returns the weighted mean, float64 [] on the CPU."""
        if not len(self.losses):  # a list, or one tensor once the processes have met
            return torch.tensor(torch.nan, dtype=torch.float64)
        losses, weights = (dim_zero_cat(state).cpu().double() for state in (self.losses, self.weights))
        return (losses * weights).sum() / weights.sum()


class _AtThreshold(BinaryStatScores):
    """Counts a probability that equals the threshold as anaemic; torchmetrics alone would not."""

    def update(self, preds: Tensor, target: Tensor) -> None:
        if len(target):  # torchmetrics cannot count an empty batch, which a process may get under DDP
            super().update((preds >= self.threshold).long(), target)


class _Accuracy(_AtThreshold):
    def compute(self) -> Tensor:
        tp, fp, tn, fn = self._final_state()
        return (tp + tn) / (tp + fp + tn + fn)


class _Sensitivity(_AtThreshold):
    def compute(self) -> Tensor:
        tp, _, _, fn = self._final_state()
        return tp / (tp + fn)


class _Specificity(_AtThreshold):
    def compute(self) -> Tensor:
        _, fp, tn, _ = self._final_state()
        return tn / (tn + fp)


class _Auroc(BinaryAUROC):
    """The exact AUROC, NaN where only one class was seen; torchmetrics alone warns and says 0."""

    preds: list[Tensor]
    target: list[Tensor]

    def update(self, preds: Tensor, target: Tensor) -> None:
        super().update(preds, target)
        for state in (self.preds, self.target):
            _add(state, state.pop())

    def compute(self) -> Tensor:  # type: ignore[override]  # torchmetrics ignores it in BinaryAUROC too
        labels = dim_zero_cat(self.target) if len(self.target) else torch.zeros(0)
        if not 0 < labels.sum() < len(labels):
            return torch.tensor(torch.nan, device=self.device)
        return super().compute()


def _add(state: list[Tensor], values: Tensor) -> None:
    """Adds the values of a batch to the one tensor of a state.

    Tensors of a few bytes, left by every batch between those of the network, keep the C library from using freed
    memory again: the heap of an epoch of 3,000 photos grew by 230 MB.
    """
    state[:] = [torch.cat([*state, values])]
