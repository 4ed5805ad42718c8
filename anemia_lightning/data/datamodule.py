"""The LightningDataModule: one manifest, three splits, and the loaders of the augmented data sets."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pandas as pd
from sklearn.utils.class_weight import compute_class_weight
from torch.utils.data import DataLoader, Dataset, Sampler

from anemia_lightning.contracts import Batch, BatchRequest, Stage
from anemia_lightning.data.dataset import PhotoDataset, PhotoRows, as_it_is
from anemia_lightning.data.framing import Framing
from anemia_lightning.data.overlap import MetPhotos, check_unmet
from anemia_lightning.data.preparation import Prepared
from anemia_lightning.data.sampler import EvaluationSampler, TrainingSampler
from anemia_lightning.data.split_file import EXCLUDED, split_table
from anemia_lightning.data.splits import SPLITS, assign_splits, check_separate
from anemia_lightning.data.surroundings import Surroundings, kinds_to_carry
from anemia_lightning.data.transforms import Augmentation
from anemia_lightning.randomness import epoch_order

DatasetFactory = Callable[[Stage, int], "Dataset[Batch] | None"]
"""Answers (stage, epoch) with the data set to read from in the main process, or with None to read the photos; asked
anew when a phase begins."""


class AnemiaDataModule(L.LightningDataModule):
    """Splits photos by patient and photo group, and serves batches of (augmented) images.

    Args:
        prepared: The photos that can be split, and what is known of them beyond their split.
        framing: How a photograph becomes a square of pixels.
        augmentation: How training views differ.
        fractions: The share of photos that train, val and test get.
        split_seed: Of the draw of the split.
        split_file: A table of photo ids and splits to use instead of a draw.
        batch_size: Photos per optimizer step, over all devices and accumulated batches.
        seed: Of the order of the epochs.
        num_workers: Worker processes per loader; 0 reads in the main process.
        overfit_steps: Trains on, and validates with, so many steps' worth of training photos; 0 takes all.
        start_method: How worker processes start: fork, spawn or forkserver; None for the platform's default.
        views: Versions of each training photo that the epochs go through in turn; None gives each epoch its own.
        phase_starts: Epochs at which `dataset_factory` is asked anew.
    """

    def __init__(
        self,
        *,
        prepared: Prepared,
        framing: Framing,
        augmentation: Augmentation,
        fractions: Mapping[str, float],
        split_seed: int,
        split_file: Path | None = None,
        batch_size: int,
        seed: int,
        num_workers: int = 0,
        start_method: str | None = None,
        overfit_steps: int = 0,
        views: int | None = None,
        phase_starts: Sequence[int] = (),
    ) -> None:
        super().__init__()
        self.prepared = prepared
        self.framing = framing
        self.augmentation = augmentation
        self._fractions = dict(fractions)
        self._split_seed = split_seed
        self._split_file = split_file
        self.batch_size = batch_size
        self._seed = seed
        self._num_workers = num_workers
        self._start_method = start_method
        self._overfit_photos = overfit_steps * batch_size
        self._views = views
        self._phase_starts = sorted(phase_starts)
        self.dataset_factory: DatasetFactory | None = None
        """Replaces the photo data sets, for a cache of features; a command that knows the network sets it."""
        self._loaders: dict[Stage, tuple[int, DataLoader[Batch]]] = {}
        self.manifest = pd.DataFrame()
        """The photos that are used, with their split; filled by `setup`."""
        self.excluded = pd.DataFrame()
        """The photos that are not, with the reason."""
        self._met_before = MetPhotos()
        self._kinds_before: frozenset[str] = frozenset()

    def setup(self, stage: str | None = None) -> None:
        """Splits the photos, once.

        Raises:
            SplitFileError: If the split file does not fit the photos.
            SplitLeakError: If given splits share a patient or a photo group.
            SplitImpossibleError: If a split would lack one of the classes.
        """
        if len(self.manifest):
            return
        prepared = self.prepared
        splits = assign_splits(
            prepared.manifest, fractions=self._fractions, seed=self._split_seed, file=self._split_file
        )
        is_used = splits.isin(SPLITS)
        unused = prepared.manifest[~is_used].assign(reason="excluded by split.file")
        # A table shares its columns with what it was made of until some rows are left out.
        used = prepared.manifest if is_used.all() else prepared.manifest[is_used].reset_index(drop=True)
        self.manifest = used.assign(split=splits[is_used].to_numpy())
        self.excluded = pd.concat([prepared.excluded, unused], ignore_index=True)

    def start_from(self, file: Path, met: MetPhotos, kinds: frozenset[str]) -> None:
        """Takes down which photos the model has met before this fit: its checkpoints carry these too.

        Args:
            file: What the fit starts from.
            met: What that has met.
            kinds: Of which kinds the photos were that trained it.

        Raises:
            StartOverlapError: If it has met photos of the test split, or was trained on some of the validation split.
        """
        photos, used = self.prepared.manifest, self.manifest.set_index("photo")["split"]
        splits = photos["photo"].map(used).fillna(EXCLUDED)
        check_unmet(photos, self.prepared.facts, splits, file=file, met=met)
        self._met_before, self._kinds_before = met, kinds

    def state_dict(self) -> dict[str, Any]:
        """Returns what a checkpoint carries of the data.

        Hashes of the photos that trained or chose the model, and whether those that trained it are whole.
        """
        return self._carried

    @cached_property
    def _carried(self) -> dict[str, list[str]]:
        # Once, since every epoch gathers a checkpoint.
        train = self.facts("train")
        met = MetPhotos.of(train=train, val=self.facts("val")) | self._met_before
        return met.to_dict() | kinds_to_carry(Surroundings.of(train["tissue_share"]).kinds | self._kinds_before)

    def facts(self, *splits: str) -> pd.DataFrame:
        """Returns the manifest's rows of some splits (none named: of all) joined with what the survey measured."""
        rows = self.manifest[self.manifest["split"].isin(splits or SPLITS)]
        return rows.merge(self.prepared.facts, on="photo", validate="one_to_one")

    def split_table(self) -> pd.DataFrame:
        """Returns what splits.csv holds: every photo of the source, its split, and why it is excluded."""
        return split_table(self.manifest, self.excluded)

    def fingerprint(self) -> str:
        """Returns the SHA-256 of what the run is about: ids, labels, patients, splits and contents of the photos."""
        columns = ["photo", "label", "patient", "photo_group", "split", "file_sha256", "pixels_sha256"]
        rows = self.facts()[columns]
        return hashlib.sha256(rows.to_csv(index=False, lineterminator="\n").encode()).hexdigest()

    def class_weights(self) -> list[float]:
        """Returns the 'balanced' weight of labels 0 and 1, from the training split alone."""
        labels = self.rows("train")["label"].to_numpy()
        weights = compute_class_weight("balanced", classes=np.array([0, 1]), y=labels)
        return [float(weight) for weight in weights]

    def rows(self, stage: Stage) -> pd.DataFrame:
        """Returns the manifest's rows of one split, in the order of the data set."""
        return self.manifest[self.manifest["split"] == stage].reset_index(drop=True)

    def fit_rows(self, stage: Stage) -> pd.DataFrame:
        """Returns what a fit reads for a stage: its split, or, to overfit, the same few training photos for all."""
        if not self._overfit_photos:
            return self.rows(stage)
        rows = self.rows("train")
        # In the order of the first epoch, since manifests are often sorted by label.
        few = epoch_order(len(rows), self._seed, 0)[: self._overfit_photos]
        return rows.iloc[few].reset_index(drop=True)

    def photo_dataset(self, stage: Stage) -> PhotoDataset:
        """Returns the photos that a fit reads, as images; augmented for training."""
        augmentation = self.augmentation if stage == "train" else None
        rows = PhotoRows.of(self.fit_rows(stage), self.prepared.facts)
        return PhotoDataset(rows, self.framing, augmentation)

    def train_dataloader(self) -> DataLoader[Batch]:
        """Returns the loader of the current phase.

        Raises:
            SplitLeakError: If a patient or a photo group stands in two splits, however that came about.
        """
        check_separate(self.manifest, self.manifest["split"])
        return self._loader("train")

    def val_dataloader(self) -> DataLoader[Batch]:
        """Returns the loader of the current phase."""
        return self._loader("val")

    def _loader(self, stage: Stage) -> DataLoader[Batch]:
        # In a resumed run the current epoch is one behind until Lightning has asked for the loader.
        epoch: int = self.trainer.fit_loop.epoch_progress.current.processed if self.trainer else 0  # type: ignore[attr-defined]
        phase = sum(start <= epoch for start in self._phase_starts)
        known = self._loaders.get(stage)
        if known is None or known[0] != phase:
            if known is not None:
                _stop_workers(known[1])
            self._loaders[stage] = (phase, self._new_loader(stage, epoch))
        return self._loaders[stage][1]

    def _sampler(self, stage: Stage) -> TrainingSampler | EvaluationSampler:
        labels = self.fit_rows(stage)["label"].tolist()
        rank, world_size, micro_batches = 0, 1, 1
        if self.trainer:
            rank, world_size = self.trainer.global_rank, self.trainer.world_size
            micro_batches = self.trainer.accumulate_grad_batches
        if stage == "train":
            return TrainingSampler(
                labels,
                batch_size=self.batch_size,
                seed=self._seed,
                views=self._views,
                rank=rank,
                world_size=world_size,
                micro_batches=micro_batches,
            )
        return EvaluationSampler(labels, batch_size=self.batch_size, rank=rank, world_size=world_size)

    def _new_loader(self, stage: Stage, epoch: int) -> DataLoader[Batch]:
        sampler = self._sampler(stage)
        if self.dataset_factory and (dataset := self.dataset_factory(stage, epoch)):
            return _request_loader(dataset, sampler)
        return _request_loader(
            self.photo_dataset(stage),
            sampler,
            num_workers=self._num_workers,
            start_method=self._start_method,
            pin_memory=bool(self.trainer and self.trainer.strategy.root_device.type == "cuda"),
        )


def evaluation_loader(dataset: "Dataset[Batch]", labels: Sequence[int], *, batch_size: int) -> DataLoader[Batch]:
    """Returns a loader that visits each photo once, in order, in this process."""
    return _request_loader(dataset, EvaluationSampler(labels, batch_size=batch_size))


def _request_loader(
    dataset: "Dataset[Batch]",
    sampler: "Sampler[BatchRequest]",
    *,
    num_workers: int = 0,
    start_method: str | None = None,
    pin_memory: bool = False,
) -> DataLoader[Batch]:
    return _LateLoader(
        dataset,
        sampler=sampler,
        # The sampler asks for whole batches, and the data set answers with them.
        batch_size=None,
        collate_fn=as_it_is,
        num_workers=num_workers,
        persistent_workers=num_workers > 0,
        multiprocessing_context=start_method if num_workers else None,
        pin_memory=pin_memory,
    )


class _LateLoader(DataLoader[Batch]):
    """Asks the sampler for nothing until the first batch is asked for.

    Lightning takes an iterator before it tells the sampler the epoch, and another one after it. Workers begin with the
    first: in a resumed run it is the only one, and they would read epoch 0; else what they read is thrown away.
    """

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]  # torch promises the class of its own iterators
        yield from super().__iter__()


def _stop_workers(loader: DataLoader[Batch]) -> None:
    # Left to the garbage collector, each worker of the phase before would be waited for for 5 seconds.
    if loader._iterator is not None:  # noqa: SLF001  torch has no public way
        loader._iterator._shutdown_workers()  # type: ignore[attr-defined]  # noqa: SLF001
