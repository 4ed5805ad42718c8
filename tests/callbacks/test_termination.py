"""Several processes end together, and this one as its command says."""

import os
import signal
import time
from collections.abc import Iterator
from types import FrameType, SimpleNamespace
from typing import Any, cast

import lightning as L
import pytest

from anemia_lightning.callbacks.termination import EndTogether, end_others


class Told(Exception):  # noqa: N818
    """The command has had its answer."""


def own(signum: int, frame: FrameType | None) -> None:
    raise Told


def of_lightning(signum: int, frame: FrameType | None) -> None:
    pytest.fail("Lightning answered")


class Launcher:
    """Has started one process."""

    def __init__(self) -> None:
        self.procs = ["a process"]
        self.watched = self.procs
        self.sent: list[int] = []

    def kill(self, signum: int) -> None:
        self.sent.append(signum)


@pytest.fixture(autouse=True)
def _handler_of_lightning() -> Iterator[None]:
    before = signal.signal(signal.SIGTERM, of_lightning)
    yield
    signal.signal(signal.SIGTERM, before)


def trainer(launcher: Launcher | None, *, processes: int = 2, handler: object = own) -> L.Trainer:
    connector = SimpleNamespace(_original_handlers={signal.SIGTERM: handler})
    strategy = SimpleNamespace(launcher=launcher)
    return cast("L.Trainer", SimpleNamespace(world_size=processes, _signal_connector=connector, strategy=strategy))


def terminate_this_process() -> None:
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(10)


def test_the_command_answers_and_the_others_end() -> None:
    launcher = Launcher()
    EndTogether().on_train_start(trainer(launcher), cast("Any", None))
    with pytest.raises(Told):
        terminate_this_process()
    assert launcher.sent == [signal.SIGKILL]
    assert launcher.watched == [], "nobody is left whose end could be taken for a defect"


@pytest.mark.parametrize("of", [{"processes": 1}, {"handler": signal.SIG_DFL}])
def test_nothing_changes_for_one_process_or_without_a_command(of: dict[str, Any]) -> None:
    EndTogether().on_train_start(trainer(Launcher(), **of), cast("Any", None))
    assert signal.getsignal(signal.SIGTERM) is of_lightning


def test_who_has_started_nobody_ends_nobody() -> None:
    end_others(trainer(None))
