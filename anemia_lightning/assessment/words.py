"""An assessment in plain words: warnings, the summary, and the short lines that a command ends with."""

from collections.abc import Mapping
from typing import Any

from anemia_lightning.assessment.baselines import is_shown
from anemia_lightning.assessment.scoring import ENOUGH

TOO_GOOD = 0.90
"""Published AUROCs for anaemia on photographs of the eyelid whose splits were sound mostly lie far below this."""
SHOWN_PREVALENCE = 0.2

_CHANCE = 0.5
_MOST_LINES = 15


def warn(assessment: Mapping[str, Any]) -> list[str]:
    """Returns what must be said beside the scores."""
    warnings = []
    size = assessment["sample_size"]
    if _is_too_good(assessment):
        auroc = shown(assessment["photos"]["scores"]["auroc"])
        warnings.append(
            f"Too good to be true: by photo the AUROC is {auroc}, far above what studies of such photographs with "
            "sound splits mostly report (about 0.70 to 0.77). Look for copies of one photograph, or photos of one "
            "patient, on both sides of the split, and for something beside the tissue that tells the classes apart "
            "(the audit looks for both)."
        )
    if not size["enough"]:
        wide, level = "", assessment["settings"]["level"]
        if size["half_width"] is not None:
            wide = f" The {level:.0%} interval of the AUROC is about ±{size['half_width']:.2f} wide."
        warnings.append(
            f"A small test: {size['anaemic']} anaemic and {size['not_anaemic']} other {size['unit']}s, fewer than the "
            f"usual least number of {ENOUGH} each.{wide}"
        )
    warnings += _unnamed(assessment["counts"])
    threshold = assessment["threshold"]
    if not threshold["reached"]:
        folds = len(threshold["values"])
        where = f" in {threshold['failed']} of {folds} folds" if folds > 1 else ""
        warnings.append(
            f"The rule of the threshold, {threshold['rule']}, could not be followed{where}. {threshold['note']}"
        )
    if missing := [each for each in assessment["baselines"] if _is_better(each)]:
        names = ", ".join(each["name"] for each in missing)
        warnings.append(f"Simpler models are better on these photos: {names}.")
    return warnings


def summarise(assessment: Mapping[str, Any]) -> list[str]:
    """Returns the assessment in sentences, the most important first."""
    section = headline(assessment)
    sentences = [
        _first(section, is_too_good=_is_too_good(assessment)),
        *_drawn(assessment),
        _by_photo(assessment, assessment["colour"]["sentence"]),
        *_at_threshold(assessment, section),
        *_people(assessment),
        *(_by_photo(assessment, each) for each in (*_calibrated(assessment), *_worst(assessment))),
        *_unsure(assessment),
    ]
    return [each for each in sentences if each]


def end_lines(assessment: Mapping[str, Any]) -> list[str]:
    """Returns the short lines that a command ends with, at most 15."""
    section = headline(assessment)
    scores, unit = section["scores"], section["unit"]
    threshold = assessment["threshold"]
    colour = _by_photo(assessment, assessment["colour"]["sentence"])
    lines = [assessment["summary"][0], *_drawn(assessment), colour]
    lines.append(f"By {unit}, at the threshold {_at(threshold)}, with {_level(assessment)} intervals{_share(section)}:")
    names = ("sensitivity", "specificity", "ppv", "npv")
    lines += [f"  {name:<13}{shown(scores[name])}" for name in names]
    room = _MOST_LINES - len(lines)
    warnings = [f"Warning: {each}" for each in assessment["warnings"]]
    return lines + (warnings if len(warnings) <= room else [*warnings[: room - 1], "More warnings are in the report."])


def headline(assessment: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns the section that the summary tells of: that of the patients where they have several photos."""
    found: Mapping[str, Any] = assessment["patients"] if assessment["unit"] == "patient" else assessment["photos"]
    return found


def shown(estimate: Mapping[str, Any]) -> str:
    """Returns an estimate as a reader sees it.

    Example:
        >>> shown({"value": 0.8123, "low": 0.75, "high": 0.9, "note": ""})
        '0.812 [0.750, 0.900]'
        >>> shown({"value": None, "low": None, "high": None, "note": "no anaemic photos"})
        'undefined (no anaemic photos)'
    """
    if estimate["value"] is None:
        return f"undefined ({estimate['note']})"
    if estimate["low"] is None:
        return f"{estimate['value']:.3f} (no interval: {estimate['note']})"
    return f"{estimate['value']:.3f} [{estimate['low']:.3f}, {estimate['high']:.3f}]"


def _by_photo(assessment: Mapping[str, Any], sentence: str) -> str:
    """Returns a sentence on photos, which says so where the summary counts patients."""
    return sentence if assessment["unit"] == "photo" else f"By photo, {sentence[:1].lower()}{sentence[1:]}"


def _is_too_good(assessment: Mapping[str, Any]) -> bool:
    low = assessment["photos"]["scores"]["auroc"]["low"]
    return low is not None and low > TOO_GOOD and not assessment["drawn"]


def _unnamed(counts: Mapping[str, Any]) -> list[str]:
    unnamed, photos = counts["unnamed"], counts["photos"]
    if not unnamed:
        return []
    says = "The data do not say which photos are of one person; each counts as a person of its own."
    if unnamed < photos:
        says = (
            f"The data do not say which of {unnamed} of the {photos} photos are of one person; each of these counts as "
            "a person of its own."
        )
    return [f"{says} If some are not, scores are too good and intervals too narrow."]


def _first(section: Mapping[str, Any], *, is_too_good: bool) -> str:
    auroc, unit = section["scores"]["auroc"], section["unit"]
    of = f"{section['n']} {unit}s, {section['n_positive']} of them anaemic"
    if auroc["value"] is None:
        return f"Nothing can be said of how well the network tells anaemia: {auroc['note']} among {of}."
    if auroc["low"] is None:
        return f"On {of}, the network's AUROC is {auroc['value']:.3f}; it has no interval: {auroc['note']}."
    if auroc["low"] <= _CHANCE <= auroc["high"]:
        return (
            f"The network is not shown to do better than chance: on {of}, its AUROC is {shown(auroc)}, "
            "and the interval contains 0.5."
        )
    if auroc["high"] < _CHANCE:
        return f"The network does worse than chance: on {of}, its AUROC is {shown(auroc)}. Are the labels swapped?"
    verdict = "too good to be true, so look for a leak before you believe it" if is_too_good else "chance has 0.5"
    return f"On {of}, the network's AUROC is {shown(auroc)}; {verdict}."


def _drawn(assessment: Mapping[str, Any]) -> list[str]:
    if not assessment["drawn"]:
        return []
    return ["The photographs are drawn: the scores show that the program works, and say nothing of real photographs."]


def _at_threshold(assessment: Mapping[str, Any], section: Mapping[str, Any]) -> list[str]:
    counts, scores, unit = section["confusion"], section["scores"], section["unit"]
    anaemic, others = section["n_positive"], section["n_negative"]
    if not anaemic or not others:
        return []
    threshold = assessment["threshold"]
    return [
        f"At its threshold ({_at(threshold)}, by the rule {threshold['rule']}) it finds {counts['tp']} of {anaemic} "
        f"anaemic {unit}s (sensitivity {shown(scores['sensitivity'])}) and calls {counts['tn']} of the {others} others "
        f"not anaemic (specificity {shown(scores['specificity'])})."
    ]


def _at(threshold: Mapping[str, Any]) -> str:
    return f"{threshold['value']:.3f}" + (" on average over the folds" if threshold["varies"] else "")


def _people(assessment: Mapping[str, Any]) -> list[str]:
    populations = assessment["populations"]
    row = min(populations["rows"], key=lambda each: abs(each["prevalence"] - SHOWN_PREVALENCE))
    if row["referred"]["value"] is None:
        return []
    people = populations["people"]
    referred, needlessly, missed = (_count(row[name]) for name in ("referred", "needlessly_referred", "missed"))
    return [
        f"If it did as well among {people:,} people of whom {people * row['prevalence']:.0f} are anaemic, it would "
        f"refer {referred}, {needlessly} of them needlessly, and miss {missed}."
    ]


def _count(estimate: Mapping[str, Any]) -> str:
    interval = "" if estimate["low"] is None else f" [{estimate['low']:.0f} to {estimate['high']:.0f}]"
    return f"{estimate['value']:.0f}{interval}"


def _calibrated(assessment: Mapping[str, Any]) -> list[str]:
    found = assessment["calibration"]["after"] or assessment["calibration"]["before"]
    ratio, slope = found["observed_expected"], found["slope"]
    says = []
    if ratio["low"] is not None:
        kind = ("too high" if ratio["value"] < 1 else "too low") if _excludes_1(ratio) else "not shown to be off"
        says.append(f"Its probabilities are {kind} on average (observed to expected {shown(ratio)}).")
    if _excludes_1(slope):
        kind = "too extreme" if slope["value"] < 1 else "not extreme enough"
        says.append(f"High and low probabilities are shown to be {kind} (slope {shown(slope)}).")
    return says


def _excludes_1(estimate: Mapping[str, Any]) -> bool:
    return estimate["low"] is not None and not estimate["low"] <= 1 <= estimate["high"]


def _worst(assessment: Mapping[str, Any]) -> list[str]:
    worst = assessment["subgroups"]["worst"]["auroc"]
    if worst is None:
        return []
    titles = {column["name"]: column["title"] for column in assessment["subgroups"]["columns"]}
    return [
        f"Of the groups large enough to be named, the AUROC is lowest for {titles[worst['column']]}: {worst['group']}, "
        f"{shown(worst['estimate'])}. Some group is lowest by chance alone."
    ]


def _unsure(assessment: Mapping[str, Any]) -> list[str]:
    conformal = assessment["uncertainty"]["conformal"]
    if conformal is None or conformal["abstained"]["value"] is None:
        return []
    share = f"{1 - conformal['alpha']:.0%}"
    says = (
        f"The sets of possible labels are built to hold the true label of about {share} of anaemic and of other "
        f"photos; {conformal['abstained']['value']:.0%} of the photos get no answer by them."
    )
    answered = conformal["answered"]
    if answered["acc"]["value"] is not None:
        wrong = f"{1 - answered['acc']['value']:.0%}"
        says += f" This is not {share} certainty for a person: of {answered['n']} answers, {wrong} were wrong."
    return [says]


def _is_better(baseline: Mapping[str, Any]) -> bool:
    return baseline["kind"] in ("colour", "shortcut") and is_shown(baseline) and baseline["difference"]["high"] < 0


def _share(section: Mapping[str, Any]) -> str:
    """Returns what predictive values hold for alone."""
    share = section["prevalence"]
    return "" if share is None else f" (ppv and npv hold for this sample's {share:.0%} anaemic alone)"


def _level(assessment: Mapping[str, Any]) -> str:
    return f"{100 * assessment['settings']['level']:g} %"
