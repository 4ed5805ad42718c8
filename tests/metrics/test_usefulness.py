"""Decision curves against direct counts, hand-worked numbers and a plain loop over resampled clusters."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.metrics import confusion_matrix

from anemia_lightning.metrics.usefulness import TEST_ALL, TEST_NONE, decision_curve

Draw = tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]


def _draw(seed: int, *, clusters: int = 100, photos: int = 1) -> Draw:
    rng = np.random.default_rng(seed)
    probability = expit(rng.normal(-0.5, 1.5, clusters))
    labels = (rng.random(clusters) < probability).astype(np.int64)
    return np.repeat(labels, photos), np.repeat(probability, photos), np.repeat(np.arange(clusters), photos)


def _direct(labels: Any, probabilities: Any, threshold: float) -> float:
    (_, fp), (_, tp) = confusion_matrix(labels, np.asarray(probabilities) >= threshold, labels=[0, 1])
    return float(tp / len(labels) - fp / len(labels) * threshold / (1 - threshold))


@pytest.mark.parametrize("seed", range(5))
def test_equals_direct_counts_at_every_threshold(seed: int) -> None:
    labels, probability, _ = _draw(seed)
    rounded = np.round(probability, 1)  # puts probabilities on thresholds
    found = decision_curve(labels, {"network": probability, "rounded": rounded})
    assert list(found.net_benefit) == ["network", "rounded", TEST_ALL, TEST_NONE]
    assert found.thresholds.tolist() == [round(0.01 * step, 2) for step in range(1, 100)]
    for name, values in (("network", probability), ("rounded", rounded), (TEST_ALL, np.ones(100))):
        direct = [_direct(labels, values, each) for each in found.thresholds]
        assert found.net_benefit[name] == pytest.approx(direct, abs=1e-12)
    assert not found.net_benefit[TEST_NONE].any()
    assert (found.photos, found.anaemic, found.resamples, found.note) == (100, labels.sum(), 0, "")


def test_hand_worked_numbers() -> None:
    # 100 photos, 20 anaemic; the test calls 16 of them and 24 others. At 20 % a false positive costs a quarter.
    labels = np.repeat([1, 0], [20, 80])
    probability = np.concatenate([np.repeat([0.9, 0.1], [16, 4]), np.repeat([0.9, 0.1], [24, 56])])
    found = decision_curve(labels, {"test": probability}, thresholds=[0.2])
    assert found.net_benefit["test"] == pytest.approx([0.16 - 0.24 / 4])
    assert found.net_benefit[TEST_ALL] == pytest.approx([0.0], abs=1e-12)
    # 0.1 true positives per photo are worth 0.4 false positives: 400 tests fewer in 1,000 without missing more.
    assert found.tests_avoided("test") == pytest.approx([400.0])
    assert found.tests_avoided(TEST_ALL) == pytest.approx([0.0])


def test_a_calibrated_model_is_never_worse_than_testing_all_or_none() -> None:
    found = decision_curve(*_pair(_draw(0, clusters=50_000)))
    best = np.maximum(found.net_benefit[TEST_ALL], 0)
    assert (found.net_benefit["network"] >= best - 0.002).all()


def test_the_order_alone_is_not_enough() -> None:
    labels, probability, _ = _draw(0, clusters=5000)
    found = decision_curve(labels, {"network": probability, "too sure": probability**0.2}, thresholds=[0.5])
    assert found.net_benefit["too sure"][0] < found.net_benefit["network"][0]


def _pair(draw: Draw) -> tuple[NDArray[np.int64], dict[str, NDArray[np.float64]]]:
    return draw[0], {"network": draw[1]}


def test_the_band_equals_a_plain_loop() -> None:
    labels, probability, cluster = _draw(1, clusters=30, photos=3)
    thresholds = [0.1, 0.3, 0.6]
    found = decision_curve(
        labels, {"network": probability}, thresholds=thresholds, clusters=cluster, resamples=80, seed=4
    )
    members = [np.flatnonzero(cluster == each) for each in range(30)]
    drawn = np.random.default_rng(4).integers(30, size=(80, 30))
    rows = [np.concatenate([members[each] for each in row]) for row in drawn]
    for name, values in (("network", probability), (TEST_ALL, np.ones(90))):
        benefits = [[_direct(labels[row], values[row], each) for each in thresholds] for row in rows]
        low, high = np.quantile(benefits, [0.025, 0.975], axis=0)
        assert found.low[name] == pytest.approx(low)
        assert found.high[name] == pytest.approx(high)
    assert not found.high[TEST_NONE].any()
    assert (found.resamples, found.level) == (80, 0.95)


def test_the_band_of_repeated_photos_is_wider_by_cluster() -> None:
    labels, probability, cluster = _draw(2, clusters=100, photos=5)
    by_cluster, by_photo = (
        decision_curve(labels, {"network": probability}, clusters=each, resamples=300) for each in (cluster, None)
    )
    width = [(each.high["network"] - each.low["network"]).mean() for each in (by_cluster, by_photo)]
    assert width[0] == pytest.approx(width[1] * np.sqrt(5), rel=0.15)


def test_the_band_covers_the_truth() -> None:
    big = decision_curve(*_pair(_draw(0, clusters=300_000)), thresholds=[0.2, 0.5])
    covered = []
    for seed in range(300):
        found = decision_curve(*_pair(_draw(seed + 1, clusters=200)), thresholds=[0.2, 0.5], resamples=300, seed=seed)
        truth = big.net_benefit["network"]
        covered.append((found.low["network"] <= truth) & (truth <= found.high["network"]))
    assert ((np.mean(covered, axis=0) > 0.91) & (np.mean(covered, axis=0) < 0.98)).all()


def test_resampling_is_told_of_and_named_by_the_seed() -> None:
    told: list[tuple[int, int]] = []
    first, same, other = (
        decision_curve(*_pair(_draw(0)), resamples=50, seed=seed, progress=lambda done, of: told.append((done, of)))
        for seed in (1, 1, 2)
    )
    assert first.low["network"].tolist() == same.low["network"].tolist() != other.low["network"].tolist()
    assert told == [(50, 50)] * 3


@pytest.mark.parametrize("labels", [[], [0, 0, 0], [1, 1]])
def test_without_both_classes_there_is_no_curve(labels: list[int]) -> None:
    found = decision_curve(labels, {"network": [0.4] * len(labels)}, resamples=10)
    assert (found.net_benefit, found.low, found.resamples) == ({}, {}, 0)
    assert found.note == "It takes photos of both classes."


def test_a_class_in_one_cluster_has_curves_and_no_band() -> None:
    found = decision_curve([0, 0, 1, 1], {"network": [0.1, 0.6, 0.4, 0.9]}, clusters=[0, 1, 2, 2], resamples=10)
    assert len(found.net_benefit["network"]) == 99
    assert (found.low, found.high, found.resamples) == ({}, {}, 0)
    assert found.note == (
        "There is no band: a class stands in one cluster, which cannot tell how far others of it would differ."
    )


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ({"predictors": {"a": [0.1, 1.2]}}, r"a probability is not in \[0, 1\]"),
        ({"predictors": {"a": [0.1]}}, "not both"),
        ({"predictors": {"a": [0.1, 0.2]}, "thresholds": [0.0, 0.5]}, r"a threshold is not in \(0, 1\)"),
        ({"predictors": {"a": [0.1, 0.2]}, "clusters": [1]}, "not all"),
    ],
)
def test_what_is_no_set_of_predictors_is_a_defect(settings: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        decision_curve([0, 1], **settings)
