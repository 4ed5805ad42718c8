"""The chapters of numbers: every number of the assessment in its place, and what is undefined said to be."""

from collections.abc import Callable
from typing import Any

import pytest

from anemia_lightning.report import group_sections, score_sections
from anemia_lightning.report.sections import Section, Table

Example = Callable[..., dict[str, Any]]


def row(table: Table, head: str) -> list[str]:
    (found,) = [cells for cells in table.rows if cells[0] == head]
    return found[1:]


def known(section: Section | None) -> Section:
    assert section is not None
    return section


def test_scores_stand_by_photo_and_by_patient_with_interval_and_method(assessment: Example) -> None:
    scores, by_photo, by_patient, splits = score_sections.key_scores(
        assessment(), {"val": {"n": 3, "auroc": 0.5}}
    ).tables
    assert scores.columns == ["score", "by photo", "by patient", "interval by"]
    assert row(scores, "AUROC") == ["0.812 [0.762, 0.862]", "0.833 [0.783, 0.883]", "Wilson"]
    reasons = "no photos called anaemic; no patients called anaemic"
    assert row(scores, "Matthews correlation") == ["undefined", "undefined", reasons]
    assert row(scores, "prevalence") == ["0.375", "0.375", "none: it is the sample's make-up"]
    for value in ("positive predictive value", "negative predictive value"):
        assert row(scores, f"{value}, at this prevalence")[0] == "0.375 [0.325, 0.425]"
    assert row(by_photo, "anaemic") == ["11", "4", "15"]
    assert row(by_patient, "not anaemic") == ["7", "18", "25"]
    assert by_patient.caption == "Decisions on 40 patients"
    assert splits.rows == [["photos", "3"], ["AUROC", "0.500"]]
    assert "Those of val chose epoch and threshold: their scores are too good" in splits.caption


def test_the_size_is_told_beside_the_usual_least_number_and_the_width_of_the_interval(assessment: Example) -> None:
    assert score_sections.size_says(assessment()) == [
        "15 anaemic and 25 other photos: fewer than the usual least number of 100 each. The 95% interval of the AUROC "
        "is about ±0.14 wide."
    ]
    large = {"unit": "patient", "anaemic": 150, "not_anaemic": 100, "enough": True, "half_width": None}
    assert score_sections.size_says(assessment(sample_size=large)) == [
        "150 anaemic and 100 other patients: no fewer than the usual least number of 100 each."
    ]


def test_where_patients_have_one_photo_each_there_is_one_column(assessment: Example) -> None:
    section = score_sections.key_scores(assessment(patients=None), {})
    assert [len(table.columns) for table in section.tables] == [3, 4]
    assert not [line for line in section.says if "several photos" in line]


@pytest.mark.parametrize(("pooling", "words"), [("mean", "mean"), ("median", "median"), ("max", "highest")])
def test_what_becomes_of_several_photos_is_said(assessment: Example, pooling: str, words: str) -> None:
    found = assessment(settings={**assessment()["settings"], "pooling": pooling})
    says = score_sections.key_scores(found, {}).says
    assert f"A patient with several photos counts once by patient, with the {words} of their logits." in says
    assert any("does not fit" in line for line in says) == (pooling == "max")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {},
            "A photo is called anaemic from a probability of 0.412, by the rule youden (the highest sum of sensitivity "
            "and specificity), chosen on 36 validation photos, 14 of them anaemic. The same photos also chose the "
            "epoch and any calibration.",
        ),
        (
            {"rule": "sensitivity>=0.9", "reached": False, "failed": 1},
            "What the rule asks for was not reached on the validation photos.",
        ),
        (
            {"rule": "sensitivity>=0.9", "reached": False, "failed": 2, "values": [0.4] * 5},
            "What the rule asks for was not reached on the validation photos of 2 of 5 folds.",
        ),
        (
            {"rule": "sensitivity>=0.9"},
            "by the rule sensitivity>=0.9 (the most specific with this sensitivity), chosen",
        ),
        (
            {"varies": True, "values": [0.2, 0.4, 0.566], "value": 0.389},
            "Each of the 3 models has its own threshold (0.20 to 0.57, mean 0.39), by the rule youden (the highest sum "
            "of sensitivity and specificity), chosen on its own 36 or so validation photos, 14 of them anaemic. The "
            "same photos also chose the epoch and any calibration.",
        ),
        ({"note": "There were few."}, "There were few."),
        ({"rule": "fixed:0.4"}, "by the rule fixed:0.4 (set beforehand)."),
    ],
)
def test_the_threshold_is_told_with_its_rule(assessment: Example, changes: dict[str, Any], says: str) -> None:
    threshold = assessment()["threshold"] | changes
    assert says in " ".join(score_sections.threshold_says(threshold))


def test_groups_are_judged_at_the_thresholds_of_the_folds(assessment: Example) -> None:
    says = known(group_sections.subgroups(assessment())).says
    assert says[0].startswith("All groups are judged at the same threshold. ")
    threshold = assessment()["threshold"] | {"varies": True, "values": [0.2, 0.4, 0.566]}
    says = known(group_sections.subgroups(assessment(threshold=threshold))).says
    assert says[0].startswith("Each photo is judged at the threshold of its fold's model (0.20 to 0.57). ")


def test_baselines_stand_with_what_they_see_and_the_difference(assessment: Example) -> None:
    section = known(score_sections.against_baselines(assessment()))
    assert section.says[0] == "It is not shown to beat colour."
    (table,) = section.tables
    colour = ["colour alone", "0.780 [0.730, 0.830]", "0.030 [-0.020, 0.080]", "0.310", "0.310", "0.020"]
    assert row(table, "colour statistics, linear") == colour
    assert row(table, "prevalence") == ["chance", "0.500", "0.310 [0.260, 0.360]", "< 0.001", "-", "0.020"]
    assert score_sections.against_baselines(assessment(baselines=[])) is None
    left_out = known(score_sections.against_baselines(assessment(baselines_note="The site is left out.")))
    assert left_out.says == [*section.says, "The site is left out."]


@pytest.mark.parametrize(
    ("draws", "p", "comparisons", "says"),
    [
        (2000, 2 / 2001, 5, ["< 0.001", "≤ 0.005"]),
        (100, 2 / 101, 1, ["≤ 0.020", "≤ 0.020"]),
        (190, 2 / 191, 1, ["≤ 0.011", "≤ 0.011"]),
        (2000, 22 / 2001, 5, ["0.011", "0.055"]),
    ],
)
def test_the_least_p_that_the_draws_allow_is_said_to_be_a_limit(
    draws: int, p: float, comparisons: int, says: list[str], assessment: Example
) -> None:
    baselines = assessment()["baselines"]
    baselines[0] |= {"p": p, "p_holm": p * comparisons, "difference": baselines[0]["difference"] | {"resamples": draws}}
    (table,) = known(score_sections.against_baselines(assessment(baselines=baselines))).tables
    assert row(table, "colour statistics, linear")[3:5] == says


def test_folds_stand_with_their_mean_and_what_pooling_does_to_it() -> None:
    section = known(score_sections.fold_by_fold({"a": {"auroc": None}, "b": {"auroc": 0.7}, "c": {"auroc": 0.8}}))
    assert section.says[1] == "The AUROC of single folds lies between 0.700 and 0.800, and is 0.750 in the mean."
    assert section.says[2].startswith("Pooled over folds, a predictor that knows nothing tends to fall below 0.5: ")
    assert section.says[2].endswith("No interval allows for how another training would turn out.")
    assert len(known(score_sections.fold_by_fold({"a": {"auroc": None}})).says) == 2
    (table,) = known(score_sections.fold_by_fold({"a": {"auroc": 0.5, "loss": 0.7}})).tables
    assert table.columns == ["fold", "AUROC", "log-loss before calibration (nats)"]


def test_calibration_stands_before_and_after_it(assessment: Example) -> None:
    section = known(score_sections.calibration(assessment()))
    assert section.says == [
        "Logits are scaled by temperature (slope 0.600, intercept 0.000), fitted on validation photos alone."
    ]
    assert section.tables[0].caption == "Calibration on the test photos"
    assert row(section.tables[0], "slope (1 at best)") == ["0.500 [0.450, 0.550]", "0.950 [0.900, 1.000]"]
    assert row(section.tables[0], "ECE by chance alone") == ["0.060", "0.060"]
    unscaled = assessment()["calibration"] | {"after": None, "scaling": {"method": "none"}}
    section = known(score_sections.calibration(assessment(calibration=unscaled)))
    assert section.tables[0].columns == ["measure", "as the network gives it"]
    assert section.says[0].endswith("nothing was scaled.")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"models": 5, "fitted": 5, "varies": True, "intercept": -0.5},
            "Logits are scaled by temperature (slope 0.600, intercept -0.500, on average over the folds), fitted on "
            "validation photos alone, each fold by its own.",
        ),
        (
            {"models": 5, "fitted": 3, "varies": True, "note": "Why not."},
            "Logits are scaled by temperature (slope 0.600, intercept 0.000, on average over the folds), fitted on "
            "validation photos alone, each fold by its own; in 2 of 5 folds none was fitted. Why not.",
        ),
        (
            {"fitted": 0, "slope": 1.0, "intercept": -1.386, "note": "The logits are moved back: few."},
            "No scaling of the logits was fitted (slope 1.000, intercept -1.386). The logits are moved back: few.",
        ),
        (
            {"fitted": 0, "slope": 1.0, "note": "The logits are left as they are: few."},
            "No scaling of the logits was fitted (slope 1.000, intercept 0.000). The logits are left as they are: few.",
        ),
    ],
)
def test_no_scaling_is_told_of_that_was_not_fitted(assessment: Example, changes: dict[str, Any], says: str) -> None:
    assert score_sections.scaling_says(assessment()["calibration"]["scaling"] | changes) == says


def test_usefulness_and_populations_count_people(assessment: Example) -> None:
    (table,) = known(score_sections.usefulness(assessment())).tables
    assert table.columns[2].startswith("net reduction in tests per 1,000 against testing all, missed anaemias counted")
    assert table.rows == [["the network", "0.200", "150"], ["test all", "0.100", "0"]]
    (table,) = known(score_sections.populations(assessment())).tables
    assert row(table, "20%")[:2] == ["120 [90, 150]", "120 [90, 150]"]
    varied = assessment()["usefulness"] | {"at_threshold": None}
    section = known(score_sections.usefulness(assessment(usefulness=varied)))
    assert section.says[-1] == "The folds' models have several thresholds, so there is no table at one."
    assert not section.tables
    undefined = assessment()["usefulness"]
    undefined["at_threshold"] |= {"net_benefit": {}, "tests_avoided": {}}
    undefined["curve"] |= {"note": "It takes both classes.", "net_benefit": {}}
    section = known(score_sections.usefulness(assessment(usefulness=undefined)))
    assert "Here it is undefined. It takes both classes." in section.says
    assert not section.tables


def test_groups_stand_with_the_worst_and_the_small_ones_marked(assessment: Example) -> None:
    section = known(group_sections.subgroups(assessment()))
    says = " ".join(section.says)
    lowest = "Of the groups large enough to be named, the AUROC is lowest for age: 6-23 months, 0.700 [0.650, 0.750]."
    assert lowest in says
    assert "A group is large enough to be named from 20 independent sets of photos on, 10 of either class." in says
    assert "Asked for, but not in the data: device." in says
    assert "at a further one it may lie anywhere in [0.500, 1.100] (95% prediction interval)." in says
    assert "Age: Of the years given." in says
    (table,) = section.tables
    assert row(table, "24-59 months (fewer than 20 independent sets of photos: too few to judge)")[:2] == ["10", "5"]
    assert row(table, "6-23 months")[4] == "undefined"


def test_of_many_groups_the_first_are_shown(assessment: Example) -> None:
    subgroups = assessment()["subgroups"]
    (column,) = subgroups["columns"]
    column["groups"] = [{**column["groups"][0], "name": f"site {place}"} for place in range(50)]
    (table,) = known(group_sections.subgroups(assessment(subgroups=subgroups))).tables
    assert len(table.rows) == 41
    assert table.rows[-1][0] == "and 10 more, in assessment.json"
    assert {len(cells) for cells in table.rows} == {len(table.columns)}


def test_uncertainty_says_what_abstaining_buys(assessment: Example) -> None:
    section = known(group_sections.uncertainty(assessment()))
    assert "built to hold the true label of about 90% of anaemic and of other photos" in section.says[0]
    assert "This is not 90% certainty for a person." in section.says[0]
    assert "abstains: 35% [25%, 45%] of the photos" in section.says[0]
    assert row(section.tables[0], "may be either: abstains") == ["14", "35%"]
    assert section.says[1:] == [
        "If only the surest half of the photos were answered, those farthest from the threshold, 15% of the answers "
        "would be wrong; if all, 27%."
    ]
    assert row(section.tables[1], "accuracy of the 26 that got an answer") == ["0.850 [0.800, 0.900]"]
    found = assessment()["uncertainty"]
    found["conformal"]["answered"]["n"] = 25
    section = known(group_sections.uncertainty(assessment(uncertainty=found)))
    assert section.says[2] == (
        "Of the 26 sets that name one label, 25 agree with the threshold and got an answer; the others got none."
    )
    without = assessment()["uncertainty"] | {"conformal": None}
    assert not known(group_sections.uncertainty(assessment(uncertainty=without))).tables
    without["risk_coverage"] = {"photos": 1, "coverage": [1.0], "risk": [0.0], "aurc": 0.0, "best_aurc": 0.0}
    assert group_sections.uncertainty(assessment(uncertainty=without)) is None


def test_heat_maps_are_said_to_be_rough() -> None:
    section = known(group_sections.what_it_looks_at({"background": {"note": "", "swaps": []}, "says": []}))
    assert section.says == [
        "Heat is Grad-CAM's (Selvaraju et al. 2017): a rough map of what raised the score of the decision. It does not "
        "say whether it should have."
    ]


def test_every_table_is_as_wide_as_its_heads(assessment: Example) -> None:
    whole = assessment()
    sections = [
        score_sections.key_scores(whole, {"val": {"auroc": 0.5}}),
        score_sections.fold_by_fold({"a": {"auroc": None}, "b": {"auroc": 0.5, "n": 3}}),
        score_sections.against_baselines(whole),
        score_sections.calibration(whole),
        score_sections.usefulness(whole),
        score_sections.populations(whole),
        group_sections.subgroups(whole),
        group_sections.uncertainty(whole),
    ]
    tables = [table for section in sections for table in known(section).tables]
    assert len(tables) >= 10
    assert all(len(cells) == len(table.columns) for table in tables for cells in table.rows)
    assert all(cells[0] for table in tables for cells in table.rows)


def test_what_follows_from_the_label_tells_of_sensitivity_alone(assessment: Example) -> None:
    subgroups = assessment()["subgroups"]
    subgroups["columns"][0] |= {"title": "severity", "events_only": True}
    (table,) = known(group_sections.subgroups(assessment(subgroups=subgroups))).tables
    assert table.columns == ["severity", "photos", "anaemic", "sensitivity"]
    assert {len(cells) for cells in table.rows} == {4}


@pytest.mark.parametrize("left_out", [True, False])
def test_what_a_further_site_may_bring_is_told_where_it_is_known(assessment: Example, left_out: bool) -> None:
    subgroups = assessment()["subgroups"]
    subgroups["across_sites"]["left_out"] = left_out
    says = " ".join(known(group_sections.subgroups(assessment(subgroups=subgroups))).says)
    assert ("each left out of training" in says) is left_out
    assert ("A site that also gave training photos is no test of one that gave none" in says) is not left_out
    assert ("may be lower still: leave_out=site tests that." in says) is not left_out
    subgroups["across_sites"] |= {"estimate": {"value": None, "low": None, "high": None}, "note": "one site is judged"}
    says = " ".join(known(group_sections.subgroups(assessment(subgroups=subgroups))).says)
    assert "What a further site may bring is not known: one site is judged." in says


def test_calibration_of_one_class_is_undefined(assessment: Example) -> None:
    found = assessment()["calibration"] | {"after": None}
    found["before"] |= {"ece": None, "brier": None, "undefined": "no anaemic photos", "reliability": {"ici": None}}
    section = score_sections.calibration(assessment(calibration=found))
    assert "no anaemic photos" in section.says
    assert row(section.tables[0], "Brier score") == ["undefined"]
