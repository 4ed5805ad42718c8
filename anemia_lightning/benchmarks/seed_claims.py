"""What the seed of the project claims, as data: each claim, how it is read, and where claims contradict one another."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

FULL = "full"
REFERENCE = "head_only"
"""The arm that stands for the claims' comparison. They name none; no fine-tuning is what the protocol adds to."""

Quantity = Literal["train_acc", "val_acc", "gap", "epochs", "best_after"]
"""Accuracies and gap in percent; epochs trained, and epochs after which the best model was reached."""

RUNNING: dict[Quantity, str] = {"train_acc": "train_acc_running", "gap": "gap_running"}
"""What the seed's loop prints instead: accuracy on augmented photos, with dropout, while the weights change."""

_IF_FIXED = "times longer training than at a fixed rate, if that is what the comparison had"
_SAME = 0.05
"""Numbers that agree to the digit that was claimed."""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A number that the seed states, and what has to be measured to test it."""

    name: str
    claimed: float
    unit: str
    says: str = ""
    """The claim as it was written, where that is not number and unit."""
    quantity: Quantity
    how: Literal["level", "difference", "reduction", "ratio"]
    """The arm's own mean; arm less other arm; 1 - arm / other arm, in percent; arm / other arm."""
    arm: str = FULL
    against: str | None = None
    read_as: str

    @property
    def no_effect(self) -> float:
        """What would be found if the arms were alike."""
        return 1.0 if self.how == "ratio" else 0.0

    @property
    def words(self) -> str:
        """The claimed number as it was written."""
        return self.says or f"{self.claimed:g} {self.unit}"


def _level(name: str, claimed: float, unit: str, quantity: Quantity, arm: str) -> Claim:
    whose = "the full protocol" if arm == FULL else "the head alone, which stands for what the claims compare with"
    read_as = f"mean over runs of {whose}"
    return Claim(name=name, claimed=claimed, unit=unit, quantity=quantity, how="level", arm=arm, read_as=read_as)


CLAIMS: tuple[Claim, ...] = (
    _level("training accuracy", 98.2, "%", "train_acc", FULL),
    _level("validation accuracy", 95.4, "%", "val_acc", FULL),
    _level("generalisation gap", 2.8, "points", "gap", FULL),
    _level("epochs", 23, "epochs", "epochs", FULL),
    _level("training accuracy of the comparison", 89.7, "%", "train_acc", REFERENCE),
    _level("validation accuracy of the comparison", 82.1, "%", "val_acc", REFERENCE),
    _level("generalisation gap of the comparison", 7.6, "points", "gap", REFERENCE),
    _level("epochs of the comparison", 40, "epochs", "epochs", REFERENCE),
    Claim(
        name="longer training than at a fixed rate",
        claimed=3.2,
        unit="times",
        quantity="epochs",
        how="ratio",
        against="fixed_rate",
        read_as="epochs trained, over those of a fixed learning rate",
    ),
    Claim(
        name="smaller generalisation gap",
        claimed=47,
        unit="%",
        quantity="gap",
        how="reduction",
        against=REFERENCE,
        read_as="1 - gap / gap of the head alone",
    ),
    Claim(
        name="fewer epochs",
        claimed=37,
        unit="%",
        quantity="epochs",
        how="reduction",
        against=REFERENCE,
        read_as="1 - epochs trained / those of the head alone",
    ),
    Claim(
        name="higher validation accuracy",
        claimed=12.3,
        unit="%",
        quantity="val_acc",
        how="difference",
        against=REFERENCE,
        read_as="points of accuracy above the head alone",
    ),
    Claim(
        name="faster convergence",
        claimed=42.5,
        unit="%",
        quantity="best_after",
        how="reduction",
        against=REFERENCE,
        read_as="1 - epochs to the best model / those of the head alone",
    ),
    Claim(
        name="more from the hybrid scheduler",
        claimed=2.0,
        unit="%",
        says="2 to 3 %",
        quantity="val_acc",
        how="difference",
        arm="plateau_cosine",
        against=FULL,
        read_as="points of validation accuracy above the plateau scheduler, at least 2",
    ),
)
"""All but the share of parameters that are reused, which is counted and not measured."""

PARAMETER_REUSE = 79.6
"""Percent of the parameters that are said to be reused."""


class CrossCheck(NamedTuple):
    """A number that follows from claims, beside what the seed says of it elsewhere."""

    follows: str
    """The sum, with its result."""
    value: float
    stated: float
    says: str
    """What is stated."""
    agrees: bool


def cross_checks(claims: Sequence[Claim] = CLAIMS) -> list[CrossCheck]:
    """Returns what the claims imply of one another, computed from the claimed numbers alone."""
    by_name = {claim.name: claim.claimed for claim in claims}
    train, val, gap, epochs = (
        by_name[name] for name in ("training accuracy", "validation accuracy", "generalisation gap", "epochs")
    )
    other_train, other_val, other_gap, other_epochs = (
        by_name[f"{name} of the comparison"]
        for name in ("training accuracy", "validation accuracy", "generalisation gap", "epochs")
    )
    fewer = 100 * (1 - epochs / other_epochs)
    longer = by_name["longer training than at a fixed rate"]
    higher, shrunk = by_name["higher validation accuracy"], by_name["smaller generalisation gap"]
    return [
        _check(f"{train} - {val}", train - val, "points", gap, "generalisation gap"),
        _check(f"{other_train} - {other_val}", other_train - other_val, "points", other_gap, "the comparison's gap"),
        _check(f"{val} - {other_val}", val - other_val, "points", higher, "% higher validation accuracy"),
        _check(f"{val} / {other_val} - 1", 100 * (val / other_val - 1), "%", higher, "% higher validation accuracy"),
        _check(f"1 - {gap} / {other_gap}", 100 * (1 - gap / other_gap), "%", shrunk, "% smaller gap"),
        _check(f"1 - {epochs} / {other_epochs}", fewer, "%", by_name["fewer epochs"], "% fewer epochs"),
        _check(f"1 - {epochs} / {other_epochs}", fewer, "%", by_name["faster convergence"], "% faster convergence"),
        _check(f"{epochs} / {other_epochs}", epochs / other_epochs, "times", longer, _IF_FIXED),
    ]


def cross_check_words(check: CrossCheck) -> str:
    """Returns a check as a sentence.

    Example:
        >>> cross_check_words(cross_checks()[4])
        '1 - 2.8 / 7.6 = 63.2 %, but stated is 47 % smaller gap: they contradict one another.'
    """
    agrees = "they agree" if check.agrees else "they contradict one another"
    return f"{check.follows}, {'and' if check.agrees else 'but'} stated is {check.says}: {agrees}."


def _check(term: str, value: float, unit: str, stated: float, says: str) -> CrossCheck:
    agrees = abs(value - stated) < _SAME
    return CrossCheck(f"{term} = {value:.3g} {unit}", value, stated, f"{stated:g} {says}", agrees)
