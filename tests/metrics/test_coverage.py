"""Simulation: over 2,000 draws from a known model, intervals hold the truth about as often as they say."""

from collections import defaultdict
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.integrate import quad
from scipy.stats import norm

from anemia_lightning.metrics.delong import delong_interval, delong_test
from anemia_lightning.metrics.intervals import Interval
from anemia_lightning.metrics.proportions import likelihood_ratios, proportions
from anemia_lightning.metrics.scores import confusion_counts

Floats = NDArray[np.float64]
Bootstrap = Callable[..., dict[str, Interval]]

pytestmark = pytest.mark.slow

DRAWS, PHOTOS, DISTANCE, PREVALENCE = 2000, 120, 1.0, 0.4
ODDS = float(np.log(PREVALENCE / (1 - PREVALENCE)))
CUT = (DISTANCE**2 / 2 - ODDS) / DISTANCE
"""Where the probability is one half; x is normal with variance 1, around DISTANCE in the anaemic, else around 0."""


def _logits(x: Floats) -> Floats:
    return np.asarray(DISTANCE * x - DISTANCE**2 / 2 + ODDS)


def _truths() -> dict[str, float]:
    """The scores of infinitely many photos."""
    sensitivity, specificity = float(norm.sf(CUT - DISTANCE)), float(norm.cdf(CUT))
    tp, fn = PREVALENCE * sensitivity, PREVALENCE * (1 - sensitivity)
    tn, fp = (1 - PREVALENCE) * specificity, (1 - PREVALENCE) * (1 - specificity)

    def probability(x: float) -> float:
        return float(1 / (1 + np.exp(-_logits(np.array(x)))))

    def precision(x: float) -> float:
        above = PREVALENCE * norm.sf(x - DISTANCE)
        return float(above / (above + (1 - PREVALENCE) * norm.sf(x)))

    def mean(of: Callable[[float], float], middle: float) -> float:
        return float(quad(lambda x: of(x) * norm.pdf(x - middle), middle - 8, middle + 8, limit=200)[0])

    return {
        "auroc": float(norm.cdf(DISTANCE / np.sqrt(2))),
        "average_precision": mean(precision, DISTANCE),
        "prevalence": PREVALENCE,
        "acc": tp + tn,
        "sensitivity": sensitivity,
        "specificity": specificity,
        "ppv": tp / (tp + fp),
        "npv": tn / (tn + fn),
        "balanced_accuracy": (sensitivity + specificity) / 2,
        "f1": 2 * tp / (2 * tp + fp + fn),
        "mcc": (tp * tn - fp * fn) / float(np.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))),
        "brier": PREVALENCE * mean(lambda x: (1 - probability(x)) ** 2, DISTANCE)
        + (1 - PREVALENCE) * mean(lambda x: probability(x) ** 2, 0),
        "log_loss": -PREVALENCE * mean(lambda x: float(np.log(probability(x))), DISTANCE)
        - (1 - PREVALENCE) * mean(lambda x: float(np.log(1 - probability(x))), 0),
        "lr_positive": sensitivity / (1 - specificity),
        "lr_negative": (1 - sensitivity) / specificity,
    }


def _holds(found: Interval, truth: float) -> bool:
    return found.low is not None and found.high is not None and found.low <= truth <= found.high


def _draw(seed: int) -> tuple[np.random.Generator, NDArray[np.int64], Floats]:
    rng = np.random.default_rng(seed)
    labels = (rng.random(PHOTOS) < PREVALENCE).astype(np.int64)
    return rng, labels, rng.normal(DISTANCE * labels)


def test_formulas_cover_the_truth() -> None:
    truths, held = _truths(), defaultdict(list)
    for seed in range(DRAWS):
        _, labels, x = _draw(seed)
        counts = confusion_counts(labels, _logits(x) >= 0)
        found = {"auroc": delong_interval(labels, x), **likelihood_ratios(counts)}
        found |= {name: share.interval for name, share in proportions(counts).items()}
        for name, interval in found.items():
            held[name].append(_holds(interval, truths[name]))
    shares = {name: float(np.mean(each)) for name, each in held.items()}
    assert len(shares) == 8
    assert all(0.93 <= share <= 0.97 for share in shares.values()), shares


def test_delongs_test_covers_the_difference_and_errs_as_often_as_it_says() -> None:
    held, small = [], []
    for seed in range(DRAWS):
        rng, labels, x = _draw(seed)
        noisy = x + rng.normal(0, 1.0, PHOTOS)
        alike = noisy, x + rng.normal(0, 1.0, PHOTOS)
        truth = norm.cdf(DISTANCE / np.sqrt(2)) - norm.cdf(DISTANCE / 2)
        found = delong_test(labels, x, noisy)
        held.append((found.low or 0) <= truth <= (found.high or 0))
        small.append((delong_test(labels, *alike).p or 0) < 0.05)
    assert 0.93 <= np.mean(held) <= 0.97
    assert 0.03 <= np.mean(small) <= 0.07


def test_the_bootstrap_covers_the_truth(bootstrap: Bootstrap) -> None:
    # 200 resamples instead of 1,000 would cover about one draw in a hundred less: their quantiles are that uncertain.
    truths, held = _truths(), defaultdict(list)
    for seed in range(DRAWS):
        _, labels, x = _draw(seed)
        found = bootstrap(labels, _logits(x), range(PHOTOS), threshold=0.5, resamples=1000, seed=seed)
        for name, interval in found.items():
            held[name].append(_holds(interval, truths[name]))
    shares = {name: float(np.mean(each)) for name, each in held.items()}
    assert all(0.93 <= share <= 0.97 for share in shares.values()), shares


def test_where_photos_repeat_clusters_cover_and_single_photos_do_not(bootstrap: Bootstrap) -> None:
    truths, held, naive, wider = _truths(), defaultdict(list), defaultdict(list), defaultdict(list)
    for seed in range(DRAWS):
        rng, labels, x = _draw(seed)
        # Every second person has one photo, the others four, all alike.
        rows = rng.permutation(np.repeat(np.arange(PHOTOS), np.resize([1, 4], PHOTOS)))
        drawn = labels[rows], _logits(x)[rows]
        mine = bootstrap(*drawn, rows, threshold=0.5, resamples=1000, seed=seed)
        for name, interval in mine.items():
            held[name].append(_holds(interval, truths[name]))
        if seed >= DRAWS // 10:
            continue
        theirs = bootstrap(*drawn, range(len(rows)), threshold=0.5, resamples=400, seed=seed)
        for name, truth in truths.items():
            if name in mine:
                naive[name].append(_holds(theirs[name], truth))
                widths = [(each.high or 0) - (each.low or 0) for each in (mine[name], theirs[name])]
                wider[name].append(widths[0] > widths[1])
    shares = {name: float(np.mean(each)) for name, each in held.items()}
    # What the documentation of the intervals owns up to.
    assert 0.91 <= shares.pop("average_precision") < 0.93
    assert all(0.93 <= share <= 0.97 for share in shares.values()), sorted(shares.items())
    assert all(np.mean(each) < 0.85 for each in naive.values()), {k: np.mean(v) for k, v in naive.items()}
    assert all(np.mean(each) > 0.99 for each in wider.values()), {k: np.mean(v) for k, v in wider.items()}


def test_of_few_photos_the_bootstrap_covers_less_and_formulas_hold(bootstrap: Bootstrap) -> None:
    # What the documentation of the intervals owns up to: 60 photos, an AUROC of 0.92.
    distance, odds, few = 2.0, ODDS, 60
    cut = (distance**2 / 2 - odds) / distance
    truths = {"auroc": float(norm.cdf(distance / np.sqrt(2))), "sensitivity": float(norm.sf(cut - distance))}
    resampled, formulas = defaultdict(list), defaultdict(list)
    for seed in range(DRAWS):
        rng = np.random.default_rng(seed)
        labels = (rng.random(few) < PREVALENCE).astype(np.int64)
        logits = distance * rng.normal(distance * labels) - distance**2 / 2 + odds
        drawn = bootstrap(labels, logits, range(few), threshold=0.5, resamples=400, seed=seed)
        share = proportions(confusion_counts(labels, logits >= 0))["sensitivity"].interval
        for name, formula in {"auroc": delong_interval(labels, logits), "sensitivity": share}.items():
            resampled[name].append(_holds(drawn[name], truths[name]))
            formulas[name].append(_holds(formula, truths[name]))
    assert all(0.88 <= np.mean(each) < 0.94 for each in resampled.values())
    assert all(0.93 <= np.mean(each) <= 0.97 for each in formulas.values())
