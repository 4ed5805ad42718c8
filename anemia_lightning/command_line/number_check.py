"""Refuses numbers out of their range: one table for all commands."""

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeGuard

from omegaconf import DictConfig, OmegaConf


class _Range(NamedTuple):
    """What a setting must be, in words and as a test."""

    words: str
    holds: Callable[[object], bool]


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_duration(value: object) -> bool:
    # Without any time not even the first epoch would be trained, and nothing could be drawn of it.
    return isinstance(value, str) and re.fullmatch(r"(?=.*[1-9])\d+:\d\d:\d\d:\d\d", value) is not None


def _at_least(least: float) -> _Range:
    return _Range(f"at least {least}", lambda value: _is_number(value) and value >= least)


def _above(limit: float) -> _Range:
    return _Range(f"above {limit}", lambda value: _is_number(value) and value > limit)


def _whole(least: int) -> _Range:
    """Returns the range of settings whose default does not say by its type that they are whole."""
    return _Range(
        f"a whole number of at least {least}",
        lambda value: _is_number(value) and isinstance(value, int) and value >= least,
    )


def _or(other: object, usual: _Range) -> _Range:
    word = "null" if other is None else other
    return _Range(f"{usual.words}, or {word}", lambda value: value == other or usual.holds(value))


_RANGES = {
    "folds": _at_least(2),
    "repeats": _at_least(1),
    "jobs": _at_least(1),
    "threads": _or(None, _whole(1)),
    "batch_size": _at_least(1),
    "test_share": _Range("between 0 and 1", lambda value: _is_number(value) and 0 < value < 1),
    # Of NumPy's own generator, which Lightning seeds and some baselines use.
    "seed": _Range("from 0 to 4294967295", lambda value: _is_number(value) and 0 <= value < 2**32),
    "data.batch_size": _at_least(1),
    "data.num_workers": _or("auto", _whole(0)),
    "evaluation.resamples": _at_least(100),
    "evaluation.probe_photos": _at_least(0),
    "optimizer.lr": _above(0),
    "optimizer.weight_decay": _at_least(0),
    "optimizer.momentum": _at_least(0),
    "model.learning_rate_factors.head": _at_least(0),
    "model.learning_rate_factors.layer4": _at_least(0),
    "model.learning_rate_factors.trunk": _at_least(0),
    # The schedules know the ranges of the others, which are those of all schedules.
    "scheduler.epochs": _whole(1),
    "scheduler.first_cycle": _whole(2),
    "scheduler.threshold": _at_least(0),
    "callbacks.early_stopping.patience": _at_least(0),
    "callbacks.early_stopping.min_delta": _at_least(0),
    "callbacks.checkpoint.every_s": _at_least(0),
    "trainer.devices": _or(-1, _at_least(1)),
    "trainer.num_nodes": _at_least(1),
    "trainer.max_epochs": _at_least(1),
    "trainer.min_epochs": _or(None, _whole(0)),
    "trainer.max_time": _or(None, _Range("days, hours, minutes and seconds such as 00:08:00:00", _is_duration)),
    "trainer.accumulate_grad_batches": _at_least(1),
    "trainer.gradient_clip_val": _or(None, _at_least(0)),
    "trainer.limit_train_batches": _or(None, _above(0)),
    "trainer.limit_val_batches": _or(None, _at_least(0)),
    "trainer.overfit_batches": _at_least(0),
}
"""Of each setting whose type alone does not make it right, unless who uses it refuses it in a sentence of its own."""

_ABSENT = object()


def out_of_range(cfg: DictConfig) -> Iterator[str]:
    """Yields which numbers of a command are out of their range, in sentences."""
    for key, allowed in _RANGES.items():
        value = OmegaConf.select(cfg, key, default=_ABSENT)
        if value is not _ABSENT and not allowed.holds(value):
            yield f"{key} must be {allowed.words}, not {'null' if value is None else value}."
