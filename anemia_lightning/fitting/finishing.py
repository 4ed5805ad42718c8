"""What follows a fit: score the best model, compare it with baselines, draw, report."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

import lightning as L
import pandas as pd
from lightning.pytorch.loggers import TensorBoardLogger
from omegaconf import DictConfig

from anemia_lightning import wiring
from anemia_lightning.callbacks.epoch_table import EpochTable
from anemia_lightning.callbacks.run_card import RunCard
from anemia_lightning.command_line.terminal import say
from anemia_lightning.contracts import Stage
from anemia_lightning.data.datamodule import AnemiaDataModule
from anemia_lightning.files.checkpoint_file import read_checkpoint
from anemia_lightning.files.run_folder import RunFolder, write_json, write_table
from anemia_lightning.judging.deciding import carry_decision, choose_decision, write_decision
from anemia_lightning.judging.judge import Judgement, judge
from anemia_lightning.judging.run_documents import closing_lines, training_report
from anemia_lightning.judging.scoring import NOTE, Scorer, prediction_table, score_table
from anemia_lightning.machine.freed_memory import give_back_memory
from anemia_lightning.metrics.decision import Decision
from anemia_lightning.model.classifier import AnemiaClassifier
from anemia_lightning.plots.curves import draw_training_curves
from anemia_lightning.plots.style import to_pixels
from anemia_lightning.report.documents import write_documents

Scores = dict[str, dict[str, Any]]

_SHOWN = {"curves", "roc", "precision_recall", "confusion", "reliability"}
"""The figures that TensorBoard shows too."""


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

    A run that was stopped on the way does it all again, to the same result.

    Returns:
        The scores of the validation and test splits.
    """
    cfg, folder, card = fit.cfg, fit.folder, fit.card
    best_epoch = load_best(folder, fit.classifier)
    decision, predictions = predict_and_decide(fit)
    scores = write_scores(fit, predictions)
    # Of what predicted.
    give_back_memory()
    judgement = judge_test(fit, predictions["test"], decision)
    card.content.update(best_epoch=best_epoch, images_per_s=images_per_second(card))
    card.write()  # which the checklists look into
    drawings = {"curves": draw_curves(fit, best_epoch), **judgement.drawings}
    _tell_tensorboard(fit.trainer, cfg, drawings, scores, best_epoch)
    report = training_report(
        cfg=cfg,
        folder=folder,
        facts=card.content,
        datamodule=fit.datamodule,
        scores=scores,
        decision=decision,
        judgement=judgement,
    )
    write_documents(folder.path, report)
    card.finish()
    folder.point_latest()
    say(*closing_lines(folder, judgement, decision, card.content["warnings"]), NOTE)
    return scores


def load_best(folder: RunFolder, classifier: AnemiaClassifier) -> int | None:
    """Loads the best model of the run and returns its epoch; without checkpoints the last weights stay."""
    if not folder.best.is_file():
        return None
    checkpoint = read_checkpoint(folder.best)
    classifier.load_state_dict(checkpoint["state_dict"])
    return int(checkpoint["epoch"])


def predict_and_decide(fit: Fit) -> tuple[Decision, dict[Stage, pd.DataFrame]]:
    """Predicts validation and test photos, and writes the tables; validation photos alone choose how it decides.

    They come first: only when the decision is made are test photos predicted.
    """
    scorer = Scorer(fit.cfg, fit.classifier, precision=wiring.resolve_precision(fit.cfg))
    logits: dict[Stage, pd.Series[float]] = {"val": predict_split(fit, scorer, "val")}
    decision = decide(fit, logits["val"])
    # Of two checkpoints that were opened whole.
    give_back_memory()
    logits["test"] = predict_split(fit, scorer, "test")
    return decision, write_predictions(fit, logits, decision)


def predict_split(fit: Fit, scorer: Scorer, split: Stage) -> "pd.Series[float]":
    """Returns the logit of each photo of a split, by photo id."""
    return scorer.predict(fit.datamodule.rows(split), fit.datamodule.prepared.facts)


def decide(fit: Fit, logits: "pd.Series[float]") -> Decision:
    """Chooses scaling, threshold and sets on the validation photos, and writes them down, in the best model too."""
    weights = fit.classifier.hparams["class_weights"]
    decision = choose_decision(fit.cfg.evaluation, fit.datamodule.rows("val"), logits, class_weights=weights)
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


def judge_test(fit: Fit, predictions: pd.DataFrame, decision: Decision) -> Judgement:
    """Judges the model by its test photos, and writes what came of it, the AUROC of each baseline too."""
    cfg, datamodule = fit.cfg, fit.datamodule
    judgement = judge(
        cfg,
        fit.folder,
        fit.classifier,
        decision,
        predictions,
        test=datamodule.facts("test"),
        train=datamodule.facts("train"),
        seed=cfg.seed,
        show_photos=cfg.logger.photos,
    )
    baselines = {each["name"]: {"auroc": each["auroc"]["value"]} for each in judgement.assessment["baselines"]}
    write_json(fit.folder.path / "baselines.json", {"test": baselines})
    return judgement


def images_per_second(card: RunCard) -> dict[str, float]:
    """Returns the training throughput of each phase, over all sessions of the run: median over its epochs."""
    epochs = [epoch for session in card.content["sessions"] for epoch in session["epochs"]]
    rates: dict[str, list[float]] = defaultdict(list)
    for epoch in epochs:
        if epoch["train_s"] > 0:
            rates[epoch["train_from"]].append(epoch["photos"] / epoch["train_s"])
    return {f"training from {stage}": round(median(each), 1) for stage, each in rates.items()}


def draw_curves(fit: Fit, best_epoch: int | None) -> bytes:
    """Draws the curves of training, writes them and returns them as PNG."""
    curves = draw_training_curves(pd.DataFrame(fit.table.rows), releases=_releases(fit.cfg), best_epoch=best_epoch)
    return fit.folder.write_plot("curves", curves)


def _releases(cfg: DictConfig) -> list[int]:
    return [phase["epoch"] for phase in wiring.phases(cfg)]


def _tell_tensorboard(
    trainer: L.Trainer,
    cfg: DictConfig,
    drawings: Mapping[str, bytes],
    scores: Scores,
    best_epoch: int | None,
) -> None:
    for logger in trainer.loggers:
        if isinstance(logger, TensorBoardLogger):
            for name in sorted(_SHOWN & drawings.keys()):
                pixels = to_pixels(drawings[name])
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
