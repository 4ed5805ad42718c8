"""Many short questions to a disk, asked side by side: over a network each answer takes its time."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_In = TypeVar("_In")
_Out = TypeVar("_Out")

_ASKERS = 16
_ASKED_AT_ONCE = 256
"""To hand over a single question takes longer than its answer from a disk of this machine."""


def side_by_side(ask: Callable[[_In], _Out], about: Sequence[_In]) -> list[_Out]:
    """Returns the answers, in the order of what is asked about.

    Args:
        ask: Asks for one; what it raises is raised here.
        about: What to ask about.
    """
    parts = [about[start : start + _ASKED_AT_ONCE] for start in range(0, len(about), _ASKED_AT_ONCE)]
    with ThreadPoolExecutor(_ASKERS) as pool:
        return [answer for part in pool.map(lambda part: [ask(each) for each in part], parts) for answer in part]
