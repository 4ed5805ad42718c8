"""Which haemoglobin a person can have, and what another unit looks like."""

import math
from collections.abc import Sequence

from anemia_lightning.errors import Fault

LOWEST_G_DL, HIGHEST_G_DL = 2.0, 25.0
"""Haemoglobin outside of this is a typing error or another unit."""


def implausible_hemoglobin(hemoglobin_g_dl: Sequence[float], photos: Sequence[str]) -> list[Fault]:
    """Returns what is wrong with haemoglobin values; a missing one (NaN) is not wrong."""
    outside = [
        (f"{photo} ({value:g})", value)
        for photo, value in zip(photos, hemoglobin_g_dl, strict=True)
        if not (math.isnan(value) or LOWEST_G_DL <= value <= HIGHEST_G_DL)
    ]
    if not outside:
        return []
    is_other_unit = all(looks_like_grams_per_litre(hemoglobin) for _, hemoglobin in outside)
    hint = ", which looks like g/L (divide it by 10)" if is_other_unit else ""
    what = f"haemoglobin outside {LOWEST_G_DL:g}-{HIGHEST_G_DL:g} g/dL{hint}"
    return [Fault(what, [name for name, _ in outside])]


def looks_like_grams_per_litre(value: float) -> bool:
    """Says whether a value that is no haemoglobin in g/dL is one in g/L."""
    return 10 * LOWEST_G_DL <= value <= 10 * HIGHEST_G_DL
