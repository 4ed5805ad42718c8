"""From a request for some photos to a batch that enters the network above its frozen stages."""

from collections.abc import Callable
from typing import Protocol

import torch
from torch.utils.data import Dataset

from anemia_lightning.contracts import Batch, BatchRequest, Entry
from anemia_lightning.features.stored import Compute


class Named(Protocol):
    """What is asked of the photos: who they are."""

    @property
    def photo(self) -> tuple[str, ...]:
        """Photo ids."""

    @property
    def label(self) -> tuple[int, ...]:
        """Labels."""


class FeatureDataset(Dataset[Batch]):
    """Photos as layer3 maps, pooled vectors or images. Read it where the network is: values may come from its device.

    Args:
        photos: Ids and labels.
        values: Returns what enters the network of (rows, view), [B, …].
        entry: Where they enter the network.
    """

    def __init__(self, photos: Named, values: Compute, entry: Entry) -> None:
        self._photos = photos
        self._values = values
        self.entry: Entry = entry

    def __len__(self) -> int:
        return len(self._photos.photo)

    def through(self, wrap: Callable[[Compute], Compute]) -> "FeatureDataset":
        """Returns the same photos with values that pass through something on their way."""
        return FeatureDataset(self._photos, wrap(self._values), self.entry)

    def __getitem__(self, request: BatchRequest) -> Batch:
        return Batch(
            photo=tuple(self._photos.photo[index] for index in request.indices),
            label=torch.tensor([self._photos.label[index] for index in request.indices]),
            values=self._values(request.indices, request.view),
            entry=self.entry,
            step_label_counts=torch.tensor(request.step_label_counts),
        )
