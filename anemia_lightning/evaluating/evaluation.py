"""What `evaluate` does: the run's own test photos again, or photos that the model has never met."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from omegaconf import DictConfig, OmegaConf

from anemia_lightning import wiring
from anemia_lightning.command_line.settings import CONF
from anemia_lightning.command_line.terminal import quiet, say
from anemia_lightning.contracts import Stage
from anemia_lightning.data.datamodule import AnemiaDataModule
from anemia_lightning.data.framing import Framing
from anemia_lightning.data.overlap import MetPhotos
from anemia_lightning.data.split_file import split_table
from anemia_lightning.data.surroundings import Surroundings, kinds_carried_by
from anemia_lightning.errors import ConfigError, RunNotFoundError, UnfinishedRunError
from anemia_lightning.evaluating.met_before import unmet_photos
from anemia_lightning.files.checkpoint_file import carried_photos, read_checkpoint
from anemia_lightning.files.run_folder import RunFolder, find_run, is_finished, whole_run, write_json, write_table
from anemia_lightning.judging.deciding import at_threshold, choose_decision, write_decision
from anemia_lightning.judging.judge import judge
from anemia_lightning.judging.run_documents import closing_lines, evaluation_report
from anemia_lightning.judging.scoring import NOTE, Scorer, prediction_table, score_table
from anemia_lightning.metrics.decision import Decision
from anemia_lightning.model.classifier import AnemiaClassifier, classifier_of, load_classifier
from anemia_lightning.photos import photo_lines, prepare_photos, restore_datamodule
from anemia_lightning.report.documents import write_documents

_OF_THE_RUN = ("subgroups", "pooling")
"""What `evaluation` leaves to the run unless it says otherwise."""


@dataclass(frozen=True, kw_only=True)
class _Scored:
    """A finished model and what it says of some photos."""

    classifier: AnemiaClassifier
    decision: Decision
    predictions: pd.DataFrame
    test: pd.DataFrame
    """Manifest and survey joined, of these photos."""
    train: pd.DataFrame | None
    """The same of the photos that trained the model, where they are at hand."""
    splits: pd.DataFrame
    """As in splits.csv: what became of all photos that were found."""
    facts: dict[str, Any]
    """What its run.json holds."""
    settings: dict[str, Any]
    warnings: Sequence[str]
    run: Path
    """The folder of the run that trained it."""
    seed: int
    """Of all draws."""
    show_photos: bool
    """Whether the report may show photographs."""


def evaluate_run(cfg: DictConfig) -> dict[str, Any]:
    """Scores a run's best model on its own test split, exactly as training did.

    Patients are pooled and groups looked at as in training, unless `evaluation` says otherwise.
    With `evaluation.refit` threshold, calibration and conformal sets are chosen anew, on the run's validation photos.

    Raises:
        RunNotFoundError: If there is no run.
        UnfinishedRunError: If it has not come to its end.
        DataChangedError: If the photographs are no longer those of the run.
    """
    quiet()
    wiring.check_devices(cfg)
    run = RunFolder(_finished_run(cfg))
    card = json.loads(run.run_json.read_text(encoding="utf-8"))
    trained = _settings_of(run, cfg)
    datamodule = restore_datamodule(trained, prepare_photos(trained), run)
    _tell_precision(cfg, card["precision"])
    classifier = load_classifier(run.best)
    decision, predictions = _decide_and_predict(cfg, trained, classifier, datamodule)
    refitted = [_refitted(decision, classifier.decision)] if cfg.evaluation.refit else []
    scored = _Scored(
        classifier=classifier,
        decision=decision,
        predictions=predictions,
        test=datamodule.facts("test"),
        train=datamodule.facts("train"),
        splits=datamodule.split_table(),
        facts=card,
        settings=wiring.plain(trained),
        warnings=[*card["warnings"], *refitted],
        run=run.path,
        seed=trained.seed,
        show_photos=cfg.show_photos and trained.logger.photos,
    )
    return _write(cfg, scored)


def evaluate_checkpoint(cfg: DictConfig) -> dict[str, Any]:
    """Scores a checkpoint on all photos of another data set, read the way the model was trained to.

    Raises:
        CheckpointUnreadableError: If the checkpoint is not one of ours.
        ConfigError: If the photos are to be read in another way.
        OverlapError: If the model has met some of the photos, and that is to stop the evaluation.
    """
    quiet()
    wiring.check_devices(cfg)
    _settle(cfg.evaluation, _defaults("evaluation"))
    classifier, carried = _open(Path(cfg.ckpt))
    _settle_framing(cfg.data, Framing(**classifier.hparams["preprocessing"]))
    met = MetPhotos.carried_by(carried)
    prepared, notes = unmet_photos(prepare_photos(cfg), met, on_overlap=cfg.evaluation.on_overlap)
    unlike = Surroundings.of(prepared.facts["tissue_share"]).unlike(kinds_carried_by(carried))
    say(*photo_lines(cfg, prepared))
    rows = prepared.manifest
    precision = wiring.resolve_precision(cfg)
    logits = Scorer(cfg, classifier, precision=precision).predict(rows, prepared.facts)
    cautions = [cfg.data.caution] if cfg.data.caution else []
    decision = at_threshold(classifier.decision, cfg.evaluation.threshold)
    scored = _Scored(
        classifier=classifier,
        decision=decision,
        predictions=prediction_table(rows, logits, decision),
        test=prepared.joined,
        train=None,
        splits=split_table(rows.assign(split="test"), prepared.excluded),
        facts={
            "weights": {"source": "evaluated", "file": Path(cfg.ckpt).name},
            "precision": precision,
            "labels": prepared.labels,
        },
        settings=wiring.plain(cfg),
        warnings=[*cautions, *notes, *filter(None, [unlike])],
        run=Path(cfg.ckpt).resolve().parent.parent,
        seed=0,
        show_photos=cfg.show_photos,
    )
    return _write(cfg, scored)


def _finished_run(cfg: DictConfig) -> Path:
    run = find_run(str(cfg.run), cfg.paths.root)
    for needed in ("config_resolved.yaml", "run.json", "checkpoints/best.ckpt"):
        if not (run / needed).is_file():
            raise RunNotFoundError(str(cfg.run), str(run / needed))
    if not is_finished(run):
        raise UnfinishedRunError(whole_run(run), [run])
    return run


def _settings_of(run: RunFolder, cfg: DictConfig) -> DictConfig:
    """Returns the settings of a run, but for what an evaluation says; and fills in what that leaves to the run."""
    trained = OmegaConf.load(run.settings)
    assert isinstance(trained, DictConfig)
    trained.trainer, trained.paths.cache = cfg.trainer, cfg.paths.cache
    # Where features are kept is for now to say; what they are, for the run.
    where = {key: cfg.features[key] for key in ("store", "dir", "max_bytes")}
    trained.features = {**trained.features, **where}
    _settle(cfg.evaluation, trained.evaluation)
    # The report shows the run's settings, and is to show what was asked now.
    trained.evaluation = {**trained.evaluation, **{key: cfg.evaluation[key] for key in _OF_THE_RUN}}
    return trained


def _settle(evaluation: DictConfig, trained: DictConfig) -> None:
    """Fills in what an evaluation leaves to the run.

    Args:
        evaluation: The settings of that name.
        trained: Those of the run; where there is a checkpoint alone, the defaults.
    """
    for key in _OF_THE_RUN:
        if evaluation[key] is None:
            evaluation[key] = trained[key]


def _defaults(group: str) -> DictConfig:
    """Returns the settings that all choices of a group share."""
    defaults = OmegaConf.load(CONF / group / "_shared.yaml")
    assert isinstance(defaults, DictConfig)
    return defaults


def _tell_precision(cfg: DictConfig, trained: str) -> None:
    here = wiring.resolve_precision(cfg)
    if here != trained:
        say(
            f"Note: training scored in precision {trained}, this is {here}: the last digits will differ. "
            f"For the same, where the device can: trainer.precision={trained}"
        )


def _decide_and_predict(
    cfg: DictConfig, trained: DictConfig, classifier: AnemiaClassifier, datamodule: AnemiaDataModule
) -> tuple[Decision, pd.DataFrame]:
    """Returns how a run's model is to decide, as it carries it or chosen anew, and what it says of the test photos."""
    scorer = Scorer(trained, classifier, precision=wiring.resolve_precision(cfg))

    def predict(split: Stage) -> "tuple[pd.DataFrame, pd.Series[float]]":
        rows = datamodule.rows(split)
        return rows, scorer.predict(rows, datamodule.prepared.facts)

    if cfg.evaluation.refit:
        weights = classifier.hparams["class_weights"]
        decision = choose_decision(_rules(cfg, trained), *predict("val"), class_weights=weights)
    else:
        decision = at_threshold(classifier.decision, cfg.evaluation.threshold)
    return decision, prediction_table(*predict("test"), decision)


def _rules(cfg: DictConfig, trained: DictConfig) -> DictConfig:
    """Returns by which rules to choose anew: those of the run, with the threshold's from the command line if given."""
    rules: DictConfig = trained.evaluation.copy()
    if cfg.evaluation.threshold is not None:
        rules.threshold = cfg.evaluation.threshold
    return rules


def _refitted(decision: Decision, carried: Decision) -> str:
    return (
        f"evaluation.refit=true: threshold, calibration and conformal sets were chosen anew on the run's "
        f"{decision.photos} validation photos. The model still carries others: {carried.summary}."
    )


def _open(path: Path) -> tuple[AnemiaClassifier, Mapping[str, Any]]:
    """Returns the classifier of a checkpoint, and what that carries of the photos that its model has met."""
    checkpoint = read_checkpoint(path)
    return classifier_of(checkpoint, path), carried_photos(checkpoint)


def _settle_framing(data: DictConfig, framing: Framing) -> None:
    """Puts how the model reads photographs into the settings, which the documents show.

    Raises:
        ConfigError: If they ask for something else, which would have no effect.
    """
    carried = {
        "image_size": framing.size,
        "region": framing.region,
        "resize": framing.resize,
        "background": list(framing.background),
    }
    defaults = _defaults("data")
    problems = [
        f"data.{key}={data[key]} would have no effect: the model reads photographs with data.{key}={value}, "
        "as its checkpoint says. Leave it out."
        for key, value in carried.items()
        if data[key] not in (defaults[key], value)
    ]
    if problems:
        raise ConfigError(problems)
    data.update(carried)


def _write(cfg: DictConfig, scored: _Scored) -> dict[str, Any]:
    decision, table = scored.decision, scored.predictions
    scores = {"test": score_table(table, class_weights=scored.classifier.hparams["class_weights"])}
    folder = RunFolder(cfg.paths.run_dir)
    write_table(folder.splits, scored.splits)
    write_table(folder.predictions("test"), table)
    write_decision(folder.decision, decision)
    write_json(folder.metrics_json, scores)
    # `run=` may have said latest, which names another run by and by.
    card: dict[str, Any] = {
        "status": "running",
        "evaluated": str(scored.run),
        "warnings": list(scored.warnings),
        "sessions": [],
        "evaluation": wiring.plain(cfg.evaluation),
    }
    write_json(folder.run_json, card)
    judgement = judge(
        cfg,
        folder,
        scored.classifier,
        decision,
        table,
        test=scored.test,
        train=scored.train,
        seed=scored.seed,
        show_photos=scored.show_photos,
    )
    report = evaluation_report(
        settings=scored.settings,
        folder=folder,
        facts=scored.facts,
        photos=scored.test,
        splits=scored.splits,
        warnings=scored.warnings,
        decision=decision,
        judgement=judgement,
    )
    write_documents(folder.path, report)
    write_json(folder.run_json, {**card, "status": "finished"})
    folder.point_latest()
    table_line = f"{'photos:':<12}{folder.predictions('test')}"
    say(*closing_lines(folder, judgement, decision, scored.warnings), table_line, NOTE)
    return scores
