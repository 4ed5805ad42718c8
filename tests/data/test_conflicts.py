from typing import Any

import numpy as np
import pandas as pd
import pytest

from anemia_lightning.data.conflicts import resolve_conflicts
from anemia_lightning.data.manifest import build_manifest
from anemia_lightning.errors import LabelConflictError


def manifest_of(*groups: tuple[str, list[int]], **columns: list[Any]) -> pd.DataFrame:
    """Photos named by their group and number: a0, a1 …; each of a patient of its own."""
    rows = [
        {"photo": f"{group}{number}", "path": "/", "label": label, "photo_group": group}
        for group, labels in groups
        for number, label in enumerate(labels)
    ]
    return build_manifest(pd.DataFrame(rows).assign(**columns))


MIXED = manifest_of(
    ("a", [0, 0]), ("b", [1, 0, 1]), ("c", [1, 0]), ("d", [1]), ("e", [0, 1, 0]),
    hemoglobin_g_dl=[12, 12, 8.1, 11.1, "", "", "", 9, 12, 8, 12.5],
)  # fmt: skip


def test_drop_leaves_out_every_photo_of_a_group_with_both_labels() -> None:
    resolved = resolve_conflicts(MIXED, rule="drop")
    assert resolved.manifest["photo"].tolist() == ["a0", "a1", "d0"]
    assert resolved.manifest.index.tolist() == [0, 1, 7]
    assert resolved.dropped["photo"].tolist() == ["b0", "b1", "b2", "c0", "c1", "e0", "e1", "e2"]
    assert set(resolved.dropped["reason"]) == {"label conflict: copies of one photograph with both labels"}
    assert resolved.relabelled == []


def test_majority_relabels_and_drops_ties() -> None:
    resolved = resolve_conflicts(MIXED, rule="majority")
    labels = resolved.manifest.set_index("photo")["label"].to_dict()
    assert labels == {"a0": 0, "a1": 0, "b0": 1, "b1": 1, "b2": 1, "d0": 1, "e0": 0, "e1": 0, "e2": 0}
    assert resolved.manifest["label"].dtype == np.int64
    assert resolved.relabelled == ["b1", "e1"]
    assert resolved.dropped["photo"].tolist() == ["c0", "c1"]
    assert resolved.conflicts["outcome"].tolist() == ["anaemic", "dropped", "non_anaemic"]


def test_each_conflict_is_listed_with_its_votes_and_its_range() -> None:
    conflicts = resolve_conflicts(MIXED, rule="drop").conflicts
    assert conflicts.drop(columns="outcome").fillna(-1).to_dict("split")["data"] == [
        ["b", 3, 3, 2, 1, 8.1, 11.1],
        ["c", 2, 2, 1, 1, -1, -1],
        ["e", 3, 3, 1, 2, 8, 12.5],
    ]


def test_stop_names_the_groups() -> None:
    with pytest.raises(LabelConflictError) as caught:
        resolve_conflicts(MIXED, rule="stop")
    assert str(caught.value) == (
        "Looked for one label for all copies of a photograph; found both in 3 photo groups: "
        "b (2 anaemic, 1 not, 8.1 to 11.1 g/dL); c (1 anaemic, 1 not); e (1 anaemic, 2 not, 8 to 12.5 g/dL). "
        "Correct the labels, or set data.on_label_conflict=drop or majority."
    )


def test_stop_shows_five_groups_and_counts_the_others() -> None:
    manifest = manifest_of(*[(f"g{number}", [0, 1]) for number in range(8)])
    with pytest.raises(LabelConflictError, match=r"both in 8 photo groups: g0 .*g4 \(1 anaemic, 1 not\); and 3 more\."):
        resolve_conflicts(manifest, rule="stop")


@pytest.mark.parametrize("rule", ["drop", "majority", "stop"])
def test_a_patient_may_have_both_labels_in_photographs_of_their_own(rule: Any) -> None:
    manifest = manifest_of(("a", [0, 0]), ("b", [1]), patient=["P", "P", "P"])
    resolved = resolve_conflicts(manifest, rule=rule)
    pd.testing.assert_frame_equal(resolved.manifest, manifest)
    assert len(resolved.dropped) == len(resolved.conflicts) == len(resolved.relabelled) == 0
    assert "reason" in resolved.dropped


@pytest.mark.parametrize("rule", ["drop", "majority"])
def test_no_group_has_both_labels_afterwards_and_no_photo_is_lost(rule: Any) -> None:
    for seed in range(30):
        rng = np.random.default_rng(seed)
        groups = [(f"g{number}", rng.integers(0, 2, rng.integers(1, 6)).tolist()) for number in range(20)]
        manifest = manifest_of(*groups)
        resolved = resolve_conflicts(manifest, rule=rule)
        assert (resolved.manifest.groupby("photo_group")["label"].nunique() == 1).all()
        assert sorted([*resolved.manifest["photo"], *resolved.dropped["photo"]]) == manifest["photo"].tolist()
        expected = [group for group, labels in groups if len(set(labels)) > 1]
        assert sorted(resolved.conflicts["photo_group"]) == sorted(expected)
        if rule == "majority":
            kept = dict(zip(resolved.manifest["photo_group"], resolved.manifest["label"], strict=True))
            majority = {group: np.mean(labels) for group, labels in groups if np.mean(labels) != 0.5}
            assert kept == {group: int(share > 0.5) for group, share in majority.items()}
