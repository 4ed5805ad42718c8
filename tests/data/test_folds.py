from collections import Counter
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import StratifiedGroupKFold

from anemia_lightning.data.folds import Fold, draw_folds, leave_one_value_out
from anemia_lightning.data.manifest import build_manifest
from anemia_lightning.data.splits import SPLITS
from anemia_lightning.errors import FoldsImpossibleError, LeaveOneValueOutError, ManifestError, UnknownNameError


def manifest_of(rows: list[dict[str, Any]]) -> pd.DataFrame:
    return build_manifest([{"photo": f"s/{i:04}", "path": f"/{i}", **row} for i, row in enumerate(rows)])


def random_manifest(seed: int) -> pd.DataFrame:
    """Patients at up to four sites, sometimes at two, with copies within and across; labels mostly by patient."""
    rng = np.random.default_rng(seed)
    photos = int(rng.integers(6, 120))
    patients = rng.integers(0, max(2, photos // int(rng.integers(1, 4))), photos)
    copies = np.where(rng.random(photos) < rng.choice([0, 0.1]), rng.integers(0, 5, photos), 1000 + np.arange(photos))
    sick = rng.random(photos) < rng.choice([0.2, 0.5])
    labels = np.where(rng.random(photos) < rng.choice([0, 0.1]), ~sick[patients], sick[patients]).astype(int)
    labels[:2] = (0, 1)
    sites = np.where(rng.random(photos) < 0.05, rng.integers(0, 4, photos), patients % 4)
    # Only what is split by: a thousand whole manifests would take longer to build than to split.
    return pd.DataFrame(
        {
            "photo": [f"s/{number:04}" for number in range(photos)],
            "label": labels,
            "patient": [f"P{patient}" for patient in patients],
            "photo_group": [f"G{copy}" for copy in copies],
            "site": list(np.array(list("ABCD"))[sites]),
        }
    )


def even_manifest(patients: int, photos_each: int = 1) -> pd.DataFrame:
    """Of each three patients one is anaemic; their sites alternate."""
    return manifest_of(
        [
            {"label": int(i % 3 == 0), "patient": f"P{i}", "site": "Harbour" if i % 2 else "Hill"}
            for i in range(patients)
            for _ in range(photos_each)
        ]
    )


def connected(manifest: pd.DataFrame) -> "pd.Series[int]":
    """Which photos belong together, by union-find over patients and photo groups, apart from the package."""
    parent: dict[tuple[str, str], tuple[str, str]] = {}

    def root(node: tuple[str, str]) -> tuple[str, str]:
        while parent.setdefault(node, node) != node:
            node = parent[node]
        return node

    for patient, copy in zip(manifest["patient"], manifest["photo_group"], strict=True):
        parent[root(("patient", patient))] = root(("photo", copy))
    numbers: dict[tuple[str, str], int] = {}
    found = [numbers.setdefault(root(("patient", patient)), len(numbers)) for patient in manifest["patient"]]
    return pd.Series(found, index=manifest.index)


def assert_sound(fold: Fold, manifest: pd.DataFrame, groups: "pd.Series[int]") -> None:
    """Asserts that nothing crosses and that each split has both classes."""
    assert fold.splits.index.equals(manifest.index)
    assert set(fold.splits) <= {*SPLITS, "excluded"}
    placed = fold.splits[fold.splits != "excluded"]
    for together in (manifest["patient"], manifest["photo_group"], groups):
        # A patient of two sites is excluded at one of them, and stands in a single split at the other.
        pairs = set(zip(together[placed.index], placed, strict=True))
        assert len(pairs) == together[placed.index].nunique()
    for split in SPLITS:
        assert manifest["label"][fold.splits == split].nunique() == len((0, 1))


def assert_close_to_share(
    is_in: "pd.Series[bool]", labels: "pd.Series[int]", groups: "pd.Series[int]", *, share: float, parts: int
) -> None:
    """Asserts what `draw_splits` promises of one or two of its parts, which shall have a share of the photos."""
    sizes = np.array([np.bincount(groups[labels == label], minlength=groups.max() + 1) for label in (0, 1)])
    excess = np.bincount(labels[is_in], minlength=2) - share * sizes.sum(axis=1)
    smallest = min(share, 1 - share, 1 / parts)
    if sizes.all(axis=0).any():
        squares = (sizes**2).sum(axis=1) / sizes.sum(axis=1)
        assert (excess**2 / (share * sizes.sum(axis=1))).sum() <= (1 / smallest - 1) * squares.sum()
    else:
        assert (np.abs(excess) < sizes.max(axis=1) * share / smallest).all()


SEEDS = pytest.mark.parametrize("seeds", [range(100), pytest.param(range(100, 1100), marks=pytest.mark.slow)], ids=len)


@SEEDS
def test_nothing_crosses_a_fold_and_each_photo_is_tested_once_or_the_data_are_refused(seeds: range) -> None:
    refused = 0
    for seed in seeds:
        manifest, folds = random_manifest(seed), 2 + seed % 4
        groups, labels, parts = connected(manifest), manifest["label"], folds if folds > 2 else 4
        if min(groups[labels == label].nunique() for label in (0, 1)) < parts:
            refused += 1
            with pytest.raises(FoldsImpossibleError, match=f"for {folds} folds; found"):
                draw_folds(manifest, folds=folds, repeats=1, seed=seed, val_share=0.2)
            continue
        drawn = draw_folds(manifest, folds=folds, repeats=1, seed=seed, val_share=0.2)
        assert [fold.number for fold in drawn] == list(range(folds))
        assert (np.sum([fold.splits == "test" for fold in drawn], axis=0) == 1).all()
        for fold in drawn:
            assert_sound(fold, manifest, groups)
            assert_close_to_share(fold.splits == "test", labels, groups, share=1 / folds, parts=parts)
            rest = fold.splits != "test"
            assert_close_to_share(fold.splits[rest] == "val", labels[rest], groups[rest], share=0.2, parts=2)
            assert (fold.dropped, fold.reason) == (0, "")
    assert 0.05 < refused / len(seeds) < 0.6, "both outcomes are tested"


@SEEDS
def test_a_site_left_out_is_tested_on_what_no_other_site_has_or_skipped_with_a_reason(seeds: range) -> None:
    outcomes: Counter[str] = Counter()
    for seed in seeds:
        manifest = random_manifest(seed)
        groups = connected(manifest)
        try:
            folds, skipped = leave_one_value_out(manifest, "site", seed=seed, val_share=0.2)
        except LeaveOneValueOutError as error:
            folds, skipped = [], error.skipped
        by_site = {fold.name.removeprefix("site-"): fold for fold in folds}
        assert sorted([*by_site, *skipped]) == sorted(set(manifest["site"]))
        for site in set(manifest["site"]):
            inside = manifest["site"] == site
            shared = inside & groups.isin(groups[~inside])
            labels = manifest["label"]
            possible = labels[inside & ~shared].nunique() == 2
            possible &= all(groups[~inside & (labels == label)].nunique() >= 2 for label in (0, 1))
            assert possible == (site in by_site)
            outcomes["fold" if possible else "skipped"] += 1
            if possible:
                fold = by_site[site]
                assert_sound(fold, manifest, groups)
                assert ((fold.splits == "test") == (inside & ~shared)).all()
                assert ((fold.splits == "excluded") == shared).all(), "other sites' folds train on all of theirs"
                assert fold.dropped == shared.sum()
                assert bool(fold.reason) == shared.any()
                outcomes["dropped"] += bool(fold.dropped)
    assert min(outcomes["fold"], outcomes["skipped"], outcomes["dropped"]) > len(seeds) / 4


def test_folds_are_as_even_as_those_of_scikit_learn_and_never_lack_a_class() -> None:
    ours: list[float] = []
    theirs: list[float] = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        groups = np.repeat(np.arange(60), rng.integers(1, 8, 60))
        labels = (rng.random(60) < 0.3).astype(int)[groups]
        manifest = manifest_of([{"label": int(c), "patient": f"P{g}"} for c, g in zip(labels, groups, strict=True)])
        drawn = draw_folds(manifest, folds=5, repeats=1, seed=seed, val_share=0.2)
        splitter = StratifiedGroupKFold(5, shuffle=True, random_state=seed)
        for tests, found in (
            ([np.flatnonzero(fold.splits == "test") for fold in drawn], ours),
            ([test for _, test in splitter.split(labels, labels, groups)], theirs),
        ):
            found.append(np.std([np.bincount(labels[test], minlength=2) for test in tests], axis=0).sum())
    assert np.mean(ours) < 1.1 * np.mean(theirs)


def test_the_order_of_the_rows_changes_nothing() -> None:
    manifest = even_manifest(60, photos_each=2)
    shuffled = manifest.sample(frac=1, random_state=0)
    for one, other in (
        [draw_folds(rows, folds=3, repeats=2, seed=0, val_share=0.2) for rows in (manifest, shuffled)],
        [leave_one_value_out(rows, "site", seed=0, val_share=0.2).folds for rows in (manifest, shuffled)],
    ):
        for fold, same in zip(one, other, strict=True):
            assert fold.name == same.name
            assert fold.splits.tolist() == same.splits.sort_index().tolist()


def test_folds_are_a_function_of_the_seed_and_each_repeat_deals_anew() -> None:
    manifest = even_manifest(60)
    first, again, other = (draw_folds(manifest, folds=4, repeats=3, seed=seed, val_share=0.2) for seed in (0, 0, 1))
    assert [fold.splits.tolist() for fold in first] == [fold.splits.tolist() for fold in again]
    assert len({tuple(fold.splits == "test") for fold in [*first, *other]}) == 24
    assert len({tuple(fold.splits == "val") for fold in [*first, *other]}) == 24
    assert [(fold.repeat, fold.number) for fold in first] == [
        (repeat, fold) for repeat in range(3) for fold in range(4)
    ]
    assert first[7].name == "repeat-1_fold-3"
    fewer = draw_folds(manifest, folds=4, repeats=1, seed=0, val_share=0.2)
    assert [fold.splits.tolist() for fold in fewer] == [fold.splits.tolist() for fold in first[:4]]


def test_shares_are_exact_where_groups_permit() -> None:
    for fold in draw_folds(even_manifest(150), folds=5, repeats=2, seed=3, val_share=0.25):
        assert fold.splits.value_counts().to_dict() == {"train": 90, "val": 30, "test": 30}


@pytest.mark.parametrize(
    ("patients", "folds", "message"),
    [
        (
            30,
            12,
            "Looked for at least 12 patients with anaemic photos who share no photograph, for 12 folds; found 10. "
            "Take folds=10, or add patients.",
        ),
        (
            9,
            2,
            "Looked for at least 4 patients with anaemic photos who share no photograph, for 2 folds; found 3. "
            "Take folds=3, or add patients.",
        ),
        (
            6,
            3,
            "Looked for at least 3 patients with anaemic photos who share no photograph, for 3 folds; found 2. "
            "Add patients: no number of folds would do.",
        ),
    ],
)
def test_too_few_patients_are_refused_with_the_largest_number_that_is_possible(
    patients: int, folds: int, message: str
) -> None:
    manifest = even_manifest(patients)
    with pytest.raises(FoldsImpossibleError) as caught:
        draw_folds(manifest, folds=folds, repeats=1, seed=0, val_share=0.2)
    assert str(caught.value) == message
    if "Take" in message:
        most = int(message.partition("folds=")[2].partition(",")[0])
        assert len(draw_folds(manifest, folds=most, repeats=1, seed=0, val_share=0.2)) == most


def test_copies_across_patients_make_fewer_groups() -> None:
    manifest = even_manifest(30)
    manifest.loc[manifest["label"] == 1, "photo_group"] = ["same"] * 8 + ["other", "third"]
    with pytest.raises(FoldsImpossibleError, match=r"found 3\. Take folds=3"):
        draw_folds(manifest, folds=5, repeats=1, seed=0, val_share=0.2)


# --- leaving out ---


def test_copies_at_another_site_are_dropped_from_the_test_and_trained_on_elsewhere() -> None:
    manifest = even_manifest(24)
    manifest.loc[[0, 1], "photo_group"] = "copy"
    manifest.loc[[6, 9], "patient"] = "both"
    harbour, hill = leave_one_value_out(manifest, "site", seed=0, val_share=0.2).folds
    assert (harbour.name, hill.name, harbour.number, hill.number) == ("site-Harbour", "site-Hill", 0, 1)
    assert harbour.dropped == hill.dropped == 2
    assert harbour.reason == "a patient or a photograph that another site has too"
    assert harbour.splits[harbour.splits == "excluded"].index.tolist() == [1, 9]
    assert set(harbour.splits[[0, 6]]) <= {"train", "val"}
    assert hill.splits[hill.splits == "excluded"].index.tolist() == [0, 6]


def test_a_site_of_one_class_is_skipped_and_said() -> None:
    manifest = even_manifest(30)
    manifest.loc[manifest["label"] == 0, "site"] = "Hill"
    manifest.loc[[0, 3, 6], "site"] = "Harbour"
    manifest.loc[[1, 2, 4], "site"] = "Harbour"
    manifest.loc[[9, 12], "site"] = "Quay"
    left_out = leave_one_value_out(manifest, "site", seed=0, val_share=0.2)
    assert [fold.name for fold in left_out.folds] == ["site-Harbour", "site-Hill"]
    assert left_out.skipped == {"Quay": "no non-anaemic photo in test (10 anaemic and 20 non-anaemic patients in all)"}


def test_what_is_left_of_a_site_without_its_copies_may_be_too_little() -> None:
    manifest = even_manifest(30)
    manifest["site"] = ["Quay"] * 4 + ["Hill"] * 13 + ["Harbour"] * 13
    manifest.loc[[0, 3, 6], "photo_group"] = "copy"
    assert leave_one_value_out(manifest, "site", seed=0, val_share=0.2).skipped == {
        "Quay": "no anaemic photo in test (8 anaemic and 20 non-anaemic patients in all), "
        "2 excluded as a patient or a photograph that another site has too"
    }


def test_one_site_alone_cannot_be_left_out() -> None:
    with pytest.raises(LeaveOneValueOutError) as caught:
        leave_one_value_out(even_manifest(30).assign(site="Hill"), "site", seed=0, val_share=0.2)
    assert str(caught.value) == (
        "Looked for a site that can be left out, with both classes in each of train, val and test; found for Hill, "
        "no non-anaemic and anaemic photo in train (10 anaemic and 20 non-anaemic patients in all). "
        "Add photos, or leave out by another column than site."
    )


def test_photos_without_a_site_are_named() -> None:
    manifest = even_manifest(30)
    manifest.loc[[3, 7], "site"] = ""
    with pytest.raises(ManifestError) as caught:
        leave_one_value_out(manifest, "site", seed=0, val_share=0.2)
    assert str(caught.value) == (
        "Looked for photos and entries to work with; "
        "found photos without a site, by which they are to be left out: s/0003, s/0007. "
        "Mend this in the data, and start again."
    )


def test_an_unknown_column_is_named_beside_its_neighbours() -> None:
    with pytest.raises(UnknownNameError, match=r"found 'sites'\. Known, the nearest first: site,"):
        leave_one_value_out(even_manifest(30), "sites", seed=0, val_share=0.2)


def test_names_of_folds_are_fit_for_files_and_unique() -> None:
    manifest = even_manifest(60)
    sites = ["..", "A B C", "Kläranlage Süd", "a/b=c", "z" * 200, "院"]
    manifest["site"] = [sites[i // 3 % 6] for i in range(60)]
    names = [fold.name for fold in leave_one_value_out(manifest, "site", seed=0, val_share=0.2).folds]
    assert names == ["site-x", "site-A-B-C", "site-Klaranlage-Sud", "site-a-b-c_2", "site-" + "z" * 55, "site-x_2"]
