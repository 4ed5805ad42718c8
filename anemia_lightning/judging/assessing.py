"""What commands do with finished predictions: assess them, write it down, draw it, and say it in a few lines."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit

from anemia_lightning.assessment.assess import assess
from anemia_lightning.assessment.judged import Decisions
from anemia_lightning.assessment.options import SUBGROUPS, Options
from anemia_lightning.baselines import COMPARED, predict_baselines
from anemia_lightning.command_line.terminal import progress_bar
from anemia_lightning.contracts import UNKNOWN_LABEL, names_patient
from anemia_lightning.data.group_columns import age_bands, with_group_columns
from anemia_lightning.data.manifest import SEVERITIES
from anemia_lightning.data.splits import independent_groups
from anemia_lightning.files.run_folder import RunFolder, write_json
from anemia_lightning.metrics.estimates import Resampling
from anemia_lightning.metrics.patients import Pooling
from anemia_lightning.plots.assessment import draw_assessment

ASSESSMENT = "assessment.json"
ORACLE = "drawn redness (oracle)"

_DRAWN_SOURCE = "synthetic"


def assess_predictions(
    predictions: pd.DataFrame,
    decisions: Decisions,
    *,
    facts: pd.DataFrame | None = None,
    baselines: pd.DataFrame | None = None,
    subgroups: Sequence[str] = SUBGROUPS,
    left_out: str = "",
    pooling: Pooling = "mean",
    resamples: int = 2000,
    seed: int = 0,
) -> dict[str, Any]:
    """Returns the assessment of a prediction table, with a bar while it is made: one way for every command.

    Args:
        predictions: With `contracts.PREDICTION_COLUMNS`; of a cross-validation with `repeat` and `fold` too.
        decisions: The decision that the model carries; of a cross-validation each fold's by the fold's name.
        facts: Manifest and survey joined, at least of these photos; None where there is nothing but the predictions.
        baselines: What `baseline_predictions` or `fold_scores.pool_baselines` returns; None where there are none.
        subgroups: Columns of the facts whose groups are looked at; age_band and background follow from others.
        left_out: The column by which a cross-validation left out one group at a time; else empty.
        pooling: What becomes of the logits of a patient with several photos.
        resamples: Draws of the intervals.
        seed: Of these draws.

    Returns:
        What `anemia_lightning.assessment` lists.
    """
    once = predictions.drop_duplicates("photo")
    clusters = pd.Series(independent_groups(once), index=once["photo"])
    # Where the survey or the manifest are not at hand, the table at least names the site.
    known = once[["photo", "site"]] if facts is None else with_group_columns(facts)
    options = Options(
        how=Resampling(resamples=resamples, seed=seed),
        subgroups=subgroups,
        orders={"age_band": age_bands(), "severity": SEVERITIES},
        left_out=left_out,
        pooling=pooling,
        is_drawn=_is_drawn(known),
        unnamed=_unnamed(once),
    )
    with progress_bar("Assessing") as progress:
        return assess(
            predictions, decisions, clusters, facts=known, baselines=baselines, options=options, progress=progress
        )


def _unnamed(predictions: pd.DataFrame) -> int:
    """Returns of how many photos the data do not name the patient, so that each counts as a patient of its own."""
    labelled = predictions[predictions["label"] != UNKNOWN_LABEL]
    return int((~names_patient(labelled)).sum())


def baseline_predictions(train: pd.DataFrame, test: pd.DataFrame, *, seed: int) -> pd.DataFrame:
    """Returns what the baselines say of the test photos, fitted on the training photos: photo, then one column each.

    On drawn photographs also what the redness says that they were drawn with, which nothing can beat.

    Args:
        train: Manifest and survey joined, of the training photos.
        test: The same of the test photos.
        seed: Of the forests.
    """
    table = test[["photo"]].join(predict_baselines(train, test, names=COMPARED, seed=seed))
    return table.assign(**{ORACLE: expit(-test["redness"].astype(np.float64))}) if _is_drawn(test) else table


def write_assessment(folder: RunFolder, assessment: dict[str, Any]) -> dict[str, bytes]:
    """Writes assessment.json and its figures into a run folder, and returns the figures by name, as PNG."""
    write_json(folder.path / ASSESSMENT, assessment)
    return {name: folder.write_plot(name, drawing) for name, drawing in draw_assessment(assessment).items()}


def _is_drawn(photos: pd.DataFrame) -> bool:
    return "source" in photos and bool((photos["source"] == _DRAWN_SOURCE).all())
