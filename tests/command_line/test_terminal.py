import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import lightning
import pytest
from lightning.pytorch import Trainer
from lightning.pytorch.trainer.call import _call_callbacks_on_load_checkpoint

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


def test_a_run_that_goes_on_without_its_limit_of_time_is_not_told_to_take_it_back() -> None:
    trainer = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False)

    def resume(callback: str) -> None:
        version = lightning.__version__
        _call_callbacks_on_load_checkpoint(trainer, {"callbacks": {callback: {}}, "pytorch-lightning_version": version})

    with warnings.catch_warnings():
        terminal.quiet()
        resume("Timer")
        with pytest.warns(UserWarning, match="add the following callbacks"):
            resume("Another")
