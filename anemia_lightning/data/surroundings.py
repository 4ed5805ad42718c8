"""Whether photographs show what surrounds the tissue, and whether a model has learnt from such ones."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anemia_lightning.data.reading import TISSUE_ALPHA

WHOLE_FROM = 0.999
"""From this share of tissue on, a photograph counts as whole: nothing of it was cut away."""

WHOLE, CUT_OUT = "whole", "cut-out"
_CARRIED = "surroundings"


def tissue_share(rgba: NDArray[np.uint8]) -> float:
    """Returns the share of a photograph's pixels that counts as tissue: all of them where nothing was cut away.

    Args:
        rgba: uint8 [H, W, 4].
    """
    return float((rgba[..., 3] >= TISSUE_ALPHA).mean())


@dataclass(frozen=True)
class Surroundings:
    """How many photographs are whole, and how many show the tissue alone."""

    whole: int = 0
    cut_out: int = 0
    """Transparent or masked around the tissue, or on white: the network sees one plain colour there."""

    @classmethod
    def of(cls, tissue_shares: Iterable[float]) -> "Surroundings":
        """Counts photographs by their share of tissue, in [0, 1]."""
        is_whole = np.fromiter(tissue_shares, dtype=np.float64) >= WHOLE_FROM
        return cls(int(is_whole.sum()), int((~is_whole).sum()))

    @property
    def kinds(self) -> frozenset[str]:
        """Those of `WHOLE` and `CUT_OUT` that occur."""
        return frozenset(kind for kind, count in ((WHOLE, self.whole), (CUT_OUT, self.cut_out)) if count)

    def unlike(self, trained: frozenset[str]) -> str:
        """Returns what to say of those photographs whose like a model has never seen; "" where there are none.

        Args:
            trained: The kinds of photographs that trained the model; empty where that is not known.
        """
        given = self.whole + self.cut_out
        if trained and self.whole and WHOLE not in trained:
            return (
                f"{self.whole} of {given} photos are whole, but the model was trained on cut-outs of the tissue alone: "
                "it has never seen what surrounds it. Do not trust what it says of whole photos; cut the tissue out as "
                "there."
            )
        if trained and self.cut_out and CUT_OUT not in trained:
            return (
                f"{self.cut_out} of {given} photos are cut-outs of the tissue, but the model was trained on whole "
                "photos alone: it has never seen such a background. Do not trust what it says of cut-outs; give whole "
                "photos as there."
            )
        return ""


def kinds_carried_by(photos: Mapping[str, Any]) -> frozenset[str]:
    """Returns the kinds of photographs that trained a model; none for a checkpoint that does not say.

    Args:
        photos: What the checkpoint carries of the data.
    """
    return frozenset(photos.get(_CARRIED, ()))


def kinds_to_carry(kinds: frozenset[str]) -> dict[str, list[str]]:
    """Returns plain values for a checkpoint."""
    return {_CARRIED: sorted(kinds)}
