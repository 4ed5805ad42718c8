"""The colour baseline: it learns redness, from the training photos alone."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from anemia_lightning.baselines import fit_predict_colour
from anemia_lightning.errors import OneClassError
from anemia_lightning.metrics import auroc


def _colours(seed: int, size: int, share: float = 0.5) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    labels = np.append([0, 1], (rng.random(size - 2) < share).astype(int))
    redness = rng.normal(150 - 20 * labels, 10.0)
    return np.column_stack([redness, rng.normal(0.0, 1e-3, size), rng.normal(1e4, 10.0, size)]), labels


def test_paler_photos_are_called_anaemic() -> None:
    train, labels_train = _colours(0, 200)
    photos, labels = _colours(1, 200)
    probabilities = fit_predict_colour(train, labels_train, photos)
    assert probabilities.shape == (200,)
    area = auroc(labels, probabilities)
    assert area is not None
    assert area > 0.85


def test_it_minimises_the_balanced_penalised_log_loss() -> None:
    train, labels = _colours(2, 120, share=0.2)
    z = (train - train.mean(axis=0)) / train.std(axis=0)
    weights = len(labels) / (2 * np.bincount(labels))[labels]

    def objective(parameters: NDArray[np.float64]) -> float:
        logits = z @ parameters[1:] + parameters[0]
        losses = np.logaddexp(0.0, np.where(labels == 1, -logits, logits))
        return float(weights @ losses + 0.5 * parameters[1:] @ parameters[1:])

    best = minimize(objective, np.zeros(4), method="BFGS").x
    expected = expit(z @ best[1:] + best[0])
    assert fit_predict_colour(train, labels, train) == pytest.approx(expected, abs=1e-3)


def test_the_scale_of_a_measure_changes_nothing() -> None:
    train, labels = _colours(3, 60)
    scale = np.array([1e-6, 1e6, 3.0])
    assert fit_predict_colour(train * scale, labels, train * scale) == pytest.approx(
        fit_predict_colour(train, labels, train), abs=1e-6
    )


@pytest.mark.parametrize("gap", [np.nan, np.inf, -np.inf])
def test_a_missing_measure_takes_the_training_median(gap: float) -> None:
    train, labels = _colours(4, 61)
    broken, mended = train.copy(), train.copy()
    broken[7, 0] = gap
    mended[7, 0] = np.median(np.delete(train[:, 0], 7))
    assert fit_predict_colour(broken, labels, broken) == pytest.approx(
        fit_predict_colour(mended, labels, mended), abs=1e-9
    )


def test_photos_judged_together_do_not_change_one_another() -> None:
    train, labels = _colours(5, 60)
    photos, _ = _colours(6, 20)
    photos[3] = np.nan
    together = fit_predict_colour(train, labels, photos)
    alone = [fit_predict_colour(train, labels, photos[i : i + 1])[0] for i in range(20)]
    assert together == pytest.approx(alone, abs=1e-12)


def test_a_measure_that_nobody_has_or_that_never_varies_is_no_harm() -> None:
    train, labels = _colours(7, 60)
    train[:, 1], train[:, 2] = np.nan, 5.0
    probabilities = fit_predict_colour(train, labels, train)
    assert np.isfinite(probabilities).all()
    assert probabilities == pytest.approx(fit_predict_colour(train[:, :1], labels, train[:, :1]), abs=1e-6)


def test_no_photos_to_judge_give_no_probabilities() -> None:
    train, labels = _colours(8, 20)
    assert fit_predict_colour(train, labels, np.empty((0, 3))).shape == (0,)


@pytest.mark.parametrize(("label", "name"), [(1, "anaemic"), (0, "non-anaemic")])
def test_one_class_is_refused_in_words(label: int, name: str) -> None:
    train, _ = _colours(9, 12)
    with pytest.raises(OneClassError) as caught:
        fit_predict_colour(train, np.full(12, label), train)
    assert str(caught.value) == (
        "Looked for anaemic and non-anaemic photos to fit the colour baseline to; "
        f"found 12 {name} photos and no other. Add photos of the other class, or draw another split."
    )
