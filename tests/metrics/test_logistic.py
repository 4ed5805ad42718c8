"""The logistic regression against scikit-learn, row by row, and its robust variance against statsmodels' figures."""

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import norm
from sklearn.linear_model import LogisticRegression

from anemia_lightning.errors import NonFiniteLogitsError
from anemia_lightning.metrics.logistic import (
    checked_photos,
    critical_value,
    fit_logistic,
    is_separated,
    robust_covariance,
)

# fmt: off
LOGITS = np.array([
    0.3, 0.78, -0.14, -1.12, -0.43, -1.29, 0.4, 2.44, -0.49, -0.69, 1.08, 0.87, 0.47, -1.19, 0.25, 1.41, -1.85, -0.43,
    -2.74, -1.76, -2.65, -0.08, -1.73, 0.73, 0.55, 0.0, -3.73, -0.56, 0.22, 0.48, -2.15, -0.46, -1.27, -0.99, 2.0,
    -0.99, 0.25, 1.72, -0.63, 0.12, 0.48, 0.4, -1.66, 0.42, 2.47, -2.18, 1.68, 0.49, -0.73, 3.5, 1.52, -1.62, 0.42,
    1.22, 0.0, 1.39, 0.19, 1.37, 2.6, -0.78,
])
LABELS = np.array([
    0, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 0, 1, 0, 0, 0, 0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 1, 1, 1, 0, 1, 0, 1, 1, 1, 1, 1,
    1, 0, 0, 1, 0, 0, 1, 0, 1, 1, 0, 1, 0, 1, 0, 1, 0, 0, 1, 1, 1, 1,
])
# fmt: on
PAIRS = np.arange(60) // 2
DESIGN = np.column_stack([np.ones(60), LOGITS])


def test_equals_statsmodels_figures() -> None:
    # statsmodels 0.15, GLM(Binomial).fit(tol=1e-14), and cov_type="cluster" without correction times 30 / 29.
    slope = fit_logistic(DESIGN, LABELS.astype(float))[0]
    assert slope == pytest.approx([0.00786636, 0.2273572], abs=1e-7)
    assert robust_covariance(DESIGN, LABELS, slope, PAIRS)[1, 1] ** 0.5 == pytest.approx(0.19817891480504563, rel=1e-6)
    intercept = fit_logistic(DESIGN[:, :1], LABELS.astype(float), offset=LOGITS)[0]
    assert intercept == pytest.approx([0.02577104649022547], abs=1e-9)
    variance = robust_covariance(DESIGN[:, :1], LABELS, intercept, PAIRS, offset=LOGITS)[0, 0]
    assert variance**0.5 == pytest.approx(0.36920099371204856, rel=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_each_row_of_weights_is_a_fit_of_its_own(seed: int) -> None:
    rng = np.random.default_rng(seed)
    design = np.column_stack([np.ones(80), rng.normal(size=(80, 3))])
    labels = (rng.random(80) < expit(design @ [0.2, 1.0, -0.5, 0.0])).astype(float)
    weights = rng.poisson(1.0, (6, 80)).astype(float)
    found = fit_logistic(design, labels, weights=weights)
    for row, each in zip(found, weights, strict=True):
        reference = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(design[:, 1:], labels, each)
        assert row == pytest.approx([*reference.intercept_, *reference.coef_[0]], abs=1e-4)


def test_a_penalty_is_scikit_learns_and_keeps_separated_classes_finite() -> None:
    design, labels = np.column_stack([np.ones(12), np.arange(12.0)]), np.repeat([0.0, 1.0], 6)
    reference = LogisticRegression(C=2.0, tol=1e-12, max_iter=1000).fit(design[:, 1:], labels)
    found = fit_logistic(design, labels, penalty=np.array([0.0, 0.5]))[0]
    assert found == pytest.approx([*reference.intercept_, *reference.coef_[0]], abs=1e-4)


def test_a_fit_that_does_not_settle_is_not_a_number() -> None:
    design, labels = np.column_stack([np.ones(12), np.arange(12.0)]), np.repeat([0.0, 1.0], 6)
    mixed = np.stack([np.ones(12), np.ones(12)])
    mixed[1, 4:8] = [0, 1, 1, 0]
    assert np.isnan(fit_logistic(design, labels)).all()
    assert np.isnan(fit_logistic(design, labels, weights=mixed)).all()


@pytest.mark.parametrize(
    ("labels", "logits", "separated"),
    [
        ([0, 0, 1, 1], [1, 2, 3, 4], True),
        ([1, 1, 0, 0], [1, 2, 3, 4], True),
        ([0, 0, 1, 1], [1, 2, 2, 4], True),
        ([0, 1, 0, 1], [1, 2, 3, 4], False),
        ([0, 1, 0, 1], [2, 2, 2, 4], True),
        ([0, 1, 0, 1], [1, 2, 2, 2], True),
        ([1, 0, 1, 0], [2, 2, 1, 3], True),
        ([0, 1, 1, 0], [1, 1, 3, 3], False),
    ],
)
def test_separation_is_seen_with_ties_too(labels: list[int], logits: list[float], separated: bool) -> None:
    assert is_separated(np.array(labels, dtype=float), np.array(logits, dtype=float)) is separated


def test_critical_values_near_the_normal_ones_from_some_hundred_clusters_on() -> None:
    assert critical_value(5, 0.95) == pytest.approx(2.776, abs=1e-3)
    assert critical_value(10_000, 0.95) == pytest.approx(norm.ppf(0.975), abs=1e-3)


def test_what_is_no_set_of_photos_is_a_defect() -> None:
    with pytest.raises(ValueError, match=r"labels are \[0, 2\]"):
        checked_photos([0, 2], [0.0, 1.0])
    with pytest.raises(ValueError, match="not both"):
        checked_photos([0, 1], [0.0])
    with pytest.raises(ValueError, match="not all"):
        checked_photos([0, 1], [0.0, 1.0], ["a"])
    with pytest.raises(NonFiniteLogitsError, match="Training has diverged"):
        checked_photos([0, 1], [0.0, np.nan])
