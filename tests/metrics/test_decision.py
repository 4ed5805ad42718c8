"""A model's decision: each part fitted on what the one before it gives, carried as plain values, said in words."""

import io
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import expit
from sklearn.metrics import log_loss, roc_curve

from anemia_lightning.errors import ConfigError, NonFiniteLogitsError
from anemia_lightning.metrics.conformal import ABSTAIN
from anemia_lightning.metrics.decision import Decision, fit_decision
from anemia_lightning.metrics.scaling import UNSCALED, Scaling, ScalingMethod

Draw = tuple[NDArray[np.int64], NDArray[np.float32]]
METHODS: tuple[ScalingMethod, ...] = ("none", "temperature", "platt")


def draw(seed: int, size: int = 120, *, sureness: float = 3.0) -> Draw:
    """Photos of a network whose logits are `sureness` times too extreme, fp32 as it gives them."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0.2, 1.5, size)
    return (rng.random(size) < expit(logits)).astype(np.int64), (sureness * logits).astype(np.float32)


@pytest.mark.parametrize("seed", range(5))
def test_the_threshold_is_on_the_scaled_probability(seed: int) -> None:
    labels, logits = draw(seed)
    found = fit_decision(labels, logits)
    best = minimize_scalar(lambda t: log_loss(labels, expit(logits / t)), bounds=(0.1, 20), method="bounded")
    assert found.scaling.temperature == pytest.approx(best.x, rel=1e-3)
    probabilities = expit(logits.astype(np.float64) / found.scaling.temperature)
    assert found.probability(logits) == pytest.approx(probabilities, rel=1e-12)
    false_positives, true_positives, _ = roc_curve(labels, probabilities)
    called = found.decide(probabilities) == 1
    index = called[labels == 1].mean() - called[labels == 0].mean()
    assert index == pytest.approx((true_positives - false_positives).max())
    assert (found.photos, found.anaemic) == (120, labels.sum())


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("seed", range(3))
def test_sets_hold_the_label_of_validation_photos_as_often_as_promised(seed: int, method: ScalingMethod) -> None:
    labels, logits = draw(seed, 400)
    found = fit_decision(labels, logits, scaling=method, coverage=0.8)
    holds = found.sets(found.probability(logits))
    assert holds is not None
    for label in (0, 1):
        assert 0.8 <= holds[labels == label, label].mean() < 0.82
    answers = found.answers(found.probability(logits))
    assert answers is not None
    decided = answers != ABSTAIN
    assert 0 < decided.mean() < 1
    assert (answers[decided] == found.decide(found.probability(logits))[decided]).all()


def test_patients_count_once_in_the_sets() -> None:
    labels, logits = draw(0, 60)
    copies = np.repeat(np.arange(60), 5)
    found = fit_decision(labels[copies], logits[copies], clusters=copies)
    assert found.conformal is not None
    assert (found.conformal.anaemic_clusters, found.conformal.not_anaemic_clusters) == (labels.sum(), 60 - labels.sum())
    assert found.conformal.alpha == 0.1


@pytest.mark.parametrize("method", METHODS)
def test_no_scaling_changes_the_order_of_photos(method: ScalingMethod) -> None:
    labels, logits = draw(7)
    found = fit_decision(labels, logits, scaling=method)
    assert (np.argsort(found.probability(logits)) == np.argsort(logits)).all()
    assert found.scaling.method == method


def test_without_scaling_probabilities_are_those_of_the_network_to_the_last_bit() -> None:
    labels, logits = draw(1)
    assert (fit_decision(labels, logits, scaling="none").probability(logits) == expit(logits.astype(np.float64))).all()
    assert (Decision.fixed(0.3).probability(logits) == expit(logits.astype(np.float64))).all()


@pytest.mark.parametrize(
    "decision",
    [
        Decision.fixed(0.4),
        Decision.fixed(0, "why"),
        fit_decision(*draw(0)),
        fit_decision(*draw(1), rule="sensitivity>=0.99", scaling="platt", coverage=None),
        fit_decision(*draw(2, 12), rule="cost:5", scaling="none", coverage=0.95),
        fit_decision([], []),
    ],
    ids=lambda decision: decision.threshold.rule,
)
def test_it_comes_back_from_a_checkpoint_and_from_json(decision: Decision) -> None:
    file = io.BytesIO()
    torch.save({"decision": decision.to_dict()}, file)
    file.seek(0)
    # weights_only refuses all but plain values, NumPy's numbers among it.
    assert Decision.from_dict(torch.load(file, weights_only=True)["decision"]) == decision
    written = json.dumps({**decision.to_dict(), "notes": decision.notes}, allow_nan=False)
    assert Decision.from_dict(json.loads(written)) == decision


@pytest.mark.parametrize(
    ("labels", "logits", "rule", "notes"),
    [
        ([0, 1] * 20, [-1.0, 1.0, 1.0, -1.0, -1.0, 1.0, -2.0, 2.0] * 5, "youden", []),
        (
            [0, 1] * 30,
            [-1.0, 1.0, 2.0, -2.0] * 15,
            "sensitivity>=0.9",
            [
                "The temperature is held at 100: the logits do not tell these photos apart.",
                "Threshold: no threshold reaches a sensitivity of 0.9 unless it calls every photo anaemic; "
                "the nearest gives 0.500.",
            ],
        ),
        (
            [1] * 20,
            list(range(20)),
            "youden",
            [
                "The logits are left as they are: the photos are of one class.",
                "Threshold: there are no non-anaemic photos to choose a threshold on; the threshold is 0.5.",
                "Conformal sets: 0 not anaemic photos are too few for alpha = 0.1, which takes 9: "
                "the label 'not anaemic' is in every set.",
            ],
        ),
        (
            [0, 1, 1],
            [-1.0, 1.0, 2.0],
            "fixed:0.5",
            [
                "The logits are left as they are: 3 photos are fewer than 10.",
                "Conformal sets: 2 anaemic photos are too few for alpha = 0.1, which takes 9: the label 'anaemic' is "
                "in every set. 1 not anaemic photos are too few for alpha = 0.1, which takes 9: the label "
                "'not anaemic' is in every set.",
            ],
        ),
    ],
)
def test_what_could_not_be_done_is_said(labels: list[int], logits: list[float], rule: str, notes: list[str]) -> None:
    assert fit_decision(labels, logits, rule=rule).notes == notes


def test_without_photos_there_is_a_decision_that_says_so() -> None:
    found = fit_decision([], [])
    assert found.scaling.apply([1.0, -2.0]).tolist() == [1.0, -2.0]
    assert (found.threshold.value, found.threshold.reached, found.photos) == (0.5, False, 0)
    assert found.sets([0.0, 0.5, 1.0]).tolist() == [[True, True]] * 3  # type: ignore[union-attr]
    assert len(found.notes) == 3


def test_a_fixed_threshold_decides_alone() -> None:
    found = Decision.fixed(0.25, "the checkpoint carries none")
    assert found.decide([0.2, 0.25, 0.3]).tolist() == [0, 1, 1]
    assert (found.sets([0.5]), found.answers([0.5]), found.scaling) == (None, None, UNSCALED)
    assert found.notes == ["Threshold: the checkpoint carries none."]
    assert found.summary == "threshold 0.25 (fixed:0.25); logits as they are"


def test_another_threshold_leaves_scaling_and_sets() -> None:
    decision = fit_decision(*draw(0))
    other = decision.at(0.9)
    assert (other.scaling, other.conformal) == (decision.scaling, decision.conformal)
    assert (other.threshold.value, other.threshold.rule) == (0.9, "fixed:0.9")
    assert other.decide([0.85, 0.9]).tolist() == [0, 1]


@pytest.mark.parametrize("threshold", [-0.1, 1.5, float("nan")])
def test_a_threshold_is_a_probability(threshold: float) -> None:
    with pytest.raises(ValueError, match=r"not in \[0, 1\]"):
        Decision.fixed(threshold)
    with pytest.raises(ValueError, match=r"not in \[0, 1\]"):
        fit_decision(*draw(0)).at(threshold)


@pytest.mark.parametrize(
    ("scaling", "words"),
    [
        (UNSCALED, "logits as they are"),
        (Scaling("temperature", 0.5, 0.0, 120, ""), "temperature 2"),
        (Scaling("platt", 0.325, -0.133, 120, ""), "logits times 0.325 plus -0.133"),
    ],
    ids=METHODS,
)
def test_one_line_says_what_was_chosen(scaling: Scaling, words: str) -> None:
    found = replace(fit_decision(*draw(0), rule="fixed:0.4"), scaling=scaling)
    assert found.summary == (
        f"threshold 0.4 (fixed:0.4); {words}; sets built to hold the label of about 90 % of anaemic and of other "
        f"photos; chosen on 120 validation photos, {found.anaemic} anaemic"
    )


@pytest.mark.parametrize(
    ("arguments", "error", "fault"),
    [
        ({"rule": "best"}, ConfigError, "must be one of"),
        ({"coverage": 1.0}, ValueError, r"not in \(0, 1\)"),
        ({"labels": [0, 2]}, ValueError, r"labels are \[0, 2\], not only 0 and 1"),
        ({"logits": [0.0, np.inf]}, NonFiniteLogitsError, "1 that are infinite"),
    ],
)
def test_what_cannot_be_is_refused(arguments: dict[str, Any], error: type[Exception], fault: str) -> None:
    with pytest.raises(error, match=fault):
        fit_decision(**{"labels": [0, 1], "logits": [0.0, 1.0], **arguments})
