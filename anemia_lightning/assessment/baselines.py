"""The sections on what a network must beat: each baseline, and whether the network beats colour alone."""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from anemia_lightning.assessment.judged import Judged
from anemia_lightning.assessment.options import SUBJECT, Progress
from anemia_lightning.assessment.plain import plain
from anemia_lightning.metrics.differences import SIGNIFICANT
from anemia_lightning.metrics.estimates import Resampling
from anemia_lightning.metrics.rivals import Rival, compare_rivals

Kind = Literal["colour", "shortcut", "chance", "oracle"]
Floats = NDArray[np.float64]

_KEYS = ("photo", "label", "repeat", "fold")
_ROUNDING = 1e-9
"""Probabilities that differ by less are equal: models add up in an order of their own."""


def kind_of(name: str) -> Kind:
    """Returns what kind of baseline a name stands for: colour is a look at the tissue, a shortcut is none."""
    if "oracle" in name:
        return "oracle"
    if name.startswith("colour"):
        return "colour"
    return "chance" if name == "prevalence" else "shortcut"


def baseline_scores(photos: Judged, baselines: pd.DataFrame | None) -> dict[str, Floats]:
    """Returns the baselines' scores of these photos by name, the mean over repeats.

    Left out are those of `fitted_in_part` and of `alike_within_folds`, and those that lack one of these photos.

    Args:
        photos: The photos.
        baselines: photo and one column for each baseline, and fold where each fold fitted its own; label and repeat
            are passed over.
    """
    if baselines is None:
        return {}
    left_out = {*alike_within_folds(baselines), *fitted_in_part(baselines)}
    names = [name for name in _names(baselines) if name not in left_out]
    table = baselines.groupby("photo")[names].mean().reindex(photos.ids)
    known = {name: table[name].to_numpy(dtype=np.float64) for name in names}
    return {name: values for name, values in known.items() if np.isfinite(values).all()}


def alike_within_folds(baselines: pd.DataFrame) -> list[str]:
    """Returns the baselines that say the same of all photos of a fold, in every fold; none where there are no folds.

    Pooled, their AUROC would tell folds apart and not people. The prevalence is always so, and the site where sites are
    left out: no training photo has the site that the fold tests.

    Args:
        baselines: As `baseline_scores` takes them.
    """
    if "fold" not in baselines:
        return []
    of_fold = baselines.groupby("fold")[_names(baselines)]
    spread = (of_fold.max() - of_fold.min()).max()
    return [str(name) for name in spread.index[spread < _ROUNDING]]


def fitted_in_part(baselines: pd.DataFrame) -> list[str]:
    """Returns the baselines that some folds alone could fit, so that photos of the others are without a score.

    Args:
        baselines: As `baseline_scores` takes them.
    """
    return [name for name in _names(baselines) if baselines[name].isna().any()]


def left_out_note(baselines: pd.DataFrame | None) -> str:
    """Returns in a sentence or two which baselines are not compared and why; empty where all are."""
    if baselines is None:
        return ""
    partly = fitted_in_part(baselines)
    alike = [name for name in alike_within_folds(baselines) if name not in partly]
    sentences = []
    if alike:
        sentences.append(
            "Baselines that say the same of all photos of a fold are left out, since pooled they would tell folds "
            f"apart and not people: {', '.join(alike)}."
        )
    if partly:
        sentences.append(
            "Baselines for which the training photos of some folds hold nothing to learn from are left out: "
            f"{', '.join(partly)}."
        )
    return " ".join(sentences)


def baseline_section(
    photos: Judged, scores: Mapping[str, Floats], how: Resampling, progress: Progress
) -> list[dict[str, Any]]:
    """Returns by how much the network beats each baseline."""
    oracles = [name for name in scores if kind_of(name) == "oracle"]
    rivals = compare_rivals(
        photos.labels,
        photos.logits,
        scores,
        photos.cluster,
        subject=SUBJECT,
        uncounted=oracles,
        how=how,
        progress=progress,
    )
    return [_plain_rival(rival) for rival in rivals]


def colour_section(baselines: list[dict[str, Any]]) -> dict[str, Any]:
    """Returns whether the network beats the best of those that look at nothing but colour."""
    known = [each for each in baselines if each["kind"] == "colour" and each["auroc"]["value"] is not None]
    if not known:
        sentence = "Nothing is known of what colour alone achieves on these photos."
        return {"name": "", "beaten": None, "sentence": sentence}
    best = max(known, key=lambda each: each["auroc"]["value"])
    return {
        "name": best["name"],
        "beaten": None if best["difference"]["low"] is None else is_shown(best) and best["difference"]["low"] > 0,
        "sentence": best["sentence"].replace(best["name"], f"colour alone ({best['name']})", 1),
    }


def is_shown(baseline: Mapping[str, Any]) -> bool:
    """Returns whether the network differs from a baseline, also when the number of comparisons is allowed for."""
    low, high, p_holm = baseline["difference"]["low"], baseline["difference"]["high"], baseline["p_holm"]
    return low is not None and not low <= 0 <= high and (p_holm is None or p_holm < SIGNIFICANT)


def _names(baselines: pd.DataFrame) -> list[str]:
    return [str(name) for name in baselines if name not in _KEYS]


def _plain_rival(rival: Rival) -> dict[str, Any]:
    tested = plain(rival.delong)
    return {
        "name": rival.name,
        "kind": kind_of(rival.name),
        "auroc": plain(rival.auroc),
        "difference": plain(rival.difference),
        "p": rival.p,
        "p_holm": rival.p_holm,
        "delong": {name: tested[name] for name in ("difference", "low", "high", "z", "p", "note")},
        "sentence": rival.sentence,
    }
