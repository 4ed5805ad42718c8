"""The source `cp_anemic`: the CP-AnemiC data set (Asare, Appiahene, Donkoh), in its published layout."""

from pathlib import Path

import pandas as pd

from anemia_lightning.data.listing import data_folder, find_photos, subfolders
from anemia_lightning.data.manifest import build_manifest, photo_id
from anemia_lightning.data.sheet import read_sheet, require_columns
from anemia_lightning.errors import Fault, SourceError

_SOUGHT = "the CP-AnemiC data set"
_CHANGE = (
    "Download it from Mendeley Data, https://doi.org/10.17632/m53vz6b7fx, and set data.root to the folder "
    "that holds Anemic/, Non-anemic/ and Anemia_Data_Collection_Sheet.xlsx (or that sheet saved as .csv)."
)
_LABELS = {"anemic": 1, "non-anemic": 0}
_SHEET = "Anemia_Data_Collection_Sheet"
# The towns are Ejisu and Techiman; the sheet spells them both ways.
_TOWNS = {"ejusu": "Ejisu", "ejisu": "Ejisu", "tachiman": "Techiman", "techiman": "Techiman"}
_COLUMNS = {
    "image": "IMAGE_ID",
    "remark": "REMARK",
    "site": "HOSPITAL",
    "sex": "GENDER",
    "age_months": "Age(Months)",
    "hemoglobin_g_dl": "HB_LEVEL",
    "severity": "Severity",
}


def read_cp_anemic(*, root: str | Path | None) -> pd.DataFrame:
    """Reads the CP-AnemiC data set.

    The set names no patients: its IMAGE_ID is the name of a file, of which one photograph has several. So each photo
    counts as a patient of its own, and copies are left to the photo groups. The label is the set's own: haemoglobin
    below 11.0 g/dL, whatever the age.

    Args:
        root: Holds Anemic/, Non-anemic/ and Anemia_Data_Collection_Sheet as .csv or .xlsx; .csv is taken if
            both are there.

    Returns:
        The manifest. The site is the hospital, in one spelling; the severity is the set's own, by the WHO's cut-offs of
        2011.

    Raises:
        SourceError: If the folder is missing or laid out otherwise.
        ManifestError: If sheet and photographs contradict each other.
    """
    folder = data_folder(root, sought=_SOUGHT, change=_CHANGE)
    classes = {place.name.casefold(): place for place in subfolders(folder)}
    sheets = [folder / f"{_SHEET}{suffix}" for suffix in (".csv", ".xlsx")]
    sheet = next((path for path in sheets if path.is_file()), None)
    missing = [name for name in ("Anemic", "Non-anemic") if name.casefold() not in classes]
    if missing and (inner := [place for place in subfolders(folder) if (place / "Anemic").is_dir()]):
        raise SourceError(f"{_SOUGHT} in {folder}", "it one folder deeper", f"Set data.root to {inner[0]}.")
    if missing or sheet is None:
        lacking = [f"{name}/" for name in missing] + ([_SHEET] if sheet is None else [])
        raise SourceError(_SOUGHT, f"no {' and no '.join(lacking)} in {folder}", _CHANGE)
    photos = pd.DataFrame(
        [
            {"path": path, "image": path.stem, "label": label, "photo": photo_id("cp_anemic", path, folder)}
            for name, label in _LABELS.items()
            for path in find_photos(classes[name])
        ],
        columns=["path", "image", "label", "photo"],
    )
    return _join(photos, _read_rows(sheet), sheet)


def _read_rows(path: Path) -> pd.DataFrame:
    sheet = read_sheet(path)
    spelling = require_columns(sheet, list(_COLUMNS.values()), path)
    rows = pd.DataFrame({role: sheet[spelling[column]] for role, column in _COLUMNS.items()})
    severity = rows["severity"].str.casefold().replace("non-anemic", "none")
    return rows.assign(severity=severity, site=rows["site"].map(_spell_alike))


def _spell_alike(hospital: str) -> str:
    """Returns one spelling of a hospital's name, whatever blanks and variants of its town it was written with."""
    return " ".join(_TOWNS.get(word.casefold(), word) for word in hospital.split())


def _join(photos: pd.DataFrame, rows: pd.DataFrame, sheet: Path) -> pd.DataFrame:
    faults: list[Fault] = []

    def note(what: str, places: "pd.Series[str]") -> None:
        if len(places):
            faults.append(Fault(what, places.tolist()))

    note("rows with the same IMAGE_ID", rows.loc[rows["image"].duplicated(), "image"])
    note("photographs with the same name", photos.loc[photos["image"].duplicated(), "photo"])
    strange = rows[~rows["remark"].str.casefold().isin(list(_LABELS))]
    note("a REMARK other than Anemic and Non-anemic", strange["image"] + " ('" + strange["remark"] + "')")
    note(f"photographs without a row in {sheet}", photos.loc[~photos["image"].isin(rows["image"]), "photo"])
    note(f"rows of {sheet} without a photograph", rows.loc[~rows["image"].isin(photos["image"]), "image"])
    joined = photos.drop_duplicates("image").merge(rows.drop_duplicates("image"), on="image")
    label = joined["remark"].str.casefold().map(_LABELS)
    contradicts = label.notna() & (label != joined["label"])
    note("photographs in another folder than their REMARK", joined.loc[contradicts, "photo"])
    return build_manifest(joined.drop(columns=["remark", "image"]).assign(source="cp_anemic"), faults=faults)
