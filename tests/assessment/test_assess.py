"""An assessment's numbers against independent arithmetic, on sound and degenerate predictions."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from sklearn import metrics as reference
from sklearn.linear_model import LogisticRegression

import anemia_lightning.assessment
from anemia_lightning.assessment.assess import assess
from anemia_lightning.assessment.options import Options
from anemia_lightning.metrics.conformal import ABSTAIN
from anemia_lightning.metrics.decision import Decision, fit_decision
from anemia_lightning.metrics.estimates import Resampling
from anemia_lightning.metrics.intervals import Interval
from anemia_lightning.metrics.populations import at_prevalences
from anemia_lightning.metrics.scaling import UNSCALED, Scaling, fit_temperature
from anemia_lightning.metrics.usefulness import decision_curve

Draw = Callable[..., Any]


def _expected(labels: Any, logits: Any, decision: Decision) -> dict[str, float]:
    probability = decision.probability(logits)
    called = decision.decide(probability)
    positive, negative = reference.class_likelihood_ratios(labels, called)
    return {
        "auroc": reference.roc_auc_score(labels, logits),
        "average_precision": reference.average_precision_score(labels, logits),
        "prevalence": np.mean(labels),
        "acc": reference.accuracy_score(labels, called),
        "sensitivity": reference.recall_score(labels, called),
        "specificity": reference.recall_score(labels, called, pos_label=0),
        "ppv": reference.precision_score(labels, called),
        "npv": reference.precision_score(labels, called, pos_label=0),
        "balanced_accuracy": reference.balanced_accuracy_score(labels, called),
        "f1": reference.f1_score(labels, called),
        "mcc": reference.matthews_corrcoef(labels, called),
        "brier": reference.brier_score_loss(labels, probability),
        "log_loss": reference.log_loss(labels, probability),
        "lr_positive": positive,
        "lr_negative": negative,
    }


@pytest.mark.parametrize("seed", range(3))
def test_scores_by_photo_and_by_patient_equal_scikit_learn(draw: Draw, seed: int) -> None:
    study = draw(seed, per_patient=2)
    found = study.assess()
    photos = study.predictions
    patients = photos.groupby("patient").agg(label=("label", "first"), logit=("logit", "mean"))
    for section, rows in ((found["photos"], photos), (found["patients"], patients)):
        expected = _expected(rows["label"], rows["logit"].to_numpy(), study.decision)
        assert {name: each["value"] for name, each in section["scores"].items()} == pytest.approx(expected)
        called = study.decision.decide(study.decision.probability(rows["logit"].to_numpy()))
        tn, fp, fn, tp = reference.confusion_matrix(rows["label"], called).ravel()
        assert section["confusion"] == {"tp": tp, "fp": fp, "tn": tn, "fn": fn}
        assert (section["n"], section["n_positive"]) == (len(rows), rows["label"].sum())
    assert found["unit"] == "patient"
    assert found["counts"] == {
        "photos": 160,
        "anaemic": photos["label"].sum(),
        "not_anaemic": (photos["label"] == 0).sum(),
        "patients": 80,
        "unnamed": 0,
        "clusters": 80,
        "unlabelled": 0,
    }


def test_the_file_holds_what_the_package_lists(draw: Draw) -> None:
    listed = re.findall(r"^    (\w+) ", anemia_lightning.assessment.__doc__ or "", flags=re.MULTILINE)
    assert list(dict.fromkeys(listed)) == listed
    assert set(draw().assess()) == set(listed) | {"uncertainty"}


def test_one_photo_per_patient_is_counted_once(draw: Draw) -> None:
    found = draw().assess()
    assert (found["unit"], found["patients"]) == ("photo", None)
    assert found["patients_note"] == "Each patient has one photo, so the scores by patient are those by photo."


def test_without_names_nothing_is_said_of_patients(draw: Draw) -> None:
    study = draw()
    study.predictions["patient"] = study.predictions["photo"]
    found = study.assess()
    assert (found["unit"], found["patients"]) == ("photo", None)
    assert found["patients_note"] == "The data name no patients, so there are no scores by patient."


def test_a_patient_of_both_labels_has_no_answer_to_compare_with(draw: Draw) -> None:
    study = draw(per_patient=2)
    study.predictions.loc[0, "label"] = 1 - study.predictions.loc[0, "label"]
    found = study.assess()
    assert (found["unit"], found["patients"]) == ("photo", None)
    assert found["patients_note"].startswith("There are no scores by patient: ")
    assert "P000" in found["patients_note"]


def test_photos_without_a_label_are_left_out_and_counted(draw: Draw) -> None:
    study = draw()
    known = study.assess()
    more = study.predictions.iloc[:5].assign(label=-1, photo=[f"unknown {place}" for place in range(5)])
    study.predictions = pd.concat([more, study.predictions], ignore_index=True)
    found = study.assess()
    assert found["counts"] == {**known["counts"], "unlabelled": 5}
    assert found["photos"] == known["photos"]


def test_the_order_of_facts_and_baselines_does_not_matter(draw: Draw) -> None:
    study = draw()
    found = study.assess()
    study.facts, study.baselines = study.facts.sample(frac=1, random_state=0), study.baselines[::-1]
    assert study.assess() == found


def test_calibration_stands_before_and_after_scaling(draw: Draw) -> None:
    study = draw(1)
    found = study.assess()["calibration"]
    labels, logits = study.predictions["label"].to_numpy(), study.predictions["logit"].to_numpy()
    scaled = study.decision.scaling.apply(logits)
    assert found["scaling"]["temperature"] == pytest.approx(study.decision.scaling.temperature)
    for part, values in ((found["before"], logits), (found["after"], scaled)):
        fit = LogisticRegression(C=np.inf, tol=1e-10).fit(values[:, None], labels)
        assert part["slope"]["value"] == pytest.approx(fit.coef_[0, 0], abs=1e-4)
        assert part["observed_expected"]["value"] == pytest.approx(labels.sum() / expit(values).sum())
        assert part["brier"]["brier"] == pytest.approx(reference.brier_score_loss(labels, expit(values)))
        for name, label in (("anaemic", 1), ("not_anaemic", 0)):
            counts = np.histogram(expit(values[labels == label]), bins=25, range=(0, 1))[0]
            assert part["histogram"][name] == counts.tolist()


def test_without_scaling_there_is_no_after(draw: Draw) -> None:
    study = draw()
    study.decision = Decision.fixed(0.5)
    assert study.assess()["calibration"]["after"] is None


def test_decision_curves_hold_the_baselines_at_the_rate_of_the_validation_photos(draw: Draw) -> None:
    study = draw(2)
    study.decision = replace(study.decision, photos=200, anaemic=50)
    found = study.assess()["usefulness"]
    labels = study.predictions["label"].to_numpy()
    colour = study.baselines["colour statistics, linear"].to_numpy()
    # Odds of even classes, times those of a quarter.
    odds = colour / (1 - colour) / 3
    predictors = {
        "the network": study.decision.probability(study.predictions["logit"]),
        "colour": odds / (1 + odds),
    }
    known = decision_curve(labels, predictors)
    curve = found["curve"]
    assert curve["net_benefit"]["the network"] == pytest.approx(known.net_benefit["the network"])
    assert curve["net_benefit"]["colour statistics, linear"] == pytest.approx(known.net_benefit["colour"])
    assert "prevalence" not in curve["net_benefit"]
    assert "those that the threshold was chosen on, 25%. The network's are not moved" in found["note"]
    at = found["at_threshold"]["threshold"]
    assert at == pytest.approx(study.decision.threshold.value, abs=0.005 + 1e-9)
    place = curve["thresholds"].index(at)
    assert found["at_threshold"]["net_benefit"]["test all"] == curve["net_benefit"]["test all"][place]
    assert found["at_threshold"]["tests_avoided"]["test all"] == 0
    study.predictions["fold"] = (np.arange(160) // 80).astype(str)
    study.decision = {"0": study.decision, "1": study.decision.at(0.9)}
    assert study.assess()["usefulness"]["at_threshold"] is None, "at the mean threshold no model decides"


ALIKE = "its loss weighed both classes alike."
LEFT = "where the weights of the classes in its loss have put them, if there are any."


@pytest.mark.parametrize(
    ("scaling", "note"),
    [
        (Scaling("temperature", 0.5, -0.7, 200, ""), "The network's are moved likewise by its calibration."),
        (fit_temperature([0] * 7 + [1] * 2, range(9), offset=1.4), "The network's are moved likewise by its"),
        (Scaling("temperature", 0.5, 0.0, 200, ""), f"The network's are not moved: {ALIKE}"),
        (Scaling("temperature", 1.0, 0.0, 9, "Few."), f"The network's are not moved: {ALIKE}"),
        # With calibration=none nothing would have taken weights back.
        (UNSCALED, f"The network's are not moved: they are {LEFT}"),
    ],
)
def test_probabilities_are_said_to_be_moved_where_they_are(draw: Draw, scaling: Scaling, note: str) -> None:
    study = draw()
    study.decision = replace(study.decision, scaling=scaling)
    assert f" {note}" in study.assess()["usefulness"]["note"]


def test_without_both_classes_the_baselines_are_said_to_be_where_they_are(draw: Draw) -> None:
    study = draw()
    study.decision = fit_decision([0] * 12, list(range(12)), offset=1.4)
    assert study.assess()["usefulness"]["note"] == (
        "The baselines weigh the classes alike, so their probabilities are those of a population half anaemic. "
        "The network's are moved by its calibration."
    )


def test_folds_are_counted_where_their_scalings_differ(draw: Draw) -> None:
    study = draw()
    few = fit_temperature([0] * 7 + [1] * 2, range(9))
    scalings = [Scaling("temperature", 0.5, -0.7, 200, ""), few, Decision.fixed(0.5).scaling]
    study.decision = {f"fold {place}": replace(study.decision, scaling=each) for place, each in enumerate(scalings)}
    study.predictions["fold"] = [f"fold {place % 3}" for place in range(160)]
    found = study.assess()
    scaling = found["calibration"]["scaling"]
    assert (scaling["method"], scaling["models"], scaling["fitted"]) == ("temperature", 3, 1)
    assert scaling["note"] == f"In 1 of 3 folds: {few.note}"
    assert found["usefulness"]["note"].endswith(
        f"The network's are moved likewise by its calibration in 1 of 3 folds; in the others they are {LEFT}"
    )
    study.decision["fold 2"] = study.decision["fold 1"]
    assert study.assess()["usefulness"]["note"].endswith(f" in 1 of 3 folds; in the others {ALIKE}")


def test_class_weights_that_are_taken_back_without_a_fit_are_judged_as_such(draw: Draw) -> None:
    study = draw(1)
    study.decision = fit_decision([0] * 7 + [1] * 2, list(range(9)), offset=1.4)
    found = study.assess()["calibration"]
    assert (found["scaling"]["slope"], found["scaling"]["intercept"], found["scaling"]["fitted"]) == (1.0, -1.4, 0)
    expected = expit(study.predictions["logit"] - 1.4)
    ratio = study.predictions["label"].sum() / expected.sum()
    assert found["after"]["observed_expected"]["value"] == pytest.approx(ratio)


def test_populations_follow_from_the_units_sensitivity_and_specificity(draw: Draw) -> None:
    found = draw(per_patient=2).assess()
    scores, populations = found["patients"]["scores"], found["populations"]
    given = [
        Interval(*(scores[name][key] for key in ("value", "low", "high", "resamples", "note")))
        for name in ("sensitivity", "specificity")
    ]
    for row, known in zip(populations["rows"], at_prevalences(*given), strict=True):
        for name in ("ppv", "npv", "referred", "found", "missed", "needlessly_referred"):
            other = getattr(known, name)
            assert (row[name]["value"], row[name]["low"], row[name]["high"]) == (other.value, other.low, other.high)
    assert (populations["unit"], populations["people"]) == ("patient", 1000)


def test_conformal_sets_are_counted_by_hand(draw: Draw) -> None:
    study = draw(3)
    found = study.assess()["uncertainty"]["conformal"]
    labels = study.predictions["label"].to_numpy()
    probability = study.decision.probability(study.predictions["logit"])
    sets, answers = study.decision.sets(probability), study.decision.answers(probability)
    assert found["coverage"]["anaemic"]["value"] == sets[labels == 1, 1].mean()
    assert found["coverage"]["not_anaemic"]["value"] == sets[labels == 0, 0].mean()
    assert found["sets"]["either"] == (sets.sum(axis=1) == 2).sum()
    assert found["mean_size"] == sets.sum(axis=1).mean()
    assert found["abstained"]["value"] == (answers == ABSTAIN).mean()
    given = answers != ABSTAIN
    assert found["answered"]["n"] == given.sum()
    assert found["answered"]["acc"]["value"] == (answers == labels)[given].mean()
    assert found["answered"]["sensitivity"]["value"] == (answers == 1)[given & (labels == 1)].mean()


def test_risk_coverage_ends_at_the_error_rate(draw: Draw) -> None:
    found = draw(4).assess()
    risk = found["uncertainty"]["risk_coverage"]
    assert risk["coverage"][-1] == 1
    assert risk["risk"][-1] == pytest.approx(1 - found["photos"]["scores"]["acc"]["value"])


def test_without_sets_facts_and_baselines_the_rest_stands(draw: Draw) -> None:
    study = draw()
    study.decision, study.facts, study.baselines = Decision.fixed(0.4), None, None
    found = study.assess()
    assert found["uncertainty"]["conformal"] is None
    assert found["baselines"] == []
    assert found["colour"]["beaten"] is None
    assert found["subgroups"]["columns"] == []
    assert found["subgroups"]["absent"] == ["sex", "age_band", "site", "severity", "device", "background"]
    assert found["subgroups"]["across_sites"] is None


def test_what_scaling_and_sets_of_some_folds_lack_is_said_of_these(draw: Draw) -> None:
    study = draw()
    few = fit_decision([0, 1], [-1.0, 1.0])
    study.predictions["fold"] = np.where(np.arange(160) < 100, "a", "b")
    study.decision = {"a": study.decision, "b": few}
    found = study.assess()
    assert found["calibration"]["scaling"]["note"] == f"In 1 of 2 folds: {few.scaling.note}"
    assert few.conformal is not None
    assert found["uncertainty"]["conformal"]["note"] == f"In 1 of 2 folds: {few.conformal.note}"
    study.decision = few
    assert study.assess()["calibration"]["scaling"]["note"] == few.scaling.note


def test_what_says_the_same_of_all_photos_of_a_fold_is_no_rival(draw: Draw) -> None:
    study = draw(per_patient=2)
    without = study.assess()
    assert without["baselines_note"] == ""
    fold = pd.Series(np.arange(160) // 40)
    # As of a site that no training photo has: the fewer others are anaemic, the more of this fold's photos are.
    level = 1 - study.predictions.groupby(fold)["label"].transform("mean")
    study.baselines = study.baselines.assign(fold=fold.astype(str), site=level)
    found = study.assess()
    assert "site" not in found["usefulness"]["curve"]["net_benefit"]
    assert found["baselines"] == [each for each in without["baselines"] if each["name"] != "prevalence"]
    assert found["baselines_note"] == (
        "Baselines that say the same of all photos of a fold are left out, since pooled they would tell folds apart "
        "and not people: prevalence, site."
    )
    study.baselines.loc[0, "site"] += 0.1
    assert "site" in {each["name"] for each in study.assess()["baselines"]}, "of one fold it tells photos apart"


def test_sites_stand_together_with_where_a_further_one_may_lie(draw: Draw) -> None:
    study = draw(photos=400)
    across = study.assess()["subgroups"]["across_sites"]
    assert (across["column"], across["left_out"], across["sites"]) == ("site", False, 3)
    assert across["prediction"]["low"] < across["estimate"]["low"] < across["estimate"]["value"]
    study.facts["camera"] = study.facts["site"].map({"North": "a", "South": "b", "West": "c", "": ""})
    across = study.assess(left_out="camera")["subgroups"]["across_sites"]
    assert (across["column"], across["left_out"], across["sites"]) == ("camera", True, 3)


def test_progress_rises_to_its_end(draw: Draw) -> None:
    study, told = draw(per_patient=2), []
    assess(
        study.predictions,
        study.decision,
        study.clusters,
        baselines=study.baselines,
        options=Options(how=Resampling(resamples=30)),
        progress=lambda done, total: told.append((done, total)),
    )
    parts = [done for done, _ in told]
    assert parts == sorted(parts)
    assert told[-1][0] == told[-1][1]
    assert len({total for _, total in told}) == 1


def _one_class(study: Any) -> None:
    study.predictions["label"] = 1


def _one_photo(study: Any) -> None:
    study.predictions = study.predictions.iloc[:1]


def _no_label(study: Any) -> None:
    study.predictions["label"] = -1


def _one_logit(study: Any) -> None:
    study.predictions["logit"] = 0.3


def _extreme(study: Any) -> None:
    study.predictions["logit"] = np.where(study.predictions["logit"] > 0, 800.0, -800.0)


def _perfect(study: Any) -> None:
    study.predictions["logit"] = 2.0 * study.predictions["label"] - 1


def _one_cluster(study: Any) -> None:
    study.predictions["patient"] = np.where(study.predictions["label"] == 1, "A", "B")


def _one_patient(study: Any) -> None:
    study.predictions["patient"] = "A"


def _everyone(study: Any) -> None:
    study.decision = Decision.fixed(0.0)


def _no_one(study: Any) -> None:
    study.decision = Decision.fixed(1.0)


def _few(study: Any) -> None:
    study.predictions = study.predictions.iloc[:6]


def _gaps(study: Any) -> None:
    study.facts = study.facts.iloc[:7].assign(sex=np.nan)
    study.baselines["age and sex"] = np.nan


@pytest.mark.parametrize(
    ("spoil", "per_patient"),
    [
        *((_one_class, 1), (_one_class, 2), (_one_photo, 1), (_no_label, 1), (_one_logit, 1), (_extreme, 2)),
        *((_perfect, 1), (_perfect, 2), (_one_cluster, 1), (_one_patient, 1), (_everyone, 2), (_no_one, 1)),
        *((_few, 1), (_few, 2), (_gaps, 1)),
    ],
)
def test_degenerate_predictions_give_valid_json_and_reasons(draw: Draw, spoil: Any, per_patient: int) -> None:
    study = draw(photos=40, per_patient=per_patient)
    spoil(study)
    found = study.assess()
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert _without_a_reason(found) == []


def test_the_walk_finds_an_estimate_without_a_reason(draw: Draw) -> None:
    found = draw(photos=40).assess()
    found["photos"]["scores"]["auroc"].update(low=None, high=None, method="", note="")
    found["populations"]["rows"][3]["ppv"].update(low=None, high=None, method="", note="")
    assert sorted(_without_a_reason(found)) == [".photos.scores.auroc", ".populations.rows[3].ppv"]


def _without_a_reason(value: Any, path: str = "") -> list[str]:
    """Returns the estimates that have no value or no interval and do not say why."""
    if isinstance(value, list):
        return [fault for place, each in enumerate(value) for fault in _without_a_reason(each, f"{path}[{place}]")]
    if not isinstance(value, dict):
        return []
    if {"value", "low", "high", "method", "note"} <= set(value):
        if value["low"] is None and not value["note"]:
            return [path]
        assert value["low"] is None or value["low"] <= value["high"]
        assert (value["method"] == "") == (value["low"] is None), path
    return [fault for name, each in value.items() for fault in _without_a_reason(each, f"{path}.{name}")]
