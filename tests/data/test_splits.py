import itertools
from pathlib import Path
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
    """Patients with several photos, copies within and across patients, labels by patient, or mostly so."""
    patients = rng.integers(0, max(2, photos // int(rng.integers(1, 5))), photos)
    copied = rng.random(photos) < rng.choice([0, 0.15])
    copies = np.where(copied, rng.integers(0, 10, photos), 1000 + np.arange(photos))
    sick = rng.random(photos) < rng.choice([0.15, 0.4, 0.6])
    labels = np.where(rng.random(photos) < rng.choice([0, 0.1]), ~sick[patients], sick[patients]).astype(int)
    labels[:2] = (0, 1)
    # Only what is split by: a thousand whole manifests would take longer to build than to split.
    return pd.DataFrame(
        {
            "photo": [f"s/{number:04}" for number in range(photos)],
            "label": labels,
            "patient": [f"P{patient}" for patient in patients],
            "photo_group": [f"G{copy}" for copy in copies],
            "split": "",
        }
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


def connected(manifest: pd.DataFrame) -> list[int]:
    """Which photos belong together, by union-find over patients and photo groups, apart from the package."""
    parent: dict[tuple[str, str], tuple[str, str]] = {}

    def root(node: tuple[str, str]) -> tuple[str, str]:
        while parent.setdefault(node, node) != node:
            node = parent[node]
        return node

    for patient, copy in zip(manifest["patient"], manifest["photo_group"], strict=True):
        parent[root(("patient", patient))] = root(("photo", copy))
    numbers: dict[tuple[str, str], int] = {}
    return [numbers.setdefault(root(("patient", patient)), len(numbers)) for patient in manifest["patient"]]


def assert_close_to_shares(
    splits: "pd.Series[str]", labels: "pd.Series[int]", groups: list[int], fractions: dict[str, float]
) -> None:
    """Asserts what `draw_splits` promises about the share of each class in each split."""
    sizes = np.zeros((max(groups) + 1, 2))
    np.add.at(sizes, (np.array(groups), labels.to_numpy()), 1)
    wanted = np.outer(list(fractions.values()), sizes.sum(axis=0))
    got = [np.bincount(labels[splits == name], minlength=2) for name in fractions]
    excess, largest = got - wanted, sizes.max(axis=0)
    if sizes.all(axis=1).any():
        squares = (sizes**2).sum(axis=0) / sizes.sum(axis=0)
        assert (excess**2 / wanted).sum() <= (1 / min(fractions.values()) - 1) * squares.sum()
    else:
        assert (excess < largest).all()
        assert (-excess < largest * (len(fractions) - 1)).all()
        assert (-excess[1:] < largest).all(), "those of the smallest share"


def test_what_patients_of_one_photo_are_called_moves_none() -> None:
    manifest = random_manifest(np.random.default_rng(0), photos=120)
    alone = [manifest.assign(patient=names) for names in (manifest["photo"], [f"Image_{999 - n}" for n in range(120)])]
    first, second = (assign_splits(each, fractions=FRACTIONS, seed=3) for each in alone)
    pd.testing.assert_series_equal(first, second)


@pytest.mark.parametrize("seeds", [range(100), pytest.param(range(100, 1100), marks=pytest.mark.slow)], ids=len)
def test_nothing_ever_crosses_and_each_class_has_its_share_or_the_data_are_refused(seeds: range) -> None:
    refused = 0
    for seed in seeds:
        rng = np.random.default_rng(seed)
        manifest = random_manifest(rng, photos=int(rng.integers(4, 150)))
        labels, groups = manifest["label"], connected(manifest)
        holding = [len({group for group, own in zip(groups, labels, strict=True) if own == label}) for label in (0, 1)]
        if min(holding) < len(SPLITS):
            refused += 1
            with pytest.raises(SplitImpossibleError, match="Looked for both classes in each of train, val and test"):
                assign_splits(manifest, fractions=FRACTIONS, seed=seed)
            continue
        splits = assign_splits(manifest, fractions=FRACTIONS, seed=seed)
        assert set(splits) == set(SPLITS)
        assert splits.index.equals(manifest.index)
        for together in (manifest["patient"], manifest["photo_group"], pd.Series(groups)):
            assert (splits.groupby(together).nunique() == 1).all()
        assert has_both_everywhere(splits, labels)
        assert_close_to_shares(splits, labels, groups, FRACTIONS)
    assert 0.05 < refused / len(seeds) < 0.6, "both outcomes are tested"


def test_the_order_of_the_rows_changes_nothing() -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        rows = [
            {"label": i % 3 % 2, "patient": f"P{rng.integers(60)}", "photo_group": f"G{i % 113}"} for i in range(120)
        ]
        manifest = manifest_of(rows)
        shuffled = manifest.sample(frac=1, random_state=seed)
        splits = assign_splits(manifest, fractions=FRACTIONS, seed=seed)
        assert assign_splits(shuffled, fractions=FRACTIONS, seed=seed).sort_index().tolist() == splits.tolist()


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


def test_groups_equal_those_of_union_find() -> None:
    for seed in range(50):
        manifest = random_manifest(np.random.default_rng(seed), photos=60)
        groups, expected = independent_groups(manifest), np.array(connected(manifest))
        assert np.array_equal(groups[:, None] == groups[None], expected[:, None] == expected[None])
        assert groups.max() + 1 == len(set(groups)), "numbered without gaps"


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
        "Put all photos of each into one split, or leave the split column and split.file empty and have it drawn."
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
        "Give that split photos of both classes, or leave the split column and split.file empty and have it drawn."
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


# --- splits from a file ---


def test_a_file_takes_the_place_of_given_splits_and_excludes(tmp_path: Path) -> None:
    manifest = given({"train": 6, "val": 6, "test": 8})
    places = ["test"] * 6 + ["train"] * 6 + ["val"] * 6 + ["excluded"] * 2
    splits = assign_splits(manifest, fractions=FRACTIONS, seed=0, file=written(tmp_path, manifest, places))
    assert splits.tolist() == places


def test_what_a_file_lacks_is_cut_from_its_training_photos(tmp_path: Path) -> None:
    manifest = manifest_of([{"label": i % 2} for i in range(60)])
    file = written(tmp_path, manifest, ["excluded"] * 4 + ["train"] * 46 + ["test"] * 10)
    splits = assign_splits(manifest, fractions=FRACTIONS, seed=0, file=file)
    assert splits.tolist()[:4] == ["excluded"] * 4
    assert splits.tolist()[50:] == ["test"] * 10
    assert set(splits[4:50]) == {"train", "val"}


@pytest.mark.parametrize("column", ["patient", "photo_group"])
def test_a_file_that_leaks_is_refused(tmp_path: Path, column: str) -> None:
    manifest = manifest_of([{"label": i % 2} for i in range(18)])
    manifest.loc[[0, 17], column] = "007"
    file = written(tmp_path, manifest, ["train"] * 6 + ["val"] * 6 + ["test"] * 6)
    with pytest.raises(SplitLeakError, match="found 1 that stand in more than one split: 007"):
        assign_splits(manifest, fractions=FRACTIONS, seed=0, file=file)


def test_what_a_file_excludes_crosses_nothing(tmp_path: Path) -> None:
    manifest = manifest_of([{"label": i % 2} for i in range(18)])
    manifest.loc[[0, 17], "patient"] = "007"
    file = written(tmp_path, manifest, ["train"] * 6 + ["val"] * 6 + ["test"] * 5 + ["excluded"])
    assert assign_splits(manifest, fractions=FRACTIONS, seed=0, file=file)[17] == "excluded"


def test_a_file_that_leaves_a_split_with_one_class_is_refused(tmp_path: Path) -> None:
    manifest = manifest_of([{"label": i % 2} for i in range(16)])
    file = written(tmp_path, manifest, ["train"] * 10 + ["val"] * 4 + ["excluded", "test"])
    with pytest.raises(SplitImpossibleError, match=r"no non-anaemic photo in test \(8 anaemic and 7 non-anaemic"):
        assign_splits(manifest, fractions=FRACTIONS, seed=0, file=file)


def written(folder: Path, manifest: pd.DataFrame, places: list[str]) -> Path:
    """Writes a file of splits."""
    manifest[["photo"]].assign(split=places).to_csv(folder / "splits.csv", index=False)
    return folder / "splits.csv"
