"""What "anaemic" means in a run, in sentences: the rule of its labels, what was assumed, and which are in doubt."""

from collections.abc import Iterator, Mapping
from typing import Any

_OWN = "own"
_ASSUMED = {
    "age_months": ("age", "age {} months"),
    "altitude_m": ("altitude", "altitude {} m"),
    "cigarettes_per_day": ("cigarettes", "{} cigarettes a day"),
    "pregnancy": ("pregnancy", "pregnancy {}"),
    "sex": ("sex", "sex {}"),
    "trimester": ("trimester", "trimester {}"),
}
"""By input of a rule: its name, and what is said of a value."""


def labels_say(labels: Mapping[str, Any]) -> list[str]:
    """Returns in sentences how the labels came about; none where that is not known.

    Args:
        labels: What run.json holds of them (`data.labels.Labelled.record`); empty where nothing is known.
    """
    return list(_sentences(labels)) if labels else []


def cutoffs_say(labels: Mapping[str, Any]) -> list[str]:
    """Returns in a sentence which cut-offs of a guideline hold for how many photos; nothing by other rules.

    Whoever gave years in place of months sees there the cut-offs of small children.

    Args:
        labels: As in `labels_say`.
    """
    known = [f"{each['g_dl']:g} g/dL for {each['photos']}" for each in labels["cutoffs"]]
    return [f"Cut-offs, after altitude and smoking: {', '.join(known)} photos."] if known else []


def _sentences(labels: Mapping[str, Any]) -> Iterator[str]:
    rule, photos = labels["rule"], labels["photos"]
    if rule == _OWN:
        yield "Labels are those of the data set (rule own), where 1 is anaemic. The program applied no cut-off to them."
        yield "By which cut-off they were made is for the data set to say."
    else:
        yield f"Labels follow from haemoglobin by the rule {rule} ({labels['source']}); 1 is anaemic."
    yield from cutoffs_say(labels)
    if unlabelled := labels["unlabelled"]:
        yield _left_out(rule, unlabelled)
    if assumed := labels["assumed"]:
        known = [f"{_assumption(name, each['value'])} for {each['photos']}" for name, each in assumed.items()]
        yield f"Assumed where the data do not say it, of {photos} photos: {', '.join(known)}."
    if near := labels["near_cutoff"]:
        yield (
            f"The haemoglobin of {near['photos']} of {photos} photos is closer than {near['closer_than_g_dl']:g} g/dL "
            "to the cut-off, so that error of measurement may have made their label."
        )
    if others := [_other(name, found) for name, found in labels["flips"].items() if found["of"]]:
        yield f"Labels would be others by other rules: {', '.join(others)}."


def _left_out(rule: str, unlabelled: Mapping[str, int]) -> str:
    """Returns how many photos have no label, and why."""
    total = sum(unlabelled.values())
    photos = "1 more photo was" if total == 1 else f"{total} more photos were"
    if rule == _OWN:
        return f"{photos} left out, since the data set gives no label there."
    causes = "; ".join(f"{cause} ({count})" for cause, count in unlabelled.items())
    return f"{photos} left out, since the rule gives no label there: {causes}."


def _assumption(name: str, value: object) -> str:
    return _ASSUMED[name][1].format(f"{value:g}" if isinstance(value, float) else value)


def _other(rule: str, found: Mapping[str, Any]) -> str:
    """Returns how many labels another rule would change, and what it takes for granted for how many photos."""
    taken = ", ".join(f"{_ASSUMED[name][0]} for {photos}" for name, photos in found["assumed"].items())
    name = "the data set's own" if rule == _OWN else rule
    return f"{found['flips']} of {found['of']} by {name}" + (f" (assumed: {taken})" if taken else "")
