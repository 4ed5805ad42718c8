"""One way from predictions to assessment.json and its figures, with what the photographs tell of themselves."""

import json
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from anemia_lightning.data.sources.synthetic import read_synthetic
from anemia_lightning.files.run_folder import RunFolder
from anemia_lightning.judging.assessing import ORACLE, assess_predictions, baseline_predictions, write_assessment
from anemia_lightning.metrics.decision import Decision
from anemia_lightning.metrics.patients import Pooling


@pytest.fixture(scope="module")
def photos(drawn_photos: Path) -> pd.DataFrame:
    """A manifest of drawn photos with what the baselines see."""
    manifest = read_synthetic(root=drawn_photos, patients=24, photos=48)
    rng = np.random.default_rng(0)
    return manifest.assign(
        colour_a=manifest["redness"] + rng.normal(size=48), notes="", tissue_share=1.0, mask="", width=64, height=64
    )


def _predictions(photos: pd.DataFrame) -> pd.DataFrame:
    columns = photos[["photo", "patient", "photo_group", "site", "label"]]
    return columns.assign(logit=-photos["redness"], probability=0.5, prediction=0)


def test_drawn_photographs_are_known_as_such(photos: pd.DataFrame) -> None:
    found = assess_predictions(_predictions(photos), Decision.fixed(0.5), facts=photos, resamples=50)
    assert found["drawn"] is True
    assert found["summary"][1].startswith("The photographs are drawn: ")
    real = photos.assign(source="folder")
    assert assess_predictions(_predictions(photos), Decision.fixed(0.5), facts=real, resamples=50)["drawn"] is False


def test_photos_whose_patient_the_data_do_not_name_are_counted(photos: pd.DataFrame) -> None:
    def unnamed(table: pd.DataFrame) -> int:
        found = assess_predictions(table, Decision.fixed(0.5), facts=photos, subgroups=(), resamples=10)
        return int(found["counts"]["unnamed"])

    named = _predictions(photos)
    # As a manifest fills in for a folder, or a table without the column.
    nameless = named.assign(patient=named["photo"])
    once = named.drop_duplicates("patient")
    assert [unnamed(each) for each in (named, nameless, once)] == [0, 48, 0]
    assert unnamed(pd.concat([nameless[:5], named[5:]])) == 5


def test_groups_follow_from_manifest_and_survey(photos: pd.DataFrame) -> None:
    found = assess_predictions(_predictions(photos), Decision.fixed(0.5), facts=photos, resamples=50)["subgroups"]
    groups = {column["name"]: [group["name"] for group in column["groups"]] for column in found["columns"]}
    assert groups["age_band"] == ["6-23 months", "24-59 months"]
    assert groups["background"] == ["whole photograph"]
    assert set(groups) == {"sex", "age_band", "site", "background"}
    assert found["absent"] == ["severity", "device"]


def test_copies_of_one_photograph_are_one_cluster(photos: pd.DataFrame) -> None:
    table = _predictions(photos)
    found = assess_predictions(table, Decision.fixed(0.5), resamples=50)
    assert found["counts"]["clusters"] == 24
    table["photo_group"] = np.where(table["patient"] < "P011", "one", table["photo_group"])
    assert assess_predictions(table, Decision.fixed(0.5), resamples=50)["counts"]["clusters"] == 15


def test_the_repeats_of_a_cross_validation_are_one_photo_each(photos: pd.DataFrame) -> None:
    table = _predictions(photos)
    folds = pd.concat([table.assign(repeat=each, fold=f"{each}-0") for each in range(3)], ignore_index=True)
    decisions = {f"{each}-0": Decision.fixed(0.5) for each in range(3)}
    found = assess_predictions(folds, decisions, facts=photos, resamples=50)
    once = assess_predictions(table, Decision.fixed(0.5), facts=photos, resamples=50)
    assert found["counts"] == once["counts"]
    for name, score in once["photos"]["scores"].items():
        assert found["photos"]["scores"][name]["value"] == pytest.approx(score["value"])
        assert found["photos"]["scores"][name]["low"] == pytest.approx(score["low"])
    assert found["threshold"]["varies"] is False, "each fold has its own, and all are alike"
    decisions["0-0"] = Decision.fixed(0.2)
    assert assess_predictions(folds, decisions, facts=photos, resamples=50)["threshold"]["varies"] is True


def test_the_logits_of_a_patient_are_pooled_as_asked(photos: pd.DataFrame) -> None:
    table = _predictions(photos).assign(logit=np.random.default_rng(0).normal(size=len(photos)))
    for pooling in get_args(Pooling):
        found = assess_predictions(table, Decision.fixed(0.5), facts=photos, pooling=pooling, resamples=50)
        by_patient = table.groupby("patient").agg(label=("label", "first"), logit=("logit", pooling))
        wanted = roc_auc_score(by_patient["label"], by_patient["logit"])
        assert found["patients"]["scores"]["auroc"]["value"] == pytest.approx(wanted)
        assert found["settings"]["pooling"] == pooling


def test_baselines_are_fitted_on_the_training_photos_and_the_oracle_is_named(photos: pd.DataFrame) -> None:
    is_train = photos["patient"] < "P017"
    train, test = photos[is_train], photos[~is_train].reset_index(drop=True)
    table = baseline_predictions(train, test, seed=0)
    assert table["photo"].tolist() == test["photo"].tolist()
    assert {"colour statistics, linear", ORACLE} <= set(table)
    found = assess_predictions(_predictions(test), Decision.fixed(0.5), facts=test, baselines=table, resamples=50)
    kinds: dict[str, Any] = {each["name"]: each["kind"] for each in found["baselines"]}
    assert kinds[ORACLE] == "oracle"
    assert ORACLE not in found["usefulness"]["curve"]["net_benefit"]
    assert found["colour"]["name"].startswith("colour statistics")


def test_a_column_of_that_name_in_real_data_is_no_oracle(photos: pd.DataFrame) -> None:
    real = photos[["photo", "label", "redness"]].assign(source="table")
    assert list(baseline_predictions(real, real, seed=0)) == ["photo", "prevalence"]


@pytest.mark.slow
def test_the_folder_holds_the_file_and_its_figures(photos: pd.DataFrame, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    found = assess_predictions(_predictions(photos), Decision.fixed(0.5), facts=photos, resamples=50)
    drawings = write_assessment(folder, found)
    assert json.loads((folder.path / "assessment.json").read_text(encoding="utf-8")) == found
    assert {path.stem for path in folder.plots.glob("*.png")} == set(drawings) >= {"roc", "subgroups", "sites"}
