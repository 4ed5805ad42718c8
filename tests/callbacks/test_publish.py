"""When `latest` begins to name a run."""

from collections.abc import Callable
from pathlib import Path

import lightning as L

from anemia_lightning.callbacks.checkpoint import BestAndLastCheckpoint
from anemia_lightning.callbacks.publish import PublishRun

FitScript = Callable[..., L.Trainer]


def test_a_run_is_published_when_there_is_something_to_continue_from(fit_script: FitScript, tmp_path: Path) -> None:
    keep = BestAndLastCheckpoint(tmp_path, monitor="val/loss", mode="min")
    published = []

    def publish() -> None:
        published.append(keep.last.is_file())

    fit_script([3.0, 2.0, 1.0], PublishRun(keep.last, publish), keep)
    assert published
    assert all(published)


def test_without_a_checkpoint_it_is_not(fit_script: FitScript, tmp_path: Path) -> None:
    published: list[None] = []
    fit_script([3.0, 2.0], PublishRun(tmp_path / "last.ckpt", lambda: published.append(None)))
    assert published == []
