"""One answer per patient: pooled as it is said, refused where a patient has two labels."""

import numpy as np
import pandas as pd
import pytest

from anemia_lightning.contracts import UNKNOWN_LABEL
from anemia_lightning.errors import PatientLabelsError
from anemia_lightning.metrics.patients import Pooling, pool_patients


def _table(patients: list[str], labels: list[int], logits: list[float]) -> pd.DataFrame:
    table = pd.DataFrame(
        {"patient": patients, "label": labels, "logit": logits, "cluster": pd.factorize(np.array(patients))[0]}
    )
    return table.assign(photo=[f"{place}.png" for place in range(len(table))], scaled=table["logit"] / 2 + 1)


def _pooled(table: pd.DataFrame, pooling: Pooling = "mean") -> pd.DataFrame:
    return pool_patients(table, ["logit", "scaled"], pooling=pooling)


TABLE = _table(["b", "a", "b", "007", "b"], [1, 0, 1, 0, 1], [3.0, -1.0, -2.0, 0.0, -4.0])


@pytest.mark.parametrize(("pooling", "logit"), [("mean", -1.0), ("median", -2.0), ("max", 3.0)])
def test_logits_are_pooled_within_each_patient(pooling: Pooling, logit: float) -> None:
    found = _pooled(TABLE, pooling)
    assert found.to_dict("list") == {
        "patient": ["b", "a", "007"],
        "label": [1, 0, 0],
        "cluster": [0, 1, 2],
        "logit": [logit, -1.0, 0.0],
        "scaled": [logit / 2 + 1, 0.5, 1.0],
    }


@pytest.mark.parametrize("pooling", ["mean", "median", "max"])
def test_one_photo_per_patient_changes_nothing(pooling: Pooling) -> None:
    rng = np.random.default_rng(0)
    table = _table([f"p{place}" for place in range(50)], rng.integers(0, 2, 50).tolist(), rng.normal(size=50).tolist())
    found = _pooled(table, pooling)
    pd.testing.assert_frame_equal(found, table[list(found)])


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_rows_changes_the_order_of_patients_alone(seed: int) -> None:
    found = _pooled(TABLE.sample(frac=1.0, random_state=seed)).set_index("patient")
    pd.testing.assert_frame_equal(found.loc[["b", "a", "007"]], _pooled(TABLE).set_index("patient"))


def test_contradicting_labels_are_refused_in_words() -> None:
    table = _table(["a", "b", "a", "b", "c"], [0, 1, 1, 1, 0], [0.0] * 5)
    with pytest.raises(PatientLabelsError) as caught:
        _pooled(table)
    assert str(caught.value) == (
        "Looked for one label for all photos of a patient, to score patients; found both in 1 patients: a. "
        "Score photos instead, or correct the labels. Keep one name for all visits of a person: under several they "
        "would count as several people, on both sides of a split."
    )


def test_unknown_labels_contradict_nothing() -> None:
    table = _table(["a", "a", "b"], [UNKNOWN_LABEL, 0, UNKNOWN_LABEL], [0.0, 1.0, 2.0])
    assert _pooled(table)["label"].tolist() == [0, UNKNOWN_LABEL]


def test_no_photos_are_no_patients() -> None:
    found = _pooled(TABLE[:0])
    assert len(found) == 0
    assert "logit" in found


def test_another_pooling_is_a_defect() -> None:
    with pytest.raises(ValueError, match="cannot be pooled by 'min'"):
        _pooled(TABLE, "min")  # type: ignore[arg-type]
