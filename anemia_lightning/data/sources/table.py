"""The source `table`: a CSV, Parquet or Excel file with one row per photo."""

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath

import pandas as pd

from anemia_lightning.contracts import COLOUR_PREFIX, FACT_COLUMNS, GROUP_COLUMNS, MANIFEST_COLUMNS, UNKNOWN_LABEL
from anemia_lightning.data.exclusions import EXCLUDE_REASON
from anemia_lightning.data.group_columns import AGE_BAND, BACKGROUND
from anemia_lightning.data.listing import data_folder, is_file
from anemia_lightning.data.manifest import build_manifest, photo_id
from anemia_lightning.data.sheet import has_column, read_sheet, require_columns
from anemia_lightning.errors import ConfigError, Fault, SourceError
from anemia_lightning.machine.side_by_side import side_by_side

_ROLES = (
    *("photo", "label", "patient", "photo_group", "site", "sex", "age_months", "hemoglobin_g_dl"),
    *("pregnancy", "altitude_m", "cigarettes_per_day", "severity", "device", "mask", "split"),
)

_OURS = (*FACT_COLUMNS, *GROUP_COLUMNS, AGE_BAND, BACKGROUND, EXCLUDE_REASON)
"""Columns that are added to a manifest, or understood by their name."""

Value = str | int | float | bool


def read_table(
    *,
    root: str | Path | None,
    table: str | Path,
    positive_label: Value | Sequence[Value] = "1",
    negative_label: Value | Sequence[Value] = "0",
    columns: Mapping[str, str | None] | None = None,
    keep_columns: Sequence[str] = (),
    source: str = "table",
) -> pd.DataFrame:
    """Reads photographs that a table lists.

    Only photo and label or haemoglobin must be there: photo and mask are paths with '/', haemoglobin is in g/dL,
    ids are text, and split is train, val, test or nothing. A blank label is an unknown one. Without a column of
    patients each photo is a patient of its own. Column names and labels match whatever their case.

    Args:
        root: The folder that paths in the table are relative to; none may lead out of it.
        table: The .csv, .parquet or .xlsx file, relative to `root` or absolute.
        positive_label: What the label column says of anaemic photos; may be several.
        negative_label: What it says of the others.
        columns: The table's names for photo, label, patient, photo_group, site, sex, age_months,
            hemoglobin_g_dl, pregnancy, altitude_m, cigarettes_per_day, severity, device, mask and split, where they
            differ from these. A column with a name of its own must be there; None leaves it out.
        keep_columns: Further columns of the table, which stay as they are: the groups of any can be judged apart.
        source: First part of the photo ids.

    Returns:
        The manifest.

    Raises:
        ConfigError: If the settings contradict each other.
        SourceError: If the folder, the table or its columns are not there.
        ManifestError: With all that is wrong in the rows.
    """
    change = "Set data.root to the folder that the table's paths start from."
    folder = data_folder(root, sought="the folder of the table's photographs", change=change)
    file = folder / Path(table).expanduser()
    rows = _read_columns(file, _names_by_role(columns or {}) | _kept(keep_columns))
    faults: list[Fault] = []
    rows["path"] = _locate(folder, rows["photo"], "photographs", faults)
    if "mask" in rows:
        rows["mask"] = _locate(folder, rows["mask"], "masks", faults)
    rows["label"] = _labels(rows, positive_label, negative_label, faults)
    if "split" in rows:
        rows["split"] = rows["split"].str.lower()
    unnamed = rows["photo"] == ""
    if unnamed.any():
        faults.append(Fault("rows without a photo", [f"row {row}" for row in rows.index[unnamed]]))
    usable = rows[~unnamed & rows.notna().all(axis=1)]
    ids = [photo_id(source, path, folder) for path in usable["path"]]
    return build_manifest(usable.assign(photo=ids, source=source), faults=faults)


def _names_by_role(columns: Mapping[str, str | None]) -> dict[str, str]:
    """Returns the table's name for each column that may be read."""
    if unknown := sorted(set(columns) - set(_ROLES)):
        raise ConfigError([f"data.columns has {', '.join(unknown)}; it takes {', '.join(_ROLES)}."])
    names = {role: str(name) for role in _ROLES if (name := columns.get(role, role)) is not None}
    if "photo" not in names:
        raise ConfigError(["data.columns.photo is null, but needed."])
    if not {"label", "hemoglobin_g_dl"} & set(names):
        raise ConfigError(["data.columns.label and data.columns.hemoglobin_g_dl are null; one of them is needed."])
    return names


def _kept(columns: Sequence[str]) -> dict[str, str]:
    """Returns the further columns under their own names, which are no names of ours."""
    if taken := [name for name in columns if name in (*_ROLES, *MANIFEST_COLUMNS)]:
        raise ConfigError([f"data.keep_columns has {', '.join(taken)}, which data.columns reads."])
    if ours := [name for name in columns if name in _OURS or name.startswith(COLOUR_PREFIX)]:
        change = "which is our name for a column of our own: rename it in the table."
        raise ConfigError([f"data.keep_columns has {', '.join(ours)}, {change}"])
    return {name: name for name in columns}


def _read_columns(file: Path, names: dict[str, str]) -> pd.DataFrame:
    """Returns the columns that are there, by their roles; those that the settings name must be there."""
    sheet = read_sheet(file)
    optional = set(_ROLES) - {"photo"}
    needed = {
        role: name for role, name in names.items() if role not in optional or name != role or has_column(sheet, name)
    }
    if not {"label", "hemoglobin_g_dl"} & set(needed):
        change = "Name one that is there with data.columns.label or data.columns.hemoglobin_g_dl."
        raise SourceError(f"the column 'label' or 'hemoglobin_g_dl' in {file}", "neither", change)
    spelling = require_columns(sheet, list(needed.values()), file)
    unused = sheet.columns.difference(list(spelling.values()))
    similar = [name for name in map(str, unused) if "patient" in name.casefold()]
    # To overlook a column of patients would let their photos cross the split.
    if "patient" in names and "patient" not in needed and similar:
        found = f"'{similar[0]}', which nothing refers to"
        change = f"Set data.columns.patient={similar[0]}, or to null if each photo is a patient of its own."
        raise SourceError(f"the column 'patient' in {file}", found, change)
    return pd.DataFrame({role: sheet[spelling[name]] for role, name in needed.items()})


def _locate(folder: Path, cells: "pd.Series[str]", noun: str, faults: list[Fault]) -> "pd.Series[str]":
    """Returns where the files lie, "" where none is named, None where one cannot be used."""
    places: dict[object, Path | str | None] = {}
    outside, missing = [], []
    inners = [PurePosixPath(cell) for cell in cells]
    are_there = side_by_side(is_file, [folder / inner for inner in inners])
    for (row, cell), inner, is_there in zip(cells.items(), inners, are_there, strict=True):
        places[row] = None
        if inner.is_absolute() or ".." in inner.parts or PureWindowsPath(cell).drive:
            outside.append(f"{cell} (row {row})")
        elif cell and not is_there:
            missing.append(f"{cell} (row {row})")
        else:
            places[row] = folder / inner if cell else ""
    if outside:
        faults.append(Fault(f"{noun} by paths that are not relative to {folder} or lead out of it", outside))
    if missing:
        faults.append(Fault(f"{noun} that are not in {folder}", missing))
    return pd.Series(places, dtype=object)


def _labels(
    rows: pd.DataFrame, positive: Value | Sequence[Value], negative: Value | Sequence[Value], faults: list[Fault]
) -> "pd.Series[int]":
    """Returns labels by their names, `UNKNOWN_LABEL` where there is none."""
    anaemic, healthy = _names(positive), _names(negative)
    if both := sorted(anaemic & healthy):
        raise ConfigError([f"data.positive_label and data.negative_label both name {', '.join(both)}."])
    meaning = dict.fromkeys(healthy, 0) | dict.fromkeys(anaemic, 1)
    meaning.setdefault("", UNKNOWN_LABEL)
    cells = rows.get("label", pd.Series("", index=rows.index, dtype=object))
    labels = {row: meaning.get(cell.casefold()) for row, cell in cells.items()}
    strange = [f"'{cell}' (row {row})" for row, cell in cells.items() if labels[row] is None]
    if strange:
        known = f"{' or '.join(sorted(anaemic))} (anaemic) nor {' or '.join(sorted(healthy))} (not anaemic)"
        faults.append(
            Fault(f"labels that are neither {known}, see data.positive_label and data.negative_label", strange)
        )
    return pd.Series(labels, dtype=object)


def _names(labels: Value | Sequence[Value]) -> set[str]:
    # YAML reads 1 and true as a number and a truth value; in the table they are text.
    each = [labels] if isinstance(labels, Value) else labels
    return {str(label).strip().casefold() for label in each}
