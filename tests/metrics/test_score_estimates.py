"""Every score against scikit-learn, on random and degenerate inputs, and which interval comes first."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit
from sklearn import metrics as reference

from anemia_lightning.metrics.delong import delong_interval
from anemia_lightning.metrics.estimates import BOOTSTRAP, DELONG, WILSON, WILSON_OVER_CLUSTERS, Resampling
from anemia_lightning.metrics.intervals import auroc_interval
from anemia_lightning.metrics.proportions import likelihood_ratios, wilson
from anemia_lightning.metrics.score_estimates import SIMEL, ScoreEstimate, estimate_scores

HOW = Resampling(resamples=100, seed=1)
THRESHOLD = 0.4


def _estimate(labels: Any, logits: Any, cluster: Any, scaled: Any = None, called: Any = None) -> dict[str, Any]:
    labels, logits = np.asarray(labels, dtype=np.int64), np.asarray(logits, dtype=np.float64)
    scaled = logits if scaled is None else scaled
    called = expit(scaled) >= THRESHOLD if called is None else np.asarray(called)
    return dict(estimate_scores(labels, logits, np.asarray(cluster), called=called, scaled=scaled, how=HOW))


def _draw(seed: int, copies: int = 1) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.append([0, 0, 1, 1], rng.integers(0, 2, 46)), copies)
    # One decimal, so that there are ties.
    return labels, rng.normal(labels - 0.5).round(1), np.repeat(np.arange(50), copies)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("copies", [1, 2])
def test_values_equal_scikit_learn(seed: int, copies: int) -> None:
    labels, logits, cluster = _draw(seed, copies)
    scaled = 0.7 * logits - 0.2
    called, probability = expit(scaled) >= THRESHOLD, expit(scaled)
    positive, negative = reference.class_likelihood_ratios(labels, called)
    expected = {
        "auroc": reference.roc_auc_score(labels, logits),
        "average_precision": reference.average_precision_score(labels, logits),
        "prevalence": labels.mean(),
        "acc": reference.accuracy_score(labels, called),
        "sensitivity": reference.recall_score(labels, called),
        "specificity": reference.recall_score(labels, called, pos_label=0),
        "ppv": reference.precision_score(labels, called),
        "npv": reference.precision_score(labels, called, pos_label=0),
        "balanced_accuracy": reference.balanced_accuracy_score(labels, called),
        "f1": reference.f1_score(labels, called),
        "mcc": reference.matthews_corrcoef(labels, called),
        "brier": reference.brier_score_loss(labels, probability),
        "log_loss": reference.log_loss(labels, probability),
        "lr_positive": positive,
        "lr_negative": negative,
    }
    found = _estimate(labels, logits, cluster, scaled)
    assert {name: each.value for name, each in found.items()} == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_independent_photos_have_formulas_first_and_the_bootstrap_beside(seed: int) -> None:
    labels, logits, cluster = _draw(seed)
    found = _estimate(labels, logits, cluster)
    assert found["auroc"].interval == delong_interval(labels, logits)
    methods = {name: each.method for name, each in found.items()}
    assert methods == {
        "auroc": DELONG,
        **dict.fromkeys(("acc", "sensitivity", "specificity", "ppv", "npv"), WILSON),
        **dict.fromkeys(("lr_positive", "lr_negative"), SIMEL),
        **dict.fromkeys(
            ("average_precision", "prevalence", "balanced_accuracy", "f1", "mcc", "brier", "log_loss"), BOOTSTRAP
        ),
    }
    first: ScoreEstimate
    for first in found.values():
        beside = first.other
        assert (beside is None) == (first.method == BOOTSTRAP)
        assert beside is None or (beside.method, beside.resamples) == (BOOTSTRAP, 100)
    assert found["auroc"].other.interval == auroc_interval(labels, logits, cluster, resamples=100, seed=1)


@pytest.mark.parametrize("seed", range(3))
def test_dependent_photos_have_the_bootstrap_first_and_formulas_beside(seed: int) -> None:
    labels, logits, cluster = _draw(seed, copies=3)
    found = _estimate(labels, logits, cluster)
    assert found["auroc"].interval == auroc_interval(labels, logits, cluster, resamples=100, seed=1)
    assert {each.method for each in found.values()} == {BOOTSTRAP}
    assert found["auroc"].other.interval == delong_interval(labels, logits)
    called = expit(logits) >= THRESHOLD
    hits, anaemic = int((called & (labels == 1)).sum()), int(labels.sum())
    assert found["sensitivity"].other.interval == wilson(hits, anaemic)
    counts = {"tp": hits, "fn": anaemic - hits, "fp": int((called & (labels == 0)).sum())}
    counts["tn"] = len(labels) - sum(counts.values())
    assert found["lr_positive"].other.interval == likelihood_ratios(counts)["lr_positive"]


def test_likelihood_ratios_are_resampled_too() -> None:
    labels, logits, cluster = _draw(0, copies=2)
    found = _estimate(labels, logits, cluster)
    rng, called = np.random.default_rng(1), expit(logits) >= THRESHOLD
    ratios = []
    for _ in range(100):
        rows = np.concatenate([[2 * each, 2 * each + 1] for each in rng.integers(50, size=50)])
        ratios.append(reference.class_likelihood_ratios(labels[rows], called[rows]))
    low, high = np.percentile(np.array(ratios), [2.5, 97.5], axis=0)
    for place, name in enumerate(("lr_positive", "lr_negative")):
        assert (found[name].low, found[name].high) == pytest.approx((low[place], high[place]), abs=1e-12)


def test_resamples_without_a_class_are_left_out_of_likelihood_ratios_too() -> None:
    # Of 22 clusters two hold other photos, of which each time one is called anaemic.
    labels, cluster = np.repeat([0, 1], [4, 20]), np.append([0, 0], np.append([1, 1], np.arange(2, 22)))
    called = np.append([1, 0, 1, 0], np.repeat([1, 0], [15, 5])).astype(bool)
    found = _estimate(labels, np.linspace(-1, 1, 24), cluster, called=called)
    rng, ratios = np.random.default_rng(1), []
    for _ in range(100):
        rows = np.concatenate([np.flatnonzero(cluster == each) for each in rng.integers(22, size=22)])
        if not labels[rows].all():
            ratios.append(reference.class_likelihood_ratios(labels[rows], called[rows]))
    assert 50 < len(ratios) < 100
    low, high = np.percentile(np.array(ratios), [2.5, 97.5], axis=0)
    for place, name in enumerate(("lr_positive", "lr_negative")):
        assert (found[name].low, found[name].high) == pytest.approx((low[place], high[place]), abs=1e-12)
        assert (found[name].resamples, found[name].note) == (len(ratios), "")


def test_a_perfect_share_of_dependent_photos_has_the_width_of_its_clusters() -> None:
    labels, cluster = np.repeat([0, 1], 30), np.repeat(np.arange(20), 3)
    found = _estimate(labels, labels - 0.5, cluster, called=labels == 1)
    for name, clusters in {"acc": 20, "sensitivity": 10, "specificity": 10, "ppv": 10, "npv": 10}.items():
        assert found[name].method == WILSON_OVER_CLUSTERS
        assert found[name].interval == wilson(clusters, clusters)


def test_a_ratio_that_may_divide_by_nothing_has_no_interval() -> None:
    labels, cluster = np.repeat([0, 1], 20), np.repeat(np.arange(20), 2)
    called = labels == 1
    called[0] = True
    found = _estimate(labels, labels - 0.5, cluster, called=called)["lr_positive"]
    assert (found.value, found.low, found.note) == (20.0, None, "in some resamples it divides by nothing")


@pytest.mark.parametrize("copies", [1, 3])
def test_a_ratio_of_nothing_has_no_interval(copies: int) -> None:
    labels, cluster = np.repeat([0, 1], 10 * copies), np.repeat(np.arange(20), copies)
    called = labels == 1
    called[: 4 * copies] = True
    found = _estimate(labels, labels - 0.5, cluster, called=called)["lr_negative"]
    assert (found.value, found.low, found.high) == (0.0, None, None)
    assert (found.method, found.note) == ("", "no anaemic photo was called non-anaemic")


@pytest.mark.parametrize(
    ("labels", "called", "undefined"),
    [
        ([1, 1, 1], [1, 0, 1], {"auroc", "average_precision", "specificity", "balanced_accuracy", "mcc", "lr"}),
        ([0, 0, 0], [1, 0, 1], {"auroc", "average_precision", "sensitivity", "balanced_accuracy", "mcc", "lr"}),
        ([0, 1, 1], [0, 0, 0], {"ppv", "mcc", "lr_positive"}),
        ([0, 1, 1], [1, 1, 1], {"npv", "mcc", "lr_negative"}),
        ([0, 0], [0, 0], {"auroc", "average_precision", "sensitivity", "ppv", "balanced_accuracy", "f1", "mcc", "lr"}),
        ([], [], None),
    ],
)
@pytest.mark.parametrize("copies", [1, 2])
def test_what_is_undefined_is_none_and_says_why(
    labels: list[int], called: list[int], undefined: set[str] | None, copies: int
) -> None:
    truth, answers = np.repeat(labels, copies).astype(np.int64), np.repeat(called, copies).astype(bool)
    cluster = np.repeat(np.arange(len(labels)), copies)
    found = _estimate(truth, np.linspace(-1, 1, len(truth)), cluster, called=answers)
    expected = set(found) if undefined is None else undefined - {"lr"}
    if undefined and "lr" in undefined:
        expected |= {"lr_positive", "lr_negative"}
    assert {name for name, each in found.items() if each.value is None} == expected
    assert all(found[name].note and found[name].low is None for name in expected)
