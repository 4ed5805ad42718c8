"""A random forest whose trees are never all in memory."""

import numpy as np
from joblib import parallel_config
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import RandomForestClassifier

_TREES_AT_ONCE = 50
_TOO_FEW_FOR_THREADS = 1000
"""Rows: of fewer, a tree is grown sooner than it is handed to a thread."""


class ForestInParts(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """scikit-learn's random forest, of which each part is grown, asked and let go.

    Leaves of one photo make trees as large as the data: of 14,000 photos, 300 of them took 95 MB, and what the threads
    that grow them let go stays in their heaps. The trees are those of one whole forest, and so are the probabilities
    but for the last bit. Being asked takes the time of growing.

    Args:
        trees: How many, a multiple of 50.
        seed: Of their draws.
    """

    def __init__(self, *, trees: int = 300, seed: int = 0) -> None:
        self.trees = trees
        self.seed = seed

    def fit(self, values: ArrayLike, labels: ArrayLike) -> "ForestInParts":
        """Takes the training photos.

        Args:
            values: float [N, numbers].
            labels: int [N].

        Raises:
            ValueError: If the trees do not come to whole parts.
        """
        if self.trees < _TREES_AT_ONCE or self.trees % _TREES_AT_ONCE:
            raise ValueError(f"{self.trees} trees are no multiple of {_TREES_AT_ONCE}")
        self.values_, self.labels_ = np.asarray(values), np.asarray(labels)
        self.classes_ = np.unique(self.labels_)
        return self

    def predict_proba(self, values: ArrayLike) -> NDArray[np.float64]:
        """Returns the probability of each class, float64 [M, classes], for values, float [M, numbers]."""
        # One stream for all parts, as a whole forest has it.
        draws = np.random.RandomState(self.seed)
        parts = self.trees // _TREES_AT_ONCE
        each = [self._ask_part(np.asarray(values), draws) for _ in range(parts)]
        mean: NDArray[np.float64] = np.mean(each, axis=0)
        return mean

    def _ask_part(self, values: NDArray[np.float64], draws: np.random.RandomState) -> NDArray[np.float64]:
        forest = RandomForestClassifier(n_estimators=_TREES_AT_ONCE, class_weight="balanced", random_state=draws)
        # Trees are grown side by side and asked one after the other, since the order of a sum shows in its bits.
        with parallel_config(backend="threading", n_jobs=1 if len(self.values_) < _TOO_FEW_FOR_THREADS else -1):
            forest.fit(self.values_, self.labels_)
        probabilities: NDArray[np.float64] = forest.predict_proba(values)
        return probabilities
