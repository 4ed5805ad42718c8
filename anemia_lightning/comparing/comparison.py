"""What `compare` does: finds runs, reads them, puts their numbers side by side, writes it down."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from omegaconf import DictConfig, ListConfig, OmegaConf

from anemia_lightning.command_line.terminal import progress_bar, quiet, say
from anemia_lightning.comparing.lines import comparison_lines
from anemia_lightning.comparing.records import Leftover, RunRecord, read_run
from anemia_lightning.comparing.result import comparison_record, comparison_table
from anemia_lightning.comparing.search import find_runs, short_names
from anemia_lightning.errors import ConfigError, NothingToCompareError, UnknownNameError
from anemia_lightning.files.run_folder import RunFolder, write_json, write_table, write_text
from anemia_lightning.plots.compared import Bounds, draw_compared
from anemia_lightning.plots.style import to_png
from anemia_lightning.report.compare import write_compare_html, write_compare_markdown


@dataclass(frozen=True)
class _Found:
    """What the settings lead to."""

    records: dict[str, RunRecord]
    """By name, the reference first."""
    leftovers: dict[str, Leftover]
    reference: str


def compare_runs(cfg: DictConfig) -> dict[str, Any]:
    """Compares runs, writes compare.json, compare.csv, compare.md and compare.html, and returns the first.

    Raises:
        ConfigError: If a setting is none that can be.
        NoRunsError: If a name or a pattern leads to no run.
        NothingToCompareError: If no run has come to its scores.
        UnknownNameError: If the reference is none of the runs.
    """
    quiet()
    _check(cfg)
    found = _find(cfg)
    folder = RunFolder(cfg.paths.run_dir)
    write_text(folder.settings, OmegaConf.to_yaml(cfg, resolve=True))
    with progress_bar("comparing runs") as progress:
        comparison = comparison_record(
            found.records,
            {name: (str(each.folder), each.reason) for name, each in found.leftovers.items()},
            reference=found.reference,
            resamples=cfg.resamples,
            level=cfg.level,
            progress=progress,
        )
    write_json(folder.path / "compare.json", comparison)
    write_table(folder.path / "compare.csv", comparison_table(comparison))
    write_compare_markdown(folder.path / "compare.md", comparison)
    figures = {name: to_png(drawing) for name, drawing in draw_runs(comparison).items()}
    write_compare_html(folder.path / "compare.html", comparison, figures=figures)
    folder.point_latest()
    say(*comparison_lines(comparison, folder.path))
    return comparison


def _check(cfg: DictConfig) -> None:
    problems = []
    if not 0 < cfg.level < 1:
        problems.append(f"level is a share between 0 and 1, not {cfg.level}.")
    if cfg.resamples < 1:
        problems.append(f"resamples must be at least 1, not {cfg.resamples}.")
    if not _named(cfg):
        problems.append("runs names nothing: give folders or patterns.")
    if problems:
        raise ConfigError(problems)


def _named(cfg: DictConfig) -> list[str]:
    return [str(each) for each in (cfg.runs if isinstance(cfg.runs, ListConfig) else [cfg.runs])]


def _find(cfg: DictConfig) -> _Found:
    """Returns the runs by short names; none is dropped without a word."""
    folders = find_runs(_named(cfg), cfg.paths.root)
    read = {name: read_run(folder) for name, folder in zip(short_names(folders), folders, strict=True)}
    records = {name: each for name, each in read.items() if isinstance(each, RunRecord)}
    leftovers = {name: each for name, each in read.items() if isinstance(each, Leftover)}
    if not records:
        raise NothingToCompareError({name: each.reason for name, each in leftovers.items()})
    if str(cfg.reference) in leftovers:
        raise NothingToCompareError({str(cfg.reference): leftovers[str(cfg.reference)].reason})
    reference = _reference(cfg.reference, records)
    others = {name: record for name, record in records.items() if name != reference}
    return _Found({reference: records[reference], **others}, leftovers, reference)


def _reference(named: object, records: Mapping[str, RunRecord]) -> str:
    if named is None:
        return next(iter(records))
    if str(named) in records:
        return str(named)
    place = Path(str(named)).resolve()
    for name, record in records.items():
        if record.folder == place:
            return name
    raise UnknownNameError("one of the runs, as the reference", str(named), list(records))


def draw_runs(comparison: Mapping[str, Any]) -> dict[str, Axes]:
    """Returns the AUROCs of the runs as a picture, and their differences from the reference where there are any."""
    names, level = [run["name"] for run in comparison["runs"]], f"[{100 * comparison['level']:g} % interval]"
    areas = [_bounds(run["scores"]["auroc"]) for run in comparison["runs"]]
    drawn = {"scores": draw_compared(names, areas, label=f"AUROC {level}", is_difference=False)}
    if comparison["differences"]:
        gaps = [
            "other photos or labels" if row["refused"] else _bounds(row["scores"]["auroc"])
            for row in comparison["differences"]
        ]
        label = f"AUROC less that of the reference {level}"
        drawn["differences"] = draw_compared(names, ["the reference", *gaps], label=label, is_difference=True)
    return drawn


def _bounds(found: Mapping[str, Any]) -> Bounds:
    return found["value"], found["low"], found["high"]
