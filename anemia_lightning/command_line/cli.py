"""What every command does before and after its work: settings, run folder, messages, exit codes.

Nothing heavy is imported here: `--help` answers in about a second.
"""

import atexit
import gc
import logging
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import Any

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from anemia_lightning import __version__
from anemia_lightning.command_line.processes import is_first_process
from anemia_lightning.command_line.resuming import (
    Fixed,
    begin_or_continue_job,
    can_be_continued,
    check_kept,
    continue_overrides,
    how_to_continue,
    named_folder,
    overrides_of_what_was_done,
)
from anemia_lightning.command_line.settings import CONF, compose, make_paths_absolute, quoted, register_resolvers
from anemia_lightning.command_line.settings_check import check_settings, check_sweep
from anemia_lightning.errors import AnemiaError
from anemia_lightning.files.held_folder import held_folder

EXIT_DEFECT = 1
EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143
_TERMINATING = (signal.SIGTERM, signal.SIGUSR1)
"""What asks a command to end; the second is how SLURM warns of the end of a job (`sbatch --signal=USR1@120`)."""
_FAILED = "FAILED.txt"
_log = logging.getLogger(__name__)

Run = Callable[[DictConfig], Any]


class Terminated(BaseException):
    """SIGTERM or SIGUSR1 arrived; not an Exception, so that nothing on the way swallows it."""


def run_command(verb: str, run: Run, *, can_resume: bool = False, fixed: Fixed | None = None) -> None:
    """Runs one command line and ends the process with the right exit code.

    Args:
        verb: The command; its settings are conf/<verb>.yaml.
        run: Does the work; raises `AnemiaError` for what the user can mend.
        can_resume: Whether it takes `resume=`.
        fixed: Names the settings with which a run must be resumed that it was begun with; None where any may change.
    """
    arguments = sys.argv[1:]
    if "--version" in arguments:
        sys.stdout.write(f"anemia_lightning {__version__}\n")
        return
    register_resolvers()
    parsed = get_args_parser().parse_args(arguments)
    only_shows = parsed.help or parsed.hydra_help or parsed.cfg or parsed.info or parsed.shell_completion
    created = None
    ending = ExitStack()
    if not only_shows:
        try:
            overrides = parsed.overrides
            if can_resume:
                overrides = continue_overrides(overrides, verb, multirun=parsed.multirun)
            created = _check(verb, overrides, multirun=parsed.multirun, fixed=fixed)
        except AnemiaError as error:
            sys.exit(_explain(error))
        flags = [argument for argument in arguments if argument not in parsed.overrides]
        sys.argv[1:] = flags + overrides + _places(overrides, created, ending, multirun=parsed.multirun)
        for folder in _begun_before(overrides, created, multirun=parsed.multirun):
            ending.enter_context(overrides_of_what_was_done(folder))
    for signum in _TERMINATING:
        signal.signal(signum, _terminate)
    # At the end of a process Python looks through all objects for cycles, a second for those of the libraries.
    atexit.register(gc.freeze)
    resumed_by = verb if can_resume else None
    failures: list[AnemiaError] = []
    job = _sweep_job(run, resumed_by, failures) if parsed.multirun else _single_job(run, created, resumed_by)
    with ending:
        hydra.main(version_base="1.3", config_path=str(CONF), config_name=verb)(job)()
    # What a launcher has started elsewhere tells of a failure in its folder alone.
    failed = len(list(created.rglob(_FAILED))) if parsed.multirun and created else 0
    if failed:
        number = f"{failed} runs" if failed > 1 else "1 run"
        message = f"{number} of the sweep failed, and the others went on; FAILED.txt in its folder says why."
        sys.exit(_say(message, failures[0].exit_code if failures else AnemiaError.exit_code))


def _check(verb: str, overrides: list[str], *, multirun: bool, fixed: Fixed | None) -> Path | None:
    """Refuses settings that cannot be; makes the run folder of a single run and returns it if it is new.

    Of a sweep it returns where the jobs go.
    """
    if multirun:
        return check_sweep(verb, overrides)
    cfg = compose(verb, overrides)
    check_settings(cfg)
    if fixed:
        # Now, since Hydra writes down what was said, and the next start would take that up as the run's own.
        make_paths_absolute(cfg)
        check_kept(cfg, Path(cfg.paths.run_dir) / "config_resolved.yaml", fixed)
    folder = Path(cfg.paths.run_dir)
    # A named folder that is there already is that of a run that goes on, or else the user's own.
    if not is_first_process() or (named_folder(overrides) and folder.exists()):
        return None
    return make_run_folder(folder)


def _places(overrides: list[str], created: Path | None, ending: ExitStack, *, multirun: bool) -> list[str]:
    """Returns the overrides by which one process alone writes settings and logs into the folder of a run.

    Args:
        overrides: Those of the command line.
        created: The folder of a new run, or of a sweep.
        ending: Removes what is needed while the command works.
        multirun: Whether this is a sweep.
    """
    if multirun or is_first_process():
        return [f"hydra.{'sweep' if multirun else 'run'}.dir={quoted(created)}"] if created else []
    places = ["hydra.output_subdir=null"]
    named = named_folder(overrides)
    if not (named and named.exists()):
        # Who was started beside the first process cannot know the folder that this makes, and is not to make one first.
        place = TemporaryDirectory(prefix="anemia_lightning-", ignore_cleanup_errors=True)
        places.append(f"hydra.run.dir={quoted(ending.enter_context(place))}")
    return places


def _begun_before(overrides: list[str], created: Path | None, *, multirun: bool) -> list[Path]:
    """Returns the folders in which a command line may go on with what is there.

    Args:
        overrides: Those of the command line.
        created: The folder of a new run, or of a sweep.
        multirun: Whether this is a sweep.
    """
    if multirun:
        return [recorded.parents[1] for recorded in created.rglob(".hydra/overrides.yaml")] if created else []
    named = named_folder(overrides)
    return [named] if named and created is None and is_first_process() else []


def make_run_folder(path: Path) -> Path:
    """Makes a new folder that only its owner can read: it will hold personal data.

    Raises:
        OutputUnwritableError: If it cannot be made.
    """
    from anemia_lightning.errors import OutputUnwritableError

    try:
        path.mkdir(mode=0o700, parents=True)
    except OSError as error:
        raise OutputUnwritableError(path, error) from error
    return path


def _single_job(run: Run, created: Path | None, resumed_by: str | None) -> Run:
    def job(cfg: DictConfig) -> None:
        try:
            with _plain_end(cfg, resumed_by), _alone_in_its_folder(cfg):
                run(cfg)
        except AnemiaError as error:
            if not error.keeps_run:
                _remove_unfinished(created)
            # Who has resumed a run knows how to.
            how = how_to_continue(created, resumed_by) if created and resumed_by and can_be_continued(created) else ""
            sys.exit(_explain(error, how))
        # Of a job of a sweep that failed and now has come to its end.
        _failure(cfg).unlink(missing_ok=True)

    return job


def _sweep_job(run: Run, resumed_by: str | None, failures: list[AnemiaError]) -> Run:
    def job(cfg: DictConfig) -> float | None:
        """Returns the job's objective; a job that fails is recorded, and the sweep goes on."""
        Path(cfg.paths.run_dir).chmod(0o700)  # Hydra made it, for all to read
        try:
            with _plain_end(cfg, resumed_by, after=_rest_of_sweep(resumed_by)), _alone_in_its_folder(cfg):
                begin_or_continue_job(cfg)
                result = run(cfg)
        except AnemiaError as error:
            _failure(cfg).write_text(f"{error}\n", encoding="utf-8")
            _explain(error)
            failures.append(error)
            return float("nan")
        _failure(cfg).unlink(missing_ok=True)
        return getattr(result, "objective", None)

    return job


def _rest_of_sweep(resumed_by: str | None) -> str:
    """Returns what to say of the jobs that a sweep has not come to when it is stopped."""
    text = " The jobs of the sweep after this one have not been started"
    if resumed_by is None:
        return f"{text}."
    folder = quoted(Path(HydraConfig.get().sweep.dir).absolute())
    return f"{text}. The same command line with resume=auto hydra.sweep.dir={folder} goes on with them."


@contextmanager
def _alone_in_its_folder(cfg: DictConfig) -> Iterator[None]:
    """Keeps other commands out of a run folder; the processes of a distributed run work in it together."""
    if not is_first_process():
        yield
        return
    with held_folder(Path(cfg.paths.run_dir)):
        yield


def _failure(cfg: DictConfig) -> Path:
    return Path(cfg.paths.run_dir) / _FAILED


@contextmanager
def _plain_end(cfg: DictConfig, resumed_by: str | None, *, after: str = "") -> Iterator[None]:
    """Ends the process in plain words where the work is interrupted or defective; `AnemiaError` passes."""
    try:
        yield
    except AnemiaError:
        raise
    except KeyboardInterrupt:
        sys.exit(_say(_stopped("Interrupted", cfg, resumed_by) + after, EXIT_INTERRUPTED))
    except Terminated:
        sys.exit(_say(_stopped("Terminated", cfg, resumed_by) + after, EXIT_TERMINATED))
    except SystemExit as stop:
        # Lightning turns Ctrl-C during a fit into exit code 1.
        if isinstance(stop.__context__, KeyboardInterrupt):
            sys.exit(_say(_stopped("Interrupted", cfg, resumed_by) + after, EXIT_INTERRUPTED))
        raise
    except Exception as error:
        _log.exception("A defect of anemia_lightning")
        where = f"\nThe traceback is in {cfg.paths.run_dir}/{cfg.verb}.log." if is_first_process() else ""
        sys.exit(_say(f"A defect of ours: {type(error).__name__}: {error}{where}{after}", EXIT_DEFECT))


def _remove_unfinished(created: Path | None) -> None:
    """Leaves nothing behind of a run that ended before its first checkpoint, its own or one of its folds."""
    if created and not can_be_continued(created) and not any(created.rglob("*.ckpt")):
        logging.shutdown()
        shutil.rmtree(created, ignore_errors=True)


def _stopped(how: str, cfg: DictConfig, resumed_by: str | None) -> str:
    """Returns what to say of a run that was stopped, and how to go on with it where that is possible."""
    folder = Path(cfg.paths.run_dir)
    if resumed_by is None:
        return f"{how}."
    if not can_be_continued(folder):
        return f"{how} before there was anything to continue from: start again."
    return f"{how}. {how_to_continue(folder, resumed_by)}"


def _explain(error: AnemiaError, how_to_go_on: str = "") -> int:
    return _say(f"{error} {how_to_go_on}".rstrip(), error.exit_code)


def _say(message: str, code: int) -> int:
    sys.stderr.write(message + "\n")
    return code


def _terminate(signum: int, frame: FrameType | None) -> None:
    del signum, frame
    raise Terminated
