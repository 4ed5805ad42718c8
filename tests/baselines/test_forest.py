"""A forest in parts is scikit-learn's forest."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.ensemble import RandomForestClassifier

from anemia_lightning.baselines.forest import ForestInParts


# Few rows are grown in one thread, many in several.
@pytest.mark.parametrize(("seed", "rows"), [(0, 80), (1, 80), (2, 80), (3, 80), (4, 1000)])
def test_it_says_what_a_whole_forest_says(seed: int, rows: int) -> None:
    rng = np.random.default_rng(seed)
    values, labels = rng.normal(size=(rows, 4)), rng.integers(0, 2, rows)
    values[:, 0] += labels
    asked = rng.normal(size=(30, 4))
    whole = RandomForestClassifier(n_estimators=200, class_weight="balanced", random_state=seed).fit(values, labels)
    found = ForestInParts(trees=200, seed=seed).fit(values, labels).predict_proba(asked)
    np.testing.assert_allclose(found, whole.predict_proba(asked), rtol=0, atol=1e-12)


def test_asked_again_it_says_the_same_to_the_last_bit() -> None:
    rng = np.random.default_rng(0)
    values, labels = rng.normal(size=(60, 3)), rng.integers(0, 2, 60)
    forest = ForestInParts(trees=200, seed=3).fit(values, labels)
    assert np.array_equal(forest.predict_proba(values), forest.predict_proba(values))
    assert np.array_equal(clone(forest).fit(values, labels).predict_proba(values), forest.predict_proba(values))
    assert forest.classes_.tolist() == [0, 1]


@pytest.mark.parametrize("trees", [0, 20, 230])
def test_trees_that_do_not_come_to_whole_parts_are_refused(trees: int) -> None:
    with pytest.raises(ValueError, match=f"{trees} trees are no multiple of 50"):
        ForestInParts(trees=trees).fit([[0.0], [1.0]], [0, 1])
