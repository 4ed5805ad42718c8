"""From a prediction table to an assessment: every section in turn."""

from typing import Any

import numpy as np
import pandas as pd

from anemia_lightning.assessment.baselines import (
    baseline_scores,
    baseline_section,
    colour_section,
    kind_of,
    left_out_note,
)
from anemia_lightning.assessment.judged import Decisions, decide_rows, judge_patients, judge_photos
from anemia_lightning.assessment.options import Options, Progress, Steps
from anemia_lightning.assessment.probabilities import (
    calibration_section,
    population_section,
    threshold_section,
    usefulness_section,
)
from anemia_lightning.assessment.scoring import sample_size, score_section, subgroup_section
from anemia_lightning.assessment.uncertainty import uncertainty_section
from anemia_lightning.assessment.words import headline, summarise, warn

FORMAT = 1
AGE_AND_SEX = "age and sex"
"""Beside colour, the baseline whose decision curve is drawn: whoever has no photograph still knows these two."""

_STEPS = 6


def assess(
    predictions: pd.DataFrame,
    decisions: Decisions,
    clusters: "pd.Series[int]",
    *,
    facts: pd.DataFrame | None = None,
    baselines: pd.DataFrame | None = None,
    options: Options | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Returns all that a reviewer asks of a set of predictions.

    Args:
        predictions: photo, patient, label and logit, one row per photo; with a column `repeat` (or several rows of a
            photo) the mean logit counts. Rows without a label are left out.
        decisions: What makes probabilities and decisions of the logits; or one for each name in a column `fold`.
        clusters: What joins patients and photo groups, by photo id.
        facts: photo, and the columns of the subgroups, "" or NaN where unknown; None where nothing is known.
        baselines: photo and one column of P(anaemic) for each baseline; several rows of a photo count as their mean.
            With a column `fold`, those that say the same of all photos of each fold are left out.
        options: Intervals, subgroups and such.
        progress: Called with (done, in all).

    Returns:
        Plain values: what the package's first lines list.

    Raises:
        NonFiniteLogitsError: If a logit is infinite or not a number.
        KeyError: If a photo has no cluster, or a fold no decision.
    """
    chosen, steps = options or Options(), Steps(_STEPS, progress)
    decided = decide_rows(predictions, decisions)
    photos, table = judge_photos(decided, clusters)
    patients, why_not = judge_patients(table, photos, chosen.pooling)
    unit = "photo" if patients is None else "patient"
    threshold = threshold_section(decisions)
    rivals = baseline_scores(photos, baselines)
    curves = {name: each for name, each in rivals.items() if kind_of(name) == "colour" or name == AGE_AND_SEX}
    found: dict[str, Any] = {
        "format": FORMAT,
        "drawn": chosen.is_drawn,
        "unit": unit,
        "settings": {**vars(chosen.how), "pooling": chosen.pooling},
        "counts": {
            "photos": len(photos.labels),
            "anaemic": int(photos.labels.sum()),
            "not_anaemic": int((photos.labels == 0).sum()),
            "patients": int(table["patient"].nunique()),
            "unnamed": chosen.unnamed,
            "clusters": len(np.unique(photos.cluster)),
            "unlabelled": int(predictions["photo"].nunique() - len(photos.labels)),
        },
        "photos": score_section(photos, chosen.how, steps.next()),
        "patients": None if patients is None else score_section(patients, chosen.how, steps.next()),
        "patients_note": why_not,
        "threshold": threshold,
        "calibration": calibration_section(photos, decisions, chosen.how, steps.next()),
        "usefulness": usefulness_section(
            photos,
            curves,
            None if threshold["varies"] else threshold["value"],
            decisions=decisions,
            how=chosen.how,
            progress=steps.next(),
        ),
        "subgroups": subgroup_section(photos, facts, threshold["value"], chosen, steps.next()),
        "baselines": baseline_section(photos, rivals, chosen.how, steps.next()),
        "baselines_note": left_out_note(baselines),
        "uncertainty": uncertainty_section(decided, photos, clusters, decisions, chosen.how),
    }
    found["populations"] = population_section(headline(found)["scores"], unit)
    found["sample_size"] = sample_size(headline(found))
    found["colour"] = colour_section(found["baselines"])
    found["warnings"] = warn(found)
    found["summary"] = summarise(found)
    steps.finish()
    return found
