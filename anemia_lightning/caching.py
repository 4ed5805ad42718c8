"""What `cache` does: lists, verifies and purges what is kept between commands: features, surveys, models of engines."""

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from tqdm import tqdm

from anemia_lightning.command_line.terminal import aligned, progress_bar, quiet, say
from anemia_lightning.errors import ConfigError
from anemia_lightning.features.store import FeatureStore, StoredCollection
from anemia_lightning.files.run_folder import RunFolder, write_json, write_text
from anemia_lightning.files.whole_file import remove_drafts

_CHOICES = {"action": ("list", "verify", "purge"), "what": ("all", "features", "surveys", "engines")}
_FILES = {"surveys": "**/*", "engines": "*.onnx"}
"""Beside the features, single files in a folder of this name: of surveys all, for what a kill has left of one that was
being written can be as large as the others."""
_HEADINGS = ("kind", "view", "trunk", "type", "photos", "size", "last used")
_SHORT = 8
_SECONDS_PER_DAY = 86400


@dataclass(frozen=True)
class _File:
    path: Path
    bytes: int
    used: float


def manage_cache(cfg: DictConfig) -> dict[str, Any]:
    """Does what `action` says, tells it, writes it into cache.json and returns it.

    Raises:
        ConfigError: If the settings are none that there are.
    """
    quiet()
    _check(cfg)
    folder = RunFolder(cfg.paths.run_dir)
    write_text(folder.settings, OmegaConf.to_yaml(cfg, resolve=True))
    store = FeatureStore(Path(cfg.features.dir), max_bytes=cfg.features.max_bytes)
    cache = Path(cfg.paths.cache)
    if cfg.action == "list":
        record, lines = _list(store, cache)
    elif cfg.action == "verify":
        record, lines = _verify(store)
    else:
        record, lines = _purge(cfg, store, cache)
    write_json(folder.path / "cache.json", record)
    folder.point_latest()
    say(*lines)
    return record


def _check(cfg: DictConfig) -> None:
    problems = [
        f"{key} is one of {', '.join(values)}, not {cfg[key]}."
        for key, values in _CHOICES.items()
        if cfg[key] not in values
    ]
    days = cfg.older_than_days
    if days is not None and (isinstance(days, bool) or not isinstance(days, int | float) or not days >= 0):
        problems.append(f"older_than_days is a number of days, 0 or more, not {days}.")
    if cfg.action != "purge" and (days is not None or cfg.what != "all"):
        problems.append(f"what and older_than_days belong to action=purge, not to action={cfg.action}.")
    if cfg.paths.cache is None:
        problems.append("With paths.cache=null nothing is kept: name the folder to look into with paths.cache=FOLDER.")
    if problems:
        raise ConfigError(problems)


def _find_files(cache: Path, kind: str) -> list[_File]:
    found = []
    for path in sorted((cache / kind).glob(_FILES[kind])):
        with suppress(FileNotFoundError):
            status = path.stat()
            if path.is_file():
                found.append(_File(path, status.st_size, status.st_mtime))
    return found


def _list(store: FeatureStore, cache: Path) -> tuple[dict[str, Any], list[str]]:
    files = {kind: _find_files(cache, kind) for kind in _FILES}
    stored = store.collections()
    record = {
        "features": {
            "folder": str(store.folder),
            "bytes": store.held_bytes,
            "max_bytes": store.max_bytes,
            "collections": [_as_record(collection) for collection in stored],
        },
        **{kind: {"number": len(each), "bytes": _sum(each)} for kind, each in files.items()},
    }
    refused = {str(collection.folder): collection.refused for collection in stored if collection.refused}
    lines = aligned([_HEADINGS, *map(_row, stored)]) if stored else []
    lines += _refusal_lines(refused)
    lines.append(f"Features: {_size(store.held_bytes)} of at most {_size(store.max_bytes)} in {store.folder}")
    for kind, words in (("surveys", "Surveys of photographs"), ("engines", "Models made for engines")):
        lines.append(f"{words}: {_count(len(files[kind]), 'file')}, {_size(_sum(files[kind]))} in {cache / kind}")
    if stored or any(files.values()):
        lines.append("action=verify reads all features and removes what is damaged; action=purge removes them.")
    return record, lines


def _verify(store: FeatureStore) -> tuple[dict[str, Any], list[str]]:
    # Surveys are left out: each is verified whenever it is read, and replaced if it is damaged.
    with progress_bar("verifying features") as progress:
        verified = store.verify(progress)
    unreadable = {str(path): why for path, why in {**verified.unreadable, **verified.refused}.items()}
    record = {
        "shards": verified.shards,
        "bytes": verified.bytes,
        "damaged": {str(path): why for path, why in verified.damaged.items()},
        "unreadable": unreadable,
    }
    whole = verified.shards - len(verified.damaged) - len(verified.unreadable)
    lines = [f"{whole} of {_count(verified.shards, 'file')} of features ({_size(verified.bytes)}) are whole."]
    if verified.damaged:
        lines.append("Removed, and computed again when it is needed:")
        lines += [f"  {path}: {why}" for path, why in verified.damaged.items()]
    lines += _refusal_lines(unreadable)
    return record, lines


def _purge(cfg: DictConfig, store: FeatureStore, cache: Path) -> tuple[dict[str, Any], list[str]]:
    since = None if cfg.older_than_days is None else time.time() - cfg.older_than_days * _SECONDS_PER_DAY
    record: dict[str, Any] = {"collections": 0, "surveys": 0, "engines": 0, "bytes": 0, "in_use": 0, "refused": {}}
    if cfg.what in ("all", "features"):
        purged = store.purge(unused_since=since)
        record |= {"collections": purged.collections, "bytes": purged.bytes, "in_use": purged.in_use}
        record["refused"] = {str(folder): why for folder, why in purged.refused.items()}
    for kind in _FILES if cfg.what == "all" else _FILES.keys() & {cfg.what}:
        old = [file for file in _find_files(cache, kind) if since is None or file.used < since]
        for file in old:
            file.path.unlink(missing_ok=True)
        record[kind] = len(old)
        record["bytes"] += _sum(old)
    if cfg.what in ("all", "engines"):
        record["bytes"] += remove_drafts(cache / "engines")
    removed = (
        f"{_count(record['collections'], 'collection')} of features, {_count(record['surveys'], 'file')} of surveys"
    )
    models = _count(record["engines"], "model")
    lines = [f"Removed {removed} and {models} made for engines, {_size(record['bytes'])} in all."]
    if record["in_use"]:
        lines.append(f"{_count(record['in_use'], 'collection')} that a running command uses: left alone.")
    lines += _refusal_lines(record["refused"], "read or locked")
    return record, lines


def _refusal_lines(refused: Mapping[str, str], what: str = "read") -> list[str]:
    """Returns what the system would not let us read or lock, and why; no line where there is nothing of the kind."""
    lines = [f"  {path}: {why}" for path, why in refused.items()]
    return [f"Not to be {what}, and left alone:", *lines] if lines else []


def _as_record(stored: StoredCollection) -> dict[str, Any]:
    return {
        "name": stored.folder.name,
        "ingredients": stored.ingredients,
        "rows": stored.rows,
        "photos": stored.photos,
        "bytes": stored.bytes,
        "last_used": datetime.fromtimestamp(stored.last_used).astimezone().isoformat(timespec="seconds"),
        "in_use": stored.in_use,
        "unreadable": stored.refused,
    }


def _row(stored: StoredCollection) -> tuple[str, ...]:
    said = stored.ingredients
    used = datetime.fromtimestamp(stored.last_used).astimezone().strftime("%Y-%m-%d %H:%M")
    if stored.in_use or stored.refused:
        used = "in use" if stored.in_use else "unknown"
    return (
        str(said.get("kind", "unknown")),
        _word(said.get("view")),
        _word(said.get("trunk"))[:_SHORT],
        ", ".join(sorted({dtype for _, dtype in stored.rows.values()})) or "-",
        str(stored.photos),
        _size(stored.bytes),
        used,
    )


def _sum(files: Sequence[_File]) -> int:
    return sum(file.bytes for file in files)


def _word(value: object) -> str:
    return "-" if value is None else str(value)


def _size(number: int) -> str:
    return str(tqdm.format_sizeof(number, suffix="B"))


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
