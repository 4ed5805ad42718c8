"""Wilson's and Simel's intervals against their equations, published figures, and where they are undefined."""

import numpy as np
import pytest
from scipy.stats import binom, norm
from sklearn import metrics as reference

from anemia_lightning.metrics.intervals import Interval
from anemia_lightning.metrics.proportions import Proportion, likelihood_ratios, proportions, wilson
from anemia_lightning.metrics.scores import confusion_counts


@pytest.mark.parametrize("level", [0.8, 0.95, 0.99])
@pytest.mark.parametrize(("part", "whole"), [(0, 1), (1, 1), (0, 14), (14, 14), (18, 20), (1, 3), (500, 1000)])
def test_wilson_solves_its_equation(part: int, whole: int, level: float) -> None:
    found = wilson(part, whole, level=level)
    share, z = part / whole, norm.ppf((1 + level) / 2)
    # Where the share lies just z standard errors from the truth p: (share - p)² = z² p (1 - p) / n.
    roots = np.roots([1 + z**2 / whole, -2 * share - z**2 / whole, share**2])
    assert [found.low, found.high] == pytest.approx(sorted(roots.real), abs=1e-7)
    assert found.value == share
    assert found.note == ""


@pytest.mark.parametrize(
    ("part", "whole", "low", "high"),
    # Newcombe, Stat Med 1998;17:857, table I, method 3.
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_gives_the_published_figures(part: int, whole: int, low: float, high: float) -> None:
    found = wilson(part, whole)
    assert [found.low, found.high] == pytest.approx([low, high], abs=5e-5)


@pytest.mark.parametrize(("whole", "least"), [(10, 0.89), (50, 0.93), (400, 0.93)])
def test_wilson_covers_the_truth_as_often_as_it_says(whole: int, least: float) -> None:
    parts, truths = np.arange(whole + 1), np.linspace(0.05, 0.95, 181)
    found = [wilson(part, whole) for part in parts.tolist()]
    holds = np.array([[(each.low or 0) <= truth <= (each.high or 0) for each in found] for truth in truths])
    covered = (binom.pmf(parts, whole, truths[:, None]) * holds).sum(axis=1)
    assert covered.mean() == pytest.approx(0.95, abs=0.01)
    assert least < covered.min()


def test_nothing_of_nothing_is_undefined() -> None:
    assert wilson(0, 0, lacking="anaemic photos") == Interval(None, None, None, note="no anaemic photos")


@pytest.mark.parametrize(("part", "whole"), [(-1, 5), (6, 5)])
def test_what_is_no_share_is_a_defect(part: int, whole: int) -> None:
    with pytest.raises(ValueError, match=f"{part} of {whole} is no share"):
        wilson(part, whole)


@pytest.mark.parametrize("seed", range(30))
def test_shares_are_those_of_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels, decisions = np.append([0, 1], rng.integers(0, 2, 40)), np.append([1, 0], rng.integers(0, 2, 40))
    found = proportions(confusion_counts(labels, decisions))
    expected = {
        "acc": reference.accuracy_score(labels, decisions),
        "sensitivity": reference.recall_score(labels, decisions),
        "specificity": reference.recall_score(labels, decisions, pos_label=0),
        "ppv": reference.precision_score(labels, decisions),
        "npv": reference.precision_score(labels, decisions, pos_label=0),
    }
    assert {name: share.interval.value for name, share in found.items()} == pytest.approx(expected)
    assert all(share.part / share.whole == share.interval.value for share in found.values())
    ratios = reference.class_likelihood_ratios(labels, decisions)
    assert [each.value for each in likelihood_ratios(confusion_counts(labels, decisions)).values()] == pytest.approx(
        list(ratios)
    )


def test_each_undefined_share_says_what_is_missing() -> None:
    found = proportions({"tp": 0, "fp": 0, "tn": 5, "fn": 0}, unit="patient")
    assert found["sensitivity"] == Proportion(0, 0, Interval(None, None, None, note="no anaemic patients"))
    assert found["ppv"] == Proportion(0, 0, Interval(None, None, None, note="no patients called anaemic"))
    assert found["specificity"].interval.value == 1.0
    assert found["npv"].whole == 5
    mirrored = proportions({"tp": 5, "fp": 0, "tn": 0, "fn": 0})
    assert mirrored["specificity"].interval.note == "no non-anaemic photos"
    assert mirrored["npv"].interval.note == "no photos called non-anaemic"
    nothing = proportions({"tp": 0, "fp": 0, "tn": 0, "fn": 0})
    assert {share.interval.value for share in nothing.values()} == {None}
    assert nothing["acc"].interval.note == "no photos"


@pytest.mark.parametrize("level", [0.8, 0.95])
@pytest.mark.parametrize("seed", range(10))
def test_likelihood_ratios_are_those_of_simel(seed: int, level: float) -> None:
    tp, fp, tn, fn = np.random.default_rng(seed).integers(1, 60, 4).tolist()
    found = likelihood_ratios({"tp": tp, "fp": fp, "tn": tn, "fn": fn}, level=level)
    sensitivity, specificity, z = tp / (tp + fn), tn / (tn + fp), norm.ppf((1 + level) / 2)
    ratio, error = sensitivity / (1 - specificity), np.sqrt((1 - sensitivity) / tp + specificity / fp)
    told = found["lr_positive"]
    assert [told.value, told.low, told.high] == pytest.approx(ratio * np.exp([0, -z * error, z * error]))
    ratio, error = (1 - sensitivity) / specificity, np.sqrt(sensitivity / fn + (1 - specificity) / tn)
    told = found["lr_negative"]
    assert [told.value, told.low, told.high] == pytest.approx(ratio * np.exp([0, -z * error, z * error]))


def test_likelihood_ratios_of_a_published_table() -> None:
    # Altman & Bland, BMJ 1994;308:1552: liver scans of 344 patients, of whom 258 are ill.
    found = likelihood_ratios({"tp": 231, "fp": 32, "tn": 54, "fn": 27})
    assert found["lr_positive"].value == pytest.approx(2.4, abs=0.05)
    assert found["lr_negative"].value == pytest.approx(0.17, abs=0.005)


@pytest.mark.parametrize(
    ("counts", "positive", "negative"),
    [
        ((3, 0, 5, 2), Interval(None, None, None, note="no non-anaemic photo was called anaemic"), None),
        ((0, 1, 5, 2), Interval(0.0, None, None, note="no anaemic photo was called anaemic"), None),
        ((3, 5, 0, 2), None, Interval(None, None, None, note="no non-anaemic photo was called non-anaemic")),
        ((3, 1, 5, 0), None, Interval(0.0, None, None, note="no anaemic photo was called non-anaemic")),
        ((0, 1, 5, 0), *[Interval(None, None, None, note="no anaemic photos")] * 2),
        ((3, 0, 0, 2), *[Interval(None, None, None, note="no non-anaemic photos")] * 2),
    ],
)
def test_ratios_without_a_denominator_are_undefined(
    counts: tuple[int, int, int, int], positive: Interval | None, negative: Interval | None
) -> None:
    found = likelihood_ratios(dict(zip(("tp", "fp", "tn", "fn"), counts, strict=True)))
    assert positive is None or found["lr_positive"] == positive
    assert negative is None or found["lr_negative"] == negative


def test_decisions_that_tell_nothing_leave_the_odds_as_they_are() -> None:
    found = likelihood_ratios({"tp": 10, "fp": 20, "tn": 20, "fn": 10})
    assert [each.value for each in found.values()] == [1.0, 1.0]
    assert all((each.low or 0) < 1 < (each.high or 0) for each in found.values())
