from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from anemia_lightning.command_line import terminal


def test_one_bar_is_open_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[object, ...]] = []

    @contextmanager
    def bar(description: str) -> Iterator[Callable[[int, int], None]]:
        seen.append(("open", description))
        yield lambda done, total: seen.append((done, total))
        seen.append(("close", description))

    monkeypatch.setattr(terminal, "progress_bar", bar)
    with terminal.step_bars() as show:
        assert seen == []
        show("reading", 1, 2)
        show("reading", 2, 2)
        show("comparing", 1, 1)
    assert seen == [
        ("open", "reading"),
        (1, 2),
        (2, 2),
        ("close", "reading"),
        ("open", "comparing"),
        (1, 1),
        ("close", "comparing"),
    ]
