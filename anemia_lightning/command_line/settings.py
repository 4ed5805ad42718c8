"""The settings: where conf/ lies, and how it is composed outside of a command line."""

import difflib
import os
import re
import secrets
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from anemia_lightning.errors import ConfigError

_PACKAGE = Path(__file__).parents[1]
_INSTALLED = _PACKAGE / "conf"
CONF = _INSTALLED if _INSTALLED.is_dir() else _PACKAGE.parent / "conf"
"""The folder of the settings: inside the installed package, beside it in a checkout."""

FILES = ("model.weights", "init_from", "split.file")
"""Settings that may name a file relative to the current folder."""


def register_resolvers() -> None:
    """Makes ${random_suffix:} known, which keeps two runs of one second apart, ${cache_dir:} and ${best_is:score}."""
    # The cache lives in the config object, so one run has one suffix.
    OmegaConf.register_new_resolver("random_suffix", lambda: secrets.token_hex(4), use_cache=True, replace=True)
    OmegaConf.register_new_resolver("cache_dir", _cache_dir, replace=True)
    OmegaConf.register_new_resolver("best_is", best_is, replace=True)


def best_is(score: str) -> Literal["min", "max"]:
    """Returns whether the best value of a logged score is the lowest or the highest.

    Example:
        >>> best_is("val/loss"), best_is("val/auroc")
        ('min', 'max')
    """
    # What no score is called may be a number, and is refused in words elsewhere.
    return "min" if str(score).endswith("loss") else "max"


def compose(verb: str, overrides: Sequence[str] = (), *, run_dir: Path | str | None = None) -> DictConfig:
    """Composes a command's settings as its command line would, for tests, notebooks and checks.

    Args:
        verb: The command.
        overrides: As on the command line.
        run_dir: Where the run's files go; None for a new name under logs/.

    Raises:
        ConfigError: If an override cannot be applied; unknown keys are answered with the nearest known one, and a
            list of data sources with the way to unite them.
    """
    cfg = _compose_all(verb, overrides)
    with open_dict(cfg):
        cfg.paths.run_dir = str(run_dir) if run_dir else cfg.hydra.run.dir
        del cfg["hydra"]
    return cfg


def sweep_folder(verb: str, overrides: Sequence[str]) -> Path:
    """Returns where the jobs of a sweep go: a new folder, unless the overrides name one.

    Args:
        verb: The command.
        overrides: Of one of the jobs.
    """
    return Path(_compose_all(verb, overrides).hydra.sweep.dir)


def _compose_all(verb: str, overrides: Sequence[str]) -> DictConfig:
    """Returns a command's settings together with Hydra's own."""
    register_resolvers()
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        try:
            _refuse_choices(overrides)
            return hydra_compose(verb, list(overrides), return_hydra_config=True)
        except (HydraException, OmegaConfBaseException) as error:
            raise ConfigError([_in_words(verb, overrides, error)]) from error


def _refuse_choices(overrides: Sequence[str]) -> None:
    """Refuses what Hydra takes for a choice without a word, or answers with a traceback.

    It takes a list of choices for any group, and lays one over the other; and no null for any.
    """
    for override in OverridesParser.create().parse_overrides(list(overrides)):
        names = override.value()
        if names is None and not override.is_delete() and (CONF / override.key_or_group).is_dir():
            files = sorted(path.stem for path in (CONF / override.key_or_group).glob("[!_]*.yaml"))
            raise ConfigError(
                [f"{override.key_or_group}=null chooses nothing: leave it out, or choose one of {', '.join(files)}."]
            )
        if override.key_or_group == "data" and isinstance(names, list):
            listing = ",".join(map(str, names))
            roots = " ".join(f"data.roots.{name}=FOLDER" for name in names)
            raise ConfigError(
                [
                    f"data=[{listing}] would lay the settings of these sources over one another, not unite their "
                    f"photographs. Name one source, or for a union: data=union 'data.sources=[{listing}]' {roots}"
                ]
            )


def _cache_dir() -> str:
    """Returns the user's cache folder, as the XDG base directory specification has it."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return str(Path(base) / "anemia_lightning")


def make_paths_absolute(cfg: DictConfig) -> None:
    """Anchors relative folders and files at the current folder, so that a run can be continued from elsewhere."""
    cfg.paths.root = str(Path(cfg.paths.root).absolute())
    if cfg.get("features") and cfg.paths.cache:
        cfg.features.dir = str(Path(cfg.features.dir).absolute())
    if cfg.data.get("root"):
        cfg.data.root = _absolute(cfg.data.root)
    for name, root in cfg.data.get("roots", {}).items():
        cfg.data.roots[name] = _absolute(root) if root else None
    for key in FILES:
        # Weights may also be a name of torchvision's.
        if (named := OmegaConf.select(cfg, key)) and Path(named).expanduser().is_file():
            OmegaConf.update(cfg, key, _absolute(named))


def _absolute(path: str) -> str:
    """Returns where what a user names lies; `~` is the home folder."""
    return str(Path(path).expanduser().absolute())


def quoted(text: str | Path) -> str:
    """Returns a text as an override can hold it, whatever characters are in it."""
    return "'" + str(text).replace("'", "\\'") + "'"


def unquoted(value: str) -> str:
    """Returns the text that an override holds."""
    if len(value) > 1 and value[0] == value[-1] == "'":
        return value[1:-1].replace("\\'", "'")
    return value.strip("'\"")


def _in_words(verb: str, overrides: Sequence[str], error: Exception) -> str:
    text = str(error.__cause__ or error)
    unknown = re.search(r"full_key: (\S+)", text)
    if "is not in struct" in text and unknown:
        return _unknown_key(verb, overrides, unknown[1])
    return hydra_words(error)


def hydra_words(error: Exception) -> str:
    """Returns in one line what Hydra says of settings that it cannot read or compose."""
    return " ".join(str(error).split())


def _unknown_key(verb: str, overrides: Sequence[str], key: str) -> str:
    # Each choice of a group has settings of its own.
    chosen = [override for override in overrides if (CONF / override.partition("=")[0]).is_dir()]
    known = list(flat_settings(compose(verb, chosen)))
    nearest = difflib.get_close_matches(key, known, n=1, cutoff=0.0)
    return f"Unknown setting {key}. The nearest known one is {nearest[0]}."


def switched_on(cfg: DictConfig) -> dict[str, DictConfig]:
    """Returns the callbacks that are not switched off, by name.

    With `callbacks=none` a preset that sets something of a callback leaves just that, and nothing to build it from.
    """
    return {str(name): callback for name, callback in cfg.callbacks.items() if callback and "_target_" in callback}


def flat_settings(cfg: DictConfig) -> dict[str, object]:
    """Returns all settings by dotted name, groups too; interpolations and missing values as they are written."""
    return dict(_flatten(OmegaConf.to_container(cfg), prefix=""))


def _flatten(values: object, prefix: str) -> Iterator[tuple[str, object]]:
    if isinstance(values, dict):
        for name, value in values.items():
            yield f"{prefix}{name}", value
            yield from _flatten(value, f"{prefix}{name}.")
