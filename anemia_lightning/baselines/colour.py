"""The colour baseline: a logistic regression on some colour measures of each photo."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from anemia_lightning.errors import OneClassError


def fit_predict_colour(features_train: ArrayLike, labels_train: ArrayLike, features: ArrayLike) -> NDArray[np.float64]:
    """Returns the probabilities of anaemia that colour alone gives.

    Everything is fitted on the training photos: each measure is standardised, a missing one (NaN or
    infinite) takes the training median, the classes weigh alike, and the settings are fixed, so that
    nothing is tuned.

    Args:
        features_train: float [N, F], colour measures of the training photos, of any scale.
        labels_train: int [N], 1 anaemic and 0 not.
        features: float [M, F], the same measures of the photos to judge.

    Returns:
        float64 [M] in [0, 1].

    Raises:
        OneClassError: If the training photos are not of both classes.

    Example:
        >>> redness_train, redness = [[1.0], [2.0], [8.0], [9.0]], [[0.0], [10.0]]
        >>> (fit_predict_colour(redness_train, [1, 1, 0, 0], redness) > 0.5).tolist()
        [True, False]
    """
    labels = np.asarray(labels_train)
    present = np.unique(labels)
    if len(present) < 2:  # noqa: PLR2004 (the two classes)
        raise OneClassError("to fit the colour baseline to", len(labels), int(present.sum()))
    judged = _with_gaps(features)
    if not len(judged):
        return np.empty(0)
    model = _model().fit(_with_gaps(features_train), labels)
    return np.asarray(model.predict_proba(judged)[:, 1], dtype=np.float64)


def _model() -> Pipeline:
    return make_pipeline(
        # Without keep_empty_features a measure that no training photo has would vanish with a warning.
        SimpleImputer(strategy="median", keep_empty_features=True),
        StandardScaler(),
        LogisticRegression(C=1.0, class_weight="balanced", solver="lbfgs", max_iter=1000),
    )


def _with_gaps(features: ArrayLike) -> NDArray[np.float64]:
    values = np.asarray(features, dtype=np.float64)
    return np.where(np.isfinite(values), values, np.nan)
