"""Labels against haemoglobin: the cut-off that they follow, who contradicts it, and who stands close to it."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from anemia_lightning.contracts import UNKNOWN_LABEL
from anemia_lightning.data.labels import NEAR_G_DL


class LabelCheck(NamedTuple):
    """How labels and haemoglobin agree."""

    known: int
    """Photos with haemoglobin."""
    cutoff_g_dl: float | None
    """The cut-off that fits most labels (anaemic below it); None without haemoglobin, and where labels follow a
    guideline, which has several."""
    agreeing: int
    """Photos whose label follows from that cut-off, or from the guideline."""
    contradicting: list[str]
    """Photo ids whose label follows neither from that cut-off nor from any other rule."""
    near: int
    """Photos within `NEAR_G_DL` of that cut-off; by a guideline, of each one's own, in adjusted haemoglobin."""


def check_labels(
    manifest: pd.DataFrame, others: "Sequence[pd.Series[int]]" = (), *, margins: "pd.Series[float] | None" = None
) -> LabelCheck:
    """Compares labels with haemoglobin.

    Args:
        manifest: The photos.
        others: The labels that other rules would give, with the manifest's index; `UNKNOWN_LABEL` where they say
            nothing. A label that one of them explains is no contradiction.
        margins: Where the labels follow a guideline, the adjusted haemoglobin of each photo minus its own cut-off.
    """
    if margins is not None:
        return LabelCheck(len(margins), None, len(margins), [], int((margins.abs() < NEAR_G_DL).sum()))
    known = manifest[manifest["hemoglobin_g_dl"].notna()]
    if known.empty:
        return LabelCheck(0, None, 0, [], 0)
    hemoglobin, labels = known["hemoglobin_g_dl"].to_numpy(), known["label"].to_numpy()
    cutoff = _best_cutoff(hemoglobin, labels)
    agrees = (hemoglobin < cutoff) == (labels == 1)
    explained = agrees.copy()
    for other in others:
        given = other.loc[known.index].to_numpy()
        explained |= (given != UNKNOWN_LABEL) & (given == labels)
    near = np.abs(hemoglobin - cutoff) < NEAR_G_DL
    return LabelCheck(
        len(known), cutoff, int(agrees.sum()), sorted(known["photo"][~explained].tolist()), int(near.sum())
    )


def _best_cutoff(hemoglobin: "np.ndarray[tuple[int], np.dtype[np.float64]]", labels: np.ndarray) -> float:
    """Returns the lowest haemoglobin that occurs and, as a cut-off, contradicts the fewest labels."""
    candidates, place = np.unique(hemoglobin, return_inverse=True)
    anaemic, others = (np.bincount(place, weights=which) for which in (labels == 1, labels != 1))
    # Below a cut-off stand all values before it; labels contradict it there if they are not anaemic, else if they are.
    below_anaemic, below_others = np.cumsum(anaemic) - anaemic, np.cumsum(others) - others
    wrong = below_others + anaemic.sum() - below_anaemic
    return float(candidates[np.argmin(wrong)])
