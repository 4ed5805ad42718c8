"""A whole run is multiplied out from its parts as the sentence says, and shares add up."""

from typing import Any

import pytest

from anemia_lightning.benchmarks.estimating import (
    images_per_second,
    laps_as_epochs,
    multiply_out,
    stage_shares,
)


def child(once: float, head: list[float], layer4: list[float]) -> dict[str, Any]:
    """A measured child; CPU time is twice the wall time, and a fifth of each epoch is validation."""
    laps: list[dict[str, Any]] = [{"name": "start", "wall_s": once / 2, "cpu_s": once}]
    for stage, seconds in (("head", head), ("layer4", layer4)):
        for each in seconds:
            for part, share in (("train", 0.8), ("val", 0.2)):
                laps.append({"name": f"{stage} {part}", "wall_s": share * each, "cpu_s": 2 * share * each})
    laps.append({"name": "test", "wall_s": once / 4, "cpu_s": once / 2})
    whole = once + sum(head) + sum(layer4)
    return {"wall_s": whole, "cpu_s": 2 * whole, "laps": laps}


def test_medians_are_multiplied_out() -> None:
    children = [child(10, [40], [80, 90]), child(12, [44], [82, 86]), child(30, [41], [200, 84])]
    found = multiply_out(children, head_epochs=5, layer4_epochs=18)
    assert found["wall_s"].head_epoch_s == pytest.approx(41)
    assert found["wall_s"].layer4_epoch_s == pytest.approx(85)
    assert found["wall_s"].once_s == pytest.approx(12)
    assert found["wall_s"].total_s == pytest.approx(12 + 5 * 41 + 18 * 85)
    assert found["cpu_s"].total_s == pytest.approx(2 * (12 + 5 * 41 + 18 * 85))
    assert found["wall_s"].lowest_s == pytest.approx(10 + 5 * 40 + 18 * 85)
    assert found["wall_s"].highest_s == pytest.approx(30 + 5 * 41 + 18 * 142)


def test_a_whole_run_predicts_itself() -> None:
    whole = child(7, [3.0] * 5, [6.0] * 18)
    found = multiply_out([whole], head_epochs=5, layer4_epochs=18)
    assert found["wall_s"].total_s == pytest.approx(whole["wall_s"])
    assert found["cpu_s"].total_s == pytest.approx(whole["cpu_s"])


def test_a_run_without_release_needs_no_layer4_epoch() -> None:
    found = multiply_out([child(7, [3.0], [])], head_epochs=23, layer4_epochs=0)
    assert found["wall_s"].total_s == pytest.approx(7 + 23 * 3)
    assert found["wall_s"].layer4_epoch_s is None


def test_shares_add_up() -> None:
    epochs = laps_as_epochs(child(10, [10.0], [20.0, 40.0])["laps"])
    assert [epoch["train_from"] for epoch in epochs] == ["head", "layer4", "layer4"]
    shares = stage_shares(80.0, epochs)
    assert shares == {
        "training, head alone": pytest.approx(0.1),
        "training, from layer4 on": pytest.approx(0.6),
        "validation": pytest.approx(14 / 80),
        "all else": pytest.approx(10 / 80),
    }
    assert images_per_second(epochs, 96) == {"head": pytest.approx(12), "layer4": pytest.approx(4)}
