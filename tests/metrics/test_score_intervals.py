"""Every score with its interval against a plain loop over scikit-learn, and what is said where there is none."""

import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn import metrics as reference

from anemia_lightning.errors import NonFiniteLogitsError
from anemia_lightning.metrics.intervals import Interval, auroc_interval
from anemia_lightning.metrics.resampled_scores import NAMES
from anemia_lightning.metrics.scores import decisions_of, logit_of, probability_of, score_decisions

Draw = tuple[NDArray[Any], NDArray[Any], NDArray[Any]]
Bootstrap = Callable[..., dict[str, Interval]]


def _draw(seed: int, clusters: int = 25) -> Draw:
    """Photos in clusters of 1 to 4 that may hold both labels; ties where the seed is odd."""
    rng = np.random.default_rng(seed)
    cluster = np.repeat(np.arange(clusters), rng.integers(1, 5, clusters))
    labels = np.append([0, 1, 0, 1], rng.integers(0, 2, len(cluster) - 4))
    logits = rng.normal(labels * 1.5 - 0.7, 1.5)
    return labels, np.round(logits) if seed % 2 else logits, cluster


def _expected(labels: NDArray[Any], probabilities: NDArray[Any], threshold: float) -> dict[str, float]:
    """What scikit-learn makes of photos; it has no word for undefined, so what is undefined is left out."""
    called = probabilities >= threshold
    found = {
        "prevalence": labels.mean(),
        "acc": reference.accuracy_score(labels, called),
        "brier": reference.brier_score_loss(labels, probabilities, labels=[0, 1]),
        "log_loss": reference.log_loss(labels, probabilities, labels=[0, 1]),
    }
    if labels.any():
        found["sensitivity"] = reference.recall_score(labels, called)
    if not labels.all():
        found["specificity"] = reference.recall_score(labels, called, pos_label=0)
    if called.any():
        found["ppv"] = reference.precision_score(labels, called)
    if not called.all():
        found["npv"] = reference.precision_score(labels, called, pos_label=0)
    if labels.any() or called.any():
        found["f1"] = reference.f1_score(labels, called)
    if 0 < labels.mean() < 1:
        found["auroc"] = reference.roc_auc_score(labels, probabilities)
        found["average_precision"] = reference.average_precision_score(labels, probabilities)
        found["balanced_accuracy"] = reference.balanced_accuracy_score(labels, called)
        if 0 < called.mean() < 1:
            found["mcc"] = reference.matthews_corrcoef(labels, called)
    return found


@pytest.mark.parametrize("is_alone", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_equals_a_plain_loop_over_scikit_learn(seed: int, is_alone: bool, bootstrap: Bootstrap) -> None:
    labels, logits, cluster = _draw(seed)
    if is_alone:
        cluster = np.arange(len(labels))
    probabilities, threshold = probability_of(logits), 0.45
    found = bootstrap(labels, logits, cluster, threshold=threshold, resamples=60, seed=seed)
    rng = np.random.default_rng(seed)
    clusters = int(cluster.max()) + 1
    members = [np.flatnonzero(cluster == each) for each in range(clusters)]
    rows = [np.concatenate([members[each] for each in rng.integers(clusters, size=clusters)]) for _ in range(60)]
    drawn = [_expected(labels[each], probabilities[each], threshold) for each in rows]
    assert tuple(found) == NAMES
    for name, value in _expected(labels, probabilities, threshold).items():
        defined = [each[name] for each in drawn if name in each]
        assert found[name].value == pytest.approx(value, abs=1e-12)
        assert [found[name].low, found[name].high] == pytest.approx(np.percentile(defined, [2.5, 97.5]), abs=1e-12)
        assert found[name].resamples == len(defined)
        assert found[name].note == ""


@pytest.mark.parametrize(
    ("labels", "probabilities"),
    [
        ([1], [0.7]),
        ([0], [0.7]),
        ([1, 1, 1], [0.2, 0.7, 0.7]),
        ([0, 0, 0], [0.2, 0.7, 0.9]),
        ([0, 1, 0, 1], [0.5, 0.5, 0.5, 0.5]),
        ([0, 1, 0, 1], [0.1, 0.2, 0.3, 0.4]),
        ([0, 1, 0, 1], [0.9, 0.8, 0.7, 0.6]),
        ([0, 1, 0, 1], [0.0, 1.0, 1.0, 0.0]),
        ([0, 1, 0, 1], [0.0, 1.0, 0.0, 1.0]),
        ([0, 1], [1e-300, 1e-20]),
    ],
)
def test_degenerate_photos_score_as_scikit_learn_has_it_or_are_undefined(
    labels: Any, probabilities: Any, bootstrap: Bootstrap
) -> None:
    truth, given = np.array(labels), np.array(probabilities)
    found = bootstrap(truth, logit_of(given), np.arange(len(truth)), threshold=0.5, resamples=20)
    values = {name: each.value for name, each in found.items() if each.value is not None}
    assert values == pytest.approx(_expected(truth, np.clip(given, np.finfo(float).eps, 1), 0.5), abs=1e-12)
    assert all(each.note for name, each in found.items() if name not in values)


@pytest.mark.parametrize("seed", range(10))
def test_values_are_those_of_the_score_table(seed: int, bootstrap: Bootstrap) -> None:
    labels, logits, cluster = _draw(seed)
    table = score_decisions(labels, logits, decisions_of(logits, 0.6), class_weights=(1.0, 1.0))
    found = bootstrap(labels, logits, cluster, threshold=0.6, resamples=2)
    assert found["auroc"].value == table["auroc"]
    for name, key in {"log_loss": "loss", **{key: key for key in ("acc", "sensitivity", "specificity")}}.items():
        assert found[name].value == pytest.approx(table[key], abs=1e-14)
    assert found["average_precision"].value == pytest.approx(table["average_precision"], abs=1e-14)


def test_the_auroc_is_drawn_as_it_is_alone(bootstrap: Bootstrap) -> None:
    labels, logits, cluster = _draw(2)
    found = bootstrap(labels, logits, cluster, threshold=0.5, resamples=200, seed=4, level=0.8)
    assert found["auroc"] == auroc_interval(labels, logits, cluster, resamples=200, seed=4, level=0.8)


def test_each_undefined_score_says_what_is_missing(bootstrap: Bootstrap) -> None:
    def notes(labels: list[int], logits: list[float], unit: str = "photo") -> dict[str, str]:
        found = bootstrap(labels, logits, range(len(labels)), threshold=0.5, resamples=20, unit=unit)
        return {name: each.note for name, each in found.items() if each.value is None}

    assert notes([1, 1], [-1.0, 1.0]) == dict.fromkeys(
        ("auroc", "average_precision", "specificity", "balanced_accuracy", "mcc"), "no non-anaemic photos"
    )
    assert notes([0, 0], [-1.0, 1.0], unit="patient") == dict.fromkeys(
        ("auroc", "average_precision", "sensitivity", "balanced_accuracy", "mcc"), "no anaemic patients"
    )
    assert notes([0, 1], [-2.0, -1.0]) == dict.fromkeys(("ppv", "mcc"), "no photos called anaemic")
    assert notes([0, 1], [2.0, 1.0]) == dict.fromkeys(("npv", "mcc"), "no photos called non-anaemic")
    assert notes([0], [-1.0])["f1"] == "no photos anaemic or called so"
    assert set(notes([], [])) == set(NAMES)
    assert notes([], [])["acc"] == "no photos"


def test_one_cluster_has_values_and_no_interval(bootstrap: Bootstrap) -> None:
    found = bootstrap([0, 1, 0, 1], [-1.0, 1.0, 1.0, 2.0], ["p"] * 4, threshold=0.5)
    assert found["acc"] == Interval(0.75, None, None, 0, "fewer than two clusters hold photos")
    assert found["ppv"].note == "fewer than two clusters hold photos called anaemic"


def test_a_score_without_errors_says_that_its_interval_tells_nothing(bootstrap: Bootstrap) -> None:
    found = bootstrap([0, 1, 0, 1], [-1.0, 1.0, -1.0, 2.0], range(4), threshold=0.5, resamples=50)
    assert (found["sensitivity"].low, found["sensitivity"].high) == (1.0, 1.0)
    assert found["sensitivity"].note == "the same in nearly all resamples"


@pytest.mark.parametrize("name", NAMES)
def test_copies_in_one_cluster_leave_the_width_as_it_is_and_alone_narrow_it(name: str, bootstrap: Bootstrap) -> None:
    labels, logits, _ = _draw(8, clusters=40)
    photos = np.arange(len(labels))
    single = bootstrap(labels, logits, photos, threshold=0.5, resamples=200)[name]
    many, odds, copies = (np.tile(each, 6) for each in (labels, logits, photos))
    kept = bootstrap(many, odds, copies, threshold=0.5, resamples=200)[name]
    assert [kept.value, kept.low, kept.high] == pytest.approx([single.value, single.low, single.high], abs=1e-12)
    naive = bootstrap(many, odds, range(len(many)), threshold=0.5, resamples=200)[name]
    assert (naive.high or 0) - (naive.low or 0) < 0.6 * ((kept.high or 0) - (kept.low or 0))


def test_resamples_do_not_depend_on_how_many_fit_into_memory(
    monkeypatch: pytest.MonkeyPatch, bootstrap: Bootstrap
) -> None:
    draw, seen = _draw(3), list[tuple[int, int]]()
    whole = bootstrap(*draw, threshold=0.5, resamples=100)
    monkeypatch.setattr("anemia_lightning.metrics.intervals._CELLS_AT_ONCE", 30 * len(draw[0]))
    parts = bootstrap(*draw, threshold=0.5, resamples=100, progress=lambda done, of: seen.append((done, of)))
    assert seen == [(30, 100), (60, 100), (90, 100), (100, 100)]
    for name, each in whole.items():
        assert [parts[name].low, parts[name].high] == pytest.approx([each.low, each.high], abs=1e-12)


def test_ten_thousand_photos_are_no_burden(bootstrap: Bootstrap) -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 10_000)
    tracemalloc.start()
    found = bootstrap(labels, rng.normal(labels * 1.0), rng.integers(0, 4000, 10_000), threshold=0.5)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert {each.resamples for each in found.values()} == {2000}
    assert peak_bytes < 20e6, "not all 2,000 resamples, nor hundreds of them, at once"


def test_what_is_no_set_of_predictions_is_refused(bootstrap: Bootstrap) -> None:
    with pytest.raises(NonFiniteLogitsError):
        bootstrap([0, 1], [0.0, np.inf], [0, 1], threshold=0.5)
    with pytest.raises(ValueError, match="not only 0 and 1"):
        bootstrap([0, 2], [0.0, 1.0], [0, 1], threshold=0.5)


def test_log_odds_of_probabilities() -> None:
    given = np.random.default_rng(0).random(50)
    assert probability_of(logit_of(given)) == pytest.approx(given, abs=1e-15)
    assert np.isfinite(logit_of([0.0, 1.0])).all()
    for broken in ([-0.1], [1.1], [np.nan]):
        with pytest.raises(ValueError, match=r"not in \[0, 1\]"):
            logit_of(broken)
