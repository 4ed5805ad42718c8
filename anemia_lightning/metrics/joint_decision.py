"""Several models that decide together, as those of a cross-validation."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from anemia_lightning.metrics.conformal import answers_of
from anemia_lightning.metrics.decision import Decision
from anemia_lightning.metrics.scores import probability_of


@dataclass(frozen=True)
class JointDecision:
    """The decision of M models, each of which carries its own; of one model, just that.

    Each model's logits are scaled by its own scaling before they are averaged: a model that is too sure of itself would
    else outvote the others. The probability is that of the mean scaled logit, and the threshold on it the mean of the
    models' thresholds, which are probabilities that mean the same in each.

    A label is in the joint set if it is in more than half of the models' sets. With sets that miss a label at most
    alpha of the time, the joint set misses it at most 2 alpha of the time, whatever the models have in common (Gasparin
    & Ramdas, arXiv:2401.09379, section 2.1), and mostly no more often than they do.
    """

    members: tuple[Decision, ...]
    threshold: float
    """Smallest joint probability that counts as anaemic, in [0, 1]."""

    @classmethod
    def of(cls, members: Sequence[Decision], *, threshold: float | None = None) -> Self:
        """Returns the joint decision of one model or more, at their own threshold or at that of the user."""
        if threshold is not None:
            members = [member.at(threshold) for member in members]
        return cls(tuple(members), fmean(member.threshold.value for member in members))

    def probability(self, logits: ArrayLike) -> NDArray[np.float64]:
        """Returns the joint probability of anaemia, float64 [N], of the models' logits, float [N, M]."""
        scaled = [member.scaling.apply(own) for member, own in self._columns(logits)]
        return probability_of(np.mean(scaled, axis=0))

    def decide(self, logits: ArrayLike) -> NDArray[np.int64]:
        """Returns which photos are called anaemic, int64 [N] of 0 and 1; `logits` are [N, M]."""
        return (self.probability(logits) >= self.threshold).astype(np.int64)

    def sets(self, logits: ArrayLike) -> NDArray[np.bool_] | None:
        """Returns whether label 0 and label 1 are in the joint set of each photo, bool [N, 2].

        None where a model has no sets.
        """
        if not self.has_sets:
            return None
        sets = [member.sets(member.probability(own)) for member, own in self._columns(logits)]
        return np.asarray(np.mean([each for each in sets if each is not None], axis=0) > 1 / 2)

    def answers(self, logits: ArrayLike) -> NDArray[np.int64] | None:
        """Returns each photo's decision, `ABSTAIN` where the joint set does not hold that alone; None without sets."""
        sets = self.sets(logits)
        return None if sets is None else answers_of(sets, self.decide(logits))

    @property
    def has_sets(self) -> bool:
        """Whether each of the models has conformal sets."""
        return all(member.conformal is not None for member in self.members)

    @property
    def notes(self) -> list[str]:
        """What must be said beside every decision, each sentence once."""
        return list(dict.fromkeys(note for member in self.members for note in member.notes))

    def _columns(self, logits: ArrayLike) -> list[tuple[Decision, NDArray[np.float64]]]:
        values = np.asarray(logits, dtype=np.float64)
        return list(zip(self.members, values.T, strict=True))
