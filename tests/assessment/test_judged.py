"""Each fold decides by its own decision; repeats and patients come together as the tables say."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit

from anemia_lightning.assessment.judged import decide_rows, judge_patients, judge_photos
from anemia_lightning.metrics.decision import Decision, fit_decision

Draw = Callable[..., Any]


def _decision(seed: int, *, threshold: float) -> Decision:
    rng = np.random.default_rng(seed)
    labels = np.tile([0, 1], 60)
    return fit_decision(labels, rng.normal(2 * labels - 1, 2), rule=f"fixed:{threshold}")


DECISIONS = {"0": _decision(0, threshold=0.3), "1": _decision(1, threshold=0.6)}


def _folds(seed: int, repeats: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    rows = pd.DataFrame({"photo": [f"p{place:02d}" for place in range(30)], "label": np.arange(30) % 2})
    rows["patient"] = [f"P{place // 2}" for place in range(30)]
    rows["label"] = np.arange(30) // 2 % 2
    tables = [
        rows.assign(repeat=each, logit=rng.normal(size=30), fold=rng.choice(["0", "1"], 30)) for each in range(repeats)
    ]
    return pd.concat(tables, ignore_index=True)


def _by_hand(rows: pd.DataFrame) -> pd.DataFrame:
    each = list(zip(rows["fold"].astype(str), rows["logit"].tolist(), strict=True))
    probability = [float(DECISIONS[fold].probability([value])[0]) for fold, value in each]
    cuts = [DECISIONS[fold].threshold.value for fold, _ in each]
    return rows.assign(probability=probability, called=np.array(probability) >= np.array(cuts))


@pytest.mark.parametrize("repeats", [1, 2, 3])
def test_photos_are_called_by_at_least_half_of_their_models(repeats: int) -> None:
    rows = _folds(repeats, repeats)
    found, _ = judge_photos(decide_rows(rows, DECISIONS), pd.Series(range(30), index=rows["photo"][:30]))
    known = _by_hand(rows).groupby("photo")[["probability", "logit", "called"]].mean().loc[found.ids.tolist()]
    assert found.called.tolist() == (known["called"] >= 0.5).tolist()
    assert expit(found.scaled) == pytest.approx(known["probability"].to_numpy())
    assert found.logits == pytest.approx(known["logit"].to_numpy())


@pytest.mark.parametrize("threshold", [0.0, 1e-9, 0.3, 0.5, 0.7310585786300049, 1.0])
def test_a_probability_at_the_threshold_is_called_as_the_table_has_it(threshold: float) -> None:
    decision = Decision.fixed(threshold)
    logits = np.array([-800.0, -30.0, -1.0, 0.0, logit(0.3), 1.0, 40.0, 800.0])
    rows = pd.DataFrame({"photo": range(8), "patient": range(8), "label": 0, "logit": logits})
    found, _ = judge_photos(decide_rows(rows, decision), pd.Series(range(8), index=range(8)))
    assert found.called.astype(int).tolist() == decision.decide(decision.probability(logits)).tolist()
    assert np.isfinite(found.margins).all()


@pytest.mark.parametrize("pooling", ["mean", "median", "max"])
def test_patients_are_judged_by_their_pooled_logits(draw: Draw, pooling: Any) -> None:
    study = draw(per_patient=4)
    photos, table = judge_photos(decide_rows(study.predictions, study.decision), study.clusters)
    patients, note = judge_patients(table, photos, pooling)
    assert note == ""
    assert patients is not None
    pooled = study.predictions.groupby("patient", sort=False)["logit"].agg(pooling)
    assert patients.ids.tolist() == pooled.index.tolist()
    assert patients.logits == pytest.approx(pooled.to_numpy())
    probability = study.decision.probability(pooled.to_numpy())
    assert expit(patients.scaled) == pytest.approx(probability)
    assert patients.called.astype(int).tolist() == study.decision.decide(probability).tolist()


def test_patients_joined_by_a_copy_share_a_cluster() -> None:
    rows = pd.DataFrame({"photo": list("abcdef"), "patient": list("xxyyzz"), "label": [0, 0, 0, 0, 1, 1], "logit": 0.0})
    clusters = pd.Series([0, 0, 0, 0, 1, 1], index=rows["photo"])
    photos, table = judge_photos(decide_rows(rows, Decision.fixed(0.5)), clusters)
    patients, _ = judge_patients(table, photos, "mean")
    assert patients is not None
    assert patients.cluster.tolist() == [0, 0, 1]


def test_a_fold_without_a_decision_is_an_error() -> None:
    with pytest.raises(KeyError, match="1"):
        decide_rows(_folds(0, 1), {"0": DECISIONS["0"]})
