"""What is in the data: photos counted by class, site, sex and age, their files measured, their gaps counted."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy.stats import chi2_contingency
from scipy.stats.contingency import association

from anemia_lightning.contracts import names_patient
from anemia_lightning.data.group_columns import age_band, age_bands

COUNTED = ("source", "site", "sex", "age_band", "severity", "format", "mode", "exif_orientation", "split")
"""By what photos are counted."""

UNKNOWN = "unknown"
"""The value of what is not given."""

_OPTIONAL_TEXTS = ("site", "sex", "pregnancy", "severity", "mask")
_OPTIONAL_NUMBERS = ("age_months", "hemoglobin_g_dl", "altitude_m", "cigarettes_per_day")
_QUANTILES = {"lowest": 0.0, "q05": 0.05, "median": 0.5, "q95": 0.95, "highest": 1.0}
_RATIOS = ("width", "height", "aspect_ratio", "file_bytes", "tissue_pixels", "sharpness")
"""Measures that differ by factors rather than by amounts, so that their logarithms are compared."""

_SHARES = ("tissue_share",)
CLIPPED = ("clipped_dark", "clipped_bright")
"""Measures that count from `MUCH_CLIPPED` on, whatever those of the other photos are."""

MUCH_CLIPPED = 0.05
"""From this share of the tissue on, black or burnt-out pixels are worth a look."""

_FAR_OUT = 3.0
_TINY = 1e-9


def describe_photos(manifest: pd.DataFrame, facts: pd.DataFrame) -> pd.DataFrame:
    """Joins manifest and survey: one row per photo.

    Added are `age_band`, `aspect_ratio` (width over height) and `exif_orientation` as text.

    Args:
        manifest: The photos that can be read.
        facts: The survey's measurements of at least these.
    """
    described = manifest.merge(facts, on="photo", how="left", validate="one_to_one")
    assert described["file_sha256"].notna().all(), "a photo was not surveyed"
    described["age_band"] = age_band(described["age_months"])
    described["exif_orientation"] = described["orientation"].astype(int).astype(str)
    described["aspect_ratio"] = described["width"] / described["height"]
    return described


def count_classes(described: pd.DataFrame, columns: Sequence[str] = COUNTED) -> pd.DataFrame:
    """Counts photos by each value of some columns.

    Returns:
        One row per column and value: column, value, photos, patients (those whom the data name), anaemic, and share: of
        the anaemic among the photos. Columns without any value are left out.
    """
    tables = [_count_column(described, column) for column in columns if (described[column] != "").any()]
    names = ["column", "value", "photos", "patients", "anaemic", "share"]
    return pd.concat(tables, ignore_index=True)[names] if tables else pd.DataFrame(columns=names)


def _count_column(described: pd.DataFrame, column: str) -> pd.DataFrame:
    values = described[column].where(described[column] != "", UNKNOWN)
    named = described.assign(patient=described["patient"].where(names_patient(described)))
    counts = named.groupby(values, sort=True).agg(
        photos=("photo", "size"), patients=("patient", "nunique"), anaemic=("label", "sum")
    )
    order = age_bands() if column == "age_band" else list(counts.sort_values("photos", ascending=False).index)
    ordered = [value for value in order if value in counts.index and value != UNKNOWN]
    counts = counts.loc[[*ordered, *counts.index.intersection([UNKNOWN])]]
    counts["share"] = counts["anaemic"] / counts["photos"]
    return counts.rename_axis("value").reset_index().assign(column=column)


def measure_associations(described: pd.DataFrame, columns: Sequence[str] = COUNTED) -> pd.DataFrame:
    """Measures how far the class follows each column: a network could learn that in place of the tissue.

    Returns:
        One row per column with two values or more: column, values, cramers_v (0: not at all, 1: wholly; Cramér 1946,
        section 21.9, not corrected for bias) and p_value of the chi-squared test, which takes photos as independent.
    """
    rows = []
    for column in columns:
        table = pd.crosstab(described[column], described["label"])
        if column == "severity" or min(table.shape) < 2:  # noqa: PLR2004 (severity is the label, in more detail)
            continue
        p_value = float(chi2_contingency(table, correction=False).pvalue)
        cramers_v = float(association(table.to_numpy(), method="cramer"))
        rows.append({"column": column, "values": len(table), "cramers_v": cramers_v, "p_value": p_value})
    return pd.DataFrame(rows, columns=["column", "values", "cramers_v", "p_value"])


def count_missing(manifest: pd.DataFrame) -> pd.DataFrame:
    """Counts gaps: column, missing, share of the photos. A patient is missing where the photo stands for one."""
    missing = {column: int((manifest[column] == "").sum()) for column in _OPTIONAL_TEXTS}
    missing |= {column: int(manifest[column].isna().sum()) for column in _OPTIONAL_NUMBERS}
    missing["patient"] = int((~names_patient(manifest)).sum())
    table = pd.DataFrame({"column": list(missing), "missing": list(missing.values())})
    return table.assign(share=table["missing"] / max(1, len(manifest)))


def measure_files(described: pd.DataFrame) -> pd.DataFrame:
    """Summarises sizes, sharpness, clipping and tissue.

    Returns:
        One row per measure: measure, lowest, q05, median, q95, highest, and outliers: how many `find_outliers` lists.
    """
    outliers = find_outliers(described)["measure"].value_counts()
    rows = []
    for measure in (*_RATIOS, *_SHARES, *CLIPPED):
        values = described[measure].astype(float)
        quantiles = {name: float(values.quantile(level)) for name, level in _QUANTILES.items()}
        rows.append({"measure": measure, **quantiles, "outliers": int(outliers.get(measure, 0))})
    return pd.DataFrame(rows)


def find_outliers(described: pd.DataFrame) -> pd.DataFrame:
    """Lists photos that differ from the others: photo, measure, value, the most unusual first.

    Far out in the sense of Tukey (1977, section 2D): more than three interquartile ranges beyond a quartile, of
    logarithms where a measure differs by factors. Of clipped tissue: a share of `MUCH_CLIPPED` or more.
    """
    found = []
    for measure in (*_RATIOS, *_SHARES, *CLIPPED):
        values = described[measure].astype(float)
        distance = _clipping(values) if measure in CLIPPED else _far_out(values, as_ratio=measure in _RATIOS)
        rows = pd.DataFrame({"photo": described["photo"], "measure": measure, "value": values, "distance": distance})
        found.append(rows[rows["distance"] > 0].sort_values(["distance", "photo"], ascending=[False, True]))
    return pd.concat(found, ignore_index=True).drop(columns="distance")


def _far_out(values: "pd.Series[float]", *, as_ratio: bool) -> "pd.Series[float]":
    """Returns by how many interquartile ranges each value lies beyond the outer fences; 0 within them."""
    # A photo without tissue has no logarithm, and is far from any that has.
    scaled = np.log(np.maximum(values.to_numpy(), _TINY)) if as_ratio else values.to_numpy()
    lower, upper = np.nanquantile(scaled, [0.25, 0.75]) if np.isfinite(scaled).any() else (0.0, 0.0)
    if not upper > lower:
        return pd.Series(0.0, index=values.index)
    beyond = np.maximum(lower - scaled, scaled - upper) / (upper - lower) - _FAR_OUT
    return pd.Series(np.maximum(np.nan_to_num(beyond), 0.0), index=values.index)


def _clipping(values: "pd.Series[float]") -> "pd.Series[float]":
    return values.where(values >= MUCH_CLIPPED, 0.0).fillna(0.0)


def count_excluded(excluded: pd.DataFrame) -> Mapping[str, int]:
    """Counts excluded photos by the code that their reason begins with."""
    codes = excluded["reason"].astype(str).str.partition(":")[0] if len(excluded) else pd.Series(dtype=str)
    return {str(code): int(number) for code, number in codes.value_counts().sort_index().items()}
