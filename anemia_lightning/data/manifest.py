"""The manifest: one table of photos, whatever source they come from, checked as a whole."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from anemia_lightning.contracts import MANIFEST_COLUMNS
from anemia_lightning.data.labels import implausible_hemoglobin
from anemia_lightning.errors import Fault, ManifestError

_REQUIRED = ("photo", "path", "label")
_NUMBERS = ("age_months", "hemoglobin_g_dl")
_SPLITS = ("", "train", "val", "test")
_CLASS_NAMES = {0: "not anaemic", 1: "anaemic"}
_MISSING = ("", "na", "n/a", "nan", "none", "null")


def photo_id(source: str, path: Path, root: Path) -> str:
    """Returns the id of a photo: its source and its path relative to the data root.

    Example:
        >>> photo_id("folder", Path("/data/Anemic/a.png"), Path("/data"))
        'folder/Anemic/a.png'
    """
    return f"{source}/{path.relative_to(root).as_posix()}"


def build_manifest(
    rows: pd.DataFrame | Sequence[Mapping[str, object]], *, faults: Sequence[Fault] = ()
) -> pd.DataFrame:
    """Completes, types and checks a table of photos.

    Args:
        rows: At least photo, path and label for each photo. A photo without a patient becomes a patient of
            its own, one without a photo group a group of its own.
        faults: What the source has found wrong already, to be reported together with what is found here.

    Returns:
        `MANIFEST_COLUMNS`, then the source's own columns, sorted by photo id. Text is `str`, "" where it is
        missing; ids stay as they were written. The label is int64, 0 or 1; age and haemoglobin are float64.

    Raises:
        ManifestError: With all faults at once.
    """
    table = pd.DataFrame(rows if isinstance(rows, pd.DataFrame) else list(rows), dtype=object)
    if table.empty:
        raise ManifestError(faults or [Fault("no photo at all", [])])
    assert set(_REQUIRED) <= set(table), "a source names, places and labels each photo"
    table = _fill(table)
    found = [*faults, *_text_faults(table), *_label_faults(table)]
    for column in _NUMBERS:
        table[column], unclear = _numbers(table, column)
        found += unclear
    found += implausible_hemoglobin(table["hemoglobin_g_dl"].tolist(), table["photo"].tolist())
    found += _where(table, "an age below 0 months", table["age_months"] < 0, "age_months")
    if found:
        raise ManifestError(found)
    table["label"] = table["label"].astype(np.int64)
    require_both_classes(table)
    own = [column for column in table if column not in MANIFEST_COLUMNS]
    return table[[*MANIFEST_COLUMNS, *own]].sort_values("photo", ignore_index=True)


def require_both_classes(manifest: pd.DataFrame) -> None:
    """Asserts that there are photos of both classes.

    Raises:
        ManifestError: Naming the class that has none.
    """
    lacking = [label for label in (1, 0) if not (manifest["label"] == label).any()]
    if lacking:
        raise ManifestError([Fault(f"no photo with label {each} ({_CLASS_NAMES[each]})", []) for each in lacking])


def to_number(value: object) -> float:
    """Returns a number as a float, NaN where it is missing.

    Raises:
        ValueError: If it is neither missing nor a finite number.

    Example:
        >>> to_number("9.8"), to_number("NA")
        (9.8, nan)
    """
    text = _to_text(value).strip()
    if text.casefold() in _MISSING:
        return math.nan
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


def _fill(table: pd.DataFrame) -> pd.DataFrame:
    table = table.copy()
    for column in MANIFEST_COLUMNS:
        if column not in table:
            table[column] = ""
    for column in table.columns.difference([*_NUMBERS, "label"]):
        table[column] = _texts(table[column], is_path=column in ("photo", "path", "mask"))
    for column in ("patient", "photo_group"):
        table[column] = table[column].where(table[column] != "", table["photo"])
    return table


def _texts(values: "pd.Series[str]", *, is_path: bool) -> "pd.Series[str]":
    # Blanks around an id would make two patients of one; in the name of a file they may be meant.
    texts = [_to_text(value) if is_path else _to_text(value).strip() for value in values]
    return pd.Series(texts, index=values.index, dtype=object)


def _to_text(value: object) -> str:
    return "" if value is None or value is pd.NA or value != value else str(value)  # noqa: PLR0124 (NaN)


def _text_faults(table: pd.DataFrame) -> list[Fault]:
    unplaced = (table["photo"] == "") | (table["path"] == "")
    foreign = ~table["path"].map(_is_utf8).astype(bool)
    return [
        *_where(table, "photos listed more than once", table["photo"].duplicated(keep=False)),
        *_where(table, "photos without an id or a path", unplaced),
        *_where(table, "file names that are not valid UTF-8", foreign),
        *_where(table, "a split other than train, val, test or nothing", ~table["split"].isin(_SPLITS), "split"),
    ]


def _label_faults(table: pd.DataFrame) -> list[Fault]:
    sound = table["label"].map(lambda label: isinstance(label, int | float | np.number) and label in (0, 1))
    return _where(table, "a label other than 0 and 1", ~sound.astype(bool), "label")


def _numbers(table: pd.DataFrame, column: str) -> tuple[list[float], list[Fault]]:
    numbers, unclear = [], []
    for photo, value in zip(table["photo"], table[column], strict=True):
        try:
            numbers.append(to_number(value))
        except ValueError:
            numbers.append(math.nan)
            unclear.append(f"{photo} ('{value}')")
    return numbers, [Fault(f"{column} that is no number (decimals take a point)", unclear)] if unclear else []


def _where(table: pd.DataFrame, what: str, is_wrong: "pd.Series[bool]", value_column: str | None = None) -> list[Fault]:
    wrong = table[is_wrong].drop_duplicates("photo")
    # Names that are not valid UTF-8 could not even be printed.
    places = [photo.encode(errors="backslashreplace").decode() or "(no id)" for photo in wrong["photo"]]
    if value_column is not None:
        places = [f"{photo} ('{value}')" for photo, value in zip(places, wrong[value_column], strict=True)]
    return [Fault(what, places)] if places else []


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
