"""Several models that decide together: one alone decides as before, the order is nothing, and sets keep a promise."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit, logit

from anemia_lightning.metrics.conformal import ABSTAIN, ConformalSets
from anemia_lightning.metrics.decision import Decision, fit_decision
from anemia_lightning.metrics.joint_decision import JointDecision
from anemia_lightning.metrics.scaling import UNSCALED, Scaling
from anemia_lightning.metrics.thresholds import Threshold

Draw = tuple[NDArray[np.int64], NDArray[np.float64]]


def draw(rng: np.random.Generator, size: int, *, models: int = 3) -> Draw:
    """Photos that all models see alike in part: labels, and logits [size, models], each model surer than the last."""
    labels = rng.integers(0, 2, size)
    common = rng.normal(labels - 0.5, 1.0)
    return labels, (common[:, None] + rng.normal(0, 0.7, (size, models))) * np.arange(1, models + 1)


def fitted(seed: int, *, models: int = 3, **rules: Any) -> list[Decision]:
    """The decisions of models, each chosen on validation photos of its own."""
    found = []
    for model in range(models):
        labels, logits = draw(np.random.default_rng((seed, model)), 80, models=models)
        found.append(fit_decision(labels, logits[:, model], **rules))
    return found


@pytest.mark.parametrize("seed", range(5))
def test_one_model_decides_as_it_would_alone(seed: int) -> None:
    (alone,) = fitted(seed, models=1)
    joint = JointDecision.of([alone])
    logits = draw(np.random.default_rng(seed), 50, models=1)[1]
    probabilities = alone.probability(logits[:, 0])
    assert (joint.probability(logits) == probabilities).all()
    assert (joint.decide(logits) == alone.decide(probabilities)).all()
    assert np.array_equal(joint.sets(logits), alone.sets(probabilities))  # type: ignore[arg-type]
    assert np.array_equal(joint.answers(logits), alone.answers(probabilities))  # type: ignore[arg-type]
    assert joint.notes == alone.notes


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_the_models_is_nothing(seed: int) -> None:
    members, logits = fitted(seed), draw(np.random.default_rng(seed), 50)[1]
    one, other = JointDecision.of(members), JointDecision.of(members[::-1])
    assert one.probability(logits) == pytest.approx(other.probability(logits[:, ::-1]), rel=1e-12)
    assert one.threshold == pytest.approx(other.threshold, rel=1e-12)
    assert np.array_equal(one.sets(logits), other.sets(logits[:, ::-1]))  # type: ignore[arg-type]


def test_each_model_is_scaled_before_the_mean_is_taken() -> None:
    # The second shouts three times as loud as it has reason to.
    members = [Decision.fixed(0.3), Decision(Scaling("platt", 1 / 3, -1.0, 50, ""), _at(0.5), None, 50, 25)]
    joint = JointDecision.of(members)
    assert joint.probability([[-2.0, 9.0]]) == pytest.approx(expit([(-2.0 + (9.0 / 3 - 1)) / 2]))
    assert joint.threshold == 0.4
    at = logit(0.4)
    assert joint.decide([[at + 1e-9, 3 * (at + 1)], [at - 1e-9, 3 * (at + 1)]]).tolist() == [1, 0]


def test_a_threshold_of_the_user_takes_the_place_of_all() -> None:
    joint = JointDecision.of(fitted(0), threshold=0.7)
    assert joint.threshold == pytest.approx(0.7)
    logits = draw(np.random.default_rng(1), 50)[1]
    assert (joint.decide(logits) == (joint.probability(logits) >= joint.threshold)).all()
    assert np.array_equal(joint.sets(logits), JointDecision.of(fitted(0)).sets(logits))  # type: ignore[arg-type]


def test_a_label_needs_more_than_half_of_the_sets() -> None:
    def member(anaemic_from: float, not_anaemic_to: float) -> Decision:
        return Decision(UNSCALED, _at(0.5), ConformalSets(0.1, anaemic_from, not_anaemic_to, 50, 50, ""), 50, 25)

    three = JointDecision.of([member(0.2, 0.4), member(0.6, 0.4), member(0.6, 0.4)])
    photo = [logit([0.5, 0.5, 0.5]), logit([0.7, 0.5, 0.5]), logit([0.7, 0.7, 0.5])]
    sets = three.sets(photo)
    assert sets is not None
    # One of three, one of three, two of three for anaemic.
    assert sets.tolist() == [[False, False], [False, False], [False, True]]
    assert three.answers(photo).tolist() == [ABSTAIN, ABSTAIN, 1]  # type: ignore[union-attr]
    two = JointDecision.of([member(0.2, 0.9), member(0.6, 0.4)])
    assert two.sets([logit([0.5, 0.5])]).tolist() == [[False, False]]  # type: ignore[union-attr]


@pytest.mark.parametrize("alpha", [0.1, 0.2])
def test_joint_sets_miss_no_more_than_twice_as_often(alpha: float) -> None:
    missed: list[NDArray[np.bool_]] = []
    for seed in range(40):
        joint = JointDecision.of(fitted(seed, coverage=1 - alpha))
        labels, logits = draw(np.random.default_rng((seed, 9)), 100)
        sets = joint.sets(logits)
        assert sets is not None
        missed.append(~np.take_along_axis(sets, labels[:, None], axis=1)[:, 0])
    # Twice alpha is guaranteed, this is what is mostly had; sets of both labels alone would miss none.
    assert 0 < np.mean(missed) < alpha + 0.02


def test_without_sets_of_one_there_are_none_of_all() -> None:
    joint = JointDecision.of([*fitted(0, models=2), Decision.fixed(0.5, "why")])
    logits = np.zeros((4, 3))
    assert not joint.has_sets
    assert (joint.sets(logits), joint.answers(logits)) == (None, None)
    assert joint.notes[-1] == "Threshold: why."


def test_what_all_models_say_is_said_once() -> None:
    few = fit_decision([0, 1], [-1.0, 1.0])
    assert JointDecision.of([few, few]).notes == few.notes


def test_logits_of_fewer_models_are_a_defect() -> None:
    with pytest.raises(ValueError, match="argument 2 is"):
        JointDecision.of(fitted(0)).probability([[0.0, 1.0]])


def _at(threshold: float) -> Threshold:
    return Threshold(threshold, "youden", reached=True, note="")
