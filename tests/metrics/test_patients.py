"""One prediction per patient: pooled as it is said, refused where a patient has two labels."""

import numpy as np
import pandas as pd
import pytest

from anemia_lightning.contracts import PREDICTION_COLUMNS, UNKNOWN_LABEL
from anemia_lightning.errors import PatientLabelsError
from anemia_lightning.metrics.patients import Pooling, pool_patients


def _table(patients: list[str], labels: list[int], logits: list[float]) -> pd.DataFrame:
    table = pd.DataFrame({"patient": patients, "label": labels, "logit": logits})
    table = table.assign(photo=[f"{place}.png" for place in range(len(table))], photo_group="", site="north")
    return table.assign(probability=0.0, prediction=0)[list(PREDICTION_COLUMNS)]


TABLE = _table(["b", "a", "b", "007", "b"], [1, 0, 1, 0, 1], [3.0, -1.0, -2.0, 0.0, -4.0])


@pytest.mark.parametrize(("pooling", "logit"), [("mean", -1.0), ("median", -2.0), ("max", 3.0)])
def test_logits_are_pooled_within_each_patient(pooling: Pooling, logit: float) -> None:
    found = pool_patients(TABLE, threshold=0.5, pooling=pooling)
    assert found.columns.tolist() == ["patient", "photos", "label", "logit", "probability", "prediction"]
    assert found["patient"].tolist() == ["b", "a", "007"]
    assert found["photos"].tolist() == [3, 1, 1]
    assert found["label"].tolist() == [1, 0, 0]
    assert found["logit"].tolist() == [logit, -1.0, 0.0]
    assert found["probability"].to_numpy() == pytest.approx(1 / (1 + np.exp(-np.array([logit, -1.0, 0.0]))))
    assert found["prediction"].tolist() == [int(logit > 0), 0, 1]


def test_the_mean_is_the_default_and_the_threshold_counts() -> None:
    pd.testing.assert_frame_equal(
        pool_patients(TABLE, threshold=0.5), pool_patients(TABLE, threshold=0.5, pooling="mean")
    )
    assert pool_patients(TABLE, threshold=0.51)["prediction"].tolist() == [0, 0, 0]


def test_one_photo_per_patient_changes_nothing() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=50)
    table = _table([f"p{place}" for place in range(50)], rng.integers(0, 2, 50).tolist(), logits.tolist())
    for pooling in ("mean", "median", "max"):
        found = pool_patients(table, threshold=0.5, pooling=pooling)
        assert found["logit"].tolist() == logits.tolist()
        assert found["label"].tolist() == table["label"].tolist()


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_rows_changes_the_order_of_patients_alone(seed: int) -> None:
    shuffled = TABLE.sample(frac=1.0, random_state=seed)
    found = pool_patients(shuffled, threshold=0.5).set_index("patient")
    pd.testing.assert_frame_equal(
        found.loc[["b", "a", "007"]], pool_patients(TABLE, threshold=0.5).set_index("patient")
    )


def test_patients_keep_the_cluster_of_their_photos() -> None:
    found = pool_patients(TABLE, threshold=0.5, clusters=["x", "y", "x", "x", "x"])
    assert found["cluster"].tolist() == [0, 1, 0]
    with pytest.raises(ValueError, match=r"not all \[N\]"):
        pool_patients(TABLE, threshold=0.5, clusters=["x"])


def test_contradicting_labels_are_refused_in_words() -> None:
    table = _table(["a", "b", "a", "b", "c"], [0, 1, 1, 1, 0], [0.0] * 5)
    with pytest.raises(PatientLabelsError) as caught:
        pool_patients(table, threshold=0.5)
    assert str(caught.value) == (
        "Looked for one label for all photos of a patient, to score patients; found both in 1 patients: a. "
        "Score photos instead, correct the labels, or name each visit of a patient as a patient of its own."
    )


def test_unknown_labels_contradict_nothing() -> None:
    table = _table(["a", "a", "b"], [UNKNOWN_LABEL, 0, UNKNOWN_LABEL], [0.0, 1.0, 2.0])
    assert pool_patients(table, threshold=0.5)["label"].tolist() == [0, UNKNOWN_LABEL]


def test_no_photos_are_no_patients() -> None:
    found = pool_patients(TABLE[:0], threshold=0.5)
    assert len(found) == 0
    assert "logit" in found


def test_another_pooling_is_a_defect() -> None:
    with pytest.raises(ValueError, match="cannot be pooled by 'min'"):
        pool_patients(TABLE, threshold=0.5, pooling="min")  # type: ignore[arg-type]
