"""The subgroup table against scores of each group alone, its marks, and the worst group."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit
from sklearn import metrics as reference

from anemia_lightning.metrics.calibration import calibration
from anemia_lightning.metrics.delong import delong_interval
from anemia_lightning.metrics.estimates import BOOTSTRAP, DELONG, WILSON, Resampling
from anemia_lightning.metrics.intervals import auroc_interval
from anemia_lightning.metrics.proportions import wilson
from anemia_lightning.metrics.subgroups import MOST_GROUPS, OTHERS, UNKNOWN, Group, Subgroups, compare_groups

HOW = Resampling(resamples=100, seed=2)


class Drawn:
    """200 photos, independent or two of each patient."""

    def __init__(self, seed: int = 0, copies: int = 1) -> None:
        rng = np.random.default_rng(seed)
        self.labels = np.repeat(rng.integers(0, 2, 200), copies)
        self.logits = rng.normal(2 * self.labels - 1, 1.5)
        self.cluster = np.repeat(np.arange(200), copies)
        self.site = np.repeat(rng.choice(["North", "South", "West"], 200).astype(object), copies)

    def table(self, columns: dict[str, Any], **more: Any) -> Subgroups:
        return compare_groups(
            self.labels,
            self.logits,
            columns,
            self.cluster,
            called=self.logits >= 0.3,
            scaled=self.logits,
            how=HOW,
            **more,
        )


def _groups(found: Subgroups, column: int = 0) -> dict[str, Group]:
    return {group.name: group for group in found.columns[column].groups}


@pytest.mark.parametrize("copies", [1, 2])
def test_each_group_has_the_scores_of_its_photos_alone(copies: int) -> None:
    drawn = Drawn(copies=copies)
    groups = _groups(drawn.table({"site": drawn.site}))
    assert list(groups) == ["North", "South", "West"]
    for name, group in groups.items():
        rows = drawn.site == name
        labels, logits, cluster = drawn.labels[rows], drawn.logits[rows], drawn.cluster[rows]
        called = logits >= 0.3
        assert (group.n, group.events, group.clusters) == (rows.sum(), labels.sum(), len(set(cluster)))
        assert group.auroc.value == pytest.approx(reference.roc_auc_score(labels, logits))
        assert group.sensitivity.value == pytest.approx(reference.recall_score(labels, called))
        assert group.specificity.value == pytest.approx(reference.recall_score(labels, called, pos_label=0))
        assert group.observed_expected.value == pytest.approx(labels.sum() / expit(logits).sum())
        known = calibration(labels, logits, clusters=cluster).observed_expected
        assert group.observed_expected.interval == known
        if copies == 1:
            assert group.auroc.interval == delong_interval(labels, logits)
            assert group.sensitivity.interval == wilson(int((called & (labels == 1)).sum()), int(labels.sum()))
            assert (group.auroc.method, group.sensitivity.method) == (DELONG, WILSON)
        else:
            assert group.auroc.interval == auroc_interval(labels, logits, cluster, resamples=100, seed=2)
            assert (group.auroc.method, group.specificity.method) == (BOOTSTRAP, BOOTSTRAP)


@pytest.mark.parametrize(
    ("anaemic", "others", "small"),
    [
        (10, 10, ""),
        (10, 9, "fewer than 20 independent sets of photos"),
        (9, 40, "fewer than 10 independent sets of anaemic photos"),
        (40, 9, "fewer than 10 independent sets of non-anaemic photos"),
    ],
)
@pytest.mark.parametrize("copies", [1, 3])
def test_groups_too_small_to_judge_are_marked(anaemic: int, others: int, small: str, copies: int) -> None:
    labels = np.repeat([1, 0], [copies * anaemic, copies * others])
    rng = np.random.default_rng(0)
    logits = rng.normal(labels)
    cluster = np.repeat(np.arange(anaemic + others), copies)
    sex = {"sex": ["female"] * len(labels)}
    groups = _groups(compare_groups(labels, logits, sex, cluster, called=logits > 0, scaled=logits))
    assert groups["female"].small == small


def test_patients_of_both_classes_count_for_either() -> None:
    labels, cluster = np.tile([0, 1], 20), np.repeat(np.arange(20), 2)
    logits = np.random.default_rng(0).normal(labels)
    for last, small in ((20, ""), (19, "fewer than 20 independent sets of photos")):
        rows = cluster < last
        sex = {"sex": np.full(rows.sum(), "female", dtype=object)}
        found = compare_groups(
            labels[rows], logits[rows], sex, cluster[rows], called=logits[rows] > 0, scaled=logits[rows]
        )
        assert _groups(found)["female"].small == small


def test_many_photos_of_two_patients_are_no_worst_group() -> None:
    labels = np.append(np.repeat([0, 1], 10), np.tile([0, 1], 40))
    ward = np.repeat(["X", "Y", "Z"], [20, 40, 40]).astype(object)
    cluster = np.append(np.repeat([0, 1], 10), np.arange(2, 82))
    rng = np.random.default_rng(0)
    # Both patients of X stand on the wrong side.
    logits = np.where(ward == "X", 1 - 2 * labels, 2 * labels - 1 + rng.normal(size=100))
    found = compare_groups(labels, logits, {"ward": ward}, cluster, called=logits > 0, scaled=logits)
    groups = _groups(found)
    assert (groups["X"].n, groups["X"].clusters, groups["X"].auroc.value) == (20, 2, 0.0)
    assert groups["X"].small == "fewer than 20 independent sets of photos"
    for worst in found.worst.values():
        assert worst is not None
        assert worst.group in ("Y", "Z")


def test_severity_tells_of_the_anaemic_alone() -> None:
    drawn = Drawn()
    rng = np.random.default_rng(1)
    severity = np.where(drawn.labels == 1, rng.choice(["mild", "severe"], 200), "none").astype(object)
    found = drawn.table({"severity": severity}, orders={"severity": ["none", "mild", "severe"]})
    column, groups = found.columns[0], _groups(found)
    assert column.events_only
    assert list(groups) == ["mild", "severe"]
    for name, group in groups.items():
        rows = severity == name
        assert (group.n, group.events) == (rows.sum(), rows.sum())
        assert group.sensitivity.value == pytest.approx((drawn.logits[rows] >= 0.3).mean())
        assert group.auroc.value is group.specificity.value is group.observed_expected.value is None
        assert group.auroc.note == "the group holds anaemic photos alone"
    assert found.worst == {"auroc": None, "sensitivity": None, "specificity": None}


def test_the_worst_group_is_one_that_is_large_enough() -> None:
    rng = np.random.default_rng(3)
    labels = np.tile([0, 1], 60)
    site = np.repeat(["good", "bad", "tiny"], [50, 50, 20]).astype(object)
    logits = np.where(site == "good", 3.0, 0.5) * (2 * labels - 1) + rng.normal(size=120)
    logits[site == "tiny"] *= -1
    site[115:] = ""
    found = compare_groups(labels, logits, {"site": site}, range(120), called=logits > 0, scaled=logits)
    groups = _groups(found)
    assert list(groups) == ["bad", "good", "tiny", UNKNOWN]
    assert groups["tiny"].auroc.value is not None
    assert groups["bad"].auroc.value is not None
    assert groups["tiny"].auroc.value < groups["bad"].auroc.value
    worst = found.worst["auroc"]
    assert worst is not None
    assert (worst.column, worst.group, worst.estimate) == ("site", "bad", groups["bad"].auroc)


def test_one_group_is_no_worst_one() -> None:
    drawn = Drawn()
    found = drawn.table({"device": np.full(200, "phone", dtype=object)})
    assert found.columns[0].note == "There is one group, so nothing to compare."
    assert found.worst["auroc"] is None


def test_columns_that_are_missing_or_empty_are_absent() -> None:
    drawn = Drawn()
    found = drawn.table({"device": None, "site": drawn.site, "sex": np.full(200, "", dtype=object)})
    assert found.absent == ("device", "sex")
    assert [column.name for column in found.columns] == ["site"]


def test_unknown_stands_last_and_orders_are_kept() -> None:
    drawn = Drawn()
    band = np.resize(np.array(["", "old", "young", "middle"], dtype=object), 200)
    found = drawn.table({"age": band}, orders={"age": ["young", "middle"]})
    assert list(_groups(found)) == ["young", "middle", "old", UNKNOWN]


def test_of_many_groups_the_largest_are_shown() -> None:
    drawn = Drawn()
    device = np.array([f"phone {min(place // 3, 60):02d}" for place in range(200)], dtype=object)
    found = drawn.table({"device": device})
    groups = _groups(found)
    assert len(groups) == MOST_GROUPS + 1
    assert groups["phone 60"].n == 20
    assert sum(group.n for group in groups.values()) == 200
    assert found.columns[0].note == f"The {MOST_GROUPS} largest groups are shown; {OTHERS} holds the rest."


@pytest.mark.parametrize("label", [0, 1])
def test_a_group_of_one_class_is_undefined_in_words(label: int) -> None:
    labels = np.append(np.full(30, label), np.tile([0, 1], 20))
    logits = np.random.default_rng(0).normal(size=70)
    site = np.repeat(["one", "both"], [30, 40]).astype(object)
    one = _groups(compare_groups(labels, logits, {"s": site}, range(70), called=logits > 0, scaled=logits))["one"]
    lacking = "non-anaemic" if label else "anaemic"
    assert (one.auroc.value, one.auroc.note) == (None, f"no {lacking} photos")
    undefined = one.specificity if label else one.sensitivity
    assert (undefined.value, undefined.note) == (None, f"no {lacking} photos")
    assert (one.observed_expected.value, one.observed_expected.note) == (None, "the photos are of one class")


def test_groups_share_their_threshold_and_add_up() -> None:
    drawn = Drawn(seed=4)
    groups = _groups(drawn.table({"site": drawn.site})).values()
    found = sum((group.sensitivity.value or 0) * group.events for group in groups)
    assert found == pytest.approx(((drawn.logits >= 0.3) & (drawn.labels == 1)).sum())


def test_progress_is_told_by_column() -> None:
    told: list[tuple[int, int]] = []
    drawn = Drawn()
    columns: dict[str, NDArray[Any] | None] = {"a": drawn.site, "b": drawn.site, "c": None}
    drawn.table(columns, progress=lambda done, total: told.append((done, total)))
    assert told == [(1, 2), (2, 2)]
