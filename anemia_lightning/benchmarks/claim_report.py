"""What runs say of the seed's claims, in plain values: a table of arms, contradictions, verdicts; and a picture."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from anemia_lightning.benchmarks.claim_runs import ARMS, QUANTITIES
from anemia_lightning.benchmarks.seed_claims import CLAIMS, FULL, cross_check_words, cross_checks
from anemia_lightning.benchmarks.verdicts import difference_of, level_of, weigh_claim
from anemia_lightning.metrics.over_runs import over_runs
from anemia_lightning.plots.arms import draw_arms


def claim_report(table: pd.DataFrame, arms: Sequence[str], *, wanted: int, max_epochs: int) -> dict[str, Any]:
    """Returns where the claims contradict one another, the table of arms, and the verdicts.

    Args:
        table: One row per finished run, as `ClaimRuns.table` has them.
        arms: Those that are to be run.
        wanted: Runs of each arm that there are to be in the end.
        max_epochs: Where a run ends that nothing else has stopped.
    """
    return {
        "contradictions": [{**check._asdict(), "words": cross_check_words(check)} for check in cross_checks()],
        "arms": {arm: _arm(table, arm, wanted=wanted, max_epochs=max_epochs) for arm in arms},
        "claims": [weigh_claim(table, claim, max_epochs=max_epochs) for claim in CLAIMS],
    }


def _arm(table: pd.DataFrame, arm: str, *, wanted: int, max_epochs: int) -> dict[str, Any]:
    rows = table[table["arm"] == arm]
    spreads = {name: over_runs(rows[name].dropna().tolist()).sd for name in QUANTITIES}
    return {
        "words": ARMS[arm].words,
        "runs": len(rows),
        "wanted": wanted,
        "at_the_limit": int((rows["epochs"] >= max_epochs).sum()),
        "values": {name: {**asdict(level_of(table, arm, name)), "sd": spreads[name]} for name in QUANTITIES},
        "minus_full": None
        if arm == FULL
        else {name: asdict(difference_of(table, arm, FULL, name)) for name in QUANTITIES},
    }


def draw_claims(table: pd.DataFrame, arms: Sequence[str]) -> Axes:
    """Draws the accuracies of each arm's runs beside those that are claimed for the full protocol."""
    claimed = {claim.quantity: claim.claimed for claim in CLAIMS if claim.how == "level" and claim.arm == FULL}
    known = [arm for arm in arms if (table["arm"] == arm).any()]
    return draw_arms(
        [ARMS[arm].words for arm in known],
        [table[table["arm"] == arm]["train_acc"].tolist() for arm in known],
        [table[table["arm"] == arm]["val_acc"].tolist() for arm in known],
        claimed=(claimed["train_acc"], claimed["val_acc"]),
    )
