"""What turns a model's logits into probabilities and decisions: chosen on validation photos, carried with the model."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from anemia_lightning.metrics.conformal import ConformalSets, fit_conformal
from anemia_lightning.metrics.logistic import checked_photos
from anemia_lightning.metrics.scaling import UNSCALED, Scaling, ScalingMethod, fit_scaling
from anemia_lightning.metrics.scores import probability_of
from anemia_lightning.metrics.thresholds import Rule, Threshold, choose_threshold

_DIGITS = 12  # of alpha, so that 1 - 0.9 is 0.1


@dataclass(frozen=True)
class Decision:
    """Scaling of the logits, threshold and conformal sets of one model; plain numbers and texts, fit for a checkpoint.

    Threshold and sets are on the scaled probability, so the three belong together.
    """

    scaling: Scaling
    """From logits to scaled logits; its `method` is none where they stay as they are."""
    threshold: Threshold
    """The probability from which a photo is called anaemic, the rule, and whether the rule could be followed."""
    conformal: ConformalSets | None
    """Which labels a photo may have; None where no sets were asked for."""
    photos: int
    """Validation photos that it was chosen on; 0 where none were."""
    anaemic: int
    """Of them, the anaemic ones."""

    @classmethod
    def fixed(cls, threshold: float, note: str = "") -> Self:
        """Returns a decision at a threshold that no photo chose, on the model's own probabilities.

        Args:
            threshold: Smallest probability that counts as anaemic, in [0, 1].
            note: What must be said beside it.

        Raises:
            ValueError: If the threshold is not in [0, 1].

        Example:
            >>> Decision.fixed(0.5).decide([0.4, 0.5]).tolist()
            [0, 1]
        """
        return cls(UNSCALED, _fixed_threshold(threshold, note), None, photos=0, anaemic=0)

    def at(self, threshold: float) -> Self:
        """Returns the same with another threshold, fixed by the user, on the same scaled probability.

        Raises:
            ValueError: If the threshold is not in [0, 1].
        """
        return replace(self, threshold=_fixed_threshold(threshold, ""))

    def probability(self, logits: ArrayLike) -> NDArray[np.float64]:
        """Returns the scaled probabilities of anaemia, float64 [N], of the network's logits, float [N]."""
        return probability_of(self.scaling.apply(logits))

    def decide(self, probabilities: ArrayLike) -> NDArray[np.int64]:
        """Returns which photos are called anaemic, int64 [N] of 0 and 1; `probabilities` are scaled, [N]."""
        return (np.asarray(probabilities, dtype=np.float64) >= self.threshold.value).astype(np.int64)

    def sets(self, probabilities: ArrayLike) -> NDArray[np.bool_] | None:
        """Returns whether label 0 and label 1 are in the set of each photo, bool [N, 2]; None without sets."""
        return None if self.conformal is None else self.conformal.sets(probabilities)

    def answers(self, probabilities: ArrayLike) -> NDArray[np.int64] | None:
        """Returns each photo's decision, `ABSTAIN` where its set does not hold that alone; None without sets."""
        if self.conformal is None:
            return None
        return self.conformal.answers(probabilities, threshold=self.threshold.value)

    @property
    def notes(self) -> list[str]:
        """What must be said beside every decision, in sentences; empty where there is nothing to say."""
        sets = self.conformal.note if self.conformal else ""
        notes = {"": self.scaling.note, "Threshold: ": self.threshold.note, "Conformal sets: ": sets}
        return [f"{subject}{note.rstrip('.')}." for subject, note in notes.items() if note]

    @property
    def summary(self) -> str:
        """One line for people: the numbers, and what they were chosen on."""
        parts = [f"threshold {self.threshold.value:.3g} ({self.threshold.rule})", self.scaling.words]
        if self.conformal:
            share = f"{100 * (1 - self.conformal.alpha):g} %"
            parts.append(f"sets built to hold the label of about {share} of anaemic and of other photos")
        chosen = f"; chosen on {self.photos} validation photos, {self.anaemic} anaemic" if self.photos else ""
        return "; ".join(parts) + chosen

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values alone."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Returns the decision that `to_dict` made plain values of; what else stands beside them is left aside."""
        sets = values["conformal"]
        return cls(
            scaling=Scaling(**values["scaling"]),
            threshold=Threshold(**values["threshold"]),
            conformal=None if sets is None else ConformalSets(**sets),
            photos=values["photos"],
            anaemic=values["anaemic"],
        )


def fit_decision(
    labels: ArrayLike,
    logits: ArrayLike,
    *,
    rule: str = "youden",
    scaling: ScalingMethod = "temperature",
    coverage: float | None = 0.9,
    clusters: ArrayLike | None = None,
    offset: float = 0.0,
) -> Decision:
    """Fits the scaling, then chooses threshold and conformal sets on the scaled probabilities.

    Where the photos give no grounds (too few, one class, a target that no threshold reaches) each part falls back as
    its own function says, and the decision's `notes` say so.

    Args:
        labels: int [N], 1 anaemic and 0 not, of validation photos: not those that trained, never those of a test.
        logits: float [N], as the network gives them.
        rule: Of the threshold, as `choose_threshold` knows it.
        scaling: temperature, platt, or none.
        coverage: Share of the photos of each class whose set is to hold their label, in (0, 1); None for no sets.
        clusters: [N]: the patient, the photo group, or what joins the two, for the sets; None where photos are
            independent.
        offset: What the loss has moved the logits by, as `fit_temperature` has it.

    Raises:
        ConfigError: If there is no such rule.
        ValueError: If lengths differ, a label is not 0 or 1, or the coverage is not in (0, 1).
        NonFiniteLogitsError: If a logit is infinite or not a number.

    Example:
        >>> round(fit_decision([0, 0, 1, 1], [-2.0, 0.5, 1.0, 2.0], scaling="none", coverage=None).threshold.value, 6)
        0.676759
    """
    truth, values, _ = checked_photos(labels, logits)
    fitted = fit_scaling(truth, values, method=scaling, offset=offset)
    probabilities = probability_of(fitted.apply(values))
    sets = None
    if coverage is not None:
        sets = fit_conformal(truth, probabilities, alpha=round(1 - coverage, _DIGITS), clusters=clusters)
    return Decision(
        scaling=fitted,
        threshold=choose_threshold(truth, probabilities, rule),
        conformal=sets,
        photos=len(truth),
        anaemic=int(truth.sum()),
    )


def _fixed_threshold(value: float, note: str) -> Threshold:
    if not 0 <= value <= 1:
        raise ValueError(f"the threshold is {value}, not in [0, 1]")
    return Threshold(float(value), str(Rule("fixed", value)), reached=True, note=note)
