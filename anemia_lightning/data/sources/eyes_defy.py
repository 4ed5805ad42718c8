"""The source `eyes_defy`: the Eyes-Defy-Anemia data set (Dimauro and others), in its published layout."""

import re
from collections import Counter
from difflib import get_close_matches
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import pandas as pd

from anemia_lightning.contracts import UNKNOWN_LABEL
from anemia_lightning.data.exclusions import EXCLUDE_REASON, add_excluded
from anemia_lightning.data.listing import data_folder, find_photos, is_file, subfolders
from anemia_lightning.data.manifest import build_manifest, photo_id
from anemia_lightning.data.sources.eyes_defy_sheet import PatientRow, read_patient_rows, whole_number
from anemia_lightning.errors import Fault, SourceError, UnknownNameError

Cut = Literal["palpebral", "forniceal", "forniceal_palpebral", "eye"]

_SOURCE = "eyes_defy"
_SOUGHT = "the Eyes-Defy-Anemia data set"
_CHANGE = (
    "Download it from IEEE DataPort, https://doi.org/10.21227/t5s2-4j73, or its mirror on Kaggle, "
    "harshwardhanfartale/eyes-defy-anemia, and set data.root to the folder that holds India/ and Italy/, each with "
    "its sheet (India.xlsx, Italy.xlsx, or these saved as .csv) and one numbered folder per patient."
)
_COUNTRIES = ("India", "Italy")
_SEXES = ("", "m", "f", "male", "female")
_REGIONS = ("forniceal", "palpebral")
_EYE_SUFFIXES = (".jpg", ".jpeg")
_COPY = re.compile(r"\s*\(\d+\)$")


class _Record(NamedTuple):
    """What there is of one patient."""

    country: str
    number: int
    row: PatientRow
    folder: Path
    photo: Path | None
    """The wanted cut; None if there is none."""

    @property
    def patient(self) -> str:
        return f"{self.country}/{self.number}"


def read_eyes_defy(*, root: str | Path | None, cut: Cut = "palpebral") -> pd.DataFrame:
    """Reads the Eyes-Defy-Anemia data set: adults in India and Italy, one photo per patient.

    The set gives haemoglobin and no label; by the WHO's cut-offs for adults the label depends on sex, so it is left
    to the labels' rule. Misspelt cuts ("papebral") are recognised, and "name(1).png" is passed over where there is
    "name.png".

    Args:
        root: Holds India/ and Italy/, itself or in its one folder "dataset anemia"; each holds its sheet (.xlsx, or
            .csv, which is taken if both are there) and one numbered folder per patient.
        cut: Which photograph of a patient: a cut-out of the palpebral conjunctiva (the inner eyelid), of the
            forniceal (the fold), of both, or the whole eye. The cut-outs are shots of their own, nearer than the eye.

    Returns:
        The manifest. The site is the country, ages are turned from years to months, no photo has a label; the column
        exclude_reason says why a patient cannot be used: eliminated by the authors of the set, without haemoglobin,
        or without this cut (then photo and path are the patient's folder).

    Raises:
        UnknownNameError: If there is no such cut.
        SourceError: If the folder is missing or laid out otherwise.
        ManifestError: If sheets and folders contradict each other.
    """
    if cut not in get_args(Cut):
        raise UnknownNameError("the cut to take of each eye, data.cut", cut, get_args(Cut))
    home = _find_home(data_folder(root, sought=_SOUGHT, change=_CHANGE))
    faults: list[Fault] = []
    records = [record for country in _COUNTRIES for record in _read_country(home / country, cut, faults)]
    reasons = {record: _exclude_reason(record, cut) for record in records}
    usable = [record for record in records if not reasons[record]]
    excluded = [record for record in records if reasons[record]]
    if not usable:
        faults.append(
            Fault("no patient who can be used", [f"{record.patient} ({reasons[record]})" for record in excluded])
        )
    if strange := [f"{record.patient} ('{record.row.sex}')" for record in usable if not _has_known_sex(record)]:
        faults.append(Fault("a Gender other than M and F", strange))
    manifest = build_manifest([{**_identity(record, home), **_person(record)} for record in usable], faults=faults)
    return add_excluded(manifest, [_identity(each, home) | {EXCLUDE_REASON: reasons[each]} for each in excluded])


def _find_home(folder: Path) -> Path:
    """Returns the folder that holds both countries' folders; the archive wraps it into another."""
    inner = [place for place in subfolders(folder) if (place / _COUNTRIES[0]).is_dir()]
    home = inner[0] if len(inner) == 1 and not (folder / _COUNTRIES[0]).is_dir() else folder
    lacking = [f"{country}/" for country in _COUNTRIES if not (home / country).is_dir()]
    if lacking:
        raise SourceError(_SOUGHT, f"no {' and no '.join(lacking)} in {home}", _CHANGE)
    return home


def _read_country(place: Path, cut: Cut, faults: list[Fault]) -> list[_Record]:
    sheets = [place / f"{place.name}{suffix}" for suffix in (".csv", ".xlsx")]
    sheet = next((path for path in sheets if is_file(path)), None)
    if sheet is None:
        raise SourceError(f"the sheet {place.name}.xlsx or {place.name}.csv", f"none in {place}", _CHANGE)
    rows = read_patient_rows(sheet, faults)
    folders = _numbered_folders(place, faults)
    # A row without haemoglobin says nothing of a patient whose folder is not there either.
    lost = [number for number, row in rows.items() if number not in folders and row.hemoglobin_g_dl]
    if lost:
        faults.append(Fault(f"rows of {sheet} without a folder", [str(number) for number in sorted(lost)]))
    if strange := [str(folder) for number, folder in folders.items() if number not in rows]:
        faults.append(Fault(f"folders without a row in {sheet}", strange))
    records = []
    for number in sorted(rows.keys() & folders.keys()):
        photos = _photos_of_cut(folders[number], cut)
        if len(photos) > 1:
            faults.append(Fault(f"more than one {cut} photograph of a patient", [str(photo) for photo in photos]))
        records.append(_Record(place.name, number, rows[number], folders[number], photos[0] if photos else None))
    return records


def _numbered_folders(place: Path, faults: list[Fault]) -> dict[int, Path]:
    numbers = {folder: whole_number(folder.name) for folder in subfolders(place)}
    if strange := [str(folder) for folder, number in numbers.items() if number is None]:
        faults.append(Fault(f"folders in {place} that are no number", strange))
    folders = {number: folder for folder, number in numbers.items() if number is not None}
    times = Counter(numbers.values())
    if twice := [str(folder) for folder, number in numbers.items() if number is not None and times[number] > 1]:
        faults.append(Fault("folders with the same number", twice))
    return folders


def _photos_of_cut(folder: Path, cut: Cut) -> list[Path]:
    """Returns a patient's photographs of one cut, without the copies that a browser has numbered."""
    photos = [photo for photo in find_photos(folder, deep=False) if _cut_of(photo) == cut]
    originals = [photo for photo in photos if not _COPY.search(photo.stem)]
    return originals or photos[:1]


def _cut_of(photo: Path) -> str | None:
    """Tells what a photograph shows by the words in its name, whose spelling varies."""
    words = re.findall("[a-z]+", photo.stem.casefold())
    found = {match for word in words for match in get_close_matches(word, _REGIONS, n=1, cutoff=0.8)}
    if found:
        return "_".join(sorted(found))
    return "eye" if photo.suffix.casefold() in _EYE_SUFFIXES else None


def _exclude_reason(record: _Record, cut: Cut) -> str:
    """Says why a patient cannot be used, "" if nothing stands against it."""
    if record.row.is_eliminated:
        return "eliminated by the authors of the set"
    if not record.row.hemoglobin_g_dl:
        return f"no haemoglobin in {record.country}'s sheet"
    return "" if record.photo else f"no {cut} photograph in its folder"


def _has_known_sex(record: _Record) -> bool:
    return record.row.sex.casefold() in _SEXES


def _identity(record: _Record, home: Path) -> dict[str, str]:
    path = record.photo or record.folder
    return {
        "photo": photo_id(_SOURCE, path, home),
        "path": str(path),
        "patient": record.patient,
        "source": _SOURCE,
        "site": record.country,
    }


def _person(record: _Record) -> dict[str, object]:
    return {
        "label": UNKNOWN_LABEL,
        "sex": record.row.sex,
        "age_months": record.row.age_months,
        "hemoglobin_g_dl": record.row.hemoglobin_g_dl,
    }
