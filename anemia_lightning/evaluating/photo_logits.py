"""From photographs that nobody has looked at before to logits: each is read once."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from omegaconf import DictConfig
from torch import Tensor

from anemia_lightning import wiring
from anemia_lightning.command_line.terminal import say
from anemia_lightning.data.framing import Framing
from anemia_lightning.data.read_ahead import Framed, read_ahead
from anemia_lightning.data.reading import Unreadable
from anemia_lightning.data.surroundings import Surroundings
from anemia_lightning.data.transforms import normalise
from anemia_lightning.engines import Build, Engine, build_engine, check_engine
from anemia_lightning.errors import UnreadablePhotosError
from anemia_lightning.model.finished import FinishedModel
from anemia_lightning.model.trunk_pass import frozen_sha256

RANGE_PHOTOS = 64
"""How many photographs int8 takes its ranges from."""

_BATCHES_PER_BLOCK = 4

Logits = NDArray[np.float32]


@dataclass(frozen=True)
class PhotoLogits:
    """What came of some photographs."""

    table: pd.DataFrame
    """The logits, float32 [photos, models], by photo id and place of the model, in the order of the photos."""
    unreadable: list[Unreadable]
    """The photos that cannot be read, which have none."""
    surroundings: Surroundings
    """Of those that can."""


@dataclass(frozen=True)
class _Family:
    """Models with one trunk and one framing: one engine computes them together."""

    framing: Framing
    places: list[int]
    engine: Engine


def photo_logits(
    cfg: DictConfig,
    models: Sequence[FinishedModel],
    rows: pd.DataFrame,
    *,
    range_photos: pd.DataFrame | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> PhotoLogits:
    """Reads photographs, each once, and computes their logits by the engine that the settings name.

    Args:
        cfg: The settings of `predict`.
        models: Those of a cross-validation share one pass through their trunk.
        rows: The photos: photo, path and mask.
        range_photos: Those that int8 takes its ranges from, likewise.
        progress: Called with (photos done, photos in all).

    Raises:
        UnreadablePhotosError: If there are any and `on_unreadable` is stop, or if none can be read.
        AnemiaError: If there is no such engine; see `build_engine`.
    """
    check_engine(cfg.engine, str(cfg.precision))
    families = _build_families(cfg, models, range_photos)
    framings = list(dict.fromkeys(family.framing for family in families))
    # On the cores that the network computes on, readers beside it gain nothing, and cost where others work there too.
    is_beside = any(family.engine.device.type != "cpu" for family in families)
    block = _BATCHES_PER_BLOCK * cfg.batch_size
    unreadable: list[Unreadable] = []
    shares: dict[str, float] = {}
    batch: list[Framed] = []
    logits: list[Logits] = []
    stream = read_ahead(rows, framings, threads=wiring.reading_threads(), block=block, is_beside=is_beside)
    for done, (photo, read) in enumerate(zip(rows["photo"], stream, strict=True), start=1):
        if isinstance(read, Unreadable):
            unreadable.append(read)
        else:
            shares[photo] = read.tissue_share
            batch.append(read)
        if unreadable and cfg.on_unreadable == "stop":
            # What is left to do is to find the others that cannot be read.
            batch = []
        if batch and (len(batch) == cfg.batch_size or done == len(rows)):
            logits.append(_compute(families, batch))
            batch = []
        if progress is not None:
            progress(done, len(rows))
    if len(unreadable) == len(rows):
        change = "Replace these, which are all that there are, or name others with source=…"
        raise UnreadablePhotosError(unreadable, change=change, is_none_left=True)
    if unreadable and cfg.on_unreadable == "stop":
        change = "Replace or remove them, or leave them out with on_unreadable=skip"
        raise UnreadablePhotosError(unreadable, change=change)
    table = pd.DataFrame(np.concatenate(logits), index=list(shares))
    return PhotoLogits(table, unreadable, Surroundings.of(shares.values()))


def _compute(families: Sequence[_Family], batch: Sequence[Framed]) -> Logits:
    """Returns the logits of some photographs, float32 [B, models]."""
    found = np.empty((len(batch), sum(len(family.places) for family in families)), dtype=np.float32)
    for family in families:
        levels = _levels([framed.squares[family.framing] for framed in batch]).to(family.engine.device)
        found[:, family.places] = family.engine(normalise(levels)).numpy()
    return found


def _levels(squares: Sequence[NDArray[np.uint8]]) -> Tensor:
    """Returns framed photographs as one tensor, uint8 [B, 3, S, S]."""
    return torch.from_numpy(np.ascontiguousarray(np.stack(squares).transpose(0, 3, 1, 2)))


def _build_families(
    cfg: DictConfig, models: Sequence[FinishedModel], range_photos: pd.DataFrame | None
) -> list[_Family]:
    places: dict[tuple[str, Framing], list[int]] = {}
    for place, model in enumerate(models):
        # One model alone is a family, whatever its weights are.
        trunk = frozen_sha256(model.network)[0] if len(models) > 1 else ""
        places.setdefault((trunk, Framing(**model.hparams["preprocessing"])), []).append(place)
    with _models_folder(cfg) as folder:
        return [
            _Family(framing, members, _build(cfg, [models[place] for place in members], framing, folder, range_photos))
            for (_, framing), members in places.items()
        ]


def _build(
    cfg: DictConfig,
    models: Sequence[FinishedModel],
    framing: Framing,
    folder: Path,
    range_photos: pd.DataFrame | None,
) -> Engine:
    build = Build(
        networks=[model.network for model in models],
        size=framing.size,
        device=wiring.resolve_device(cfg.trainer.accelerator),
        trainer_precision=wiring.resolve_precision(cfg),
        folder=folder,
        range_images=None if range_photos is None else lambda: images_for_ranges(range_photos, framing),
        say=say,
    )
    return build_engine(cfg.engine, str(cfg.precision), build)


def images_for_ranges(photos: pd.DataFrame, framing: Framing) -> Tensor:
    """Returns images of photographs that lie evenly among those given, float32 [N, 3, S, S].

    Raises:
        UnreadablePhotosError: If some of them cannot be read.
    """
    few = np.linspace(0, len(photos) - 1, min(RANGE_PHOTOS, len(photos))).round().astype(int)
    return read_images(photos.iloc[few], framing)


def read_images(photos: pd.DataFrame, framing: Framing) -> Tensor:
    """Returns photographs as images, float32 [N, 3, S, S].

    Raises:
        UnreadablePhotosError: If some of them cannot be read.
    """
    found = list(read_ahead(photos, [framing], threads=wiring.reading_threads(), block=len(photos), is_beside=False))
    if unreadable := [read for read in found if isinstance(read, Unreadable)]:
        raise UnreadablePhotosError(unreadable, change="Replace or remove them")
    return normalise(_levels([read.squares[framing] for read in found if not isinstance(read, Unreadable)]))


@contextmanager
def _models_folder(cfg: DictConfig) -> Iterator[Path]:
    """Yields where engines keep what takes long to make: in the cache, or, without one, nowhere for long."""
    if cfg.paths.cache:
        yield Path(cfg.paths.cache) / "engines"
    else:
        with TemporaryDirectory() as folder:
            yield Path(folder)
