"""What threads make ahead of who needs it, a few at a time, in the order of what it is made of."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Executor, Future
from typing import TypeVar

_In = TypeVar("_In")
_Out = TypeVar("_Out")


def made_ahead(
    pool: Executor, make: Callable[[_In], _Out], items: Iterable[_In], *, ahead: int = 64
) -> Generator[_Out]:
    """Yields what is made of each item, in their order.

    Unlike `Executor.map`, which hands out all items at once, it holds no more than `ahead` results and tasks beside the
    one that is due, however many items there are. Closing it takes back those that nobody works on yet.

    Args:
        pool: Who makes them.
        make: Called with an item; what it raises is raised in the item's turn.
        items: Taken one by one.
        ahead: How many are made, or wait to be made, while one is used.
    """
    waiting: deque[Future[_Out]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(make, item))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()
