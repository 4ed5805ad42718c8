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
from anemia_lightning.contracts import Stage
from anemia_lightning.data.datamodule import AnemiaDataModule
from anemia_lightning.deciding import carry_decision, choose_decision, decision_lines, write_decision
from anemia_lightning.metrics.decision import Decision
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

    Validation photos come first: they alone choose how the model decides, and only then are test photos predicted. A
    run that was stopped in between does it all again, to the same result.

    Returns:
        The scores of the validation and test splits.
    """
    cfg, folder, card = fit.cfg, fit.folder, fit.card
    best_epoch = load_best(folder, fit.classifier)
    logits: dict[Stage, pd.Series[float]] = {"val": predict_split(fit, "val")}
    decision = decide(fit, logits["val"])
    logits["test"] = predict_split(fit, "test")
    predictions = write_predictions(fit, logits, decision)
    scores = write_scores(fit, predictions)
    baselines = write_baselines(fit)
    card.finish(best_epoch=best_epoch, images_per_s=images_per_second(card, fit.datamodule))
    drawings = draw_run(fit, predictions["test"], decision, best_epoch)
    _tell_tensorboard(fit.trainer, cfg, drawings, scores, best_epoch)
    _report(fit, scores, baselines, decision)
    folder.point_latest()
    say(
        *score_lines(scores, baselines),
        *decision_lines(decision),
        *warning_lines(card.content["warnings"]),
        *_places(folder),
        NOTE,
    )
    return scores


def load_best(folder: RunFolder, classifier: AnemiaClassifier) -> int | None:
    """Loads the best model of the run and returns its epoch; without checkpoints the last weights stay."""
    if not folder.best.is_file():
        return None
    checkpoint = read_checkpoint(folder.best)
    classifier.load_state_dict(checkpoint["state_dict"])
    return int(checkpoint["epoch"])


def predict_split(fit: Fit, split: Stage) -> "pd.Series[float]":
    """Returns the logit of each photo of a split, by photo id: on one device, each photo once."""
    rows = fit.datamodule.rows(split)
    precision = wiring.resolve_precision(fit.cfg)
    return predict_photos(fit.cfg, fit.classifier, rows, facts_of(fit.datamodule, rows), precision=precision)


def decide(fit: Fit, logits: "pd.Series[float]") -> Decision:
    """Chooses scaling, threshold and sets on the validation photos, and writes them down, in the best model too."""
    decision = choose_decision(fit.cfg.evaluation, fit.datamodule.rows("val"), logits)
    if fit.folder.best.is_file():
        carry_decision(fit.folder.best, decision)
    write_decision(fit.folder.decision, decision)
    return decision


def write_predictions(
    fit: Fit, logits: "Mapping[Stage, pd.Series[float]]", decision: Decision
) -> dict[Stage, pd.DataFrame]:
    """Writes the prediction table of each split and returns them."""
    tables = {split: prediction_table(fit.datamodule.rows(split), each, decision) for split, each in logits.items()}
    for split, table in tables.items():
        write_table(fit.folder.predictions(split), table)
    return tables


def write_scores(fit: Fit, predictions: Mapping[Stage, pd.DataFrame]) -> Scores:
    """Writes the scores of each split and returns them."""
    weights = fit.classifier.hparams["class_weights"]
    scores: Scores = {split: score_table(table, class_weights=weights) for split, table in predictions.items()}
    write_json(fit.folder.metrics_json, scores)
    return scores


def write_baselines(fit: Fit) -> dict[str, float | None]:
    """Writes the test AUROC of what the network must beat and returns it by name."""
    baselines = score_baselines(fit.datamodule, seed=fit.cfg.seed)
    found = {"test": {name: {"auroc": value} for name, value in baselines.items()}}
    write_json(fit.folder.path / "baselines.json", found)
    return baselines


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


def draw_run(fit: Fit, test: pd.DataFrame, decision: Decision, best_epoch: int | None) -> dict[str, Figure | Axes]:
    """Draws the curves of training and those of the test predictions, writes them and returns them by name."""
    curves = draw_training_curves(pd.DataFrame(fit.table.rows), releases=_releases(fit.cfg), best_epoch=best_epoch)
    drawings: dict[str, Figure | Axes] = {"curves": curves, **draw_test(test, decision.threshold.value)}
    fit.folder.plots.mkdir(exist_ok=True)
    for name, drawing in drawings.items():
        (fit.folder.plots / f"{name}.png").write_bytes(to_png(drawing))
    return drawings


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


def _report(fit: Fit, scores: Scores, baselines: Mapping[str, float | None], decision: Decision) -> None:
    cfg, folder, content = fit.cfg, fit.folder, fit.card.content
    photos = content["data"]["photos"]
    test = scores["test"]
    summary = [
        f"{cfg.model.backbone} on {cfg.data.name}: {photos['train']} photos trained it, {photos['val']} chose the best "
        f"epoch ({content['best_epoch']}), {photos['test']} judge it.",
        f"On the test photos its AUROC is {_shown(test['auroc'])}. {_beaten(baselines)}",
        f"How photos are called anaemic: {decision.summary}.",
        f"Training ended after {content['epochs']} epochs: {content['stop_reason']}.",
        *_drawn(cfg),
    ]
    write_report(
        folder.report,
        title=f"Training run {folder.path.name}",
        summary=summary,
        warnings=[*content["warnings"], *decision.notes],
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
