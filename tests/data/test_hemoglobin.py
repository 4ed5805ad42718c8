import math

from anemia_lightning.data.hemoglobin import implausible_hemoglobin


def test_implausible_values_are_named_and_missing_ones_are_not() -> None:
    assert implausible_hemoglobin([2.0, 25.0, math.nan], ["a", "b", "c"]) == []
    faults = implausible_hemoglobin([1.9, 98.0, 11.0], ["a", "b", "c"])
    assert [str(fault) for fault in faults] == ["haemoglobin outside 2-25 g/dL: a (1.9), b (98)"]


def test_grams_per_litre_are_recognised_but_not_converted() -> None:
    faults = implausible_hemoglobin([98.0, 121.0, 11.0], ["a", "b", "c"])
    assert [str(fault) for fault in faults] == [
        "haemoglobin outside 2-25 g/dL, which looks like g/L (divide it by 10): a (98), b (121)"
    ]
