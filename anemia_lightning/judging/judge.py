"""What commands do with the test predictions of one model: assess them, look closely, draw, and write it all down."""

from dataclasses import dataclass, field
from typing import Any

import pandas as pd
from omegaconf import DictConfig

from anemia_lightning import wiring
from anemia_lightning.data.dataset import PhotoRows
from anemia_lightning.data.framing import Framing
from anemia_lightning.files.run_folder import RunFolder, write_json
from anemia_lightning.judging.assessing import assess_predictions, baseline_predictions, write_assessment
from anemia_lightning.looking.look import Looks, Subject, look
from anemia_lightning.machine.freed_memory import give_back_memory
from anemia_lightning.metrics.decision import Decision
from anemia_lightning.model.classifier import AnemiaClassifier
from anemia_lightning.model.precision import dtype_of
from anemia_lightning.report.run_page import FIGURES

_OF_THE_FIT = {"curves", "training_photos"}
"""Figures that no judgement draws."""


@dataclass(frozen=True)
class Judgement:
    """What the test photos say of a model."""

    assessment: dict[str, Any]
    """As in assessment.json."""
    looks: Looks | None = None
    """None where no photo was looked at closely."""
    drawings: dict[str, bytes] = field(default_factory=dict)
    """PNG by the name of the file in plots/."""


def judge(
    cfg: DictConfig,
    folder: RunFolder,
    classifier: AnemiaClassifier,
    decision: Decision,
    predictions: pd.DataFrame,
    *,
    test: pd.DataFrame,
    train: pd.DataFrame | None,
    seed: int,
    show_photos: bool,
) -> Judgement:
    """Judges predictions as `evaluation` says, and writes assessment.json, looks.json and their figures.

    Args:
        cfg: The settings of a command, with `evaluation` and `trainer`.
        folder: Of the run, into which it is written.
        classifier: The model that predicted, in the precision that `trainer` names.
        decision: How it decides.
        predictions: With `contracts.PREDICTION_COLUMNS`.
        test: Manifest and survey joined, of the same photos in the same order.
        train: The same of the photos that trained it, for the baselines; None where they are not at hand.
        seed: Of all draws.
        show_photos: Whether reports may show photographs.
    """
    assessment = assess_predictions(
        predictions,
        decision,
        facts=test,
        baselines=None if train is None else baseline_predictions(train, test, seed=seed),
        subgroups=list(cfg.evaluation.subgroups),
        pooling=cfg.evaluation.pooling,
        resamples=cfg.evaluation.resamples,
        seed=seed,
    )
    forget_judgement(folder)
    drawings = write_assessment(folder, assessment)
    give_back_memory()
    looks = look(
        [Subject(lambda: classifier.network, PhotoRows.of(test, test), predictions, decision)],
        framing=Framing(**classifier.hparams["preprocessing"]),
        device=wiring.resolve_device(cfg.trainer.accelerator),
        dtype=dtype_of(wiring.resolve_precision(cfg)),
        photos=cfg.evaluation.probe_photos,
        show_photos=show_photos,
        threads=wiring.reading_threads(),
    )
    if looks:
        write_json(folder.path / "looks.json", looks.values)
        drawings["robustness"] = folder.write_plot("robustness", looks.robustness)
    return Judgement(assessment, looks, drawings)


def forget_judgement(folder: RunFolder) -> None:
    """Removes the looks and the figures of a run's earlier model, so that no document shows them beside its new one."""
    for name in FIGURES.keys() - _OF_THE_FIT:
        (folder.plots / f"{name}.png").unlink(missing_ok=True)
    (folder.path / "looks.json").unlink(missing_ok=True)
