import numpy as np
import pytest

from anemia_lightning.data.labels import implausible_hemoglobin, label_from_hemoglobin
from anemia_lightning.errors import ConfigError


def test_who_just_reaches_the_cut_off_is_not_anaemic() -> None:
    labels = label_from_hemoglobin(np.array([10.99, 11.0, 3.1, 15.0]), cutoff_g_dl=11.0)
    assert labels.tolist() == [1, 0, 1, 0]
    assert labels.dtype == np.int64


def test_a_missing_value_never_gets_a_label() -> None:
    with pytest.raises(AssertionError):
        label_from_hemoglobin(np.array([np.nan]), cutoff_g_dl=11.0)


@pytest.mark.parametrize(
    ("cutoff", "sentence"),
    [
        (110, "data.cutoff_g_dl is 110; it must be from 2 to 25 g/dL. Did you mean 11?"),
        (-1, "data.cutoff_g_dl is -1; it must be from 2 to 25 g/dL."),
        (float("nan"), "data.cutoff_g_dl is nan; it must be from 2 to 25 g/dL."),
    ],
)
def test_a_cut_off_in_another_unit_is_refused(cutoff: float, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        label_from_hemoglobin(np.array([9.0]), cutoff_g_dl=cutoff)
    assert str(caught.value) == sentence


def test_implausible_values_are_named_and_missing_ones_are_not() -> None:
    assert implausible_hemoglobin([2.0, 25.0, np.nan], ["a", "b", "c"]) == []
    faults = implausible_hemoglobin([1.9, 98.0, 11.0], ["a", "b", "c"])
    assert [str(fault) for fault in faults] == ["haemoglobin outside 2-25 g/dL: a (1.9), b (98)"]


def test_grams_per_litre_are_recognised_but_not_converted() -> None:
    faults = implausible_hemoglobin([98.0, 121.0, 11.0], ["a", "b", "c"])
    assert [str(fault) for fault in faults] == [
        "haemoglobin outside 2-25 g/dL, which looks like g/L (divide it by 10): a (98), b (121)"
    ]
