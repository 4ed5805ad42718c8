"""Every figure of an assessment comes from its file alone, with axes, units and counts."""

import json
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from anemia_lightning.assessment.assess import assess
from anemia_lightning.assessment.options import Options
from anemia_lightning.metrics.decision import Decision, fit_decision
from anemia_lightning.metrics.estimates import Resampling
from anemia_lightning.plots import to_png
from anemia_lightning.plots.assessment import draw_assessment

ALL = {
    *("roc", "precision_recall", "confusion", "reliability", "decision_curve", "prevalence", "risk_coverage"),
    *("baselines", "subgroups", "subgroups_sensitivity", "sites"),
}


@cache
def _file(*, photos: int = 240, per_patient: int = 1, label: int | None = None, **more: Any) -> Any:
    rng = np.random.default_rng(0)
    patient = np.arange(photos) // per_patient
    labels = patient % 2 if label is None else np.full(photos, label)
    logits = rng.normal(2.0 * labels - 1)
    table = pd.DataFrame({"photo": range(photos), "patient": patient, "label": labels, "logit": logits})
    facts = table[["photo"]].assign(
        site=rng.choice(["N", "S", "W"], photos), severity=np.where(labels == 1, "mild", "")
    )
    baselines = table[["photo"]].assign(**{"colour statistics, linear": rng.random(photos)})
    decision = fit_decision(np.tile([0, 1], 50), rng.normal(np.tile([-1.0, 1.0], 50), 2))
    given: dict[str, Any] = {"decisions": decision, "facts": facts, "baselines": baselines} | more
    options = Options(how=Resampling(resamples=40))
    found = assess(table, clusters=pd.Series(patient, index=table["photo"]), options=options, **given)
    return json.loads(json.dumps(found, allow_nan=False))


def _all_axes(drawing: Figure | Axes) -> list[Axes]:
    return list(drawing.axes) if isinstance(drawing, Figure) else [drawing]


def _words(drawing: Figure | Axes) -> str:
    """Returns all that stands outside of the plotting area."""
    figure = drawing if isinstance(drawing, Figure) else drawing.figure
    assert isinstance(figure, Figure)
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    ticks = [tick.get_text() for axes in figure.axes for tick in axes.get_yticklabels()]
    return " ".join([figure.get_suptitle(), *titles, *ticks])


@pytest.mark.parametrize("per_patient", [1, 2])
def test_every_figure_has_axes_units_and_counts(per_patient: int) -> None:
    drawings = draw_assessment(_file(per_patient=per_patient))
    assert set(drawings) == ALL
    for name, drawing in drawings.items():
        axes = _all_axes(drawing)
        assert any(each.get_xlabel() for each in axes), name
        is_forest = name in ("baselines", "subgroups", "subgroups_sensitivity", "sites")
        assert is_forest or all(each.get_ylabel() for each in axes), name
        assert "n = " in _words(drawing), name


def test_the_curves_are_those_of_the_patients_where_they_have_several_photos() -> None:
    content = _file(per_patient=2)
    drawings = draw_assessment(content)
    scores = content["patients"]["scores"]
    auroc = scores["auroc"]
    axes = drawings["roc"]
    assert isinstance(axes, Axes)
    assert axes.get_title(loc="left") == "n = 120 patients, 60 anaemic"
    names = [line.get_label() for line in axes.get_lines()]
    assert names[0] == f"AUROC {auroc['value']:.3f} [{auroc['low']:.3f}, {auroc['high']:.3f}]"
    mark = axes.get_lines()[-1].get_xydata()
    expected = [1 - scores["specificity"]["value"], scores["sensitivity"]["value"]]
    assert np.asarray(mark) == pytest.approx(np.array([expected]))
    precision = drawings["precision_recall"]
    assert isinstance(precision, Axes)
    assert "prevalence 0.500" in [line.get_label() for line in precision.get_lines()]
    assert precision.get_xlabel() == "recall, sensitivity (share of anaemic patients found)"


def _of_folds(*thresholds: float) -> Any:
    content = _file()
    return {**content, "threshold": {**content["threshold"], "varies": True, "values": list(thresholds)}}


def _labels(drawing: Figure | Axes) -> list[str]:
    return [label for axes in _all_axes(drawing) for label in axes.get_legend_handles_labels()[1]]


def test_where_each_fold_has_its_own_threshold_no_figure_names_one_for_all() -> None:
    drawings = draw_assessment(_of_folds(0.2, 0.57, 0.31))
    for name in ("roc", "precision_recall"):
        assert _labels(drawings[name])[-1] == "decisions of the folds' models\n(thresholds 0.20 to 0.57)"
    said = _all_axes(drawings["subgroups_sensitivity"])[0].get_xlabel()
    assert said.startswith("sensitivity at the thresholds\nof the folds' models (0.20 to 0.57)")
    assert "thresholds of the folds' models,\n0.20 to 0.57" in _labels(drawings["decision_curve"])
    alike = draw_assessment(_of_folds(0.5, 0.5))
    assert _labels(alike["roc"])[-1] == "decisions of the folds' models\n(thresholds 0.50)"


def test_one_model_has_one_threshold() -> None:
    content = _file()
    threshold = f"threshold {content['threshold']['value']:.3f}"
    drawings = draw_assessment(content)
    assert _labels(drawings["roc"])[-1] == threshold
    assert f"at the {threshold}" in _all_axes(drawings["subgroups_sensitivity"])[0].get_xlabel()


def test_the_forest_shows_each_group_and_the_further_site() -> None:
    content = _file()
    drawings = draw_assessment(content)
    ticks = [tick.get_text() for tick in _all_axes(drawings["sites"])[0].get_yticklabels()]
    assert [tick.split("\n")[0] for tick in ticks] == [
        *("site", "N", "S", "W", "together", "all photos together", "the mean site", "a further site")
    ]
    further = content["subgroups"]["across_sites"]["prediction"]
    said = [text.get_text() for text in _all_axes(drawings["sites"])[0].texts]
    assert said[-1] == f"[{further['low']:.2f}, {further['high']:.2f}]"
    names = ("baselines", "subgroups", "subgroups_sensitivity", "sites")
    assert all("95 % interval" in _all_axes(drawings[name])[0].get_xlabel() for name in names)
    groups = [tick.get_text() for tick in _all_axes(drawings["subgroups"])[0].get_yticklabels()]
    assert "severity" not in groups
    groups = [tick.get_text() for tick in _all_axes(drawings["subgroups_sensitivity"])[0].get_yticklabels()]
    assert "severity" in groups


def test_reliability_stands_before_and_after_calibration() -> None:
    axes = _all_axes(draw_assessment(_file())["reliability"])[0]
    names = [str(line.get_label()).split(",")[0] for line in axes.get_lines()]
    assert names[:3] == ["perfect", "after calibration", "before calibration"]
    axes = _all_axes(draw_assessment(_file(decisions=Decision.fixed(0.5)))["reliability"])[0]
    assert [str(line.get_label()).split(",")[0] for line in axes.get_lines()][:2] == ["perfect", "probabilities"]


@pytest.mark.parametrize(("photos", "label"), [(1, 0), (6, 1), (6, None)])
def test_degenerate_files_are_drawn(photos: int, label: int | None) -> None:
    drawings = draw_assessment(_file(photos=photos, label=label))
    assert {"roc", "confusion", "reliability", "risk_coverage"} <= set(drawings)


@pytest.mark.slow
@pytest.mark.parametrize("photos", [1, 6, 240])
@pytest.mark.parametrize("label", [0, 1, None])
def test_all_figures_become_pictures(photos: int, label: int | None) -> None:
    drawings = draw_assessment(_file(photos=photos, label=label))
    assert all(to_png(each) for each in drawings.values())


def test_what_is_not_there_is_not_drawn() -> None:
    drawings = draw_assessment(_file(facts=None, baselines=None))
    assert set(drawings) == ALL - {"baselines", "subgroups", "subgroups_sensitivity", "sites"}


def test_what_the_sets_answer_is_a_point_with_its_own_errors() -> None:
    content = _file()
    sets = content["uncertainty"]["conformal"]
    axes = _all_axes(draw_assessment(content)["risk_coverage"])[0]
    expected = [[1 - sets["abstained"]["value"], 1 - sets["answered"]["acc"]["value"]]]
    assert np.asarray(axes.get_lines()[-1].get_xydata()) == pytest.approx(np.array(expected))
    axes = _all_axes(draw_assessment(_file(decisions=Decision.fixed(0.5)))["risk_coverage"])[0]
    assert len(axes.get_lines()) == 2
