"""A study drawn from a known model: predictions, facts, baselines and the decision that they are judged by."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from anemia_lightning.assessment.assess import assess
from anemia_lightning.assessment.options import Options
from anemia_lightning.metrics.decision import Decision, fit_decision
from anemia_lightning.metrics.estimates import Resampling

HOW = Resampling(resamples=100)


@dataclass
class Study:
    """All that an assessment takes."""

    predictions: pd.DataFrame
    decision: Decision
    facts: pd.DataFrame | None
    baselines: pd.DataFrame | None
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def clusters(self) -> "pd.Series[int]":
        """Each patient is a cluster."""
        once = self.predictions.drop_duplicates("photo")
        return pd.Series(pd.factorize(once["patient"])[0], index=once["photo"])

    def assess(self, **options: Any) -> dict[str, Any]:
        """Assesses it, with few resamples."""
        return assess(
            self.predictions,
            self.decision,
            self.clusters,
            facts=self.facts,
            baselines=self.baselines,
            options=Options(**{"how": HOW, **self.options, **options}),
        )


def draw_study(seed: int = 0, *, photos: int = 160, per_patient: int = 1, distance: float = 1.5) -> Study:
    """Draws photos whose logits differ between the classes by `distance` standard deviations."""
    rng = np.random.default_rng(seed)
    patient = np.arange(photos) // per_patient
    labels = rng.permutation(np.arange(patient.max() + 1) % 2)[patient]
    latent = distance * labels + rng.normal(size=photos)
    names = [f"synthetic/{place:04d}.png" for place in range(photos)]
    predictions = pd.DataFrame(
        {"photo": names, "patient": [f"P{each:03d}" for each in patient], "label": labels, "logit": 2 * latent - 1}
    )
    facts = pd.DataFrame(
        {
            "photo": names[::-1],
            "site": rng.choice(["North", "South", "West", ""], photos),
            "sex": rng.choice(["female", "male"], photos),
            "severity": np.where(labels[::-1] == 1, rng.choice(["mild", "severe"], photos), "none"),
        }
    )
    baselines = pd.DataFrame(
        {
            "photo": names,
            "prevalence": 0.5,
            "age and sex": expit(rng.normal(size=photos)),
            "colour statistics, linear": expit(latent / 2 + rng.normal(size=photos)),
            "colour statistics, forest": expit(latent / 4 + rng.normal(size=photos)),
        }
    )
    validation = np.tile([0, 1], 100)
    decision = fit_decision(validation, 2 * (distance * validation + rng.normal(size=200)) - 1)
    return Study(predictions, decision, facts, baselines)


@pytest.fixture
def draw() -> Callable[..., Study]:
    """Draws a study: ``draw(seed, photos=160, per_patient=1, distance=1.5)``."""
    return draw_study
