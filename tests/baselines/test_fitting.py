"""Baselines see their own columns alone, learn from the training photos alone, and meet gaps without harm."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.base import ClassifierMixin
from sklearn.dummy import DummyClassifier

from anemia_lightning.baselines import BASELINES, COMPARED, available_baselines, fitting, out_of_fold, predict_baselines
from anemia_lightning.errors import OneClassError, UnknownNameError
from anemia_lightning.metrics.scores import auroc

_LINEAR = ["prevalence", "age and sex", "site", "colour statistics, linear"]
_SOME = ["prevalence", "age and sex", "site", "size", "colour statistics, linear"]
_FORESTS = ["canvas size", "file size", "size", "colour statistics, forest"]


def _photos(seed: int, size: int = 200, *, told_by: str = "", share: float = 0.5) -> pd.DataFrame:
    """Photos of which nothing tells the label but one column, if any."""
    rng = np.random.default_rng(seed)
    label = np.append([0, 1], (rng.random(size - 2) < share).astype(int))

    def number(name: str, middle: float, spread: float) -> Any:
        return rng.normal(middle, spread, size) + (2 * spread * label if told_by == name else 0)

    def text(name: str, *choices: str) -> Any:
        odds = rng.random(size) < (0.15 + 0.7 * label if told_by == name else 0.5)
        return np.where(odds, rng.choice(choices[:2], size), rng.choice(choices[2:], size))

    table = pd.DataFrame(
        {
            "label": label,
            "site": text("site", "North", "South", "East", "West"),
            "sex": text("sex", "female", "female", "male", "male"),
            "age_months": number("age_months", 30, 8),
            "width": number("width", 230, 20),
            "height": number("height", 90, 10),
            "file_bytes": number("file_bytes", 9000, 800),
            "tissue_share": number("tissue_share", 0.5, 0.05),
            "colour_lightness_mean": number("colour_lightness_mean", 50, 5),
            "colour_a_mean": number("colour_a_mean", 28, 3),
            "colour_a_sd": number("colour_a_sd", 5, 1),
        },
        index=[f"photo {seed} {row}" for row in range(size)],
    )
    return table.astype({"width": int, "height": int})


def _areas(train: pd.DataFrame, test: pd.DataFrame, names: Sequence[str]) -> dict[str, float]:
    predicted = predict_baselines(train, test, names=names)
    assert list(predicted) == list(names)
    assert predicted.index.equals(test.index)
    assert predicted.to_numpy().min() >= 0
    assert predicted.to_numpy().max() <= 1
    return {name: auroc(test["label"].to_numpy(), predicted[name].to_numpy()) or 0.0 for name in names}


_SEEN_BY = {
    "age_months": {"age and sex"},
    "sex": {"age and sex"},
    "site": {"site"},
    "width": {"canvas size", "size"},
    "tissue_share": {"canvas size", "size"},
    "file_bytes": {"file size", "size"},
    "colour_a_mean": {"colour statistics, linear", "colour statistics, forest"},
    "colour_a_sd": {"colour statistics, linear", "colour statistics, forest"},
    "": set(),
}


_CASES = [
    *((told_by, _LINEAR, 12) for told_by in _SEEN_BY),
    *((told_by, _FORESTS, 1) for told_by in ("site", "width", "file_bytes", "colour_a_mean", "")),
]


@pytest.mark.parametrize(("told_by", "names", "seeds"), _CASES)
def test_each_sees_its_own_columns_alone(told_by: str, names: list[str], seeds: int) -> None:
    draws = [(_photos(2 * seed, told_by=told_by), _photos(2 * seed + 1, 500, told_by=told_by)) for seed in range(seeds)]
    areas = pd.DataFrame([_areas(train, test, names) for train, test in draws])
    for name in names:
        if name in _SEEN_BY[told_by]:
            assert areas[name].min() > 0.75, name
        else:
            assert areas[name].mean() == pytest.approx(0.5, abs=0.02 if seeds > 1 else 0.1), name


def test_the_forest_sees_what_lies_on_both_sides_and_the_linear_model_does_not() -> None:
    train, test = _photos(0), _photos(1, 500)
    for rows in (train, test):
        rows["colour_a_mean"] = 28 + np.where(rows["label"] == 1, 8, 1) * np.where(rows["file_bytes"] > 9000, 1, -1)
    areas = _areas(train, test, ["colour statistics, linear", "colour statistics, forest"])
    assert areas["colour statistics, linear"] < 0.65
    assert areas["colour statistics, forest"] > 0.99


def test_prevalence_is_that_of_the_training_photos() -> None:
    train, test = _photos(0, 100, share=0.2), _photos(1, 30)
    predicted = predict_baselines(train, test, names=["prevalence"])
    assert predicted["prevalence"].tolist() == pytest.approx([train["label"].mean()] * 30)


def test_the_linear_model_minimises_the_balanced_penalised_log_loss() -> None:
    train = _photos(2, 120, told_by="colour_a_mean", share=0.2)
    values, labels = train.filter(like="colour_").to_numpy(), train["label"].to_numpy()
    z = (values - values.mean(axis=0)) / values.std(axis=0)
    weights = len(labels) / (2 * np.bincount(labels))[labels]

    def objective(parameters: Any) -> float:
        logits = z @ parameters[1:] + parameters[0]
        losses = np.logaddexp(0.0, np.where(labels == 1, -logits, logits))
        return float(weights @ losses + 0.5 * parameters[1:] @ parameters[1:])

    best = minimize(objective, np.zeros(4), method="BFGS").x
    predicted = predict_baselines(train, train, names=["colour statistics, linear"])
    assert predicted["colour statistics, linear"].to_numpy() == pytest.approx(expit(z @ best[1:] + best[0]), abs=1e-3)


@pytest.mark.parametrize("seed", range(2))
def test_labels_of_the_photos_to_judge_change_nothing(seed: int) -> None:
    train, test = _photos(2 * seed, 80), _photos(2 * seed + 1, 40)
    expected = predict_baselines(train, test, names=_SOME)
    permuted = test.assign(label=np.random.default_rng(seed).permutation(test["label"]))
    for other in (permuted, test.assign(label=-1), test.drop(columns="label")):
        pd.testing.assert_frame_equal(predict_baselines(train, other, names=_SOME), expected)


@pytest.mark.parametrize("seed", range(2))
def test_photos_judged_together_do_not_change_one_another(seed: int) -> None:
    train, test = _photos(2 * seed, 80), _photos(2 * seed + 1, 12)
    expected = predict_baselines(train, test, names=_SOME)
    strange = test.copy()
    others: dict[str, Any] = {
        "age_months": 1e6,
        "colour_a_mean": np.nan,
        "file_bytes": np.inf,
        "site": "Nowhere",
        "sex": "",
    }
    for column, value in others.items():
        strange.loc[test.index[6:], column] = value
    pd.testing.assert_frame_equal(predict_baselines(train, strange, names=_SOME).iloc[:6], expected.iloc[:6])
    pd.testing.assert_frame_equal(predict_baselines(train, test.iloc[[3]], names=_SOME), expected.iloc[[3]])


def test_order_of_columns_and_columns_of_others_change_nothing() -> None:
    train, test = _photos(0, 80), _photos(1, 20)
    reordered = test[test.columns[::-1]].assign(hemoglobin_g_dl=np.where(test["label"] == 1, 8.0, 13.0))
    expected = predict_baselines(train, test, names=_SOME)
    pd.testing.assert_frame_equal(predict_baselines(train, reordered, names=_SOME), expected)
    told = train.assign(hemoglobin_g_dl=np.where(train["label"] == 1, 8.0, 13.0))
    pd.testing.assert_frame_equal(predict_baselines(told, reordered, names=_SOME), expected)


def test_equal_seeds_give_equal_forests(monkeypatch: pytest.MonkeyPatch) -> None:
    train, test = _photos(0, 60), _photos(1, 20)
    first, other = [predict_baselines(train, test, names=["size"], seed=seed) for seed in (1, 2)]
    monkeypatch.setattr(fitting, "_known", {})
    pd.testing.assert_frame_equal(first, predict_baselines(train, test, names=["size"], seed=1))
    assert not first.equals(other)


@pytest.mark.parametrize("changed", ["nothing", "a label", "a number", "a photo to judge", "the seed"])
def test_the_same_question_is_answered_without_another_fit(changed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "_known", {})
    monkeypatch.setattr(fitting, "_MOST_KNOWN", 2)
    fits: list[int] = []

    def counted(seed: int) -> ClassifierMixin:
        fits.append(seed)
        return DummyClassifier()

    model = replace(BASELINES["size"], model=counted)
    monkeypatch.setattr(fitting, "BASELINES", {"size": model})
    train, test = _photos(0, 60), _photos(1, 20)
    predict_baselines(train, test, names=["size"])
    if changed == "a label":
        train["label"] = np.append(1 - train["label"].to_numpy()[:1], train["label"].to_numpy()[1:])
    elif changed in ("a number", "a photo to judge"):
        table = train if changed == "a number" else test
        table["width"] = table["width"].to_numpy() + np.eye(1, len(table), dtype=int)[0]
    seed = int(changed == "the seed")
    predict_baselines(train, test, names=["size"], seed=seed)
    assert fits == ([0] if changed == "nothing" else [0, seed])
    fits.clear()
    fitting._known.clear()
    for each in (2, 3, 2, 3, 4, 2):
        predict_baselines(train, test, names=["size"], seed=each)
    assert fits == [2, 3, 4, 2], "two are known, and the third has them forgotten"


@pytest.mark.parametrize("seed", range(4))
def test_a_site_that_no_training_photo_has_is_no_harm(seed: int) -> None:
    train, test = _photos(2 * seed, told_by="site"), _photos(2 * seed + 1, told_by="site")
    known = predict_baselines(train, test, names=["site"])["site"]
    foreign = predict_baselines(train, test.assign(site="Nowhere"), names=["site"])["site"]
    assert foreign.nunique() == 1
    assert known.min() < foreign.iloc[0] < known.max()


@pytest.mark.parametrize("gap", [np.nan, np.inf, -np.inf, None])
def test_a_missing_number_takes_the_training_median(gap: Any) -> None:
    train, test = _photos(4, 61, told_by="colour_a_mean"), _photos(5, 21, told_by="colour_a_mean")
    names = ["age and sex", "colour statistics, linear"]
    broken, mended = test.astype({"colour_a_mean": object, "age_months": object}), test.copy()
    for column in ("colour_a_mean", "age_months"):
        broken.loc[test.index[7], column] = gap
        mended.loc[test.index[7], column] = train[column].median()
    expected = predict_baselines(train, mended, names=names)
    pd.testing.assert_frame_equal(predict_baselines(train, broken, names=names), expected)


def test_that_an_age_is_missing_may_tell_something_and_so_may_a_missing_sex() -> None:
    train, test = _photos(0), _photos(1, 500)
    for rows in (train, test):
        rows.loc[rows["label"] == 1, "age_months"] = np.nan
    assert _areas(train, test, ["age and sex"])["age and sex"] > 0.95
    train, test = _photos(0), _photos(1, 500)
    for rows in (train, test):
        rows.loc[rows["label"] == 1, "sex"] = ""
    assert _areas(train, test, ["age and sex"])["age and sex"] > 0.95


def test_half_of_the_ages_missing_leaves_what_the_others_tell() -> None:
    train, test = _photos(0, told_by="age_months"), _photos(1, 500, told_by="age_months")
    for rows in (train, test):
        rows.loc[rows.index[::2], "age_months"] = np.nan
    assert 0.65 < _areas(train, test, ["age and sex"])["age and sex"] < 0.85


def test_a_column_that_nobody_has_or_that_never_varies_is_no_harm() -> None:
    train, test = _photos(7, 60, told_by="colour_a_mean"), _photos(8, 60, told_by="colour_a_mean")
    names = ["colour statistics, linear"]
    expected = predict_baselines(train[["label", "colour_a_mean"]], test, names=names)
    for rows in (train, test):
        rows["colour_a_sd"], rows["colour_lightness_mean"] = np.nan, 5.0
    predicted = predict_baselines(train, test, names=names)
    assert predicted[names[0]].to_numpy() == pytest.approx(expected[names[0]].to_numpy(), abs=1e-6)


@pytest.mark.parametrize(
    ("changed", "left_out"),
    [
        ({"site": ""}, {"site"}),
        ({"site": "North"}, {"site"}),
        ({"sex": ""}, set()),
        ({"age_months": np.nan}, set()),
        ({"sex": "", "age_months": np.nan}, {"age and sex"}),
        ({"sex": "male", "age_months": 12.0}, {"age and sex"}),
        ({"file_bytes": 5}, set()),
        ({"width": 224, "height": 224, "tissue_share": 1.0, "file_bytes": 5}, {"size"}),
        (
            {"colour_lightness_mean": np.nan, "colour_a_mean": 3.0, "colour_a_sd": np.inf},
            {"colour statistics, linear", "colour statistics, forest"},
        ),
    ],
)
def test_what_can_teach_nothing_is_left_out(changed: dict[str, Any], left_out: set[str]) -> None:
    train, test = _photos(0, 30).assign(**changed), _photos(1, 5)
    expected = [name for name in COMPARED if name not in left_out]
    assert available_baselines(train) == expected
    cheap = [name for name in expected if name in _SOME]
    assert list(predict_baselines(train, test, names=_SOME)) == cheap


def test_what_is_not_in_the_table_is_left_out() -> None:
    photos = _photos(0, 30)
    assert available_baselines(photos[["label", "sex"]]) == ["prevalence"]
    assert available_baselines(photos[["label", "site", "width", "height"]]) == ["prevalence", "site"]
    facts = photos[["label", "width", "height", "tissue_share"]]
    assert available_baselines(facts, names=list(BASELINES)) == ["prevalence", "canvas size"]


def test_no_photos_to_judge_give_no_probabilities() -> None:
    predicted = predict_baselines(_photos(0, 30), _photos(1, 5).iloc[:0])
    assert predicted.shape == (0, len(COMPARED))


@pytest.mark.parametrize(("label", "name"), [(1, "anaemic"), (0, "non-anaemic")])
def test_one_class_is_refused_in_words(label: int, name: str) -> None:
    train = _photos(9, 12)
    with pytest.raises(OneClassError) as caught:
        predict_baselines(train.assign(label=label), train)
    assert str(caught.value) == (
        "Looked for anaemic and non-anaemic photos to fit the baselines to; "
        f"found 12 {name} photos and no other. Add photos of the other class, or draw another split."
    )


def test_an_unknown_name_is_refused_in_words() -> None:
    train = _photos(0, 12)
    for ask in (
        lambda names: available_baselines(train, names=names),
        lambda names: predict_baselines(train, train, names=names),
    ):
        with pytest.raises(UnknownNameError) as caught:
            ask(["sight"])
        assert str(caught.value).startswith("Looked for a baseline; found 'sight'. Known, the nearest first: site, ")


def _folds(size: int, parts: int, seed: int) -> list[tuple[Any, Any]]:
    part = np.random.default_rng(seed).permutation(np.arange(size) % parts)
    return [(np.flatnonzero(part != each), np.flatnonzero(part == each)) for each in range(parts)]


def test_out_of_fold_is_what_each_fold_says() -> None:
    photos, folds = _photos(0, 60), _folds(60, 2, seed=0)
    pooled = out_of_fold(photos, folds, names=_SOME, seed=3)
    assert pooled.index.equals(photos.index)
    parts = [predict_baselines(photos.iloc[train], photos.iloc[test], names=_SOME, seed=3) for train, test in folds]
    pd.testing.assert_frame_equal(pooled, pd.concat(parts).loc[photos.index])


def test_repeats_are_averaged_and_photos_that_no_fold_judges_have_nothing() -> None:
    photos, repeats = _photos(0, 60), [_folds(60, 3, seed=seed) for seed in (0, 1)]
    both = out_of_fold(photos, repeats[0] + repeats[1], names=_LINEAR)
    each = [out_of_fold(photos, folds, names=_LINEAR) for folds in repeats]
    pd.testing.assert_frame_equal(both, (each[0] + each[1]) / 2)
    part = out_of_fold(photos, repeats[0][:2], names=_LINEAR)
    assert part.isna().all(axis=1).to_numpy().nonzero()[0].tolist() == repeats[0][2][1].tolist()


def test_progress_counts_folds() -> None:
    seen: list[tuple[int, int]] = []
    out_of_fold(_photos(0, 30), _folds(30, 3, seed=0), names=["site"], progress=lambda *done: seen.append(done))
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_what_one_fold_cannot_learn_is_compared_in_none() -> None:
    photos = _photos(0, 60)
    photos["site"] = np.where(np.arange(60) < 30, "North", "South")
    half = [(np.arange(30), np.arange(30, 60)), (np.arange(30, 60), np.arange(30))]
    assert list(out_of_fold(photos, half, names=_LINEAR)) == ["prevalence", "age and sex", "colour statistics, linear"]


def test_a_fold_that_judges_what_it_was_fitted_on_is_a_defect() -> None:
    with pytest.raises(AssertionError, match="a fold judges no photo that it was fitted on"):
        out_of_fold(_photos(0, 10), [(np.arange(8), np.arange(7, 10))])


def test_copies_on_both_sides_of_a_split_look_like_knowledge() -> None:
    photos = pd.concat([_photos(0, 40)] * 4)
    name, group = "colour statistics, forest", np.tile(np.arange(40), 4)
    grouped = [(np.flatnonzero(group % 2 != each), np.flatnonzero(group % 2 == each)) for each in range(2)]
    found = {}
    for split, folds in {"random": _folds(160, 2, seed=0), "grouped": grouped}.items():
        pooled = out_of_fold(photos, folds, names=[name])
        found[split] = auroc(photos["label"].to_numpy(), pooled[name].to_numpy()) or 0.0
    assert found["random"] > 0.9
    assert found["grouped"] < 0.75
