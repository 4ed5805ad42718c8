"""Predictions of several repeats, joined photo by photo."""

import numpy as np
import pandas as pd
import pytest

from anemia_lightning.assessment.repeats import join_repeats


def test_each_models_own_decision_counts_and_a_tie_refers() -> None:
    predictions = pd.DataFrame(
        {
            "photo": ["a", "b", "c", "a", "b", "c"],
            "label": [1, 0, 1, 1, 0, 1],
            "logit": [-1.0, 2.0, -3.0, -2.0, 1.0, -1.0],
            "probability": [0.3, 0.8, 0.1, 0.2, 0.7, 0.3],
            # By thresholds of their own, which no single one on logit or probability could reproduce.
            "prediction": [1, 0, 0, 1, 1, 0],
        }
    )
    found = join_repeats(predictions).set_index("photo")
    assert found["prediction"].to_dict() == {"a": 1, "b": 1, "c": 0}
    assert found["logit"].to_dict() == {"a": -1.5, "b": 1.5, "c": -2.0}
    assert found["probability"].to_dict() == pytest.approx({"a": 0.25, "b": 0.75, "c": 0.2})
    assert found["label"].to_dict() == {"a": 1, "b": 0, "c": 1}


def test_of_one_repeat_predictions_stay_and_so_does_their_order() -> None:
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"photo": [f"p{n:02}" for n in rng.permutation(30)], "patient": "NA", "photo_group": "007"})
    table = table.assign(label=rng.integers(0, 2, 30), logit=rng.normal(size=30), probability=rng.random(30))
    table = table.assign(prediction=rng.integers(0, 2, 30))
    pd.testing.assert_frame_equal(join_repeats(table.assign(site="elsewhere", fold="one")), table)
