"""Learning rates, epoch by epoch."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler, ReduceLROnPlateau

from anemia_lightning.errors import ConfigError
from anemia_lightning.model.schedule import Constant, Cosine, EpochSchedule, Plateau, PlateauCosine


def make_optimizer(*lrs: float) -> Optimizer:
    return SGD([{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": lr} for lr in lrs])


def rates(optimizer: Optimizer) -> list[float]:
    return [group["lr"] for group in optimizer.param_groups]


def follow(optimizer: Optimizer, schedule: EpochSchedule, values: list[float]) -> list[list[float]]:
    """Returns the rates of each group in each epoch that ends with one of these values."""
    trace = []
    for value in values:
        trace.append(rates(optimizer))
        schedule.step(value)
    return trace


def build(name: str, optimizer: Optimizer) -> Any:
    match name:
        case "plateau":
            return Plateau(optimizer, patience=1)
        case "cosine":
            return Cosine(optimizer, epochs=7)
        case "plateau_cosine":
            return PlateauCosine(optimizer, first_cycle=5, patience=1)
        case _:
            return Constant(optimizer)


NAMES = ["plateau", "cosine", "constant", "plateau_cosine"]


class TestPlateauCosine:
    # Worked by hand for lr 1, min_lr 0.1, T = 5, patience 1. (1 + cos(πt/T))/2 is, for t = 0, 1, ...:
    #   T = 5: 1, 0.904508, 0.654508, 0.345492, 0.095492;   T = 3: 1, 0.75, 0.25;   T = 2: 1, 0.5.
    # A row is an epoch: its value, its learning rate, and how the two came and what follows.
    TRACE = (
        (0.90, 1.000000),  # t = 0: 0.1 + 0.9·1                                            best 0.90
        (0.80, 0.914058),  # t = 1: 0.1 + 0.9·0.904508                                     best 0.80
        (0.70, 0.689058),  # t = 2: 0.1 + 0.9·0.654508                                     best 0.70
        (0.60, 0.410942),  # t = 3: 0.1 + 0.9·0.345492                                     best 0.60
        (0.50, 0.185942),  # t = 4: 0.1 + 0.9·0.095492; t reaches 5: same peak, same T     best 0.50
        (0.40, 1.000000),  # t = 0                                                         best 0.40
        (0.40, 0.914058),  # t = 1: equal is not better: bad 1
        (0.41, 0.689058),  # t = 2: bad 2 > 1 inside the cycle: peak 0.5, T = ⌈2.5⌉ = 3, bad 0
        (0.42, 0.500000),  # t = 0: 0.1 + 0.4·1; bad 1
        (0.39, 0.400000),  # t = 1: 0.1 + 0.4·0.75                                         best 0.39, bad 0
        (
            0.38999,
            0.20000,
        ),  # t = 2: 0.1 + 0.4·0.25; within 1e-4 of the best: bad 1; t reaches 3: same peak, same T
        (math.nan, 0.50000),  # t = 0; no number: bad 2 > 1: peak 0.25, T = ⌈1.5⌉ = 2, bad 0
        (0.50, 0.250000),  # t = 0: 0.1 + 0.15·1; bad 1
        (
            0.50,
            0.175000,
        ),  # t = 1: 0.1 + 0.15·0.5; bad 2 > 1 as t reaches 2: the plateau rules: peak 0.125, T = max(1, 2)
        (0.50, 0.125000),  # t = 0; bad 1
        (0.50, 0.112500),  # t = 1: 0.1 + 0.025·0.5; bad 2: peak = max(0.0625, 0.1), T = 2
        (0.30, 0.100000),  # t = 0: at the floor                                           best 0.30
        (0.30, 0.100000),  # t = 1: still; bad 1
    )

    def test_follows_the_trace_worked_by_hand(self) -> None:
        optimizer = make_optimizer(1.0)
        schedule = PlateauCosine(optimizer, min_lr=0.1, first_cycle=5, patience=1)
        trace = follow(optimizer, schedule, [value for value, _ in self.TRACE])
        assert [lr for (lr,) in trace] == pytest.approx([lr for _, lr in self.TRACE], abs=1e-6)

    def test_follows_the_protocols_own_numbers(self) -> None:
        optimizer = make_optimizer(1e-4)
        schedule = PlateauCosine(optimizer)
        # One good epoch, then four bad ones: with patience 3 only the fourth is too many. (1 + cos(πt/10))/2
        # for t = 0 to 4 is 1, 0.975528, 0.904508, 0.793893, 0.654508; then peak 5e-5 and T = 5.
        expected = [1 * 99 + 1, 0.975528 * 99 + 1, 0.904508 * 99 + 1, 0.793893 * 99 + 1, 0.654508 * 99 + 1]
        expected += [1 * 49 + 1, 0.904508 * 49 + 1]
        trace = follow(optimizer, schedule, [1.0] * 7)
        assert [lr for (lr,) in trace] == pytest.approx([lr * 1e-6 for lr in expected], rel=1e-5)

    def test_a_release_begins_a_cycle_with_the_first_peak_and_length_and_keeps_the_best(self) -> None:
        optimizer = make_optimizer(1.0)
        schedule = PlateauCosine(optimizer, min_lr=0.1, first_cycle=5, patience=1)
        follow(optimizer, schedule, [0.5, 0.6, 0.6, 0.6])  # a plateau, then one bad epoch of the next
        schedule.restart()
        # Worked by hand: bad counts from 0 again, against the old best 0.5: 0.6 is bad 1, 0.55 is bad 2.
        trace = follow(optimizer, schedule, [0.6, 0.55, 0.4, 0.3])
        assert [lr for (lr,) in trace] == pytest.approx([1.0, 0.914058, 0.5, 0.4], abs=1e-6)

    def test_a_release_overrides_rates_that_were_set_from_outside(self) -> None:
        optimizer = make_optimizer(1.0, 0.1)
        schedule = PlateauCosine(optimizer, min_lr=0.1)
        follow(optimizer, schedule, [1.0] * 3)
        optimizer.param_groups[1]["lr"] = 7.0
        schedule.restart()
        assert rates(optimizer) == [1.0, 0.1]

    @pytest.mark.parametrize("mode", ["min", "max"])
    def test_meets_the_plateaus_that_torch_meets(self, mode: Any) -> None:
        values = np.random.default_rng(0).random(200).round(2).tolist()
        optimizer, reference = make_optimizer(1.0), make_optimizer(1.0)
        schedule = PlateauCosine(optimizer, min_lr=0.0, mode=mode)
        torchs = ReduceLROnPlateau(reference, mode=mode, factor=0.5, patience=3, eps=0.0)
        for value in values:
            schedule.step(value)
            torchs.step(value)
            assert schedule.peak == rates(reference)[0]

    def test_a_higher_value_is_better_where_told_so(self) -> None:
        optimizer = make_optimizer(1.0)
        schedule = PlateauCosine(optimizer, min_lr=0.1, patience=0, mode="max")
        follow(optimizer, schedule, [0.5, 0.6, 0.7])
        assert schedule.peak == 1.0
        schedule.step(0.6)
        assert schedule.peak == 0.5


class TestPlateau:
    @pytest.mark.parametrize("seed", range(5))
    def test_does_what_torchs_own_does(self, seed: int) -> None:
        values = np.random.default_rng(seed).normal(1.0, 0.1, 60).tolist()
        values[10:12] = [math.nan, math.inf]
        ours, torchs = make_optimizer(1e-4, 1e-5), make_optimizer(1e-4, 1e-5)
        one = Plateau(ours, factor=0.5, patience=3, min_lr=1e-6)
        other = ReduceLROnPlateau(torchs, factor=0.5, patience=3, min_lr=1e-6)
        assert follow(ours, one, values) == follow(torchs, other, values)  # type: ignore[arg-type]

    def test_a_value_that_is_no_number_is_a_bad_one(self) -> None:
        optimizer = make_optimizer(1.0)
        trace = follow(optimizer, Plateau(optimizer, patience=0), [0.5, math.nan, 0.4])
        assert [lr for (lr,) in trace] == [1.0, 1.0, 0.5]

    def test_a_release_forgets_bad_epochs_and_cooldown_but_not_the_best(self) -> None:
        optimizer = make_optimizer(1.0)
        schedule = Plateau(optimizer, patience=1, cooldown=5)
        follow(optimizer, schedule, [0.5, 0.6, 0.6, 0.6])  # 0.5 after the third, then in cooldown
        schedule.restart()
        # Bad epochs count at once, against the old best.
        assert follow(optimizer, schedule, [0.55, 0.55, 0.55]) == [[0.5], [0.5], [0.25]]

    def test_what_is_released_begins_at_its_configured_rate(self) -> None:
        optimizer = make_optimizer(1.0, 1.0)
        schedule = Plateau(optimizer, patience=0)
        follow(optimizer, schedule, [0.5, 0.6])
        schedule.release(optimizer.param_groups[1:])
        schedule.restart()
        assert follow(optimizer, schedule, [0.6, 0.6]) == [[0.5, 1.0], [0.25, 0.5]]


class TestCosine:
    def test_agrees_with_torchs_own(self) -> None:
        ours, torchs = make_optimizer(1e-4), make_optimizer(1e-4)
        one = Cosine(ours, epochs=40, min_lr=1e-6)
        other = CosineAnnealingLR(torchs, T_max=40, eta_min=1e-6)
        for _ in range(40):
            one.step(0.0)
            torchs.step()
            other.step()
            assert rates(ours) == pytest.approx(rates(torchs), rel=1e-9)

    def test_stays_at_the_end(self) -> None:
        optimizer = make_optimizer(1.0)
        schedule = Cosine(optimizer, epochs=2, min_lr=0.1)
        trace = follow(optimizer, schedule, [0.0] * 5)
        assert [lr for (lr,) in trace] == pytest.approx([1.0, 0.55, 0.1, 0.1, 0.1])

    def test_a_release_changes_nothing_and_lets_no_rate_from_outside_remain(self) -> None:
        optimizer, undisturbed = make_optimizer(1.0, 0.1), make_optimizer(1.0, 0.1)
        schedule = Cosine(optimizer, epochs=10)
        expected = follow(undisturbed, Cosine(undisturbed, epochs=10), [0.0] * 6)
        before = follow(optimizer, schedule, [0.0] * 3)
        optimizer.param_groups[1]["lr"] = 0.1
        schedule.restart()
        assert before + follow(optimizer, schedule, [0.0] * 3) == expected


def test_constant_is_constant() -> None:
    optimizer = make_optimizer(1e-4, 1e-5)
    schedule = Constant(optimizer)
    trace = follow(optimizer, schedule, [1.0] * 5)
    schedule.restart()
    assert [*trace, rates(optimizer)] == [[1e-4, 1e-5]] * 6


@pytest.mark.parametrize("name", NAMES)
def test_every_schedule_is_one_of_torchs(name: str) -> None:
    optimizer = make_optimizer(1.0, 0.5)
    schedule = build(name, optimizer)
    assert [group["initial_lr"] for group in optimizer.param_groups] == [1.0, 0.5]
    schedule.step(torch.tensor(1.0))
    assert schedule.get_last_lr() == rates(optimizer)
    assert isinstance(schedule, LRScheduler)


@pytest.mark.parametrize("name", ["cosine", "constant", "plateau_cosine"])
def test_groups_keep_their_ratio(name: str) -> None:
    optimizer = make_optimizer(1e-4, 1e-5, 0.0)
    trace = follow(optimizer, build(name, optimizer), [1.0] * 12)
    assert all(layer4 == pytest.approx(head / 10, rel=1e-12) and trunk == 0 for head, layer4, trunk in trace)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("stop", range(0, 16, 3))
def test_a_resumed_schedule_ends_as_one_that_was_not_stopped(name: str, stop: int) -> None:
    values = np.random.default_rng(stop).random(20).tolist()
    whole = make_optimizer(1e-4, 1e-5)
    uninterrupted = follow(whole, build(name, whole), values)
    first = make_optimizer(1e-4, 1e-5)
    stopped = build(name, first)
    before = follow(first, stopped, values[:stop])
    second = make_optimizer(1e-4, 1e-5)
    resumed = build(name, second)
    second.load_state_dict(first.state_dict())
    resumed.load_state_dict(stopped.state_dict())
    assert before + follow(second, resumed, values[stop:]) == uninterrupted


@pytest.mark.parametrize("name", NAMES)
def test_the_state_is_of_plain_values(name: str) -> None:
    optimizer = make_optimizer(1e-4, 1e-5)
    schedule = build(name, optimizer)
    follow(optimizer, schedule, [torch.tensor(1.0), np.float32(2.0)])  # type: ignore[list-item]
    for value in schedule.state_dict().values():
        for item in value if isinstance(value, list) else [value]:
            assert item is None or type(item) in {bool, int, float, str}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda optimizer: Plateau(optimizer, factor=1.5, patience=-1),
            "scheduler.factor is 1.5; it must lie between 0 and 1. scheduler.patience is -1; it must be 0 or more.",
        ),
        (
            lambda optimizer: Cosine(optimizer, epochs=0, min_lr=2.0),
            "scheduler.min_lr is 2.0; it must lie between 0 and the learning rate, 1.0. "
            "scheduler.epochs is 0; it must be 1 or more.",
        ),
        (
            lambda optimizer: PlateauCosine(optimizer, first_cycle=1),
            "scheduler.first_cycle is 1; it must be 2 or more.",
        ),
        (
            lambda optimizer: PlateauCosine(optimizer, mode="low"),  # type: ignore[arg-type]
            "scheduler.mode is 'low'; it must be 'min' or 'max'.",
        ),
    ],
)
def test_settings_out_of_range_are_refused(make: Any, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make(make_optimizer(1.0))
    assert str(caught.value) == message


def test_a_learning_rate_of_zero_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"The learning rate is 0\.0; a schedule needs one above 0\."):
        PlateauCosine(make_optimizer(0.0), min_lr=0.0)
