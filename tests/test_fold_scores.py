"""Predictions of several folds and repeats, joined photo by photo."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from anemia_lightning.data.folds import Fold
from anemia_lightning.deciding import write_decision
from anemia_lightning.fold_scores import fold_decisions, fold_notes, join_repeats
from anemia_lightning.metrics.decision import Decision
from anemia_lightning.run_folder import RunFolder


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


def test_of_one_repeat_predictions_stay() -> None:
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"photo": [f"p{n:02}" for n in range(30)], "label": rng.integers(0, 2, 30)})
    table = table.assign(logit=rng.normal(size=30), probability=rng.random(30), prediction=rng.integers(0, 2, 30))
    pd.testing.assert_frame_equal(join_repeats(table.sample(frac=1, random_state=0)), table)


def test_notes_name_their_fold_and_folds_without_a_decision_are_silent(tmp_path: Path) -> None:
    folds = [Fold(0, number, f"fold-{number}", pd.Series(dtype=object)) for number in range(3)]
    folders = [RunFolder(tmp_path / fold.name) for fold in folds]
    write_decision(folders[0].decision, Decision.fixed(0.4))
    write_decision(folders[1].decision, Decision.fixed(0.5, "none reaches it"))
    decisions = fold_decisions(folds, folders)
    assert [decisions[fold.name].threshold.value for fold in folds] == [0.4, 0.5, 0.5]
    assert fold_notes(decisions) == ["fold-1: Threshold: none reaches it."]
