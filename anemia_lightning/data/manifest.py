"""The manifest: one table of photos, whatever source they come from, checked as a whole."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from anemia_lightning.contracts import MANIFEST_COLUMNS, UNKNOWN_LABEL
from anemia_lightning.data.guidelines import ASKED_FROM_MONTHS, Person, is_impossible_pregnancy
from anemia_lightning.data.hemoglobin import implausible_hemoglobin
from anemia_lightning.errors import Fault, ManifestError

OLDEST_MONTHS = 120 * 12
ALTITUDES_M = (-500, 6000)
"""People live between these."""

PREGNANCIES = ("no", "1", "2", "3", "yes")
"""Not pregnant, the trimester, or pregnant in one that is not known."""

SEVERITIES = ("", "none", "mild", "moderate", "severe")
"""Unknown, then from well to worst."""

_REQUIRED = ("photo", "path", "label")
_NUMBERS = ("age_months", "hemoglobin_g_dl", "altitude_m", "cigarettes_per_day")
_SEXES = {"f": "female", "woman": "female", "girl": "female", "m": "male", "man": "male", "boy": "male"}
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
        missing; ids stay as they were written. The label is int64: 0, 1, or `UNKNOWN_LABEL` where there is none. Age,
        haemoglobin, altitude and cigarettes are float64, NaN where they are missing. Sex is female or male however it
        was written (f, Man, girl); pregnancy is one of `PREGNANCIES` or "", and whoever is pregnant is neither male
        nor below 10 years; nor is a smoker below 10 years.

    Raises:
        ManifestError: With all faults at once.
    """
    table = pd.DataFrame(rows if isinstance(rows, pd.DataFrame) else list(rows), dtype=object)
    if table.empty:
        raise ManifestError(faults or [Fault("no photo at all", [])])
    assert set(_REQUIRED) <= set(table), "a source names, places and labels each photo"
    table = _fill(table)
    found = [*faults, *_text_faults(table)]
    for column in _NUMBERS:
        table[column], unclear = _numbers(table, column)
        found += unclear
    found += _label_faults(table)
    found += implausible_hemoglobin(table["hemoglobin_g_dl"].tolist(), table["photo"].tolist())
    found += [*_range_faults(table), *_pregnancy_faults(table), *_smoking_faults(table)]
    if found:
        raise ManifestError(found)
    table["label"] = table["label"].astype(np.int64)
    own = [column for column in table if column not in MANIFEST_COLUMNS]
    return table[[*MANIFEST_COLUMNS, *own]].sort_values("photo", ignore_index=True)


def require_both_classes(manifest: pd.DataFrame, *, left_out: pd.DataFrame | None = None) -> None:
    """Asserts that there are photos of both classes.

    Args:
        manifest: The photos.
        left_out: Those that were left out before, with the `reason`.

    Raises:
        ManifestError: Naming the class that has none, and what was left out.
    """
    lacking = [label for label in (1, 0) if not (manifest["label"] == label).any()]
    if lacking:
        faults = [Fault(f"no photo with label {each} ({_CLASS_NAMES[each]})", []) for each in lacking]
        if left_out is not None and len(left_out):
            reasons = zip(left_out["photo"], left_out["reason"], strict=True)
            faults.append(Fault("photos left out", [f"{photo} ({reason})" for photo, reason in reasons]))
        raise ManifestError(faults)


def foreign_names(photos: pd.DataFrame) -> list[Fault]:
    """Returns the fault of files whose names no table could hold, if there are any.

    Args:
        photos: Columns photo and path.
    """
    return _where(photos, "file names that are not valid UTF-8", ~photos["path"].map(_is_utf8).astype(bool))


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
    for column in ("sex", "pregnancy"):
        table[column] = [_word(cell) for cell in table[column]]
    table["severity"] = [cell.casefold() for cell in table["severity"]]
    for column in ("patient", "photo_group"):
        table[column] = table[column].where(table[column] != "", table["photo"])
    return table


def _texts(values: "pd.Series[str]", *, is_path: bool) -> "pd.Series[str]":
    # Blanks around an id would make two patients of one; in the name of a file they may be meant.
    texts = [_to_text(value) if is_path else _to_text(value).strip() for value in values]
    return pd.Series(texts, index=values.index, dtype=object)


def _word(cell: str) -> str:
    word = cell.casefold()
    return "" if word in (*_MISSING, "unknown") else _SEXES.get(word, word)


def _to_text(value: object) -> str:
    return "" if value is None or value is pd.NA or value != value else str(value)  # noqa: PLR0124 (NaN)


def _text_faults(table: pd.DataFrame) -> list[Fault]:
    unplaced = (table["photo"] == "") | (table["path"] == "")
    return [
        *_where(table, "photos listed more than once", table["photo"].duplicated(keep=False)),
        *_where(table, "photos without an id or a path", unplaced),
        *foreign_names(table),
        *_where(table, "a split other than train, val, test or nothing", ~table["split"].isin(_SPLITS), "split"),
        *_where(
            table,
            "a severity other than none, mild, moderate, severe or nothing",
            ~table["severity"].isin(SEVERITIES),
            "severity",
        ),
    ]


def _label_faults(table: pd.DataFrame) -> list[Fault]:
    return _where(table, "a label other than 0 and 1", ~_label_is(table, 0, 1, UNKNOWN_LABEL), "label")


def _label_is(table: pd.DataFrame, *values: int) -> "pd.Series[bool]":
    is_number = (isinstance(label, int | float | np.number) and label in values for label in table["label"])
    return pd.Series(list(is_number), index=table.index)


def _range_faults(table: pd.DataFrame) -> list[Fault]:
    lowest, highest = ALTITUDES_M
    strange = ~table["altitude_m"].between(lowest, highest) & table["altitude_m"].notna()
    return [
        *_where(table, "an age below 0 months", table["age_months"] < 0, "age_months"),
        *_where(table, f"an age above {OLDEST_MONTHS} months", table["age_months"] > OLDEST_MONTHS, "age_months"),
        *_where(table, f"an altitude outside {lowest} to {highest} m", strange, "altitude_m"),
        *_where(table, "fewer than 0 cigarettes per day", table["cigarettes_per_day"] < 0, "cigarettes_per_day"),
    ]


def _pregnancy_faults(table: pd.DataFrame) -> list[Fault]:
    known = table["pregnancy"].isin(["", *PREGNANCIES])
    people = [Person(*each) for each in table[["age_months", "sex", "pregnancy"]].itertuples(index=False, name=None)]
    impossible = pd.Series([is_impossible_pregnancy(person) for person in people], index=table.index)
    return [
        *_where(table, "a pregnancy other than no, 1, 2, 3 (the trimester), yes or nothing", ~known, "pregnancy"),
        *_where(table, "a pregnancy of a male or of a child below 10 years", known & impossible, "pregnancy"),
    ]


def _smoking_faults(table: pd.DataFrame) -> list[Fault]:
    is_child = table["age_months"] < ASKED_FROM_MONTHS
    # Of adults whose age is given in years, nothing else tells.
    what = "cigarettes of a child below 10 years (age_months takes months, not years)"
    return _where(table, what, is_child & (table["cigarettes_per_day"] > 0), "cigarettes_per_day")


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
