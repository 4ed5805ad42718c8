"""How the photos of a run were divided, and what runs on one or on several divisions say together."""

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

from anemia_lightning.comparing.settings import UNSET, Repetition
from anemia_lightning.files.run_folder import read_table
from anemia_lightning.metrics.over_runs import OverRuns, over_runs

_MAKING = ("train", "val")


class Division(NamedTuple):
    """Which photos made a model, and which judge it."""

    name: str
    """The same of runs whose photos were divided alike, if they are of one recipe."""
    made: int | None
    """Photos that trained the model, or chose its epoch and its decision; None where that is not known."""
    judged: int | None
    """Photos that judge it; None where `made` is."""


def name_division(repetition: Repetition, photos: Iterable[str]) -> str:
    """Returns a name that runs of one recipe share if the same photos judge them and nobody has dealt anew.

    Args:
        repetition: Seeds and fold of the training behind a run.
        photos: Those that judge it.
    """
    judging = hashlib.sha256("\n".join(sorted(photos)).encode()).hexdigest()
    return " ".join([repetition.get("split.seed", UNSET), repetition.get("fold", UNSET), judging])


def read_division(name: str, splits: Path) -> Division:
    """Returns a division with its numbers of photos, as far as a table like splits.csv tells them.

    Args:
        name: Of the division.
        splits: The table; of an evaluation on other photos it names none that made the model.
    """
    if not splits.is_file():
        return Division(name, None, None)
    parts = read_table(splits)["split"]
    made, judged = int(parts.isin(_MAKING).sum()), int((parts == "test").sum())
    return Division(name, made, judged) if made else Division(name, None, None)


def over_divisions(values: Sequence[float | None], divisions: Sequence[Division], *, level: float) -> OverRuns:
    """Returns what the scores or differences of runs of one recipe say together.

    Runs on one division differ in their seeds, and each counts. Of several divisions each counts once, with the mean
    of its seeds, and interval and p allow for the photos that divisions share, as `over_runs` says.

    Args:
        values: One per run; None where it is undefined, and left out.
        divisions: Of each run.
        level: Of the interval.
    """
    ratio = _test_to_train(divisions)
    if ratio == 0:  # one division
        return over_runs(values, level=level)
    seeds: dict[str, list[float]] = {}
    for value, division in zip(values, divisions, strict=True):
        if value is not None:
            seeds.setdefault(division.name, []).append(value)
    return over_runs([fmean(each) for each in seeds.values()], level=level, test_to_train=ratio)


def division_note(divisions: Iterable[Division]) -> str:
    """Says why there is no p where there is none, and what is wrong with the interval; else empty."""
    if _test_to_train(divisions) is not None:
        return ""
    return (
        "no p, and the interval is too narrow: the runs are of several divisions of the photos, and it is not known of "
        "all how many photos made the model and how many judge it"
    )


def _test_to_train(divisions: Iterable[Division]) -> float | None:
    """Returns the `test_to_train` of `over_runs`, of k folds exactly 1 / (k - 1)."""
    different = {division.name: division for division in divisions}.values()
    if len(different) <= 1:
        return 0.0
    made, judged = 0, 0
    for division in different:
        if division.made is None or division.judged is None:
            return None
        made, judged = made + division.made, judged + division.judged
    return judged / made
