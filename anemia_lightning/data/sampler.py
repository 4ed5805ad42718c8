"""Which photos a rank asks for, in which order: a function of the seed and the epoch."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

from anemia_lightning.contracts import UNKNOWN_LABEL, BatchRequest
from anemia_lightning.errors import TooManyDevicesError, TooManyPartsError
from anemia_lightning.randomness import epoch_order, view_of_epoch


class TrainingSampler(Sampler[BatchRequest]):
    """Shuffles photos anew each epoch and deals every optimizer step's photos to ranks and micro-batches.

    The photos of a step depend on neither the number of ranks nor that of micro-batches, the last step's apart:
    where fewer are left over for it than batch_size, too few to give each of them a photo, or a single photo, they join
    the step before.

    Args:
        labels: The label of each photo of the data set.
        batch_size: Photos per optimizer step, over all ranks and micro-batches.
        seed: The run's seed.
        views: Versions of each photo that the epochs go through in turn; None gives each epoch its own.
        rank: This process, from 0.
        world_size: How many processes share the work.
        micro_batches: Into how many batches a rank cuts its part of a step (gradient accumulation).

    Raises:
        TooManyPartsError: If not even a whole step has a photo for each rank and micro-batch.
    """

    def __init__(
        self,
        labels: Sequence[int],
        *,
        batch_size: int,
        seed: int,
        views: int | None = None,
        rank: int = 0,
        world_size: int = 1,
        micro_batches: int = 1,
    ) -> None:
        self._labels = np.asarray(labels)
        self._batch_size = batch_size
        self._seed = seed
        self._views = views
        self._rank = rank
        self._world_size = world_size
        self._micro_batches = micro_batches
        self._epoch = 0
        if min(self._step_sizes()) < world_size * micro_batches:
            raise TooManyPartsError(world_size * micro_batches, photos=len(labels), batch_size=batch_size)

    def set_epoch(self, epoch: int) -> None:
        """Lightning calls this before each epoch."""
        self._epoch = epoch

    def __len__(self) -> int:
        return len(self._step_sizes()) * self._micro_batches

    def __iter__(self) -> Iterator[BatchRequest]:
        order = epoch_order(len(self._labels), self._seed, self._epoch)
        parts = self._world_size * self._micro_batches
        view = view_of_epoch(self._epoch, self._views)
        for step in np.split(order, np.cumsum(self._step_sizes())[:-1]):
            counts = _label_counts(self._labels[step])
            for micro_batch in range(self._micro_batches):
                mine = step[micro_batch * self._world_size + self._rank :: parts]
                yield BatchRequest(tuple(mine.tolist()), view, counts)

    def _step_sizes(self) -> list[int]:
        full, rest = divmod(len(self._labels), self._batch_size)
        sizes = [self._batch_size] * full
        if full and 0 < rest < max(2, self._world_size * self._micro_batches):
            sizes[-1] += rest
        elif rest:
            sizes.append(rest)
        return sizes


class EvaluationSampler(Sampler[BatchRequest]):
    """Visits each photo once, in order; ranks take turns batch by batch, and nothing is repeated to fill up.

    Args:
        labels: The label of each photo of the data set.
        batch_size: Photos per batch; fewer where a rank would get none, since an idle rank would be waited for.
        rank: This process, from 0.
        world_size: How many processes share the work.

    Raises:
        TooManyDevicesError: If there is not a photo for each of them.
    """

    def __init__(self, labels: Sequence[int], *, batch_size: int, rank: int = 0, world_size: int = 1) -> None:
        if world_size > max(1, len(labels)):
            raise TooManyDevicesError(world_size, photos=len(labels))
        self._labels = np.asarray(labels)
        size = min(batch_size, max(1, len(labels) // world_size))
        starts = range(0, len(labels), size)
        self._batches = [range(start, min(start + size, len(labels))) for start in starts]
        self._mine = self._batches[rank::world_size]

    def __len__(self) -> int:
        return len(self._mine)

    def __iter__(self) -> Iterator[BatchRequest]:
        for batch in self._mine:
            yield BatchRequest(tuple(batch), 0, _label_counts(self._labels[batch.start : batch.stop]))


def _label_counts(labels: NDArray[np.int64]) -> tuple[int, int]:
    counts = np.bincount(labels[labels != UNKNOWN_LABEL], minlength=2)
    return int(counts[0]), int(counts[1])
