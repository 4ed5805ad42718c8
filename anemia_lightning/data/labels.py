"""Labels from haemoglobin, and which haemoglobin values a person can have."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from anemia_lightning.errors import ConfigError, Fault

LOWEST_G_DL, HIGHEST_G_DL = 2.0, 25.0
"""Haemoglobin outside of this is a typing error or another unit."""

_GRAMS_PER_LITRE_FROM, _GRAMS_PER_LITRE_TO = 10 * LOWEST_G_DL, 10 * HIGHEST_G_DL


def label_from_hemoglobin(hemoglobin_g_dl: NDArray[np.float64], *, cutoff_g_dl: float) -> NDArray[np.int64]:
    """Returns 1 (anaemic) where haemoglobin is below the cut-off, else 0.

    Args:
        hemoglobin_g_dl: In g/dL, without gaps.
        cutoff_g_dl: In g/dL; someone who just reaches it is not anaemic, as in the WHO's definition.

    Raises:
        ConfigError: If the cut-off is no haemoglobin in g/dL.

    Example:
        >>> label_from_hemoglobin(np.array([10.9, 11.0]), cutoff_g_dl=11.0).tolist()
        [1, 0]
    """
    if not LOWEST_G_DL <= cutoff_g_dl <= HIGHEST_G_DL:
        hint = f" Did you mean {cutoff_g_dl / 10:g}?" if _looks_like_grams_per_litre(cutoff_g_dl) else ""
        bounds = f"from {LOWEST_G_DL:g} to {HIGHEST_G_DL:g} g/dL"
        raise ConfigError([f"data.cutoff_g_dl is {cutoff_g_dl:g}; it must be {bounds}.{hint}"])
    assert np.isfinite(hemoglobin_g_dl).all(), "a missing value would compare as not anaemic"
    return (hemoglobin_g_dl < cutoff_g_dl).astype(np.int64)


def implausible_hemoglobin(hemoglobin_g_dl: Sequence[float], photos: Sequence[str]) -> list[Fault]:
    """Returns what is wrong with haemoglobin values; a missing one (NaN) is not wrong."""
    outside = [
        (f"{photo} ({value:g})", value)
        for photo, value in zip(photos, hemoglobin_g_dl, strict=True)
        if not (np.isnan(value) or LOWEST_G_DL <= value <= HIGHEST_G_DL)
    ]
    if not outside:
        return []
    hint = (
        ", which looks like g/L (divide it by 10)" if all(_looks_like_grams_per_litre(hb) for _, hb in outside) else ""
    )
    what = f"haemoglobin outside {LOWEST_G_DL:g}-{HIGHEST_G_DL:g} g/dL{hint}"
    return [Fault(what, [name for name, _ in outside])]


def _looks_like_grams_per_litre(value: float) -> bool:
    return _GRAMS_PER_LITRE_FROM <= value <= _GRAMS_PER_LITRE_TO
