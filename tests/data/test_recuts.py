"""How many processes compare, and whether they live, changes nothing of what is found."""

from collections.abc import Iterator
from concurrent.futures import Executor, Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd
import pytest

from anemia_lightning.data import recuts
from anemia_lightning.data.fingerprints import Fingerprint, take_fingerprint
from anemia_lightning.data.recuts import compare_cuts
from anemia_lightning.data.sources.drawing import MIDDLE_A, draw_conjunctiva
from anemia_lightning.randomness import stream


@pytest.fixture(scope="module")
def prints() -> list[Fingerprint]:
    """Of 24 drawn photographs: more than a hundred pairs are worth comparing."""
    streams = (stream("a person for the tests of cut-outs", number) for number in range(24))
    return [take_fingerprint(draw_conjunctiva(MIDDLE_A, float(rng.uniform(0.4, 1.1)), rng)) for rng in streams]


@pytest.fixture(scope="module")
def alone(prints: list[Fingerprint]) -> pd.DataFrame:
    return compare_cuts(prints, processes=1)


@pytest.fixture(autouse=True)
def however_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recuts, "FEW_PAIRS", 0)
    monkeypatch.setattr(recuts, "_PAIRS_AT_ONCE", 16)


class Dying(Executor):
    """Makes so many parts, then is as a pool whose worker was killed."""

    def __init__(self, lives: int) -> None:
        self.lives = lives

    def submit(self, fn: Any, /, *args: Any, **_: Any) -> Future[Any]:
        future: Future[Any] = Future()
        if self.lives:
            self.lives -= 1
            future.set_result(fn(*args))
        else:
            future.set_exception(BrokenProcessPool("a worker was killed"))
        return future


@pytest.mark.parametrize("processes", [2, 3])
def test_processes_find_what_one_finds(prints: list[Fingerprint], alone: pd.DataFrame, processes: int) -> None:
    calls: list[tuple[int, int]] = []
    found = compare_cuts(prints, processes=processes, progress=lambda *call: calls.append(call))
    pd.testing.assert_frame_equal(found, alone, check_exact=True)
    assert len(calls) > 3
    assert calls[-1][0] == calls[-1][1] >= len(found)
    assert [done for done, _ in calls] == sorted({done for done, _ in calls})


@pytest.mark.parametrize("lives", [0, 1, 4])
def test_a_worker_that_is_killed_costs_nothing_but_time(
    prints: list[Fingerprint], alone: pd.DataFrame, lives: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def dying(_: int) -> Iterator[Executor]:
        yield Dying(lives)

    monkeypatch.setattr(recuts, "worker_processes", dying)
    pd.testing.assert_frame_equal(compare_cuts(prints, processes=2), alone, check_exact=True)


def test_a_system_that_starts_no_process_costs_nothing_but_time(
    prints: list[Fingerprint], alone: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_: int) -> None:
        raise PermissionError(13, "no semaphores here")

    monkeypatch.setattr(recuts, "worker_processes", refused)
    pd.testing.assert_frame_equal(compare_cuts(prints, processes=2), alone, check_exact=True)


def test_few_pairs_start_no_process(prints: list[Fingerprint], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recuts, "FEW_PAIRS", 10_000)
    monkeypatch.setattr(recuts, "worker_processes", None)
    assert len(compare_cuts(prints, processes=2)) > 0


@pytest.mark.parametrize("count", [0, 1])
def test_nothing_to_compare_is_no_special_case(prints: list[Fingerprint], count: int) -> None:
    found = compare_cuts(prints[:count], processes=2)
    assert found.columns.tolist() == ["first", "second", "score"]
    assert len(found) == 0
    assert found["score"].dtype == np.float64
