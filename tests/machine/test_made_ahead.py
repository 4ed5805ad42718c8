"""Results come in order, few are made before they are needed, and a fault ends it."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from anemia_lightning.machine.made_ahead import made_ahead


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("ahead", [0, 1, 5, 1000])
@pytest.mark.parametrize("count", [0, 1, 40])
def test_results_are_those_of_map(threads: int, ahead: int, count: int) -> None:
    with ThreadPoolExecutor(threads) as pool:
        assert list(made_ahead(pool, lambda item: item**2, range(count), ahead=ahead)) == [i**2 for i in range(count)]


@pytest.mark.parametrize("ahead", [0, 3])
def test_items_are_taken_as_results_are(ahead: int) -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for item in range(20):
            taken.append(item)
            yield item

    with ThreadPoolExecutor(2) as pool:
        for done, _ in enumerate(made_ahead(pool, str, items(), ahead=ahead), start=1):
            assert len(taken) <= done + ahead


def test_what_an_item_raises_comes_in_its_turn_and_the_rest_is_not_made() -> None:
    made: list[int] = []
    gate = threading.Event()

    def make(item: int) -> int:
        if item == 2:
            raise ValueError(item)
        if item > 2:
            gate.wait()
        made.append(item)
        return item

    with ThreadPoolExecutor(1) as pool:
        results = made_ahead(pool, make, range(100), ahead=10)
        assert [next(results), next(results)] == [0, 1]
        with pytest.raises(ValueError, match="2"):
            next(results)
        gate.set()
    # One thread may have begun the next item before the fault was met.
    assert made in ([0, 1], [0, 1, 3])
