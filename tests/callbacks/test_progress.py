"""What a person sees while a network trains."""

import importlib.util
import io
import sys
from collections.abc import Callable

import lightning as L
import pytest
from lightning.pytorch.callbacks import ProgressBar

from anemia_lightning.callbacks.progress import EpochLines, PlainBar, RichBar, progress_display

FitScript = Callable[..., L.Trainer]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_log_gets_one_line_per_epoch(fit_script: FitScript, capsys: pytest.CaptureFixture[str]) -> None:
    fit_script([0.75, 0.5], EpochLines())
    assert capsys.readouterr().out == (
        "epoch   0 of at most 2: val loss 0.750\n"
        "epoch   1 of at most 2: val loss 0.500\n"
    )  # fmt: skip


def test_other_processes_are_silent(fit_script: FitScript, capsys: pytest.CaptureFixture[str]) -> None:
    lines = EpochLines()
    lines.disable()
    fit_script([0.75], lines)
    assert capsys.readouterr().out == ""
    lines.enable()
    fit_script([0.75], lines)
    assert capsys.readouterr().out != ""


def test_a_pipe_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert isinstance(progress_display(), EpochLines)


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", Terminal())
    if importlib.util.find_spec("rich"):
        assert isinstance(progress_display(), RichBar)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert isinstance(progress_display(), PlainBar)


@pytest.mark.parametrize("kind", [RichBar, PlainBar])
def test_a_bar_leaves_the_same_line_behind(
    kind: type[ProgressBar], fit_script: FitScript, capsys: pytest.CaptureFixture[str]
) -> None:
    fit_script([0.75, 0.5], kind())
    shown = capsys.readouterr()
    lines = [line.strip() for line in (shown.out + shown.err).replace("\r", "\n").splitlines()]
    assert lines.count("epoch   0 of at most 2: val loss 0.750") == 1
    assert lines.count("epoch   1 of at most 2: val loss 0.500") == 1
