"""From a request for some photos to a batch of images: read, frame, augment or normalise."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.utils.data import Dataset, get_worker_info

from anemia_lightning.contracts import Batch, BatchRequest
from anemia_lightning.data.fingerprints import hash_pixels
from anemia_lightning.data.framing import Framing
from anemia_lightning.data.reading import Photograph, open_photo
from anemia_lightning.data.transforms import Augmentation, augment, draw_views, normalise
from anemia_lightning.errors import AnemiaError, PhotoChangedError, WorkerError


@dataclass(frozen=True)
class PhotoRows:
    """What a data set needs of the manifest, as plain tuples: small to send to a worker process."""

    photo: tuple[str, ...]
    path: tuple[str, ...]
    mask: tuple[str, ...]
    label: tuple[int, ...]
    contents: tuple[tuple[str, str], ...] | None = None
    """SHA-256 of the file that each must still be, and of the pixels that it must still show with its mask; None where
    nobody has looked at them before."""

    @classmethod
    def of(cls, manifest: pd.DataFrame, facts: pd.DataFrame | None = None) -> "PhotoRows":
        """Takes the rows of a manifest, in their order.

        Args:
            manifest: The photos.
            facts: What the survey found out about them, in any order, with more photos if need be.
        """
        contents = None
        if facts is not None:
            found = facts.set_index("photo").loc[manifest["photo"], ["file_sha256", "pixels_sha256"]]
            contents = tuple(zip(found["file_sha256"], found["pixels_sha256"], strict=True))
        return cls(
            photo=tuple(manifest["photo"]),
            path=tuple(manifest["path"]),
            mask=tuple(manifest["mask"]),
            label=tuple(int(label) for label in manifest["label"]),
            contents=contents,
        )


class PhotoDataset(Dataset[Batch]):
    """Photographs as images; with an augmentation, each view is another version of them.

    Args:
        rows: The photographs.
        framing: How a photograph becomes a square of pixels.
        augmentation: How training views differ; None for evaluation, which has no randomness.
    """

    def __init__(self, rows: PhotoRows, framing: Framing, augmentation: Augmentation | None) -> None:
        self._rows = rows
        self._framing = framing
        self._augmentation = augmentation

    def __len__(self) -> int:
        return len(self._rows.photo)

    def __getitem__(self, request: BatchRequest) -> Batch:
        try:
            return self._batch(request)
        except AnemiaError as error:
            if get_worker_info() is None:
                raise
            raise WorkerError(str(error)) from None

    @property
    def photo(self) -> tuple[str, ...]:
        """Photo ids, in the order of the rows."""
        return self._rows.photo

    @property
    def label(self) -> tuple[int, ...]:
        """Labels, in the order of the rows."""
        return self._rows.label

    @property
    def contents(self) -> tuple[tuple[str, str], ...]:
        """SHA-256 of file and of pixels, in the order of the rows: of photos that the survey has seen."""
        assert self._rows.contents is not None, "the survey has seen these photos"
        return self._rows.contents

    def photograph(self, index: int) -> Photograph:
        """Reads the photo of one row, at no larger size than its framing needs.

        Raises:
            PhotoUnreadable: If it cannot be decoded whole.
            PhotoChangedError: If it or its mask is no longer the file that the survey saw.
        """
        mask = self._rows.mask[index]
        path, least_side = self._rows.path[index], self._framing.least_side
        photograph = open_photo(path, mask=mask or None, least_side=least_side)
        # What is computed from a photograph is kept under the hash that the survey found.
        file_sha256, pixels_sha256 = self._rows.contents[index] if self._rows.contents else ("", "")
        if file_sha256 and photograph.sha256 != file_sha256:
            raise PhotoChangedError(path)
        # A photograph with a mask is read at its full size, as by the survey.
        if mask and pixels_sha256 and hash_pixels(photograph.rgba) != pixels_sha256:
            raise PhotoChangedError(path, mask=mask)
        return photograph

    def pixels(self, indices: Sequence[int]) -> Tensor:
        """Reads and frames some photos, uint8 [B, 3, S, S]."""
        return torch.stack([self._read(index) for index in indices])

    def images(self, pixels: Tensor, indices: Sequence[int], view: int) -> Tensor:
        """Augments or normalises framed photos, on the device where they are.

        Args:
            pixels: uint8 [B, 3, S, S], of the photos at `indices`.
            indices: Rows of the data set.
            view: Which version; without an augmentation all are alike.

        Returns:
            float32 [B, 3, S, S].
        """
        if self._augmentation is None:
            return normalise(pixels)
        photos = [self._rows.photo[index] for index in indices]
        return augment(pixels, draw_views(self._augmentation, photos, view=view), self._augmentation)

    def _batch(self, request: BatchRequest) -> Batch:
        return Batch(
            photo=tuple(self._rows.photo[index] for index in request.indices),
            label=torch.tensor([self._rows.label[index] for index in request.indices]),
            values=self.images(self.pixels(request.indices), request.indices, request.view),
            entry="image",
            step_label_counts=torch.tensor(request.step_label_counts),
        )

    def _read(self, index: int) -> Tensor:
        framed = self._framing.apply(self.photograph(index).rgba)
        return torch.from_numpy(np.ascontiguousarray(framed.transpose(2, 0, 1)))


def as_it_is(batch: Any) -> Any:  # noqa: ANN401  what the loader calls a list is a whole batch here
    """Collates a batch that is one already. It lives here because a worker process imports its module."""
    return batch
