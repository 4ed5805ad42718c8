"""Fits baselines to the training photos and asks them about others, for one split or for folds."""

from collections.abc import Callable, Sequence
from fnmatch import filter as matching

import joblib
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from anemia_lightning.baselines.registry import BASELINES, COMPARED, Baseline
from anemia_lightning.errors import OneClassError, UnknownNameError

_known: dict[str, NDArray[np.float64]] = {}
"""What has been answered, by what was asked: trials of a sweep ask the same of the same photos, and a cross-validation
asks each fold's baselines once more when it puts the folds together."""
_MOST_KNOWN = 128


def predict_baselines(
    train: pd.DataFrame, test: pd.DataFrame, *, names: Sequence[str] | None = None, seed: int = 0
) -> pd.DataFrame:
    """Returns what the baselines say of some photos, having seen the training photos alone.

    A missing number (NaN or infinite) takes the training median, and that it is missing is told as well. Missing text
    is a category of its own; a category that no training photo has counts as none.

    Args:
        train: Training photos: label (0 or 1) and the columns of the baselines, see `BASELINES`.
        test: Photos to judge, the same columns; a label is not looked at.
        names: Which baselines; `COMPARED` by default. Those that `available_baselines` misses are left out.
        seed: Of the forests.

    Returns:
        P(anaemic) in [0, 1], one row per row of `test` under its index, one column per baseline.

    Raises:
        OneClassError: If the training photos are not of both classes.
        UnknownNameError: If a name is none of `BASELINES`.
    """
    labels = train["label"].to_numpy(dtype=np.int64)
    present = np.unique(labels)
    if len(present) < 2:  # noqa: PLR2004 (the two classes)
        raise OneClassError("to fit the baselines to", len(labels), int(present.sum()))
    chosen = available_baselines(train, names=names)
    seen, asked = _with_aspect(train), _with_aspect(test)
    return pd.DataFrame({name: _ask(name, seen, labels, asked, seed) for name in chosen}, index=test.index)


def available_baselines(train: pd.DataFrame, *, names: Sequence[str] | None = None) -> list[str]:
    """Returns the baselines that can learn something: their columns are there, and one of them varies.

    Args:
        train: Training photos.
        names: Which baselines to look at; `COMPARED` by default.

    Raises:
        UnknownNameError: If a name is none of `BASELINES`.

    Example:
        >>> photos = pd.DataFrame({"site": ["A", "B"], "age_months": [7.0, 7.0], "sex": ["", ""]})
        >>> available_baselines(photos)
        ['prevalence', 'site']
    """
    seen = _with_aspect(train)
    return [name for name in (COMPARED if names is None else names) if _can_learn(_named(name), seen)]


def out_of_fold(
    table: pd.DataFrame,
    folds: Sequence[tuple[NDArray[np.int64], NDArray[np.int64]]],
    *,
    names: Sequence[str] | None = None,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:
    """Returns what the baselines say of each photo when fitted on the training photos of its fold.

    Args:
        table: The photos: label and the columns of the baselines.
        folds: Per fold the places (counted from 0) of its training photos and of those to judge.
        names: Which baselines; `COMPARED` by default. Those that cannot learn something in every fold are left out.
        seed: Of the forests.
        progress: Called with (folds done, folds in all).

    Returns:
        P(anaemic) under the table's index, one column per baseline: the mean over the folds that judge a photo, NaN
        for a photo that none does.

    Raises:
        OneClassError: If the training photos of a fold are not of both classes.
        UnknownNameError: If a name is none of `BASELINES`.
    """
    chosen = [list(COMPARED if names is None else names)]
    chosen += [available_baselines(table.iloc[train], names=names) for train, _ in folds]
    common = [name for name in chosen[0] if all(name in each for each in chosen)]
    total, times = np.zeros((len(table), len(common))), np.zeros(len(table))
    for done, (train, test) in enumerate(folds, start=1):
        assert not np.intersect1d(train, test).size, "a fold judges no photo that it was fitted on"
        total[test] += predict_baselines(table.iloc[train], table.iloc[test], names=common, seed=seed).to_numpy()
        times[test] += 1
        if progress is not None:
            progress(done, len(folds))
    mean = np.divide(total, times[:, None], out=np.full_like(total, np.nan), where=times[:, None] > 0)
    return pd.DataFrame(mean, index=table.index, columns=common)


def _named(name: str) -> Baseline:
    if name not in BASELINES:
        raise UnknownNameError("a baseline", name, list(BASELINES))
    return BASELINES[name]


def _with_aspect(table: pd.DataFrame) -> pd.DataFrame:
    if {"width", "height"} <= set(table):
        return table.assign(aspect=table["width"] / table["height"])
    return table


def _can_learn(baseline: Baseline, train: pd.DataFrame) -> bool:
    wanted = (*baseline.numbers, *baseline.texts)
    if not wanted:
        return True
    if not all(matching(train.columns, each) for each in wanted):
        return False
    numbers, texts = _numbers(train, _number_columns(baseline, train)), _texts(train, baseline.texts)
    return bool((numbers.nunique(dropna=False) > 1).any() or (texts.nunique() > 1).any())


def _ask(
    name: str, train: pd.DataFrame, labels: NDArray[np.int64], test: pd.DataFrame, seed: int
) -> NDArray[np.float64]:
    if test.empty:
        return np.empty(0)
    baseline = BASELINES[name]
    names = _number_columns(baseline, train)
    seen, asked = [
        pd.concat([_numbers(rows, names), _texts(rows, baseline.texts)], axis="columns") for rows in (train, test)
    ]
    question = joblib.hash((name, seen, labels, asked, seed))
    if question not in _known:
        if len(_known) >= _MOST_KNOWN:
            _known.clear()
        _known[question] = _pipeline(baseline, names, seed).fit(seen, labels).predict_proba(asked)[:, 1]
    return _known[question]


def _pipeline(baseline: Baseline, numbers: list[str], seed: int) -> Pipeline:
    # Without keep_empty_features a number that no training photo has would vanish with a warning.
    imputer = SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)
    columns = make_column_transformer(
        (make_pipeline(imputer, StandardScaler()), numbers),
        (OneHotEncoder(handle_unknown="ignore"), list(baseline.texts)),
    )
    return make_pipeline(columns, baseline.model(seed))


def _number_columns(baseline: Baseline, table: pd.DataFrame) -> list[str]:
    return [column for pattern in baseline.numbers for column in matching(table.columns, pattern)]


def _numbers(table: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    return table[names].astype(np.float64).replace([np.inf, -np.inf], np.nan)


def _texts(table: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    return table[list(names)].fillna("").astype(str)
