"""What all arms of the speed comparison are given: the same split and the same weights, made outside of every clock."""

import copy
import hashlib
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig

from anemia_lightning import wiring
from anemia_lightning.files.run_folder import write_text
from anemia_lightning.files.whole_file import whole_file
from anemia_lightning.model.backbone import AnemiaNetwork
from anemia_lightning.model.weights import load_weights
from anemia_lightning.photos import prepare_photos


@dataclass(frozen=True)
class Inputs:
    """The files that all arms are given, in one folder."""

    folder: Path

    @property
    def weights(self) -> Path:
        """The backbone's weights, which torch.save wrote."""
        return self.folder / "weights.pth"

    @property
    def photos(self) -> Path:
        """Path, label and split of each photo that is used."""
        return self.folder / "photos.csv"

    @property
    def splits(self) -> Path:
        """The same split for `split.file`."""
        return self.folder / "splits.csv"

    @property
    def cache(self) -> Path:
        """What is kept of reading the photos; empty before they are prepared for the first time."""
        return self.folder / "cache"


def make_inputs(cfg: DictConfig, inputs: Inputs, *, anew: bool) -> dict[str, Any]:
    """Surveys and splits the photos, writes the files, and returns what that was.

    Args:
        cfg: The settings of `benchmark`.
        inputs: Where the files go.
        anew: Start from an empty cache, so that the time is that of a data set nobody has looked at.

    Raises:
        AnemiaError: If the photos or the weights cannot be used.
    """
    if anew:
        shutil.rmtree(inputs.cache, ignore_errors=True)
    cfg = use_cache(cfg, inputs)
    started = time.perf_counter()
    prepared = prepare_photos(cfg)
    datamodule = wiring.build_datamodule(cfg, prepared)
    datamodule.setup()
    network = AnemiaNetwork(backbone=cfg.model.backbone, init_seed=cfg.model.init_seed)
    weights = load_weights(network, cfg.model.weights)
    spent = time.perf_counter() - started
    photos = datamodule.manifest[["path", "label", "split"]].to_csv(index=False)
    write_text(inputs.photos, photos)
    write_text(inputs.splits, datamodule.split_table().to_csv(index=False))
    if not inputs.weights.is_file():
        with whole_file(inputs.weights) as file:
            torch.save(network.backbone.state_dict(), file)
    counts = datamodule.manifest["split"].value_counts()
    return {
        "preparation_s": spent,
        "photos": {split: int(counts[split]) for split in ("train", "val", "test")},
        "photos_sha256": hashlib.sha256((datamodule.fingerprint() + photos).encode()).hexdigest(),
        "data": cfg.data.name,
        "weights": {"source": weights.source, "file": weights.file_name, "sha256": weights.sha256},
    }


def use_cache(cfg: DictConfig, inputs: Inputs) -> DictConfig:
    """Returns settings whose cache is that of the comparison, unless they keep nothing at all."""
    settings = copy.deepcopy(cfg)
    if settings.paths.cache:
        settings.paths.cache = str(inputs.cache)
    return settings
