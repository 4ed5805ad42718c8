"""Refuses settings that cannot be, all at once and before anything is loaded."""

import itertools
import math
from collections.abc import Iterator, Mapping
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from anemia_lightning.command_line.decision_check import decision_problems
from anemia_lightning.command_line.number_check import out_of_range
from anemia_lightning.command_line.settings import (
    best_is,
    compose,
    flat_settings,
    hydra_words,
    sweep_folder,
    switched_on,
)
from anemia_lightning.contracts import GRAINS
from anemia_lightning.errors import ConfigError

SCORES = ("loss", "acc", "auroc", "sensitivity", "specificity")
MONITORS = tuple(f"{stage}/{score}" for stage in ("train", "val") for score in SCORES)
"""What training logs once an epoch, and what can therefore be monitored."""

STAGES = ("stem", "layer1", "layer2", "layer3", "layer4")
"""Stages that a phase can name, from the bottom to the top."""

_DATA_CHOICES = {
    "data.region": ("full", "mask_crop"),
    "data.resize": ("stretch", "letterbox"),
    "data.on_unlabelled": ("stop", "drop"),
    "data.on_unreadable": ("stop", "skip"),
    "on_unreadable": ("stop", "skip"),
    "data.photo_groups": ("none", *GRAINS),
    "data.on_label_conflict": ("drop", "majority", "stop"),
    "data.start_method": (None, "fork", "spawn", "forkserver"),
    "evaluation.on_overlap": ("stop", "drop", "report"),
    "features.dtype": ("auto", "uint8"),
    "engine": ("auto", "torch", "compiled", "onnxruntime", "openvino"),
}
_MODEL_CHOICES = {
    "model.batchnorm": ("frozen", "train"),
    "model.frozen_batchnorm": ("eval", "train"),
    "model.epoch_loss": ("dataset", "batch_mean"),
    "model.class_weights": ("balanced", None),
    "model.compile": (None, "default", "reduce-overhead", "max-autotune"),
    "callbacks.early_stopping.mode": ("min", "max"),
    "callbacks.checkpoint.mode": ("min", "max"),
    "scheduler.mode": ("min", "max"),
}

_RECORDING_MODES = ("reduce-overhead", "max-autotune")
"""Of `model.compile`: those that record CUDA graphs where there is a GPU."""

_MAY_BE_NULL = (
    "paths.cache",
    "labels.assume.",
    "data.caution",
    "data.columns.",
    "data.parts.table.columns.",
    "data.roots.",
    "model.weights",
    "logger.tensorboard",
    "evaluation.coverage",
)
"""Beginnings of settings in which null says something although it is not their default, as of each callback."""

_TOLD_APART = (
    *_DATA_CHOICES,
    *_MODEL_CHOICES,
    "features.dir",
    "features.views",
    "evaluation.threshold",
    "evaluation.calibration",
    "evaluation.pooling",
    "evaluation.subgroups",
)
"""Settings whose own check says more than that their type is wrong."""

_KINDS = {
    bool: "a true or false",
    int: "a whole number",
    float: "a number",
    str: "given",
    list: "a list",
    dict: "a group of settings",
}


def check_settings(cfg: DictConfig) -> None:
    """Checks one command's composed settings.

    Raises:
        ConfigError: With every problem found.
    """
    problems = [f"{key} must be given: {key}=…" for key, value in flat_settings(cfg).items() if value == "???"]
    # Each step relies on the one before.
    problems = problems or _wrong_types(cfg) or list(out_of_range(cfg)) or list(_command_problems(cfg))
    if problems:
        raise ConfigError(problems)


def check_sweep(verb: str, overrides: list[str]) -> Path:
    """Checks each value that a sweep will try, the others at their first, and returns where its jobs go.

    Raises:
        ConfigError: With the problems of the first combination that has any, or if there is an override that Hydra
            cannot read.
    """
    try:
        combinations = list(_combinations(overrides))
    except HydraException as error:
        raise ConfigError([hydra_words(error)]) from error
    for combination in combinations:
        cfg = compose(verb, combination)
        check_settings(cfg)
        if "trainer" in cfg and cfg.trainer.devices != 1:
            raise ConfigError(
                ["A sweep (-m) runs each job on one device: every process of a distributed job would start the "
                 "sweep anew. Set trainer.devices=1, or start the runs one by one."]
            )  # fmt: skip
    return sweep_folder(verb, combinations[0])


def _combinations(overrides: list[str]) -> Iterator[list[str]]:
    parsed = OverridesParser.create().parse_overrides(overrides)
    choices = [
        [f"{override.get_key_element()}={value}" for value in override.sweep_string_iterator()]
        if override.is_sweep_override()
        else [override.input_line or ""]
        for override in parsed
    ]
    first = [values[0] for values in choices]
    yield first
    for position, values in enumerate(choices):
        for value in values[1:]:
            yield [*first[:position], value, *first[position + 1 :]]


def _wrong_types(cfg: DictConfig) -> list[str]:
    """Compares each setting with the type of its default: a word where a number belongs, or null, is a slip."""
    values = flat_settings(cfg)
    return [
        f"{key} must be {_KINDS[type(default)]}, not {'null' if values.get(key) is None else repr(values[key])}."
        for key, default in flat_settings(_defaults(cfg)).items()
        # Another file of a group may lack a setting, but no command a group.
        if (key in values or "." not in key) and not _fits(key, default, values.get(key))
    ]


def _defaults(cfg: DictConfig) -> DictConfig:
    verb = cfg.verb if cfg.verb != "debug" else "train"
    return compose(verb, [f"data={cfg.data.name}"] if cfg.get("data") else [])


def _fits(key: str, default: object, value: object) -> bool:
    if default is None or key in _TOLD_APART:
        return True
    if value is None:
        is_callback = key.startswith("callbacks.") and isinstance(default, dict)
        return is_callback or key.startswith(_MAY_BE_NULL)
    if isinstance(default, str):
        return True
    if isinstance(default, float):
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, type(default)) and isinstance(value, bool) == isinstance(default, bool)


def _command_problems(cfg: DictConfig) -> Iterator[str]:
    if "model" in cfg:
        yield from itertools.chain(_trainer(cfg), _phases(cfg), _monitors(cfg), _directions(cfg))
        yield from _allowed(cfg, _MODEL_CHOICES)
    if "split" in cfg:
        yield from _fractions(cfg)
    yield from _allowed(cfg, _DATA_CHOICES)
    if "features" in cfg:
        yield from _features(cfg)
    if cfg.verb == "crossval":
        yield from _crossval(cfg)
    if cfg.verb == "evaluate":
        yield from _evaluate(cfg)
    yield from decision_problems(cfg)


def _allowed(cfg: DictConfig, choices: Mapping[str, tuple[str | None, ...]]) -> Iterator[str]:
    for key, values in choices.items():
        value = OmegaConf.select(cfg, key, default=values[0])
        if value not in values:
            yield f"{key} is one of {', '.join('null' if v is None else v for v in values)}, not {value}."


def _features(cfg: DictConfig) -> Iterator[str]:
    views, most = cfg.features.views, cfg.features.max_bytes
    if views != "fresh" and (not isinstance(views, int) or isinstance(views, bool) or views < 1):
        yield f"features.views is a whole number of 1 or more, or fresh, not {views}."
    if cfg.features.dir is None:
        yield "features.dir is a folder; features.store=false keeps nothing."
    if most is not None and (not isinstance(most, int) or most < 0):
        yield f"features.max_bytes is a number of bytes, or null, not {most}."


def _crossval(cfg: DictConfig) -> Iterator[str]:
    if cfg.split.file:
        yield "crossval deals the photos to folds itself: leave split.file empty."
    if _may_be_several(cfg):
        yield (
            "crossval trains each fold on one device: leave trainer.devices=1 and trainer.num_nodes=1. jobs=2 trains "
            "two folds side by side."
        )


def _evaluate(cfg: DictConfig) -> Iterator[str]:
    names_photos = bool(cfg.get("data"))
    if (cfg.run is None) == (cfg.ckpt is None):
        yield "Give evaluate either run=FOLDER or ckpt=FILE."
    # The default labels, given or not, look the same.
    elif cfg.run is not None and (names_photos or cfg.labels != _defaults(cfg).labels):
        yield (
            "run= scores the run's own test photos, with the run's labels; for others give "
            "ckpt=RUN/checkpoints/best.ckpt data=…."
        )
    elif cfg.ckpt is not None and not names_photos:
        yield "ckpt= needs data=…, the photos to score; run=FOLDER scores a run's own test photos."


def _trainer(cfg: DictConfig) -> Iterator[str]:
    trainer = cfg.trainer
    if trainer.check_val_every_n_epoch != 1:
        yield "trainer.check_val_every_n_epoch must be 1: schedule, early stopping and checkpoints need every epoch."
    if trainer.overfit_batches and cfg.trainer.limit_val_batches == 0:
        yield "trainer.overfit_batches validates on what it trains on; leave trainer.limit_val_batches alone."
    parts = max(trainer.devices, 1) * trainer.num_nodes * trainer.accumulate_grad_batches
    if cfg.data.batch_size < parts:
        yield (
            f"data.batch_size={cfg.data.batch_size} photos per step cannot be dealt to {parts} parts "
            "(devices x nodes x accumulated batches)."
        )
    if (
        _may_be_several(cfg)
        and "train" in (cfg.model.batchnorm, cfg.model.frozen_batchnorm)
        and not trainer.sync_batchnorm
    ):
        yield "BatchNorm that trains over several devices needs trainer.sync_batchnorm=true (GPUs only)."
    mode = cfg.model.get("compile")
    if mode in _RECORDING_MODES and trainer.accumulate_grad_batches > 1:
        yield (
            f"model.compile={mode} records CUDA graphs, which write each gradient over the one before: leave "
            "trainer.accumulate_grad_batches=1, or take model.compile=default."
        )


def _may_be_several(cfg: DictConfig) -> bool:
    """Returns whether more than one process may train; -1 stands for as many as there are devices."""
    return bool(cfg.trainer.num_nodes > 1 or cfg.trainer.devices != 1)


def _phases(cfg: DictConfig) -> Iterator[str]:
    unfreeze = switched_on(cfg).get("unfreeze")
    phases = unfreeze.phases if unfreeze else []
    for phase in phases:
        if not _is_phase(phase):
            yield f"callbacks.unfreeze.phases lists entries such as {{epoch: 5, train_from: layer4}}, not {phase}."
            return
    epochs = [phase.epoch for phase in phases]
    stages = [phase.train_from for phase in phases]
    for phase in phases:
        if phase.epoch >= cfg.trainer.max_epochs:
            yield (
                f"callbacks.unfreeze.phases releases {phase.train_from} at epoch {phase.epoch}, but "
                f"trainer.max_epochs={cfg.trainer.max_epochs} ends before it."
            )
        if phase.train_from not in STAGES:
            yield f"callbacks.unfreeze.phases: train_from is one of {', '.join(STAGES)}, not {phase.train_from}."
            return
    depths = [STAGES.index(stage) for stage in stages]
    if epochs != sorted(set(epochs)) or depths != sorted(set(depths), reverse=True) or min(epochs, default=0) < 0:
        yield "callbacks.unfreeze.phases must have rising epochs, each with a deeper stage than the one before."


def _is_phase(phase: object) -> bool:
    if not isinstance(phase, DictConfig) or set(phase) != {"epoch", "train_from"}:
        return False
    return isinstance(phase.epoch, int) and not isinstance(phase.epoch, bool)


def _monitors(cfg: DictConfig) -> Iterator[str]:
    named = {"scheduler.monitor": cfg.scheduler.monitor}
    named |= {
        f"callbacks.{name}.monitor": callback.monitor
        for name, callback in switched_on(cfg).items()
        if callback.get("monitor")
    }
    for key, monitor in named.items():
        if monitor not in MONITORS:
            yield f"{key}={monitor} is never logged; known are {', '.join(MONITORS)}."
        elif monitor.startswith("val/") and cfg.trainer.limit_val_batches == 0:
            yield f"{key}={monitor} needs validation, but trainer.limit_val_batches=0 switches it off."


def _directions(cfg: DictConfig) -> Iterator[str]:
    watching = {"scheduler": cfg.scheduler} | {f"callbacks.{name}": each for name, each in switched_on(cfg).items()}
    for key, settings in watching.items():
        monitor, mode = settings.get("monitor"), settings.get("mode")
        if monitor not in MONITORS or mode not in ("min", "max"):
            continue
        if mode != best_is(monitor):
            yield f"{key}.mode={mode} would take the worst {monitor} for the best: leave it out."


def _fractions(cfg: DictConfig) -> Iterator[str]:
    fractions = OmegaConf.to_container(cfg.split.fractions)
    assert isinstance(fractions, dict)
    if not math.isclose(sum(fractions.values()), 1) or min(fractions.values()) <= 0:
        yield f"split.fractions must be positive and add up to 1, not {fractions}."
