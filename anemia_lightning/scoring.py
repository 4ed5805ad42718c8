"""From a finished model and some photos to a prediction table and its scores: one way for every command."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import lightning as L
import numpy as np
import pandas as pd
import torch
from omegaconf import DictConfig
from torch.utils.data import DataLoader

from anemia_lightning import wiring
from anemia_lightning.contracts import PREDICTION_COLUMNS, Batch
from anemia_lightning.data.datamodule import evaluation_loader
from anemia_lightning.data.dataset import PhotoDataset, PhotoRows
from anemia_lightning.data.framing import Framing
from anemia_lightning.frozen_features import FrozenFeatures
from anemia_lightning.metrics.decision import Decision
from anemia_lightning.metrics.scores import score_decisions
from anemia_lightning.model.classifier import AnemiaClassifier, Predictions
from anemia_lightning.model.ensemble import Ensemble
from anemia_lightning.model.trunk_pass import frozen_sha256
from anemia_lightning.run_features import feature_settings

NOTE = "Screening aid for research: not a medical device and not a diagnosis."


def predict_photos(
    cfg: DictConfig, classifier: AnemiaClassifier, rows: pd.DataFrame, facts: pd.DataFrame | None, *, precision: str
) -> "pd.Series[float]":
    """Returns the logit of each photo, by photo id, from a finished model: on one device, in this process.

    Args:
        cfg: The settings of a command, with `features` and `trainer`.
        classifier: The model; it says how photographs become images.
        rows: Rows of a manifest.
        facts: What the survey found out about them, in their order; None where there was none, and nothing is kept.
        precision: Of the Trainer.
    """
    return _predict(cfg, classifier, classifier, rows, facts, precision=precision)[0].rename("logit")


def predict_together(
    cfg: DictConfig, classifiers: Sequence[AnemiaClassifier], rows: pd.DataFrame, *, precision: str
) -> pd.DataFrame:
    """Returns the logits of several finished models, float32 [photos, models], by photo id and place of the model.

    Models with one trunk, as those of a cross-validation, share one pass through it.
    """
    families: dict[str, list[int]] = {}
    for place, classifier in enumerate(classifiers):
        kind = repr((frozen_sha256(classifier.network)[0], sorted(classifier.hparams["preprocessing"].items())))
        families.setdefault(kind, []).append(place)
    found = []
    for places in families.values():
        members = [classifiers[place] for place in places]
        logits = _predict(cfg, members[0], Ensemble(members), rows, None, precision=precision)
        found.append(logits.set_axis(places, axis="columns"))
    return pd.concat(found, axis="columns")[list(range(len(classifiers)))]


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
    lines = [f"  {each['name']:<28}{number(each['auroc']['value'])}" for each in baselines]
    return ["AUROC of others on the same photos:", *lines]


def warning_lines(warnings: Sequence[str]) -> list[str]:
    """Returns what must be said beside the scores of a run."""
    return [f"Warning: {warning}" for warning in warnings]


def number(value: float | None) -> str:
    """Returns a score as a person reads it."""
    return "undefined" if value is None else f"{value:.3f}"


def _predict(
    cfg: DictConfig,
    classifier: AnemiaClassifier,
    model: AnemiaClassifier | Ensemble,
    rows: pd.DataFrame,
    facts: pd.DataFrame | None,
    *,
    precision: str,
) -> pd.DataFrame:
    """Returns what a model answers, be it the classifier or an ensemble with its trunk: float32 [photos, members]."""
    scorer = wiring.build_scoring_trainer(cfg, precision=precision)
    framing = Framing(**classifier.hparams["preprocessing"])
    photos = PhotoDataset(PhotoRows.of(rows, facts), framing, None)
    settings = feature_settings(cfg, precision=precision, framing=framing)
    # A store that fails costs a scoring next to nothing, so nobody is told.
    features = FrozenFeatures(classifier.network, settings, device=scorer.strategy.root_device, say=lambda _: None)
    if facts is not None:
        kinds = ("pixels", "layer3")
        missing = {kind: features.missing(photos, facts, kind=kind, augmented=False, view=0) for kind in kinds}
        features.make_room(missing)
    dataset = features.dataset(photos, facts, entry="layer3", augmented=False)
    batch_size = cfg.data.batch_size if "data" in cfg else cfg.batch_size
    loader = evaluation_loader(dataset, photos.label, batch_size=batch_size)
    try:
        return _predict_logits(model, loader, scorer)
    finally:
        features.close()


def _predict_logits(model: L.LightningModule, loader: DataLoader[Batch], trainer: L.Trainer) -> pd.DataFrame:
    """Returns the logits of each photo, float32 [photos, members], by photo id; each photo stands once.

    Args:
        model: A classifier or an ensemble of them.
        loader: The photos.
        trainer: One that predicts.
    """
    batches = cast("list[Predictions]", trainer.predict(model, loader))
    photos = [photo for batch in batches for photo in batch.photo]
    logits = torch.cat([batch.logit.cpu() for batch in batches])
    table = pd.DataFrame(logits.reshape(len(photos), -1).numpy(), index=photos)
    assert table.index.is_unique, "a photo was scored twice"
    return table
