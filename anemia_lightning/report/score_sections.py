"""The chapters on how good a model is, made of the plain values of assessment.json and metrics.json."""

import re
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from anemia_lightning.metrics.usefulness import TEST_NONE
from anemia_lightning.report.estimates import (
    estimate_text,
    number_text,
    p_text,
    p_texts,
    percent,
    range_text,
    score_text,
    score_words,
)
from anemia_lightning.report.sections import Section, Table

_RULES = {
    "youden": "the highest sum of sensitivity and specificity",
    "fixed": "set beforehand",
    "sensitivity": "the most specific with this sensitivity",
    "specificity": "the most sensitive with this specificity",
    "cost": "so many needless referrals weigh as much as a missed anaemia",
}
_RULE_NAME = re.compile("[a-z]+")
_ON_EACH_SPLIT = ("n", "n_positive", "auroc", "average_precision", "acc", "sensitivity", "specificity", "loss")
_CALIBRATION = (
    "intercept (0 at best)",
    "slope (1 at best)",
    "observed to expected (1 at best)",
    "ECE, bins of equal size",
    "ECE by chance alone",
    "mean distance of the curve (ICI)",
    "Brier score",
    "of it miscalibration",
)
_KINDS = {
    "colour": "colour alone",
    "shortcut": "no look at the tissue",
    "chance": "chance",
    "oracle": "what was drawn; cannot be beaten",
}

_OF_THE_SAMPLE = ("ppv", "npv")
"""Scores that other shares of anaemic people would change most."""
_POOLED = {"mean": "mean", "median": "median", "max": "highest"}


def key_scores(assessment: Mapping[str, Any], splits: Mapping[str, Mapping[str, Any]]) -> Section:
    """Returns the scores with intervals, the decisions crossed with the labels, and the scores of each split.

    Args:
        assessment: What assessment.json holds.
        splits: What metrics.json holds for each split of a training run; empty for others.
    """
    tables = [score_table(assessment), *map(_cross_table, _units(assessment))]
    if splits:
        tables.append(_split_table(splits))
    says = [*threshold_says(assessment["threshold"]), *size_says(assessment), *_pooling_says(assessment)]
    return Section("Key scores", says, tables)


def against_baselines(assessment: Mapping[str, Any]) -> Section | None:
    """Returns what the network adds to predictions that need no network; None where there are none."""
    if not assessment["baselines"]:
        return None
    says = [
        assessment["colour"]["sentence"],
        "Each baseline was fitted on the same training photos and judged on the same others. A difference is the "
        "network's AUROC less the baseline's, on the same photos; p is from its bootstrap, and Holm's is made stricter "
        "for there being several. Beside ≤, no resample says otherwise, and more of them might give a smaller p. "
        "DeLong's p takes photos as independent: where patients or copies repeat it is too small.",
        *filter(None, [assessment["baselines_note"]]),
    ]
    rows = [
        [
            baseline["name"],
            _KINDS.get(baseline["kind"], baseline["kind"]),
            estimate_text(baseline["auroc"]),
            estimate_text(baseline["difference"]),
            *p_texts(baseline["p"], baseline["p_holm"], resamples=baseline["difference"]["resamples"]),
            p_text(baseline["delong"]["p"]),
        ]
        for baseline in assessment["baselines"]
    ]
    columns = ["baseline", "sees", "its AUROC", "network less this", "p", "p, Holm", "p, DeLong"]
    return Section("Against baselines", says, [Table("What a network must beat", columns, rows)])


def fold_by_fold(folds: Mapping[str, Mapping[str, Any]]) -> Section | None:
    """Returns the scores of each fold of a cross-validation; None where there is none.

    Args:
        folds: The scores of each fold by its name, as metrics.json has them.
    """
    if not folds:
        return None
    names = [name for name in _ON_EACH_SPLIT if any(name in scores for scores in folds.values())]
    rows = [[fold, *(score_text(scores, name) for name in names)] for fold, scores in folds.items()]
    areas = [scores["auroc"] for scores in folds.values() if scores.get("auroc") is not None]
    says = ["Each fold has a model of its own, judged on photos that it never saw. All other chapters pool the folds."]
    if areas:
        says.append(
            f"The AUROC of single folds lies between {min(areas):.3f} and {max(areas):.3f}, and is {fmean(areas):.3f} "
            "in the mean."
        )
    says.append(
        "Pooled over folds, a predictor that knows nothing tends to fall below 0.5: a baseline below 0.5 tells "
        "nothing, and the network's lead over it is too large by as much. No interval allows for how another training "
        "would turn out."
    )
    # Folds weigh the classes alike, and this loss is of the logits as they are.
    columns = ["log-loss before calibration (nats)" if name == "loss" else score_words(name) for name in names]
    return Section("Fold by fold", says, [Table("Scores of each fold", ["fold", *columns], rows)])


def calibration(assessment: Mapping[str, Any]) -> Section:
    """Returns whether probabilities mean what they say, before and after calibration."""
    found = assessment["calibration"]
    kinds = {"as the network gives it": found["before"], "after calibration": found["after"]}
    known = {words: each for words, each in kinds.items() if each}
    cells = zip(*map(_calibration_cells, known.values()), strict=True)
    rows = [[words, *row] for words, row in zip(_CALIBRATION, cells, strict=True)]
    notes = [each["undefined"] for each in known.values() if each["undefined"]]
    says = [scaling_says(found["scaling"]), *dict.fromkeys(notes)]
    return Section("Calibration", says, [Table("Calibration on the test photos", ["measure", *known], rows)])


def usefulness(assessment: Mapping[str, Any]) -> Section:
    """Returns whether acting on the model is better than testing everybody or nobody."""
    found = assessment["usefulness"]
    at = found["at_threshold"]
    says = [
        "Net benefit weighs the anaemic people found against those referred needlessly, as the threshold implies "
        "(Vickers and Elkin 2006). A model is of use where it lies above testing all and testing none, which has 0."
    ]
    if not found["curve"]["net_benefit"]:
        return Section("Usefulness", [*says, f"Here it is undefined. {found['curve']['note']}"])
    says += filter(None, [found["curve"]["note"], found["note"]])
    if not at:
        return Section("Usefulness", [*says, "The folds' models have several thresholds, so there is no table at one."])
    rows = [
        [name, number_text(benefit), number_text(at["tests_avoided"].get(name), 0)]
        for name, benefit in at["net_benefit"].items()
        if name != TEST_NONE
    ]
    caption = f"At a threshold of {at['threshold']:g}"
    reduction = "net reduction in tests per 1,000 against testing all, missed anaemias counted against it"
    return Section("Usefulness", says, [Table(caption, ["predictor", "net benefit", reduction], rows)])


def populations(assessment: Mapping[str, Any]) -> Section:
    """Returns what would happen among people with other prevalences."""
    found = assessment["populations"]
    counts = ("referred", "found", "missed", "needlessly_referred")
    rows = [
        [
            percent(row["prevalence"]),
            *(estimate_text(row[name], places=0) for name in counts),
            *(estimate_text(row[name], places=2) for name in ("ppv", "npv")),
        ]
        for row in found["rows"]
    ]
    says = [
        f"How many of {found['people']:,} people would be referred and missed, if sensitivity "
        f"({estimate_text(found['sensitivity'])}) and specificity ({estimate_text(found['specificity'])}) were the "
        "same among them. They seldom are: milder anaemia is harder to see."
    ]
    columns = ["anaemic", "referred", "found", "missed", "needlessly referred"]
    columns += ["positive predictive value", "negative predictive value"]
    return Section("In other populations", says, [Table(f"Of {found['people']:,} people", columns, rows)])


def score_table(assessment: Mapping[str, Any]) -> Table:
    """Returns every score with its interval, by photo and, where that is another, by patient."""
    units, rows = _units(assessment), []
    for name in units[0]["scores"]:
        estimates = [unit["scores"].get(name) for unit in units]
        words = f"{score_words(name)}, at this prevalence" if name in _OF_THE_SAMPLE else score_words(name)
        if name == "prevalence":
            cells = [number_text(each["value"]) if each else "-" for each in estimates]
            rows.append([words, *cells, "none: it is the sample's make-up"])
        else:
            cells = [estimate_text(each) if each else "-" for each in estimates]
            rows.append([words, *cells, _method(estimates)])
    columns = ["score", *(f"by {unit['unit']}" for unit in units), "interval by"]
    return Table(f"Scores [{assessment['settings']['level']:.0%} interval]", columns, rows)


def _pooling_says(assessment: Mapping[str, Any]) -> list[str]:
    """Returns what became of patients with several photos, where there are any."""
    if not assessment["patients"]:
        return []
    pooling = assessment["settings"]["pooling"]
    says = [f"A patient with several photos counts once by patient, with the {_POOLED[pooling]} of their logits."]
    if pooling == "max":
        says.append(
            "The threshold was chosen on photos, which does not fit the highest of several: the more photos a patient "
            "has, the sooner one of them exceeds it."
        )
    return says


def _units(assessment: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [each for each in (assessment["photos"], assessment["patients"]) if each]


def _method(estimates: Sequence[Mapping[str, Any] | None]) -> str:
    """Returns how the intervals came about, and why a value or an interval is missing."""
    texts = [each["note"] or each["method"] for each in estimates if each]
    return "; ".join(dict.fromkeys(filter(None, texts)))


def _cross_table(unit: Mapping[str, Any]) -> Table:
    counts, things = unit["confusion"], f"{unit['unit']}s"
    rows = [
        ["anaemic", str(counts["tp"]), str(counts["fn"]), str(counts["tp"] + counts["fn"])],
        ["not anaemic", str(counts["fp"]), str(counts["tn"]), str(counts["fp"] + counts["tn"])],
    ]
    return Table(f"Decisions on {unit['n']} {things}", ["label", "called anaemic", "called not anaemic", "all"], rows)


def _split_table(splits: Mapping[str, Mapping[str, Any]]) -> Table:
    names = [name for name in _ON_EACH_SPLIT if any(name in scores for scores in splits.values())]
    rows = [[score_words(name), *(score_text(scores, name) for scores in splits.values())] for name in names]
    caption = "The network on each split, by photo. Those of val chose epoch and threshold: their scores are too good"
    return Table(caption, ["score", *splits], rows)


def threshold_says(threshold: Mapping[str, Any]) -> list[str]:
    """Returns in sentences from where on a photo is called anaemic, and by what rule."""
    rule = threshold["rule"]
    name = _RULE_NAME.match(rule)
    words = _RULES.get(name.group() if name else "", "")
    by = f"by the rule {rule} ({words})" if words else f"by the rule {rule}"
    folds = len(threshold["values"])
    says = f"A photo is called anaemic from a probability of {threshold['value']:.3f}, {by}"
    if threshold["varies"]:
        range_and_mean = f"{range_text(threshold['values'])}, mean {threshold['value']:.2f}"
        says = f"Each of the {folds} models has its own threshold ({range_and_mean}), {by}"
    where = f" of {threshold['failed']} of {folds} folds" if folds > 1 else ""
    missed = f"What the rule asks for was not reached on the validation photos{where}."
    notes = filter(None, ["" if threshold["reached"] else missed, threshold["note"]])
    return [f"{says}{_chosen_on(threshold)}.", *notes]


def _chosen_on(threshold: Mapping[str, Any]) -> str:
    """Returns on what photos a threshold was chosen, and what else these chose; "" where none chose it."""
    if not threshold["photos"] or threshold["rule"].startswith("fixed"):
        return ""
    whose = "its own " if threshold["varies"] else ""
    about = " or so" if len(threshold["values"]) > 1 else ""
    return (
        f", chosen on {whose}{threshold['photos']}{about} validation photos, {threshold['anaemic']} of them anaemic. "
        "The same photos also chose the epoch and any calibration"
    )


def size_says(assessment: Mapping[str, Any]) -> list[str]:
    """Returns in a sentence or two how many photos test the model, and how well the AUROC is known by them."""
    size, level = assessment["sample_size"], assessment["settings"]["level"]
    width = ""
    if size["half_width"] is not None:
        width = f" The {percent(level)} interval of the AUROC is about ±{size['half_width']:.2f} wide."
    least = "no fewer than" if size["enough"] else "fewer than"
    return [
        f"{size['anaemic']} anaemic and {size['not_anaemic']} other {size.get('unit', 'photo')}s: {least} the usual "
        f"least number of 100 each.{width}"
    ]


def scaling_says(scaling: Mapping[str, Any]) -> str:
    """Returns in a sentence how probabilities come from logits."""
    if scaling["method"] == "none":
        return "Probabilities are as the network gives them; nothing was scaled."
    per_fold = ", each fold by its own" if scaling["varies"] else ""
    note = f" {scaling['note']}" if scaling["note"] else ""
    numbers = f"slope {scaling['slope']:.3f}, intercept {scaling['intercept']:.3f}"
    numbers += ", on average over the folds" if scaling["varies"] else ""
    if not scaling["fitted"]:
        return f"No scaling of the logits was fitted ({numbers}).{note}"
    if left := scaling["models"] - scaling["fitted"]:
        per_fold += f"; in {left} of {scaling['models']} folds none was fitted"
    return f"Logits are scaled by {scaling['method']} ({numbers}), fitted on validation photos alone{per_fold}.{note}"


def _calibration_cells(found: Mapping[str, Any]) -> tuple[str, ...]:
    """Returns the cells that `_CALIBRATION` names."""
    estimates = (found[name] for name in ("intercept", "slope", "observed_expected"))
    bins, brier = found["ece"] or {}, found["brier"] or {}
    numbers = (
        bins.get("value"),
        bins.get("by_chance"),
        found["reliability"]["ici"],
        brier.get("brier"),
        brier.get("miscalibration"),
    )
    return (*map(estimate_text, estimates), *map(number_text, numbers))
