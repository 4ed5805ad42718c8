"""Settings of runs beside one another: what can change a result, what only repeats, and in what runs differ."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from anemia_lightning.command_line.settings import flat_settings

Repetition = Mapping[str, str]
"""What tells runs of one recipe apart: seeds by their names, and the fold."""

SEEDS = ("seed", "split.seed", "data.augmentation_seed", "model.init_seed")

UNSET = "-"
"""What stands where a run does not have a setting at all."""

_WITHOUT_EFFECT = (
    "paths.",
    "logger.",
    "hydra.",
    "features.store",
    "features.dir",
    "features.max_bytes",
    "features.keep_fresh",
    "callbacks.progress.",
    "data.source.",  # repeats what stands in data
    "data.num_workers",
    "data.start_method",
    "trainer.log_every_n_steps",
    "trainer.enable_model_summary",
    # What is asked of predictions that are finished.
    "evaluation.probe_photos",
    "evaluation.resamples",
    "evaluation.subgroups",
    "evaluation.on_overlap",
)
_OF_THE_COMMAND = ("verb", "resume", "jobs", "run", "ckpt")


def comparable_settings(cfg: DictConfig, trained: DictConfig | None, *, weights: str) -> dict[str, str]:
    """Returns those settings of a run that runs of one recipe share.

    Args:
        cfg: The settings of the run.
        trained: Of an evaluation, the settings of the training behind it: those of the evaluation come on top.
        weights: What stands for `model.weights`, whose path says less than its content.
    """
    settings = settings_with_effect(cfg)
    if trained is not None:
        # What an evaluation leaves open, as its threshold, is that of the training.
        said = {key: value for key, value in settings.items() if value != "null"}
        judged = {key: value for key, value in said.items() if key.startswith(("data.", "evaluation."))}
        on = settings.get("data.name", "its own test split")
        settings = {**settings_with_effect(trained), **judged, "evaluated on": on}
    if "model.weights" in settings or trained is not None:
        settings["model.weights"] = weights
    for key in SEEDS:
        settings.pop(key, None)
    if fold_of(trained if trained is not None else cfg):
        settings.pop("split.file", None)
    return settings


def settings_with_effect(cfg: DictConfig) -> dict[str, str]:
    """Returns the single settings of a run that can change its result, as texts by dotted name."""
    place = str(OmegaConf.select(cfg, "paths.run_dir") or "")
    values = {key: value for key, value in flat_settings(cfg).items() if not isinstance(value, dict)}
    # An evaluation records its settings as they were written.
    own = (place, "${paths.run_dir}") if place else ("${paths.run_dir}",)
    is_drawn = values.get("data.name") == "synthetic"
    return {
        key: _text(value)
        for key, value in values.items()
        if not key.startswith(_WITHOUT_EFFECT)
        and key not in _OF_THE_COMMAND
        and not _mentions(value, own)
        # Drawn photographs are the same wherever they lie.
        and not (is_drawn and key == "data.root")
        and key != "data.roots.synthetic"
    }


def repetition_of(cfg: DictConfig) -> Repetition:
    """Returns the seeds of a run, and its fold where it is part of a cross-validation."""
    seeds = {key: OmegaConf.select(cfg, key) for key in SEEDS}
    found = {key: _text(value) for key, value in seeds.items() if value is not None}
    fold = fold_of(cfg)
    return {**found, "fold": fold} if fold else found


def fold_of(cfg: DictConfig) -> str | None:
    """Returns the fold's name if these are the settings of a cross-validation's training run."""
    file, place = OmegaConf.select(cfg, "split.file"), OmegaConf.select(cfg, "paths.run_dir")
    if not file or not place:
        return None
    split, run = Path(str(file)), Path(str(place))
    is_fold = split.parent == run.parent.parent / "splits" and split.stem == run.name
    return run.name if is_fold else None


def differing(settings: Sequence[Mapping[str, str]]) -> list[str]:
    """Returns the names of settings that are not the same in all runs, in the order of their first appearance."""
    names = dict.fromkeys(name for each in settings for name in each)
    return [name for name in names if len({each.get(name, UNSET) for each in settings}) > 1]


def differing_by_kind(settings: Mapping[str, Sequence[Mapping[str, str]]]) -> list[str]:
    """Returns the same for runs of several kinds, where a setting that a whole kind lacks is no difference.

    Args:
        settings: Those of each run, by the kind of the run.
    """
    within = {name for runs in settings.values() for name in differing(runs)}
    runs = [each for kind in settings.values() for each in kind]
    names = dict.fromkeys(name for each in runs for name in each)
    return [name for name in names if name in within or len({each[name] for each in runs if name in each}) > 1]


def _mentions(value: object, places: Iterable[str]) -> bool:
    return isinstance(value, str) and any(place in value for place in places)


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
