"""From a finished model and some photos to a prediction table and its scores: one way for every command."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd
import torch
from omegaconf import DictConfig

from anemia_lightning import wiring
from anemia_lightning.contracts import PREDICTION_COLUMNS, Batch
from anemia_lightning.data.dataset import PhotoDataset, PhotoRows
from anemia_lightning.data.framing import Framing
from anemia_lightning.frozen.frozen_features import FrozenFeatures
from anemia_lightning.frozen.run_features import feature_settings
from anemia_lightning.metrics.decision import Decision
from anemia_lightning.metrics.scores import score_decisions, shown

if TYPE_CHECKING:
    import lightning as L
    from torch.utils.data import DataLoader

    from anemia_lightning.model.classifier import AnemiaClassifier, Predictions

NOTE = "Screening aid for research: not a medical device and not a diagnosis."


class Scorer:
    """Asks a finished model about photos: on one device, in this process.

    Whatever features its fit has read, the maps are exact, so that `predict` gives the same logits.

    Args:
        cfg: The settings of a command, with `data`, `features` and `trainer`.
        classifier: The model; it says how photographs become images. Its frozen stages stay as they are.
        precision: Of the Trainer.
    """

    def __init__(self, cfg: DictConfig, classifier: "AnemiaClassifier", *, precision: str) -> None:
        self._classifier = classifier
        self._trainer = wiring.build_scoring_trainer(cfg, precision=precision)
        self._framing = Framing(**classifier.hparams["preprocessing"])
        self._batch_size = cfg.data.batch_size
        settings = feature_settings(cfg, precision=precision, framing=self._framing).exact()
        device = self._trainer.strategy.root_device
        # A store that fails costs a scoring next to nothing, so nobody is told.
        self._features = FrozenFeatures(classifier.network, settings, device=device, say=lambda _: None)

    def predict(self, rows: pd.DataFrame, facts: pd.DataFrame) -> "pd.Series[float]":
        """Returns the logit of each photo, by photo id.

        Args:
            rows: Rows of a manifest.
            facts: What the survey found out about them, in any order, with more photos if need be.
        """
        from anemia_lightning.data.datamodule import evaluation_loader

        photos, features = PhotoDataset(PhotoRows.of(rows, facts), self._framing, None), self._features
        kinds = ("pixels", "layer3")
        features.make_room({kind: features.missing_bytes(photos, kind=kind) for kind in kinds})
        dataset = features.dataset(photos, entry="layer3", augmented=False)
        loader = evaluation_loader(dataset, photos.label, batch_size=self._batch_size)
        try:
            return _predict_logits(self._classifier, loader, self._trainer)
        finally:
            features.close()


def prediction_table(rows: pd.DataFrame, logits: "pd.Series[float]", decision: Decision) -> pd.DataFrame:
    """Returns the predictions of some photos by one model.

    Args:
        rows: Rows of a manifest.
        logits: The logit of each as the network gives it, by photo id.
        decision: What makes of it the calibrated probability and, at its threshold, the prediction.

    Returns:
        One row per photo, with `PREDICTION_COLUMNS`.
    """
    logit = rows["photo"].map(logits)
    assert logit.notna().all(), "a photo was not scored"
    probability = decision.probability(logit.to_numpy())
    table = rows.assign(logit=logit, probability=probability, prediction=decision.decide(probability))
    return table[list(PREDICTION_COLUMNS)]


def score_table(table: pd.DataFrame, *, class_weights: Sequence[float]) -> dict[str, Any]:
    """Returns the scores of a prediction table, each computed once on all of its rows.

    Loss and ranks are those of `logit`, as in training; what counts decisions counts those of `prediction`.
    """
    return score_decisions(
        table["label"].to_numpy(),
        table["logit"].to_numpy(dtype=np.float64),
        table["prediction"].to_numpy(),
        class_weights=class_weights,
    )


def baseline_lines(baselines: Sequence[Mapping[str, Any]]) -> list[str]:
    """Returns the AUROC of what a network must beat, line by line; `baselines` is that of assessment.json."""
    if not baselines:
        return []
    lines = [f"  {each['name']:<28}{shown(each['auroc']['value'])}" for each in baselines]
    return ["AUROC of simpler methods on the same photos:", *lines]


def warning_lines(warnings: Sequence[str]) -> list[str]:
    """Returns what must be said beside the scores of a run."""
    return [f"Warning: {warning}" for warning in warnings]


def _predict_logits(
    classifier: "AnemiaClassifier", loader: "DataLoader[Batch]", trainer: "L.Trainer"
) -> "pd.Series[float]":
    """Returns the logit of each photo, float32, indexed by photo id; each photo stands once.

    Args:
        classifier: The model.
        loader: The photos.
        trainer: One that predicts.
    """
    batches = cast("list[Predictions]", trainer.predict(classifier, loader))
    photos = [photo for batch in batches for photo in batch.photo]
    logits = torch.cat([batch.logit.cpu() for batch in batches])
    series = pd.Series(logits.numpy(), index=photos, name="logit")
    assert series.index.is_unique, "a photo was scored twice"
    return series
