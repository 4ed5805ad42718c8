"""The features of a run: which of them each phase of a fit needs, and how they are kept."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from anemia_lightning import wiring
from anemia_lightning.command_line.terminal import say
from anemia_lightning.contracts import Entry, Stage
from anemia_lightning.data.framing import Framing
from anemia_lightning.features.dataset import FeatureDataset
from anemia_lightning.features.store import FeatureStore
from anemia_lightning.frozen.feature_identity import FeatureSettings
from anemia_lightning.frozen.frozen_features import FrozenFeatures
from anemia_lightning.machine.freed_memory import give_back_memory
from anemia_lightning.model.backbone import AnemiaNetwork
from anemia_lightning.model.precision import dtype_of
from anemia_lightning.randomness import view_of_epoch

if TYPE_CHECKING:
    from anemia_lightning.data.datamodule import AnemiaDataModule

STAGES: tuple[Stage, ...] = ("train", "val", "test")


class FitFeatures:
    """Answers a datamodule that asks what to read in each phase of a fit.

    While the head alone trains, that is the pooled vector; when layer4 trains, layer3's map; when more trains, or
    frozen BatchNorm does not stand still, the photographs themselves, decoded once where their pixels can be kept
    and no workers read them. On a CUDA device these are then augmented there, in other last digits than by workers.

    Args:
        cfg: The settings of `train`.
        datamodule: The photos of the fit.
        network: What is trained; its frozen stages are copied when the fit begins.
    """

    def __init__(self, cfg: DictConfig, datamodule: "AnemiaDataModule", network: AnemiaNetwork) -> None:
        self._cfg = cfg
        self._phases = wiring.phases(cfg)
        self._datamodule = datamodule
        self._network = network
        self._settings = feature_settings(cfg, precision=wiring.resolve_precision(cfg), framing=datamodule.framing)
        self._features: FrozenFeatures | None = None
        # Workers make images beside the network; a CUDA device makes them faster than they do.
        workers = wiring.resolve_workers(cfg.data.num_workers, cfg.trainer.accelerator)
        makes_images = not workers or wiring.resolve_device(cfg.trainer.accelerator).type == "cuda"
        self._keeps_pixels = makes_images and self._settings.store is not None
        self._off_because = "no epoch was trained"

    def __call__(self, stage: Stage, epoch: int) -> FeatureDataset | None:
        """Returns what the phase of `epoch` reads; None for the photographs, anew in every epoch."""
        entry = self._entry(epoch)
        # The phase before may have been the last to touch some of it, and the next needs memory of another kind.
        if self._features:
            self._features.flush()
        give_back_memory()
        if entry == "image" and not self._keeps_pixels:
            # Nothing is kept of this phase, nor of any later: no others are to make room for it.
            self._off_because = self._settings.off_because or "workers read the photographs anew in every epoch"
            return None
        features = self._begin(epoch)
        if entry == "image" and not features.keeps_pixels:
            return None
        photos = self._datamodule.photo_dataset(stage)
        keep_maps = self._keeps_maps(stage, range(epoch, self._cfg.trainer.max_epochs))
        return features.near(features.dataset(photos, entry=entry, augmented=stage == "train", keep_maps=keep_maps))

    def lines(self) -> list[str]:
        """Returns what a person should know before the fit begins."""
        epochs = range(self._cfg.trainer.max_epochs)
        through = [epoch for epoch in epochs if self._entry(epoch) == "image"]
        store = self._settings.store
        room = f"{store.folder}, which may grow to {store.max_bytes / 1e9:.1f} GB" if store else ""
        if len(through) == len(epochs):
            lines = [f"Every epoch computes the whole network: {self._why_images(0)}."]
            if self._keeps_pixels:
                lines.append(f"Photographs are decoded once and kept in {room}; features.store=false keeps nothing.")
            return lines
        lines = []
        if store is None:
            lines.append(f"Frozen layers are computed anew in each epoch: {self._settings.off_because}.")
        elif self._settings.views is None and not self._settings.keep_fresh:
            lines.append("Frozen layers are computed for a new view of each training photo in every epoch.")
        else:
            views = self._views_in_words(len(epochs) - len(through))
            lines.append(
                f"Frozen layers are computed once for {views} of each training photo and kept in {room}; "
                "features.store=false keeps nothing."
            )
        if through:
            lines.append(f"From epoch {through[0]} on the whole network is computed: {self._why_images(through[0])}.")
        return lines

    def record(self) -> dict[str, Any]:
        """Returns what run.json says of the features."""
        return self._features.record() if self._features else {"store": False, "off_because": self._off_because}

    def close(self) -> None:
        """Writes what still waits in memory."""
        if self._features:
            self._features.close()
        give_back_memory()

    def _views_in_words(self, epochs: int) -> str:
        """Returns which views of a training photo so many epochs read."""
        if self._settings.views is None:
            return "the view of every epoch"
        count = min(self._settings.views, epochs)
        return f"{count} view" if count == 1 else f"{count} views"

    def _entry(self, epoch: int) -> Entry:
        if self._cfg.model.frozen_batchnorm == "train":
            return "image"
        entries: dict[str, Entry] = {"head": "pooled", "layer4": "layer3"}
        return entries.get(self._train_from(epoch), "image")

    def _train_from(self, epoch: int) -> str:
        stages: list[str] = [phase["train_from"] for phase in self._phases if phase["epoch"] <= epoch]
        return stages[-1] if stages else "head"

    def _why_images(self, epoch: int) -> str:
        if self._cfg.model.frozen_batchnorm == "train":
            return "with model.frozen_batchnorm=train what frozen layers give depends on the batch"
        return f"{self._train_from(epoch)} trains too"

    def _begin(self, epoch: int) -> FrozenFeatures:
        # Not before the fit: a resumed one finds its weights, and every one its device, only then.
        if self._features is None:
            trainer = self._datamodule.trainer
            assert trainer is not None
            features = FrozenFeatures(self._network, self._settings, device=trainer.strategy.root_device, say=say)
            to_come, maps = self._bytes_to_come(features, range(epoch, self._cfg.trainer.max_epochs))
            # One process of a machine makes room for all: another would take the same room a second time.
            if trainer.local_rank == 0:
                features.make_room(to_come, maps=maps)
            features.room = trainer.strategy.broadcast(features.room)
            self._features = features
        return self._features

    def _bytes_to_come(self, features: FrozenFeatures, epochs: range) -> tuple[Counter[str], Counter[int]]:
        """Returns how many bytes of each kind these epochs, and the scoring that follows them, will add to the store.

        And how many of them are maps of training photos, by view.

        Of a resumed fit these are its own epochs alone: what the earlier ones read was kept under the weights that the
        network had then, and nobody reads it under those that it has now.
        """
        to_come: Counter[str] = Counter()
        maps: Counter[int] = Counter()
        for stage in STAGES:
            photos = self._datamodule.photo_dataset(stage)
            for kind, view, exact in {("pixels", 0, True)} | self._reads(stage, epochs) | self._scores(stage, epochs):
                missing = features.missing_bytes(photos, kind=kind, augmented=stage == "train", view=view, exact=exact)
                to_come[kind] += missing
                if stage == "train" and kind == "layer3":
                    maps[view] += missing
        return to_come, maps

    def _keeps_maps(self, stage: Stage, epochs: range) -> bool:
        """Returns whether maps are kept of which pooled vectors are made, for later epochs or the final scoring."""
        is_exact = self._settings == self._settings.exact()
        needed = self._reads(stage, epochs) | self._scores(stage, epochs)
        return any(kind == "layer3" and exact == is_exact for kind, _, exact in needed)

    def _reads(self, stage: Stage, epochs: range) -> set[tuple[str, int, bool]]:
        """Returns kind and view of the features that some epochs read, and whether these are exact."""
        if stage == "test":
            return set()
        entries = {epoch: entry for epoch in epochs if (entry := self._entry(epoch)) != "image"}
        # Pooled vectors are made of maps, which are kept too where later epochs read maps.
        maps = {"layer3"} & set(entries.values())
        is_exact = self._settings == self._settings.exact()
        return {
            (kind, view_of_epoch(epoch, self._settings.views) if stage == "train" else 0, is_exact)
            for epoch, entry in entries.items()
            for kind in {entry} | maps
        }

    def _scores(self, stage: Stage, epochs: range) -> set[tuple[str, int, bool]]:
        """Returns the same of what the final scoring reads.

        Where frozen layers train first, or their BatchNorm, its maps are those of weights that are not there yet: it
        makes room for them itself.
        """
        is_known = all(self._entry(epoch) != "image" for epoch in epochs)
        return {("layer3", 0, True)} if stage != "train" and is_known else set()


def feature_settings(cfg: DictConfig, *, precision: str, framing: Framing) -> FeatureSettings:
    """Returns how the features of a command are computed and kept.

    Raises:
        UnknownNameError: If frozen layers cannot be computed in this precision.
    """
    chosen = wiring.plain(cfg.features)
    off = None
    if not chosen["store"]:
        off = "features.store=false"
    elif not cfg.paths.cache:
        off = "paths.cache=null"
    return FeatureSettings(
        store=None if off else FeatureStore(Path(chosen["dir"]), max_bytes=chosen["max_bytes"]),
        off_because=off,
        views=None if chosen["views"] == "fresh" else chosen["views"],
        keep_fresh=chosen["keep_fresh"],
        codec=chosen["dtype"],
        dtype=dtype_of(precision),
        compiled=chosen["compile"],
        framing=framing.to_dict(),
        augmentation=wiring.build_augmentation(cfg).to_dict(),
        size=framing.size,
        threads=wiring.reading_threads(),
    )
