"""From what a model says of photos to one answer per patient."""

from collections.abc import Sequence
from typing import Literal, get_args

import pandas as pd

from anemia_lightning.errors import PatientLabelsError

Pooling = Literal["mean", "median", "max"]
"""How a patient's logits become one."""


def pool_patients(photos: pd.DataFrame, logits: Sequence[str], *, pooling: Pooling) -> pd.DataFrame:
    """Returns one row per patient, in the order in which patients first stand in the table.

    Logits are pooled, not probabilities: their mean is the log-odds that a model of equally telling photos would
    give. The median resists one bad photo. The maximum calls a patient anaemic as soon as one photo is, so the more
    photos a patient has, the more often it does: a threshold chosen on photos does not fit it.

    Args:
        photos: One row per photo: patient, label, cluster (which holds all photos of a patient) and the logits; other
            columns are left out.
        logits: Columns to pool.
        pooling: mean, median or max.

    Returns:
        patient, label, cluster and the pooled logits. The label is that of the patient's photos: 1, 0, or
        `contracts.UNKNOWN_LABEL` where none is known.

    Raises:
        PatientLabelsError: If a patient has anaemic and non-anaemic photos: there is no one answer to compare with.
        ValueError: If the pooling is none of these.
    """
    if pooling not in get_args(Pooling):
        raise ValueError(f"logits cannot be pooled by {pooling!r}")
    _assert_one_label(photos)
    how = {"label": "max", "cluster": "first", **dict.fromkeys(logits, pooling)}
    return photos.groupby("patient", sort=False).agg(how).reset_index()


def _assert_one_label(rows: pd.DataFrame) -> None:
    known = rows[rows["label"] >= 0]
    labels = known.groupby("patient", sort=False)["label"].nunique()
    if mixed := labels.index[labels > 1].tolist():
        raise PatientLabelsError(mixed)
