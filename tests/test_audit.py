"""The audit of drawn photographs with planted copies: what it finds, writes and refuses."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageOps

from anemia_lightning.auditing.audit_data import audit_data
from anemia_lightning.command_line.settings import compose
from anemia_lightning.data.sources.synthetic import read_synthetic
from anemia_lightning.errors import UnsoundDataError

Audit = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def planted(drawn_photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 drawn photographs, one per patient, of which three stand in the data again, and one file that is empty."""
    root = tmp_path_factory.mktemp("planted") / "photos"
    root.mkdir()
    drawn = read_synthetic(root=drawn_photos, patients=24, photos=48).drop_duplicates("patient")
    for label, name in ((1, "Anemic"), (0, "Healthy")):
        (root / name).mkdir()
        for number, path in enumerate(drawn.loc[drawn["label"] == label, "path"]):
            shutil.copy(path, root / name / f"{number}.png")
    shutil.copy(root / "Anemic" / "0.png", root / "Healthy" / "same_file.png")
    shutil.copy(root / "Anemic" / "1.png", root / "Anemic" / "same_class.png")
    ImageOps.mirror(Image.open(root / "Healthy" / "2.png")).save(root / "Healthy" / "mirrored.png")
    (root / "Healthy" / "empty.png").touch()
    return root


@pytest.fixture
def audit(planted: Path, tmp_path: Path) -> Audit:
    """Audits the planted photographs into `tmp_path`/run."""

    def run(*overrides: str, root: Path = planted) -> dict[str, Any]:
        given = ["data=folder", f"data.root={root}", "data.positive_class=Anemic", f"paths.cache={planted.parent}"]
        usual = [f"paths.root={tmp_path}", "probes=false", "thumbnails=false"]
        return audit_data(compose("audit", [*given, *usual, *overrides], run_dir=tmp_path / "run"))

    return run


def codes(record: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {finding["code"]: finding for finding in record["findings"]}


def test_planted_copies_are_found_at_their_grain_and_named(audit: Audit) -> None:
    record = audit()
    distinct = record["distinct_photographs"]
    assert [distinct[grain] for grain in ("rows", "bytes", "pixels", "turned")] == [27, 25, 25, 24]
    found = codes(record)
    assert found["AUDIT_SAME_FILE_OPPOSITE_LABELS"]["photos"] == ["folder/Anemic/0.png", "folder/Healthy/same_file.png"]
    assert set(found["AUDIT_COPIES_ACROSS_CLASSES"]["photos"]) >= {
        "folder/Anemic/0.png",
        "folder/Healthy/same_file.png",
    }
    assert "AUDIT_COPIES_ACROSS_PATIENTS" not in found, "nobody is named"
    by_grain = {row["grain"]: row for row in record["copies"]}
    assert (by_grain["bytes"]["across_classes"], by_grain["bytes"]["within_class"]) == (1, 1)
    assert by_grain["turned"]["within_class"] == 2
    assert record["sound"]


def test_an_unreadable_photo_is_counted_by_its_code_whatever_the_settings_say(audit: Audit) -> None:
    record = audit("data.on_unreadable=stop")
    assert record["excluded"]["codes"] == {"IMG_EMPTY": 1}
    assert record["excluded"]["photos"][0]["photo"] == "folder/Healthy/empty.png"
    assert "folder/Healthy/empty.png" in codes(record)["AUDIT_UNUSABLE"]["says"]


def test_a_photo_without_a_label_is_counted_whatever_the_settings_say(tmp_path: Path, planted: Path) -> None:
    photos = [f"{name}/{number}.png" for number in range(12) for name in ("Anemic", "Healthy")]
    table = pd.DataFrame({"photo": photos, "hemoglobin_g_dl": [9.0, 13.0] * 11 + [9.0, np.nan]})
    table.to_csv(tmp_path / "list.csv", index=False)
    overrides = ["data=table", f"data.table={tmp_path / 'list.csv'}", "labels.rule=fixed:11"]
    record = audit_data(
        compose(
            "audit",
            [*overrides, f"data.root={planted}", "paths.cache=null", f"paths.root={tmp_path}", "probes=false"],
            run_dir=tmp_path / "run",
        )
    )
    assert record["excluded"]["codes"] == {"no label (no haemoglobin)": 1}
    assert codes(record)["AUDIT_UNUSABLE"]["photos"] == ["table/Healthy/11.png"]
    assert record["data"]["unnamed"] == 23


def test_labels_by_a_guideline_are_held_against_the_cut_off_of_each(tmp_path: Path, planted: Path) -> None:
    photos = [f"{name}/{number}.png" for number in range(12) for name in ("Anemic", "Healthy")]
    people = pd.DataFrame({"photo": photos, "hemoglobin_g_dl": [11.0, 14.0] * 12, "age_months": 400})
    people.assign(sex=["female", "male"] * 12).to_csv(tmp_path / "list.csv", index=False)
    overrides = ["data=table", f"data.table={tmp_path / 'list.csv'}", "labels=who2024", f"data.root={planted}"]
    usual = ["paths.cache=null", f"paths.root={tmp_path}", "probes=false", "data.photo_groups=bytes"]
    record = audit_data(compose("audit", [*overrides, *usual], run_dir=tmp_path / "run"))
    assert (record["hemoglobin"]["cutoff_g_dl"], record["hemoglobin"]["near"]) == (None, 0)
    assert [each["g_dl"] for each in record["labels"]["cutoffs"]] == [12.0, 13.0]


def test_all_files_are_written_and_the_data_are_left_alone(audit: Audit, planted: Path, tmp_path: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in planted.rglob("*")}
    record = audit("thumbnails=true")
    assert {path: path.stat().st_mtime_ns for path in planted.rglob("*")} == before
    run = tmp_path / "run"
    assert {path.name for path in run.iterdir()} == {
        "audit.json",
        "audit.md",
        "audit.html",
        "copies.csv",
        "config_resolved.yaml",
    }
    assert json.loads((run / "audit.json").read_text()) == record
    page = (run / "audit.html").read_text()
    assert len(page) < 10e6
    assert page.count("data:image/jpeg;base64,") >= 6
    copies = pd.read_csv(run / "copies.csv")
    assert copies["photo"].head(2).tolist() == ["folder/Anemic/0.png", "folder/Healthy/same_file.png"]
    assert copies["opposite"].head(2).tolist() == ["bytes", "bytes"]


def test_without_thumbnails_no_photograph_leaves_its_folder(audit: Audit, tmp_path: Path) -> None:
    audit()
    assert "data:image" not in (tmp_path / "run" / "audit.html").read_text()


def test_a_given_split_that_leaks_is_unsound_after_all_was_written(audit: Audit, planted: Path, tmp_path: Path) -> None:
    photos = [f"folder/{path.parent.name}/{path.name}" for path in planted.rglob("*.png") if path.stat().st_size]
    splits = {photo: ("train", "val", "test")[position % 3] for position, photo in enumerate(sorted(photos))}
    splits |= {"folder/Anemic/1.png": "train", "folder/Anemic/same_class.png": "test"}
    table = pd.DataFrame({"photo": list(splits), "split": list(splits.values())})
    table.to_csv(tmp_path / "splits.csv", index=False)
    with pytest.raises(UnsoundDataError, match="The split that comes with the data leaks") as caught:
        audit(f"split.file={tmp_path / 'splits.csv'}")
    assert caught.value.exit_code == 3
    record = json.loads((tmp_path / "run" / "audit.json").read_text())
    assert not record["sound"]
    leak = {row["grain"]: row for row in record["leak"]["given"]}
    assert leak["bytes"]["crossing"] >= 1
    assert leak["bytes"]["test"] > 0
    assert "AUDIT_SPLIT_IMPOSSIBLE" not in codes(record), "one could be drawn"


def test_a_split_file_that_does_not_place_all_photos_is_unsound(audit: Audit, tmp_path: Path) -> None:
    (tmp_path / "splits.csv").write_text("photo,split\nfolder/Anemic/1.png,train\n")
    with pytest.raises(UnsoundDataError, match="photos of the data that it does not list"):
        audit(f"split.file={tmp_path / 'splits.csv'}")


def test_too_few_photos_of_a_class_are_unsound(audit: Audit, planted: Path, tmp_path: Path) -> None:
    few = tmp_path / "few"
    shutil.copytree(planted / "Healthy", few / "Healthy")
    (few / "Anemic").mkdir()
    for number in (3, 4):
        shutil.copy(planted / "Anemic" / f"{number}.png", few / "Anemic")
    with pytest.raises(UnsoundDataError, match="both classes in each of train, val and test"):
        audit(root=few)
    record = json.loads((tmp_path / "run" / "audit.json").read_text())
    assert codes(record)["AUDIT_SPLIT_IMPOSSIBLE"]["severity"] == "stop"


def test_too_few_photos_for_the_probes_are_audited_without_them(audit: Audit, planted: Path, tmp_path: Path) -> None:
    few = tmp_path / "few"
    shutil.copytree(planted / "Healthy", few / "Healthy")
    (few / "Anemic").mkdir()
    for number in (3, 4, 5, 6):
        shutil.copy(planted / "Anemic" / f"{number}.png", few / "Anemic")
    record = audit("probes=true", root=few)
    assert record["grouping"] == []
    assert "AUDIT_SHORTCUT" not in codes(record)
    text = (tmp_path / "run" / "audit.html").read_text()
    assert "Too few groups for 5 folds, and so no row: none: each photo alone; same file;" in text
    (few / "Anemic" / "6.png").unlink()
    (few / "Anemic" / "5.png").unlink()
    with pytest.raises(UnsoundDataError, match="both classes in each of train, val and test"):
        audit("probes=true", root=few)


def test_what_random_folds_give_away_is_no_shortcut_with_copies_kept_together(audit: Audit, tmp_path: Path) -> None:
    root = tmp_path / "photos"
    for name, patients, side in (("Anemic", 3, 40), ("Healthy", 10, 44)):
        (root / name).mkdir(parents=True)
        for number in range(20):
            # The size tells the classes apart, on both sides of any fold.
            pixels = np.random.default_rng(side + number).integers(0, 255, (side, side, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / name / f"{name[0]}{number % patients}_{number}.png")
    record = audit("probes=true", "data.patient_pattern='^([^_]+)_'", root=root)
    (row,) = record["grouping"]
    assert row["grain"] == "random"
    assert row["auroc"]["size"]["low"] > 0.9
    assert "AUDIT_SHORTCUT" not in codes(record), "no row keeps copies together"


def test_photos_that_all_contradict_their_copies_are_unsound(audit: Audit, planted: Path, tmp_path: Path) -> None:
    for name in ("Anemic", "Healthy"):
        shutil.copytree(planted / "Anemic", tmp_path / "twice" / name)
    with pytest.raises(UnsoundDataError, match="both classes in each of train, val and test"):
        audit("probes=true", "folds=2", root=tmp_path / "twice")
    record = json.loads((tmp_path / "run" / "audit.json").read_text())
    assert [row["grain"] for row in record["grouping"]] == ["random"]


def test_contradicting_copies_are_looked_at_even_where_training_would_stop(audit: Audit) -> None:
    with pytest.raises(UnsoundDataError, match=r"Correct the labels, or set data\.on_label_conflict=drop or majority"):
        audit("data.on_label_conflict=stop")


def test_the_grouping_table_is_written_for_every_grain(tmp_path: Path, drawn_photos: Path) -> None:
    overrides = [f"data.root={drawn_photos}", "data.patients=24", "data.photos=48", f"paths.root={tmp_path}"]
    cfg = compose("audit", [*overrides, "paths.cache=null", "folds=2"], run_dir=tmp_path / "run")
    record = audit_data(cfg)
    grains = [row["grain"] for row in record["grouping"]]
    assert grains == ["random", "patient", "bytes", "pixels", "turned", "recut"]
    colour = record["grouping"][-1]["auroc"]["colour statistics, forest"]
    assert 0.9 < colour["value"] <= 1
    assert colour["low"] <= colour["value"] <= colour["high"]
    table = pd.read_csv(tmp_path / "run" / "grouping.csv")
    assert len(table) == sum(len(row["auroc"]) for row in record["grouping"])
    assert record["distinct_photographs"]["turned"] == 48, "all drawn photographs are different"
