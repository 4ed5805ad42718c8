"""What a speed comparison must keep to: settings that are fair, and the same from its start to its end."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from anemia_lightning import wiring
from anemia_lightning.benchmarks.arms import GRID
from anemia_lightning.benchmarks.orders import ARMS, LOOPS
from anemia_lightning.command_line.settings import flat_settings
from anemia_lightning.errors import ConditionsChangedError, ConfigError

_MAY_CHANGE = ("resume", "arms", "repeats", "whole_runs", "prove")
"""Settings that may change from one start of a comparison to the next: they add pieces, and spoil none."""

_RANGES = {"repeats": (1, 99), "whole_runs": (1, 99), "folds": (2, 99), "trials": (1, len(GRID))}


def check_benchmark(cfg: DictConfig) -> None:
    """Asserts that the settings of a comparison can be.

    Raises:
        ConfigError: With every problem found.
    """
    problems = [f"arms may hold {', '.join(ARMS)}, not {arm}." for arm in cfg.arms if arm not in ARMS]
    for key, (least, most) in _RANGES.items():
        if not least <= cfg[key] <= most:
            problems.append(f"{key} must be between {least} and {most}, not {cfg[key]}.")
    if cfg.threads is not None and cfg.threads < 1:
        problems.append(f"threads must be at least 1, not {cfg.threads}.")
    if cfg.trainer.devices != 1:
        problems.append("Every arm runs on one device: leave trainer.devices=1.")
    if not cfg.arms:
        problems.append("arms must name at least one.")
    if cfg.prove and not set(LOOPS) & set(cfg.arms):
        problems.append("prove=true runs loops whole: put plain or tuned among the arms.")
    if cfg.callbacks.early_stopping:
        problems.append("Every arm must train as many epochs: leave callbacks.early_stopping=null.")
    if [phase["train_from"] for phase in wiring.phases(cfg)] not in ([], ["layer4"]):
        problems.append("The plain loop knows one release, that of layer4: leave callbacks.unfreeze.phases so.")
    if problems:
        raise ConfigError(problems)


def check_conditions(folder: Path, begun: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Asserts that a comparison that goes on does so where it was begun, with what it was begun with.

    Raises:
        ConditionsChangedError: If it does not.
    """
    names = {
        "machine": "machine",
        "device": "device",
        "threads": "number of threads",
        "versions": "version of a library or of Python",
        "photos_sha256": "data set or split",
        "weights": "weights file",
    }
    changed = [words for key, words in names.items() if begun.get(key) != now[key]]
    if changed:
        raise ConditionsChangedError(folder, changed)


def fixed_settings(cfg: DictConfig) -> dict[str, object]:
    """Returns the settings that are the same at every start of a comparison, by dotted name."""
    values = flat_settings(cfg)
    return {key: value for key, value in values.items() if key not in _MAY_CHANGE and not isinstance(value, dict)}
