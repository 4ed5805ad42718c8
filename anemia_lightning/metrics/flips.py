"""What a change of the photographs does to the decisions on them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from anemia_lightning.metrics.intervals import Interval, auroc_difference_interval
from anemia_lightning.metrics.proportions import Proportion, wilson
from anemia_lightning.metrics.scores import auroc


@dataclass(frozen=True)
class Effect:
    """What a change does to photos that are independent of one another."""

    flipped: Proportion
    """The photos that are called otherwise than before, with Wilson's interval."""
    logit_shift: float | None
    """Mean of the logit after less that before; above 0 the change makes photos look anaemic. None without photos."""
    auroc: float | None
    """After the change; None where it is undefined."""
    auroc_change: Interval
    """By how much the AUROC grew, on the same photos, with its bootstrap interval."""


def measure_effect(
    labels: ArrayLike, before: ArrayLike, after: ArrayLike, called_before: ArrayLike, called_after: ArrayLike
) -> Effect:
    """Compares logits and decisions before and after a change.

    Args:
        labels: int [N], 1 anaemic and 0 not.
        before: float [N], the logit of each photo as it is.
        after: float [N], of the changed photo.
        called_before: [N] of 0 and 1: which were called anaemic.
        called_after: [N] of 0 and 1: which are now.

    Raises:
        ValueError: If the lengths differ, or a logit is not finite.

    Example:
        >>> found = measure_effect([0, 1], [-1.0, 1.0], [0.5, 1.5], [0, 1], [1, 1])
        >>> found.flipped.part, found.logit_shift
        (1, 1.0)
    """
    truth, old, new = np.asarray(labels), np.asarray(before, dtype=np.float64), np.asarray(after, dtype=np.float64)
    change = auroc_difference_interval(truth, new, old, np.arange(len(truth)))
    changed = int((np.asarray(called_before) != np.asarray(called_after)).sum())
    return Effect(
        flipped=Proportion(changed, len(truth), wilson(changed, len(truth))),
        logit_shift=float((new - old).mean()) if len(truth) else None,
        auroc=auroc(truth, new),
        auroc_change=change,
    )
