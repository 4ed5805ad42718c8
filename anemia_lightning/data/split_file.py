"""Splits as a table: splits.csv of a run, and any that is read: every photo must be placed, and nothing is trusted."""

import hashlib
from pathlib import Path

import pandas as pd

from anemia_lightning.contracts import SPLIT_COLUMNS
from anemia_lightning.data.sheet import read_sheet, require_columns
from anemia_lightning.errors import Fault, SplitFileError

EXCLUDED = "excluded"
"""The split of photos that take part in none."""

_SPLITS = ("train", "val", "test", EXCLUDED)


def read_splits(file: Path, photos: "pd.Series[str]") -> "pd.Series[str]":
    """Reads which split each photo is in.

    Args:
        file: A table (.csv, .parquet or .xlsx) with the columns photo, which holds photo ids, and split, which
            holds train, val, test or excluded. Other columns are ignored.
        photos: The ids of the photos to place.

    Returns:
        The split of each photo, with the index of `photos`.

    Raises:
        SourceError: If the file cannot be read, or lacks one of the columns.
        SplitFileError: With all photos at once that it places twice, places nowhere or leaves out, and those that
            it places but that are not among `photos`.
    """
    sheet = read_sheet(file)
    columns = require_columns(sheet, ["photo", "split"], file)
    places = pd.DataFrame({name: sheet[column] for name, column in columns.items()})
    places["split"] = places["split"].str.lower()
    unknown = places[~places["split"].isin(_SPLITS)]
    used = places["photo"][places["split"] != EXCLUDED]
    faults = {
        "photos that it lists more than once": places["photo"][places["photo"].duplicated()].unique().tolist(),
        f"a split other than {', '.join(_SPLITS)}": [f"{photo} ('{split}')" for photo, split in unknown.to_numpy()],
        "photos of the data that it does not list": photos[~photos.isin(places["photo"])].tolist(),
        "photos that are not among those that can be used": used[~used.isin(photos)].unique().tolist(),
    }
    if any(faults.values()):
        raise SplitFileError(file, [Fault(what, which) for what, which in faults.items() if which])
    return photos.map(places.set_index("photo")["split"])


def split_table(used: pd.DataFrame, excluded: pd.DataFrame) -> pd.DataFrame:
    """Returns what splits.csv holds: every photo of a source, its split, and why it is excluded.

    Args:
        used: Rows of a manifest, with their split.
        excluded: The photos that are not used, likewise, with the `reason`.
    """
    rows = pd.concat([used.assign(reason=""), excluded.assign(split=EXCLUDED)])
    return rows.sort_values("photo")[list(SPLIT_COLUMNS)]


def split_hash(photos: "pd.Series[str]", splits: "pd.Series[str]") -> str:
    """Returns the SHA-256 of which photo is in which split, whatever the order of the photos.

    It is that of the lines ``photo,split`` sorted by photo, in UTF-8, each ended by a line feed; cells are quoted
    where CSV needs it.

    Example:
        >>> photos, splits = pd.Series(["s/a", "s/b"]), pd.Series(["train", "val"])
        >>> split_hash(photos, splits) == split_hash(photos[::-1], splits[::-1])
        True
    """
    rows = pd.DataFrame({"photo": photos, "split": splits}).sort_values("photo")
    return hashlib.sha256(rows.to_csv(index=False, header=False, lineterminator="\n").encode()).hexdigest()
