"""The training runs of a cross-validation: one after the other or side by side, each finished only once."""

from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import torch
from omegaconf import DictConfig, OmegaConf, open_dict

from anemia_lightning.command_line.settings import register_resolvers
from anemia_lightning.command_line.terminal import say
from anemia_lightning.data.preparation import Prepared
from anemia_lightning.errors import MixedWeightsError
from anemia_lightning.files.run_folder import RunFolder, is_finished, read_run_card
from anemia_lightning.machine.worker_processes import worker_processes
from anemia_lightning.photos import restore_datamodule


@dataclass(frozen=True)
class FoldRun:
    """One fold of a cross-validation, as a training run in a folder of its own."""

    name: str
    folder: Path
    split_file: Path

    @property
    def is_finished(self) -> bool:
        """Whether the run has come to its end."""
        return is_finished(self.folder)


def run_folds(cfg: DictConfig, runs: Sequence[FoldRun], prepared: Prepared, *, jobs: int) -> None:
    """Trains and scores every fold that is not finished; one that was interrupted continues where it stopped.

    Args:
        cfg: The settings of the cross-validation.
        runs: Its folds.
        prepared: The photos, so that no fold surveys them again.
        jobs: Folds side by side, each in a process of its own with its share of the cores.

    Raises:
        DataChangedError: If a fold was trained on photos that are no longer these.
    """
    for run in runs:
        if run.is_finished:  # its predictions are pooled with those of folds that are still to be trained
            restore_datamodule(fold_settings(cfg, run), prepared, RunFolder(run.folder))
    left = [run for run in runs if not run.is_finished]
    if len(left) < len(runs):
        say(f"{len(runs) - len(left)} of {len(runs)} folds are finished already.")
    if jobs == 1:
        for run in left:
            say("", f"Fold {runs.index(run) + 1} of {len(runs)}: {run.name}")
            _train(fold_settings(cfg, run), prepared)
        return
    threads = max(1, torch.get_num_threads() // jobs)
    waiting, done = iter(left), 0
    tasks: dict[Future[None], FoldRun] = {}
    with worker_processes(jobs) as pool:
        # No more at a time than there are workers: what waits in a pool's pipe can keep it from closing (gh-94777).
        while done < len(left):
            for run in islice(waiting, jobs - len(tasks)):
                tasks[pool.submit(_train_apart, fold_settings(cfg, run), prepared, threads)] = run
            for task in wait(tasks, return_when=FIRST_COMPLETED).done:
                task.result()
                done += 1
                say(f"{done} of {len(left)} folds done: {tasks.pop(task).name}")


def begun_precision(runs: Sequence[FoldRun]) -> str | None:
    """Returns the precision of the first fold that was begun, so that all have the same; None where none was."""
    cards = (read_run_card(RunFolder(run.folder).run_json) for run in runs if run.folder.is_dir())
    return next((card["precision"] for card in cards if "precision" in card), None)


def check_one_start(run: Path, folds: Sequence[FoldRun]) -> None:
    """Asserts that all finished folds started from the same weights.

    The file may have changed since the first fold, or the download have failed for some of them alone.

    Raises:
        MixedWeightsError: If they did not.
    """
    starts = {fold.name: read_run_card(RunFolder(fold.folder).run_json).get("weights") for fold in folds}
    first = folds[0].name
    if other := next((name for name, weights in starts.items() if weights != starts[first]), None):
        raise MixedWeightsError(run, first, other)


def fold_settings(cfg: DictConfig, run: FoldRun) -> DictConfig:
    """Returns the settings of one fold's training run."""
    settings = OmegaConf.create(OmegaConf.to_container(cfg))
    assert isinstance(settings, DictConfig)
    with open_dict(settings):
        for key in ("folds", "repeats", "leave_out", "jobs"):
            del settings[key]
        settings.verb = "train"
        # The cross-validation looks at photos of all folds together.
        settings.evaluation.probe_photos = 0
        settings.paths.run_dir = str(run.folder)
        settings.split.file = str(run.split_file)
        last = RunFolder(run.folder).last
        settings.resume = str(last) if last.is_file() else None
    return settings


def _train(cfg: DictConfig, prepared: Prepared) -> None:
    from anemia_lightning.fitting.training import train_run

    train_run(cfg, prepared=prepared)


def _train_apart(cfg: DictConfig, prepared: Prepared, threads: int) -> None:
    torch.set_num_threads(threads)
    register_resolvers()
    log = Path(cfg.paths.run_dir) / "fold.log"
    with log.open("a", encoding="utf-8") as file, redirect_stdout(file), redirect_stderr(file):
        _train(cfg, prepared)
