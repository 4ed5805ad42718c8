"""What photos are grouped by, derived from the manifest and the survey: age bands and backgrounds."""

import numpy as np
import pandas as pd

from anemia_lightning.data.guidelines import WHO_2024
from anemia_lightning.data.surroundings import WHOLE_FROM
from anemia_lightning.data.white_background import WHITE_NOTE

AGE_BAND, BACKGROUND = "age_band", "background"
"""The columns that are derived."""

ADULTS, ELDERLY, INFANTS = "15-65 years", "66 years and over", "below 6 months"
WHOLE, CUT_OUT, ON_WHITE, MASKED = "whole photograph", "transparent cut-out", "cut-out on white", "masked"

_YEARS_FROM_MONTHS = 60
_ADULT_FROM_MONTHS = 15 * 12


def age_bands() -> tuple[str, ...]:
    """Returns the names of the age bands of the WHO's cut-offs, from the youngest.

    Example:
        >>> age_bands()[:5]
        ('below 6 months', '6-23 months', '24-59 months', '5-11 years', '12-14 years')
    """
    starts = [first for first, _ in WHO_2024.children]
    ends = [*starts[1:], _ADULT_FROM_MONTHS]
    children = (_band(first, end) for first, end in zip(starts, ends, strict=True))
    return (INFANTS, *children, ADULTS, ELDERLY)


def age_band(age_months: "pd.Series[float]") -> "pd.Series[str]":
    """Returns the age band of each person, "" where the age is unknown."""
    edges = [*(first for first, _ in WHO_2024.children), _ADULT_FROM_MONTHS, WHO_2024.ends_at_months]
    ages = age_months.to_numpy(dtype=np.float64)
    names = np.array(age_bands(), dtype=object)[np.searchsorted(edges, ages, side="right").clip(max=len(edges))]
    return pd.Series(np.where(np.isnan(ages), "", names), index=age_months.index, dtype=object)


def background(facts: pd.DataFrame) -> "pd.Series[str]":
    """Returns what surrounds the tissue of each photo: nothing, or how it was taken away.

    A classifier can learn the outline of a cut-out in place of the tissue's colour.

    Args:
        facts: tissue_share and notes of the survey, and mask of the manifest.
    """
    is_whole = facts["tissue_share"].to_numpy(dtype=np.float64) >= WHOLE_FROM
    is_masked = facts["mask"].astype(str).to_numpy() != ""
    is_on_white = facts["notes"].astype(str).str.contains(WHITE_NOTE, regex=False).to_numpy()
    kinds = np.select([is_masked, is_whole, is_on_white], [MASKED, WHOLE, ON_WHITE], default=CUT_OUT)
    return pd.Series(kinds, index=facts.index, dtype=object)


def with_group_columns(facts: pd.DataFrame) -> pd.DataFrame:
    """Returns the facts with `age_band` and `background`, as far as they have what these follow from.

    Args:
        facts: Manifest and survey joined; columns of these names stay as they are.
    """
    found = {}
    if "age_months" in facts:
        found[AGE_BAND] = age_band(facts["age_months"])
    if {"notes", "tissue_share", "mask"} <= set(facts):
        found[BACKGROUND] = background(facts)
    return facts.assign(**{name: values for name, values in found.items() if name not in facts})


def _band(first: int, end: int) -> str:
    if end <= _YEARS_FROM_MONTHS:
        return f"{first}-{end - 1} months"
    return f"{first // 12}-{end // 12 - 1} years"
