import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from anemia_lightning.contracts import GROUP_COLUMNS, UNKNOWN_LABEL
from anemia_lightning.data.labels import LabelRule
from anemia_lightning.data.manifest import build_manifest
from anemia_lightning.data.preparation import Preparation
from anemia_lightning.errors import LabelConflictError, ManifestError, UnreadablePhotosError


@pytest.fixture
def manifest(tmp_path: Path) -> pd.DataFrame:
    """Eight photos: 1 is a copy of 0 with the same label, 3 a mirrored copy of 2 with the other label."""
    rng = np.random.default_rng(0)
    pictures = [rng.integers(40, 220, (40, 60, 3), dtype=np.uint8) for _ in range(8)]
    pictures[3] = pictures[2][:, ::-1]
    paths = [tmp_path / f"{number}.png" for number in range(8)]
    for path, pixels in zip(paths, pictures, strict=True):
        Image.fromarray(pixels).save(path)
    shutil.copy(paths[0], paths[1])
    labels = [1, 1, 1, 0, 0, 0, 1, 0]
    rows = [
        {"photo": f"s/{path.name}", "path": path, "label": label, "hemoglobin_g_dl": 9.0 if label else 13.0}
        for path, label in zip(paths, labels, strict=True)
    ]
    return build_manifest(rows)


def prepare(manifest: pd.DataFrame, **options: Any) -> Any:
    return Preparation(source=manifest.copy, **options)()


def test_copies_share_a_group_of_the_chosen_grain(manifest: pd.DataFrame) -> None:
    found = prepare(manifest, grain="bytes").manifest
    assert set(GROUP_COLUMNS) <= set(found)
    groups = found.set_index("photo")["photo_group"]
    assert groups["s/1.png"] == groups["s/0.png"] == "s/0.png"
    assert groups["s/3.png"] == "s/3.png"
    assert groups.nunique() == 7


def test_none_leaves_groups_as_the_source_has_them(manifest: pd.DataFrame) -> None:
    found = prepare(manifest, grain="none").manifest
    assert (found["photo_group"] == found["photo"]).all()


def test_groups_that_the_source_names_stay_together_too(manifest: pd.DataFrame) -> None:
    manifest.loc[[1, 6], "photo_group"] = "named"
    groups = prepare(manifest, grain="bytes").manifest.set_index("photo")["photo_group"]
    assert groups["s/0.png"] == groups["s/1.png"] == groups["s/6.png"]


def test_contradicting_copies_are_left_out_and_listed(manifest: pd.DataFrame) -> None:
    prepared = prepare(manifest, grain="turned")
    assert prepared.excluded["photo"].tolist() == ["s/2.png", "s/3.png"]
    assert prepared.excluded["reason"].str.startswith("label conflict").all()
    assert prepared.facts["photo"].tolist() == prepared.manifest["photo"].tolist()
    assert len(prepared.manifest) == 6


def test_contradicting_copies_can_stop_everything(manifest: pd.DataFrame) -> None:
    with pytest.raises(LabelConflictError, match="one label for all copies of a photograph"):
        prepare(manifest, grain="turned", on_label_conflict="stop")


def test_photos_that_got_the_label_of_their_copies_are_recorded(manifest: pd.DataFrame) -> None:
    manifest.loc[4:6, "photo_group"] = "named"
    prepared = prepare(manifest, grain="bytes", on_label_conflict="majority")
    assert prepared.labels["relabelled"] == ["s/6.png"]
    assert prepared.manifest["label"].tolist() == [1, 1, 1, 0, 0, 0, 0, 0]
    assert prepare(manifest, grain="bytes").labels["relabelled"] == []


def test_the_label_rule_is_applied_and_recorded(manifest: pd.DataFrame) -> None:
    manifest.loc[4, "hemoglobin_g_dl"] = 9.5
    own = prepare(manifest, grain="none")
    fixed = prepare(manifest, grain="none", labels=LabelRule(rule="fixed:11"))
    assert (own.labels["rule"], fixed.labels["rule"]) == ("own", "fixed:11")
    assert own.manifest["label"].tolist() == [1, 1, 1, 0, 0, 0, 1, 0]
    assert fixed.manifest["label"].tolist() == [1, 1, 1, 0, 1, 0, 1, 0]


def test_a_rule_that_leaves_one_class_is_refused(manifest: pd.DataFrame) -> None:
    with pytest.raises(ManifestError, match="no photo with label 1"):
        prepare(manifest, grain="none", labels=LabelRule(rule="fixed:8"))


def test_photos_without_a_label_stop_or_are_left_out(manifest: pd.DataFrame) -> None:
    manifest.loc[5, "hemoglobin_g_dl"] = np.nan
    Path(manifest["path"][5]).write_bytes(b"")
    fixed = LabelRule(rule="fixed:11")
    with pytest.raises(ManifestError, match=r"photos with no haemoglobin: s/5\.png\. .* data\.on_unlabelled=drop"):
        prepare(manifest, grain="none", labels=fixed)
    prepared = prepare(manifest, grain="none", labels=fixed, on_unlabelled="drop")
    left_out = prepared.excluded[["photo", "label", "reason"]].to_numpy().tolist()
    assert left_out == [["s/5.png", UNKNOWN_LABEL, "no label (no haemoglobin)"]], "and is not even read"
    assert prepared.labels["unlabelled"] == {"no haemoglobin": 1}
    assert len(prepared.manifest) == len(prepared.facts) == 7


def test_unreadable_photos_stop_or_are_left_out(manifest: pd.DataFrame) -> None:
    Path(manifest["path"][5]).write_bytes(b"")
    with pytest.raises(UnreadablePhotosError, match=r"leave them out with data\.on_unreadable=skip:"):
        prepare(manifest, grain="none")
    prepared = prepare(manifest, grain="none", on_unreadable="skip")
    assert prepared.excluded["photo"].tolist() == ["s/5.png"]
    assert prepared.excluded["reason"].tolist() == ["IMG_EMPTY: an empty file"]
    assert len(prepared.manifest) == len(prepared.facts) == 7


@pytest.mark.parametrize("grain", ["none", "bytes", "recut"])
@pytest.mark.parametrize("on_unreadable", ["stop", "skip"])
def test_where_no_photo_can_be_read_all_are_listed(manifest: pd.DataFrame, grain: str, on_unreadable: str) -> None:
    for path in manifest["path"]:
        Path(path).write_bytes(b"")
    said = r"found 8 that cannot\. Replace them, for no other is left:\n"
    with pytest.raises(UnreadablePhotosError, match=said) as caught:
        prepare(manifest, grain=grain, on_unreadable=on_unreadable)
    assert "  s/7.png: IMG_EMPTY, an empty file" in str(caught.value)


def test_what_the_source_leaves_out_stays_out_with_its_reason(manifest: pd.DataFrame) -> None:
    manifest["exclude_reason"] = ["", "", "", "", "", "", "", "marked as eliminated"]
    prepared = prepare(manifest, grain="none")
    assert prepared.excluded[["photo", "reason"]].to_numpy().tolist() == [["s/7.png", "marked as eliminated"]]


def test_a_store_changes_nothing(tmp_path: Path, manifest: pd.DataFrame) -> None:
    store = tmp_path / "store"
    fresh, stored, again = (prepare(manifest, grain="turned", store=where) for where in (None, store, store))
    for other in (stored, again):
        pd.testing.assert_frame_equal(fresh.manifest, other.manifest)
        pd.testing.assert_frame_equal(fresh.facts, other.facts)
    assert list(store.iterdir())
