"""Findings and what they rest on, with the few turns of phrase that their sentences share."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import pandas as pd

from anemia_lightning.data.audit.labels import LabelCheck

Severity = Literal["stop", "warn", "info"]
SEVERITIES: tuple[Severity, ...] = ("stop", "warn", "info")
"""From worst to mildest: no sound split is to be had as things are; a number may mislead; worth knowing."""

_NAMED = 3


class Finding(NamedTuple):
    """Something about the data that its user should know."""

    code: str
    """Stable, for scripts; begins with AUDIT_."""
    severity: Severity
    says: str
    """What was found, in plain words."""
    advice: str
    """What to do about it."""
    photos: tuple[str, ...] = ()
    """The photos that it is about, where these can be named."""


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What findings rest on; for the tables see `photos`, `copies` and `labels`."""

    described: pd.DataFrame
    excluded: pd.DataFrame
    copies: pd.DataFrame
    """Of `count_copies`."""
    listed: pd.DataFrame
    """Of `list_copies`."""
    expected_leak: pd.DataFrame
    """Of `expect_leak`."""
    given_leak: pd.DataFrame | None
    """Of `measure_leak`, where the data bring a split along."""
    impossible: str | None
    """Why there is no sound split, or None."""
    associations: pd.DataFrame
    outliers: pd.DataFrame
    missing: pd.DataFrame
    labels: LabelCheck
    flips: Mapping[str, Mapping[str, Any]]
    """How many labels would differ under other rules: {rule: {flips, of, …}}."""
    near: pd.DataFrame
    """The nearest pairs that were not joined."""
    probes: Mapping[str, tuple[float, float, float]]
    """AUROC and its interval of the baselines that look at no tissue, at the widest grain, by name; empty where nobody
    asked for them, or no folds could be dealt."""


Question = Callable[[Evidence], Iterator[Finding]]
"""Looks at the evidence for one kind of fault."""


def counted(number: int, noun: str, singular: str = "", plural: str = "") -> str:
    """Returns "1 photo" or "2 photos", with the form of a verb that fits: "1 photo lies", "2 photos lie"."""
    return " ".join(filter(None, [str(number), noun, singular] if number == 1 else [str(number), f"{noun}s", plural]))


def enumerated(texts: Sequence[str]) -> str:
    """Returns "a, b and c"."""
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} and {texts[-1]}"


def first_few(texts: Sequence[str], separator: str = ", ") -> str:
    """Returns the first texts, and how many more there are."""
    more = f"{separator}and {len(texts) - _NAMED} more" if len(texts) > _NAMED else ""
    return separator.join(texts[:_NAMED]) + more
