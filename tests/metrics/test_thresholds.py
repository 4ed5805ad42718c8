"""Thresholds against a search through all of them, at ties, at targets out of reach, and where no photo tells."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from anemia_lightning.errors import ConfigError
from anemia_lightning.metrics.thresholds import Rule, Threshold, choose_threshold, parse_rule

Draw = tuple[NDArray[np.int64], NDArray[np.float64]]


def _draw(seed: int) -> Draw:
    rng = np.random.default_rng(seed)
    labels = np.append([0, 1], rng.integers(0, 2, int(rng.integers(1, 60))))
    probabilities = 1 / (1 + np.exp(-rng.normal(labels * 1.5 - 0.7)))
    return labels, np.round(probabilities, 1) if seed % 2 else probabilities


def _rates(labels: NDArray[Any], probabilities: NDArray[Any], threshold: float) -> tuple[float, float]:
    called = probabilities >= threshold
    return float(called[labels == 1].mean()), float((~called[labels == 0]).mean())


def _all_rates(draw: Draw) -> list[tuple[float, float]]:
    """Sensitivity and specificity of every threshold that leaves photos on both sides."""
    return [_rates(*draw, threshold) for threshold in np.unique(draw[1])[1:]]


@pytest.mark.parametrize("seed", range(40))
def test_youden_finds_the_highest_sum(seed: int) -> None:
    draw = _draw(seed)
    found = choose_threshold(*draw, "youden")
    sensitivity, specificity = _rates(*draw, found.value)
    best = max(sum(rates) for rates in _all_rates(draw))
    assert sensitivity + specificity == pytest.approx(best)
    # Of equal sums the highest sensitivity.
    assert sensitivity == max(rates[0] for rates in _all_rates(draw) if sum(rates) > best - 1e-9)
    assert found.reached == (best > 1 + 1e-9)


@pytest.mark.parametrize("target", [0.0, 0.5, 0.8, 0.9, 1.0])
@pytest.mark.parametrize("seed", range(30))
def test_a_target_is_reached_at_the_least_cost_or_missed_by_the_least(seed: int, target: float) -> None:
    draw = _draw(seed)
    for place, name in enumerate(("sensitivity", "specificity")):
        found = choose_threshold(*draw, f"{name}>={target}")
        rates = _rates(*draw, found.value)
        reaching = [each for each in _all_rates(draw) if each[place] >= target - 1e-12]
        assert found.reached == bool(reaching)
        if reaching:
            assert rates[1 - place] == max(each[1 - place] for each in reaching)
            assert rates[place] == max(each[place] for each in reaching if each[1 - place] == rates[1 - place])
            assert found.note == ""
        else:
            assert rates[place] == max(each[place] for each in _all_rates(draw))
            assert f"{rates[place]:.3f}" in found.note


@pytest.mark.parametrize("cost", [0.01, 0.5, 1.0, 3.0, 1000.0])
@pytest.mark.parametrize("seed", range(30))
def test_costs_are_least(seed: int, cost: float) -> None:
    labels, probabilities = _draw(seed)

    def price(threshold: float) -> float:
        called = probabilities >= threshold
        return float(cost * np.sum(~called & (labels == 1)) + np.sum(called & (labels == 0)))

    found = choose_threshold(labels, probabilities, f"cost:{cost}")
    # Where a probability is 1, no threshold calls none anaemic.
    everywhere = [0.0, *np.unique(probabilities), *([] if probabilities.max() == 1 else [1.0])]
    assert price(found.value) == pytest.approx(min(map(price, everywhere)))
    assert found.reached


def test_extreme_costs_say_so() -> None:
    draw = [0, 1, 0, 1], [0.1, 0.2, 0.6, 0.7]
    everyone, none = choose_threshold(*draw, "cost:100"), choose_threshold([1, 1, 0, 0], draw[1], "cost:0.01")
    assert (everyone.note, everyone.value < 0.2) == ("", True)
    assert none == Threshold(0.85, "cost:0.01", reached=True, note="calling none anaemic costs least")
    assert choose_threshold([1, 1, 0, 0], draw[1], "cost:100") == Threshold(
        0.05, "cost:100", reached=True, note="calling every photo anaemic costs least"
    )


@pytest.mark.parametrize("rule", ["youden", "sensitivity>=0.9", "specificity>=0.9", "cost:2"])
@pytest.mark.parametrize("seed", range(20))
def test_nine_digits_decide_as_all_digits_do(seed: int, rule: str) -> None:
    labels, probabilities = _draw(seed)
    written = np.array([float(f"{each:.9g}") for each in probabilities])
    found = choose_threshold(labels, probabilities, rule)
    assert choose_threshold(labels, written, rule) == found
    assert ((written >= found.value) == (probabilities >= found.value)).all()
    assert found.value not in probabilities


def test_the_threshold_lies_midway() -> None:
    assert choose_threshold([0, 1], [0.2, 0.6], "youden") == Threshold(0.4, "youden", reached=True, note="")
    # Probabilities that a table cannot tell apart are not told apart here.
    found = choose_threshold([0, 0, 1, 1], [0.1, 0.3, 0.3 + 1e-12, 0.5], "youden")
    assert found.value == pytest.approx(0.2)


def test_thresholds_lie_between_neighbours_in_the_last_digit() -> None:
    for low, high in (
        (0.123456789, 0.12345679),
        (0.0999999999, 0.1),
        (1e-12, 1.00000001e-12),
        (0.999999998, 0.999999999),
    ):
        assert low < choose_threshold([0, 1], [low, high], "youden").value < high


def test_of_equal_thresholds_the_more_sensitive_is_taken() -> None:
    # Youden's index is 0.5 at both.
    assert choose_threshold([0, 1, 0, 1], [0.1, 0.3, 0.5, 0.7], "youden").value == pytest.approx(0.2)


@pytest.mark.parametrize("seed", range(10))
def test_the_order_of_photos_does_not_matter(seed: int) -> None:
    labels, probabilities = _draw(seed)
    order = np.random.default_rng(seed).permutation(len(labels))
    for rule in ("youden", "sensitivity>=0.8", "cost:3"):
        assert choose_threshold(labels[order], probabilities[order], rule) == choose_threshold(
            labels, probabilities, rule
        )


def test_a_target_out_of_reach_is_said_in_words() -> None:
    found = choose_threshold([1, 0, 0, 1], [0.1, 0.2, 0.8, 0.9], "sensitivity>=0.9")
    assert found == Threshold(
        0.85,
        "sensitivity>=0.9",
        reached=False,
        note="no threshold reaches a sensitivity of 0.9 unless it calls every photo anaemic; the nearest gives 0.500",
    )
    assert choose_threshold([1, 0, 1, 0], [0.1, 0.2, 0.8, 0.9], "specificity>=0.9").note == (
        "no threshold reaches a specificity of 0.9 unless it calls none anaemic; the nearest gives 0.500"
    )


def test_a_model_worse_than_chance_is_said_to_be() -> None:
    found = choose_threshold([1, 1, 0, 0], [0.1, 0.2, 0.8, 0.9], "youden")
    assert not found.reached
    assert found.note == "no threshold does better than chance (Youden's index at best -0.500)"


@pytest.mark.parametrize("rule", ["youden", "sensitivity>=0.9", "cost:2"])
@pytest.mark.parametrize(
    ("labels", "probabilities", "note"),
    [
        ([], [], "there are no photos to choose a threshold on; the threshold is 0.5"),
        ([1, 1], [0.2, 0.4], "there are no non-anaemic photos to choose a threshold on; the threshold is 0.5"),
        ([0], [0.2], "there are no anaemic photos to choose a threshold on; the threshold is 0.5"),
        (
            [0, 1],
            [0.2, 0.2],
            "all probabilities are equal, so no threshold tells the photos apart; the threshold is 0.5",
        ),
    ],
)
def test_photos_that_tell_nothing_leave_it_at_one_half(labels: Any, probabilities: Any, note: str, rule: str) -> None:
    assert choose_threshold(labels, probabilities, rule) == Threshold(0.5, rule, reached=False, note=note)


def test_a_fixed_threshold_needs_no_photos() -> None:
    assert choose_threshold([], [], "fixed:0.3") == Threshold(0.3, "fixed:0.3", reached=True, note="")
    assert choose_threshold([1], [0.9], "fixed:0").value == 0.0


def test_certain_probabilities_leave_room() -> None:
    assert choose_threshold([0, 1], [0.0, 1.0], "youden").value == 0.5
    assert choose_threshold([0, 0, 1, 1], [1.0, 0.0, 0.0, 1.0], "cost:0.01").value == 0.5


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("youden", Rule("youden", None)),
        ("sensitivity>=0.9", Rule("sensitivity", 0.9)),
        (" specificity >= .95 ", Rule("specificity", 0.95)),
        ("sensitivity≥1", Rule("sensitivity", 1.0)),
        ("sensitivity:0.9", Rule("sensitivity", 0.9)),
        ("0.4", Rule("fixed", 0.4)),
        ("1e-2", Rule("fixed", 0.01)),
        ("cost: 5", Rule("cost", 5.0)),
        ("fixed:0.5", Rule("fixed", 0.5)),
    ],
)
def test_rules_are_read(text: str, rule: Rule) -> None:
    assert parse_rule(text) == rule
    assert parse_rule(str(rule)) == rule


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (
            "best",
            "it must be one of youden, sensitivity:0.9, specificity:0.9, cost:5 or fixed:0.5, "
            "with numbers of your own.",
        ),
        ("sensitivity>=high", "'high' is not a number."),
        ("sensitivity>=90", "its number must lie between 0 and 1. Did you mean 0.9?"),
        ("40", "its number must lie between 0 and 1. Did you mean 0.4?"),
        ("1.2.3", "'1.2.3' is not a number."),
        ("fixed:-1", "its number must lie between 0 and 1."),
        ("fixed:nan", "its number must lie between 0 and 1."),
        ("cost:0", "a missed anaemia must cost more than 0 needless referrals."),
        ("cost:inf", "a missed anaemia must cost more than 0 needless referrals."),
    ],
)
def test_nonsense_is_refused_in_a_sentence(text: str, fault: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_rule(text, setting="evaluation.threshold")
    assert str(caught.value) == f"evaluation.threshold is '{text}'; {fault}"
    with pytest.raises(ConfigError):
        choose_threshold([0, 1], [0.1, 0.9], text)


@pytest.mark.parametrize(
    ("labels", "probabilities", "fault"),
    [([0, 2], [0.1, 0.2], "not only 0 and 1"), ([0], [0.1, 0.2], "not both"), ([0, 1], [0.1, 1.2], r"not in \[0, 1\]")],
)
def test_what_is_no_set_of_predictions_is_a_defect(labels: Any, probabilities: Any, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        choose_threshold(labels, probabilities, "youden")
