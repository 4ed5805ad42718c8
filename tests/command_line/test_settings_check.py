"""Settings of the wrong type, null where nothing may be missing, and phases that are none."""

import pytest
from omegaconf import OmegaConf

from anemia_lightning.command_line.settings import compose
from anemia_lightning.command_line.settings_check import check_settings
from anemia_lightning.errors import ConfigError

NULL_IS_NO = {
    "trainer.max_epochs": "a whole number",
    "evaluation.probe_photos": "a whole number",
    "data.batch_size": "a whole number",
    "seed": "a whole number",
    "optimizer.lr": "a number",
    "callbacks.early_stopping.patience": "a whole number",
    "callbacks.early_stopping.monitor": "given",
    "callbacks.unfreeze.phases": "a list",
    "features.store": "a true or false",
    "logger.photos": "a true or false",
    "model.backbone": "given",
    "labels.rule": "given",
    "data.background": "a list",
    "data.augmentation": "a group of settings",
    "split.fractions": "a group of settings",
}
NULL_SAYS_SOMETHING = [
    *(f"callbacks.{name}" for name in ("unfreeze", "early_stopping", "checkpoint", "gradient_norm", "progress")),
    *("paths.cache", "model.weights", "model.class_weights", "model.compile", "evaluation.coverage"),
    *("labels.assume.altitude_m", "labels.assume.cigarettes_per_day", "labels.assume.pregnancy", "data.start_method"),
    *("features.max_bytes", "logger.tensorboard", "split.file", "trainer.max_time", "init_from"),
]


def problems(verb: str, *overrides: str) -> list[str]:
    """Returns what is said of a command line that is refused."""
    with pytest.raises(ConfigError) as caught:
        check_settings(compose(verb, overrides))
    return caught.value.problems


def test_null_is_refused_where_something_must_be() -> None:
    told = problems("train", *(f"{key}=null" for key in NULL_IS_NO))
    assert sorted(told) == sorted(f"{key} must be {kind}, not null." for key, kind in NULL_IS_NO.items())


def test_no_group_can_be_left_out() -> None:
    assert problems("train", "~callbacks", "~logger") == [
        "callbacks must be a group of settings, not null.",
        "logger must be a group of settings, not null.",
    ]


def test_null_is_no_choice_of_a_group() -> None:
    assert problems("train", "logger=null") == [
        "logger=null chooses nothing: leave it out, or choose one of none, tensorboard."
    ]


def test_null_is_taken_where_it_says_something() -> None:
    check_settings(compose("train", [f"{key}=null" for key in NULL_SAYS_SOMETHING]))
    check_settings(compose("train", ["callbacks=none", "logger=none"]))


@pytest.mark.parametrize(
    "overrides",
    [
        ["data=table", "data.root=x", "data.table=x", "data.columns.patient=null"],
        ["data=union", "data.sources=[cp_anemic,eyes_defy]", "data.roots.synthetic=null", "data.caution=null"],
    ],
    ids=str,
)
def test_null_leaves_out_a_column_or_a_source(overrides: list[str]) -> None:
    for verb, given in (("train", []), ("evaluate", ["ckpt=x"])):
        check_settings(compose(verb, [*given, *overrides]))


@pytest.mark.parametrize(
    ("verb", "overrides", "sentence"),
    [
        ("train", ["data.background=5"], "data.background must be a list, not 5."),
        ("train", ["callbacks.unfreeze=5"], "callbacks.unfreeze must be a group of settings, not 5."),
        ("benchmark", ["arms=plain"], "arms must be a list, not 'plain'."),
        ("evaluate", ["ckpt=x", "data=synthetic", "data.batch_size=null"], "data.batch_size must be a whole number"),
        ("train", ["callbacks.checkpoint.mode=low"], "callbacks.checkpoint.mode is one of min, max, not low."),
        ("train", ["scheduler.monitor=5"], "scheduler.monitor=5 is never logged; known are train/loss, "),
        (
            "train",
            ["data.start_method=thread"],
            "data.start_method is one of null, fork, spawn, forkserver, not thread.",
        ),
        ("predict", ["ckpt=x", "source=x", "on_unreadable=ask"], "on_unreadable is one of stop, skip, not ask."),
        ("train", ["data.on_unlabelled=skip"], "data.on_unlabelled is one of stop, drop, not skip."),
    ],
)
def test_settings_of_the_wrong_kind_are_refused(verb: str, overrides: list[str], sentence: str) -> None:
    (told,) = problems(verb, *overrides)
    assert told.startswith(sentence)


@pytest.mark.parametrize(("score", "best"), [("val/loss", "min"), ("train/loss", "min"), ("val/auroc", "max")])
def test_what_is_best_follows_from_what_is_watched_and_its_opposite_is_refused(score: str, best: str) -> None:
    watching = ["scheduler", "callbacks.early_stopping", "callbacks.checkpoint"]
    watched = [f"{key}.monitor={score}" for key in watching]
    for schedule in ("plateau", "plateau_cosine"):
        cfg = compose("train", [f"scheduler={schedule}", *watched])
        check_settings(cfg)
        assert [OmegaConf.select(cfg, f"{key}.mode") for key in watching] == [best] * 3
    worst = "max" if best == "min" else "min"
    told = problems("train", *watched, *(f"{key}.mode={worst}" for key in watching))
    assert told == [f"{key}.mode={worst} would take the worst {score} for the best: leave it out." for key in watching]


@pytest.mark.parametrize("entry", ["layer4", "{epoch: 1}", "{epoch: null, train_from: layer4}"])
def test_a_phase_needs_an_epoch_and_a_stage(entry: str) -> None:
    (told,) = problems("train", f"callbacks.unfreeze.phases=[{entry}]")
    assert told.startswith("callbacks.unfreeze.phases lists entries such as {epoch: 5, train_from: layer4}, not ")
