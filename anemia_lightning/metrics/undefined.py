"""Where a score is undefined, or its interval: the photos that each needs, and what to say when they are missing."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from anemia_lightning.metrics.resampled_scores import NAMES

_BOTH = ("anaemic", "non-anaemic")
_CALLED_BOTH = ("called anaemic", "called non-anaemic")
_NEEDED: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(NAMES, ("",)),
    "auroc": _BOTH,
    "average_precision": _BOTH,
    "sensitivity": ("anaemic",),
    "specificity": ("non-anaemic",),
    "ppv": ("called anaemic",),
    "npv": ("called non-anaemic",),
    "balanced_accuracy": _BOTH,
    "f1": ("anaemic or called so",),
    "mcc": (*_BOTH, *_CALLED_BOTH),
}
"""The photos without which a score is undefined."""


def defects(
    score: str,
    anaemic: NDArray[np.bool_],
    called: Sequence[NDArray[np.bool_]],
    cluster: NDArray[np.int64],
    *,
    unit: str = "photo",
) -> tuple[str, str]:
    """Says why a score has no value, and why it has no interval; "" where it has.

    Args:
        score: One of `resampled_scores.NAMES`.
        anaemic: bool [N].
        called: Whether each photo is called anaemic, bool [N] for each of one or two models.
        cluster: int [N].
        unit: What a row is: photo or patient.
    """
    undefined = alone = ""
    for kind in _NEEDED[score]:
        words = f"{kind} {unit}s" if kind in ("", *_BOTH) else f"{unit}s {kind}"
        for rows in [_rows(kind, anaemic, each) for each in called]:
            held = len(np.unique(cluster[rows]))
            undefined = undefined or ("" if held else f"no {words.strip()}")
            alone = alone or ("" if held > 1 else f"fewer than two clusters hold {words.strip()}")
    return undefined, undefined or alone


def _rows(kind: str, anaemic: NDArray[np.bool_], called: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return {
        "": np.ones_like(anaemic),
        "anaemic": anaemic,
        "non-anaemic": ~anaemic,
        "called anaemic": called,
        "called non-anaemic": ~called,
        "anaemic or called so": anaemic | called,
    }[kind]
