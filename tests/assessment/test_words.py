"""What an assessment says first, what it warns of, and that it says so in few lines."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from anemia_lightning.assessment.words import end_lines, shown
from anemia_lightning.metrics.decision import Decision, fit_decision
from anemia_lightning.metrics.estimates import Resampling

Draw = Callable[..., Any]


def _shuffle(study: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    study.predictions["label"] = rng.permutation(study.predictions["label"].to_numpy())


def test_shuffled_labels_are_said_to_be_no_better_than_chance(draw: Draw) -> None:
    held = []
    for seed in range(12):
        study = draw(seed, photos=120, distance=3.0)
        _shuffle(study, seed)
        # DeLong's interval needs no resamples.
        found = study.assess(subgroups=(), how=Resampling(resamples=10))
        auroc = found["photos"]["scores"]["auroc"]
        held.append(auroc["low"] <= 0.5 <= auroc["high"])
        says_so = found["summary"][0].startswith("The network is not shown to do better than chance: ")
        assert says_so == held[-1]
        assert says_so == ("the interval contains 0.5" in found["summary"][0])
        assert end_lines(found)[0] == found["summary"][0]
    # Of 12 intervals of 95 %, more than 2 miss in 2 % of such tests.
    assert sum(held) >= 10


def test_shuffled_photos_of_patients_are_said_to_be_too(draw: Draw) -> None:
    study = draw(1, photos=120, per_patient=3)
    _shuffle(study, 0)
    assert study.assess()["summary"][0].startswith("The network is not shown to do better than chance: on 120 photos")


def test_shuffled_patients_are_said_to_be_too(draw: Draw) -> None:
    study = draw(1, photos=360, per_patient=3)
    patients = study.predictions["patient"].unique()
    labels = np.random.default_rng(0).permutation(np.arange(len(patients)) % 2)
    study.predictions["label"] = study.predictions["patient"].map(dict(zip(patients, labels, strict=True)))
    assert study.assess()["summary"][0].startswith("The network is not shown to do better than chance: on 120 patients")


def test_a_network_that_works_says_so_with_its_interval(draw: Draw) -> None:
    found = draw(per_patient=2).assess()
    auroc = found["patients"]["scores"]["auroc"]
    assert found["summary"][0] == (
        f"On 80 patients, 40 of them anaemic, the network's AUROC is {auroc['value']:.3f} "
        f"[{auroc['low']:.3f}, {auroc['high']:.3f}]; chance has 0.5."
    )


def test_a_network_that_has_it_the_wrong_way_round_is_asked_for_its_labels(draw: Draw) -> None:
    study = draw(distance=2.0)
    study.predictions["logit"] *= -1
    assert study.assess()["summary"][0].endswith("Are the labels swapped?")


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_says_nothing_first(draw: Draw, label: int) -> None:
    study = draw()
    study.predictions["label"] = label
    lacking = "non-anaemic" if label else "anaemic"
    assert study.assess()["summary"][0].startswith(
        f"Nothing can be said of how well the network tells anaemia: no {lacking} photos among 160 photos"
    )


def test_a_score_too_good_to_be_true_is_warned_of_unless_the_photos_are_drawn(draw: Draw) -> None:
    study = draw(photos=400, distance=4.0)
    found, drawn = study.assess(), study.assess(is_drawn=True)
    assert found["photos"]["scores"]["auroc"]["low"] > 0.9
    (warning,) = [each for each in found["warnings"] if each.startswith("Too good to be true")]
    assert "far above what studies of such photographs with sound splits mostly report (about 0.70 to 0.77)" in warning
    assert found["summary"][0].endswith("; too good to be true, so look for a leak before you believe it.")
    assert not [each for each in drawn["warnings"] if each.startswith("Too good to be true")]
    assert drawn["summary"][0].endswith("; chance has 0.5.")
    label = "The photographs are drawn: the scores show that the program works, and say nothing of real photographs."
    assert drawn["summary"][1] == label
    assert label in end_lines(drawn)
    assert label not in found["summary"]


@pytest.mark.parametrize("per_patient", [1, 2])
def test_a_perfect_score_is_too_good_and_not_certain(draw: Draw, per_patient: int) -> None:
    study = draw(photos=160, per_patient=per_patient)
    study.predictions["logit"] = 2.0 * study.predictions["label"] - 1
    found = study.assess()
    auroc = found["photos"]["scores"]["auroc"]
    # All of as many pairs as the smaller class has patients, by Wilson's formula: m / (m + 1.96²).
    assert (auroc["value"], auroc["high"], auroc["method"]) == (1.0, 1.0, "Wilson over pairs")
    pairs = 80 // per_patient
    assert auroc["low"] == pytest.approx(pairs / (pairs + 1.959964**2))
    assert [each for each in found["warnings"] if each.startswith("Too good to be true")]
    assert found["sample_size"]["half_width"] > 0


def test_a_good_score_of_few_photos_is_not_too_good(draw: Draw) -> None:
    found = draw(photos=40, distance=2.4).assess()
    assert found["photos"]["scores"]["auroc"]["value"] > 0.9 > found["photos"]["scores"]["auroc"]["low"]
    assert not [each for each in found["warnings"] if each.startswith("Too good to be true")]


def test_a_small_test_is_warned_of_with_what_it_achieves(draw: Draw) -> None:
    found = draw(photos=198).assess()
    auroc = found["photos"]["scores"]["auroc"]
    assert found["sample_size"]["half_width"] == (auroc["high"] - auroc["low"]) / 2
    assert found["warnings"] == [
        "A small test: 99 anaemic and 99 other photos, fewer than the usual least number of 100 each. The 95% interval "
        f"of the AUROC is about ±{found['sample_size']['half_width']:.2f} wide."
    ]
    assert draw(photos=200).assess()["warnings"] == []


@pytest.mark.parametrize(
    ("unnamed", "says"),
    [
        (200, "The data do not say which photos are of one person; each counts as a person of its own. If some are "),
        (7, "The data do not say which of 7 of the 200 photos are of one person; each of these counts as a person of "),
    ],
)
def test_data_that_name_no_patients_are_warned_of(draw: Draw, unnamed: int, says: str) -> None:
    (warning,) = draw(photos=200).assess(unnamed=unnamed)["warnings"]
    assert warning.startswith(says)
    assert warning.endswith(" If some are not, scores are too good and intervals too narrow.")


def test_colour_alone_is_the_better_of_the_colour_baselines(draw: Draw) -> None:
    study = draw(photos=400)
    # The least p of 100 resamples would not stand among three comparisons.
    found = study.assess(how=Resampling(resamples=200))
    aurocs = {each["name"]: each["auroc"]["value"] for each in found["baselines"] if each["kind"] == "colour"}
    best = max(aurocs, key=lambda name: aurocs[name])
    assert found["colour"]["name"] == best
    assert found["colour"]["beaten"] is True
    assert f"The network is better than colour alone ({best}): AUROC " in found["colour"]["sentence"]
    assert found["colour"]["sentence"] in found["summary"]
    assert found["colour"]["sentence"] in end_lines(found)


def test_what_counts_photos_says_so_where_the_summary_counts_patients(draw: Draw) -> None:
    found = draw(photos=400, per_patient=2).assess()
    sentences = {each.split()[0]: each for each in found["summary"]}
    assert sentences["On"].startswith("On 200 patients, ")
    assert " anaemic patients " in sentences["At"]
    by_photo = [each for each in found["summary"] if each.startswith("By photo, ")]
    told = [" colour alone ", " probabilities are ", " the AUROC is lowest "]
    assert all(any(part in each for each in by_photo) for part in told)
    assert not [each for each in draw(photos=400).assess()["summary"] if each.startswith("By photo, ")]
    assert by_photo[0] == f"By photo, t{found['colour']['sentence'][1:]}"
    assert by_photo[0] in end_lines(found)


def test_a_network_that_colour_beats_is_warned_of(draw: Draw) -> None:
    study = draw(photos=400, distance=1.0)
    study.baselines["colour statistics, forest"] = study.predictions["label"] * 0.5 + 0.25
    found = study.assess(how=Resampling(resamples=200))
    assert found["colour"]["beaten"] is False
    assert "Simpler models are better on these photos: colour statistics, forest." in found["warnings"]


def test_a_difference_that_many_comparisons_explain_is_no_ground_for_a_warning(draw: Draw) -> None:
    study = draw(photos=400, distance=1.0)
    study.baselines["colour statistics, forest"] = study.predictions["label"] * 0.5 + 0.25
    # As sure as so few resamples can be: their least p is 0.040, and there are three comparisons.
    found = study.assess(how=Resampling(resamples=49))
    forest = next(each for each in found["baselines"] if each["name"] == "colour statistics, forest")
    assert forest["difference"]["high"] < 0
    assert forest["p_holm"] > 0.05
    assert "Allowing for the number of comparisons that could be chance" in forest["sentence"]
    assert found["colour"]["beaten"] is False
    assert not [each for each in found["warnings"] if each.startswith("Simpler models")]


def test_a_threshold_that_missed_its_target_is_warned_of(draw: Draw) -> None:
    study = draw(photos=200)
    study.decision = fit_decision([0, 1] * 20, [1.0, -1.0] * 20, rule="sensitivity:0.9")
    found = study.assess()
    assert (found["threshold"]["reached"], found["threshold"]["failed"]) == (False, 1)
    assert found["warnings"] == [
        "The rule of the threshold, sensitivity>=0.9, could not be followed. No threshold reaches a sensitivity of 0.9 "
        "unless it calls every photo anaemic; the nearest gives 0.000."
    ]


def test_a_threshold_that_missed_its_target_in_some_folds_is_said_of_these(draw: Draw) -> None:
    study = draw(photos=200)
    rule = "sensitivity:0.9"
    kept, missed = (fit_decision([0, 1] * 20, [-side, side] * 20, rule=rule) for side in (1.0, -1.0))
    half = fit_decision([0, 1] * 20, [-1.0, 1.0, 1.0, -2.0] * 10, rule=rule)
    study.predictions["fold"] = np.arange(200) // 50
    study.decision = {"0": kept, "1": missed, "2": half, "3": missed}
    found = study.assess()
    assert (found["threshold"]["reached"], found["threshold"]["failed"]) == (False, 3)
    unless = "no threshold reaches a sensitivity of 0.9 unless it calls every photo anaemic; the nearest gives"
    assert found["warnings"] == [
        "The rule of the threshold, sensitivity>=0.9, could not be followed in 3 of 4 folds. In 2 of 4 folds: "
        f"{unless} 0.000. In 1 of 4 folds: {unless} 0.500."
    ]


def test_a_threshold_that_varies_over_folds_is_said_to_be_a_mean(draw: Draw) -> None:
    study = draw(photos=200)
    study.predictions["fold"] = (np.arange(200) // 100).astype(str)
    study.decision = {"0": study.decision.at(0.3), "1": study.decision.at(0.5)}
    found = study.assess()
    assert "At its threshold (0.400 on average over the folds, by the rule fixed:0.3)" in " ".join(found["summary"])
    share = "(ppv and npv hold for this sample's 50% anaemic alone):"
    assert f"By photo, at the threshold 0.400 on average over the folds, with 95 % intervals {share}" in end_lines(
        found
    )
    study.decision["0"] = study.decision["1"]
    assert f"By photo, at the threshold 0.500, with 95 % intervals {share}" in end_lines(study.assess())


def test_decisions_are_counted_in_both_classes(draw: Draw) -> None:
    found = draw().assess()
    counts = found["photos"]["confusion"]
    (says,) = [each for each in found["summary"] if each.startswith("At its threshold (")]
    assert f" it finds {counts['tp']} of 80 anaemic photos (sensitivity " in says
    assert f" and calls {counts['tn']} of the 80 others not anaemic (specificity " in says


def test_the_summary_counts_people_and_names_the_worst_group(draw: Draw) -> None:
    found = draw(photos=400).assess()
    row = next(each for each in found["populations"]["rows"] if each["prevalence"] == 0.2)
    counts = [
        f"{row[name]['value']:.0f} [{row[name]['low']:.0f} to {row[name]['high']:.0f}]"
        for name in ("referred", "needlessly_referred", "missed")
    ]
    assert (
        f"If it did as well among 1,000 people of whom 200 are anaemic, it would refer {counts[0]}, {counts[1]} of "
        f"them needlessly, and miss {counts[2]}." in found["summary"]
    )
    worst = found["subgroups"]["worst"]["auroc"]
    said = f"Of the groups large enough to be named, the AUROC is lowest for {worst['column']}: {worst['group']}, "
    assert any(each.startswith(said) for each in found["summary"])


@pytest.mark.parametrize(("slope", "kind"), [(2.0, "too extreme"), (0.5, "not extreme enough"), (1.0, "")])
def test_probabilities_are_too_extreme_where_the_slope_says_so(draw: Draw, slope: float, kind: str) -> None:
    study = draw(photos=800, distance=1.5)
    # What the model of the draw makes right: the log-odds of a normal latent at even odds.
    latent = (study.predictions["logit"] + 1) / 2
    study.predictions["logit"] = slope * 1.5 * (latent - 0.75)
    study.decision = Decision.fixed(0.5)
    found = study.assess(subgroups=())
    says = [each for each in found["summary"] if each.startswith("High and low probabilities are shown to be ")]
    found_slope = found["calibration"]["before"]["slope"]
    expected = f"High and low probabilities are shown to be {kind} (slope {shown(found_slope)})."
    assert says == ([expected] if kind else [])


def test_sets_are_told_with_how_many_answers_were_wrong_and_not_as_certainty(draw: Draw) -> None:
    study = draw(photos=200)
    found = study.assess()
    sets = found["uncertainty"]["conformal"]
    built = "The sets of possible labels are built to hold the true label of about 90% of anaemic and of other photos; "
    wrong = sum(
        study.decision.answers(study.decision.probability([logit]))[0] == 1 - label
        for logit, label in zip(study.predictions["logit"], study.predictions["label"], strict=True)
    )
    assert found["summary"][-1] == (
        f"{built}{sets['abstained']['value']:.0%} of the photos get no answer by them. This is not 90% certainty for a "
        f"person: of {sets['answered']['n']} answers, {wrong / sets['answered']['n']:.0%} were wrong."
    )
    study.decision = fit_decision([0, 1], [-1.0, 1.0])
    assert study.assess()["summary"][-1] == f"{built}100% of the photos get no answer by them."


@pytest.mark.parametrize("photos", [8, 160])
@pytest.mark.parametrize("per_patient", [1, 2])
def test_the_lines_at_the_end_are_few(draw: Draw, photos: int, per_patient: int) -> None:
    study = draw(photos=photos, per_patient=per_patient, distance=4.0)
    study.decision = fit_decision([0, 1] * 20, [1.0, -1.0] * 20, rule="sensitivity:0.9")
    study.baselines["age and sex"] = study.predictions["label"] * 0.5 + 0.25
    lines = end_lines(study.assess(is_drawn=True))
    assert len(lines) <= 15
    assert all("\n" not in line for line in lines)
