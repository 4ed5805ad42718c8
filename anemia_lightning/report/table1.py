"""Table 1: who is in each part of the data, and how far the parts differ."""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pandas as pd

from anemia_lightning.metrics.balance import CONSIDERABLE, categories_differ, numbers_differ
from anemia_lightning.report.markdown import literal, table_lines, write_markdown
from anemia_lightning.report.page import NOTICE
from anemia_lightning.report.patient_words import Numbers, count_patients
from anemia_lightning.report.sections import Section, Table

_NUMBERS = {
    "age_months": "age, months",
    "hemoglobin_g_dl": "haemoglobin, g/dL",
    "altitude_m": "altitude, m",
    "cigarettes_per_day": "cigarettes per day",
}
_TEXTS = ("sex", "pregnancy", "severity", "site", "device", "source")
_GRADES = {"severity": ("none", "mild", "moderate", "severe"), "pregnancy": ("no", "1", "2", "3", "yes")}
"""Texts that have an order of their own; of others the commonest stands first."""
_CLASSES = {"anaemic": "yes", "not anaemic": "no"}
_MOST_VALUES = 15
_MOST_COMPARED = 3
"""More parts than these are not compared one by one."""

_PATIENTS = (
    "Patients are counted: where one has several photos, a number is their mean and a text the first that is known."
)
_ALSO_UNNAMED = "Each photo of which the data do not name the patient counts as a patient of its own."
_PHOTOS = "Photos are counted, since the data name no patients."
_SAYS = (
    "Numbers: mean (standard deviation); shares are of those of whom it is known. SMD is the standardised mean "
    "difference (Austin 2009; of several values Yang and Dalton 2012), in standard deviations; from "
    f"{CONSIDERABLE} on groups are commonly called imbalanced."
)

_SPLITS = {"train", "val", "test"}
_BY_CLASS = (
    "Characteristics by class: what differs here, other than haemoglobin and severity, which define the classes, can "
    "be mistaken for anaemia"
)

_People = Mapping[str, pd.DataFrame]
"""One row per patient, for each part; a photo of which the data do not name the patient is one of its own."""


def describe_people(photos: pd.DataFrame, *, by: str = "split", order: Sequence[str] = ()) -> Section:
    """Returns the characteristics of the people in each part of the data, and of those with and without anaemia.

    Args:
        photos: One row per photo: photo, patient, label, `by`, and what there is of age_months, hemoglobin_g_dl,
            altitude_m, cigarettes_per_day (NaN where unknown), sex, pregnancy, severity, site, device and source (""
            where unknown).
        by: The column that names the part: split, or the fold that tests a photo.
        order: The parts in their order; others are left out. None named: all, as they first stand in the table.
    """
    names = list(order or dict.fromkeys(photos[by]))
    parts = {name: _people(photos[photos[by] == name]) for name in names}
    everyone = _people(photos[photos[by].isin(names)])
    classes = {words: everyone[everyone["anaemic"] == value] for words, value in _CLASSES.items()}
    numbers = count_patients(photos)
    unit = "patients" if numbers.patients else "photos"
    tables = [_table(_by_part(names), parts, ("anaemic", *_TEXTS), unit), _table(_BY_CLASS, classes, _TEXTS, unit)]
    says = [_counted(numbers), *_by_chance("parts of the data", parts, unit), *_by_chance("classes", classes, unit)]
    return Section("Who is in the data", says, tables)


def write_table1(path: Path, section: Section) -> None:
    """Writes what `describe_people` returns as Markdown."""
    tables = (line for table in section.tables for line in table_lines(table))
    write_markdown(
        path, [f"# {section.title} (Table 1)", "", f"{NOTICE}.", "", *map(literal, section.says), "", *tables]
    )


def _by_part(names: Sequence[str]) -> str:
    if set(names) <= _SPLITS:
        return "Characteristics by part of the data"
    return "Characteristics by part of the data: the test part of each fold"


def _counted(numbers: Numbers) -> str:
    """Returns what the tables count, and how to read them."""
    if not numbers.patients:
        return f"{_PHOTOS} {_SAYS}"
    return " ".join([_PATIENTS, *([_ALSO_UNNAMED] if numbers.unnamed else []), _SAYS])


def _by_chance(what: str, people: _People, unit: str) -> Iterator[str]:
    """Yields in a sentence how far the smallest groups that are compared differ by chance; nothing where none are."""
    pairs = [pair for found in _comparisons(list(people)).values() for pair in found]
    sizes = [(len(people[one]), len(people[other])) for one, other in pairs if len(people[one]) and len(people[other])]
    if not sizes:
        return
    one, other = max(sizes, key=lambda size: 1 / size[0] + 1 / size[1])
    says = f"Chance alone makes {what} differ: between {one} and {other} {unit} an SMD has a standard error of about "
    says += f"{math.sqrt(1 / one + 1 / other):.2f}, and that of a trait with several values comes out larger still."
    if len(people) > _MOST_COMPARED:
        says += f" Shown is the largest of {len(pairs)} pairs."
    yield says


def _people(photos: pd.DataFrame) -> pd.DataFrame:
    """Returns one row per patient: photos (how many), anaemic (yes, no or NA), and what is known of them."""
    by_patient = photos.groupby("patient", sort=False)
    # A patient who was anaemic once and is not today belongs to the anaemic.
    label = by_patient["label"].max().map({1: "yes", 0: "no"})
    numbers = by_patient[[name for name in _NUMBERS if name in photos]].mean()
    texts = photos[["patient", *(name for name in _TEXTS if name in photos)]].replace("", None)
    known = texts.groupby("patient", sort=False).first()
    return pd.concat([by_patient.size().rename("photos"), label.rename("anaemic"), numbers, known], axis=1)


def _table(caption: str, people: _People, texts: Sequence[str], unit: str) -> Table:
    everyone = pd.concat(people.values())
    compared = _comparisons(list(people))
    rows = [["photos", *(str(int(each["photos"].sum())) for each in people.values())]]
    if unit != "photos":
        rows.insert(0, [unit, *(str(len(each)) for each in people.values())])
    for column, words in _NUMBERS.items():
        if column in everyone and everyone[column].notna().any():
            rows += _number_rows(column, words, people)
    for column in texts:
        if column in everyone and everyone[column].nunique() > 1:
            rows += _text_rows(column, people, _ordered(column, everyone[column]))
    width = 1 + len(people) + len(compared)
    return Table(caption, ["characteristic", *people, *compared], [row + [""] * (width - len(row)) for row in rows])


def _ordered(column: str, texts: "pd.Series[str]") -> list[str]:
    known = list(map(str, texts.value_counts().index))
    grades = _GRADES.get(column, ())
    return sorted(known, key=lambda text: grades.index(text) if text in grades else len(grades))


def _number_rows(column: str, words: str, people: _People) -> Iterator[list[str]]:
    values = {name: each[column] for name, each in people.items()}
    cells = [f"{each.mean():.1f} ({each.std():.1f})" if each.notna().any() else "-" for each in values.values()]
    differences = [
        [numbers_differ(values[one], values[other]) for one, other in pairs]
        for pairs in _comparisons(list(people)).values()
    ]
    yield [words, *cells, *map(_largest, differences)]
    yield from _unknown_row(words, list(values.values()))


def _text_rows(column: str, people: _People, known: list[str]) -> Iterator[list[str]]:
    counts = {name: each[column].value_counts().reindex(known, fill_value=0) for name, each in people.items()}
    differences = [
        [categories_differ(counts[one], counts[other]) for one, other in pairs]
        for pairs in _comparisons(list(people)).values()
    ]
    compared = list(map(_largest, differences))
    for value in known[:_MOST_VALUES]:
        yield [f"{column}: {value}", *(_share(each[value], each.sum()) for each in counts.values()), *compared]
        # They compare the whole distribution, so they stand once.
        compared = []
    if rest := known[_MOST_VALUES:]:
        cells = [_share(each[rest].sum(), each.sum()) for each in counts.values()]
        yield [f"{column}: {len(rest)} others", *cells]
    yield from _unknown_row(column, [each[column] for each in people.values()])


def _unknown_row(words: str, values: Sequence["pd.Series[float]"]) -> Iterator[list[str]]:
    if any(each.isna().any() for each in values):
        yield [f"{words}: unknown", *(_share(each.isna().sum(), len(each)) for each in values)]


def _comparisons(names: Sequence[str]) -> dict[str, list[tuple[str, str]]]:
    """Returns the columns of differences, each with the pairs of parts of which it shows the largest."""
    if len(names) > _MOST_COMPARED:
        return {"largest SMD": list(itertools.combinations(names, 2))}
    return {f"SMD {names[0]} / {other}": [(names[0], other)] for other in names[1:]}


def _largest(differences: Sequence[float | None]) -> str:
    known = [difference for difference in differences if difference is not None]
    return f"{max(known, key=abs):.2f}" if known else "undefined"


def _share(count: int, total: int) -> str:
    return f"{count} ({count / total:.0%})" if total else "-"
