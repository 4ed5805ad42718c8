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
from anemia_lightning.metrics.scores import probability_of, score
from anemia_lightning.model.classifier import AnemiaClassifier, Predictions
from anemia_lightning.model.ensemble import Ensemble
from anemia_lightning.model.trunk_pass import frozen_sha256
from anemia_lightning.run_features import feature_settings

NOTE = "Screening aid for research: not a medical device and not a diagnosis."


def predict_photos(
    cfg: DictConfig,
    classifier: AnemiaClassifier,
    rows: pd.DataFrame,
    facts: pd.DataFrame | None,
    *,
    precision: str,
    model: Ensemble | None = None,
) -> "pd.Series[float]":
    """Returns the logit of each photo, by photo id, from a finished model: on one device, in this process.

    Args:
        cfg: The settings of a command, with `features` and `trainer`.
        classifier: The model; it says how photographs become images.
        rows: Rows of a manifest.
        facts: What the survey found out about them, in their order; None where there was none, and nothing is kept.
        precision: Of the Trainer.
        model: What is asked in place of the classifier: an ensemble of models with its trunk.
    """
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
        return _predict_logits(model or classifier, loader, scorer)
    finally:
        features.close()


def predict_together(
    cfg: DictConfig, classifiers: Sequence[AnemiaClassifier], rows: pd.DataFrame, *, precision: str
) -> "pd.Series[float]":
    """Returns the mean logit of several finished models for each photo, by photo id.

    Models with one trunk, as those of a cross-validation, share one pass through it.
    """
    families: dict[str, list[AnemiaClassifier]] = {}
    for classifier in classifiers:
        kind = repr((frozen_sha256(classifier.network)[0], sorted(classifier.hparams["preprocessing"].items())))
        families.setdefault(kind, []).append(classifier)
    sums = [
        len(family) * predict_photos(cfg, family[0], rows, None, precision=precision, model=Ensemble(family))
        for family in families.values()
    ]
    return sum(sums[1:], start=sums[0]) / len(classifiers)


def prediction_table(rows: pd.DataFrame, logits: pd.Series, *, threshold: float) -> pd.DataFrame:
    """Returns the predictions of some photos.

    Args:
        rows: Rows of a manifest.
        logits: The logit of each, by photo id.
        threshold: Probability from which a photo is called anaemic.

    Returns:
        One row per photo, with `PREDICTION_COLUMNS`.
    """
    table = rows.assign(logit=rows["photo"].map(logits))
    assert table["logit"].notna().all(), "a photo was not scored"
    probability = probability_of(table["logit"].to_numpy(dtype=np.float64))
    table = table.assign(probability=probability, prediction=(probability >= threshold).astype(int))
    return table[list(PREDICTION_COLUMNS)]


def score_table(table: pd.DataFrame, *, class_weights: Sequence[float], threshold: float) -> dict[str, Any]:
    """Returns the scores of a prediction table, each computed once on all of its rows."""
    return score(
        table["label"].to_numpy(),
        table["logit"].to_numpy(dtype=np.float64),
        class_weights=class_weights,
        threshold=threshold,
    )


def score_lines(scores: Mapping[str, Mapping[str, Any]], baselines: Mapping[str, float | None]) -> list[str]:
    """Returns the short table of test scores that a run ends with, line by line."""
    test = scores["test"]
    lines = [
        f"Test scores, {test['n']} photos, {test['n_positive']} anaemic:",
        *(f"  {name:<28}{number(test[name])}" for name in ("auroc", "acc", "sensitivity", "specificity", "loss")),
    ]
    if baselines:
        lines.append("AUROC of others on the same photos:")
        lines += [f"  {name:<28}{number(value)}" for name, value in baselines.items()]
    return lines


def warning_lines(warnings: Sequence[str]) -> list[str]:
    """Returns what must be said beside the scores of a run."""
    return [f"Warning: {warning}" for warning in warnings]


def number(value: float | None) -> str:
    """Returns a score as a person reads it."""
    return "undefined" if value is None else f"{value:.3f}"


def _predict_logits(model: L.LightningModule, loader: DataLoader[Batch], trainer: L.Trainer) -> pd.Series:
    """Returns the logit of each photo, float32, indexed by photo id; each photo stands once.

    Args:
        model: A classifier or an ensemble of them.
        loader: The photos.
        trainer: One that predicts.
    """
    batches = cast("list[Predictions]", trainer.predict(model, loader))
    photos = [photo for batch in batches for photo in batch.photo]
    logits = torch.cat([batch.logit.cpu() for batch in batches])
    series = pd.Series(logits.numpy(), index=photos, name="logit")
    assert series.index.is_unique, "a photo was scored twice"
    return series
