"""Which test photos are looked at: some drawn at random, to estimate from, and the worst errors, to show."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from anemia_lightning.data.splits import independent_groups
from anemia_lightning.randomness import stream


class LookSample(NamedTuple):
    """Row numbers of a prediction table."""

    drawn: NDArray[np.int64]
    """A random sample, one photo of each patient and photo group: independent of one another and of the decisions."""
    groups: int
    """How many such photos there are: the sets of photos that share a patient or a photo group."""
    errors: NDArray[np.int64]
    """Photos called wrongly, the most confident first, one of each patient and photo group; some may be drawn too."""
    all_errors: int
    """How many photos are called wrongly."""


def choose_photos(table: pd.DataFrame, *, photos: int, threshold: float | NDArray[np.float64]) -> LookSample:
    """Chooses at most so many photos of each kind.

    The draw of a photo depends on its id alone: other runs, seeds and models look at the same photos.

    Args:
        table: A prediction table: photo, patient, photo_group, label, probability and prediction.
        photos: How many to draw, and how many errors to show.
        threshold: Probability from which a photo was called anaemic; one for all, or one for each.
    """
    lots = np.array([stream("look", photo).random() for photo in table["photo"]])
    order = np.argsort(lots, kind="stable")
    groups = independent_groups(table)
    firsts = np.unique(groups[order], return_index=True)[1]
    alone = order[np.sort(firsts)]
    margin = (table["probability"] - threshold).abs().to_numpy()
    wrong = np.flatnonzero((table["prediction"] != table["label"]).to_numpy())
    worst = wrong[np.argsort(-margin[wrong], kind="stable")]
    worst = worst[np.sort(np.unique(groups[worst], return_index=True)[1])]
    return LookSample(alone[:photos], len(alone), worst[:photos], len(wrong))
