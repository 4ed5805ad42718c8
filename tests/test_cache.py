"""The `cache` command: what it tells of the store, and what it removes."""

import errno
import fcntl
import hashlib
import json
import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from anemia_lightning.caching import manage_cache
from anemia_lightning.command_line.settings import compose
from anemia_lightning.errors import ConfigError
from anemia_lightning.features.shard_collection import Ingredients
from anemia_lightning.features.store import Collection, FeatureStore

TRUNK = "3f2a9c1b" + "0" * 56
COLLECTIONS: list[tuple[Ingredients, int, float]] = [
    ({"kind": "pooled", "view": None, "trunk": TRUNK}, 3, 1_500_000_000),
    ({"kind": "layer3", "view": 2, "trunk": TRUNK}, 5, 1_000_000_000),
]

Cache = Callable[..., dict[str, Any]]


def add(folder: Path, ingredients: Ingredients, photos: int) -> Collection:
    collection = FeatureStore(folder).open(ingredients, {"values": ((256,), torch.uint8)})
    keys = [hashlib.sha256(str(photo).encode()).hexdigest() for photo in range(photos)]
    collection.add(keys, {"values": torch.zeros(photos, 256, dtype=torch.uint8)})
    collection.flush()
    return collection


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """A cache folder with two collections of features, a survey in two files and a model, all unused of late."""
    folder = tmp_path / "kept"
    for ingredients, photos, used in COLLECTIONS:
        collection = add(folder / "features", ingredients, photos)
        collection.close()
        os.utime(collection.folder / "lock", (used, used))
    for name, size in (("surveys/x.npz", 1000), ("surveys/parts/y.npz", 500), ("engines/z.onnx", 2000)):
        file = folder / name
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(b"0" * size)
        os.utime(file, (1_500_000_000, 1_500_000_000))
    return folder


@pytest.fixture
def cache(kept: Path, tmp_path: Path) -> Cache:
    """Runs the command on that folder, in the time zone of Greenwich."""

    def run(*overrides: str) -> dict[str, Any]:
        given = [f"paths.root={tmp_path}", f"paths.cache={kept}", *overrides]
        return manage_cache(compose("cache", given, run_dir=tmp_path / "run"))

    return run


@pytest.fixture(autouse=True)
def _greenwich() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


def bytes_below(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_the_list_is_a_table_of_what_is_there(cache: Cache, kept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cache("features.max_bytes=2500000000")
    lines = capsys.readouterr().out.splitlines()
    pooled, layer3 = (re.split(r" {2,}", line) for line in lines[1:3])
    assert re.split(r" {2,}", lines[0]) == ["kind", "view", "trunk", "type", "photos", "size", "last used"]
    assert pooled[:5] == ["pooled", "-", "3f2a9c1b", "uint8", "3"]
    assert layer3[:5] == ["layer3", "2", "3f2a9c1b", "uint8", "5"]
    assert (pooled[6], layer3[6]) == ("2017-07-14 02:40", "2001-09-09 01:46")
    assert all(re.fullmatch(r"\d\.\d\dkB", row[5]) for row in (pooled, layer3))
    held = bytes_below(kept / "features") / 1000
    assert lines[3:] == [
        f"Features: {held:.2f}kB of at most 2.50GB in {kept / 'features'}",
        f"Surveys of photographs: 2 files, 1.50kB in {kept / 'surveys'}",
        f"Models made for engines: 1 file, 2.00kB in {kept / 'engines'}",
        "action=verify reads all features and removes what is damaged; action=purge removes them.",
    ]


def test_what_is_used_is_said_to_be(cache: Cache, kept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    used = add(kept / "features", *COLLECTIONS[1][:2])
    record = cache()
    assert [collection["in_use"] for collection in record["features"]["collections"]] == [True, False]
    assert "in use" in capsys.readouterr().out.splitlines()[1]
    used.close()


def test_what_was_told_is_written_down(cache: Cache, tmp_path: Path) -> None:
    record = cache()
    assert json.loads((tmp_path / "run" / "cache.json").read_text()) == record
    pooled = record["features"]["collections"][0]
    assert pooled["ingredients"] == COLLECTIONS[0][0]
    assert pooled["rows"] == {"values": [[256], "uint8"]}
    assert pooled["last_used"] == "2017-07-14T02:40:00+00:00"
    assert record["surveys"] == {"number": 2, "bytes": 1500}
    assert record["engines"] == {"number": 1, "bytes": 2000}


def test_an_empty_cache_is_said_to_be_empty_and_nothing_is_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cfg = compose("cache", [f"paths.cache={tmp_path / 'none'}", "features.max_bytes=1000"], run_dir=tmp_path / "run")
    for action in ("list", "verify", "purge"):
        cfg.action = action
        manage_cache(cfg)
    assert capsys.readouterr().out.splitlines() == [
        f"Features: 0.00B of at most 1.00kB in {tmp_path / 'none' / 'features'}",
        f"Surveys of photographs: 0 files, 0.00B in {tmp_path / 'none' / 'surveys'}",
        f"Models made for engines: 0 files, 0.00B in {tmp_path / 'none' / 'engines'}",
        "0 of 0 files of features (0.00B) are whole.",
        "Removed 0 collections of features, 0 files of surveys and 0 models made for engines, 0.00B in all.",
    ]
    assert not (tmp_path / "none").exists()


def test_verifying_finds_everything_whole(cache: Cache, capsys: pytest.CaptureFixture[str]) -> None:
    record = cache("action=verify")
    assert (record["shards"], record["damaged"], record["unreadable"]) == (2, {}, {})
    assert re.fullmatch(r"2 of 2 files of features \(\d\.\d\dkB\) are whole\.\n", capsys.readouterr().out)


def test_verifying_removes_what_is_damaged_and_says_so(
    cache: Cache, kept: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damaged = next(kept.rglob("shard-*"))
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"\1")
    cache("action=verify")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("1 of 2 files of features")
    assert lines[1] == "Removed, and computed again when it is needed:"
    assert re.fullmatch(rf"  {re.escape(str(damaged))}: changed since it was written, in row \d", lines[2])
    assert not damaged.exists()
    assert cache("action=verify")["shards"] == 1


def test_a_purge_removes_everything_and_says_what_it_freed(
    cache: Cache, kept: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    held = bytes_below(kept)
    removed = {"collections": 2, "surveys": 2, "engines": 1, "bytes": held}
    assert cache("action=purge") == {**removed, "in_use": 0, "refused": {}}
    words = "2 collections of features, 2 files of surveys and 1 model made for engines"
    assert capsys.readouterr().out == f"Removed {words}, {held / 1000:.2f}kB in all.\n"
    assert bytes_below(kept) == 0


def test_a_purge_removes_what_is_left_of_killed_makers_and_nothing_of_running_ones(cache: Cache, kept: Path) -> None:
    for name, age_s in (("tmp_killed", 2 * 3600), ("tmp_running", 60)):
        draft = kept / "engines" / name
        draft.mkdir()
        (draft / "model.onnx").write_bytes(b"0" * 300)
        os.utime(draft, (time.time() - age_s,) * 2)
    assert cache("action=purge", "what=features")["engines"] == 0
    assert len(list(kept.glob("engines/tmp*"))) == 2
    record = cache("action=purge", "what=engines")
    assert (record["engines"], record["bytes"]) == (1, 2000 + 300)
    assert [path.name for path in (kept / "engines").iterdir()] == ["tmp_running"]


@pytest.mark.parametrize(
    ("overrides", "collections", "surveys", "engines"),
    [
        (["what=features"], 2, 0, 0),
        (["what=surveys"], 0, 2, 0),
        (["what=engines"], 0, 0, 1),
        (["older_than_days=1"], 2, 2, 1),
        (["older_than_days=100000"], 0, 0, 0),
        (["older_than_days=1", "what=surveys"], 0, 2, 0),
    ],
)
def test_a_purge_can_be_limited(
    overrides: list[str], collections: int, surveys: int, engines: int, cache: Cache, kept: Path
) -> None:
    record = cache("action=purge", *overrides)
    assert (record["collections"], record["surveys"], record["engines"]) == (collections, surveys, engines)
    assert len(list(kept.rglob("shard-*"))) == 2 - collections
    assert len(list(kept.rglob("*.npz"))) == 2 - surveys
    assert len(list(kept.rglob("*.onnx"))) == 1 - engines


def test_what_was_used_of_late_can_be_spared(cache: Cache, kept: Path) -> None:
    newer = next(path for path in kept.rglob("lock") if path.stat().st_mtime > 1.4e9)
    os.utime(newer)
    assert cache("action=purge", "older_than_days=0.5")["collections"] == 1
    assert newer.exists()


def test_what_a_running_command_uses_stays(cache: Cache, kept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    used = add(kept / "features", *COLLECTIONS[1][:2])
    assert cache("action=purge")["in_use"] == 1
    assert "1 collection that a running command uses: left alone.\n" in capsys.readouterr().out
    assert used.folder.is_dir()
    used.close()


def test_a_folder_that_may_not_be_read_is_named_and_left_alone(
    cache: Cache, kept: Path, refuse_folder: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = min((kept / "features").iterdir())
    refuse_folder(folder)
    for action, what in {"list": "read", "verify": "read", "purge": "read or locked"}.items():
        record = cache(f"action={action}")
        said = capsys.readouterr().out
        assert f"\nNot to be {what}, and left alone:\n  {folder}: Permission denied\n" in said
        assert "in use" not in said
        assert "running command" not in said
    assert (record["collections"], record["in_use"]) == (1, 0)
    assert record["refused"] == {str(folder): "Permission denied"}
    assert folder.is_dir()


def test_what_may_be_read_and_not_locked_is_not_said_to_be_used(
    cache: Cache, kept: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    record = cache()
    assert [each["in_use"] for each in record["features"]["collections"]] == [False, False]
    assert "in use" not in capsys.readouterr().out
    assert cache("action=purge", "what=features")["in_use"] == 0
    lines = [f"  {folder}: No locks available" for folder in sorted((kept / "features").iterdir())]
    assert capsys.readouterr().out.splitlines()[1:] == ["Not to be read or locked, and left alone:", *lines]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["action=clear"], "action is one of list, verify, purge, not clear."),
        (["action=purge", "what=photos"], "what is one of all, features, surveys, engines, not photos."),
        (["action=purge", "older_than_days=-1"], "older_than_days is a number of days, 0 or more, not -1."),
        (["action=purge", "older_than_days=week"], "older_than_days is a number of days, 0 or more, not week."),
        (["what=features"], "what and older_than_days belong to action=purge, not to action=list."),
        (
            ["paths.cache=null"],
            "With paths.cache=null nothing is kept: name the folder to look into with paths.cache=FOLDER.",
        ),
    ],
)
def test_settings_that_cannot_be_are_refused_before_anything_is_touched(
    overrides: list[str], message: str, cache: Cache, kept: Path, tmp_path: Path
) -> None:
    before = bytes_below(kept)
    with pytest.raises(ConfigError) as caught:
        cache(*overrides)
    assert str(caught.value) == message
    assert bytes_below(kept) == before
    assert not (tmp_path / "run").exists()
