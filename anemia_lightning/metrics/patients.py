"""From predictions of photos to one prediction per patient."""

from typing import Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from anemia_lightning.errors import PatientLabelsError
from anemia_lightning.metrics.intervals import numbered
from anemia_lightning.metrics.scores import decisions_of, probability_of

Pooling = Literal["mean", "median", "max"]
"""How a patient's logits become one."""


def pool_patients(
    predictions: pd.DataFrame,
    *,
    threshold: float,
    pooling: Pooling = "mean",
    clusters: ArrayLike | None = None,
) -> pd.DataFrame:
    """Returns one row per patient, in the order in which patients first stand in the predictions.

    Logits are pooled, not probabilities: their mean is the log-odds that a model of equally telling photos would
    give. The median resists one bad photo. The maximum calls a patient anaemic as soon as one photo is, so the more
    photos a patient has, the more often it does: a threshold chosen on photos does not fit it, so choose one on the
    pooled validation photos.

    Args:
        predictions: Columns patient, label and logit, as in a prediction table; others are left out.
        threshold: Smallest probability that counts as anaemic.
        pooling: mean, median or max.
        clusters: What each photo depends on, [N]: that of a patient's first photo becomes the patient's. A cluster
            that joins patients and photo groups holds all photos of a patient.

    Returns:
        patient, photos (how many), label, logit, probability, prediction, and cluster where clusters are given. The
        label is that of the patient's photos: 1, 0, or `contracts.UNKNOWN_LABEL` where none is known.

    Raises:
        PatientLabelsError: If a patient has anaemic and non-anaemic photos: there is no one answer to compare with.
        ValueError: If the pooling is none of these, or clusters are not [N].
    """
    if pooling not in get_args(Pooling):
        raise ValueError(f"logits cannot be pooled by {pooling!r}")
    numbers = None if clusters is None else numbered(clusters, len(predictions))
    rows = predictions[["patient", "label", "logit"]].assign(cluster=0 if numbers is None else numbers)
    _assert_one_label(rows)
    by_patient = rows.groupby("patient", sort=False)
    pooled = by_patient.agg(
        photos=("logit", "size"), label=("label", "max"), logit=("logit", pooling), cluster=("cluster", "first")
    ).reset_index()
    probability = probability_of(pooled["logit"].to_numpy(dtype=np.float64))
    decisions = decisions_of(pooled["logit"].to_numpy(dtype=np.float64), threshold)
    pooled = pooled.assign(probability=probability, prediction=decisions)
    names = ["patient", "photos", "label", "logit", "probability", "prediction"]
    return pooled[names if numbers is None else [*names, "cluster"]]


def _assert_one_label(rows: pd.DataFrame) -> None:
    known = rows[rows["label"] >= 0]
    labels = known.groupby("patient", sort=False)["label"].nunique()
    if mixed := labels.index[labels > 1].tolist():
        raise PatientLabelsError(mixed)
