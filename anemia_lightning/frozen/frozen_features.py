"""Photos, frozen trunk and store put together: what enters the network, kept where it can be."""

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import BoundedSemaphore, Lock
from types import MappingProxyType
from typing import Any
from weakref import WeakSet

import torch
from torch import Tensor

from anemia_lightning.command_line.terminal import progress_bar
from anemia_lightning.contracts import Entry
from anemia_lightning.data.dataset import PhotoDataset
from anemia_lightning.errors import DiskFullError, StoreUnwritableError
from anemia_lightning.features.codec import AsTheyAre, BytesPerChannel, Codec
from anemia_lightning.features.dataset import FeatureDataset
from anemia_lightning.features.keys import row_key
from anemia_lightning.features.on_device import OnDevice, half_of_free_memory
from anemia_lightning.features.room import EVERYTHING, Choice, choices_of, size_in_words
from anemia_lightning.features.store import Collection, FeatureStore
from anemia_lightning.features.stored import Compute, Stored
from anemia_lightning.frozen.feature_identity import FeatureSettings, collection_ingredients
from anemia_lightning.model.backbone import AnemiaNetwork
from anemia_lightning.model.trunk_pass import TrunkPass, frozen_sha256, map_shapes


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
        self._pass = TrunkPass(network, device=device, dtype=settings.dtype, compiled=settings.compiled)
        self._backbone = network.backbone_name
        # As its frozen stages are now.
        self._trunk_sha256, self._top_sha256 = frozen_sha256(network)
        self._settings = settings
        self._say = say
        self._map_shape, self._pooled_shape = map_shapes(network.backbone_name, settings.size)
        self._opened: dict[str, Collection] = {}
        self._written_bytes = 0
        self._trunk_images = 0
        self._trunk_s = 0.0
        self._lock = Lock()
        # Of all who read: an open photograph takes much memory.
        self._readers = BoundedSemaphore(settings.threads)
        # Those of earlier phases go with the loaders that read them.
        self._on_device: WeakSet[OnDevice] = WeakSet()
        self._kept = EVERYTHING
        self.off_because = settings.off_because
        """Why nothing is kept, or not any more; None while it is."""

    def dataset(self, photos: PhotoDataset, *, entry: Entry, augmented: bool, keep_maps: bool = True) -> FeatureDataset:
        """Returns photos as features, or as images of which the pixels are kept.

        Args:
            photos: The photos as pixels and images; the survey has seen them.
            entry: Where they are to enter the network.
            augmented: Whether the views of a photo differ.
            keep_maps: Whether to keep layer3's maps too, of which pooled vectors are made.
        """
        keys = self._keys(photos, augmented=augmented)
        # Pixels and what is not augmented depend on no photo id.
        plain_keys = self._keys(photos, augmented=False)
        stored = self._stored(
            lambda indices, _: self._read(photos, indices), plain_keys, kind="pixels", augmented=False
        )
        # A network that trains whole needs the GPU's memory for itself.
        pixels: Compute = stored.values
        if entry != "image":
            pixels = self._on_gpu(pixels, "Photographs", rows=len(photos), row_bytes=3 * self._settings.size**2)

        def images(indices: Sequence[int], view: int) -> Tensor:
            levels = pixels(indices, 0)
            # Other accelerators lack the double precision that augmentation is drawn in.
            if self._pass.device.type == "cuda":
                levels = levels.to(self._pass.device)
            return photos.images(levels, indices, view)

        if entry == "image":
            return FeatureDataset(photos, images, entry)
        maps = self._stored(
            lambda indices, view: self._trunk(images, indices, view),
            keys if keep_maps else None,
            kind="layer3",
            augmented=augmented,
        )
        if entry == "layer3":
            return FeatureDataset(photos, maps.values, entry)
        pooled = self._stored(
            lambda indices, view: self._pass.pool(maps.values(indices, view)),
            keys,
            kind="pooled",
            augmented=augmented,
        )
        return FeatureDataset(photos, pooled.values, entry)

    def near(self, dataset: FeatureDataset) -> FeatureDataset:
        """Returns a data set whose features, not images, live on the GPU, where this process has one and they fit."""
        if dataset.entry == "image":
            return dataset
        is_passing = self._settings.views is None
        shape = self._map_shape if dataset.entry == "layer3" else self._pooled_shape
        row_bytes = torch.Size(shape).numel() * self._settings.dtype.itemsize
        return dataset.through(
            lambda values: self._on_gpu(
                values, "Frozen layers", rows=len(dataset), row_bytes=row_bytes, one_at_a_time=is_passing
            )
        )

    def _on_gpu(
        self, values: Compute, description: str, *, rows: int, row_bytes: int, one_at_a_time: bool = False
    ) -> Compute:
        device = self._pass.device
        distributed = torch.distributed
        is_shared = distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1
        # Each process of several would bring all photos, where it needs only its share of them.
        if device.type != "cuda" or is_shared:
            return values
        on_device = OnDevice(
            values,
            rows=rows,
            row_bytes=row_bytes,
            device=device,
            budget=lambda: half_of_free_memory(device),
            one_at_a_time=one_at_a_time,
            progress=lambda: progress_bar(description),
        )
        self._on_device.add(on_device)
        return on_device

    def make_room(self, to_come: Mapping[str, int], *, maps: Mapping[int, int] = MappingProxyType({})) -> None:
        """Makes room in the store for so many bytes of each kind, for some only, or does without the store.

        Each call decides anew what is kept from then on; once nothing is kept any more, no room is made either.

        Args:
            to_come: Bytes of pixels, layer3 and pooled that are to be added; a kind that is not named is not needed.
            maps: Those of layer3 that are of augmented views, by view. Where not all fit, as many views are kept as
                do: of half a view each batch would still be computed, since a pass takes the time of a whole one.
        """
        store = self._settings.store
        if store is None or self.off_because is not None:
            return
        choices = choices_of(to_come, maps)
        try:
            kept = next((each for each in choices if not each.needed or store.make_room(each.needed)), None)
        except OSError as error:
            self._do_without(f"{store.folder} cannot be used ({error.strerror or error})")
            return
        if kept is None:
            self._do_without(_too_little_room(store, choices[0].needed))
            return
        self._kept = kept
        if kept is not choices[0]:
            words, why = kept.words(len(maps)), _too_little_room(store, choices[0].needed)
            self._say(f"Note: {words} alone can be kept, so this run will take longer, with the same result: {why}.")

    @property
    def room(self) -> tuple[Choice, str | None]:
        """What is kept, and why nothing is; processes that train together follow the first."""
        return self._kept, self.off_because

    @room.setter
    def room(self, room: tuple[Choice, str | None]) -> None:
        self._kept, self.off_because = room

    @property
    def keeps_pixels(self) -> bool:
        """Whether photographs are decoded once and kept."""
        return self.off_because is None and self._kept.holds("pixels")

    def record(self) -> dict[str, Any]:
        """Returns what run.json says of the features."""
        return {
            "store": self.off_because is None,
            "off_because": self.off_because,
            "kept": list(self._kept.kinds) if self.off_because is None else [],
            "views": self._settings.views or "fresh",
            "views_of_maps_kept": "all" if self._kept.views is None else len(self._kept.views),
            "stored_as": self._codec("layer3").name,
            "trunk_sha256": self._trunk_sha256,
            "trunk_images": self._trunk_images,
            "trunk_s": round(self._trunk_s, 3),
            "bytes_written": self._written_bytes + sum(each.written_bytes for each in self._opened.values()),
        }

    def flush(self) -> None:
        """Writes what still waits in memory."""
        for collection in self._opened.values():
            try:
                collection.flush()
            except (DiskFullError, StoreUnwritableError) as error:
                self._fail(error)

    def close(self) -> None:
        """Writes what still waits in memory, and leaves the store and the device's memory to others."""
        try:
            self.flush()
        finally:
            for on_device in self._on_device:
                on_device.release()
            for collection in self._opened.values():
                collection.close()
                self._written_bytes += collection.written_bytes
            self._opened.clear()

    def missing_bytes(
        self,
        photos: PhotoDataset,
        *,
        kind: str,
        augmented: bool = False,
        view: int = 0,
        exact: bool = False,
    ) -> int:
        """Returns how much the rows of a kind would take that are not kept yet; those that are will stay.

        Args:
            photos: The photos; the survey has seen them.
            kind: pixels, layer3 or pooled.
            augmented: Whether the views of a photo differ.
            view: Which it is.
            exact: Whether those that the final scoring reads, however these features are kept and compiled.
        """
        augmented = augmented and kind != "pixels"
        keys = self._keys(photos, augmented=augmented)
        collection = self._open(kind, augmented=augmented, view=view, exact=exact)
        return len(collection.missing(keys)) * collection.row_bytes if collection is not None else 0

    def _read(self, photos: PhotoDataset, indices: Sequence[int]) -> Tensor:
        """Reads the pixels of some photos, side by side, and no more of them than there are readers.

        What is brought to a GPU whole is asked for by one thread, for whom all others wait; what is not, by several.
        """

        def read_one(index: int) -> Tensor:
            with self._readers:
                return photos.pixels([index])

        with ThreadPoolExecutor(self._settings.threads) as pool:
            return torch.cat(list(pool.map(read_one, indices)))

    def _trunk(self, images: Compute, indices: Sequence[int], view: int) -> Tensor:
        start = time.perf_counter()
        size = self._pass.batch_size
        parts = [indices[at : at + size] for at in range(0, len(indices), size)]
        if self._is_on_cpu:
            # Not beside the network: whatever takes one of its cores keeps all of them waiting.
            maps = [self._pass.trunk(images(part, view)) for part in parts]
        else:
            with ThreadPoolExecutor(self._settings.threads) as pool:
                maps = [self._pass.trunk(ready) for ready in pool.map(lambda part: images(part, view), parts)]
        self._trunk_images += len(indices)
        self._trunk_s += time.perf_counter() - start
        return torch.cat(maps)

    @property
    def _is_on_cpu(self) -> bool:
        return self._pass.device.type == "cpu"

    def _stored(self, compute: Compute, keys: Sequence[str] | None, *, kind: str, augmented: bool) -> Stored:
        return Stored(
            compute,
            keys=keys,
            codec=self._codec(kind),
            open_view=lambda view: self._open(kind, augmented=augmented, view=view),
            may_add=lambda view: self.off_because is None and self._kept.holds(kind, view if augmented else None),
            on_failure=self._fail,
        )

    def _open(self, kind: str, *, augmented: bool, view: int, exact: bool = False) -> Collection | None:
        """Returns the collection of a view; None where it is not kept."""
        settings = self._settings.exact() if exact else self._settings
        is_passing = augmented and settings.views is None and not settings.keep_fresh
        if settings.store is None or is_passing:
            return None
        ingredients = collection_ingredients(
            kind,
            settings,
            self._pass,
            backbone=self._backbone,
            trunk_sha256=self._trunk_sha256,
            top_sha256=self._top_sha256,
            augmented=augmented,
            view=view,
        )
        name = repr(ingredients)
        if name not in self._opened:
            self._opened[name] = settings.store.open(ingredients, self._codec(kind, exact=exact).layout)
        return self._opened[name]

    def _codec(self, kind: str, *, exact: bool = False) -> Codec:
        if kind == "pixels":
            return AsTheyAre((3, self._settings.size, self._settings.size), torch.uint8)
        if kind == "pooled":
            return AsTheyAre(self._pooled_shape, self._settings.dtype)
        written = BytesPerChannel if self._settings.codec == "uint8" and not exact else AsTheyAre
        return written(self._map_shape, self._settings.dtype)

    @staticmethod
    def _keys(photos: PhotoDataset, *, augmented: bool) -> list[str]:
        ids = photos.photo if augmented else [""] * len(photos)
        return [row_key(file, pixels, photo) for (file, pixels), photo in zip(photos.contents, ids, strict=True)]

    def _fail(self, error: DiskFullError | StoreUnwritableError) -> None:
        self._do_without(f"looked for {error.sought}, found {error.found}")

    def _do_without(self, why: str) -> None:
        with self._lock:
            is_news, self.off_because = self.off_because is None, self.off_because or why
        if is_news:
            self._say(f"Note: no more features can be kept, so this run will take longer, with the same result: {why}.")


def _too_little_room(store: FeatureStore, needed: int) -> str:
    return (
        f"{size_in_words(needed)} more would be needed; {store.folder} may take {size_in_words(store.max_bytes)} in "
        f"all (features.max_bytes), commands that are running use some of it, and {size_in_words(store.free_bytes)} "
        "are free on its disk. Fewer features.views or features.dtype=uint8 need less"
    )
