"""What a decision makes of a prediction table: one row per photo, then one per patient, whatever the repeats."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from anemia_lightning.assessment.repeats import join_repeats
from anemia_lightning.contracts import UNKNOWN_LABEL, names_patient
from anemia_lightning.errors import PatientLabelsError
from anemia_lightning.metrics.decision import Decision
from anemia_lightning.metrics.intervals import numbered
from anemia_lightning.metrics.patients import Pooling, pool_patients
from anemia_lightning.metrics.scores import logit_of

Decisions = Decision | Mapping[str, Decision]
"""One decision for all rows, or one for each name in the column `fold`."""

_BELOW = 1e-9
"""Least distance of a logit below the threshold's, which probabilities at the threshold can still be told by."""


@dataclass(frozen=True)
class Judged:
    """Photos or patients, and what the model says of them."""

    unit: str
    """photo or patient."""
    ids: NDArray[np.object_]
    """[N], photo ids or patients."""
    labels: NDArray[np.int64]
    """[N], 1 anaemic and 0 not."""
    logits: NDArray[np.float64]
    """[N], as the network gives them; the mean over repeats, pooled over a patient's photos."""
    scaled: NDArray[np.float64]
    """[N], the log-odds of the probability."""
    margins: NDArray[np.float64]
    """[N], the scaled logit less that of the threshold: from 0 on a row is called anaemic."""
    cluster: NDArray[np.int64]
    """[N], numbered from 0: rows of one cluster may depend on one another."""

    @property
    def called(self) -> NDArray[np.bool_]:
        """Which rows are called anaemic, bool [N]."""
        return self.margins >= 0


def decide_rows(predictions: pd.DataFrame, decisions: Decisions) -> pd.DataFrame:
    """Returns what the decision of each row says of it, without the rows that have no label.

    Args:
        predictions: photo, patient, label and logit, and fold where each fold has its own decision.
        decisions: One for all, or one for each fold.

    Returns:
        photo, patient, label, logit, scaled, margin, probability, answer (1, 0 or `conformal.ABSTAIN`; NaN without
        sets), holds_0 and holds_1 (whether the set holds the label; NaN without sets).

    Raises:
        KeyError: If a fold has no decision.
    """
    known = predictions[predictions["label"] != UNKNOWN_LABEL]
    if isinstance(decisions, Decision):
        return _decide(known, decisions)
    return pd.concat([_decide(rows, decisions[str(fold)]) for fold, rows in known.groupby("fold", sort=False)])


def judge_photos(decided: pd.DataFrame, clusters: "pd.Series[int]") -> tuple[Judged, pd.DataFrame]:
    """Returns one row per photo and the same as a table with its patient.

    Of a photo with several rows, one for each repeat of a cross-validation, `join_repeats` makes one.

    Args:
        decided: What `decide_rows` returns.
        clusters: What joins patients and photo groups, by photo id.

    Raises:
        KeyError: If a photo has no cluster.
    """
    photos = join_repeats(decided.assign(prediction=decided["margin"] >= 0))
    is_alone = photos["photo"].map(decided["photo"].value_counts()) == 1
    photos["scaled"] = photos["scaled"].where(is_alone, logit_of(photos["probability"]))
    photos["margin"] = _agreeing(photos["margin"].to_numpy(), (photos["prediction"] == 1).to_numpy())
    cluster = numbered(clusters.loc[photos["photo"]].to_numpy(), len(photos))
    return _judged("photo", photos["photo"], photos, cluster), photos


def judge_patients(photos: pd.DataFrame, of_photos: Judged, pooling: Pooling) -> tuple[Judged | None, str]:
    """Returns one row per patient, or None and why: there is nothing to pool, or no one label to compare with."""
    if not names_patient(photos).any():
        return None, "The data name no patients, so there are no scores by patient."
    if not photos["patient"].duplicated().any():
        return None, "Each patient has one photo, so the scores by patient are those by photo."
    try:
        table = pool_patients(photos.assign(cluster=of_photos.cluster), ["logit", "scaled", "margin"], pooling=pooling)
    except PatientLabelsError as error:
        return None, f"There are no scores by patient: {error}"
    return _judged("patient", table["patient"], table, numbered(table["cluster"].to_numpy(), len(table))), ""


def _decide(rows: pd.DataFrame, decision: Decision) -> pd.DataFrame:
    logits = rows["logit"].to_numpy(dtype=np.float64)
    scaled = decision.scaling.apply(logits)
    probability = decision.probability(logits)
    margin = scaled - float(logit_of(decision.threshold.value))
    # No rounding of the logarithm may take a row to the other side of the threshold.
    margin = _agreeing(margin, decision.decide(probability) == 1)
    answers, sets = decision.answers(probability), decision.sets(probability)
    none = np.full(len(rows), np.nan)
    return rows[["photo", "patient", "label"]].assign(
        logit=logits,
        scaled=scaled,
        margin=margin,
        probability=probability,
        answer=none if answers is None else answers,
        holds_0=none if sets is None else sets[:, 0],
        holds_1=none if sets is None else sets[:, 1],
    )


def _agreeing(margins: NDArray[np.float64], called: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Returns the margins, those on the wrong side for the decision moved to the threshold."""
    return np.where(called, np.maximum(margins, 0.0), np.minimum(margins, -_BELOW))


def _judged(unit: str, ids: "pd.Series[str]", table: pd.DataFrame, cluster: NDArray[np.int64]) -> Judged:
    return Judged(
        unit=unit,
        ids=ids.to_numpy(dtype=object),
        labels=table["label"].to_numpy(dtype=np.int64),
        logits=table["logit"].to_numpy(dtype=np.float64),
        scaled=table["scaled"].to_numpy(dtype=np.float64),
        margins=table["margin"].to_numpy(dtype=np.float64),
        cluster=cluster,
    )
