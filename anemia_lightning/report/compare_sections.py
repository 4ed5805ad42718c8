"""The chapters of a comparison of runs, of what compare.json holds: for the page, for Markdown and for the terminal."""

from collections.abc import Iterator, Mapping, Sequence
from string import ascii_lowercase
from typing import Any, Literal

from anemia_lightning.metrics.estimates import BOOTSTRAP
from anemia_lightning.report.estimates import estimate_text, p_text, p_texts
from anemia_lightning.report.sections import Section, Table

SCORE_WORDS = {
    "auroc": "AUROC",
    "average_precision": "average precision",
    "acc": "accuracy",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "brier": "Brier score (less is better)",
}

_MOST_SETTINGS = 4
"""Settings that fit beside the scores; more stand in a table of their own."""
_MOST_SENTENCES = 5
_MOST_NAMED = 3
_ALLOWING = (
    "Folds and other divisions share photos; intervals and p over several of them allow for that (corrected resampled "
    "t-test of Nadeau & Bengio, Mach Learn 2003;52:239)."
)


def comparison_sections(comparison: Mapping[str, Any]) -> list[Section]:
    """Returns summary, scores, and then those chapters that have something to say."""
    chapters = (_settings, _groups, _folds, _differences, _recipes, _leftovers)
    more = [section for chapter in chapters for section in chapter(comparison)]
    return [Section("Summary", comparison_summary(comparison)), _scores(comparison), *more]


def comparison_summary(comparison: Mapping[str, Any], *, verdicts: bool = True) -> list[str]:
    """Returns what was compared with what, and what the best of several is worth, in sentences.

    Args:
        comparison: What compare.json holds.
        verdicts: Whether to say of the first runs whether they are better than the reference.
    """
    runs, left = comparison["runs"], comparison["leftovers"]
    more = [f"Besides these, {_count(len(left), 'folder')} without scores."] if left else []
    if len(runs) == 1:
        return [f"One run with scores: {comparison['reference']}.", *more]
    says = [f"{len(runs)} runs with scores. All others are compared with {comparison['reference']}.", *more]
    found = [row["says"] for row in comparison["differences"] if not row["refused"]] if verdicts else []
    says += found[:_MOST_SENTENCES]
    if len(found) > _MOST_SENTENCES:
        says.append(f"{len(found) - _MOST_SENTENCES} more stand among the paired differences.")
    return [*says, "Whoever picks the best of several runs by these photos must expect less of it on others."]


def warning_rows(comparison: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Returns each warning once, with the letter that stands beside the runs that it is about, and their names."""
    runs = comparison["runs"]
    texts = list(dict.fromkeys(warning for run in runs for warning in run["warnings"]))
    return [(_letter(place), text, _whose(text, runs)) for place, text in enumerate(texts)]


def marks(comparison: Mapping[str, Any], run: Mapping[str, Any]) -> str:
    """Returns the letters of a run's warnings, and "" where it has none."""
    return ",".join(letter for letter, text, _ in warning_rows(comparison) if text in run["warnings"])


def _scores(comparison: Mapping[str, Any]) -> Section:
    keys = _setting_names(comparison)
    shown = keys if len(keys) <= _MOST_SETTINGS else []
    auroc, *others = SCORE_WORDS
    columns = ["run", SCORE_WORDS[auroc], "beware", *(SCORE_WORDS[score] for score in others)]
    columns += ["photos", "anaemic", *shown, "weights"]
    rows = [
        [
            run["name"] + (" (reference)" if run["name"] == comparison["reference"] else ""),
            estimate_text(run["scores"][auroc]),
            marks(comparison, run),
            *(estimate_text(run["scores"][score]) for score in others),
            *(str(run[key]) for key in ("n", "n_positive")),
            *(run["settings"][key] for key in shown),
            run["weights"],
        ]
        for run in comparison["runs"]
    ]
    says = (
        f"Computed from the predictions of test photos, with {100 * comparison['level']:g} % intervals. They say how "
        "far other patients would move these scores, and not how far another training would."
    )
    beware = " Letters under beware stand for the warnings above." if any(row[2] for row in rows) else ""
    return Section("Scores", [says + beware, *_methods_say(comparison)], [Table("One row per run", columns, rows)])


def _methods_say(comparison: Mapping[str, Any]) -> Iterator[str]:
    """Yields how the intervals came about, each method with its scores; nothing where there are none."""
    scores: dict[str, list[str]] = {}
    for score, words in SCORE_WORDS.items():
        # One run may hold several photos of a patient, and another not.
        for method in dict.fromkeys(run["scores"][score]["method"] for run in comparison["runs"]):
            scores.setdefault(method, []).append(words.partition(" (")[0])
    scores.pop("", None)
    if scores:
        named = (f"{method}: {', '.join(names)}" for method, names in scores.items())
        yield f"Intervals by {'; '.join(named)}."
    if BOOTSTRAP in scores:
        yield (
            f"The bootstrap is made of {comparison['resamples']} draws of patients, each with all copies of the "
            "photographs."
        )


def _settings(comparison: Mapping[str, Any]) -> Iterator[Section]:
    keys, runs = _setting_names(comparison), comparison["runs"]
    if len(keys) > _MOST_SETTINGS:
        rows = [[key, *(run["settings"][key] for run in runs)] for key in keys]
        table = Table("One row per setting", ["setting", *(run["name"] for run in runs)], rows)
        yield Section("Settings in which the runs differ", [], [table])


def _groups(comparison: Mapping[str, Any]) -> Iterator[Section]:
    groups = comparison["groups"]
    if groups:
        rows = [
            [group["name"], *_summary_cells(group["scores"]), ", ".join(group["differ_in"]) or "nothing"]
            for group in groups
        ]
        says = (
            "Mean, standard deviation (SD) and t interval of the mean. Of runs that differ in their seeds alone, the "
            "interval says how far other seeds would move the mean on these photos, and nothing of other patients. Of "
            "runs on several divisions of the photos, as folds or splits, each division counts once, with the mean of "
            f"its seeds. {_ALLOWING}"
        )
        table = Table("Runs of one recipe", ["recipe", *SCORE_WORDS.values(), "runs differ in"], rows)
        yield Section("Seeds and folds together", [says, *_notes(groups, "name")], [table])


def _folds(comparison: Mapping[str, Any]) -> Iterator[Section]:
    if comparison["folds"]:
        rows = [[row["run"], *_summary_cells(row["scores"])] for row in comparison["folds"]]
        says = (
            f"Mean, SD and t interval over the folds of each cross-validation. {_ALLOWING} Go by the scores of all "
            "photos together, above."
        )
        table = Table("Within each cross-validation", ["run", *SCORE_WORDS.values()], rows)
        yield Section("Folds of cross-validations", [says, *_notes(comparison["folds"], "run")], [table])


def _differences(comparison: Mapping[str, Any]) -> Iterator[Section]:
    compared = [row for row in comparison["differences"] if not row["refused"]]
    refused = [f"Not compared, {row['run']}: {row['refused']}" for row in comparison["differences"] if row["refused"]]
    if compared:
        rows = [[row["run"], *_difference_cells(row)] for row in compared]
        tests = ["p", "p (Holm)", "p (DeLong)", "p (DeLong, Holm)"]
        columns = ["run", SCORE_WORDS["auroc"], *tests, *list(SCORE_WORDS.values())[1:]]
        table = Table(f"Run less {comparison['reference']}", columns, rows)
        yield Section("Paired differences", [*_multiplicity(len(compared)), *refused], [table])
    elif refused:
        yield Section("Paired differences", refused)


def _multiplicity(comparisons: int) -> list[str]:
    counted = "1 comparison was" if comparisons == 1 else f"{comparisons} comparisons were"
    return [
        "Recomputed photo by photo from both tables of predictions; both models are judged on the same draws of "
        "patients. p is two-sided, of the hypothesis that the AUROCs are equal. Beside ≤, no draw says otherwise, and "
        "more of them might give a smaller p. DeLong's test takes photos as independent: where patients or copies "
        "repeat, its p is too small.",
        f"{counted} made with the reference. p (Holm) allows for so many; the intervals and p alone do not, nor does "
        "anything allow for runs that were not named here.",
    ]


def _recipes(comparison: Mapping[str, Any]) -> Iterator[Section]:
    found = comparison["group_differences"]
    if found:
        rows = [
            [
                row["group"],
                _over_runs(row, sign="+"),
                *map(p_text, (row["p"], row["p_holm"])),
                row["method"] or "-",
            ]
            for row in found
        ]
        table = Table(
            f"AUROC, less that of {found[0]['reference']}",
            ["recipe", "mean difference [t interval], SD, pairs or divisions", "p", "p (Holm)", "by"],
            rows,
        )
        says = (
            "Runs of the same seeds and fold are compared pairwise (paired t-test). Of runs that differ in their seeds "
            "alone, it says nothing of other patients. Of several divisions of the photos, each counts once, with the "
            f"mean of its seeds. {_ALLOWING}"
        )
        yield Section("Recipes against one another", [says, *_notes(found, "group")], [table])


def _notes(rows: Sequence[Mapping[str, Any]], name: str) -> list[str]:
    return [f"{row[name]}: {row['note']}." for row in rows if row["note"]]


def _leftovers(comparison: Mapping[str, Any]) -> Iterator[Section]:
    if comparison["leftovers"]:
        yield Section("Folders without scores", [f"{row['name']}: {row['reason']}" for row in comparison["leftovers"]])


def _setting_names(comparison: Mapping[str, Any]) -> list[str]:
    return list(comparison["runs"][0]["settings"])


def _summary_cells(scores: Mapping[str, Any]) -> list[str]:
    return [_over_runs(scores[score]) for score in SCORE_WORDS]


def _over_runs(found: Mapping[str, Any], *, sign: Literal["", "+"] = "") -> str:
    if found["mean"] is None:
        return "undefined"
    spread = "" if found["sd"] is None else f", SD {found['sd']:.3f}"
    interval = estimate_text({**found, "value": found["mean"]}, sign=sign)
    return f"{interval}{spread}, n={found['n']}"


def _difference_cells(row: Mapping[str, Any]) -> list[str]:
    area, delong = row["scores"]["auroc"], row["delong"]
    resampled = p_texts(area["p"], area["p_holm"], resamples=area["resamples"])
    tests = [*resampled, *map(p_text, (delong["p"], delong["p_holm"]))]
    others = [estimate_text(row["scores"][score], sign="+") for score in list(SCORE_WORDS)[1:]]
    return [estimate_text(area, sign="+"), *tests, *others]


def _whose(warning: str, runs: Sequence[Mapping[str, Any]]) -> str:
    names = [run["name"] for run in runs if warning in run["warnings"]]
    if len(names) == len(runs) > 1:
        return "all runs"
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(names[:_MOST_NAMED]) + more


def _letter(place: int) -> str:
    rounds, rest = divmod(place, len(ascii_lowercase))
    return ascii_lowercase[rest] + (str(rounds + 1) if rounds else "")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
