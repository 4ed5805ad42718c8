"""What follows a fit: score the best model, compare it with baselines, draw, report."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import lightning as L
import pandas as pd
from lightning.pytorch.loggers import TensorBoardLogger
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from omegaconf import DictConfig

from anemia_lightning import wiring
from anemia_lightning.baselines import COMPARED, predict_baselines
from anemia_lightning.callbacks.checkpoint import read_checkpoint
from anemia_lightning.callbacks.epoch_table import EpochTable
from anemia_lightning.callbacks.run_card import RunCard
from anemia_lightning.data.datamodule import AnemiaDataModule
from anemia_lightning.metrics.scores import auroc
from anemia_lightning.model.classifier import AnemiaClassifier
from anemia_lightning.plots.curves import draw_confusion, draw_precision_recall, draw_roc, draw_training_curves
from anemia_lightning.plots.style import to_pixels, to_png
from anemia_lightning.report.html import write_report
from anemia_lightning.run_features import facts_of
from anemia_lightning.run_folder import RunFolder, write_json, write_table
from anemia_lightning.scoring import NOTE, predict_photos, prediction_table, score_lines, score_table, warning_lines
from anemia_lightning.terminal import say

Scores = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Fit:
    """What a fit leaves behind."""

    cfg: DictConfig
    folder: RunFolder
    trainer: L.Trainer
    classifier: AnemiaClassifier
    datamodule: AnemiaDataModule
    card: RunCard
    table: EpochTable


def finish_run(fit: Fit) -> Scores:
    """Scores the best model of a fit and completes the run folder.

    Returns:
        The scores of the validation and test splits.
    """
    cfg, folder, classifier, datamodule, card, table = (
        fit.cfg,
        fit.folder,
        fit.classifier,
        fit.datamodule,
        fit.card,
        fit.table,
    )
    best_epoch = load_best(folder, classifier)
    predictions = score_splits(cfg, folder, classifier, datamodule)
    weights = classifier.hparams["class_weights"]
    scores = {
        split: score_table(predicted, class_weights=weights, threshold=cfg.evaluation.threshold)
        for split, predicted in predictions.items()
    }
    write_json(folder.metrics_json, scores)
    baselines = score_baselines(datamodule, seed=cfg.seed)
    write_json(folder.path / "baselines.json", {"test": {name: {"auroc": value} for name, value in baselines.items()}})
    card.finish(best_epoch=best_epoch, images_per_s=images_per_second(card, datamodule))
    curves = draw_training_curves(pd.DataFrame(table.rows), releases=_releases(cfg), best_epoch=best_epoch)
    drawings: dict[str, Figure | Axes] = {"curves": curves, **draw_test(predictions["test"], cfg.evaluation.threshold)}
    folder.plots.mkdir(exist_ok=True)
    for name, drawing in drawings.items():
        (folder.plots / f"{name}.png").write_bytes(to_png(drawing))
    _tell_tensorboard(fit.trainer, cfg, drawings, scores, best_epoch)
    _report(cfg, folder, card, scores, baselines)
    folder.point_latest()
    say(*score_lines(scores, baselines), *warning_lines(card.content["warnings"]), *_places(folder), NOTE)
    return scores


def load_best(folder: RunFolder, classifier: AnemiaClassifier) -> int | None:
    """Loads the best model of the run and returns its epoch; without checkpoints the last weights stay."""
    if not folder.best.is_file():
        return None
    checkpoint = read_checkpoint(folder.best)
    classifier.load_state_dict(checkpoint["state_dict"])
    return int(checkpoint["epoch"])


def score_splits(
    cfg: DictConfig, folder: RunFolder, classifier: AnemiaClassifier, datamodule: AnemiaDataModule
) -> dict[str, pd.DataFrame]:
    """Predicts the validation and test splits on one device, each photo once, and writes the tables."""
    precision = wiring.resolve_precision(cfg)
    tables = {}
    for split in ("val", "test"):
        rows = datamodule.rows(split)
        logits = predict_photos(cfg, classifier, rows, facts_of(datamodule, rows), precision=precision)
        tables[split] = prediction_table(rows, logits, threshold=cfg.evaluation.threshold)
        write_table(folder.predictions(split), tables[split])
    return tables


def score_baselines(datamodule: AnemiaDataModule, *, seed: int) -> dict[str, float | None]:
    """Returns the test AUROC of what a network must beat, fitted on the training split.

    On drawn photographs also that of the redness that they were drawn with, which nothing can beat.
    """
    train, test = datamodule.facts("train"), datamodule.facts("test")
    labels = test["label"].to_numpy()
    predicted = predict_baselines(train, test, names=COMPARED, seed=seed)
    baselines = {str(name): auroc(labels, predicted[name].to_numpy()) for name in predicted}
    if "redness" in test:
        baselines["drawn redness (oracle)"] = auroc(labels, -test["redness"].to_numpy())
    return baselines


def images_per_second(card: RunCard, datamodule: AnemiaDataModule) -> dict[str, float]:
    """Returns the training throughput of each phase, over all sessions of the run: median over its epochs."""
    photos = len(datamodule.rows("train"))
    epochs = pd.DataFrame([epoch for session in card.content["sessions"] for epoch in session["epochs"]])
    if epochs.empty:
        return {}
    seconds = epochs.groupby("train_from")["train_s"].median()
    return {f"training from {stage}": round(photos / value, 1) for stage, value in seconds.items() if value > 0}


def draw_test(test: pd.DataFrame, threshold: float) -> dict[str, Axes]:
    """Returns the plots of a prediction table by file name."""
    labels, probabilities = test["label"].to_numpy(), test["probability"].to_numpy()
    return {
        "roc": draw_roc(labels, probabilities, threshold=threshold),
        "precision_recall": draw_precision_recall(labels, probabilities, threshold=threshold),
        "confusion": draw_confusion(labels, test["prediction"].to_numpy()),
    }


def _releases(cfg: DictConfig) -> list[int]:
    return [phase["epoch"] for phase in wiring.phases(cfg)]


def _tell_tensorboard(
    trainer: L.Trainer,
    cfg: DictConfig,
    drawings: Mapping[str, Figure | Axes],
    scores: Scores,
    best_epoch: int | None,
) -> None:
    for logger in trainer.loggers:
        if isinstance(logger, TensorBoardLogger):
            for name, drawing in drawings.items():
                pixels = to_pixels(drawing)
                logger.experiment.add_image(f"final/{name}", pixels, global_step=best_epoch or 0, dataformats="HWC")
            final = {f"hp/{split}_{name}": scores[split][name] for split in scores for name in ("auroc", "acc", "loss")}
            defined = {name: value for name, value in final.items() if value is not None}
            logger.log_hyperparams(_hyperparameters(cfg), defined)
            logger.finalize("success")


def _hyperparameters(cfg: DictConfig) -> dict[str, Any]:
    """Returns the settings that the HParams tab compares, as one flat table."""
    groups = {name: wiring.plain(cfg[name]) for name in ("model", "optimizer", "scheduler")}
    groups["data"] = {key: cfg.data[key] for key in ("name", "batch_size", "image_size", "region", "resize")}
    return {"seed": cfg.seed, "max_epochs": cfg.trainer.max_epochs, **groups}


def _report(
    cfg: DictConfig,
    folder: RunFolder,
    card: RunCard,
    scores: Scores,
    baselines: Mapping[str, float | None],
) -> None:
    content = card.content
    photos = content["data"]["photos"]
    test = scores["test"]
    summary = [
        f"{cfg.model.backbone} on {cfg.data.name}: {photos['train']} photos trained it, {photos['val']} chose the best "
        f"epoch ({content['best_epoch']}), {photos['test']} judge it.",
        f"On the test photos its AUROC is {_shown(test['auroc'])}. {_beaten(baselines)}",
        f"Training ended after {content['epochs']} epochs: {content['stop_reason']}.",
        *_drawn(cfg),
    ]
    write_report(
        folder.report,
        title=f"Training run {folder.path.name}",
        summary=summary,
        warnings=content["warnings"],
        scores=scores,
        baselines={name: {"auroc": value} for name, value in baselines.items()},
        settings=wiring.plain(cfg),
        figures={path.stem.replace("_", " "): path for path in sorted(folder.plots.glob("*.png"))},
    )


def _beaten(baselines: Mapping[str, float | None]) -> str:
    """Returns what the best of those says that look at nothing but colour: what a network must beat."""
    known = {name: value for name, value in baselines.items() if name.startswith("colour") and value is not None}
    if not known:
        return "Nothing is known of what colour alone achieves."
    best = max(known, key=lambda name: known[name])
    return f"The colour of the tissue alone achieves {_shown(known[best])} ({best})."


def _drawn(cfg: DictConfig) -> list[str]:
    if cfg.data.name != "synthetic":
        return []
    ease = "easy" if cfg.data.separation >= 4 else "realistic"  # noqa: PLR2004  5 and 2.6 are the two presets
    return [
        f"The photographs are drawn, and {ease}: the classes' redness lies {cfg.data.separation} standard deviations "
        "apart. The scores show that the program works; they say nothing about real photographs."
    ]


def _places(folder: RunFolder) -> list[str]:
    files = {"report": folder.report, "scores": folder.metrics_json, "curves": folder.plots, "best model": folder.best}
    return [f"{name + ':':<12}{path}" for name, path in files.items() if path.exists()]


def _shown(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.3f}"
