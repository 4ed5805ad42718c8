"""The sheets of the Eyes-Defy-Anemia data set: one row per patient, filled in by hand in two countries."""

import re
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from anemia_lightning.data.manifest import to_number
from anemia_lightning.data.sheet import has_column, read_sheet, require_columns
from anemia_lightning.errors import Fault

# The headers of the published sheets come first.
_HEADERS = {
    "number": ("Number", "No", "N", "ID"),
    "hemoglobin_g_dl": ("Hgb", "Hb", "Hgb (g/dL)", "Hb (g/dL)", "Hemoglobin", "Haemoglobin"),
    "sex": ("Gender", "Sex", "Sesso"),
    "age": ("Age", "Age (years)", "Età", "Eta"),
}
_ELIMINATED = "eliminat"
_MONTHS_PER_YEAR = 12


class PatientRow(NamedTuple):
    """What a sheet says of one patient; text as it was written, but for decimal commas."""

    hemoglobin_g_dl: str
    """ "" if it is missing."""
    sex: str
    age_months: str
    is_eliminated: bool
    """Whether the authors of the set have taken this patient out."""


def read_patient_rows(path: Path, faults: list[Fault]) -> dict[int, PatientRow]:
    """Reads one country's sheet.

    Args:
        path: The .xlsx or .csv file, with columns Number, Hgb, Gender and Age (in years); others are searched for
            "ELIMINATO" only. Decimals may take a comma, and "_" stands for what is missing.
        faults: Takes up what is wrong in the rows.

    Returns:
        The patients by their numbers.

    Raises:
        SourceError: If the sheet cannot be read or lacks a column.
    """
    sheet = read_sheet(path)
    names = {role: next((n for n in known if has_column(sheet, n)), known[0]) for role, known in _HEADERS.items()}
    spelling = require_columns(sheet, list(names.values()), path)
    rows = pd.DataFrame({role: sheet[spelling[name]].map(_blank_if_missing) for role, name in names.items()})
    remarks = [" ".join(cells).casefold() for cells in sheet.to_numpy(object)]
    patients: dict[int, PatientRow] = {}
    unnumbered, repeated = [], []
    for remark, (row, number, hemoglobin, sex, age) in zip(remarks, rows.itertuples(name=None), strict=True):
        which = whole_number(number)
        if which is None:
            unnumbered += [f"row {row}"] if number or hemoglobin else []
        elif which in patients:
            repeated.append(f"{which} (row {row})")
        else:
            patients[which] = PatientRow(hemoglobin.replace(",", "."), sex, _to_months(age), _ELIMINATED in remark)
    if unnumbered:
        faults.append(Fault(f"rows of {path} without a whole number", unnumbered))
    if repeated:
        faults.append(Fault(f"numbers that {path} gives twice", repeated))
    return patients


def whole_number(text: str) -> int | None:
    """Returns the number that a text stands for, None if it is none.

    Example:
        >>> whole_number("007"), whole_number("12.0"), whole_number("12b")
        (7, 12, None)
    """
    # A column of numbers with gaps leaves a spreadsheet program as 1.0, 2.0.
    match = re.fullmatch(r"0*(\d+)(?:\.0+)?", text.strip())
    return int(match[1]) if match else None


def _blank_if_missing(cell: str) -> str:
    return "" if not cell.strip("_- ") or cell.casefold() in ("na", "n/a", "nan") else cell


def _to_months(years: str) -> str:
    years = years.replace(",", ".")
    try:
        return str(_MONTHS_PER_YEAR * to_number(years))
    except ValueError:
        # The manifest tells all that is no number.
        return years
