"""From a table of runs to a verdict on each claim: pure functions, which know neither folders nor networks."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import pandas as pd

from anemia_lightning.benchmarks.seed_claims import PARAMETER_REUSE, RUNNING, Claim
from anemia_lightning.metrics.over_runs import over_runs, ratio_interval

CONFIRMED, REFUTED, NOT_TESTABLE = "confirmed", "refuted", "not testable"

MOST_REACH = 5.0
"""Points or epochs to either side: an interval that reaches farther confirms no claimed level."""

RULES = (
    "A claimed level is refuted where the 95 % interval leaves it out, and confirmed where the interval holds it and "
    f"reaches no farther than {MOST_REACH:g} to either side. A claimed effect is refuted where the whole interval "
    "falls short of it, and confirmed where the interval does not, and leaves out all that is less than half of it. "
    "All else is not testable with these runs, and neither is a number of epochs where the limit of epochs ended a run."
)

_EPOCHS = ("epochs", "best_after")
"""Quantities that say little where the limit of epochs has ended a run."""
_WORDS = {"best_after": "number of epochs to the best model"}
"""Of quantities whose names do not say what they are."""
_LEAST_FOLDS = 2
_PERCENT = 100.0
_NEAR = 0.05
"""A count agrees with a percentage that rounds to the same digit."""


@dataclass(frozen=True)
class Estimate:
    """A quantity as runs have it."""

    value: float | None
    low: float | None
    high: float | None
    """The interval, of Student's t or Fieller's, over folds; each fold stands for the mean of its seeds. It allows for
    the training photos that folds share, as `over_runs` says."""
    runs: int
    """Runs behind it; where two arms are compared, pairs of one fold and seed."""
    folds: int
    note: str = ""
    """Why there is no interval."""


def estimate(runs: pd.DataFrame, claim: Claim, *, quantity: str | None = None) -> Estimate:
    """Returns what the runs say of a claim.

    Args:
        runs: One row per finished run: arm, fold, seed and the quantities, NaN where one is not known. Until all folds
            are in it, intervals are too wide rather than too narrow.
        claim: What is claimed.
        quantity: What to look at instead of the claim's own quantity.
    """
    column = quantity or claim.quantity
    if claim.against is None:
        return level_of(runs, claim.arm, column)
    if claim.how == "difference":
        return difference_of(runs, claim.arm, claim.against, column)
    found = ratio_of(runs, claim.arm, claim.against, column)
    if claim.how == "ratio":
        return found
    return replace(found, value=_reduction(found.value), low=_reduction(found.high), high=_reduction(found.low))


def level_of(runs: pd.DataFrame, arm: str, column: str) -> Estimate:
    """Returns the mean of an arm over its folds."""
    values = _of_arm(runs, arm, column)
    folds = values.groupby(level="fold").mean()
    found = over_runs(folds.tolist(), test_to_train=_test_to_train(runs))
    return _noted(Estimate(found.mean, found.low, found.high, len(values), len(folds)))


def difference_of(runs: pd.DataFrame, arm: str, other: str, column: str) -> Estimate:
    """Returns by how much an arm exceeds another, paired by fold and seed."""
    pairs, folds = _paired(runs, arm, other, column)
    found = over_runs((folds["one"] - folds["other"]).tolist(), test_to_train=_test_to_train(runs))
    return _noted(Estimate(found.mean, found.low, found.high, pairs, len(folds)))


def ratio_of(runs: pd.DataFrame, arm: str, other: str, column: str) -> Estimate:
    """Returns the mean of an arm over that of another, paired by fold and seed."""
    pairs, folds = _paired(runs, arm, other, column)
    what = _WORDS.get(column, column.replace("_", " "))
    if len(folds) and folds["other"].mean() <= 0:
        return Estimate(None, None, None, pairs, len(folds), f"the {what} of {other} is not above 0")
    found = ratio_interval(folds["one"].tolist(), folds["other"].tolist(), test_to_train=_test_to_train(runs))
    return _noted(Estimate(*found, pairs, len(folds)), f"the {what} of {other} cannot be told from 0")


def judge(claim: Claim, found: Estimate) -> tuple[str, str]:
    """Returns the verdict on a claim, and why, by `RULES`."""
    if found.value is None or found.low is None or found.high is None:
        return NOT_TESTABLE, found.note
    if claim.how == "level":
        return _judge_level(claim.claimed, found.value, found.low, found.high)
    if found.high < claim.claimed:
        return REFUTED, f"no more than {found.high:.3g} {claim.unit} is within the interval"
    if found.low <= claim.no_effect:
        return NOT_TESTABLE, "the interval holds both the claim and no effect"
    if found.low <= (claim.no_effect + claim.claimed) / 2:
        return NOT_TESTABLE, "there is an effect, but the interval holds both the claim and less than half of it"
    beyond = "more than claimed" if found.low > claim.claimed else "the interval holds the claim, not half of it"
    return CONFIRMED, beyond


def _judge_level(claimed: float, value: float, low: float, high: float) -> tuple[str, str]:
    if not low <= claimed <= high:
        return REFUTED, f"the interval leaves {claimed:g} out"
    if max(value - low, high - value) > MOST_REACH:
        return NOT_TESTABLE, f"the interval holds the claim, but reaches farther than {MOST_REACH:g} to either side"
    return CONFIRMED, f"the interval holds {claimed:g}"


def weigh_claim(runs: pd.DataFrame, claim: Claim, *, max_epochs: int) -> dict[str, Any]:
    """Returns a claim with what was found and the verdict, in plain values.

    ``running`` is the same from the values that the seed's own loop prints; None where that would be no other.

    Args:
        runs: As of `estimate`.
        claim: What is claimed.
        max_epochs: Where a run ends that nothing else has stopped.
    """
    found = estimate(runs, claim)
    cut_off = _cut_off(runs, claim, max_epochs)
    verdict, because = (NOT_TESTABLE, cut_off) if cut_off else judge(claim, found)
    running = RUNNING.get(claim.quantity)
    return {
        "name": claim.name,
        "claimed": claim.claimed,
        "words": claim.words,
        "unit": claim.unit,
        "read_as": claim.read_as,
        **asdict(found),
        "running": asdict(estimate(runs, claim, quantity=running)) if running else None,
        "verdict": verdict,
        "because": because,
    }


def judge_reuse(parameters: Mapping[str, int]) -> dict[str, Any]:
    """Returns the verdict on the share of parameters that are said to be reused.

    Args:
        parameters: How many there are in the trunk, in layer4 and in the head.
    """
    trunk, layer4, head = (parameters[name] for name in ("trunk", "layer4", "head"))
    whole = trunk + layer4 + head
    shares = {
        "frozen while the head alone trains, and loaded at the start": _PERCENT * (trunk + layer4) / whole,
        "frozen once layer4 trains": _PERCENT * trunk / whole,
        "of the backbone alone, frozen once layer4 trains": _PERCENT * trunk / (trunk + layer4),
    }
    agreeing = [what for what, share in shares.items() if abs(share - PARAMETER_REUSE) < _NEAR]
    counted = "; ".join(f"{share:.1f} % {what}" for what, share in shares.items())
    return {
        "name": "reused parameters",
        "claimed": PARAMETER_REUSE,
        "words": f"{PARAMETER_REUSE} %",
        "unit": "%",
        "read_as": "share of the network's parameters, counted",
        "shares": shares,
        "parameters": dict(parameters),
        "verdict": CONFIRMED if agreeing else REFUTED,
        "because": f"counted: {counted}",
    }


def _cut_off(runs: pd.DataFrame, claim: Claim, max_epochs: int) -> str:
    """Returns how many of the runs behind a number of epochs would have gone on; "" where none would."""
    if claim.quantity not in _EPOCHS:
        return ""
    asked = runs[runs["arm"].isin([claim.arm, claim.against])]
    ended = int((asked["epochs"] >= max_epochs).sum())
    return f"trainer.max_epochs={max_epochs} ended {ended} of these {len(asked)} runs" if ended else ""


def _test_to_train(runs: pd.DataFrame) -> float:
    """Returns 1 / (k - 1) of the k folds that the table knows; 0 of a single one, which has no interval anyway."""
    k = runs["fold"].nunique()
    return 1 / (k - 1) if k >= _LEAST_FOLDS else 0.0


def _paired(runs: pd.DataFrame, arm: str, other: str, column: str) -> tuple[int, pd.DataFrame]:
    """Returns how many pairs there are, and per fold the mean of either arm over the seeds that both have."""
    both = {"one": _of_arm(runs, arm, column), "other": _of_arm(runs, other, column)}
    pairs = pd.concat(both, axis="columns", join="inner")
    return len(pairs), pairs.groupby(level="fold").mean()


def _of_arm(runs: pd.DataFrame, arm: str, column: str) -> "pd.Series[float]":
    rows = runs[runs["arm"] == arm].set_index(["fold", "seed"])
    values: pd.Series[float] = rows[column].astype(float).dropna()
    return values


def _noted(found: Estimate, vague: str = "") -> Estimate:
    if found.low is not None:
        return found
    few = f"an interval takes finished runs in two folds; there are {found.runs} in {found.folds}"
    note = few if found.folds < _LEAST_FOLDS else vague
    return Estimate(found.value, None, None, found.runs, found.folds, note)


def _reduction(ratio: float | None) -> float | None:
    return None if ratio is None else _PERCENT * (1 - ratio)
