"""Shows the photographs as the network sees them in training."""

from pathlib import Path
from typing import Protocol, cast

import lightning as L
import numpy as np
from lightning.pytorch.loggers import TensorBoardLogger
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from anemia_lightning.contracts import Batch, BatchRequest, Stage
from anemia_lightning.files.run_folder import write_bytes
from anemia_lightning.plots.photos import draw_photo_grid
from anemia_lightning.plots.style import to_pixels, to_png

_MOST_PHOTOS = 32
_LABELS = {0: "not anaemic", 1: "anaemic"}


class PhotoServer(Protocol):
    """What the grid asks of the datamodule."""

    def photo_dataset(self, stage: Stage) -> Dataset[Batch]:
        """Returns the photos of a split as images."""


class TrainingPhotos(L.Callback):
    """Draws the first training photographs as epoch 0 augments them, once, when a run begins.

    The grid is a file, and TensorBoard's image `train/photos`.

    Args:
        path: Where the file goes, such as RUN/plots/training_photos.png.
        mean: Of each channel in [0, 1], as subtracted by the normalisation of images.
        std: Likewise, as divided by.
    """

    def __init__(self, path: str | Path, *, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        self._path = Path(path)
        self._mean = np.array(mean)
        self._std = np.array(std)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Draws, unless the run is a resumed one."""
        if trainer.is_global_zero and trainer.current_epoch == 0:
            self._draw(cast("PhotoServer", trainer.datamodule), trainer)  # type: ignore[attr-defined]

    def _draw(self, server: PhotoServer, trainer: L.Trainer) -> None:
        dataset = server.photo_dataset("train")
        count = min(_MOST_PHOTOS, len(dataset))  # type: ignore[arg-type]
        batch = dataset[BatchRequest(tuple(range(count)), view=0, step_label_counts=(0, 0))]
        titles = [f"{photo}\n{_LABELS[int(label)]}" for photo, label in zip(batch.photo, batch.label, strict=True)]
        grid = to_png(draw_photo_grid(self._to_pixels(batch.values), titles))
        write_bytes(self._path, grid)
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                logger.experiment.add_image("train/photos", to_pixels(grid), global_step=0, dataformats="HWC")

    def _to_pixels(self, images: Tensor) -> NDArray[np.uint8]:
        levels: NDArray[np.float64] = images.movedim(1, -1).numpy() * self._std + self._mean
        return (levels.clip(0, 1) * 255).round().astype(np.uint8)
