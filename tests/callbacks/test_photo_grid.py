"""The grid of augmented training photographs."""

import errno
import os
from pathlib import Path

import lightning as L
import numpy as np
import pytest
import torch
from lightning.pytorch.loggers import TensorBoardLogger
from numpy.typing import NDArray
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor
from torch.optim import SGD, Optimizer
from torch.utils.data import DataLoader, Dataset

from anemia_lightning.callbacks import photo_grid
from anemia_lightning.callbacks.photo_grid import TrainingPhotos
from anemia_lightning.command_line.terminal import quiet
from anemia_lightning.contracts import Batch, BatchRequest
from anemia_lightning.errors import DiskFullError
from anemia_lightning.files.run_folder import write_bytes
from anemia_lightning.plots.photos import draw_photo_grid

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.5)


class Photos(Dataset[Batch]):
    """Photographs of one colour each, normalised; remembers what was asked of it."""

    def __init__(self, count: int) -> None:
        self.levels = torch.arange(count * 3).reshape(count, 3)
        self.requests: list[BatchRequest] = []

    def __len__(self) -> int:
        return len(self.levels)

    def __getitem__(self, request: BatchRequest) -> Batch:
        self.requests.append(request)
        levels = self.levels[list(request.indices)].float() / 255
        values = ((levels - torch.tensor(MEAN)) / torch.tensor(STD))[:, :, None, None].expand(-1, -1, 4, 4)
        photos = tuple(f"photo {index}" for index in request.indices)
        return Batch(photos, torch.tensor([i % 2 for i in request.indices]), values, "image", torch.zeros(2))


class Data(L.LightningDataModule):
    def __init__(self, photos: Photos) -> None:
        super().__init__()
        self.photos = photos
        self.asked: list[str] = []

    def photo_dataset(self, stage: str) -> Photos:
        self.asked.append(stage)
        return self.photos

    def train_dataloader(self) -> DataLoader[Tensor]:
        return DataLoader(torch.ones(1, 1))  # type: ignore[arg-type]


class Module(L.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        loss: Tensor = self.layer(batch).sum()
        return loss

    def configure_optimizers(self) -> Optimizer:
        return SGD(self.parameters(), lr=0.1)


def fit(callback: TrainingPhotos, data: Data, folder: Path, resume: Path | None = None) -> Path:
    """Returns a checkpoint after as many epochs as it has trained, one more than before."""
    quiet()
    trainer = L.Trainer(
        accelerator="cpu",
        max_epochs=2 if resume else 1,
        callbacks=[callback],
        logger=TensorBoardLogger(folder, name="board", version=""),
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(Module(), datamodule=data, ckpt_path=resume)
    trainer.save_checkpoint(folder / "last.ckpt")
    return folder / "last.ckpt"


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[tuple[NDArray[np.uint8], list[str]]]:
    """The images and titles of every grid."""
    kept: list[tuple[NDArray[np.uint8], list[str]]] = []

    def record(images: NDArray[np.uint8], titles: list[str]) -> object:
        kept.append((images, titles))
        return draw_photo_grid(images, titles)

    monkeypatch.setattr(photo_grid, "draw_photo_grid", record)
    return kept


def test_it_draws_the_first_photos_as_epoch_0_has_them(
    drawn: list[tuple[NDArray[np.uint8], list[str]]], tmp_path: Path
) -> None:
    path, data = tmp_path / "plots" / "training_photos.png", Data(Photos(40))
    fit(TrainingPhotos(path, mean=MEAN, std=STD), data, tmp_path)

    assert data.asked == ["train"]
    (request,) = data.photos.requests
    assert (request.indices, request.view) == (tuple(range(32)), 0)
    ((images, titles),) = drawn
    assert images.shape == (32, 4, 4, 3)
    np.testing.assert_array_equal(images[:, 0, 0], data.photos.levels[:32])
    assert titles[:2] == ["photo 0\nnot anaemic", "photo 1\nanaemic"]
    assert path.read_bytes().startswith(b"\x89PNG")

    board = EventAccumulator(str(tmp_path / "board"))
    board.Reload()
    assert [event.step for event in board.Images("train/photos")] == [0]


def test_values_outside_the_range_of_pixels_are_cut(
    drawn: list[tuple[NDArray[np.uint8], list[str]]], tmp_path: Path
) -> None:
    data = Data(Photos(2))
    data.photos.levels = torch.tensor([[-20, 0, 255], [300, 1, 254]])
    fit(TrainingPhotos(tmp_path / "photos.png", mean=MEAN, std=STD), data, tmp_path)
    np.testing.assert_array_equal(drawn[0][0][:, 0, 0], [[0, 0, 255], [255, 1, 254]])


def test_a_resumed_run_does_not_draw_them_again(tmp_path: Path) -> None:
    data = Data(Photos(3))
    callback = TrainingPhotos(tmp_path / "photos.png", mean=MEAN, std=STD)
    checkpoint = fit(callback, data, tmp_path)
    fit(callback, data, tmp_path, resume=checkpoint)
    assert data.asked == ["train"]


def test_a_grid_that_cannot_be_written_leaves_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = tmp_path / "plots" / "photos.png"
    write_bytes(path, b"before")
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(DiskFullError, match=r"photos\.png"):
        fit(TrainingPhotos(path, mean=MEAN, std=STD), Data(Photos(3)), tmp_path)
    assert [each.read_bytes() for each in path.parent.iterdir()] == [b"before"]
