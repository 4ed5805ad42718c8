"""Continuing a run: its own settings, its own folder, its last checkpoint."""

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from anemia_lightning.command_line.settings import FILES, flat_settings, make_paths_absolute, quoted, unquoted
from anemia_lightning.errors import ConfigError, RunNotFoundError, SettingsChangedError
from anemia_lightning.files.run_folder import RunFolder, find_run, whole_run, write_text

Fixed = Callable[[DictConfig], Mapping[str, object]]
"""Returns the settings that may not change from one start of a run to the next, by dotted name."""

_CONTINUED_FROM = (
    "checkpoints/last.ckpt",
    "folds/*/checkpoints/last.ckpt",
    "folds/*/report.html",  # a fold without checkpoints is finished only once
    "pieces/*.json",  # of a speed comparison
)
"""What a run goes on from instead of starting anew."""

_BEGIN_OR_CONTINUE = "auto"
"""What `resume` says in a job that is started again by the same command line, as by the queue of a cluster."""

_ANEW = "start anew in another folder"
_IN_A_CHECKPOINT = (
    "optimizer.",
    "scheduler.",
    "model.learning_rate_factors.",
    # Early stopping files its state under what it monitors, so another monitor of its own starts afresh.
    "callbacks.checkpoint.monitor",
    "callbacks.checkpoint.mode",
)
"""Settings that a checkpoint's state belongs to: that of optimizer and schedule, and the best score so far."""

_OF_THE_START = ("split.", "init_from", "model.weights", "model.init_seed")
"""Settings that a run follows only when it begins; others would be recorded in its folder as if they had been used."""


def can_be_continued(run: Path) -> bool:
    """Returns whether a run has got so far that to continue it spares work."""
    return any(True for pattern in _CONTINUED_FROM for _ in run.glob(pattern))


def how_to_continue(run: Path, verb: str) -> str:
    """Returns in words how to continue a run, wherever `latest` leads by now.

    Args:
        run: A run that can be continued.
        verb: The command that continues it.
    """
    is_latest = find_run("last", ".", verb) == run.resolve()
    return f"Continue with resume={'last' if is_latest else repr(str(run.absolute()))}."


def continue_overrides(overrides: list[str], verb: str = "train", *, multirun: bool = False) -> list[str]:
    """Adds to a command line with `resume=` the overrides that the run was started with, and its folder.

    Folders and files that these name relative to where the run was started stay there, wherever it goes on from.
    What the command line says itself comes last and wins. A checkpoint that lies in no run folder is continued in
    a new one, with the command line's settings alone; only `train` continues from one. `resume=auto` begins the run in
    the folder that `hydra.run.dir` names, or continues it there; of a sweep each job does so by itself.

    Args:
        overrides: The command line.
        verb: The command.
        multirun: Whether this is a sweep.

    Raises:
        RunNotFoundError: If there is nothing to continue.
        ConfigError: If no folder is named in which to begin or to continue.
    """
    named = _value(overrides, "resume")
    if named == _BEGIN_OR_CONTINUE:
        folder = _folder_to_begin_in(overrides, multirun=multirun)
        if multirun:
            return overrides
        overrides = _begun_or_not(overrides, folder)
        named = _value(overrides, "resume")
    if named in (None, "null", ""):
        return overrides
    folder = _folder_of(named, _value(overrides, "paths.root") or ".", verb)
    recorded = folder / ".hydra" / "overrides.yaml"
    if not recorded.is_file():
        if named == "last" or Path(named).is_dir() or verb != "train":
            raise RunNotFoundError(named, str(recorded))
        return overrides
    original = [str(override) for override in OmegaConf.load(recorded)]
    kept = [override for override in original if not override.startswith(("resume=", "hydra.run.dir="))]
    relative = {override.partition("=")[0].lstrip("+") for override in kept}
    if named != "last":  # which is found below the root that the command line names, or the current folder
        relative.add("paths.root")
    return [*kept, *_paths(folder, relative), *overrides, f"hydra.run.dir={quoted(folder)}"]


def _folder_to_begin_in(overrides: list[str], *, multirun: bool) -> Path:
    """Returns the folder that a command line names, in which to begin or to continue a run or a sweep.

    Raises:
        ConfigError: If it names none.
    """
    what, key = ("sweep", "hydra.sweep.dir") if multirun else ("run", "hydra.run.dir")
    named = _value(overrides, key)
    if not named:
        raise ConfigError(
            [f"resume=auto continues the {what} in a folder of your choice, or begins it there: give {key}=FOLDER."]
        )
    return Path(named)


def _begun_or_not(overrides: list[str], folder: Path) -> list[str]:
    """Returns a command line that begins a run as one that continues it, where it has been begun already."""
    others = [override for override in overrides if not override.startswith("resume=")]
    return [*others, f"resume={quoted(folder)}"] if can_be_continued(folder) else others


def _paths(run: Path, named: set[str]) -> Iterator[str]:
    """Yields overrides that name folders and files as a run has recorded them: absolute.

    Args:
        run: Its folder.
        named: Settings that may name one relative to where the run was started, or groups of them.
    """
    recorded = RunFolder(run).settings
    settings = flat_settings(_read(recorded.read_text(encoding="utf-8"))) if recorded.is_file() else {}
    for key, value in settings.items():
        is_folder = key in ("paths.root", "data.root", "features.dir") or key.startswith("data.roots.")
        # A folder that has been moved together with the run is found as it was named. The files that a run began from
        # it does not read again, so that they need not be there any more.
        is_known = key in FILES or (is_folder and isinstance(value, str) and Path(value).exists())
        if is_known and named & {key, key.rpartition(".")[0]} and isinstance(value, str):
            yield f"{key}={quoted(value)}"


def named_folder(overrides: list[str]) -> Path | None:
    """Returns the run folder that a command line names, if it does."""
    named = _value(overrides, "hydra.run.dir")
    return Path(named) if named else None


@contextmanager
def overrides_of_what_was_done(folder: Path) -> Iterator[None]:
    """Puts back the overrides that a run was begun with where it did not take up those that it is started again with.

    Hydra writes them down before the run can refuse them, and the next start would take them up as the run's own.
    """
    recorded, taken_up = folder / ".hydra" / "overrides.yaml", RunFolder(folder).settings
    before, settings = _content(recorded), _content(taken_up)
    try:
        yield
    finally:
        if before is not None and settings == _content(taken_up):
            recorded.write_bytes(before)


def check_state_kept(cfg: DictConfig, checkpoint: Path) -> None:
    """Asserts that a run is not to be continued with settings over which what it has done already would prevail.

    Its checkpoint's own state prevails wherever it goes on, its splits and its first weights in its own folder.

    Raises:
        SettingsChangedError: If it is, and the settings that it was begun with lie in its folder.
    """
    folder = checkpoint.parent.parent
    recorded = folder / "config_resolved.yaml"
    instead = f"start a new run from its weights with init_from={checkpoint}"
    check_kept(cfg, recorded, _settings_of(_IN_A_CHECKPOINT), instead=instead)
    # The folds of a cross-validation share its settings, which it has compared, and it says where their splits lie now.
    is_fold = whole_run(folder) != folder
    if not is_fold and folder.resolve() == Path(cfg.paths.run_dir).resolve():
        check_kept(cfg, recorded, _settings_of(_OF_THE_START))


def begin_or_continue_job(cfg: DictConfig) -> None:
    """Lets a job of a sweep with `resume=auto` go on with what lies in its folder, if there is anything.

    A job is known by its place in the sweep, at which another command line may have put another job.

    Args:
        cfg: The job's settings; `resume` becomes its folder, or None where it begins.

    Raises:
        SettingsChangedError: If what lies there was done with other settings.
    """
    if cfg.get("resume") != _BEGIN_OR_CONTINUE:
        return
    folder = Path(cfg.paths.run_dir)
    cfg.resume = str(folder) if can_be_continued(folder) else None
    if cfg.resume:
        make_paths_absolute(cfg)
        # What `auto` came to stands in what was recorded.
        passed_by = {"resume", "trainer.precision"} if cfg.trainer.precision == "auto" else {"resume"}
        check_kept(cfg, folder / "config_resolved.yaml", _settings_of(("",), but=passed_by))


def check_kept(cfg: DictConfig, recorded: Path, fixed: Fixed, *, instead: str = _ANEW) -> None:
    """Asserts that what was done in a run folder already was done with the same settings.

    Args:
        cfg: The settings.
        recorded: Those that the folder's files come from, if there are any yet.
        fixed: Names those that may not change.
        instead: What the user may do who wants others.

    Raises:
        SettingsChangedError: If it was not.
    """
    if not recorded.is_file():
        return
    then, now = (
        fixed(_read(text)) for text in (recorded.read_text(encoding="utf-8"), OmegaConf.to_yaml(cfg, resolve=True))
    )
    changed = [key for key in {**then, **now} if then.get(key) != now.get(key)]
    if changed:
        raise SettingsChangedError(recorded.parent, changed, instead=instead)


def keep_settings(cfg: DictConfig, folder: RunFolder, fixed: Fixed) -> None:
    """Writes the settings, unless what was done in the folder already was done with others.

    Raises:
        SettingsChangedError: If it was.
    """
    check_kept(cfg, folder.settings, fixed)
    write_text(folder.settings, OmegaConf.to_yaml(cfg, resolve=True))


def resume_checkpoint(cfg: DictConfig) -> Path | None:
    """Returns the checkpoint that `resume` names, or None.

    Raises:
        RunNotFoundError: If it is not there.
    """
    if cfg.resume is None:
        return None
    path = Path(cfg.resume)
    if cfg.resume == "last" or path.is_dir():
        path = find_run(str(cfg.resume), cfg.paths.root) / "checkpoints" / "last.ckpt"
    if not path.is_file():
        raise RunNotFoundError(str(cfg.resume), str(path))
    return path


def _settings_of(names: tuple[str, ...], *, but: Collection[str] = ()) -> Fixed:
    """Returns what picks the single settings whose dotted names begin with one of these.

    Args:
        names: Beginnings; an empty one takes all.
        but: Dotted names to leave out.
    """

    def pick(cfg: DictConfig) -> dict[str, object]:
        settings = {key: value for key, value in flat_settings(cfg).items() if not isinstance(value, dict)}
        return {key: value for key, value in settings.items() if key.startswith(names) and key not in but}

    return pick


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def _read(text: str) -> DictConfig:
    settings = OmegaConf.create(text)
    assert isinstance(settings, DictConfig)
    return settings


def _folder_of(named: str, root: str, verb: str) -> Path:
    path = find_run(named, root, verb)
    return path.parent.parent if path.suffix == ".ckpt" else path


def _value(overrides: list[str], key: str) -> str | None:
    values = [override.split("=", 1)[1] for override in overrides if override.startswith(f"{key}=")]
    return unquoted(values[-1]) if values else None
