"""Settings by which nothing can be decided are refused in a sentence, before anything is loaded."""

import pytest

from anemia_lightning.command_line.settings import compose
from anemia_lightning.command_line.settings_check import check_settings
from anemia_lightning.errors import ConfigError

KNOWN = "it must be one of youden, sensitivity:0.9, specificity:0.9, cost:5 or fixed:0.5, with numbers of your own."


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("evaluation.threshold=best", f"evaluation.threshold is 'best'; {KNOWN}"),
        ("evaluation.threshold=null", "evaluation.threshold must be a rule or a number: nothing is carried yet."),
        ("evaluation.threshold=true", f"evaluation.threshold is 'True'; {KNOWN}"),
        (
            "evaluation.threshold=90",
            "evaluation.threshold is '90'; its number must lie between 0 and 1. Did you mean 0.9?",
        ),
        ("evaluation.calibration=isotonic", "evaluation.calibration is one of temperature, platt, none, not isotonic."),
        (
            "evaluation.coverage=90",
            "evaluation.coverage is a share between 0 and 1, or null for no sets, not 90. Did you mean 0.9?",
        ),
        ("evaluation.pooling=min", "evaluation.pooling is one of mean, median, max, not min."),
        ("evaluation.pooling=null", "evaluation.pooling is one of mean, median, max, not None."),
        ("evaluation.subgroups=null", "evaluation.subgroups is a list of columns such as [sex, site], not None."),
        ("evaluation.coverage=0", "evaluation.coverage is a share between 0 and 1, or null for no sets, not 0."),
        ("evaluation.coverage=high", "evaluation.coverage must be a number, not 'high'."),
    ],
)
def test_training_needs_rules_that_can_be_followed(override: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_settings(compose("train", [override]))
    assert str(caught.value) == sentence


def test_cross_validation_needs_them_too() -> None:
    with pytest.raises(ConfigError, match=r"evaluation\.threshold is 'best'; it must be one of"):
        check_settings(compose("crossval", ["evaluation.threshold=best"]))


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        ["evaluation.threshold=0.4"],
        ["evaluation.threshold=0"],
        ["evaluation.threshold=sensitivity:0.9", "evaluation.calibration=platt"],
        ["evaluation.threshold='specificity>=0.9'", "evaluation.coverage=null"],
        ["evaluation.threshold=cost:5", "evaluation.calibration=none"],
    ],
    ids=str,
)
def test_rules_that_can_be_followed_pass(overrides: list[str]) -> None:
    check_settings(compose("train", overrides))


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (
            ["run=x", "evaluation.threshold=youden"],
            "evaluation.threshold=youden is chosen on validation photos, and here are none: give a number such as 0.4, "
            "or choose anew with run=FOLDER evaluation.refit=true.",
        ),
        (
            ["ckpt=x", "data=synthetic", "evaluation.refit=true"],
            "evaluation.refit=true chooses on the validation photos of a run: give run=FOLDER, or leave the decision "
            "to what the checkpoint carries.",
        ),
        (["run=x", "evaluation.refit=true", "evaluation.threshold=best"], f"evaluation.threshold is 'best'; {KNOWN}"),
        (["run=x", "evaluation.pooling=min"], "evaluation.pooling is one of mean, median, max, not min."),
        (
            ["run=x", "evaluation.subgroups=sex"],
            "evaluation.subgroups is a list of columns such as [sex, site], not sex.",
        ),
        (["run=x", "evaluation.refit=maybe"], "evaluation.refit must be a true or false, not 'maybe'."),
    ],
)
def test_evaluation_uses_what_is_carried_unless_a_run_has_photos_to_choose_on(
    overrides: list[str], sentence: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        check_settings(compose("evaluate", overrides))
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    "overrides",
    [
        ["run=x"],
        ["ckpt=x", "data=synthetic", "evaluation.threshold=fixed:0.4"],
        ["run=x", "evaluation.pooling=max", "evaluation.subgroups=[]"],
        ["run=x", "evaluation.refit=true"],
        ["run=x", "evaluation.refit=true", "evaluation.threshold=youden"],
    ],
    ids=str,
)
def test_evaluations_that_can_be_pass(overrides: list[str]) -> None:
    check_settings(compose("evaluate", overrides))


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        (
            "threshold=sensitivity:0.9",
            "threshold=sensitivity:0.9 is chosen on validation photos, and here are none: give a number such as 0.4.",
        ),
        ("threshold=2", "threshold is '2'; its number must lie between 0 and 1. Did you mean 0.02?"),
        ("abstain=sometimes", "abstain must be a true or false, not 'sometimes'."),
    ],
)
def test_prediction_takes_a_number_alone(override: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_settings(compose("predict", ["ckpt=x", "source=x", override]))
    assert str(caught.value) == sentence


def test_the_published_listing_decides_at_a_half_on_its_own_probabilities() -> None:
    cfg = compose("train", ["experiment=seed"])
    check_settings(cfg)
    assert cfg.evaluation.items() >= {"threshold": "fixed:0.5", "calibration": "none", "coverage": None}.items()
