"""The sections on what a network must beat: each baseline, and whether the network beats colour alone."""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from anemia_lightning.assessment.judged import Judged
from anemia_lightning.assessment.options import SUBJECT, Progress
from anemia_lightning.assessment.plain import plain
from anemia_lightning.metrics.estimates import Resampling
from anemia_lightning.metrics.rivals import Rival, compare_rivals

Kind = Literal["colour", "shortcut", "chance", "oracle"]
Floats = NDArray[np.float64]


def kind_of(name: str) -> Kind:
    """Returns what kind of baseline a name stands for: colour is a look at the tissue, a shortcut is none."""
    if "oracle" in name:
        return "oracle"
    if name.startswith("colour"):
        return "colour"
    return "chance" if name == "prevalence" else "shortcut"


def baseline_scores(photos: Judged, baselines: pd.DataFrame | None) -> dict[str, Floats]:
    """Returns the baselines' scores of these photos by name, the mean over repeats; those that lack a photo are left.

    Args:
        photos: The photos.
        baselines: photo and one column for each baseline; label, repeat and fold are passed over.
    """
    if baselines is None:
        return {}
    names = [name for name in baselines if name not in ("photo", "label", "repeat", "fold")]
    table = baselines.groupby("photo")[names].mean().reindex(photos.ids)
    known = {str(name): table[name].to_numpy(dtype=np.float64) for name in names}
    return {name: values for name, values in known.items() if np.isfinite(values).all()}


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
    low = best["difference"]["low"]
    return {
        "name": best["name"],
        "beaten": None if low is None else low > 0,
        "sentence": best["sentence"].replace(best["name"], f"colour alone ({best['name']})", 1),
    }


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
