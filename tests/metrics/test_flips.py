"""Flips, shifts and AUROCs against counting and scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from anemia_lightning.metrics.flips import measure_effect


@pytest.mark.parametrize("seed", range(5))
def test_it_counts_shifts_and_ranks(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(30) % 2)
    before = rng.normal(size=30) + labels
    after = before + rng.normal(0.3, 1, size=30)
    found = measure_effect(labels, before, after, before >= 0.2, after >= 0.2)
    assert found.flipped.part == sum((old >= 0.2) != (new >= 0.2) for old, new in zip(before, after, strict=True))
    assert found.flipped.whole == 30
    assert found.flipped.interval.value == pytest.approx(found.flipped.part / 30)
    assert found.logit_shift == pytest.approx(after.mean() - before.mean())
    assert found.auroc == pytest.approx(roc_auc_score(labels, after))
    change = roc_auc_score(labels, after) - roc_auc_score(labels, before)
    assert found.auroc_change.value == pytest.approx(change)
    assert found.auroc_change.low is not None
    assert found.auroc_change.high is not None
    assert found.auroc_change.low < change < found.auroc_change.high


def test_a_change_that_changes_nothing_flips_nothing() -> None:
    logits = np.linspace(-1, 1, 8)
    found = measure_effect([0, 1] * 4, logits, logits, logits > 0, logits > 0)
    assert (found.flipped.part, found.logit_shift, found.auroc_change.value) == (0, 0.0, 0.0)
    # That none of eight flipped does not mean that none ever would.
    assert found.flipped.interval.high == pytest.approx(0.324, abs=1e-3)


def test_of_one_class_no_auroc_is_claimed() -> None:
    found = measure_effect([1, 1], [0.0, 1.0], [1.0, -1.0], [0, 1], [1, 0])
    assert found.flipped.part == 2
    assert found.auroc is None
    assert found.auroc_change.value is None


def test_without_photos_there_is_nothing_to_say() -> None:
    found = measure_effect(np.zeros(0, dtype=int), [], [], [], [])
    assert (found.flipped.part, found.flipped.whole, found.logit_shift, found.auroc) == (0, 0, None, None)
    assert found.flipped.interval.value is None
