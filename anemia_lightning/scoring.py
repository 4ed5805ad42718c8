"""From a finished model and some photos to a prediction table and its scores: one way for every command."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import lightning as L
import numpy as np
import pandas as pd
import torch
from torch.utils.data import DataLoader

from anemia_lightning.contracts import PREDICTION_COLUMNS, Batch
from anemia_lightning.metrics.scores import probability_of, score
from anemia_lightning.model.classifier import AnemiaClassifier, Predictions

NOTE = "Screening aid for research: not a medical device and not a diagnosis."


def predict_logits(classifier: AnemiaClassifier, loader: DataLoader[Batch], trainer: L.Trainer) -> pd.Series:
    """Returns the logit of each photo, float32, indexed by photo id; each photo stands once."""
    batches = cast("list[Predictions]", trainer.predict(classifier, loader))
    photos = [photo for batch in batches for photo in batch.photo]
    logits = torch.cat([batch.logit.cpu() for batch in batches])
    series = pd.Series(logits.numpy(), index=photos, name="logit")
    assert series.index.is_unique, "a photo was scored twice"
    return series


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
