"""Numbers out of their range are refused in a sentence, before anything is loaded."""

import pytest

from anemia_lightning.command_line.settings import compose
from anemia_lightning.command_line.settings_check import check_settings
from anemia_lightning.errors import ConfigError

FEWEST = {
    "data.batch_size": 1,
    "evaluation.resamples": 100,
    "evaluation.probe_photos": 0,
    "optimizer.weight_decay": 0,
    "model.learning_rate_factors.head": 0,
    "model.learning_rate_factors.layer4": 0,
    "model.learning_rate_factors.trunk": 0,
    "callbacks.early_stopping.patience": 0,
    "callbacks.early_stopping.min_delta": 0,
    "callbacks.checkpoint.every_s": 0,
    "trainer.num_nodes": 1,
    "trainer.max_epochs": 1,
    "trainer.accumulate_grad_batches": 1,
    "trainer.overfit_batches": 0,
}


def problems(verb: str, *overrides: str) -> list[str]:
    """Returns what is said of a command line that is refused."""
    with pytest.raises(ConfigError) as caught:
        check_settings(compose(verb, overrides))
    return caught.value.problems


def test_all_numbers_below_their_least_are_told_at_once() -> None:
    told = problems("train", *(f"{key}={least - 1}" for key, least in FEWEST.items()))
    assert sorted(told) == sorted(f"{key} must be at least {least}, not {least - 1}." for key, least in FEWEST.items())


@pytest.mark.parametrize(
    ("verb", "override", "sentence"),
    [
        ("train", "optimizer.lr=0", "optimizer.lr must be above 0, not 0."),
        ("train", "optimizer.lr=nan", "optimizer.lr must be above 0, not nan."),
        ("train", "seed=-1", "seed must be from 0 to 4294967295, not -1."),
        ("train", "data.num_workers=-1", "data.num_workers must be a whole number of at least 0, or auto, not -1."),
        ("train", "data.num_workers=four", "data.num_workers must be a whole number of at least 0, or auto, not four."),
        ("train", "trainer.devices=0", "trainer.devices must be at least 1, or -1, not 0."),
        (
            "train",
            "trainer.min_epochs=x",
            "trainer.min_epochs must be a whole number of at least 0, or null, not x.",
        ),
        *(
            (
                "train",
                f"trainer.max_time={time}",
                f"trainer.max_time must be days, hours, minutes and seconds such as 00:08:00:00, or null, not {time}.",
            )
            for time in ("60", "soon", "12:00:00", "00:00:00:00")
        ),
        ("train", "trainer.gradient_clip_val=-1", "trainer.gradient_clip_val must be at least 0, or null, not -1."),
        ("train", "trainer.limit_train_batches=0", "trainer.limit_train_batches must be above 0, or null, not 0."),
        ("train", "trainer.limit_val_batches=-1", "trainer.limit_val_batches must be at least 0, or null, not -1."),
        ("crossval", "folds=1", "folds must be at least 2, not 1."),
        ("crossval", "jobs=0", "jobs must be at least 1, not 0."),
        ("audit", "repeats=0", "repeats must be at least 1, not 0."),
        ("audit", "test_share=1", "test_share must be between 0 and 1, not 1."),
        ("audit", "seed=-1", "seed must be from 0 to 4294967295, not -1."),
        ("benchmark", "threads=all", "threads must be a whole number of at least 1, or null, not all."),
    ],
)
def test_numbers_out_of_their_range_are_refused(verb: str, override: str, sentence: str) -> None:
    assert problems(verb, override) == [sentence]


def test_evaluation_on_other_data_checks_these_too() -> None:
    told = problems("evaluate", "ckpt=x", "data=synthetic", "data.batch_size=0", "evaluation.resamples=9")
    assert told == [
        "data.batch_size must be at least 1, not 0.",
        "evaluation.resamples must be at least 100, not 9.",
    ]


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["optimizer=sgd", "optimizer.momentum=high"], "optimizer.momentum must be at least 0, not high."),
        (["optimizer=sgd", "optimizer.momentum=null"], "optimizer.momentum must be at least 0, not null."),
        (["scheduler=cosine", "scheduler.epochs=0"], "scheduler.epochs must be a whole number of at least 1, not 0."),
        (
            ["scheduler=plateau_cosine", "scheduler.first_cycle=2.5"],
            "scheduler.first_cycle must be a whole number of at least 2, not 2.5.",
        ),
    ],
)
def test_what_another_choice_of_a_group_alone_has_is_checked_too(overrides: list[str], sentence: str) -> None:
    assert problems("train", *overrides) == [sentence]


def test_numbers_in_their_range_pass() -> None:
    overrides = [f"{key}={least}" for key, least in FEWEST.items()]
    overrides += ["data.num_workers=2", "seed=4294967295", "trainer.max_time=00:08:00:00"]
    overrides += ["trainer.limit_train_batches=0.5", "trainer.gradient_clip_val=1.0", "optimizer.lr=1e-9"]
    check_settings(compose("train", [*overrides, "callbacks.unfreeze.phases=[]"]))
