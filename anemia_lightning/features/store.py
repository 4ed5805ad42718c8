"""The store of rows that cost much to compute: one folder, shared by commands and processes, within a budget."""

import hashlib
import json
import re
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anemia_lightning.features import shard_folder
from anemia_lightning.features.budget import agreed_budget, default_budget, free_bytes
from anemia_lightning.features.shard import SHARD_LAYOUT, RowLayout, Shard, ShardDamaged
from anemia_lightning.features.shard_collection import (
    ABOUT,
    Collection,
    Ingredients,
    StoredRowsLost,
    layout_words,
)

__all__ = ["Collection", "FeatureStore", "Purged", "StoredCollection", "StoredRowsLost", "Verified"]

SHARD_BYTES = 64_000_000

_NAME = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class StoredCollection:
    """A collection as it lies on disk."""

    folder: Path
    ingredients: dict[str, Any]
    """As given to `FeatureStore.open`; empty if the file that says them is damaged or not written yet."""
    rows: dict[str, list[Any]]
    """Shape and type of each tensor of a row."""
    photos: int
    """Different keys in it."""
    bytes: int
    last_used: float
    """Seconds since 1970."""
    in_use: bool
    refused: str | None
    """Why the system does not let us look into it; None if it does."""


@dataclass(frozen=True)
class Verified:
    """What a look at every shard has found."""

    shards: int
    bytes: int
    damaged: dict[Path, str]
    """The shards that were removed, with the reason."""
    unreadable: dict[Path, str]
    """The shards that the system would not let us read; they stay."""
    refused: dict[Path, str]
    """The collections that it would not let us look into; they stay."""


@dataclass(frozen=True)
class Purged:
    """What a purge has removed."""

    collections: int
    bytes: int
    in_use: int
    """Collections that stay because a running command uses them."""
    refused: dict[Path, str]
    """The collections that the system would not let us look into or lock, with the reason; they stay."""


class FeatureStore:
    """Collections of rows in one folder, of which the least recently used make room for new ones.

    Nothing is written before the first row is added.

    Args:
        folder: Of the store.
        max_bytes: How much it may hold; None for what stands in its file `budget.AGREED`, and without one for the
            smaller of 20 GB and a fifth of the free space.
        shard_bytes: How much is gathered before a file is written.
    """

    def __init__(self, folder: Path, *, max_bytes: int | None = None, shard_bytes: int = SHARD_BYTES) -> None:
        self.folder = folder
        self._max_bytes = max_bytes
        self._shard_bytes = shard_bytes

    @property
    def max_bytes(self) -> int:
        """How much the store may hold: what was given, or else agreed on, or else the default."""
        given = agreed_budget(self.folder) if self._max_bytes is None else self._max_bytes
        return default_budget(self.folder, self.held_bytes) if given is None else given

    @property
    def free_bytes(self) -> int:
        """How much is free on its disk."""
        return free_bytes(self.folder)

    @property
    def held_bytes(self) -> int:
        """How much it holds."""
        return sum(shard_folder.folder_bytes(folder) for folder in self._folders())

    def open(self, ingredients: Ingredients, rows: RowLayout) -> Collection:
        """Returns the collection of these ingredients, with all that is stored of it.

        Args:
            ingredients: All that the rows depend on, beside their keys: plain values. People are shown those named
                kind, view and trunk (a hash).
            rows: What a row holds: tensors by name, each with shape and type.
        """
        folder = self.folder / _collection_name(ingredients, rows)
        return Collection(folder, ingredients, rows, shard_bytes=self._shard_bytes)

    def make_room(self, needed: int) -> bool:
        """Removes collections that nobody uses, the least recently used first, until so many more bytes fit.

        What is to stay is opened before.

        Returns:
            Whether they fit now; if they cannot, nothing is removed.
        """
        shard_folder.finish_removals(self.folder)
        sizes = {folder: shard_folder.folder_bytes(folder) for folder in self._folders()}
        room = min(self.max_bytes - sum(sizes.values()), free_bytes(self.folder))
        with ExitStack() as leases:
            chosen = []
            for folder in sorted(sizes, key=shard_folder.last_used):
                if room >= needed:
                    break
                with suppress(OSError):  # one that cannot be locked may be used
                    if lease := shard_folder.close_folder(folder):
                        leases.callback(lease.release)
                        chosen.append(folder)
                        room += sizes[folder]
            if room < needed:
                return False
            for folder in chosen:
                shard_folder.remove_folder(folder)
        return True

    def collections(self) -> list[StoredCollection]:
        """Returns what is stored, the most recently used first."""
        return sorted(map(_describe, self._folders()), key=lambda stored: -stored.last_used)

    def verify(self, progress: Callable[[int, int], None] | None = None) -> Verified:
        """Reads every row of every shard, and removes the shards that are not what was written.

        Args:
            progress: Called with (bytes done, bytes in all).
        """
        shards = {path: _size(path) for folder in self._folders() for path in shard_folder.list_shards(folder)}
        damaged, unreadable, done = {}, {}, 0
        for path, size in shards.items():
            try:
                Shard(path, path.parent.name).verify()
            except ShardDamaged as error:
                path.unlink(missing_ok=True)
                damaged[path] = str(error)
            except FileNotFoundError:
                pass
            except OSError as error:
                unreadable[path] = error.strerror or str(error)
            done += size
            if progress:
                progress(done, sum(shards.values()))
        refused = {folder: why for folder in self._folders() if (why := shard_folder.refusal(folder))}
        return Verified(len(shards), sum(shards.values()), damaged, unreadable, refused)

    def purge(self, *, unused_since: float | None = None) -> Purged:
        """Removes collections that nobody uses.

        Args:
            unused_since: Only those that were not used since then (seconds since 1970); None for all.
        """
        shard_folder.finish_removals(self.folder)
        removed, freed, in_use = 0, 0, 0
        refused: dict[Path, str] = {}
        for folder in self._folders():
            if unused_since is not None and shard_folder.last_used(folder) >= unused_since:
                continue
            try:
                lease = shard_folder.close_folder(folder)
            except FileNotFoundError:
                continue  # another process has removed it
            except OSError as error:
                refused[folder] = error.strerror or str(error)
                continue
            if lease is None:
                in_use += 1
            else:
                freed += shard_folder.folder_bytes(folder)
                removed += 1
                shard_folder.remove_folder(folder)
                lease.release()
        with suppress(OSError):
            self.folder.rmdir()  # if it is empty
        return Purged(removed, freed, in_use, refused)

    def _folders(self) -> list[Path]:
        with suppress(OSError):
            return sorted(path for path in self.folder.iterdir() if _NAME.fullmatch(path.name) and path.is_dir())
        return []


def _collection_name(ingredients: Ingredients, rows: RowLayout) -> str:
    said = {"layout": SHARD_LAYOUT, "ingredients": dict(ingredients), "rows": layout_words(rows)}
    text = json.dumps(said, sort_keys=True, allow_nan=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _describe(folder: Path) -> StoredCollection:
    about = _read_about(folder)
    refused = shard_folder.refusal(folder)
    keys: set[str] = set()
    for path in shard_folder.list_shards(folder):
        with suppress(OSError, ShardDamaged):
            keys.update(Shard(path, folder.name).keys)
    return StoredCollection(
        folder=folder,
        ingredients=about.get("ingredients", {}),
        rows=about.get("rows", {}),
        photos=len(keys),
        bytes=shard_folder.folder_bytes(folder),
        last_used=shard_folder.last_used(folder),
        in_use=refused is None and shard_folder.is_used(folder),
        refused=refused,
    )


def _read_about(folder: Path) -> dict[str, Any]:
    try:
        about = json.loads((folder / ABOUT).read_bytes())
    except (OSError, ValueError):
        return {}
    return about if isinstance(about, dict) else {}


def _size(path: Path) -> int:
    with suppress(OSError):
        return path.stat().st_size
    return 0
