"""Copies: how many there are, what they contradict, and what splits leak through them."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from anemia_lightning.data.audit.copies import count_copies, count_distinct, expect_leak, list_copies, measure_leak

Table = Callable[..., pd.DataFrame]

# Photos 0 and 1 are one file under both labels, 2 is a cut-out of 0 and 1; 3 and 4 are turned copies; 5 is alone.
BYTES = [0, 0, 2, 3, 4, 5]
TURNED = [0, 0, 2, 3, 3, 5]
RECUT = [0, 0, 0, 3, 3, 5]


@pytest.fixture
def copies(table: Table) -> pd.DataFrame:
    return table(
        [1, 0, 1, 0, 0, 1],
        group_bytes=BYTES,
        group_pixels=BYTES,
        group_turned=TURNED,
        group_recut=RECUT,
        site=["A", "B", "A", "A", "A", ""],
        patient=["p0", "p1", "p2", "p3", "p3", "p5"],
        hemoglobin_g_dl=[8.0, 12.5, 9.0, 12.0, 12.0, float("nan")],
    )


def test_distinct_photographs_are_counted_at_each_grain(copies: pd.DataFrame) -> None:
    assert count_distinct(copies) == {"rows": 6, "bytes": 5, "pixels": 5, "turned": 4, "recut": 3}


def test_groups_are_counted_by_what_they_cross(copies: pd.DataFrame) -> None:
    counts = count_copies(copies).set_index("grain")
    assert counts["groups"].tolist() == [1, 1, 2, 2]
    assert counts["photos"].tolist() == [2, 2, 4, 5]
    widest = counts.loc["recut"].to_dict()
    assert widest == {
        "distinct": 3,
        "groups": 2,
        "photos": 5,
        "largest": 3,
        "within_class": 1,
        "across_classes": 1,
        "across_patients": 1,
        "across_sites": 1,
        "other_hemoglobin": 1,
        "spread_median_g_dl": 4.5,
        "spread_highest_g_dl": 4.5,
    }


def test_photos_without_a_patient_cross_none(copies: pd.DataFrame) -> None:
    counts = count_copies(copies.assign(patient=copies["photo"]))
    assert counts["across_patients"].tolist() == [0, 0, 0, 0]


def test_the_worst_group_is_listed_first_and_says_how_near_the_contradiction_is(copies: pd.DataFrame) -> None:
    listed = list_copies(copies)
    assert listed["photo"].tolist() == ["s/0.png", "s/1.png", "s/2.png", "s/3.png", "s/4.png"]
    assert listed["group"].tolist() == [1, 1, 1, 2, 2]
    assert listed["group_size"].tolist() == [3, 3, 3, 2, 2]
    assert listed["opposite"].tolist() == ["bytes", "bytes", "recut", "", ""]


def test_where_there_are_no_copies_nothing_is_listed(table: Table) -> None:
    assert list_copies(table([0, 1])).empty
    assert count_copies(table([0, 1]))["groups"].tolist() == [0, 0, 0, 0]
    assert expect_leak(table([0, 1] * 5))["leaked"].tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("seed", range(6))
def test_the_expected_leak_is_that_of_many_random_splits(seed: int, table: Table) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, 60)
    groups = rng.integers(0, 25, 60)
    first = [int(np.flatnonzero(groups == group)[0]) for group in groups]
    manifest = table(labels.tolist(), group_recut=first)
    share = float(rng.choice([0.1, 0.2, 0.5]))
    leaks = []
    for _ in range(1500):
        is_test = np.zeros(60, dtype=bool)
        for label in (0, 1):
            members = np.flatnonzero(labels == label)
            is_test[rng.choice(members, round(share * len(members)), replace=False)] = True
        leaks.append(np.isin(groups[is_test], groups[~is_test]).mean())
    expected = expect_leak(manifest, test_share=share).set_index("grain")["leaked"]
    assert expected["recut"] == pytest.approx(np.mean(leaks), abs=4 * np.std(leaks) / np.sqrt(1500))
    assert expected["bytes"] == 0


def test_a_given_split_is_measured_by_patient_and_by_each_grain(copies: pd.DataFrame) -> None:
    splits = pd.Series(["train", "test", "val", "test", "test", "excluded"])
    leak = measure_leak(copies, splits).set_index("grain").T
    assert leak["patient"].tolist() == [0, 0.0, 0.0]
    assert leak["bytes"].tolist() == [1, 0.0, pytest.approx(1 / 3)]
    assert leak["recut"].tolist() == [1, 1.0, pytest.approx(1 / 3)]


def test_a_split_without_validation_has_no_share_of_it(copies: pd.DataFrame) -> None:
    leak = measure_leak(copies, pd.Series(["train", "train", "train", "test", "test", "test"]))
    assert leak["val"].isna().all()
    assert leak["crossing"].tolist() == [0] * 5
