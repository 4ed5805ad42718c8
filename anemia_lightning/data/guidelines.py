"""Anaemia from haemoglobin: the cut-offs of two WHO guidelines and of a fixed rule, in one pure function."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

from anemia_lightning.contracts import UNKNOWN_LABEL
from anemia_lightning.data.hemoglobin import HIGHEST_G_DL, LOWEST_G_DL, looks_like_grams_per_litre
from anemia_lightning.errors import ConfigError

_FIXED = "fixed:"
ASKED_FROM_MONTHS = 10 * 12
"""Nobody asks younger children whether they are pregnant or smoke."""
_ADULT_FROM_MONTHS = 15 * 12


class Grades(NamedTuple):
    """The haemoglobin in g/L below which there is anaemia, below which it is moderate, and below which severe."""

    anaemia: int
    moderate: int
    severe: int


@dataclass(frozen=True)
class Guideline:
    """Cut-offs and adjustments of a guideline; of some bands, the last that begins at or below a value holds."""

    source: str
    children: tuple[tuple[int, Grades], ...]
    """(from this age in months, cut-offs), below 15 years."""
    women: Grades
    men: Grades
    pregnant: Mapping[str, Grades]
    """By trimester."""
    ends_at_months: float
    """From this age on there is no cut-off."""
    altitude: tuple[tuple[float, int], ...]
    """(from this altitude in m, what to subtract from haemoglobin in g/L)."""
    altitude_ends_at_m: float
    """From this altitude on there is no adjustment to be had."""
    smoking: tuple[tuple[float, int], ...]
    """(from this number of cigarettes per day, what to subtract in g/L), for those who smoke at all."""


_UNDER_FIVE = Grades(110, 100, 70)
_FIVE_TO_ELEVEN = Grades(115, 110, 80)
_TWELVE_TO_FOURTEEN = Grades(120, 110, 80)
_WOMEN = Grades(120, 110, 80)
_MEN = Grades(130, 110, 80)
_PREGNANT = Grades(110, 100, 70)
_LOWER = Grades(105, 95, 70)

WHO_2024 = Guideline(
    source=(
        "WHO: Guideline on haemoglobin cutoffs to define anaemia in individuals and populations. Geneva 2024, "
        "ISBN 978-92-4-008854-2"
    ),
    children=((6, _LOWER), (24, _UNDER_FIVE), (60, _FIVE_TO_ELEVEN), (144, _TWELVE_TO_FOURTEEN)),
    women=_WOMEN,
    men=_MEN,
    pregnant=MappingProxyType({"1": _PREGNANT, "2": _LOWER, "3": _PREGNANT}),
    ends_at_months=66 * 12,
    altitude=(
        *((-math.inf, 0), (500, 4), (1000, 8), (1500, 11), (2000, 14)),
        *((2500, 18), (3000, 21), (3500, 25), (4000, 29), (4500, 33)),
    ),
    altitude_ends_at_m=5000,
    smoking=((0, 3), (10, 5), (20, 6)),
)
"""In g/L, of haemoglobin that is adjusted for altitude and smoking.

=============================  ========  ========  ==========  =======
Who                            anaemia   mild      moderate    severe
=============================  ========  ========  ==========  =======
6-23 months                    < 105     95-104    70-94       < 70
24-59 months                   < 110     100-109   70-99       < 70
5-11 years                     < 115     110-114   80-109      < 80
12-14 years, not pregnant      < 120     110-119   80-109      < 80
women of 15-65, not pregnant   < 120     110-119   80-109      < 80
men of 15-65                   < 130     110-129   80-109      < 80
first and third trimester      < 110     100-109   70-99       < 70
second trimester               < 105     95-104    70-94       < 70
=============================  ========  ========  ==========  =======

To subtract for altitude: from 500 m 4, then every 500 m 8, 11, 14, 18, 21, 25, 29 and from 4500 m 33. For smoking:
fewer than 10 cigarettes per day 3, 10-19 5, 20 and more 6; a smoker of an unknown number 3, as if it were one.
"""

WHO_2011 = Guideline(
    source=(
        "WHO: Haemoglobin concentrations for the diagnosis of anaemia and assessment of severity. Geneva 2011, "
        "WHO/NMH/NHD/MNM/11.1"
    ),
    children=((6, _UNDER_FIVE), (60, _FIVE_TO_ELEVEN), (144, _TWELVE_TO_FOURTEEN)),
    women=_WOMEN,
    men=_MEN,
    pregnant=MappingProxyType(dict.fromkeys(("1", "2", "3", "yes"), _PREGNANT)),
    ends_at_months=math.inf,
    altitude=(
        *((-math.inf, 0), (1000, 2), (1500, 5), (2000, 8), (2500, 13)),
        *((3000, 19), (3500, 27), (4000, 35), (4500, 45)),
    ),
    altitude_ends_at_m=math.inf,
    smoking=((0, 3), (20, 5), (40, 7)),
)
"""As `WHO_2024`, but 110 g/L for all children of 6-59 months and in all of pregnancy, and no end of age or altitude.

To subtract for altitude: from 1000 m 2, then every 500 m 5, 8, 13, 19, 27, 35 and from 4500 m 45. For smoking: less
than one packet (of 20) per day 3, from one packet 5, from two 7; a smoker of an unknown number 3, as if it were one.
"""

GUIDELINES: Mapping[str, Guideline] = MappingProxyType({"who2024": WHO_2024, "who2011": WHO_2011})


class Person(NamedTuple):
    """What cut-offs and adjustments depend on; NaN and "" where it is not known."""

    age_months: float = math.nan
    sex: str = ""
    """female or male."""
    pregnancy: str = ""
    """no, the trimester 1, 2 or 3, or yes if that is not known."""
    altitude_m: float = math.nan
    """Of the place of residence, above the sea."""
    cigarettes_per_day: float = math.nan


class Assessment(NamedTuple):
    """What a rule says of one person."""

    label: int
    """1 anaemic, 0 not, `UNKNOWN_LABEL` where the rule says nothing."""
    severity: str
    """none, mild, moderate or severe; "" where it is unknown, as of the anaemic under a fixed cut-off."""
    margin_g_dl: float
    """Adjusted haemoglobin minus the cut-off, in g/dL; NaN where there is none."""
    obstacle: str
    """Why the rule says nothing, as a noun phrase, or ""."""


def anaemia(hemoglobin_g_dl: float, person: Person, *, rule: str) -> Assessment:
    """Says whether a person is anaemic, and how severely.

    Anaemia is haemoglobin, less what altitude and smoking add to it, strictly below the cut-off. Everything is
    counted in whole mg/dL, so that who just reaches the cut-off is not anaemic, whatever floats make of it.

    Args:
        hemoglobin_g_dl: As measured, in g/dL; NaN where it is missing.
        person: Whose it is.
        rule: who2024 or who2011, see `WHO_2024` and `WHO_2011`; or fixed:<g/dL>, which compares haemoglobin as it
            was measured with one cut-off for all, and knows no grades.

    Raises:
        ConfigError: If there is no such rule.

    Example:
        >>> anaemia(10.6, Person(age_months=12, altitude_m=0), rule="who2024")
        Assessment(label=0, severity='none', margin_g_dl=0.1, obstacle='')
        >>> anaemia(10.6, Person(age_months=12, altitude_m=0), rule="who2011")
        Assessment(label=1, severity='mild', margin_g_dl=-0.4, obstacle='')
    """
    guideline = GUIDELINES.get(rule)
    fixed_mg_dl = 0 if guideline else round(1000 * fixed_cutoff(rule))
    if math.isnan(hemoglobin_g_dl):
        return Assessment(UNKNOWN_LABEL, "", math.nan, "no haemoglobin")
    measured = round(1000 * hemoglobin_g_dl)
    if guideline is None:
        margin = measured - fixed_mg_dl
        return Assessment(int(margin < 0), "" if margin < 0 else "none", margin / 1000, "")
    if obstacle := _obstacle(person, rule, guideline):
        return Assessment(UNKNOWN_LABEL, "", math.nan, obstacle)
    grades = [100 * grade for grade in _grades(person, guideline)]
    adjusted = measured - 100 * _adjustment(person, guideline)
    severity = ("none", "mild", "moderate", "severe")[sum(adjusted < grade for grade in grades)]
    return Assessment(int(adjusted < grades[0]), severity, (adjusted - grades[0]) / 1000, "")


def cutoff_g_dl(person: Person, rule: str) -> float:
    """Returns the adjusted haemoglobin in g/dL below which a rule calls a person anaemic of whom it says something.

    Example:
        >>> cutoff_g_dl(Person(age_months=12), "who2024"), cutoff_g_dl(Person(age_months=12), "fixed:11")
        (10.5, 11.0)
    """
    return _grades(person, GUIDELINES[rule]).anaemia / 10 if rule in GUIDELINES else fixed_cutoff(rule)


def missing_input(person: Person, rule: str) -> str | None:
    """Returns the first thing that a rule needs to know about a person beside haemoglobin, and that is missing.

    What is needed depends on the rest: the age unless someone is pregnant; the sex from 15 years on, likewise;
    pregnancy (not of males) and cigarettes from 10 years on; the trimester, which who2011 does not ask for, of those
    who are pregnant.

    Returns:
        A field of `Person`, "trimester", or None if nothing is missing.
    """
    if rule not in GUIDELINES:
        return None
    age, sex, pregnancy = person.age_months, person.sex, person.pregnancy
    is_pregnant = pregnancy not in ("", "no")
    is_missing = {
        "age_months": math.isnan(age) and not is_pregnant,
        "pregnancy": age >= ASKED_FROM_MONTHS and sex != "male" and not pregnancy,
        "trimester": is_pregnant and pregnancy not in GUIDELINES[rule].pregnant,
        "sex": age >= _ADULT_FROM_MONTHS and not sex and pregnancy == "no",
        "altitude_m": math.isnan(person.altitude_m),
        "cigarettes_per_day": not age < ASKED_FROM_MONTHS and math.isnan(person.cigarettes_per_day),
    }
    return next((name for name, missing in is_missing.items() if missing), None)


def is_impossible_pregnancy(person: Person) -> bool:
    """Says whether a male, or a child below 10 years, is said to be pregnant."""
    is_able = person.sex != "male" and not person.age_months < ASKED_FROM_MONTHS
    return person.pregnancy not in ("", "no") and not is_able


def fixed_cutoff(rule: str) -> float:
    """Returns the cut-off of the rule fixed:<g/dL>.

    Raises:
        ConfigError: If it is no such rule, or its cut-off no haemoglobin in g/dL.
    """
    try:
        cutoff = float(rule.removeprefix(_FIXED)) if rule.startswith(_FIXED) else None
    except ValueError:
        cutoff = None
    if cutoff is None:
        known = f"own, {', '.join(GUIDELINES)} or {_FIXED}<g/dL>, such as {_FIXED}11"
        raise ConfigError([f"labels.rule is '{rule}'; it must be {known}."])
    if not LOWEST_G_DL <= cutoff <= HIGHEST_G_DL:
        hint = f" Did you mean {_FIXED}{cutoff / 10:g}?" if looks_like_grams_per_litre(cutoff) else ""
        bounds = f"from {LOWEST_G_DL:g} to {HIGHEST_G_DL:g} g/dL"
        raise ConfigError([f"labels.rule is '{rule}'; its cut-off must be {bounds}.{hint}"])
    return cutoff


def _obstacle(person: Person, rule: str, guideline: Guideline) -> str:
    """Returns why a guideline says nothing of a person, or ""."""
    age, sex, missing = person.age_months, person.sex, missing_input(person, rule)
    first, last = guideline.children[0][0], guideline.ends_at_months / 12 - 1
    highest = guideline.altitude_ends_at_m
    needs_sex = age >= _ADULT_FROM_MONTHS and person.pregnancy not in guideline.pregnant
    is_so = {
        f"an age below {first} months, for which {rule} has no cut-off": age < first,
        f"an age above {last:g} years, for which {rule} has no cut-off": age >= guideline.ends_at_months,
        f"an altitude from {highest:g} m on, for which {rule} has no adjustment": person.altitude_m >= highest,
        "a pregnancy of a male or of a child below 10 years": is_impossible_pregnancy(person),
        f"no {missing}": missing is not None,
        f"the sex '{sex}', which is neither female nor male": needs_sex and sex not in ("female", "male"),
    }
    return next((obstacle for obstacle, is_there in is_so.items() if is_there), "")


def _grades(person: Person, guideline: Guideline) -> Grades:
    if person.pregnancy in guideline.pregnant:
        return guideline.pregnant[person.pregnancy]
    if person.age_months >= _ADULT_FROM_MONTHS:
        return guideline.men if person.sex == "male" else guideline.women
    return next(grades for first, grades in reversed(guideline.children) if first <= person.age_months)


def _adjustment(person: Person, guideline: Guideline) -> int:
    """Returns what altitude and smoking add to haemoglobin, in g/L."""
    altitude = next(minus for first, minus in reversed(guideline.altitude) if first <= person.altitude_m)
    if not person.cigarettes_per_day > 0:
        return altitude
    return altitude + next(minus for first, minus in reversed(guideline.smoking) if first <= person.cigarettes_per_day)
