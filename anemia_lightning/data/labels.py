"""The labels of a manifest: by a guideline, by a fixed cut-off, or the data set's own, and how others would differ."""

import dataclasses
import math
from collections import Counter
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, NoReturn

import numpy as np
import pandas as pd

from anemia_lightning.contracts import UNKNOWN_LABEL
from anemia_lightning.data.guidelines import (
    GUIDELINES,
    Assessment,
    Person,
    anaemia,
    cutoff_g_dl,
    fixed_cutoff,
    missing_input,
)
from anemia_lightning.data.manifest import ALTITUDES_M, OLDEST_MONTHS, PREGNANCIES, require_both_classes, to_number
from anemia_lightning.errors import ConfigError, Fault, ManifestError

OWN = "own"
"""The rule by which the labels of the data set stay as they are."""

UNLABELLED = "no label"
"""With what the reason begins why a photo is left out of which the rule says nothing."""

OnUnlabelled = Literal["stop", "drop"]
"""What becomes of these."""

NEAR_G_DL = 0.5
"""Closer to the cut-off than this, a label may be measurement error."""

_NUMBERS = {"age_months": (0, OLDEST_MONTHS), "altitude_m": ALTITUDES_M, "cigarettes_per_day": (0, 200)}
_WORDS = {"sex": ("female", "male"), "pregnancy": PREGNANCIES, "trimester": ("1", "2", "3")}
_USUAL = {"pregnancy": "no", "altitude_m": 0.0, "cigarettes_per_day": 0.0}


@dataclasses.dataclass(frozen=True)
class LabelRule:
    """How labels come about.

    Args:
        rule: own, who2024, who2011 or fixed:<g/dL>, see `guidelines.anaemia`.
        assume: What to take for granted where the manifest does not say, and the rule needs it: age_months, sex,
            pregnancy, trimester (of those who are pregnant), altitude_m, cigarettes_per_day. None assumes nothing,
            so that such photos are refused. Unless given: not pregnant, at the sea, no smoker, nothing else.

    Raises:
        ConfigError: If there is no such rule, or an assumption cannot be.
    """

    rule: str = OWN
    assume: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.rule != OWN and self.rule not in GUIDELINES:
            # labels.rule=11 is read as a number.
            fixed_cutoff(str(self.rule))
        object.__setattr__(self, "assume", _assumptions({**_USUAL, **self.assume}))

    @property
    def source(self) -> str:
        """Where the cut-offs come from."""
        if self.rule in GUIDELINES:
            return GUIDELINES[self.rule].source
        return "the data set" if self.rule == OWN else f"one cut-off for all, {fixed_cutoff(self.rule):g} g/dL"


class Applied(NamedTuple):
    """What a rule says of each photo."""

    table: pd.DataFrame
    """label (int64, `UNKNOWN_LABEL` where the rule says nothing), severity, margin_g_dl (adjusted haemoglobin minus the
    cut-off), obstacle (why it says nothing, or "") and cutoff_g_dl (NaN where it is not known), with the manifest's
    index."""
    assumed: dict[str, int]
    """For how many photos each of the assumptions was needed."""


class Labelled(NamedTuple):
    """A manifest with its final labels."""

    manifest: pd.DataFrame
    """The photos that have one."""
    unlabelled: pd.DataFrame
    """Those that have none and are left out, with the `reason`."""
    record: dict[str, Any]
    """How they came about, as plain values: rule, source, photos (those that have one), unlabelled ({why: photos}),
    cutoffs (of a guideline: g_dl and photos of each), assumed ({input: {value, photos}}), near_cutoff (photos whose
    adjusted haemoglobin is closer to the cut-off than `NEAR_G_DL`; None by the rule own) and flips ({other rule:
    {flips, of, assumed}}: of so many photos of which it says something, so many labels differ).
    They count labels as the rule gives them, whatever becomes of copies that disagree."""


def label_manifest(manifest: pd.DataFrame, rule: LabelRule, *, on_unlabelled: OnUnlabelled = "stop") -> Labelled:
    """Gives photos their final label and severity.

    Args:
        manifest: The photos.
        rule: How their labels come about.
        on_unlabelled: Whether photos of which the rule says nothing stop everything, or are left out. Where it says
            nothing of any, they stop everything.

    Raises:
        ConfigError: If the labels are to be the data set's own, but photos have haemoglobin in their place.
        ManifestError: If the rule says nothing of some photos, or all have the same label.
    """
    applied = apply_rule(manifest, rule)
    is_labelled = applied.table["label"] != UNKNOWN_LABEL
    obstacles = applied.table["obstacle"][~is_labelled]
    if len(obstacles) and (on_unlabelled == "stop" or not is_labelled.any()):
        _refuse(manifest[~is_labelled], obstacles, rule, is_any_left=bool(is_labelled.any()))
    unlabelled = manifest[~is_labelled].assign(label=UNKNOWN_LABEL, reason=obstacles.map(_reason))
    # A table shares its columns with what it was made of until some rows are left out.
    known, said = manifest, applied.table
    if len(unlabelled):
        known, said = (each[is_labelled].reset_index(drop=True) for each in (manifest, applied.table))
    labelled = known.assign(label=said["label"], severity=said["severity"])
    require_both_classes(labelled, left_out=unlabelled)
    near = int((said["margin_g_dl"].abs() < NEAR_G_DL).sum())
    others = [dataclasses.replace(rule, rule=name) for name in (OWN, *GUIDELINES) if name != rule.rule]
    record = {
        "rule": rule.rule,
        "source": rule.source,
        "photos": len(labelled),
        "unlabelled": dict(sorted(Counter(obstacles).items())),
        "cutoffs": _cutoffs(said["cutoff_g_dl"]) if rule.rule in GUIDELINES else [],
        "assumed": {name: {"value": rule.assume[name], "photos": count} for name, count in applied.assumed.items()},
        "near_cutoff": None if rule.rule == OWN else {"closer_than_g_dl": NEAR_G_DL, "photos": near},
        "flips": {other.rule: _flips(labelled["label"], known, other) for other in others},
    }
    return Labelled(labelled, unlabelled.reset_index(drop=True), record)


def apply_rule(manifest: pd.DataFrame, rule: LabelRule) -> Applied:
    """Returns what a rule says of each photo, as far as it says anything."""
    if rule.rule == OWN:
        own = manifest[["label", "severity"]].assign(margin_g_dl=math.nan)
        obstacle = np.where(own["label"] == UNKNOWN_LABEL, UNLABELLED, "")
        return Applied(own.assign(obstacle=obstacle, cutoff_g_dl=math.nan), {})
    assessments, cutoffs, assumed = [], [], Counter[str]()
    rows = manifest[list(Person._fields)].itertuples(index=False, name=None)
    for hemoglobin, row in zip(manifest["hemoglobin_g_dl"], rows, strict=True):
        person, filled = _fill(Person(*row), rule)
        assessments.append(anaemia(hemoglobin, person, rule=rule.rule))
        is_labelled = not assessments[-1].obstacle
        cutoffs.append(cutoff_g_dl(person, rule.rule) if is_labelled else math.nan)
        assumed.update(filled if is_labelled else [])
    table = pd.DataFrame(assessments, manifest.index, Assessment._fields).assign(cutoff_g_dl=cutoffs)
    return Applied(table, {name: assumed[name] for name in sorted(assumed)})


def _cutoffs(cutoffs: "pd.Series[float]") -> list[dict[str, Any]]:
    """Returns for how many photos each cut-off holds, from the lowest."""
    return [{"g_dl": cutoff, "photos": photos} for cutoff, photos in sorted(Counter(cutoffs.tolist()).items())]


def _fill(person: Person, rule: LabelRule) -> tuple[Person, list[str]]:
    """Returns a person with what may be assumed in the place of what is missing, and the names of that."""
    filled: list[str] = []
    while (name := missing_input(person, rule.rule)) and rule.assume[name] is not None:
        field = "pregnancy" if name == "trimester" else name
        person = person._replace(**{field: rule.assume[name]})
        filled.append(name)
    return person, filled


def _flips(labels: "pd.Series[int]", manifest: pd.DataFrame, other: LabelRule) -> dict[str, Any]:
    theirs, assumed = apply_rule(manifest, other)
    said = theirs["label"] != UNKNOWN_LABEL
    return {"flips": int((theirs["label"] != labels)[said].sum()), "of": int(said.sum()), "assumed": assumed}


def _reason(obstacle: str) -> str:
    """Returns why a photo is left out; without a colon, so that each cause is counted by itself."""
    return UNLABELLED if obstacle == UNLABELLED else f"{UNLABELLED} ({obstacle})"


def _refuse(unlabelled: pd.DataFrame, obstacles: "pd.Series[str]", rule: LabelRule, *, is_any_left: bool) -> NoReturn:
    """Raises what is wrong where a rule says nothing of some photos."""
    otherwise = "leave these photos out with data.on_unlabelled=drop" if is_any_left else ""
    if rule.rule == OWN:
        _refuse_own(unlabelled, otherwise)
    faults = []
    for obstacle, places in unlabelled["photo"].groupby(obstacles):
        missing = str(obstacle).removeprefix("no ")
        needed = f", which {rule.rule} needs (or assume one with labels.assume.{missing})"
        faults.append(Fault(f"photos with {obstacle}{needed if missing in rule.assume else ''}", places.tolist()))
    raise ManifestError(faults, otherwise=otherwise)


def _refuse_own(unlabelled: pd.DataFrame, otherwise: str) -> NoReturn:
    """Raises what is wrong where the data set itself gives some photos no label."""
    rules = "labels=who2024, labels=who2011 or labels.rule=fixed:<g/dL>"
    is_bare = unlabelled["hemoglobin_g_dl"].isna()
    bare, others = (unlabelled["photo"][which].tolist() for which in (is_bare, ~is_bare))
    if bare:
        faults = [Fault("photos with neither a label nor a haemoglobin", bare)]
        faults += [Fault(f"photos with a haemoglobin but no label (choose {rules})", others)] if others else []
        raise ManifestError(faults, otherwise=otherwise)
    number = f"{len(others)} photos have" if len(others) > 1 else "1 photo has"
    raise ConfigError([f"{number} a haemoglobin but no label: choose {rules}{f', or {otherwise}' * bool(otherwise)}."])


def _assumptions(given: Mapping[str, Any]) -> dict[str, float | str | None]:
    """Returns the assumptions, all of them, as numbers and words that a manifest could hold."""
    known = (*_NUMBERS, *_WORDS)
    problems = [f"labels.assume has {name}; it takes {', '.join(known)}." for name in given if name not in known]
    assumed: dict[str, float | str | None] = dict.fromkeys(known)
    for name in known:
        value = given.get(name)
        assumed[name] = _number(value, *_NUMBERS[name]) if name in _NUMBERS else _word(value, _WORDS[name])
        if assumed[name] is None and value is not None:
            expected = "from {} to {}".format(*_NUMBERS[name]) if name in _NUMBERS else ", ".join(_WORDS[name])
            problems.append(f"labels.assume.{name} is {value}; it must be {expected} or null.")
    if problems:
        raise ConfigError(problems)
    return assumed


def _number(value: object, lowest: float, highest: float) -> float | None:
    try:
        number = to_number(value)
    except ValueError:
        return None
    return number if lowest <= number <= highest else None


def _word(value: object, words: tuple[str, ...]) -> str | None:
    # YAML reads no as a truth value, and 1 as a number.
    word = {"False": "no", "True": "yes"}.get(str(value), str(value))
    return word if word in words else None
