"""Paired differences against a plain loop over scikit-learn, and refusals to compare what is not the same."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from sklearn import metrics as reference

from anemia_lightning.errors import PhotosDifferError
from anemia_lightning.metrics.delong import delong_test
from anemia_lightning.metrics.differences import (
    ScoreDifference,
    compare_predictions,
    holm,
    score_differences,
    verdict,
)
from anemia_lightning.metrics.intervals import Interval, auroc_difference_interval

Bootstrap = Callable[..., dict[str, Interval]]


def _draw(seed: int, clusters: int = 30) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]:
    rng = np.random.default_rng(seed)
    cluster = np.repeat(np.arange(clusters), rng.integers(1, 5, clusters))
    labels = np.append([0, 0, 1, 1], rng.integers(0, 2, clusters - 4))[cluster]
    first = rng.normal(labels * 1.2 - 0.6)
    return labels, first, first + rng.normal(0, 1, len(labels)), cluster


def _table(labels: NDArray[Any], logits: NDArray[Any]) -> pd.DataFrame:
    return pd.DataFrame({"photo": [f"{place:03d}" for place in range(len(labels))], "label": labels, "logit": logits})


@pytest.mark.parametrize("seed", range(4))
def test_equals_a_plain_loop_over_scikit_learn(seed: int) -> None:
    labels, first, second, cluster = _draw(seed)
    found = score_differences(labels, first, second, clusters=cluster, resamples=100, seed=seed)

    def gaps(rows: NDArray[Any]) -> dict[str, float]:
        truth, one, two = labels[rows], 1 / (1 + np.exp(-first[rows])), 1 / (1 + np.exp(-second[rows]))
        called = one >= 0.5, two >= 0.5
        return {
            "auroc": reference.roc_auc_score(truth, one) - reference.roc_auc_score(truth, two),
            "brier": reference.brier_score_loss(truth, one) - reference.brier_score_loss(truth, two),
            "sensitivity": reference.recall_score(truth, called[0]) - reference.recall_score(truth, called[1]),
            "mcc": reference.matthews_corrcoef(truth, called[0]) - reference.matthews_corrcoef(truth, called[1]),
        }

    rng = np.random.default_rng(seed)
    members = [np.flatnonzero(cluster == each) for each in range(30)]
    drawn = [gaps(np.concatenate([members[each] for each in rng.integers(30, size=30)])) for _ in range(100)]
    for name, value in gaps(np.arange(len(labels))).items():
        interval, each = found[name].interval, np.array([gap[name] for gap in drawn])
        assert interval.value == pytest.approx(value, abs=1e-12)
        assert [interval.low, interval.high] == pytest.approx(np.percentile(each, [2.5, 97.5]), abs=1e-12)
        # Ties with 0 may fall to either side by rounding.
        sides = [min((each < -edge).sum(), (each > edge).sum()) for edge in (1e-12, -1e-12)]
        least, most = (min(1.0, 2 * (1 + side) / 101) for side in sides)
        assert least - 1e-12 <= (found[name].p or 0) <= most + 1e-12
        assert name != "brier" or least == most, "one score has no ties, so that its p is known"


def test_agrees_with_the_functions_for_one_score_and_one_model(bootstrap: Bootstrap) -> None:
    labels, first, second, cluster = _draw(9)
    found = score_differences(labels, first, second, clusters=cluster, resamples=300, seed=3)
    assert "prevalence" not in found
    assert found["auroc"].interval == auroc_difference_interval(labels, first, second, cluster, resamples=300, seed=3)
    alone = [bootstrap(labels, each, cluster, threshold=0.5, resamples=2) for each in (first, second)]
    assert {name: each.first for name, each in found.items()} == {name: alone[0][name].value for name in found}
    assert {name: each.second for name, each in found.items()} == {name: alone[1][name].value for name in found}


def test_tables_are_joined_by_photo_in_any_order() -> None:
    labels, first, second, cluster = _draw(5)
    clusters = pd.Series(cluster, index=[f"{place:03d}" for place in range(len(labels))])
    tables = _table(labels, first), _table(labels, second)
    found = compare_predictions(*tables, clusters, resamples=100)
    shuffled = tables[1].sample(frac=1.0, random_state=1), clusters.sample(frac=1.0, random_state=2)
    assert compare_predictions(tables[0], *shuffled, resamples=100) == found
    assert (found.n, found.n_positive) == (len(labels), labels.sum())
    assert found.delong == delong_test(labels, first, second)
    assert found.scores == score_differences(labels, first, second, clusters=cluster, resamples=100)


def test_a_model_against_itself_differs_by_nothing() -> None:
    labels, first, _, cluster = _draw(1)
    found = score_differences(labels, first, first, clusters=cluster, resamples=50)
    note = "the same in nearly all resamples"
    assert {each.interval for each in found.values()} <= {Interval(0.0, 0.0, 0.0, n, note) for n in range(51)}
    assert {each.p for each in found.values()} == {1.0}


def test_a_score_that_one_model_lacks_has_no_difference() -> None:
    labels, first, _, cluster = _draw(2)
    found = score_differences(labels, first, first - 100, clusters=cluster, resamples=50)
    assert found["ppv"].first is not None
    assert found["ppv"] == ScoreDifference(
        found["ppv"].first, None, Interval(None, None, None, note="no photos called anaemic"), None
    )
    assert found["auroc"].interval.value == 0.0


def test_other_photos_are_refused_in_words() -> None:
    labels, first, second, cluster = _draw(3)
    tables, clusters = (_table(labels, first), _table(labels, second)), pd.Series(cluster)
    renamed = tables[1].replace({"photo": {"001": "x"}})
    twice = pd.concat([tables[0], tables[0].iloc[:1]])
    relabelled = tables[1].assign(label=tables[1]["label"].where(tables[1]["photo"] != "002", 1 - tables[1]["label"]))
    told = {}
    for name, pair in {
        "renamed": (tables[0], renamed),
        "twice": (twice, tables[1]),
        "other": (tables[0], relabelled),
    }.items():
        with pytest.raises(PhotosDifferError) as caught:
            compare_predictions(*pair, clusters, names=("the network", "colour"))
        told[name] = str(caught.value)
    assert told["renamed"] == (
        "Looked for one prediction of each photo by the network and by colour, with the same labels; "
        "found 1 predicted by the network alone (001); 1 predicted by colour alone (x). "
        "Compare models on the same split of the same data."
    )
    assert "found 1 predicted more than once by the network (000). " in told["twice"]
    assert "found 1 with another label (002). " in told["other"]


def test_many_missing_photos_are_counted() -> None:
    labels, first, _, cluster = _draw(3)
    table = _table(labels, first)
    with pytest.raises(PhotosDifferError, match=r"10 predicted by the first model alone \(000, 001, 002 and 7 more\)"):
        compare_predictions(table, table.iloc[10:], pd.Series(cluster))


def test_copies_make_delong_surer_and_change_nothing_that_clusters_say() -> None:
    labels, first, second, _ = _draw(6)
    copies = [np.tile(each, 5) for each in (labels, first, second)]
    single, many = delong_test(labels, first, second), delong_test(*copies)
    assert (many.p or 0) < (single.p or 0)
    clusters = np.tile(np.arange(len(labels)), 5)
    found = score_differences(*copies, clusters=clusters, resamples=200)["auroc"]
    assert found == score_differences(labels, first, second, clusters=np.arange(len(labels)), resamples=200)["auroc"]


@pytest.mark.parametrize("seed", range(20))
def test_holm_equals_its_definition(seed: int) -> None:
    rng = np.random.default_rng(seed)
    p_values = rng.random(int(rng.integers(1, 9))) ** 3
    order = np.argsort(p_values)
    steps = np.array([(len(order) - place) * p_values[rank] for place, rank in enumerate(order)])
    expected = np.empty(len(order))
    expected[order] = [min(1.0, steps[: place + 1].max()) for place in range(len(order))]
    assert holm(p_values.tolist()) == pytest.approx(expected.tolist())


def test_holm_of_a_known_example_and_of_gaps() -> None:
    # As R's p.adjust has it.
    assert holm([0.01, 0.02, 0.03, 0.04, 0.05]) == pytest.approx([0.05, 0.08, 0.09, 0.09, 0.09])
    assert holm([None, 0.5, None]) == [None, 0.5, None]
    assert holm([]) == []


@pytest.mark.parametrize(
    ("low", "high", "says"),
    [(0.01, 0.2, "is better than"), (-0.2, -0.01, "is worse than"), (-0.1, 0.1, "is not shown to differ from")],
)
def test_the_verdict_follows_the_interval(low: float, high: float, says: str) -> None:
    found = ScoreDifference(0.8, 0.75, Interval(0.05, low, high, 2000), 0.1)
    assert verdict(found, "the network", "colour alone") == (
        f"The network {says} colour alone: AUROC 0.800 against 0.750, by 0.050 [{low:.3f}, {high:.3f}]."
    )


def test_the_verdict_on_two_perfect_models_says_so_and_gives_no_interval() -> None:
    labels = np.repeat([0, 1], 10)
    found = score_differences(labels, labels, 3 * labels, clusters=range(20), resamples=50)["auroc"]
    assert verdict(found, "the network", "colour alone") == (
        "The network is not shown to differ from colour alone: both put every pair in order, AUROC 1.000."
    )


def test_the_verdict_on_one_class_says_why_there_is_none() -> None:
    found = score_differences([1, 1], [0.0, 1.0], [1.0, 0.0], clusters=[0, 1])["auroc"]
    assert verdict(found, "the network", "colour alone") == (
        "The network cannot be compared with colour alone: no non-anaemic photos."
    )
