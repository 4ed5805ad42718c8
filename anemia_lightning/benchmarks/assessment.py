"""How long it takes to assess predictions: every interval, every figure, on drawn predictions.

`python -m anemia_lightning.benchmarks.assessment` assesses 10,000 drawn predictions of 5,000 patients beside five
baselines and prints wall and CPU time.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit

from anemia_lightning.judging.assessing import assess_predictions
from anemia_lightning.metrics.decision import Decision, fit_decision
from anemia_lightning.plots.assessment import draw_assessment
from anemia_lightning.plots.style import to_png

BASELINES = ("age and sex", "site", "size", "colour statistics, linear", "colour statistics, forest")


def main(arguments: Sequence[str] | None = None) -> int:
    """Draws predictions, assesses them and prints how long that took."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--photos", type=int, default=10_000)
    parser.add_argument("--per-patient", type=int, default=2, help="photos of each patient")
    parser.add_argument("--resamples", type=int, default=2000)
    options = parser.parse_args(arguments)
    spent = measure(options.photos, options.per_patient, options.resamples)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    sys.stdout.write(
        f"{options.photos:,} predictions, {options.per_patient} of each patient, {len(BASELINES)} baselines, "
        f"{options.resamples:,} resamples, on {cores} cores:\n"
    )
    for name, (wall_s, cpu_s) in spent.items():
        sys.stdout.write(f"  {name:<10}{wall_s:7.1f} s wall, {cpu_s:7.1f} s CPU\n")
    return 0


def measure(photos: int, per_patient: int, resamples: int) -> dict[str, tuple[float, float]]:
    """Returns wall and CPU seconds of the assessment, of its figures, and of both."""
    predictions, facts, baselines, decision = draw_predictions(photos, per_patient)
    assessment, numbers = _timed(
        lambda: assess_predictions(predictions, decision, facts=facts, baselines=baselines, resamples=resamples)
    )
    _, figures = _timed(lambda: [to_png(each) for each in draw_assessment(assessment).values()])
    return {"numbers": numbers, "figures": figures, "both": (numbers[0] + figures[0], numbers[1] + figures[1])}


def draw_predictions(
    photos: int, per_patient: int, *, seed: int = 0
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, Decision]:
    """Returns predictions, facts and baselines of drawn photos, and the decision of as many others.

    Args:
        photos: How many.
        per_patient: Photos of each patient.
        seed: Of the draw.
    """
    rng = np.random.default_rng(seed)
    patient = np.arange(photos) // per_patient
    patients = int(patient[-1]) + 1
    labels = rng.integers(0, 2, patients)[patient]
    latent = labels + 0.5 * rng.normal(size=patients)[patient] + rng.normal(size=photos)
    names = [f"photo {place}" for place in range(photos)]
    sites = rng.choice(["Harbour", "Hillside", "Lakeview", "Riverside"], patients)[patient]
    predictions = pd.DataFrame({"photo": names, "patient": patient.astype(str), "photo_group": names, "site": sites})
    predictions = predictions.assign(label=labels, logit=latent - 0.5)
    facts = predictions[["photo", "site"]].assign(
        sex=rng.choice(["female", "male", ""], patients)[patient],
        age_months=rng.uniform(6, 900, patients)[patient],
        severity=np.where(labels == 1, rng.choice(["mild", "moderate", "severe"], patients)[patient], "none"),
        device=rng.choice(["phone A", "phone B", "camera"], photos),
        tissue_share=rng.choice([0.4, 1.0], photos),
        notes="",
        mask="",
    )
    baselines = pd.DataFrame({name: expit(0.5 * latent + rng.normal(size=photos)) for name in BASELINES})
    validation = rng.integers(0, 2, photos)
    decision = fit_decision(validation, validation - 0.5 + rng.normal(size=photos))
    return predictions, facts, baselines.assign(photo=names), decision


def _timed(work: Callable[[], Any]) -> tuple[Any, tuple[float, float]]:
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    found = work()
    return found, (time.perf_counter() - wall_s, time.process_time() - cpu_s)


if __name__ == "__main__":
    sys.exit(main())
