"""The chapters on whom a model works for, how sure it is, and what it looks at."""

from collections.abc import Mapping, Sequence
from typing import Any

from anemia_lightning.metrics.subgroups import FEWEST, FEWEST_EVENTS
from anemia_lightning.report.estimates import (
    estimate_text,
    number_text,
    percent,
    percent_estimate,
    range_text,
    score_words,
)
from anemia_lightning.report.sections import Section, Table

_MOST_GROUPS = 40
_HALF = 0.5
_GROUP_SCORES = ("auroc", "sensitivity", "specificity", "observed_expected")
_SETS = {
    "anaemic": "anaemic",
    "not anaemic": "not anaemic",
    "either": "may be either: abstains",
    "neither": "fits neither: abstains",
}


def subgroups(assessment: Mapping[str, Any]) -> Section | None:
    """Returns the scores of each group of people; None where there is no column."""
    found, threshold = assessment["subgroups"], assessment["threshold"]
    if not (found["columns"] or found["absent"]):
        return None
    at = "All groups are judged at the same threshold."
    if threshold["varies"]:
        at = f"Each photo is judged at the threshold of its fold's model ({range_text(threshold['values'])})."
    says = [
        f"{at} No p-values: with many groups, some differ by chance.",
        f"A group is large enough to be named from {FEWEST} independent sets of photos on, {FEWEST_EVENTS} of either "
        "class. The photos of one patient are one set, with those of all who share a copy with that patient.",
        *lowest_says(found),
    ]
    if found["absent"]:
        says.append(f"Asked for, but not in the data: {', '.join(found['absent'])}.")
    says += _across_sites(found["across_sites"], assessment["settings"]["level"])
    says += [f"{column['title'].capitalize()}: {column['note']}" for column in found["columns"] if column["note"]]
    return Section("Who it works for", says, list(map(_group_table, found["columns"])))


def lowest_says(subgroups: Mapping[str, Any]) -> list[str]:
    """Returns in a sentence for each score which group has the lowest; `subgroups` is that of assessment.json."""
    titles = {column["name"]: column["title"] for column in subgroups["columns"]}
    return [
        f"Of the groups large enough to be named, the {score_words(score)} is lowest for {titles[each['column']]}: "
        f"{each['group']}, {estimate_text(each['estimate'])}."
        for score, each in subgroups["worst"].items()
        if each
    ]


def uncertainty(assessment: Mapping[str, Any]) -> Section | None:
    """Returns what abstaining buys; None where there is nothing to say."""
    found = assessment["uncertainty"]
    risk, sets = found["risk_coverage"], found["conformal"]
    says = []
    half = [wrong for share, wrong in zip(risk["coverage"], risk["risk"], strict=True) if share >= _HALF]
    if risk["photos"] > 1:
        says.append(
            "If only the surest half of the photos were answered, those farthest from the threshold, "
            f"{percent(half[0])} of the answers would be wrong; if all, {percent(half[-1])}."
        )
    if not sets:
        return Section("Uncertainty", says) if says else None
    share = f"{1 - sets['alpha']:.0%}"
    says.insert(
        0,
        f"The sets of possible labels are built to hold the true label of about {share} of anaemic and of other "
        "photos: on average over draws of validation photos, if new photos are like these, and only nearly, since the "
        f"same photos also chose the epoch and the threshold. This is not {share} certainty for a person. Where a set "
        f"does not name one label, the model abstains: {percent_estimate(sets['abstained'])} of the photos.",
    )
    if sets["answers"] > risk["photos"]:
        says.append(f"Each photo counts as often as a model answers it: {sets['answers']} answers in all.")
    one_label = sets["sets"]["anaemic"] + sets["sets"]["not anaemic"]
    if one_label > sets["answered"]["n"]:
        agree = f"{sets['answered']['n']} agree with the threshold and got an answer"
        says.append(f"Of the {one_label} sets that name one label, {agree}; the others got none.")
    says += [sets["note"]] if sets["note"] else []
    return Section("Uncertainty", says, [_set_table(sets), _coverage_table(sets)])


def what_it_looks_at(looks: Mapping[str, Any]) -> Section | None:
    """Returns where the heat lies and what the outline alone does; None where nothing was looked at.

    Args:
        looks: What looks.json holds.
    """
    if not looks:
        return None
    background = looks["background"]
    says = [
        "Heat is Grad-CAM's (Selvaraju et al. 2017): a rough map of what raised the score of the decision. It does not "
        "say whether it should have.",
        *looks["says"],
    ]
    says += [background["note"].capitalize() + "."] if background["note"] else []
    rows = [[f"{row['swap']}: {row['says']}", *_effect_cells(row)] for row in background["swaps"]]
    caption = "Does the decision follow the tissue or what surrounds it?"
    tables = [Table(caption, ["what is swapped", *_EFFECT_COLUMNS], rows)] if rows else []
    return Section("What it looks at", says, tables)


def robustness(looks: Mapping[str, Any]) -> Section | None:
    """Returns how many decisions light, sharpness and file settings flip; None where nothing was tried.

    Args:
        looks: What looks.json holds.
    """
    if not looks or not looks["robustness"]:
        return None
    from anemia_lightning.plots.looks import change_words  # with matplotlib, which the page of an audit does without

    rows = [
        [change_words(row["perturbation"], row["level"], row["unit"]), *_effect_cells(row)]
        for row in looks["robustness"]
    ]
    says = ["The same photos, changed as cameras, light and file settings change them: how many decisions flip."]
    return Section("Robustness", says, [Table("What a change of the photo does", ["change", *_EFFECT_COLUMNS], rows)])


_EFFECT_COLUMNS = ("photos", "flipped", "share flipped", "mean shift of the logit", "change of the AUROC")


def _group_table(column: Mapping[str, Any]) -> Table:
    groups = column["groups"]
    scores = ("sensitivity",) if column["events_only"] else _GROUP_SCORES
    rows = [
        [
            group["name"] + (f" ({group['small']}: too few to judge)" if group["small"] else ""),
            str(group["n"]),
            str(group["events"]),
            *(estimate_text(group[score]) for score in scores),
        ]
        for group in groups[:_MOST_GROUPS]
    ]
    if len(groups) > _MOST_GROUPS:
        rest = f"and {len(groups) - _MOST_GROUPS} more, in assessment.json"
        rows.append([rest, *[""] * (2 + len(scores))])
    columns = [column["title"], "photos", "anaemic", *map(score_words, scores)]
    return Table(f"By {column['title']}", columns, rows)


def _across_sites(found: Mapping[str, Any] | None, level: float) -> list[str]:
    if not found:
        return []
    column = found["column"].replace("_", " ")
    left_out = ", each left out of training in turn," if found["left_out"] else ""
    average, low, high = found["estimate"], found["prediction"]["low"], found["prediction"]["high"]
    if average["value"] is None or low is None:
        return [f"What a further {column} may bring is not known: {found['note']}."]
    known = (
        f"A {column} that also gave training photos is no test of one that gave none, where the AUROC may be lower "
        f"still: leave_out={found['column']} tests that."
    )
    return [
        f"Over {found['sites']} values of {column}{left_out} the AUROC is {estimate_text(average)} on average; at a "
        f"further one it may lie anywhere in [{number_text(low)}, {number_text(high)}] ({percent(level)} prediction "
        "interval).",
        *filter(None, ["" if left_out else known, found["note"]]),
    ]


def _set_table(sets: Mapping[str, Any]) -> Table:
    total = sum(sets["sets"].values())
    rows = [
        [words, str(sets["sets"][name]), percent(sets["sets"][name] / total if total else None)]
        for name, words in _SETS.items()
    ]
    return Table("What the prediction sets say", ["the set", "answers", "share"], rows)


def _coverage_table(sets: Mapping[str, Any]) -> Table:
    answered = sets["answered"]
    rows = [
        ["sets of anaemic photos that hold the label", estimate_text(sets["coverage"]["anaemic"])],
        ["sets of other photos that hold the label", estimate_text(sets["coverage"]["not_anaemic"])],
        [f"accuracy of the {answered['n']} that got an answer", estimate_text(answered["acc"])],
        ["sensitivity of them", estimate_text(answered["sensitivity"])],
        ["specificity of them", estimate_text(answered["specificity"])],
    ]
    return Table("Coverage, and scores of what is answered", ["measure", "share [interval]"], rows)


def _effect_cells(row: Mapping[str, Any]) -> Sequence[str]:
    return (
        str(row["n"]),
        str(row["flipped"]),
        percent_estimate(row["flipped_interval"]),
        number_text(row["mean_logit_shift"], 2),
        estimate_text(row["auroc_change"], 2),
    )
