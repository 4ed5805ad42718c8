"""Learning-rate schedules, all stepped once per epoch with the monitored value."""

import math
from collections.abc import Sequence
from typing import Any, Literal, Protocol, SupportsFloat

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from anemia_lightning.errors import ConfigError

_SHORTEST_CYCLE = 2


class EpochSchedule(Protocol):
    """What the classifier asks of a schedule."""

    def step(self, metrics: SupportsFloat) -> None:
        """Ends an epoch with its monitored value and sets the learning rates of the next."""

    def release(self, groups: Sequence[dict[str, Any]]) -> None:
        """Sets the learning rates with which newly released groups of the optimizer begin."""

    def restart(self) -> None:
        """Forgets what it counted, because newly released layers change what can be expected of an epoch.

        Called after `release`, where a release is to restart it.
        """

    def state_dict(self) -> dict[str, Any]:
        """Returns the state in plain values."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continues from a state; the optimizer's own state brings the learning rates."""


class Plateau(ReduceLROnPlateau):
    """Torch's ReduceLROnPlateau, which a release makes forget its bad epochs but not its best value.

    Args:
        optimizer: Whose groups it steers.
        factor: What a plateau multiplies the learning rates by, in (0, 1).
        patience: Bad epochs that it lets pass; the next one is a plateau.
        min_lr: Floor of every group's learning rate.
        threshold: Relative change of the best value from which an epoch is good.
        mode: Whether the monitored value should fall (`min`) or rise (`max`).
        cooldown: Epochs after a plateau in which none is bad.

    Raises:
        ConfigError: If a setting is out of range.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        *,
        factor: float = 0.5,
        patience: int = 3,
        min_lr: float = 1e-6,
        threshold: float = 1e-4,
        mode: Literal["min", "max"] = "min",
        cooldown: int = 0,
    ) -> None:
        _check(lr=_first_rate(optimizer), min_lr=min_lr, factor=factor, patience=patience, mode=mode)
        for group in optimizer.param_groups:
            group.setdefault("initial_lr", group["lr"])
        super().__init__(
            optimizer,
            mode=mode,
            factor=factor,
            patience=patience,
            threshold=threshold,
            cooldown=cooldown,
            min_lr=min_lr,
        )

    def release(self, groups: Sequence[dict[str, Any]]) -> None:
        """Lets groups begin at their configured learning rate, however often it was reduced while they were frozen."""
        for group in groups:
            group["lr"] = group["initial_lr"]

    def restart(self) -> None:
        """Forgets the bad epochs and the cooldown; keeps the best value."""
        self.num_bad_epochs = 0
        self.cooldown_counter = 0


class _Proportional(LRScheduler):
    """A schedule that gives every group the same share of its initial learning rate."""

    def __init__(self, optimizer: Optimizer) -> None:
        # As in ReduceLROnPlateau, LRScheduler's own constructor stays out: it calls step() without a value.
        self.optimizer = optimizer
        self.base_lrs = [float(group.setdefault("initial_lr", group["lr"])) for group in optimizer.param_groups]
        self.last_epoch = 0
        self._write()

    def step(self, metrics: SupportsFloat) -> None:  # type: ignore[override]  # as torch's own plateau does
        """Ends an epoch with its monitored value and sets the learning rates of the next."""
        self.last_epoch += 1
        self._advance(float(metrics))
        self._write()

    def release(self, groups: Sequence[dict[str, Any]]) -> None:
        """Changes nothing: frozen groups have followed the schedule too."""

    def restart(self) -> None:
        """Sets this epoch's learning rates again, so that none set from outside remains."""
        self._write()

    def get_lr(self) -> list[Any]:
        """Returns the learning rate of each group in the coming epoch."""
        share = self._share()
        return [base * share for base in self.base_lrs]

    def _advance(self, value: float) -> None:
        """Takes note of an epoch's monitored value."""

    def _share(self) -> float:
        raise NotImplementedError

    def _write(self) -> None:
        self._last_lr = self.get_lr()
        for group, lr in zip(self.optimizer.param_groups, self._last_lr, strict=True):
            group["lr"] = lr


class Constant(_Proportional):
    """Keeps every group at the learning rate that it starts with."""

    def _share(self) -> float:
        return 1.0


class Cosine(_Proportional):
    """Anneals by half a cosine and stays at the end: min_lr + (lr - min_lr)(1 + cos(πe/epochs))/2 in epoch e.

    A closed form (SGDR, arXiv 1608.03983, eq. 5) that neither the monitored value nor a release changes.

    Args:
        optimizer: Whose groups it steers.
        epochs: Epochs until the end is reached.
        min_lr: Learning rate of the first group at the end. The others keep their ratio to it, so theirs ends
            at `min_lr` times this ratio.

    Raises:
        ConfigError: If a setting is out of range.
    """

    def __init__(self, optimizer: Optimizer, *, epochs: int, min_lr: float = 1e-6) -> None:
        lr = _first_rate(optimizer)
        _check(lr=lr, min_lr=min_lr, epochs=epochs)
        self.epochs = epochs
        self.floor = min_lr / lr
        super().__init__(optimizer)

    def _share(self) -> float:
        return _half_cosine(1.0, self.floor, min(self.last_epoch, self.epochs) / self.epochs)


class PlateauCosine(_Proportional):
    """Cosine cycles that a plateau cuts short, each time from a lower peak and over fewer epochs.

    With t the epochs since the cycle began, lr = min_lr + (peak - min_lr)(1 + cos(πt/T))/2. Best value and
    bad epochs count as in ReduceLROnPlateau. When there are more than `patience` bad epochs, the next epoch
    begins a cycle with peak = max(factor·peak, min_lr) and T = max(⌈factor·T⌉, 2). When t reaches T without
    that, a cycle begins with the same peak and T. A release begins a cycle with the first peak and T and no
    bad epochs; the best value stays. All this is the first group's learning rate; the others keep their
    ratio to it.

    Args:
        optimizer: Whose groups it steers.
        min_lr: Floor of the first group's learning rate.
        first_cycle: T of the first cycle, in epochs.
        factor: What a plateau multiplies peak and T by, in (0, 1).
        patience: Bad epochs that it lets pass; the next one is a plateau.
        threshold: Relative change of the best value from which an epoch is good.
        mode: Whether the monitored value should fall (`min`) or rise (`max`).

    Raises:
        ConfigError: If a setting is out of range.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        *,
        min_lr: float = 1e-6,
        first_cycle: int = 10,
        factor: float = 0.5,
        patience: int = 3,
        threshold: float = 1e-4,
        mode: Literal["min", "max"] = "min",
    ) -> None:
        lr = _first_rate(optimizer)
        _check(lr=lr, min_lr=min_lr, factor=factor, patience=patience, first_cycle=first_cycle, mode=mode)
        self.min_lr = min_lr
        self.first_cycle = first_cycle
        self.first_peak = lr
        self.factor = factor
        self.patience = patience
        self.threshold = threshold
        self.mode = mode
        self.best = math.inf if mode == "min" else -math.inf
        self._begin_first_cycle()
        super().__init__(optimizer)

    def restart(self) -> None:
        """Begins a cycle with the first peak and length and no bad epochs; keeps the best value."""
        self._begin_first_cycle()
        super().restart()

    def _begin_first_cycle(self) -> None:
        self.peak = self.first_peak
        self.cycle = self.first_cycle
        self.epochs_in_cycle = 0
        self.num_bad_epochs = 0

    def _advance(self, value: float) -> None:
        if self._is_better(value):
            self.best = value
            self.num_bad_epochs = 0
        else:
            self.num_bad_epochs += 1
        self.epochs_in_cycle += 1
        if self.num_bad_epochs > self.patience:
            self.peak = max(self.factor * self.peak, self.min_lr)
            self.cycle = max(math.ceil(self.factor * self.cycle), _SHORTEST_CYCLE)
            self.num_bad_epochs = 0
            self.epochs_in_cycle = 0
        elif self.epochs_in_cycle == self.cycle:
            self.epochs_in_cycle = 0

    def _is_better(self, value: float) -> bool:
        # Comparisons with NaN are false, so an epoch without a number is a bad one.
        if self.mode == "min":
            return value < self.best * (1 - self.threshold)
        return value > self.best * (1 + self.threshold)

    def _share(self) -> float:
        return _half_cosine(self.peak, self.min_lr, self.epochs_in_cycle / self.cycle) / self.first_peak


def _half_cosine(peak: float, floor: float, part: float) -> float:
    return floor + (peak - floor) * (1 + math.cos(math.pi * part)) / 2


def _first_rate(optimizer: Optimizer) -> float:
    group = optimizer.param_groups[0]
    return float(group.get("initial_lr", group["lr"]))


def _check(
    *,
    lr: float,
    min_lr: float = 0.0,
    factor: float = 0.5,
    patience: int = 0,
    epochs: int = 1,
    first_cycle: int = _SHORTEST_CYCLE,
    mode: str = "min",
) -> None:
    faults = {
        f"The learning rate is {lr}; a schedule needs one above 0.": not lr > 0,
        f"scheduler.min_lr is {min_lr}; it must lie between 0 and the learning rate, {lr}.": not 0 <= min_lr <= lr,
        f"scheduler.factor is {factor}; it must lie between 0 and 1.": not 0 < factor < 1,
        f"scheduler.patience is {patience}; it must be 0 or more.": patience < 0,
        f"scheduler.epochs is {epochs}; it must be 1 or more.": epochs < 1,
        f"scheduler.first_cycle is {first_cycle}; it must be {_SHORTEST_CYCLE} or more.": first_cycle < _SHORTEST_CYCLE,
        f"scheduler.mode is '{mode}'; it must be 'min' or 'max'.": mode not in {"min", "max"},
    }
    problems = [text for text, present in faults.items() if present]
    if problems:
        raise ConfigError(problems)
