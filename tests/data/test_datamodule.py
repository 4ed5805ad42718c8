import hashlib
import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from sklearn.utils.class_weight import compute_class_weight
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from anemia_lightning.contracts import SPLIT_COLUMNS, Batch, BatchRequest, Stage
from anemia_lightning.data.datamodule import AnemiaDataModule, evaluation_loader
from anemia_lightning.data.dataset import PhotoDataset, PhotoRows
from anemia_lightning.data.framing import Framing
from anemia_lightning.data.manifest import build_manifest
from anemia_lightning.data.preparation import Preparation
from anemia_lightning.data.transforms import Augmentation
from anemia_lightning.errors import ManifestError, SplitLeakError, UnreadablePhotosError

FRAMING = Framing(size=8, region="full", resize="stretch", background=(124, 116, 104))
AUGMENTATION = Augmentation(
    flip=0.5,
    rotation_degrees=15.0,
    brightness=0.2,
    contrast=0.2,
    affine_rotation_degrees=15.0,
    translation=0.1,
    scale=(0.8, 1.2),
    interpolation="bilinear",
    fill=(124, 116, 104),
    seed=0,
)
PATIENTS = 20


def draw_photos(folder: Path) -> pd.DataFrame:
    """Two photos of each patient; every fourth patient is anaemic."""
    rng, rows = np.random.default_rng(0), []
    for number in range(2 * PATIENTS):
        path = folder / f"{number:02}.png"
        Image.fromarray(rng.integers(0, 256, (20, 24, 3), dtype=np.uint8)).save(path)
        patient = number % PATIENTS
        rows.append({"photo": f"s/{path.name}", "path": path, "label": int(patient % 4 == 0), "patient": f"P{patient}"})
    return build_manifest(rows)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """For tests that change no file."""
    return draw_photos(tmp_path_factory.mktemp("photos"))


@pytest.fixture
def own(tmp_path: Path) -> pd.DataFrame:
    """For tests that damage files."""
    return draw_photos(tmp_path)


def ready(manifest: pd.DataFrame, *, on_unreadable: Any = "stop", **options: Any) -> AnemiaDataModule:
    settings: dict[str, Any] = {
        "prepared": Preparation(source=manifest.copy, grain="none", on_unreadable=on_unreadable)(),
        "framing": FRAMING,
        "augmentation": AUGMENTATION,
        "fractions": {"train": 0.6, "val": 0.2, "test": 0.2},
        "split_seed": 0,
        "batch_size": 8,
        "seed": 0,
    }
    data = AnemiaDataModule(**{**settings, **options})
    data.setup()
    return data


def evaluated(data: AnemiaDataModule, rows: pd.DataFrame) -> DataLoader[Batch]:
    photos = PhotoDataset(PhotoRows.of(rows), data.framing, None)
    return evaluation_loader(photos, photos.label, batch_size=data.batch_size)


def as_plain(batch: Batch) -> tuple[Any, ...]:
    return (*batch[:1], batch.label.tolist(), batch.values.numpy().tobytes(), batch.entry, batch[4].tolist())


# --- reading and splitting ---


def test_the_photos_are_split_once(kept: pd.DataFrame) -> None:
    data = ready(kept)
    manifest = data.manifest
    for stage in ("fit", "validate", "test", None):
        data.setup(stage)
    assert data.manifest is manifest


def test_every_photo_is_in_one_split_and_in_the_table(kept: pd.DataFrame) -> None:
    data = ready(kept)
    stages: tuple[Stage, ...] = ("train", "val", "test")
    parts = [set(data.rows(stage)["photo"]) for stage in stages]
    assert sum(map(len, parts)) == len(set().union(*parts)) == 40
    table = data.split_table()
    assert tuple(table) == SPLIT_COLUMNS
    assert table["photo"].tolist() == sorted(kept["photo"])
    assert (table["reason"] == "").all()
    for stage, part in zip(stages, parts, strict=True):
        assert set(table.loc[table["split"] == stage, "photo"]) == part
        assert set(data.rows(stage)["label"]) == {0, 1}
    assert table.groupby("patient")["split"].nunique().eq(1).all()


def test_the_split_has_its_own_seed(kept: pd.DataFrame) -> None:
    def splits(**seeds: int) -> list[str]:
        return list(ready(kept, **seeds).split_table()["split"])

    assert splits(seed=5) == splits()
    assert splits(split_seed=5) != splits()


def test_splits_of_the_source_are_kept_and_checked(kept: pd.DataFrame) -> None:
    manifest = kept.assign(split=["train"] * 24 + ["val"] * 8 + ["test"] * 8)
    with pytest.raises(SplitLeakError, match="splits that share no patient"):
        ready(manifest)
    manifest["patient"] = manifest["photo"]
    assert ready(manifest).split_table()["split"].tolist() == manifest["split"].tolist()


# --- photographs that cannot be read ---


def damage(manifest: pd.DataFrame, photos: Sequence[int]) -> list[str]:
    for photo in photos[:-1]:
        Path(manifest["path"][photo]).write_bytes(b"GIF89a, cut short")
    Path(manifest["path"][photos[-1]]).unlink()
    return [manifest["photo"][photo] for photo in photos]


def test_stop_reports_all_of_them_at_once(own: pd.DataFrame) -> None:
    damaged = damage(own, [3, 7, 30])
    with pytest.raises(UnreadablePhotosError) as caught:
        ready(own)
    lines = str(caught.value).splitlines()
    assert lines[0] == (
        "Looked for photographs that can be decoded; found 3 that cannot. "
        "Replace or remove them, or leave them out with data.on_unreadable=skip:"
    )
    assert [line.split(":")[0].strip() for line in lines[1:]] == damaged
    assert lines[1].startswith("  s/03.png: IMG_FORMAT, a GIF file in place of JPEG, PNG or WebP (")
    assert lines[3] == f"  s/30.png: IMG_MISSING, no file there ({own['path'][30]})"


def test_skip_leaves_them_out_and_lists_them(own: pd.DataFrame) -> None:
    damaged = damage(own, [3, 7, 30])
    data = ready(own, on_unreadable="skip")
    assert len(data.manifest) == 37
    assert data.excluded["photo"].tolist() == damaged
    assert data.split_table()["photo"].tolist() == sorted(own["photo"])
    table = data.split_table().set_index("photo")
    assert (table["split"] == "excluded").sum() == 3
    assert table.loc["s/03.png", "reason"] == "IMG_FORMAT: a GIF file in place of JPEG, PNG or WebP"
    assert table.loc["s/30.png", "reason"] == "IMG_MISSING: no file there"
    assert (table.drop(damaged)["reason"] == "").all()
    seen = [
        photo for stage in ("train", "val", "test") for batch in evaluated(data, data.rows(stage)) for photo in batch[0]
    ]
    assert not set(damaged) & set(seen)


def test_nothing_unreadable_changes_nothing(kept: pd.DataFrame) -> None:
    assert ready(kept, on_unreadable="skip").split_table().equals(ready(kept).split_table())


def test_a_class_of_which_nothing_can_be_read_is_named_with_its_photos(own: pd.DataFrame) -> None:
    anaemic = own.index[own["label"] == 1].tolist()
    *damaged, missing = damage(own, anaemic)
    with pytest.raises(ManifestError) as caught:
        ready(own, on_unreadable="skip")
    left_out = [f"{photo} (IMG_FORMAT: a GIF file in place of JPEG, PNG or WebP)" for photo in damaged]
    left_out.append(f"{missing} (IMG_MISSING: no file there)")
    assert str(caught.value) == (
        "Looked for photos and entries to work with; found no photo with label 1 (anaemic); "
        f"photos left out: {', '.join(left_out)}. Mend this in the data, and start again."
    )


def test_no_readable_photo_at_all_is_one_message(own: pd.DataFrame) -> None:
    damage(own, list(range(40)))
    with pytest.raises(
        UnreadablePhotosError, match=r"found 40 that cannot. Replace them, for no other is left:\n  s/00.png"
    ):
        ready(own, on_unreadable="skip")


# --- what a run is told ---


def test_class_weights_are_sklearns_of_the_training_split_alone(kept: pd.DataFrame) -> None:
    manifest = kept.assign(
        split=np.where(np.arange(40) % 20 < 10, "train", np.where(np.arange(40) % 20 < 15, "val", "test"))
    )
    data = ready(manifest)
    labels = manifest.loc[manifest["split"] == "train", "label"]
    expected = compute_class_weight("balanced", classes=np.array([0, 1]), y=labels)
    assert data.class_weights() == expected.tolist()
    assert data.class_weights() != compute_class_weight("balanced", classes=np.array([0, 1]), y=kept["label"]).tolist()
    assert all(type(weight) is float for weight in data.class_weights()), "plain values enter a checkpoint"


def change_label(manifest: pd.DataFrame) -> None:
    manifest.loc[0, "label"] = 1 - manifest["label"].tolist()[0]


def change_patient(manifest: pd.DataFrame) -> None:
    manifest.loc[0, "patient"] = "another"


def change_copies(manifest: pd.DataFrame) -> None:
    manifest.loc[0, "photo_group"] = "another"


def change_name(manifest: pd.DataFrame) -> None:
    manifest.loc[0, "photo"] = "s/00b.png"


def change_split(manifest: pd.DataFrame) -> None:
    manifest.loc[:, "split"] = manifest["split"].replace({"val": "test", "test": "val"})


def change_size(manifest: pd.DataFrame) -> None:
    path = Path(manifest["path"][0])
    path.write_bytes(path.read_bytes() + b" ")


def change_mask(manifest: pd.DataFrame) -> None:
    path = Path(manifest["path"][0]).with_suffix(".mask.png")
    mask = Image.new("L", (24, 20), 255)
    mask.paste(0, (0, 0, 12, 20))
    mask.save(path)
    manifest.loc[0, "mask"] = str(path)


@pytest.mark.parametrize(
    "change", [change_label, change_patient, change_copies, change_name, change_split, change_size, change_mask]
)
def test_the_fingerprint_tells_changed_data(own: pd.DataFrame, change: Callable[[pd.DataFrame], None]) -> None:
    own["split"] = np.where(np.arange(40) % 20 < 10, "train", np.where(np.arange(40) % 20 < 15, "val", "test"))
    own["patient"] = own["photo"]
    before = ready(own).fingerprint()
    assert ready(own).fingerprint() == before
    change(own)
    assert ready(own).fingerprint() != before


def test_the_fingerprint_does_not_care_where_the_data_lie(own: pd.DataFrame, tmp_path: Path) -> None:
    elsewhere = tmp_path / "moved"
    elsewhere.mkdir()
    moved = own.copy()
    for row, path in enumerate(own["path"]):
        moved.loc[row, "path"] = str(Path(path).rename(elsewhere / Path(path).name))
    assert ready(moved).fingerprint() == ready(draw_photos(tmp_path)).fingerprint()
    assert len(ready(moved).fingerprint()) == len(hashlib.sha256().hexdigest())


# --- loaders ---


def test_evaluation_visits_each_photo_once_in_order_and_unchanged(kept: pd.DataFrame) -> None:
    data = ready(kept, batch_size=3)
    for stage in ("train", "val", "test"):
        batches = list(evaluated(data, data.rows(stage)))
        assert [photo for batch in batches for photo in batch.photo] == data.rows(stage)["photo"].tolist()
        again = list(evaluated(data, data.rows(stage)))
        assert [as_plain(batch) for batch in batches] == [as_plain(batch) for batch in again]
    assert [as_plain(batch) for batch in data.val_dataloader()] == [
        as_plain(batch) for batch in evaluated(data, data.rows("val"))
    ]


def test_training_is_augmented_and_validation_is_not(kept: pd.DataFrame) -> None:
    data = ready(kept)
    plain = {
        photo: values
        for batch in evaluated(data, data.rows("train"))
        for photo, values in zip(batch[0], batch[2], strict=True)
    }
    augmented = {
        photo: values for batch in data.train_dataloader() for photo, values in zip(batch[0], batch[2], strict=True)
    }
    assert set(plain) == set(augmented)
    assert not any(torch.equal(plain[photo], augmented[photo]) for photo in plain)


def test_overfitting_trains_on_and_validates_with_the_same_few_photos(kept: pd.DataFrame) -> None:
    data = ready(kept, overfit_steps=2)
    train, val = list(data.train_dataloader()), list(data.val_dataloader())
    assert [len(batch.photo) for batch in train] == [8, 8]
    photos = {photo for batch in train for photo in batch.photo}
    assert {photo for batch in val for photo in batch.photo} == photos <= set(data.rows("train")["photo"])
    everything = [photo for batch in ready(kept, overfit_steps=99).train_dataloader() for photo in batch.photo]
    assert sorted(everything) == data.rows("train")["photo"].tolist()


def test_evaluation_reads_any_rows(kept: pd.DataFrame) -> None:
    rows = kept.iloc[[5, 2, 9]]
    (batch,) = evaluated(ready(kept), rows)
    assert batch.photo == tuple(rows["photo"])
    assert batch.label.tolist() == rows["label"].tolist()


def test_workers_change_no_bit_of_any_batch(kept: pd.DataFrame) -> None:
    def batches(**options: Any) -> list[tuple[Any, ...]]:
        data = ready(kept, **options)
        loader = data.train_dataloader()
        found = []
        for epoch in range(2):
            loader.sampler.set_epoch(epoch)  # type: ignore[attr-defined]
            found += [as_plain(batch) for batch in loader]
        return found

    alone = batches()
    assert len({batch[2] for batch in alone}) == 6, "each epoch has its own views"
    assert batches(num_workers=2, start_method="spawn") == alone


# --- the seam, through a real fit ---


class Watcher(L.LightningModule):
    """The smallest network that takes our batches; writes down what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 2)
        self.seen: list[tuple[int, tuple[str, ...], Tensor]] = []
        self.loaders: dict[str, list[object]] = {"train": [], "val": []}

    def on_train_epoch_start(self) -> None:
        self.loaders["train"].append(self.trainer.train_dataloader)

    def on_validation_epoch_start(self) -> None:
        if not self.trainer.sanity_checking:
            self.loaders["val"].append(self.trainer.val_dataloaders)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        self.seen.append((self.current_epoch, batch.photo, batch.values))
        return nn.functional.cross_entropy(self.layer(batch.values.mean(dim=(2, 3))), batch.label)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self.layer(batch.values.mean(dim=(2, 3)))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def fit(
    data: AnemiaDataModule, epochs: int, *, module: Watcher | None = None, ckpt_path: Path | None = None, **options: Any
) -> Watcher:
    module = module or Watcher()
    trainer = L.Trainer(
        accelerator="cpu",
        devices=1,
        max_epochs=epochs,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        reload_dataloaders_every_n_epochs=1,
        **options,
    )
    trainer.fit(module, datamodule=data, ckpt_path=ckpt_path, weights_only=True)
    return module


class Doubled(Dataset[Batch]):
    """Stands for another source of batches, such as a store of features."""

    def __init__(self, photos: Dataset[Batch]) -> None:
        self._photos = photos

    def __getitem__(self, request: BatchRequest) -> Batch:
        batch = self._photos[request]
        return batch._replace(values=2 * batch.values)


@pytest.mark.parametrize(
    ("phase_starts", "asked"), [([], [0]), ([2], [0, 2]), ([3, 1], [0, 1, 3]), ([0], [0]), ([9], [0])], ids=str
)
def test_the_factory_is_asked_anew_at_a_phase_change_and_only_then(
    kept: pd.DataFrame, phase_starts: list[int], asked: list[int]
) -> None:
    questions: list[tuple[Stage, int]] = []

    def factory(stage: Stage, epoch: int) -> Dataset[Batch]:
        questions.append((stage, epoch))
        return Doubled(data.photo_dataset(stage))

    data = ready(kept, phase_starts=phase_starts)
    data.dataset_factory = factory
    module = fit(data, epochs=5)
    for stage in ("train", "val"):
        assert [epoch for of, epoch in questions if of == stage] == asked
    phases = [sum(start <= epoch for start in phase_starts) for epoch in range(5)]
    for one, other in itertools.product(range(5), repeat=2):
        for loaders in module.loaders.values():
            is_same = loaders[one] is loaders[other]
            assert is_same == (phases[one] == phases[other]), "within a phase the loader and its workers live on"


def test_a_resumed_fit_asks_for_the_phase_that_it_is_in(kept: pd.DataFrame, tmp_path: Path) -> None:
    questions: list[tuple[Stage, int]] = []

    def factory(stage: Stage, epoch: int) -> Dataset[Batch]:
        questions.append((stage, epoch))
        return data.photo_dataset(stage)

    fit(ready(kept), epochs=3).trainer.save_checkpoint(tmp_path / "last.ckpt")
    data = ready(kept, phase_starts=[1, 4])
    data.dataset_factory = factory
    resumed = fit(data, epochs=5, ckpt_path=tmp_path / "last.ckpt")
    assert [question for question in questions if question[0] == "train"] == [("train", 3), ("train", 4)]
    uninterrupted = fit(ready(kept), epochs=5)
    assert [(epoch, photos) for epoch, photos, _ in resumed.seen] == [
        (epoch, photos) for epoch, photos, _ in uninterrupted.seen if epoch >= 3
    ]


def test_workers_read_nothing_before_the_first_batch_is_asked_for(kept: pd.DataFrame) -> None:
    def epoch_after_an_iterator(**workers: Any) -> list[tuple[tuple[str, ...], Tensor]]:
        loader = ready(kept, **workers).train_dataloader()
        batches = iter(loader)
        # Lightning tells the epoch after it has taken an iterator.
        loader.sampler.set_epoch(3)  # type: ignore[attr-defined]
        return [(batch.photo, batch.values) for batch in batches]

    alone, read = epoch_after_an_iterator(), epoch_after_an_iterator(num_workers=1)
    assert [photo for photo, _ in read] == [photo for photo, _ in alone]
    assert all(torch.equal(one, other) for (_, one), (_, other) in zip(read, alone, strict=True))


def test_workers_live_through_a_phase_and_end_with_it(kept: pd.DataFrame) -> None:
    workers: list[Any] = []
    was_alive: list[bool] = []

    class WorkerWatcher(Watcher):
        def on_train_epoch_end(self) -> None:
            loader: Any = self.trainer.train_dataloader
            workers.append(loader._iterator._workers[0])
            was_alive.append(workers[0].is_alive())

    data = ready(kept, phase_starts=[2], num_workers=1, start_method="spawn")
    fit(data, epochs=3, module=WorkerWatcher(), limit_val_batches=0)
    assert workers[0] is workers[1]
    assert workers[1] is not workers[2]
    # Left to the garbage collector, torch would wait 5 seconds for each.
    assert was_alive == [True, True, False]


def test_what_the_factory_answers_is_what_trains(kept: pd.DataFrame) -> None:
    plain = ready(kept)
    usual = fit(plain, epochs=1)
    data = ready(kept)
    data.dataset_factory = lambda stage, epoch: Doubled(plain.photo_dataset(stage))
    for (_, photos, values), (_, others, doubled) in zip(usual.seen, fit(data, epochs=1).seen, strict=True):
        assert photos == others
        assert torch.equal(2 * values, doubled)


def test_each_epoch_of_a_fit_has_its_own_order_and_views(kept: pd.DataFrame) -> None:
    data = ready(kept, phase_starts=[2])
    module = fit(data, epochs=4)
    reference = ready(kept)
    for epoch in range(4):
        loader = reference.train_dataloader()
        loader.sampler.set_epoch(epoch)  # type: ignore[attr-defined]
        expected = [(epoch, batch.photo) for batch in loader]
        assert [(at, photos) for at, photos, _ in module.seen if at == epoch] == expected
    first = {
        photo: image
        for at, photos, values in module.seen
        if at == 0
        for photo, image in zip(photos, values, strict=True)
    }
    later = {
        photo: image
        for at, photos, values in module.seen
        if at == 3
        for photo, image in zip(photos, values, strict=True)
    }
    assert set(first) == set(later) == set(data.rows("train")["photo"])
    assert not any(torch.equal(first[photo], later[photo]) for photo in first)


def test_accumulation_cuts_the_same_steps_into_parts(kept: pd.DataFrame) -> None:
    whole = fit(ready(kept), epochs=1).seen
    parts = fit(ready(kept), epochs=1, accumulate_grad_batches=2).seen
    assert len(parts) == 2 * len(whole)
    for number, (_, photos, _) in enumerate(whole):
        assert {*parts[2 * number][1], *parts[2 * number + 1][1]} == set(photos)
