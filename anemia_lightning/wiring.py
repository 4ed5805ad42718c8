"""From settings to objects: the only file that calls Hydra's instantiate; behind it nobody sees a config.

Each function imports what it builds: a command that trains nothing does not wait for Lightning.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from anemia_lightning.command_line.processes import check_processes, environments
from anemia_lightning.command_line.settings import switched_on
from anemia_lightning.errors import ConfigError

if TYPE_CHECKING:
    import lightning as L
    import pandas as pd
    import torch
    from lightning.pytorch.loggers import Logger
    from lightning.pytorch.strategies import DDPStrategy

    from anemia_lightning.data.datamodule import AnemiaDataModule
    from anemia_lightning.data.framing import Framing
    from anemia_lightning.data.preparation import Preparation, Prepared
    from anemia_lightning.data.transforms import Augmentation
    from anemia_lightning.model.classifier import AnemiaClassifier


def plain(cfg: DictConfig) -> dict[str, Any]:
    """Returns settings as plain, resolved values."""
    values = OmegaConf.to_container(cfg, resolve=True)
    assert isinstance(values, dict)
    return {str(key): value for key, value in values.items()}


def phases(cfg: DictConfig) -> list[dict[str, Any]]:
    """Returns the configured releases of frozen stages; none if their callback is switched off."""
    unfreeze = switched_on(cfg).get("unfreeze")
    return list(plain(unfreeze)["phases"]) if unfreeze else []


def build_source(cfg: DictConfig) -> "Callable[[], pd.DataFrame]":
    """Returns the function that reads `data`'s manifest."""
    source: Callable[[], pd.DataFrame] = instantiate(cfg.data.source, _convert_="all")
    return source


def build_preparation(cfg: DictConfig) -> "Preparation":
    """Returns what makes `data`'s photos ready to be split."""
    from anemia_lightning.data.labels import LabelRule
    from anemia_lightning.data.preparation import Preparation

    return Preparation(
        source=build_source(cfg),
        labels=LabelRule(**plain(cfg.labels)),
        grain=cfg.data.photo_groups,
        on_unlabelled=cfg.data.on_unlabelled,
        on_unreadable=cfg.data.on_unreadable,
        on_label_conflict=cfg.data.on_label_conflict,
        store=Path(cfg.paths.cache) / "surveys" if cfg.paths.cache else None,
        threads=reading_threads(),
    )


def build_framing(cfg: DictConfig) -> "Framing":
    """Returns how photographs become squares of pixels."""
    from anemia_lightning.data.framing import Framing

    data = plain(cfg.data)
    return Framing(
        size=data["image_size"],
        region=data["region"],
        resize=data["resize"],
        background=tuple(data["background"]),
    )


def build_augmentation(cfg: DictConfig) -> "Augmentation":
    """Returns how training views differ."""
    from anemia_lightning.data.transforms import Augmentation

    values = plain(cfg.data)["augmentation"]
    pairs = {key: tuple(values[key]) for key in ("scale", "fill")}
    return Augmentation(**{**values, **pairs}, seed=cfg.data.augmentation_seed)


def build_datamodule(cfg: DictConfig, prepared: "Prepared", *, split_file: Path | None = None) -> "AnemiaDataModule":
    """Returns the datamodule of a training run.

    Args:
        cfg: The settings.
        prepared: The photos.
        split_file: The splits of the run that this one continues or scores again; None for what `split` says.
    """
    from anemia_lightning.data.datamodule import AnemiaDataModule

    return AnemiaDataModule(
        prepared=prepared,
        framing=build_framing(cfg),
        augmentation=build_augmentation(cfg),
        fractions=plain(cfg.split.fractions),
        split_seed=cfg.split.seed,
        split_file=split_file or (Path(cfg.split.file) if cfg.split.file else None),
        batch_size=cfg.data.batch_size,
        seed=cfg.seed,
        num_workers=resolve_workers(cfg.data.num_workers, cfg.trainer.accelerator),
        start_method=cfg.data.start_method,
        overfit_steps=cfg.trainer.overfit_batches,
        views=None if cfg.features.views == "fresh" else cfg.features.views,
        phase_starts=[phase["epoch"] for phase in phases(cfg)],
    )


def build_classifier(cfg: DictConfig, *, class_weights: list[float]) -> "AnemiaClassifier":
    """Returns the classifier of a training run, with random weights."""
    from anemia_lightning.model.classifier import AnemiaClassifier

    settings = plain(cfg.model)
    schedule = plain(cfg.scheduler)
    monitor = schedule.pop("monitor")
    cuda_graphs = settings.pop("cuda_graphs")
    for elsewhere in ("weights", "class_weights", "compile"):
        settings.pop(elsewhere)
    classifier = AnemiaClassifier(
        **settings,
        class_weights=class_weights,
        seed=cfg.seed,
        preprocessing=build_framing(cfg).to_dict(),
        monitor=monitor,
        optimizer=instantiate(cfg.optimizer, _convert_="all"),
        schedule=instantiate(schedule, _convert_="all"),
    )
    # A compiled network has its own way of recording.
    classifier.cuda_graphs = cuda_graphs and not cfg.model.compile
    return classifier


def build_callbacks(cfg: DictConfig) -> "list[L.Callback]":
    """Returns the configured callbacks, in their order."""
    return [instantiate(callback, _convert_="all") for callback in switched_on(cfg).values()]


def build_logger(cfg: DictConfig) -> "Logger | None":
    """Returns TensorBoard's logger, or None where it is switched off."""
    settings = cfg.logger.get("tensorboard")
    return instantiate(settings, _convert_="all") if settings else None


def build_trainer(cfg: DictConfig, *, callbacks: "list[L.Callback]", logger: "Logger | None") -> "L.Trainer":
    """Returns the Trainer of a fit.

    Raises:
        ConfigError: If Lightning cannot do what `trainer` says.
    """
    from lightning.fabric.utilities.exceptions import MisconfigurationException
    from lightning.pytorch.callbacks import Timer

    from anemia_lightning.callbacks.checkpoint import DurableCheckpointIO

    settings = plain(cfg.trainer)
    # By itself the Trainer would stop amid an epoch, without validation, and take it for a whole one.
    limit = [Timer(max_time, interval="epoch")] if (max_time := settings.pop("max_time")) else []
    settings["strategy"] = _strategy(settings["strategy"], settings["devices"], nodes=settings["num_nodes"])
    settings["precision"] = resolve_precision(cfg)
    # Lightning would replace our sampler; the datamodule does what the flag means.
    settings.pop("overfit_batches")
    try:
        trainer: L.Trainer = instantiate(
            settings,
            callbacks=[*callbacks, *limit],
            logger=logger or False,
            plugins=[DurableCheckpointIO(), *environments(is_alone=settings["strategy"] == "auto")],
            default_root_dir=cfg.paths.run_dir,
            enable_checkpointing=any("Checkpoint" in type(callback).__name__ for callback in callbacks),
            # Our samplers deal photos to ranks themselves, and the loaders change with the phase.
            use_distributed_sampler=False,
            reload_dataloaders_every_n_epochs=1,
            _convert_="all",
        )
    except InstantiationException as error:
        if isinstance(error.__cause__, MisconfigurationException | ValueError | TypeError):
            raise ConfigError([f"Lightning's Trainer refuses these settings: {error.__cause__}"]) from error
        raise
    return trainer


def build_scoring_trainer(cfg: DictConfig, *, precision: str) -> "L.Trainer":
    """Returns a Trainer that predicts in this process alone, on one device."""
    import lightning as L

    return L.Trainer(
        plugins=[*environments(is_alone=True)],
        # In a job of SLURM it would load what Lightning has left for itself in the current folder.
        default_root_dir=Path(cfg.paths.run_dir) / "checkpoints",
        accelerator=cfg.trainer.accelerator,
        devices=1,
        precision=precision,  # type: ignore[arg-type]
        deterministic=cfg.trainer.deterministic,
        benchmark=cfg.trainer.benchmark,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=sys.stdout.isatty(),
        enable_model_summary=False,
        use_distributed_sampler=False,
    )


def resolve_precision(cfg: DictConfig) -> str:
    """Returns what `trainer.precision` stands for, by its one name.

    auto stands for bf16-mixed where the device has it natively, else for 32-true; 32 is 32-true, as for the Trainer.
    """
    import torch

    from anemia_lightning.model.precision import full_name

    if cfg.trainer.precision != "auto":
        return full_name(str(cfg.trainer.precision))
    if cfg.trainer.accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "32-true"
    if cfg.trainer.accelerator in ("auto", "cpu") and not torch.backends.mps.is_available():
        return "bf16-mixed" if _cpu_has_bf16() else "32-true"
    return "32-true"


def keep_precision(cfg: DictConfig, begun: str | None) -> list[str]:
    """Lets what was begun in one precision go on in it where `auto` stands for another on this machine.

    Args:
        cfg: The settings; `trainer.precision` becomes what was begun.
        begun: The precision so far; None where nothing was begun.

    Returns:
        What a person should know of it.
    """
    here = resolve_precision(cfg)
    if cfg.trainer.precision != "auto" or begun in (None, here):
        return []
    cfg.trainer.precision = begun
    return [
        f"Note: this was begun in precision {begun} and goes on in it, which may take longer: on this machine "
        f"trainer.precision=auto would stand for {here}."
    ]


def resolve_device(accelerator: str) -> "torch.device":
    """Returns the first device of a kind that `trainer.accelerator` names.

    Raises:
        ConfigError: If there is none.
    """
    import torch

    found = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    wanted = {"auto": ("cuda", "mps", "cpu"), "gpu": ("cuda", "mps")}.get(accelerator, (accelerator,))
    for kind in wanted:
        if found.get(kind):
            return torch.device(kind)
    raise ConfigError([f"trainer.accelerator={accelerator}: there is no such device here."])


def check_devices(cfg: DictConfig) -> None:
    """Asserts that the devices that `trainer` names are there, before anything else takes its time.

    Raises:
        ConfigError: If they are not.
    """
    import torch

    wanted = cfg.trainer.devices
    if resolve_device(cfg.trainer.accelerator).type == "cuda":
        there = torch.cuda.device_count()
        if wanted > there:
            raise ConfigError([f"trainer.devices={wanted}: there are only so many CUDA devices here: {there}."])
    check_processes(torch.cuda.device_count() if wanted == -1 else wanted, nodes=cfg.trainer.num_nodes)


def resolve_workers(workers: int | str, accelerator: str) -> int:
    """Returns what `data.num_workers=auto` stands for.

    On a CPU the network needs every core, so reading stays in the main process. Beside a GPU the other cores
    are free, and more than eight workers bring no more.
    """
    import torch

    if workers != "auto":
        return int(workers)
    if accelerator == "cpu" or not (torch.cuda.is_available() or torch.backends.mps.is_available()):
        return 0
    return min(8, usable_cores() - 1)


def usable_cores() -> int:
    """Returns how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def reading_threads() -> int:
    """Returns how many threads read photographs side by side: more than eight bring no more."""
    return min(8, usable_cores())


def _cpu_has_bf16() -> bool:
    import torch

    # Without native instructions bf16 is emulated, which is slower than fp32.
    if not hasattr(torch.cpu, "get_capabilities"):
        return False  # an older torch cannot tell, and fp32 is right everywhere
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def _strategy(name: str, devices: int, *, nodes: int) -> "str | DDPStrategy":
    """Returns the strategy; our way of freezing asks two things of DDP.

    Frozen stages get no gradients although DDP expects them (`find_unused_parameters`). BatchNorm's frozen
    statistics are equal on all ranks: sending them at each step is idle and would stall uneven validation.
    """
    import torch
    from lightning.pytorch.strategies import DDPStrategy

    as_many_as_there_are = devices == -1 and torch.cuda.device_count() > 1
    several = nodes > 1 or as_many_as_there_are or devices > 1
    if name == "ddp" or (name == "auto" and several):
        return DDPStrategy(find_unused_parameters=True, broadcast_buffers=False)
    return name
