"""Scores against scikit-learn, on many draws and where they are undefined."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn import metrics as reference

from anemia_lightning.errors import NonFiniteLogitsError
from anemia_lightning.metrics.scores import Score, decisions_of, probability_of, score_decisions, shown

Draw = tuple[NDArray[np.int64], NDArray[np.float64]]


def _draw(seed: int, *, ties: bool = False) -> Draw:
    rng = np.random.default_rng(seed)
    labels = np.append([0, 1], rng.integers(0, 2, size=int(rng.integers(0, 80))))
    logits = rng.normal(labels * 1.0, 2.0)
    return labels, np.round(logits) if ties else logits


def _score(labels: Any, logits: Any, *, class_weights: Any = (1.0, 1.0), threshold: float = 0.5) -> dict[str, Score]:
    """The scores of the decisions at a threshold on the network's own probabilities."""
    return score_decisions(labels, logits, decisions_of(logits, threshold), class_weights=class_weights)


def _expected(labels: NDArray[np.int64], logits: NDArray[np.float64], weights: Any, threshold: float) -> Any:
    probabilities = probability_of(logits)
    decisions = probabilities >= threshold
    tn, fp, fn, tp = reference.confusion_matrix(labels, decisions, labels=[0, 1]).ravel()
    return {
        "loss": reference.log_loss(labels, probabilities, sample_weight=np.asarray(weights)[labels]),
        "acc": reference.accuracy_score(labels, decisions),
        "auroc": reference.roc_auc_score(labels, logits),
        "average_precision": reference.average_precision_score(labels, logits),
        "sensitivity": reference.recall_score(labels, decisions),
        "specificity": reference.recall_score(labels, decisions, pos_label=0),
        "n": len(labels),
        "n_positive": labels.sum(),
        "tp": tp,
        "fp": fp,
        "tn": tn,
        "fn": fn,
    }


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(60))
def test_every_score_equals_scikit_learn(seed: int, ties: bool) -> None:
    labels, logits = _draw(seed, ties=ties)
    rng = np.random.default_rng(1000 + seed)
    weights, threshold = rng.uniform(0.2, 3.0, size=2).tolist(), float(rng.uniform(0.1, 0.9))
    scores = _score(labels, logits, class_weights=weights, threshold=threshold)
    expected = _expected(labels, logits, weights, threshold)
    assert list(scores) == list(expected)
    assert scores == pytest.approx(expected, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("seed", range(20))
def test_auroc_is_the_share_of_pairs_in_order(seed: int) -> None:
    labels, logits = _draw(seed, ties=True)
    pairs = logits[labels == 1][:, None] - logits[labels == 0][None, :]
    scores = _score(labels, logits)
    assert scores["auroc"] == pytest.approx(np.mean((pairs > 0) + 0.5 * (pairs == 0)), abs=1e-12)


def test_all_logits_equal_say_chance_and_prevalence() -> None:
    scores = _score([0, 0, 0, 1], [0.3] * 4)
    assert scores["auroc"] == 0.5
    assert scores["average_precision"] == 0.25


@pytest.mark.parametrize(
    ("label", "defined", "undefined"),
    [(1, "sensitivity", "specificity"), (0, "specificity", "sensitivity")],
)
def test_one_class_leaves_what_needs_both_undefined(label: int, defined: str, undefined: str) -> None:
    scores = _score([label] * 3, [-1.0, 0.5, 2.0], class_weights=(1.0, 2.0), threshold=0.5)
    assert scores["auroc"] is None
    assert scores["average_precision"] is None
    assert scores[undefined] is None
    assert scores[defined] is not None
    assert isinstance(scores["loss"], float)
    assert (scores["n"], scores["n_positive"]) == (3, 3 * label)


def test_no_photos_leave_every_score_undefined_and_every_count_zero() -> None:
    scores = _score([], [])
    counts = {"n", "n_positive", "tp", "fp", "tn", "fn"}
    assert {name for name, value in scores.items() if value is None} == set(scores) - counts
    assert {scores[name] for name in counts} == {0}


def test_a_class_without_weight_leaves_its_own_loss_undefined() -> None:
    assert _score([0, 0], [1.0, 2.0], class_weights=(0.0, 1.0), threshold=0.5)["loss"] is None


def test_extreme_logits_neither_overflow_nor_saturate_the_loss() -> None:
    scores = _score([0, 1, 0, 1], [800.0, -800.0, -800.0, 800.0], class_weights=(1.0, 3.0), threshold=0.5)
    assert scores["loss"] == pytest.approx((800 + 3 * 800) / 8)
    assert probability_of([-800.0, 800.0]).tolist() == [0.0, 1.0]


def test_auroc_tells_apart_logits_whose_probabilities_round_to_one() -> None:
    assert _score([0, 1], [500.0, 700.0])["auroc"] == 1.0


@pytest.mark.parametrize("seed", range(3))
def test_decisions_made_elsewhere_are_counted_and_change_neither_loss_nor_ranks(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels, logits = rng.integers(0, 2, 40), rng.normal(size=40)
    own = _score(labels, logits, class_weights=(1.0, 2.0), threshold=0.3)
    decisions = rng.integers(0, 2, 40)
    other = score_decisions(labels, logits, decisions, class_weights=(1.0, 2.0))
    assert other["acc"] == reference.accuracy_score(labels, decisions)
    assert other["sensitivity"] == reference.recall_score(labels, decisions)
    assert [other[name] for name in ("loss", "auroc", "average_precision")] == [
        own[name] for name in ("loss", "auroc", "average_precision")
    ]


def test_a_probability_that_equals_the_threshold_counts_as_anaemic() -> None:
    assert decisions_of([0.0, -1e-12], threshold=0.5).tolist() == [1, 0]
    assert decisions_of([-50.0, 50.0], threshold=0.0).tolist() == [1, 1]


def test_scores_are_plain_numbers_that_json_takes() -> None:
    labels, logits = _draw(0)
    scores = _score(labels, logits.astype(np.float32))
    assert {type(value) for value in scores.values()} == {float, int}


@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
def test_logits_of_a_diverged_network_are_refused_in_words(broken: float) -> None:
    with pytest.raises(NonFiniteLogitsError) as caught:
        _score([0, 1, 1], [0.0, broken, 1.0])
    assert str(caught.value) == (
        "Looked for a finite logit for each of 3 photos; found 1 that are infinite or not a number. "
        "Training has diverged: lower optimizer.lr, or set trainer.precision=32."
    )


@pytest.mark.parametrize(
    ("labels", "logits", "fault"),
    [
        ([0, -1], [0.0, 0.0], r"^labels are \[-1, 0\], not only 0 and 1$"),
        ([0, 1], [0.0], r"^labels \(2,\) and logits \(1,\) are not both \[N\]$"),
        ([[0]], [[0.0]], r"^labels \(1, 1\) and logits \(1, 1\) are not both \[N\]$"),
    ],
)
def test_what_is_no_pair_of_labels_and_logits_is_a_defect(labels: Any, logits: Any, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        _score(labels, logits)


def test_a_reader_sees_three_decimals_counts_and_undefined() -> None:
    assert [shown(value) for value in (0.5, 1.0, 36, 0, None, float("nan"))] == [
        "0.500",
        "1.000",
        "36",
        "0",
        "undefined",
        "undefined",
    ]
