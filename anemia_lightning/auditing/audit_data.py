"""What `audit` does: surveys the photographs, finds what is wrong with them, writes it down."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
from omegaconf import DictConfig, OmegaConf

from anemia_lightning import wiring
from anemia_lightning.auditing.leakage import SHORTCUTS, compare_grains
from anemia_lightning.auditing.pictures import audit_albums
from anemia_lightning.auditing.record import audit_record
from anemia_lightning.command_line.settings import make_paths_absolute
from anemia_lightning.command_line.terminal import progress_bar, quiet, say, step_bars
from anemia_lightning.contracts import GRAINS
from anemia_lightning.data.audit import photos as tables
from anemia_lightning.data.audit.copies import count_copies, expect_leak, list_copies, measure_leak
from anemia_lightning.data.audit.evidence import Evidence
from anemia_lightning.data.audit.labels import LabelCheck, check_labels
from anemia_lightning.data.conflicts import resolve_conflicts
from anemia_lightning.data.guidelines import GUIDELINES
from anemia_lightning.data.labels import apply_rule
from anemia_lightning.data.preparation import Preparation, Prepared
from anemia_lightning.data.split_file import read_splits
from anemia_lightning.data.splits import assign_splits
from anemia_lightning.errors import (
    LabelConflictError,
    ManifestError,
    SplitFileError,
    SplitImpossibleError,
    SplitLeakError,
    UnsoundDataError,
)
from anemia_lightning.files.run_folder import RunFolder, write_json, write_table, write_text
from anemia_lightning.report.audit import write_audit_html, write_audit_markdown
from anemia_lightning.report.audit_lines import audit_lines
from anemia_lightning.report.sections import Album


def audit_data(cfg: DictConfig) -> dict[str, Any]:
    """Audits data, writes audit.json, audit.md, audit.html, copies.csv and grouping.csv, and returns the first.

    Raises:
        UnsoundDataError: After everything was written, if there is no sound split, or a given one leaks.
        AnemiaError: If the data cannot be read at all.
    """
    quiet()
    make_paths_absolute(cfg)
    folder = RunFolder(cfg.paths.run_dir)
    write_text(folder.settings, OmegaConf.to_yaml(cfg, resolve=True))
    preparation = wiring.build_preparation(cfg)
    prepared = _survey(preparation)
    described = tables.describe_photos(prepared.manifest, prepared.facts)
    grouping = _probe(cfg, described) if cfg.probes else None
    evidence = _weigh(cfg, preparation, prepared, described, grouping)
    audit = audit_record(cfg, prepared, evidence, grouping)
    albums = audit_albums(evidence.listed, prepared) if cfg.thumbnails else []
    _write(folder, audit, albums, copies=evidence.listed, grouping=grouping)
    say(*audit_lines(audit, folder.path))
    if not audit["sound"]:
        reasons = [finding["says"] for finding in audit["findings"] if finding["severity"] == "stop"]
        raise UnsoundDataError(cfg.data.name, reasons, folder.path / "audit.html")
    return audit


def _survey(preparation: Preparation) -> Prepared:
    """Returns all photos that can be read and have a label, contradictions among these included."""
    lenient = replace(preparation, on_unlabelled="drop", on_unreadable="skip", on_label_conflict="keep")
    with step_bars() as progress:
        return lenient(progress=progress)


def _probe(cfg: DictConfig, described: pd.DataFrame) -> pd.DataFrame:
    with progress_bar("probing for shortcuts") as progress:
        return compare_grains(described, folds=cfg.folds, repeats=cfg.repeats, seed=cfg.seed, progress=progress)


def _weigh(
    cfg: DictConfig,
    preparation: Preparation,
    prepared: Prepared,
    described: pd.DataFrame,
    grouping: pd.DataFrame | None,
) -> Evidence:
    manifest = prepared.manifest
    given, fault = _given_splits(cfg, manifest)
    return Evidence(
        described=described,
        excluded=prepared.excluded,
        copies=count_copies(manifest),
        listed=list_copies(manifest),
        expected_leak=expect_leak(manifest, test_share=cfg.test_share),
        given_leak=None if given is None else measure_leak(manifest, given),
        impossible=fault or _why_impossible(cfg, manifest, given),
        associations=tables.measure_associations(described),
        outliers=tables.find_outliers(described),
        missing=tables.count_missing(manifest),
        labels=_check_labels(preparation, manifest),
        flips=prepared.labels["flips"],
        near=prepared.near,
        probes={} if grouping is None else _shortcuts(grouping),
    )


def _given_splits(cfg: DictConfig, manifest: pd.DataFrame) -> tuple["pd.Series[str] | None", str | None]:
    """Returns the split that comes with the data, and what is wrong with the file that should say it."""
    if cfg.split.file:
        try:
            return read_splits(Path(cfg.split.file), manifest["photo"]), None
        except SplitFileError as error:
            return None, str(error)
    return (manifest["split"], None) if (manifest["split"] != "").any() else (None, None)


def _why_impossible(cfg: DictConfig, manifest: pd.DataFrame, given: "pd.Series[str] | None") -> str | None:
    """Tries to split the photos as training would; returns the reason where that is impossible."""
    splits = "" if given is None else given
    try:
        kept = resolve_conflicts(manifest.assign(split=splits), rule=cfg.data.on_label_conflict).manifest
        assign_splits(kept, fractions=wiring.plain(cfg.split.fractions), seed=cfg.split.seed)
    except SplitLeakError as error:
        # What the survey found to cross is told at length; the source may have named groups of its own.
        return None if given is not None and measure_leak(manifest, given)["crossing"].any() else str(error)
    except (LabelConflictError, ManifestError, SplitImpossibleError) as error:
        return str(error)
    return None


def _check_labels(preparation: Preparation, manifest: pd.DataFrame) -> LabelCheck:
    if preparation.labels.rule in GUIDELINES:
        return check_labels(manifest, margins=apply_rule(manifest, preparation.labels).table["margin_g_dl"])
    rules = [replace(preparation.labels, rule=name) for name in GUIDELINES]
    return check_labels(manifest, [apply_rule(manifest, rule).table["label"] for rule in rules])


def _shortcuts(grouping: pd.DataFrame) -> dict[str, tuple[float, float, float]]:
    """Returns what tells nothing of anaemia achieves with all copies kept together; nothing without such folds."""
    widest = grouping[grouping["grain"] == GRAINS[-1]].dropna().set_index("baseline")
    return {
        name: (float(widest["auroc"][name]), float(widest["low"][name]), float(widest["high"][name]))
        for name in SHORTCUTS
        if name in widest.index
    }


def _write(
    folder: RunFolder,
    audit: dict[str, Any],
    albums: Sequence[Album],
    *,
    copies: pd.DataFrame,
    grouping: pd.DataFrame | None,
) -> None:
    write_json(folder.path / "audit.json", audit)
    write_audit_markdown(folder.path / "audit.md", audit)
    write_audit_html(folder.path / "audit.html", audit, albums)
    write_table(folder.path / "copies.csv", copies)
    if grouping is not None:
        write_table(folder.path / "grouping.csv", grouping)
    folder.point_latest()
