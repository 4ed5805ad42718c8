"""Labels against haemoglobin."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from anemia_lightning.contracts import UNKNOWN_LABEL
from anemia_lightning.data.audit.labels import LabelCheck, _best_cutoff, check_labels

Table = Callable[..., pd.DataFrame]
HEMOGLOBIN = [8.0, 10.9, 11.0, 12.0, 13.5, 9.5]


def test_the_cutoff_that_the_labels_follow_is_found(table: Table) -> None:
    check = check_labels(table([1, 1, 0, 0, 0, 1], hemoglobin_g_dl=HEMOGLOBIN))
    assert check == LabelCheck(known=6, cutoff_g_dl=11.0, agreeing=6, contradicting=[], near=2)


def test_a_label_against_it_is_named_unless_another_rule_explains_it(table: Table) -> None:
    manifest = table([1, 1, 0, 0, 0, 0, 1], hemoglobin_g_dl=[*HEMOGLOBIN, 10.0])
    check = check_labels(manifest)
    assert (check.cutoff_g_dl, check.agreeing, check.contradicting) == (11.0, 6, ["s/5.png"])
    explaining = pd.Series([0] * 7)
    silent = pd.Series([UNKNOWN_LABEL] * 7)
    assert check_labels(manifest, [silent]).contradicting == ["s/5.png"]
    assert check_labels(manifest, [silent, explaining]).contradicting == []


def test_photos_without_haemoglobin_are_not_judged(table: Table) -> None:
    missing = [*HEMOGLOBIN[:5], float("nan")]
    assert check_labels(table([1, 1, 0, 0, 0, 1], hemoglobin_g_dl=missing)).known == 5
    assert check_labels(table([1, 0])) == LabelCheck(0, None, 0, [], 0)


def test_labels_by_a_guideline_have_each_their_own_cut_off(table: Table) -> None:
    margins = pd.Series([-0.6, -0.4, 0.0, 0.4, 0.5, -2.0])
    check = check_labels(table([1, 1, 0, 0, 0, 1], hemoglobin_g_dl=HEMOGLOBIN), margins=margins)
    assert check == LabelCheck(known=6, cutoff_g_dl=None, agreeing=6, contradicting=[], near=3)


@pytest.mark.parametrize("seed", range(50))
def test_no_other_cutoff_contradicts_fewer_labels(seed: int) -> None:
    rng = np.random.default_rng(seed)
    hemoglobin = rng.normal(11, 1.5, int(rng.integers(1, 60))).round(int(rng.integers(0, 3)))
    labels = rng.choice([-1, 0, 1], len(hemoglobin), p=[0.1, 0.4, 0.5])
    contradicted = {cutoff: int(((hemoglobin < cutoff) != (labels == 1)).sum()) for cutoff in np.unique(hemoglobin)}
    assert _best_cutoff(hemoglobin, labels) == min(contradicted, key=lambda cutoff: (contradicted[cutoff], cutoff))
