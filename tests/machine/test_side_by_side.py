"""Answers come in order, and questions are not asked one after the other."""

from threading import Barrier

import pytest

from anemia_lightning.machine import side_by_side as module
from anemia_lightning.machine.side_by_side import side_by_side


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 100])
def test_answers_come_in_the_order_of_the_questions(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ASKED_AT_ONCE", 8)
    assert side_by_side(str, range(count)) == [str(number) for number in range(count)]


def test_several_are_asked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ASKED_AT_ONCE", 1)
    together = Barrier(2, timeout=30)
    assert sorted(side_by_side(lambda _: together.wait(), range(2))) == [0, 1]


def test_what_is_raised_by_one_is_raised_by_all() -> None:
    with pytest.raises(ZeroDivisionError):
        side_by_side(lambda number: 1 // number, [2, 1, 0])
