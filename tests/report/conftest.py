"""A run in miniature, as plain values: what assessment.json, run.json and the settings hold."""

from collections.abc import Callable
from typing import Any

import pytest

Values = dict[str, Any]


def estimate(value: float | None, half: float = 0.05, **changes: Any) -> Values:
    low, high = (None, None) if value is None else (value - half, value + half)
    return {"value": value, "low": low, "high": high, "resamples": 0, "method": "Wilson", "note": ""} | changes


def judged(unit: str, auroc: float) -> Values:
    names = ("auroc", "sensitivity", "specificity", "lr_positive")
    scores = {name: estimate(auroc) | {"other": None} for name in names}
    scores |= {name: estimate(0.375) | {"other": None} for name in ("prevalence", "ppv", "npv")}
    scores["mcc"] = estimate(None, note=f"no {unit}s called anaemic") | {"other": None}
    return {
        "unit": unit,
        "n": 40,
        "n_positive": 15,
        "n_negative": 25,
        "clusters": 30,
        "prevalence": 0.375,
        "confusion": {"tp": 11, "fp": 7, "tn": 18, "fn": 4},
        "scores": scores,
        "curves": {},
    }


def calibrated(slope: float) -> Values:
    return {
        "intercept": estimate(0.1),
        "slope": estimate(slope),
        "observed_expected": estimate(1.1),
        "ece": {"value": 0.08, "by_chance": 0.06, "bins": []},
        "brier": {"brier": 0.2, "miscalibration": 0.02, "discrimination": 0.05, "uncertainty": 0.23},
        "undefined": "",
        "reliability": {"ici": 0.07},
        "histogram": {},
    }


def group(name: str, n: int, small: str = "") -> Values:
    scores = {"auroc": estimate(0.7), "sensitivity": estimate(0.8), "specificity": estimate(None)}
    return {
        "name": name,
        "n": n,
        "events": 5,
        "clusters": n,
        "small": small,
        **scores,
        "observed_expected": estimate(1.0),
    }


def example_assessment(**changes: Any) -> Values:
    """Returns what assessment.json holds, with whole parts changed."""
    population = {name: estimate(120.0, 30.0) for name in ("referred", "found", "missed", "needlessly_referred")}
    content = {
        "format": 1,
        "drawn": False,
        "unit": "photo",
        "settings": {"resamples": 2000, "level": 0.95, "seed": 0, "pooling": "mean"},
        "counts": {
            "photos": 40,
            "anaemic": 15,
            "not_anaemic": 25,
            "patients": 30,
            "unnamed": 0,
            "clusters": 30,
            "unlabelled": 0,
        },
        "photos": judged("photo", 0.812),
        "patients": judged("patient", 0.833),
        "patients_note": "",
        "threshold": {
            "value": 0.4123,
            "values": [0.4123],
            "varies": False,
            "rule": "youden",
            "reached": True,
            "failed": 0,
            "note": "",
            "photos": 36,
            "anaemic": 14,
        },
        "calibration": {
            "photos": 40,
            "scaling": {
                "method": "temperature",
                "slope": 0.6,
                "intercept": 0.0,
                "temperature": 1.67,
                "models": 1,
                "fitted": 1,
                "note": "",
                "varies": False,
            },
            "before": calibrated(0.5),
            "after": calibrated(0.95),
        },
        "usefulness": {
            "curve": {
                "photos": 40,
                "anaemic": 15,
                "note": "",
                "thresholds": [0.41],
                "net_benefit": {"the network": [0.2], "test all": [0.1], "test none": [0.0]},
            },
            "at_threshold": {
                "threshold": 0.41,
                "net_benefit": {"the network": 0.2, "test all": 0.1, "test none": 0.0},
                "tests_avoided": {"the network": 150.2, "test all": 0.0, "test none": -300.0},
            },
            "note": "",
        },
        "populations": {
            "people": 1000,
            "unit": "photo",
            "sensitivity": estimate(0.8),
            "specificity": estimate(0.7),
            "rows": [{"prevalence": 0.2, **population, "ppv": estimate(0.4), "npv": estimate(0.9)}],
        },
        "subgroups": {
            "threshold": 0.4123,
            "columns": [
                {
                    "name": "age_band",
                    "title": "age",
                    "note": "Of the years given.",
                    "events_only": False,
                    "groups": [
                        group("6-23 months", 30),
                        group("24-59 months", 10, "fewer than 20 independent sets of photos"),
                    ],
                }
            ],
            "absent": ["device"],
            "worst": {"auroc": {"column": "age_band", "group": "6-23 months", "estimate": estimate(0.7)}},
            "across_sites": {
                "column": "site",
                "left_out": False,
                "sites": 3,
                "estimate": estimate(0.8),
                "prediction": estimate(0.8, 0.3),
                "tau": 0.2,
                "note": "",
            },
        },
        "baselines": [
            {
                "name": "colour statistics, linear",
                "kind": "colour",
                "auroc": estimate(0.78),
                "difference": estimate(0.03),
                "p": 0.31,
                "p_holm": 0.31,
                "delong": {"p": 0.02},
                "sentence": "",
            },
            {
                "name": "prevalence",
                "kind": "chance",
                "auroc": estimate(0.5) | {"low": None, "high": None},
                "difference": estimate(0.31),
                "p": 0.0002,
                "p_holm": None,
                "delong": {"p": 0.02},
                "sentence": "",
            },
        ],
        "baselines_note": "",
        "colour": {"name": "colour statistics, linear", "beaten": False, "sentence": "It is not shown to beat colour."},
        "uncertainty": {
            "conformal": {
                "alpha": 0.1,
                "answers": 40,
                "note": "",
                "coverage": {"anaemic": estimate(0.91), "not_anaemic": estimate(0.92)},
                "sets": {"neither": 0, "not anaemic": 14, "anaemic": 12, "either": 14},
                "mean_size": 1.35,
                "abstained": estimate(0.35, 0.1),
                "answered": {
                    "n": 26,
                    "acc": estimate(0.85),
                    "sensitivity": estimate(0.8),
                    "specificity": estimate(0.9),
                },
            },
            "risk_coverage": {
                "photos": 40,
                "coverage": [0.25, 0.5, 0.75, 1.0],
                "risk": [0.0, 0.15, 0.2, 0.27],
                "aurc": 0.15,
                "best_aurc": 0.05,
            },
        },
        "sample_size": {"unit": "photo", "anaemic": 15, "not_anaemic": 25, "enough": False, "half_width": 0.14},
        "warnings": ["A small test."],
        "summary": ["On 40 photos the network's AUROC is 0.812; chance has 0.5."],
    }
    return content | changes


_LABELS = {
    "photos": 176,
    "unlabelled": {},
    "cutoffs": [],
    "assumed": {},
    "near_cutoff": None,
    "flips": {"who2024": {"flips": 3, "of": 176, "assumed": {"altitude_m": 176}}},
}


def example_facts(**changes: Any) -> Values:
    """Returns what run.json holds, with whole parts changed."""
    content = {
        "status": "finished",
        "stop_reason": "trainer.max_epochs=6 reached",
        "versions": {"anemia_lightning": "0.1.0", "torch": "2.11.0"},
        "warnings": ["These photographs come from several sources."],
        "seeds": {"seed": 0, "split": 0},
        "precision": "32",
        "data": {
            "name": "cp_anemic",
            "sha256": "d5" * 32,
            "photos": {"train": 100, "val": 36, "test": 40},
            "excluded": 2,
            "photo_groups": {"grain": "recut", "distinct": 150},
            "splits_sha256": "53" * 32,
        },
        "labels": {"rule": "own", "source": "the data set", **_LABELS},
        "weights": {"source": "torchvision", "name": "IMAGENET1K_V1", "file": None, "sha256": "ab" * 32},
        "phases": [{"epoch": 5, "train_from": "layer4"}],
        "sessions": [
            {
                "started": "2026-01-02T03:04:05+0000",
                "device": "cpu",
                "epochs": [{"epoch": 0, "train_s": 50.0, "val_s": 10.0}],
            }
        ],
        "epochs": 6,
        "best_epoch": 0,
    }
    return content | changes


def example_settings(**changes: Any) -> Values:
    """Returns the settings of a run, with whole groups changed."""
    content = {
        "seed": 0,
        "init_from": None,
        "data": {"name": "cp_anemic", "image_size": 224, "region": "full", "resize": "stretch"},
        "split": {"fractions": {"train": 0.7, "val": 0.15, "test": 0.15}, "seed": 0, "file": None},
        "model": {"backbone": "resnet50", "class_weights": "balanced"},
        "optimizer": {"_target_": "torch.optim.Adam", "lr": 1e-4},
    }
    return content | changes


@pytest.fixture
def assessment() -> Callable[..., Values]:
    return example_assessment


@pytest.fixture
def facts() -> Callable[..., Values]:
    return example_facts


@pytest.fixture
def settings() -> Callable[..., Values]:
    return example_settings
