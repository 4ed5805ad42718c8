"""The sections on what is scored: photos and patients, their curves, the groups among them, and the sample's size."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from anemia_lightning.assessment.judged import Judged
from anemia_lightning.assessment.options import Options, Progress
from anemia_lightning.assessment.plain import estimate, plain
from anemia_lightning.metrics.curves import precision_recall, roc
from anemia_lightning.metrics.estimates import Resampling
from anemia_lightning.metrics.score_estimates import estimate_scores
from anemia_lightning.metrics.scores import confusion_counts
from anemia_lightning.metrics.sites import across_sites
from anemia_lightning.metrics.subgroups import Subgroups, compare_groups, intervals_of

ENOUGH = 100
"""Photos or patients of either class below which a test is called small (Vergouwe et al., J Clin Epidemiol
2005;58:475; Collins et al., Stat Med 2016;35:214)."""

_BAND_RESAMPLES = 500
_TITLES = {"sex": "sex", "age_band": "age", "site": "site", "severity": "severity", "device": "device"}


def score_section(rows: Judged, how: Resampling, progress: Progress) -> dict[str, Any]:
    """Returns the scores and curves of photos or patients."""
    scores = estimate_scores(
        rows.labels,
        rows.logits,
        rows.cluster,
        called=rows.called,
        scaled=rows.scaled,
        how=how,
        unit=rows.unit,
        progress=progress,
    )
    n, n_positive = len(rows.labels), int(rows.labels.sum())
    band = Resampling(min(_BAND_RESAMPLES, how.resamples), how.level, how.seed)
    curves = {
        "roc": roc(rows.labels, rows.logits, clusters=rows.cluster, how=band),
        "precision_recall": precision_recall(rows.labels, rows.logits),
    }
    return {
        "unit": rows.unit,
        "n": n,
        "n_positive": n_positive,
        "n_negative": n - n_positive,
        "clusters": len(np.unique(rows.cluster)),
        "prevalence": n_positive / n if n else None,
        "confusion": confusion_counts(rows.labels, rows.called),
        "scores": plain(scores),
        "curves": plain(curves),
    }


def sample_size(section: Mapping[str, Any]) -> dict[str, Any]:
    """Returns whether a test holds enough of either class, and how wide its AUROC's interval is."""
    auroc = section["scores"]["auroc"]
    half_width = None if auroc["low"] is None else (auroc["high"] - auroc["low"]) / 2
    counts = {"anaemic": section["n_positive"], "not_anaemic": section["n_negative"]}
    return {"unit": section["unit"], **counts, "enough": min(counts.values()) >= ENOUGH, "half_width": half_width}


def subgroup_section(
    photos: Judged, facts: pd.DataFrame | None, threshold: float, options: Options, progress: Progress
) -> dict[str, Any]:
    """Returns the scores of the groups of each column that is asked for."""
    found = compare_groups(
        photos.labels,
        photos.logits,
        {name: _texts(photos, facts, name) for name in dict.fromkeys([*options.subgroups, *_left_out(options)])},
        photos.cluster,
        called=photos.called,
        scaled=photos.scaled,
        orders=options.orders,
        how=options.how,
        progress=progress,
    )
    columns = [
        {**plain(column), "title": _TITLES.get(column.name, column.name.replace("_", " "))} for column in found.columns
    ]
    return {
        "threshold": threshold,
        "columns": columns,
        "absent": list(found.absent),
        "worst": plain(found.worst),
        "across_sites": _across_sites(found, options),
    }


def _texts(photos: Judged, facts: pd.DataFrame | None, column: str) -> NDArray[np.object_] | None:
    """Returns a column of the facts for these photos, "" where it is unknown; None where there is none."""
    if facts is None or column not in facts:
        return None
    values = facts.set_index("photo")[column].reindex(photos.ids)
    return np.array(["" if pd.isna(each) else str(each).strip() for each in values], dtype=object)


def _across_sites(found: Subgroups, options: Options) -> dict[str, Any] | None:
    wanted = options.left_out or "site"
    columns = [column for column in found.columns if column.name == wanted and len(column.groups) > 1]
    if not columns:
        return None
    judged = intervals_of(columns[0])
    together = across_sites(judged, level=options.how.level)
    left_out = len(columns[0].groups) - len(judged)
    small = f"{left_out} of {len(columns[0].groups)} groups are unknown or too small and do not count."
    return {
        "column": wanted,
        "left_out": bool(options.left_out),
        "sites": together.sites,
        "estimate": estimate(together.mean, "random effects, Hartung-Knapp"),
        "prediction": estimate(together.prediction, "prediction interval for a further site"),
        "tau": together.tau,
        "note": " ".join(each for each in (small if left_out else "", together.note) if each),
    }


def _left_out(options: Options) -> list[str]:
    return [options.left_out] if options.left_out else []
