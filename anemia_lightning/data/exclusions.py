"""Photos that their source itself leaves out: they stay in its manifest, with the reason, until they are set aside."""

from collections.abc import Mapping, Sequence

import pandas as pd
from pandas.api.types import is_numeric_dtype

from anemia_lightning.contracts import MANIFEST_COLUMNS, UNKNOWN_LABEL

EXCLUDE_REASON = "exclude_reason"
"""The column of a source's manifest that says why a photo cannot be used, "" where it can."""


def add_excluded(manifest: pd.DataFrame, rows: Sequence[Mapping[str, str]]) -> pd.DataFrame:
    """Adds to a manifest the photos that cannot be used.

    Args:
        manifest: Those that can, as `build_manifest` returns them.
        rows: At least photo, path, source and `EXCLUDE_REASON` for each of the others; text only.

    Returns:
        Both, sorted by photo id, with the column `EXCLUDE_REASON`. What is excluded has no label and no numbers.
    """
    known = manifest.assign(**{EXCLUDE_REASON: ""})
    if not rows:
        return known
    texts = [column for column in (*MANIFEST_COLUMNS, EXCLUDE_REASON) if not is_numeric_dtype(known[column])]
    excluded = pd.DataFrame(list(rows), columns=texts, dtype=object).fillna("").assign(label=UNKNOWN_LABEL)
    excluded = excluded.astype(known.dtypes[[*texts, "label"]].to_dict())
    for column in ("patient", "photo_group"):
        excluded[column] = excluded[column].where(excluded[column] != "", excluded["photo"])
    both = pd.concat([known, excluded])
    return both.sort_values("photo", ignore_index=True)


def set_excluded_aside(manifest: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Divides a source's manifest into what can be used and what cannot.

    Returns:
        The photos to go on with, and those that the source leaves out, with their `reason`. Neither has the column
        `EXCLUDE_REASON` any more.
    """
    reasons = manifest[EXCLUDE_REASON] if EXCLUDE_REASON in manifest else pd.Series("", index=manifest.index)
    photos = manifest.drop(columns=EXCLUDE_REASON, errors="ignore")
    is_excluded = reasons != ""
    return (
        photos[~is_excluded].reset_index(drop=True),
        photos[is_excluded].assign(reason=reasons[is_excluded]).reset_index(drop=True),
    )
