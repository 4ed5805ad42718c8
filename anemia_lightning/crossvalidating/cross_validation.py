"""What `crossval` does: one training run per fold, and the scores of all photos by models that never saw them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from omegaconf import DictConfig

from anemia_lightning import wiring
from anemia_lightning.assessment.words import end_lines
from anemia_lightning.command_line.resuming import keep_settings
from anemia_lightning.command_line.settings import make_paths_absolute
from anemia_lightning.command_line.terminal import quiet, say
from anemia_lightning.comparing.settings import settings_with_effect
from anemia_lightning.crossvalidating.fold_looks import look_at_folds, look_note
from anemia_lightning.crossvalidating.fold_runs import FoldRun, begun_precision, check_one_start, run_folds
from anemia_lightning.crossvalidating.fold_scores import (
    fold_decisions,
    fold_lines,
    fold_notes,
    pool_baselines,
    pool_predictions,
    score_folds,
)
from anemia_lightning.data.folds import Fold, LeftOut, draw_folds, leave_one_value_out
from anemia_lightning.data.preparation import Prepared
from anemia_lightning.errors import DataChangedError
from anemia_lightning.files.run_folder import RunFolder, write_json, write_table, write_text
from anemia_lightning.fitting.starting import check_folds
from anemia_lightning.judging.assessing import assess_predictions, write_assessment
from anemia_lightning.judging.judge import forget_judgement
from anemia_lightning.judging.run_documents import crossval_report, places
from anemia_lightning.judging.scoring import NOTE, warning_lines
from anemia_lightning.metrics.decision import Decision
from anemia_lightning.photos import photo_lines, prepare_photos
from anemia_lightning.report.documents import write_documents

_MAY_CHANGE = (
    # Where and how fast the same is computed: last digits change at most. A fold that ran out of memory, or whose
    # machine is gone, need not cost those that are finished. The precision does more than that.
    "trainer.accelerator",
    "trainer.devices",
    "trainer.num_nodes",
    "trainer.strategy",
    "trainer.accumulate_grad_batches",
    "trainer.profiler",
    "model.compile",
    "model.cuda_graphs",
    "features.compile",
    "callbacks.checkpoint.every_s",
    # What the pooled documents say of predictions that stay as they are.
    "evaluation.pooling",
)
"""Settings with an effect that may change all the same when a cross-validation is continued."""


@dataclass(frozen=True)
class CrossvalResult:
    """What a cross-validation returns to its caller."""

    folder: Path
    predictions: pd.DataFrame
    """One row per photo and repeat: fold, and the columns of a prediction table."""
    scores: dict[str, Any]
    """As in metrics.json."""


def cross_validate(cfg: DictConfig) -> CrossvalResult:
    """Trains one model per fold and scores each photo by the model that never saw it, its copies or its patient.

    Raises:
        AnemiaError: If the photos cannot be used, or not be dealt to so many folds.
        SettingsChangedError: If a cross-validation is resumed with settings by which its folds would differ.
        DataChangedError: If one is resumed whose photos have changed.
        MixedWeightsError: If its folds did not start from the same weights.
    """
    quiet()
    make_paths_absolute(cfg)
    wiring.check_devices(cfg)
    folder = RunFolder(cfg.paths.run_dir)
    prepared = prepare_photos(cfg)
    folds, skipped = deal_folds(cfg, prepared.manifest)
    check_folds(cfg, folds, prepared)
    keep_settings(cfg, folder, fixed_settings)
    runs = _lay_out(folder, folds, prepared)
    slower = wiring.keep_precision(cfg, begun_precision(runs))
    warnings = [cfg.data.caution] if cfg.data.caution else []
    known = photo_lines(cfg, prepared, listed_in="the splits.csv of each fold")
    say(*known, *_dealt_lines(folds, skipped), *warning_lines(warnings), *slower)
    run_folds(cfg, runs, prepared, jobs=cfg.jobs)
    check_one_start(folder.path, runs)
    folders = [RunFolder(run.folder) for run in runs]
    predictions = pool_predictions(folds, folders)
    baselines = pool_baselines(folds, prepared, seed=cfg.seed)
    write_table(folder.path / "predictions.csv", predictions)
    write_table(folder.path / "baseline_predictions.csv", baselines)
    decisions = fold_decisions(folds, folders)
    assessment = _assess(cfg, predictions, baselines, prepared, decisions)
    scores = score_folds(predictions, assessment)
    write_json(folder.metrics_json, {**scores, "skipped": skipped, "warnings": warnings})
    forget_judgement(folder)
    write_assessment(folder, assessment)
    unlooked = look_note(cfg, folds)
    looks = look_at_folds(cfg, folds, predictions, prepared, decisions)
    if looks:
        write_json(folder.path / "looks.json", looks.values)
        folder.write_plot("robustness", looks.robustness)
    report = crossval_report(
        cfg=cfg,
        folder=folder,
        folds=folds,
        prepared=prepared,
        scores=scores,
        warnings=warnings,
        assessment=assessment,
        looks=looks,
        look_note=unlooked,
    )
    write_documents(folder.path, report)
    folder.point_latest()
    notes = [f"Note: {note}" for note in (*fold_notes(decisions), assessment["baselines_note"], unlooked) if note]
    beside = [*notes, *warning_lines(report.warnings)]
    say("", *fold_lines(scores), "", *end_lines(assessment), *beside, *places(folder), NOTE)
    return CrossvalResult(folder.path, predictions, scores)


def fixed_settings(cfg: DictConfig) -> dict[str, str]:
    """Returns the settings that all folds must share, or the pooled scores would be of no one recipe."""
    return {key: value for key, value in settings_with_effect(cfg).items() if key not in _MAY_CHANGE}


def _assess(
    cfg: DictConfig,
    predictions: pd.DataFrame,
    baselines: pd.DataFrame,
    prepared: Prepared,
    decisions: Mapping[str, Decision],
) -> dict[str, Any]:
    """Returns what the pooled predictions are worth, each by the decision of its own fold's model."""
    return assess_predictions(
        predictions,
        decisions,
        facts=prepared.joined,
        baselines=baselines,
        subgroups=list(cfg.evaluation.subgroups),
        left_out=cfg.leave_out or "",
        pooling=cfg.evaluation.pooling,
        resamples=cfg.evaluation.resamples,
        seed=cfg.seed,
    )


def deal_folds(cfg: DictConfig, manifest: pd.DataFrame) -> LeftOut:
    """Returns the folds that the settings ask for, and which values of `leave_out` cannot be one."""
    fractions = cfg.split.fractions
    val_share = fractions.val / (fractions.train + fractions.val)
    if cfg.leave_out:
        return leave_one_value_out(manifest, cfg.leave_out, seed=cfg.split.seed, val_share=val_share)
    drawn = draw_folds(manifest, folds=cfg.folds, repeats=cfg.repeats, seed=cfg.split.seed, val_share=val_share)
    return LeftOut(drawn, {})


def _lay_out(folder: RunFolder, folds: Sequence[Fold], prepared: Prepared) -> list[FoldRun]:
    """Writes which photo each fold tests, validates and trains on, or asserts that this is what a resumed run has."""
    manifest = prepared.manifest
    runs = []
    for fold in folds:
        run = FoldRun(fold.name, folder.path / "folds" / fold.name, folder.path / "splits" / f"{fold.name}.csv")
        columns = manifest[["photo", "patient", "photo_group", "label"]]
        # Listed too is what this fold leaves out; what no fold can use stands in the splits.csv of each fold's run.
        rows = columns.assign(split=fold.splits, reason=np.where(fold.splits == "excluded", fold.reason, ""))
        text = rows.to_csv(index=False, lineterminator="\n")
        if run.split_file.is_file() and run.split_file.read_text(encoding="utf-8") != text:
            raise DataChangedError(folder.path, "the data of this cross-validation")
        write_text(run.split_file, text)
        runs.append(run)
    return runs


def _dealt_lines(folds: Sequence[Fold], skipped: dict[str, str]) -> list[str]:
    lines = [f"{len(folds)} folds, each with training, validation and test photos of its own."]
    lines += [f"Fold {fold.name} leaves out {fold.dropped} photos: {fold.reason}." for fold in folds if fold.dropped]
    return [*lines, *(f"No fold tests {value}: {why}." for value, why in skipped.items())]
