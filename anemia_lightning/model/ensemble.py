"""Several classifiers that read the same features, asked together."""

from collections.abc import Sequence

import lightning as L
import torch
from torch import nn

from anemia_lightning.contracts import Batch
from anemia_lightning.model.classifier import AnemiaClassifier, Predictions


class Ensemble(L.LightningModule):
    """Predicts the logit of each of its members, which are joined where each member's decision is known.

    Args:
        members: Classifiers with equal trunks, so that one pass through it serves all.
    """

    def __init__(self, members: Sequence[AnemiaClassifier]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def predict_step(self, batch: Batch, batch_idx: int) -> Predictions:
        """Returns the logits of each photo of a batch, [B, members]."""
        logits = [member.predict_step(batch, batch_idx).logit for member in self.members]  # type: ignore[operator]
        return Predictions(batch.photo, torch.stack(logits, dim=1))
