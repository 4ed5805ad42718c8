"""The audit's tables, made of the plain values of audit.json: for the page and for Markdown alike."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from anemia_lightning.report.estimates import estimate_text
from anemia_lightning.report.label_words import cutoffs_say
from anemia_lightning.report.patient_words import Numbers
from anemia_lightning.report.sections import Section, Table

GRAIN_WORDS = {
    "random": "none: each photo alone",
    "patient": "patients only",
    "bytes": "same file",
    "pixels": "same pixels",
    "turned": "also mirrored, turned, re-encoded",
    "recut": "also cut out anew",
}
"""What counts as copies of one photograph, in words."""

_MOST_ROWS = 30


def audit_summary(audit: Mapping[str, Any]) -> list[str]:
    """Returns in plain words what the data are."""
    data, distinct = audit["data"], audit["distinct_photographs"]
    excluded = sum(audit["excluded"]["codes"].values())
    left_out = f" {excluded} more cannot be used." if excluded else ""
    numbers = Numbers(data["photos"], data["patients"], data["unnamed"])
    photos = f"{numbers.words} can be read, {data['anaemic']} of the photos of anaemic people.{left_out}"
    if distinct["recut"] == data["photos"]:
        return [photos, "No copies were found: every photo shows a photograph of its own."]
    return [
        photos,
        f"They are {distinct['bytes']} different files with {distinct['pixels']} different pictures; without mirrored, "
        f"turned and re-encoded copies {distinct['turned']}, and without new cut-outs of one photograph "
        f"{distinct['recut']}.",
    ]


def copy_sections(audit: Mapping[str, Any]) -> list[Section]:
    """Returns the chapters on copies and splits that have something to say; `audit` is what audit.json holds."""
    return [section for chapter in (_copies, _given, _grouping) for section in chapter(audit)]


def photo_sections(audit: Mapping[str, Any]) -> list[Section]:
    """Returns the chapters on the photos themselves that have something to say."""
    return [section for chapter in (_labels, _counts, _files, _gaps) for section in chapter(audit)]


def grouping_table(audit: Mapping[str, Any]) -> Table | None:
    """Returns the table of baselines at each grain, AUROC with interval; None where there is none."""
    rows = audit["grouping"]
    if not rows:
        return None
    names = list(dict.fromkeys(name for row in rows for name in row["auroc"]))
    columns = ["kept together", "photos", "groups", "left out", *names]
    counts = ("photos", "groups", "dropped")
    cells = [
        [
            GRAIN_WORDS[row["grain"]],
            *(str(row[name]) for name in counts),
            *(auroc_cell(row["auroc"].get(n)) for n in names),
        ]
        for row in rows
    ]
    return Table("AUROC out of fold [95 % interval]", columns, cells)


def _grouping(audit: Mapping[str, Any]) -> Iterator[Section]:
    if audit["grouping"] is None:
        return
    says, tables = _without_row(audit), []
    if table := grouping_table(audit):
        compared = (
            "The same models, cross-validated: first with the photos dealt at random, then with ever wider copies "
            "kept on one side. What falls from the first row to the last may be recognition rather than skill; some "
            "of it is that fewer different photographs are left to learn from. Left out are photos whose copies "
            "contradict them."
        )
        says, tables = [compared, *says], [table]
    yield Section("What keeping copies together is worth", says, tables)


def _without_row(audit: Mapping[str, Any]) -> list[str]:
    """Returns which grains have no row, and why; nothing where all have one."""
    shown = {row["grain"] for row in audit["grouping"]}
    # Patients of one photo each have no row of their own.
    absent = [words for grain, words in GRAIN_WORDS.items() if grain not in {*shown, "patient"}]
    if not absent:
        return []
    folds = audit["settings"]["folds"]
    return [f"Too few groups for {folds} folds, and so no row: {'; '.join(absent)}. Fewer (folds=) may do."]


def _copies(audit: Mapping[str, Any]) -> Iterator[Section]:
    leaks = {row["grain"]: row["leaked"] for row in audit["leak"]["random"]}
    rows = [
        [
            GRAIN_WORDS[row["grain"]],
            *(str(row[name]) for name in ("distinct", "groups", "photos", "largest", "across_classes")),
            str(row["across_patients"]) if audit["data"]["patients"] else "-",
            *(str(row[name]) for name in ("across_sites", "other_hemoglobin")),
            _number(row["spread_highest_g_dl"], 1),
            _percent(leaks[row["grain"]]),
        ]
        for row in audit["copies"]
    ]
    columns = ["counted as copies", "distinct", "groups", "photos in them", "largest", "both classes"]
    columns += ["several patients", "several sites", "several haemoglobins", "widest g/dL apart", "random split leaks"]
    share = _percent(audit["leak"]["test_share"])
    says = (
        f"The last column: of the test photos of a random split that keeps {share} for the test, stratified by label, "
        "the share with a copy in training (the exact expectation)."
    )
    yield Section("Copies of one photograph", [says], [Table("Groups of two photos or more", columns, rows)])


def _given(audit: Mapping[str, Any]) -> Iterator[Section]:
    leak = audit["leak"]["given"]
    if leak:
        words = {**GRAIN_WORDS, "patient": "same patient"}
        rows = [
            [words[row["grain"]], str(row["crossing"]), _percent(row["val"]), _percent(row["test"])] for row in leak
        ]
        columns = ["what may cross", "groups that cross", "val photos met in training", "test photos met in training"]
        yield Section("The split that the data bring along", [], [Table("What it leaks", columns, rows)])


def _labels(audit: Mapping[str, Any]) -> Iterator[Section]:
    check = audit["hemoglobin"]
    if not check["known"]:
        yield Section("Labels and haemoglobin", ["The data give no haemoglobin, so labels cannot be checked."], [])
        return
    says = [
        f"The labels are by the rule {audit['labels']['rule']} ({audit['labels']['source']}).",
        *cutoffs_say(audit["labels"]),
        f"Haemoglobin is known of {check['known']} photos.{_one_cutoff(check)}",
    ]
    flips = [[rule, str(flip["flips"]), str(flip["of"])] for rule, flip in audit["labels"]["flips"].items()]
    others = Table("Labels that would differ", ["under the rule", "labels", "of photos"], flips)
    tables = [others, *_listing("Labels that no rule explains", check["contradicting"])]
    yield Section("Labels and haemoglobin", says, tables)


def _one_cutoff(check: Mapping[str, Any]) -> str:
    """Returns how labels and photos stand to the cut-off, or by a guideline each photo to its own."""
    near = f"{check['near']} photos stand within {check['near_g_dl']:g} g/dL of"
    if check["cutoff_g_dl"] is None:
        return f" {near} their cut-off."
    return f" {check['agreeing']} labels follow one cut-off, anaemic below {check['cutoff_g_dl']:g} g/dL. {near} it."


def _counts(audit: Mapping[str, Any]) -> Iterator[Section]:
    values = {row["column"]: row["cramers_v"] for row in audit["associations"]}
    tables = []
    for column in dict.fromkeys(row["column"] for row in audit["counts"]):
        rows = [row for row in audit["counts"] if row["column"] == column]
        follows = f" (Cramér's V with the class {values[column]:.2f})" if column in values else ""
        name = column.replace("_", " ")
        counted = ("photos", *(["patients"] if audit["data"]["patients"] else []), "anaemic")
        cells = [[row["value"], *(str(row[each]) for each in counted), _percent(row["share"])] for row in rows]
        tables.append(Table(f"By {name}{follows}", [name, *counted, "share"], _shortened(cells)))
    yield Section("Who is in the data", [], tables)


def _files(audit: Mapping[str, Any]) -> Iterator[Section]:
    names = ("lowest", "q05", "median", "q95", "highest")
    rows = [
        [row["measure"].replace("_", " "), *(_figures(row[name]) for name in names), str(row["outliers"])]
        for row in audit["files"]["measures"]
    ]
    measures = Table("Measures", ["measure", "lowest", "5 %", "median", "95 %", "highest", "outliers"], rows)
    outliers = [
        [row["photo"], row["measure"].replace("_", " "), _figures(row["value"])] for row in audit["files"]["outliers"]
    ]
    tables = [measures, *([Table("Outliers", ["photo", "measure", "value"], _shortened(outliers))] if outliers else [])]
    says = (
        "Width and height as seen, in pixels; sharpness is the variance of the Laplacian over the tissue; clipped are "
    )
    yield Section("The files", [says + "the shares of the tissue that are black or burnt out."], tables)


def _gaps(audit: Mapping[str, Any]) -> Iterator[Section]:
    rows = [
        [row["column"].replace("_", " "), str(row["missing"]), _percent(row["share"])]
        for row in audit["missing"]
        if row["missing"]
    ]
    tables = [Table("Missing values", ["column", "photos without", "share"], rows)] if rows else []
    excluded = [[row["photo"], row["reason"]] for row in audit["excluded"]["photos"]]
    tables += [Table("Photos that cannot be used", ["photo", "reason"], _shortened(excluded))] if excluded else []
    if tables:
        yield Section("What is missing", [], tables)


def _listing(caption: str, photos: Sequence[str]) -> Iterator[Table]:
    if photos:
        yield Table(caption, ["photo"], _shortened([[photo] for photo in photos]))


def _shortened(rows: list[list[str]]) -> list[list[str]]:
    """Returns the first rows and, of a long table, how many more audit.json has."""
    if len(rows) <= _MOST_ROWS:
        return rows
    rest = [f"and {len(rows) - _MOST_ROWS} more, in audit.json", *([""] * (len(rows[0]) - 1))]
    return [*rows[:_MOST_ROWS], rest]


def auroc_cell(auroc: Mapping[str, float | None] | None) -> str:
    """Returns the AUROC of a baseline with its interval, and "-" where the data do not allow the baseline."""
    return estimate_text(auroc, 2) if auroc and auroc["value"] is not None else "-"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.0%}"


def _number(value: float | None, places: int) -> str:
    return "-" if value is None else f"{value:.{places}f}"


def _figures(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"  # noqa: PLR2004
