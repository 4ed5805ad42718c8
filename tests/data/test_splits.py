import itertools
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from anemia_lightning.data.manifest import build_manifest
from anemia_lightning.data.splits import SPLITS, assign_splits, draw_splits, independent_groups
from anemia_lightning.errors import ManifestError, SplitImpossibleError, SplitLeakError

FRACTIONS = {"train": 0.7, "val": 0.15, "test": 0.15}


def manifest_of(rows: list[dict[str, Any]]) -> pd.DataFrame:
    return build_manifest([{"photo": f"s/{i:04}", "path": f"/{i}", **row} for i, row in enumerate(rows)])


def random_manifest(rng: np.random.Generator, *, photos: int) -> pd.DataFrame:
    """Patients with several photos, copies within and across patients, labels mostly by patient."""
    patients = rng.integers(0, max(2, photos // 3), photos)
    copies = np.where(rng.random(photos) < 0.15, rng.integers(0, 10, photos), 1000 + np.arange(photos))
    sick = rng.random(photos) < rng.choice([0.15, 0.4, 0.6])
    labels = np.where(rng.random(photos) < 0.1, ~sick[patients], sick[patients]).astype(int)
    labels[:2] = (0, 1)
    return manifest_of(
        [
            {"label": int(label), "patient": f"P{patient}", "photo_group": f"G{copy}"}
            for label, patient, copy in zip(labels, patients, copies, strict=True)
        ]
    )


def evenly(groups: int, photos_each: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Labels and groups: 40 % of the groups are anaemic."""
    return np.repeat((np.arange(groups) % 5 < 2).astype(np.int64), photos_each), np.repeat(
        np.arange(groups), photos_each
    )


def counts(splits: Any, labels: Any) -> dict[tuple[str, int], int]:
    return {(name, label): int(((splits == name) & (labels == label)).sum()) for name in SPLITS for label in (0, 1)}


def has_both_everywhere(splits: Any, labels: Any) -> bool:
    return all(counts(splits, labels).values())


# --- drawn splits ---


@pytest.mark.parametrize("seed", range(60))
def test_no_patient_and_no_copy_ever_crosses(seed: int) -> None:
    rng = np.random.default_rng(seed)
    manifest = random_manifest(rng, photos=int(rng.integers(12, 150)))
    try:
        splits = assign_splits(manifest, fractions=FRACTIONS, seed=seed)
    except SplitImpossibleError:
        assert len(np.unique(independent_groups(manifest))) < 12, "with many groups a split can always be drawn"
        return
    assert set(splits) == set(SPLITS)
    assert splits.index.equals(manifest.index)
    for column in ("patient", "photo_group"):
        assert (splits.groupby(manifest[column]).nunique() == 1).all()
    assert has_both_everywhere(splits, manifest["label"])


def test_every_split_gets_both_classes_whenever_any_deal_gives_them() -> None:
    """Against all deals of up to 6 groups."""
    rng, possible, impossible = np.random.default_rng(0), 0, 0
    for seed in range(1500):
        sizes = rng.integers(0, 9, (int(rng.integers(3, 7)), 2))
        sizes *= rng.random(sizes.shape) < rng.choice([0.5, 0.8, 1])
        sizes = sizes[sizes.sum(axis=1) > 0]
        deals = itertools.product(range(3), repeat=len(sizes))
        is_possible = any(
            all((sizes[[place == split for place in deal]].sum(axis=0) > 0).all() for split in range(3))
            for deal in deals
        )
        labels = np.concatenate([np.repeat([0, 1], pair) for pair in sizes] or [np.zeros(0)]).astype(np.int64)
        groups = np.repeat(np.arange(len(sizes)), sizes.sum(axis=1))
        if not is_possible:
            impossible += 1
            continue
        possible += 1
        fractions = [FRACTIONS, {"train": 0.9, "val": 0.05, "test": 0.05}][seed % 2]
        assert has_both_everywhere(draw_splits(labels, groups, fractions=fractions, seed=seed), labels), sizes
    assert possible > 500
    assert impossible > 300


@pytest.mark.parametrize("photos_each", [1, 2, 3])
@pytest.mark.parametrize("fractions", [FRACTIONS, {"train": 0.5, "val": 0.2, "test": 0.3}])
def test_each_class_comes_as_close_to_its_share_as_whole_groups_permit(
    photos_each: int, fractions: dict[str, float]
) -> None:
    labels, groups = evenly(100, photos_each)
    for seed in range(10):
        found = counts(draw_splits(labels, groups, fractions=fractions, seed=seed), labels)
        for (name, label), count in found.items():
            assert abs(count - fractions[name] * (labels == label).sum()) < photos_each


@pytest.mark.parametrize("seed", range(20))
def test_each_class_comes_close_to_its_share_with_uneven_groups(seed: int) -> None:
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 8, 60)
    groups = np.repeat(np.arange(60), sizes)
    labels = (rng.random(60) < 0.4).astype(np.int64)[groups]
    found = counts(draw_splits(labels, groups, fractions=FRACTIONS, seed=seed), labels)
    for (name, label), count in found.items():
        assert abs(count - FRACTIONS[name] * (labels == label).sum()) <= sizes.max()


def test_a_draw_is_a_function_of_its_seed() -> None:
    labels, groups = evenly(60, 2)
    draws = [draw_splits(labels, groups, fractions=FRACTIONS, seed=seed).tolist() for seed in (0, 0, 1)]
    assert draws[0] == draws[1]
    assert draws[0] != draws[2]


def test_every_group_can_come_to_every_split() -> None:
    labels, groups = evenly(10, 1)
    places = [draw_splits(labels, groups, fractions=FRACTIONS, seed=seed) for seed in range(200)]
    for group in range(10):
        assert {str(place[group]) for place in places} == set(SPLITS)


def test_what_belongs_together_is_the_transitive_union_of_patients_and_copies() -> None:
    manifest = manifest_of(
        [
            {"label": 0, "patient": "A", "photo_group": "1"},
            {"label": 1, "patient": "B", "photo_group": "1"},
            {"label": 0, "patient": "B", "photo_group": "2"},
            {"label": 1, "patient": "C", "photo_group": "2"},
            {"label": 0, "patient": "D", "photo_group": "3"},
            {"label": 1},
        ]
    )
    groups = independent_groups(manifest)
    assert len(set(groups[:4])) == 1
    assert len({groups[0], groups[4], groups[5]}) == 3


@pytest.mark.parametrize("seed", range(10))
def test_groups_equal_those_found_by_spreading_step_by_step(seed: int) -> None:
    manifest = random_manifest(np.random.default_rng(seed), photos=60)
    patient, copy = manifest["patient"].to_numpy(), manifest["photo_group"].to_numpy()
    mark = np.arange(60)
    for _ in range(60):
        for column in (patient, copy):
            mark = np.array([mark[column == own].min() for own in column])
    groups = independent_groups(manifest)
    assert np.array_equal(groups[:, None] == groups[None], mark[:, None] == mark[None])


def test_a_patient_named_like_a_photo_group_is_not_one() -> None:
    manifest = manifest_of([{"label": 0, "patient": "7", "photo_group": "8"}, {"label": 1, "patient": "8"}])
    assert len(set(independent_groups(manifest))) == 2


@pytest.mark.parametrize(
    ("anaemic", "others", "found"),
    [
        (2, 30, "no anaemic photo in test (2 anaemic and 30 non-anaemic patients in all)"),
        (30, 2, "no non-anaemic photo in test (30 anaemic and 2 non-anaemic patients in all)"),
        (1, 1, "no non-anaemic and anaemic photo in val (1 anaemic and 1 non-anaemic patients in all)"),
    ],
)
def test_too_few_patients_are_refused(anaemic: int, others: int, found: str) -> None:
    manifest = manifest_of([{"label": 1}] * anaemic + [{"label": 0}] * others)
    with pytest.raises(SplitImpossibleError) as caught:
        assign_splits(manifest, fractions=FRACTIONS, seed=0)
    assert str(caught.value) == (
        f"Looked for both classes in each of train, val and test; found {found}. "
        "Add patients, or give that split a larger share with split.fractions."
    )


# --- given splits ---


def given(splits: dict[str, int], **columns: str) -> pd.DataFrame:
    """Photos of alternating labels, so many of each split."""
    names = [name for name, count in splits.items() for _ in range(count)]
    return manifest_of([{"label": i % 2, "split": name, **columns} for i, name in enumerate(names)])


def test_given_splits_are_kept() -> None:
    manifest = given({"train": 5, "test": 9, "val": 4})
    splits = assign_splits(manifest, fractions=FRACTIONS, seed=0)
    assert splits.tolist() == manifest["split"].tolist()


@pytest.mark.parametrize("given_splits", [{"train": 40, "test": 10}, {"train": 40, "val": 10}, {"train": 50}])
def test_what_given_splits_lack_is_cut_from_train(given_splits: dict[str, int]) -> None:
    manifest = given(given_splits)
    splits = assign_splits(manifest, fractions=FRACTIONS, seed=0)
    kept = manifest["split"] != "train"
    assert splits[kept].tolist() == manifest["split"][kept].tolist()
    pool = manifest["split"] == "train"
    lacking = [name for name in ("val", "test") if name not in given_splits]
    whole = 0.7 + 0.15 * len(lacking)
    for name in lacking:
        assert abs((splits[pool] == name).sum() - 0.15 / whole * pool.sum()) <= 2
    assert set(splits[pool]) == {"train", *lacking}
    assert has_both_everywhere(splits, manifest["label"])


def test_a_cut_keeps_patients_and_copies_together() -> None:
    manifest = random_manifest(np.random.default_rng(0), photos=120)
    in_test = pd.Series(independent_groups(manifest)).isin([0, 1, 2, 3])
    manifest["split"] = np.where(in_test, "test", "train")
    for seed in range(10):
        splits = assign_splits(manifest, fractions=FRACTIONS, seed=seed)
        assert (splits[in_test] == "test").all()
        for column in ("patient", "photo_group"):
            assert (splits.groupby(manifest[column]).nunique() == 1).all()


@pytest.mark.parametrize(("column", "noun"), [("patient", "patient"), ("photo_group", "photo group")])
@pytest.mark.parametrize("lacks", [[], ["val"]])
def test_given_splits_that_leak_are_refused(column: str, noun: str, lacks: list[str]) -> None:
    manifest = given({name: 6 for name in SPLITS if name not in lacks})
    manifest.loc[0, column] = manifest.loc[len(manifest) - 1, column] = "007"
    with pytest.raises(SplitLeakError) as caught:
        assign_splits(manifest, fractions=FRACTIONS, seed=0)
    assert str(caught.value) == (
        f"Looked for splits that share no {noun}; found 1 that stand in more than one split: 007. "
        "Put all photos of each into one split, or leave the split column empty and have it drawn."
    )
    assert caught.value.crossing == ["007"]


def test_all_that_leaks_is_counted() -> None:
    manifest = given({"train": 8, "val": 2, "test": 8})
    manifest["patient"] = [f"P{number % 8}" if number < 8 or number > 9 else "V" for number in range(18)]
    with pytest.raises(
        SplitLeakError, match=r"found 8 that stand in more than one split: P0, P1, P2, P3, P4 and 3 more"
    ):
        assign_splits(manifest, fractions=FRACTIONS, seed=0)


@pytest.mark.parametrize("split", SPLITS)
def test_a_given_split_of_one_class_is_refused(split: str) -> None:
    manifest = given(dict.fromkeys(SPLITS, 6))
    manifest.loc[manifest["split"] == split, "label"] = 0
    with pytest.raises(SplitImpossibleError) as caught:
        assign_splits(manifest, fractions=FRACTIONS, seed=0)
    assert str(caught.value) == (
        f"Looked for both classes in each of train, val and test; found no anaemic photo in {split} "
        "(6 anaemic and 12 non-anaemic patients in all). "
        "Give that split photos of both classes, or leave the split column empty and have it drawn."
    )


@pytest.mark.parametrize("given_splits", [{"val": 6, "test": 6}, {"test": 6}])
def test_given_splits_without_training_photos_are_refused(given_splits: dict[str, int]) -> None:
    with pytest.raises(SplitImpossibleError, match="no non-anaemic and anaemic photo in train") as caught:
        assign_splits(given(given_splits), fractions=FRACTIONS, seed=0)
    assert caught.value.change.startswith("Give that split photos of both classes")


def test_splits_given_for_some_photos_only_are_refused() -> None:
    manifest = given({"train": 6, "val": 6, "": 2, "test": 6})
    with pytest.raises(ManifestError) as caught:
        assign_splits(manifest, fractions=FRACTIONS, seed=0)
    assert str(caught.value) == (
        "Looked for photos and entries to work with; found photos without a split, beside others that have one: "
        "s/0012, s/0013. Mend this in the data, and start again."
    )
