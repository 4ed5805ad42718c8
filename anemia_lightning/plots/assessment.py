"""The figures of an assessment, from what assessment.json holds and nothing else."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from anemia_lightning.metrics.calibration import Bin
from anemia_lightning.metrics.conformal import RiskCoverage
from anemia_lightning.metrics.curves import PrecisionRecallCurve, RocCurve
from anemia_lightning.metrics.intervals import Interval
from anemia_lightning.metrics.populations import AtPrevalence
from anemia_lightning.metrics.reliability import Reliability
from anemia_lightning.metrics.usefulness import DecisionCurve
from anemia_lightning.plots.calibration import Histogram, draw_reliability_curve
from anemia_lightning.plots.scores import (
    draw_confusion_counts,
    draw_precision_recall_curve,
    draw_roc_curve,
    precision_mark,
    roc_mark,
    sample,
)
from anemia_lightning.plots.subgroups import Row, Section, draw_forest
from anemia_lightning.plots.uncertainty import draw_risk_coverage
from anemia_lightning.plots.usefulness import draw_decision_curve, draw_over_prevalence

Values = Mapping[str, Any]

_SMALL = "hollow: a group too small to be judged; some group is lowest by chance alone"
_COUNTS = ("ppv", "npv", "referred", "found", "missed", "needlessly_referred")


def draw_assessment(assessment: Values) -> dict[str, Figure | Axes]:
    """Returns the figures by file name, those that the photos leave without content left out.

    Args:
        assessment: What `anemia_lightning.assessment` lists.
    """
    section = assessment["patients"] if assessment["unit"] == "patient" else assessment["photos"]
    drawings: dict[str, Figure | Axes] = {
        **_draw_scores(section, _decided(assessment["threshold"])),
        "reliability": _draw_reliability(assessment["calibration"]),
        "decision_curve": _draw_usefulness(assessment["usefulness"], assessment["threshold"]["values"]),
        "prevalence": _draw_populations(assessment["populations"], section, assessment["settings"]["level"]),
        "risk_coverage": _draw_risk(assessment["uncertainty"]),
    }
    overall = assessment["photos"]["scores"]["auroc"]
    if assessment["baselines"]:
        drawings["baselines"] = _draw_baselines(assessment, overall)
    if assessment["subgroups"]["columns"]:
        drawings["subgroups"] = _draw_subgroups(assessment, "auroc")
        drawings["subgroups_sensitivity"] = _draw_subgroups(assessment, "sensitivity")
    if assessment["subgroups"]["across_sites"]:
        drawings["sites"] = _draw_sites(assessment, overall)
    return drawings


def _draw_scores(section: Values, decided: str) -> dict[str, Figure | Axes]:
    counts, scores, unit = section["confusion"], section["scores"], section["unit"]
    curves, title = section["curves"], sample(section["confusion"], section["unit"])
    return {
        "roc": draw_roc_curve(
            RocCurve(**_arrays(curves["roc"])),
            title,
            area=f"AUROC {_said(scores['auroc'])}",
            unit=unit,
            mark=roc_mark(counts, decided),
        ),
        "precision_recall": draw_precision_recall_curve(
            PrecisionRecallCurve(**_arrays(curves["precision_recall"])),
            title,
            prevalence=section["prevalence"],
            area=f"average precision {_said(scores['average_precision'])}",
            unit=unit,
            mark=precision_mark(counts, decided),
        ),
        "confusion": draw_confusion_counts(counts, unit=unit),
    }


def _decided(threshold: Values) -> str:
    """Returns what the marked point of a curve is. Where each fold has its own threshold, it lies off the curve."""
    if not threshold["varies"]:
        return f"threshold {threshold['value']:.3f}"
    return f"decisions of the folds' models\n(thresholds {_ends(threshold)})"


def _judged_at(threshold: Values) -> str:
    """Returns from where on the photos of a group were called anaemic."""
    if not threshold["varies"]:
        return f"the threshold {threshold['value']:.3f}"
    return f"the thresholds\nof the folds' models ({_ends(threshold)})"


def _ends(threshold: Values) -> str:
    """Returns the lowest and highest threshold of the folds' models; one number where they are alike."""
    low, high = (f"{end:.2f}" for end in (min(threshold["values"]), max(threshold["values"])))
    return low if low == high else f"{low} to {high}"


def _draw_reliability(calibration: Values) -> Figure:
    final = calibration["after"] or calibration["before"]
    before = calibration["before"] if calibration["after"] else None
    bins = [Bin(**each) for each in final["ece"]["bins"]] if final["ece"] else []
    return draw_reliability_curve(
        Reliability(**_arrays(final["reliability"])),
        Histogram(**_arrays(final["histogram"])),
        bins=bins,
        before=None if before is None else Reliability(**_arrays(before["reliability"])),
    )


def _draw_usefulness(usefulness: Values, thresholds: Sequence[float]) -> Axes:
    given = usefulness["curve"]
    lines = {name: _arrays(given[name]) for name in ("net_benefit", "low", "high")}
    curve = DecisionCurve(**{**given, **lines, "thresholds": np.array(given["thresholds"])})
    return draw_decision_curve(curve, thresholds=thresholds)


def _draw_populations(populations: Values, section: Values, level: float) -> Figure:
    rows = [
        AtPrevalence(prevalence=row["prevalence"], **{name: _interval(row[name]) for name in _COUNTS})
        for row in populations["rows"]
    ]
    return draw_over_prevalence(
        rows,
        anaemic=section["n_positive"],
        not_anaemic=section["n_negative"],
        prevalence=section["prevalence"],
        unit=populations["unit"],
        level=level,
    )


def _draw_risk(uncertainty: Values) -> Axes:
    curve, sets = RiskCoverage(**_arrays(uncertainty["risk_coverage"])), uncertainty["conformal"]
    right = sets["answered"]["acc"]["value"] if sets else None
    return draw_risk_coverage(curve, answered=None if right is None else (1 - sets["abstained"]["value"], 1 - right))


def _draw_baselines(assessment: Values, network: Values) -> Figure:
    rows = [Row("the network", "", _interval(network), is_summary=True)]
    rows += [Row(each["name"], "", _interval(each["auroc"])) for each in assessment["baselines"]]
    title, level = f"n = {_counted(assessment['counts'])}", assessment["settings"]["level"]
    return draw_forest([Section(title, rows)], score="AUROC", level=level, chance=0.5)


def _draw_subgroups(assessment: Values, score: str) -> Figure:
    columns = [each for each in assessment["subgroups"]["columns"] if score == "sensitivity" or not each["events_only"]]
    sections = [Section(each["title"], [_group_row(group, score) for group in each["groups"]]) for each in columns]
    overall, level = assessment["photos"]["scores"][score]["value"], assessment["settings"]["level"]
    if score == "auroc":
        return draw_forest(sections, score="AUROC", level=level, overall=overall, chance=0.5, note=_SMALL)
    score = f"sensitivity at {_judged_at(assessment['threshold'])}"
    return draw_forest(sections, score=score, level=level, overall=overall, note=_SMALL)


def _draw_sites(assessment: Values, overall: Values) -> Figure:
    subgroups, level = assessment["subgroups"], assessment["settings"]["level"]
    across = subgroups["across_sites"]
    column = next(each for each in subgroups["columns"] if each["name"] == across["column"])
    rows = [_group_row(group, "auroc") for group in column["groups"]]
    all_photos = f"n = {_counted(assessment['counts'])}"
    summary = [Row("all photos together", all_photos, _interval(overall), is_summary=True)]
    if across["estimate"]["value"] is not None:
        mean, further = _interval(across["estimate"]), f"{100 * level:g} % prediction interval"
        summary += [
            Row("the mean site", f"{across['sites']} sites", mean, is_summary=True),
            Row("a further site", further, _interval(across["prediction"]), is_prediction=True),
        ]
    title = f"{column['title']} (each left out of training)" if across["left_out"] else column["title"]
    sections = [Section(title, rows), Section("together", summary)]
    return draw_forest(sections, score="AUROC", level=level, chance=0.5, note=_SMALL)


def _group_row(group: Values, score: str) -> Row:
    counts = f"n = {group['n']}, {group['events']} anaemic"
    return Row(group["name"], counts, _interval(group[score]), is_small=bool(group["small"]))


def _counted(counts: Values) -> str:
    return f"{counts['photos']} photos, {counts['anaemic']} anaemic"


def _interval(found: Values) -> Interval:
    return Interval(found["value"], found["low"], found["high"], found["resamples"], found["note"])


def _said(found: Values) -> str:
    if found["value"] is None:
        return "undefined"
    bounds = "" if found["low"] is None else f" [{found['low']:.3f}, {found['high']:.3f}]"
    return f"{found['value']:.3f}{bounds}"


def _arrays(values: Values) -> dict[str, Any]:
    """Returns the values with lists as arrays; None among numbers is NaN."""
    return {name: np.array(each, dtype=np.float64) if isinstance(each, list) else each for name, each in values.items()}
