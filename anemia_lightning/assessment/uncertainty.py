"""The section on knowing when not to answer: conformal sets, abstaining, and risk over coverage."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from anemia_lightning.assessment.judged import Decisions, Judged
from anemia_lightning.assessment.plain import plain
from anemia_lightning.assessment.probabilities import join_notes, list_decisions
from anemia_lightning.metrics.conformal import ABSTAIN, count_sets, risk_coverage
from anemia_lightning.metrics.curves import thin
from anemia_lightning.metrics.estimates import Resampling, estimate_share
from anemia_lightning.metrics.intervals import numbered

_NAMES = {1: "anaemic", 0: "not_anaemic"}


def uncertainty_section(
    decided: pd.DataFrame, photos: Judged, clusters: "pd.Series[int]", decisions: Decisions, how: Resampling
) -> dict[str, Any]:
    """Returns how the conformal sets turn out, and the risk if only the surest photos are answered.

    Args:
        decided: What `decide_rows` returns; a photo counts once in each repeat.
        photos: The photos.
        clusters: What joins patients and photo groups, by photo id.
        decisions: One for all, or one for each fold.
        how: Of the intervals.
    """
    # Of the margins, whose threshold is 0: that of a probability of one half.
    curve = risk_coverage(photos.labels, photos.margins)
    kept = thin(len(curve.coverage))
    return {
        "conformal": _conformal(decided, clusters, decisions, how),
        "risk_coverage": plain(
            {
                "photos": curve.photos,
                "coverage": curve.coverage[kept],
                "risk": curve.risk[kept],
                "aurc": curve.aurc,
                "best_aurc": curve.best_aurc,
            }
        ),
    }


def _conformal(
    decided: pd.DataFrame, clusters: "pd.Series[int]", decisions: Decisions, how: Resampling
) -> dict[str, Any] | None:
    sets = [each.conformal for each in list_decisions(decisions)]
    fitted = [each for each in sets if each is not None]
    if not fitted or len(fitted) < len(sets):
        return None
    labels = decided["label"].to_numpy(dtype=np.int64)
    holds = decided[["holds_0", "holds_1"]].to_numpy(dtype=bool)
    cluster = numbered(clusters.loc[decided["photo"]].to_numpy(), len(decided))
    answers = decided["answer"].to_numpy(dtype=np.int64)
    size = holds.sum(axis=1)
    coverage = {
        name: estimate_share(holds[labels == label, label], cluster[labels == label], how, lacking=f"{name} photos")
        for label, name in _NAMES.items()
    }
    return {
        "alpha": fitted[0].alpha,
        "answers": len(decided),
        "note": join_notes([each.note for each in fitted]),
        "coverage": plain(coverage),
        "sets": count_sets(holds),
        "mean_size": float(size.mean()) if len(size) else None,
        "abstained": plain(estimate_share(answers == ABSTAIN, cluster, how)),
        "answered": _answered(labels, answers, cluster, how),
    }


def _answered(
    labels: NDArray[np.int64], answers: NDArray[np.int64], cluster: NDArray[np.int64], how: Resampling
) -> Mapping[str, Any]:
    """Returns the scores of the photos that get an answer."""
    given = answers != ABSTAIN
    rows = {
        "acc": (given, "photos that are answered"),
        "sensitivity": (given & (labels == 1), "anaemic photos that are answered"),
        "specificity": (given & (labels == 0), "non-anaemic photos that are answered"),
    }
    return {
        "n": int(given.sum()),
        **{
            name: plain(estimate_share((answers == labels)[kept], cluster[kept], how, lacking=lacking))
            for name, (kept, lacking) in rows.items()
        },
    }
