"""What each arm of the speed comparison is told to do, from the settings of `benchmark`."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf, open_dict

from anemia_lightning import wiring
from anemia_lightning.benchmarks.arms import Kind
from anemia_lightning.benchmarks.inputs import Inputs, use_cache
from anemia_lightning.benchmarks.plain_loop import LoopSettings

LOOPS = ("plain", "tuned")
RUNS = ("fresh", "views")
WHOLES = ("crossval", "sweep")
ARMS = (*LOOPS, *RUNS, *WHOLES)
COMMANDS: dict[str, Kind] = {"fresh": "train", "views": "train", "crossval": "crossval", "sweep": "sweep"}
"""What each of our own arms runs."""

_OWN_SETTINGS = ("arms", "repeats", "whole_runs", "folds", "trials", "prove", "threads")


def device_of(cfg: DictConfig) -> str:
    """Returns cuda or cpu: where the Trainer would run."""
    wants_gpu = cfg.trainer.accelerator in ("auto", "gpu", "cuda")
    return "cuda" if wants_gpu and torch.cuda.is_available() else "cpu"


def worker_choices(arm: str, device: str) -> tuple[int, ...]:
    """Returns the numbers of DataLoader workers of which a loop gets the best."""
    if device == "cuda":
        return (0, 2, 4, 8)
    return (2,) if arm == "plain" else (0, 2)


def loop_epochs(cfg: DictConfig) -> tuple[int, int]:
    """Returns how many epochs of a whole run train the head alone, and how many layer4 too."""
    phases = wiring.phases(cfg)
    head = min(phases[0]["epoch"], cfg.trainer.max_epochs) if phases else cfg.trainer.max_epochs
    return head, cfg.trainer.max_epochs - head


def loop_settings(
    cfg: DictConfig, inputs: Inputs, arm: str, *, num_workers: int, epochs: tuple[int, int]
) -> dict[str, Any]:
    """Returns the `LoopSettings` of the plain or the tuned loop, as plain values.

    Args:
        cfg: The settings of `benchmark`.
        inputs: What all arms are given.
        arm: plain or tuned.
        num_workers: Of its loaders.
        epochs: Those that train the head alone, and those that train layer4 too.
    """
    tuned = arm == "tuned"
    settings = LoopSettings(
        photos=str(inputs.photos),
        weights=str(inputs.weights),
        backbone=cfg.model.backbone,
        image_size=cfg.data.image_size,
        batch_size=cfg.data.batch_size,
        head_epochs=epochs[0],
        layer4_epochs=epochs[1],
        hidden=cfg.model.hidden,
        dropout=cfg.model.dropout,
        learning_rate=cfg.optimizer.lr,
        weight_decay=cfg.optimizer.weight_decay,
        num_workers=num_workers,
        seed=cfg.seed,
        device=device_of(cfg),
        channels_last=tuned,
        bf16=tuned and wiring.resolve_precision(cfg) == "bf16-mixed",
        frozen_batchnorm=tuned,
        fused=tuned,
    )
    return asdict(settings)


def command_settings(cfg: DictConfig, inputs: Inputs, arm: str, *, run_dir: Path, features: Path) -> dict[str, Any]:
    """Returns the settings of one of our own commands, for an arm other than the loops, as plain values.

    Args:
        cfg: The settings of `benchmark`.
        inputs: What all arms are given.
        arm: fresh, views, crossval or sweep.
        run_dir: Where its run goes.
        features: An empty folder for the cache: it is built inside the clock.
    """
    settings = OmegaConf.create(OmegaConf.to_container(use_cache(cfg, inputs)))
    assert isinstance(settings, DictConfig)
    with open_dict(settings):
        for key in _OWN_SETTINGS:
            settings.pop(key, None)
        settings.verb = "train"
        settings.resume = None
        settings.paths.run_dir = str(run_dir)
        settings.model.weights = str(inputs.weights)
        settings.features.dir = str(features)
        if arm == "fresh":
            settings.features.views = "fresh"
        if arm == "crossval":
            settings.merge_with({"verb": "crossval", "folds": cfg.folds, "repeats": 1, "leave_out": None, "jobs": 1})
        else:
            settings.split.file = str(inputs.splits)
    values = OmegaConf.to_container(settings)
    assert isinstance(values, dict)
    return {str(key): value for key, value in values.items()}
