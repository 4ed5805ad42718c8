"""What the documents of a run tell: of a training, an evaluation or a cross-validation."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from omegaconf import DictConfig

from anemia_lightning import wiring
from anemia_lightning.assessment.words import end_lines
from anemia_lightning.data.datamodule import AnemiaDataModule
from anemia_lightning.data.folds import Fold
from anemia_lightning.data.preparation import Prepared
from anemia_lightning.files.run_folder import RunFolder, read_run_card
from anemia_lightning.judging.deciding import decision_lines
from anemia_lightning.judging.judge import Judgement
from anemia_lightning.judging.scoring import baseline_lines, warning_lines
from anemia_lightning.looking.look import Looks
from anemia_lightning.metrics.decision import Decision
from anemia_lightning.report.flow import participant_flow
from anemia_lightning.report.model_card import scope_says
from anemia_lightning.report.run_facts import shared_facts
from anemia_lightning.report.run_page import RunReport
from anemia_lightning.report.sections import Album, PictureGroup
from anemia_lightning.report.table1 import describe_people

_HEAT = "Each photo beside itself under its heat map (Grad-CAM): bright is what speaks for the decision."


def training_report(
    *,
    cfg: DictConfig,
    folder: RunFolder,
    facts: Mapping[str, Any],
    datamodule: AnemiaDataModule,
    scores: Mapping[str, Mapping[str, Any]],
    decision: Decision,
    judgement: Judgement,
) -> RunReport:
    """Returns what the documents of a training run tell.

    Args:
        cfg: Its settings.
        folder: Its folder, with all figures.
        facts: What run.json holds.
        datamodule: Its photos.
        scores: As in metrics.json.
        decision: How the model decides.
        judgement: Of the test photos.
    """
    photos = facts["data"]["photos"]
    summary = [
        f"{cfg.model.backbone} on {cfg.data.name}: {photos['train']} photos trained it, {photos['val']} chose the best "
        f"epoch ({facts['best_epoch']}) and how it decides, {photos['test']} tested it.",
        f"How photos are called anaemic: {decision.summary}.",
        f"Training ended after {facts['epochs']} epochs: {facts['stop_reason']}.",
        *ease(cfg),
    ]
    return RunReport(
        title=f"Training run {folder.path.name}",
        facts=facts,
        settings=wiring.plain(cfg),
        assessment=judgement.assessment,
        summary=summary,
        warnings=[*facts["warnings"], *decision.notes],
        scores=scores,
        figures=figures(folder),
        looks=_values(judgement.looks),
        albums=albums(judgement.looks),
        flow=participant_flow(datamodule.split_table()),
        people=describe_people(datamodule.facts(), order=("train", "val", "test")),
        scope=scope_says(datamodule.facts("train")),
    )


def evaluation_report(
    *,
    settings: Mapping[str, Any],
    folder: RunFolder,
    facts: Mapping[str, Any],
    photos: pd.DataFrame,
    splits: pd.DataFrame,
    warnings: Sequence[str],
    decision: Decision,
    judgement: Judgement,
) -> RunReport:
    """Returns what the documents of an evaluation tell.

    Args:
        settings: Of the evaluation, or of the run whose test photos it scores again.
        folder: Its folder, with all figures.
        facts: What the model's run.json holds; of a checkpoint alone what is known of it.
        photos: Manifest and survey joined, of the photos that were scored.
        splits: As in splits.csv, of all photos that were found.
        warnings: What must be said beside the scores.
        decision: How the model decides.
        judgement: Of these photos.
    """
    return RunReport(
        title=f"Evaluation {folder.path.name}",
        facts=facts,
        settings=settings,
        assessment=judgement.assessment,
        summary=[f"A finished model is tested on {len(photos)} photos, called anaemic by: {decision.summary}."],
        warnings=[*warnings, *decision.notes],
        figures=figures(folder),
        looks=_values(judgement.looks),
        albums=albums(judgement.looks),
        flow=participant_flow(splits),
        people=describe_people(photos.assign(split="test"), order=("test",)),
    )


def crossval_report(
    *,
    cfg: DictConfig,
    folder: RunFolder,
    folds: Sequence[Fold],
    prepared: Prepared,
    scores: Mapping[str, Any],
    warnings: Sequence[str],
    assessment: Mapping[str, Any],
    looks: Looks | None,
    look_note: str,
) -> RunReport:
    """Returns what the documents of a cross-validation tell.

    Args:
        cfg: Its settings.
        folder: Its folder, with all figures, and those of its folds below it.
        folds: Its folds, at least one.
        prepared: The photos.
        scores: As in metrics.json.
        warnings: What must be said beside the scores.
        assessment: Of the pooled predictions.
        looks: At photos of all folds; None where there was none.
        look_note: Why there could be none; else empty.
    """
    manifest = prepared.manifest
    first = [fold for fold in folds if fold.repeat == 0]
    tested = pd.Series("excluded", index=manifest.index)
    for fold in first:
        tested[fold.splits.to_numpy() == "test"] = fold.name
    used = manifest.assign(split=tested, reason=np.where(tested == "excluded", "no fold tests it", ""))
    everyone = pd.concat([used, prepared.excluded.assign(split="excluded")], ignore_index=True)
    names = [fold.name for fold in first]
    cards = [read_run_card(folder.path / "folds" / fold.name / "run.json") for fold in folds]
    facts = shared_facts(cards, photos=int((tested != "excluded").sum()), excluded=len(prepared.excluded))
    return RunReport(
        title=f"Cross-validation {folder.path.name}",
        facts=facts,
        settings=wiring.plain(cfg),
        assessment=assessment,
        summary=[
            f"{cfg.model.backbone} on {cfg.data.name}: {len(folds)} models, and each photo is judged by those that "
            f"never saw {never_seen(assessment)}.",
            *ease(cfg),
            *filter(None, [look_note]),
        ],
        warnings=list(dict.fromkeys([*warnings, *facts["warnings"]])),
        folds=scores["folds"],
        figures=figures(folder),
        looks=_values(looks),
        albums=albums(looks),
        flow=participant_flow(everyone, order=names),
        people=describe_people(used, order=names),
        scope=scope_says(manifest),
    )


def figures(folder: RunFolder) -> dict[str, bytes]:
    """Returns the figures of a run's folder by name."""
    return {path.stem: path.read_bytes() for path in sorted(folder.plots.glob("*.png"))}


def albums(looks: Looks | None) -> list[Album]:
    """Returns the photographs that may be shown, beside their heat maps."""
    if looks is None or not (looks.errors or looks.others):
        return []
    wrong = PictureGroup("Called wrongly, the most confident first.", "", looks.errors)
    drawn = PictureGroup("A random sample.", "", looks.others)
    return [Album("Photos", [_HEAT], [group for group in (wrong, drawn) if group.pictures])]


def never_seen(assessment: Mapping[str, Any]) -> str:
    """Returns what of a photo the models that judge it have never seen, as far as the data tell patients apart."""
    return "it or its copies" if assessment["counts"]["unnamed"] else "it, its copies or its patient"


def ease(cfg: DictConfig) -> list[str]:
    """Returns how far apart drawn photographs are; nothing of real ones."""
    if cfg.data.name != "synthetic":
        return []
    return [f"The redness of the drawn classes lies {cfg.data.separation} standard deviations apart."]


def places(folder: RunFolder) -> list[str]:
    """Returns where the most wanted files of a run lie, those that there are."""
    found: dict[str, Path] = {
        "report": folder.report,
        "model card": folder.path / "MODEL_CARD.md",
        "scores": folder.path / "assessment.json",
        "figures": folder.plots,
        "best model": folder.best,
    }
    return [f"{name + ':':<12}{path}" for name, path in found.items() if path.exists()]


def closing_lines(folder: RunFolder, judgement: Judgement, decision: Decision, warnings: Sequence[str]) -> list[str]:
    """Returns what a person reads at the end of a training or an evaluation: what the test photos say, and where."""
    return [
        *end_lines(judgement.assessment),
        *baseline_lines(judgement.assessment["baselines"]),
        *decision_lines(decision),
        *warning_lines(warnings),
        *places(folder),
    ]


def _values(looks: Looks | None) -> dict[str, Any]:
    return looks.values if looks else {}
