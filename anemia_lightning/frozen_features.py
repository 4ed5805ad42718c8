"""Photos, frozen trunk and store put together: what enters the network in place of images while its trunk is frozen."""

import platform
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd
import torch
from torch import Tensor

from anemia_lightning import __version__
from anemia_lightning.contracts import Entry
from anemia_lightning.data.dataset import PhotoDataset
from anemia_lightning.errors import DiskFullError, StoreUnwritableError
from anemia_lightning.features.codec import AsTheyAre, BytesPerChannel, Codec
from anemia_lightning.features.dataset import FeatureDataset
from anemia_lightning.features.keys import row_key
from anemia_lightning.features.on_device import OnDevice, half_of_free_memory
from anemia_lightning.features.store import Collection, FeatureStore
from anemia_lightning.features.stored import Compute, Stored, Tally
from anemia_lightning.model.backbone import AnemiaNetwork
from anemia_lightning.model.trunk_pass import TrunkPass

FEATURES_VERSION = 1
"""Raised whenever the same photo, augmentation and weights would give other features."""


@dataclass(frozen=True, kw_only=True)
class FeatureSettings:
    """How features are computed and kept."""

    store: FeatureStore | None
    """None keeps nothing."""
    off_because: str | None
    """Why nothing is kept."""
    views: int | None
    """Augmented versions of each training photo; None for a new one in each epoch."""
    keep_fresh: bool
    codec: Literal["auto", "uint8"]
    dtype: torch.dtype
    """In which the trunk computes."""
    framing: Mapping[str, Any]
    """How photographs become squares of pixels, in plain values."""
    augmentation: Mapping[str, Any]
    """How training views differ, in plain values."""
    size: int
    """Side of an image in pixels."""
    threads: int
    """Readers of photographs at work beside the network."""


class FrozenFeatures:
    """The features of photos under one network, as its frozen stages are now.

    What is kept is found again by all that it depends on, so folds, seeds, sweeps and evaluations share it. Nothing
    in it was fitted on our photos: sharing cannot leak.

    Args:
        network: Its trunk, and for pooled vectors its layer4, must stay as they are.
        settings: How features are computed and kept.
        device: Where to compute.
        say: Told in words when the store fails.
    """

    def __init__(
        self, network: AnemiaNetwork, settings: FeatureSettings, *, device: torch.device, say: Callable[[str], None]
    ) -> None:
        self._pass = TrunkPass(network, device=device, dtype=settings.dtype)
        self._backbone = network.backbone_name
        self._settings = settings
        self._say = say
        self._map_shape, self._pooled_shape = self._pass.shapes(settings.size)
        self._opened: dict[str, Collection] = {}
        self._tallies = {kind: Tally() for kind in ("pixels", "layer3", "pooled")}
        self._trunk_images = 0
        self._trunk_s = 0.0
        self.off_because = settings.off_because
        """Why nothing is kept, or not any more; None while it is."""

    def dataset(
        self, photos: PhotoDataset, facts: pd.DataFrame | None, *, entry: Entry, augmented: bool, keep_maps: bool = True
    ) -> FeatureDataset:
        """Returns photos as features.

        Args:
            photos: The photos as pixels and images.
            facts: One row per photo in the same order: file_sha256 and pixels_sha256; None to keep nothing.
            entry: layer3 or pooled.
            augmented: Whether the views of a photo differ.
            keep_maps: Whether to keep layer3's maps too, of which pooled vectors are made.
        """
        keys = self._keys(photos, facts, augmented=augmented)
        # Pixels and what is not augmented depend on no photo id.
        pixels = self._stored(
            lambda indices, _: photos.pixels(indices),
            self._keys(photos, facts, augmented=False),
            kind="pixels",
            augmented=False,
        )

        def images(indices: Sequence[int], view: int) -> Tensor:
            return photos.images(pixels.values(indices, 0).to(self._pass.device), indices, view)

        def maps(indices: Sequence[int], view: int) -> Tensor:
            return self._trunk(images, indices, view)

        if keep_maps:
            maps = self._stored(maps, keys, kind="layer3", augmented=augmented).values
        if entry == "layer3":
            return FeatureDataset(photos, self._near(maps, len(photos)), entry)
        pooled = self._stored(
            lambda indices, view: self._pass.pool(maps(indices, view).to(self._pass.device)),
            keys,
            kind="pooled",
            augmented=augmented,
        )
        return FeatureDataset(photos, self._near(pooled.values, len(photos)), entry)

    def make_room(self, rows: Mapping[str, int]) -> None:
        """Makes room in the store for so many rows of each kind, or does without the store.

        Args:
            rows: Rows of pixels, layer3 and pooled that are to be kept.
        """
        store = self._settings.store
        if store is None:
            return
        needed = sum(count * self._row_bytes(kind) for kind, count in rows.items())
        if not store.make_room(needed):
            self._do_without(
                f"{_gigabytes(needed)} would be needed, and {store.folder} may take {_gigabytes(store.max_bytes)} in "
                "all (features.max_bytes); fewer features.views or features.dtype=uint8 need less"
            )

    def record(self) -> dict[str, Any]:
        """Returns what run.json says of the features."""
        return {
            "store": self.off_because is None,
            "off_because": self.off_because,
            "views": self._settings.views or "fresh",
            "dtype": self._codec("layer3").name,
            "trunk_sha256": self._pass.trunk_sha256,
            "trunk_images": self._trunk_images,
            "trunk_s": round(self._trunk_s, 3),
            "read_rows": sum(tally.read for tally in self._tallies.values()),
            "bytes_written": sum(tally.written_bytes for tally in self._tallies.values()),
        }

    def close(self) -> None:
        """Writes what still waits in memory, and leaves the store to others."""
        try:
            for collection in self._opened.values():
                collection.flush()
                collection.close()
        except (DiskFullError, StoreUnwritableError) as error:
            self._do_without(f"{error.sought}: found {error.found}")

    def missing(self, photos: PhotoDataset, facts: pd.DataFrame, *, kind: str, augmented: bool, view: int) -> int:
        """Returns how many rows of a kind are not kept yet."""
        keys = self._keys(photos, facts, augmented=augmented and kind != "pixels")
        collection = self._open(kind, augmented=augmented and kind != "pixels", view=view)
        return len(collection.missing(keys)) if collection is not None else 0

    def _near(self, values: Compute, rows: int) -> Compute:
        """Returns values that live on the GPU where there is one for this process alone and they fit."""
        device = self._pass.device
        is_shared = torch.distributed.is_available() and torch.distributed.is_initialized()
        # Each process of several would compute all photos, where it needs only its share of them.
        if device.type != "cuda" or is_shared:
            return values
        return OnDevice(values, rows=rows, device=device, budget=lambda: half_of_free_memory(device))

    def _trunk(self, images: Compute, indices: Sequence[int], view: int) -> Tensor:
        start = time.perf_counter()
        size = self._pass.batch_size
        parts = [indices[at : at + size] for at in range(0, len(indices), size)]
        # The next images are made while the network is busy with those before.
        with ThreadPoolExecutor(self._settings.threads) as pool:
            maps = [self._pass.trunk(ready) for ready in pool.map(lambda part: images(part, view), parts)]
        self._trunk_images += len(indices)
        self._trunk_s += time.perf_counter() - start
        return torch.cat(maps)

    def _stored(self, compute: Compute, keys: Sequence[str], *, kind: str, augmented: bool) -> Stored:
        return Stored(
            compute,
            keys=keys,
            codec=self._codec(kind),
            open_view=lambda view: self._open(kind, augmented=augmented, view=view) if keys else None,
            tally=self._tallies[kind],
            on_failure=self._do_without,
        )

    def _open(self, kind: str, *, augmented: bool, view: int) -> Collection | None:
        """Returns the collection of a view; None where it is not kept."""
        settings = self._settings
        is_passing = augmented and settings.views is None and not settings.keep_fresh
        if settings.store is None or self.off_because or is_passing:
            return None
        ingredients = self._ingredients(kind, augmented=augmented, view=view)
        name = repr(ingredients)
        if name not in self._opened:
            self._opened[name] = settings.store.open(ingredients, self._codec(kind).layout)
        return self._opened[name]

    def _ingredients(self, kind: str, *, augmented: bool, view: int) -> dict[str, str | int | None]:
        """Returns all that the rows of a collection depend on beside their photos."""
        ingredients: dict[str, str | int | None] = {
            "kind": kind,
            "version": f"{__version__} {FEATURES_VERSION}",
            "framing": repr(sorted(self._settings.framing.items())),
        }
        if kind == "pixels":
            return ingredients
        ingredients |= {
            "augmentation": repr(sorted(self._settings.augmentation.items())) if augmented else None,
            "view": view if augmented else None,
            "backbone": self._backbone,
            "trunk": self._pass.trunk_sha256,
            "precision": str(self._settings.dtype).removeprefix("torch."),
            "stored as": self._codec(kind).name,
            "computed by": f"torch {torch.__version__}, {_device_words(self._pass)}",
        }
        if kind == "pooled":
            ingredients["layer4"] = self._pass.top_sha256
        return ingredients

    def _codec(self, kind: str) -> Codec:
        if kind == "pixels":
            return AsTheyAre((3, self._settings.size, self._settings.size), torch.uint8)
        shape = self._map_shape if kind == "layer3" else self._pooled_shape
        written = BytesPerChannel if self._settings.codec == "uint8" else AsTheyAre
        return written(shape, self._settings.dtype)

    def _row_bytes(self, kind: str) -> int:
        layout = self._codec(kind).layout
        return sum(torch.Size(shape).numel() * dtype.itemsize for shape, dtype in layout.values())

    @staticmethod
    def _keys(photos: PhotoDataset, facts: pd.DataFrame | None, *, augmented: bool) -> list[str]:
        if facts is None:
            return []
        contents = zip(facts["file_sha256"], facts["pixels_sha256"], strict=True)
        ids = photos.photo if augmented else [""] * len(facts)
        return [row_key(file, pixels, photo) for (file, pixels), photo in zip(contents, ids, strict=True)]

    def _do_without(self, why: str) -> None:
        if self.off_because is None:
            self.off_because = why
            self._say(f"Note: the frozen layers are computed anew in each epoch, since nothing can be kept: {why}")


def _device_words(trunk: TrunkPass) -> str:
    """Returns what the rounding of a pass depends on."""
    shape = f"{trunk.batch_size} images a pass"
    if trunk.device.type == "cuda":
        return f"{torch.cuda.get_device_name(trunk.device)}, {shape}"
    return f"{trunk.device.type} {platform.machine()}, {torch.get_num_threads()} threads, {shape}"


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.1f} GB"
