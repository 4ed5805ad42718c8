"""What `train` does, step by step."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning as L
import torch
from omegaconf import DictConfig, OmegaConf

from anemia_lightning import wiring
from anemia_lightning.callbacks.epoch_table import EpochTable
from anemia_lightning.callbacks.photo_grid import TrainingPhotos
from anemia_lightning.callbacks.publish import PublishRun
from anemia_lightning.callbacks.run_card import RunCard
from anemia_lightning.callbacks.termination import EndTogether, end_others
from anemia_lightning.command_line.processes import is_first_process, was_started_to_help
from anemia_lightning.command_line.resuming import check_state_kept, resume_checkpoint
from anemia_lightning.command_line.settings import make_paths_absolute
from anemia_lightning.command_line.terminal import quiet, say
from anemia_lightning.data.datamodule import AnemiaDataModule
from anemia_lightning.data.preparation import Prepared
from anemia_lightning.data.split_file import split_hash
from anemia_lightning.data.transforms import IMAGENET_MEAN, IMAGENET_STD
from anemia_lightning.errors import MemoryExhaustedError, WeightsUnavailableError
from anemia_lightning.files.run_folder import RunFolder, read_run_card, write_table, write_text
from anemia_lightning.fitting.starting import Start, check_epochs, read_start, remember_start
from anemia_lightning.frozen.run_features import FitFeatures
from anemia_lightning.judging.scoring import warning_lines
from anemia_lightning.machine.worker_processes import end_with_parent
from anemia_lightning.model.backbone import AnemiaNetwork
from anemia_lightning.model.classifier import AnemiaClassifier
from anemia_lightning.model.compiling import compile_network
from anemia_lightning.model.weights import WeightsRecord, load_checkpoint, load_weights
from anemia_lightning.photos import photo_lines, prepare_photos, restore_datamodule


@dataclass(frozen=True)
class TrainResult:
    """What a training run returns to its caller."""

    folder: Path
    scores: dict[str, dict[str, Any]]
    """Scores per split, as in metrics.json; empty on the further ranks of a distributed run."""
    objective: float | None
    """The lowest validation loss, for sweeps to minimise."""


def train_run(cfg: DictConfig, *, prepared: Prepared | None = None) -> TrainResult:
    """Fits, scores and writes as the settings say.

    Args:
        cfg: The settings of `train`.
        prepared: The photos, where the caller has prepared them already.
    """
    if was_started_to_help():
        # On GPUs it would wait for half an hour for a first process that has failed.
        end_with_parent()
    quiet()
    make_paths_absolute(cfg)
    wiring.check_devices(cfg)
    L.seed_everything(cfg.seed, verbose=False)
    folder = RunFolder(cfg.paths.run_dir)
    checkpoint, slower = _to_continue(cfg)
    datamodule, classifier, weights, notes = _begin(cfg, folder, checkpoint, prepared)
    if cfg.model.compile:
        compile_network(classifier.network, cfg.model.compile)
    if is_first_process():
        write_text(folder.settings, OmegaConf.to_yaml(cfg, resolve=True))
        write_table(folder.splits, datamodule.split_table())
    features = FitFeatures(cfg, datamodule, classifier.network)
    datamodule.dataset_factory = features
    say(*_opening_lines(cfg, datamodule, notes), *features.lines(), *slower)

    facts = _facts(cfg, datamodule, weights, notes)
    card = RunCard(folder.run_json, {**facts, **_origin(checkpoint)} if checkpoint else facts)
    table = EpochTable(folder.metrics_csv)
    ours = [table, card, PublishRun(folder.last, folder.point_latest), EndTogether()]
    callbacks = [*ours, *wiring.build_callbacks(cfg)]
    grid = folder.plots / "training_photos.png"
    if cfg.logger.photos:
        callbacks.append(TrainingPhotos(grid, mean=IMAGENET_MEAN, std=IMAGENET_STD))
    elif is_first_process():
        grid.unlink(missing_ok=True)  # which an earlier session may have drawn, and the report would show
    trainer = wiring.build_trainer(cfg, callbacks=callbacks, logger=wiring.build_logger(cfg))
    try:
        _fit(trainer, classifier, datamodule, checkpoint, cfg)
    finally:
        features.close()
    for optimizer in trainer.optimizers:
        optimizer.state.clear()  # the moments of layer4 take more memory than its weights, and nothing steps any more
    if not is_first_process():
        return TrainResult(folder.path, {}, None)

    _leave_process_group()
    card.content["features"] = features.record()
    # Not before: no fit waits for what scores, draws and writes.
    from anemia_lightning.fitting.finishing import Fit, finish_run

    scores = finish_run(Fit(cfg, folder, trainer, classifier, datamodule, card, table))
    losses = [row["val/loss"] for row in table.rows if "val/loss" in row]
    return TrainResult(folder.path, scores, min(losses, default=None))


def _to_continue(cfg: DictConfig) -> tuple[Path | None, list[str]]:
    """Returns the checkpoint that a run goes on from, if it does, and what a person should know of how."""
    checkpoint = resume_checkpoint(cfg)
    if checkpoint is None:
        return None, []
    check_state_kept(cfg, checkpoint)
    return checkpoint, wiring.keep_precision(cfg, _record(checkpoint).get("precision"))


def _record(checkpoint: Path) -> dict[str, Any]:
    """Returns what run.json holds beside a checkpoint, if there is one."""
    return read_run_card(checkpoint.parent.parent / "run.json")


def _begin(
    cfg: DictConfig, folder: RunFolder, checkpoint: Path | None, prepared: Prepared | None
) -> tuple[AnemiaDataModule, AnemiaClassifier, WeightsRecord, list[str]]:
    """Returns the photos in their splits, the classifier with its first weights, their record, and what to warn of."""
    start = read_start(cfg, checkpoint)
    if checkpoint:
        check_epochs(cfg, start)
    prepared = prepared or prepare_photos(cfg)
    if checkpoint and folder.splits.is_file():
        datamodule = restore_datamodule(cfg, prepared, folder)
    else:
        datamodule = wiring.build_datamodule(cfg, prepared)
        datamodule.setup()
    balanced = cfg.model.class_weights == "balanced"
    classifier = wiring.build_classifier(cfg, class_weights=datamodule.class_weights() if balanced else [1.0, 1.0])
    weights, notes = _first_weights(cfg, classifier.network, start)
    cautions = [cfg.data.caution] if cfg.data.caution and not checkpoint else []
    return datamodule, classifier, weights, [*cautions, *notes, *remember_start(cfg, datamodule, start)]


def _origin(checkpoint: Path) -> dict[str, Any]:
    """Returns what a resumed run keeps of its record: what it once started from does not change any more."""
    earlier = _record(checkpoint)
    return {key: earlier[key] for key in ("weights", "warnings") if key in earlier}


def _first_weights(cfg: DictConfig, network: AnemiaNetwork, start: Start) -> tuple[WeightsRecord, list[str]]:
    """Loads the weights that a fit starts from, and returns where they came from and what to warn of.

    A checkpoint, be it continued or begun from, brings the weights of the whole network: no others are needed.
    """
    if start.file and start.weights is not None:
        return load_checkpoint(network, start.weights, start.file), []
    notes = []
    if cfg.model.weights is None:
        notes.append("The network starts from random weights, by choice: its scores say nothing about trained ones.")
    try:
        weights = load_weights(network, cfg.model.weights)
    except WeightsUnavailableError as error:
        if cfg.data.name != "synthetic":
            raise
        weights = load_weights(network, None)
        notes.append(
            f"The weights {cfg.model.weights} could not be had, so this run on drawn photographs starts from "
            f"random weights. Its scores say nothing about real photographs. ({error.found})"
        )
    return weights, notes


def _fit(
    trainer: L.Trainer,
    classifier: AnemiaClassifier,
    datamodule: AnemiaDataModule,
    checkpoint: Path | None,
    cfg: DictConfig,
) -> None:
    try:
        trainer.fit(classifier, datamodule=datamodule, ckpt_path=checkpoint, weights_only=True)
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not _is_out_of_memory(error):
            raise
        raise MemoryExhaustedError(cfg.data.batch_size, cfg.trainer.accumulate_grad_batches) from error
    finally:
        # After a fit that has come to its end they have ended, or are about to.
        if trainer.interrupted:
            end_others(trainer)


def _is_out_of_memory(error: RuntimeError) -> bool:
    text = str(error).lower()
    return isinstance(error, torch.OutOfMemoryError) or "out of memory" in text or "can't allocate memory" in text


def _leave_process_group() -> None:
    """Scoring happens in this process alone; torchmetrics would wait for the others for ever."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def _facts(cfg: DictConfig, datamodule: AnemiaDataModule, weights: WeightsRecord, notes: list[str]) -> dict[str, Any]:
    manifest = datamodule.manifest
    counts = manifest["split"].value_counts()
    return {
        "warnings": notes,
        "seeds": {
            "seed": cfg.seed,
            "split": cfg.split.seed,
            "augmentation": cfg.data.augmentation_seed,
            "init": cfg.model.init_seed,
        },
        "precision": wiring.resolve_precision(cfg),
        "data": {
            "name": cfg.data.name,
            "sha256": datamodule.fingerprint(),
            "photos": {split: int(counts[split]) for split in ("train", "val", "test")},
            "excluded": len(datamodule.excluded),
            "photo_groups": {"grain": cfg.data.photo_groups, "distinct": int(manifest["photo_group"].nunique())},
            "splits_sha256": split_hash(manifest["photo"], manifest["split"]),
        },
        "labels": datamodule.prepared.labels,
        "weights": {
            "source": weights.source,
            "name": weights.name,
            "file": weights.file_name,
            "sha256": weights.sha256,
        },
        "phases": wiring.phases(cfg),
    }


def _opening_lines(cfg: DictConfig, datamodule: AnemiaDataModule, notes: list[str]) -> list[str]:
    counts = datamodule.manifest["split"].value_counts()
    dealt = ", ".join(f"{counts[split]} {split}" for split in ("train", "val", "test"))
    return [*photo_lines(cfg, datamodule.prepared), f"Dealt: {dealt}.", *warning_lines(notes)]
