"""The seed's claims: what they imply of one another, what runs say of them, and the command that makes the runs."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from anemia_lightning.benchmarks import claims
from anemia_lightning.benchmarks.claim_report import claim_report
from anemia_lightning.benchmarks.claim_runs import ARMS, QUANTITIES, count_parameters, quantities_of
from anemia_lightning.benchmarks.claim_words import claim_markdown, weights_words
from anemia_lightning.benchmarks.seed_claims import CLAIMS, cross_checks
from anemia_lightning.benchmarks.verdicts import (
    CONFIRMED,
    NOT_TESTABLE,
    REFUTED,
    Estimate,
    difference_of,
    estimate,
    judge,
    judge_reuse,
    level_of,
    weigh_claim,
)
from anemia_lightning.files.run_folder import RunFolder

BY_NAME = {claim.name: claim for claim in CLAIMS}


def table(folds: int = 5, seeds: int = 2, **arms: dict[str, float]) -> pd.DataFrame:
    """Runs that differ by fold and a little by seed around the values of their arm; what is not named is 50."""
    rows = []
    for number, (arm, values) in enumerate(arms.items()):
        for fold in range(folds):
            for seed in range(seeds):
                rng = np.random.default_rng((number, fold, seed))
                shared = np.random.default_rng(fold).normal()
                noisy = {name: values.get(name, 50.0) + shared + 0.2 * rng.normal() for name in QUANTITIES}
                rows.append({"arm": arm, "fold": f"fold-{fold}", "seed": seed, **noisy})
    return pd.DataFrame(rows)


def test_where_the_claims_contradict_one_another_is_computed_from_them() -> None:
    checks = {(check.says, check.follows): check for check in cross_checks()}
    disagreeing = {says for (says, _), check in checks.items() if not check.agrees}
    assert disagreeing == {
        "12.3 % higher validation accuracy",
        "47 % smaller gap",
        "37 % fewer epochs",
        "3.2 times longer training than at a fixed rate, if that is what the comparison had",
    }
    values = {(check.says, round(check.value, 1)) for check in cross_checks()}
    assert {
        ("2.8 generalisation gap", 2.8),
        ("7.6 the comparison's gap", 7.6),
        ("12.3 % higher validation accuracy", 13.3),
        ("12.3 % higher validation accuracy", 16.2),
        ("47 % smaller gap", 63.2),
        ("37 % fewer epochs", 42.5),
        ("42.5 % faster convergence", 42.5),
        ("3.2 times longer training than at a fixed rate, if that is what the comparison had", 0.6),
    } == values


def test_claims_that_agree_are_not_said_to_contradict() -> None:
    mended = [
        replace(
            claim, claimed={"smaller generalisation gap": 63.157, "fewer epochs": 42.5}.get(claim.name, claim.claimed)
        )
        for claim in CLAIMS
    ]
    stated = {check.says: check.agrees for check in cross_checks(mended)}
    assert stated["63.157 % smaller gap"]
    assert stated["42.5 % fewer epochs"]


def corrected(values: "pd.Series[float]") -> tuple[float, float]:
    """The interval of Nadeau & Bengio of five folds: 1/5 + 1/4 in place of 1/5 of the variance is that of the mean."""
    middle = float(values.mean())
    reach = 1.5 * (float(stats.ttest_1samp(values, 0).confidence_interval().high) - middle)
    return middle - reach, middle + reach


def test_levels_and_differences_are_those_of_scipy_over_folds_corrected_for_what_folds_share() -> None:
    runs = table(full={"val_acc": 80.0}, head_only={"val_acc": 70.0})
    full, other = (runs[runs["arm"] == arm].pivot(index="fold", columns="seed", values="val_acc").mean(axis=1)
                   for arm in ("full", "head_only"))  # fmt: skip
    found = level_of(runs, "full", "val_acc")
    assert (found.runs, found.folds) == (10, 5)
    assert (found.low, found.high) == pytest.approx(corrected(full))
    paired = difference_of(runs, "full", "head_only", "val_acc")
    assert paired.value == pytest.approx((full - other).mean())
    assert (paired.low, paired.high) == pytest.approx(corrected(full - other))


def test_runs_without_a_partner_are_left_out_of_pairs() -> None:
    runs = table(full={"val_acc": 80.0}, head_only={"val_acc": 70.0})
    lost = runs[~((runs["arm"] == "head_only") & (runs["fold"] == "fold-0"))]
    found = difference_of(lost, "full", "head_only", "val_acc")
    assert (found.runs, found.folds) == (8, 4)
    whole = difference_of(runs[runs["fold"] != "fold-0"], "full", "head_only", "val_acc")
    assert found.value == whole.value
    assert found.low is not None
    assert whole.low is not None
    assert found.low > whole.low, (
        "of five folds each is judged by fewer photos than of four, beside those it learns from"
    )


def test_what_is_not_known_of_a_run_yet_does_not_count() -> None:
    runs = table(full={"train_acc": 90.0})
    runs.loc[runs["fold"] == "fold-0", "train_acc"] = np.nan
    assert (level_of(runs, "full", "train_acc").runs, level_of(runs, "full", "val_acc").runs) == (8, 10)


def test_a_reduction_is_one_less_the_ratio_of_means() -> None:
    claim = BY_NAME["smaller generalisation gap"]
    runs = table(full={"gap": 30.0}, head_only={"gap": 60.0})
    means = runs.groupby("arm")["gap"].mean()
    found = estimate(runs, claim)
    assert found.value == pytest.approx(100 * (1 - means["full"] / means["head_only"]))
    assert found.value is not None
    assert found.low is not None
    assert found.high is not None
    assert found.low < found.value < found.high
    assert judge(claim, found)[0] == CONFIRMED
    smaller = weigh_claim(table(full={"gap": 50.0}, head_only={"gap": 60.0}), claim, max_epochs=99)
    assert (smaller["verdict"], smaller["runs"]) == (REFUTED, 10)


def test_a_comparison_without_a_gap_makes_a_smaller_gap_untestable() -> None:
    claim = BY_NAME["smaller generalisation gap"]
    found = weigh_claim(table(full={"gap": 5.0}, head_only={"gap": -3.0}), claim, max_epochs=99)
    assert (found["verdict"], found["because"]) == (NOT_TESTABLE, "the gap of head_only is not above 0")
    vague = weigh_claim(table(full={"gap": 5.0}, head_only={"gap": 0.3}), claim, max_epochs=99)
    assert vague["verdict"] == NOT_TESTABLE
    claim = BY_NAME["faster convergence"]
    found = weigh_claim(table(full={"best_after": 5.0}, head_only={"best_after": -3.0}), claim, max_epochs=99)
    assert found["because"] == "the number of epochs to the best model of head_only is not above 0"


@pytest.mark.parametrize(
    ("name", "value", "low", "high", "verdict"),
    [
        ("validation accuracy", 95.0, 94.0, 96.0, CONFIRMED),
        ("validation accuracy", 60.0, 58.0, 62.0, REFUTED),
        ("validation accuracy", 85.0, 70.0, 100.0, NOT_TESTABLE),
        ("higher validation accuracy", 14.0, 13.0, 15.0, CONFIRMED),
        ("higher validation accuracy", 12.0, 8.0, 16.0, CONFIRMED),
        ("higher validation accuracy", 12.0, 5.0, 19.0, NOT_TESTABLE),
        ("higher validation accuracy", 2.0, 1.0, 3.0, REFUTED),
        ("higher validation accuracy", -9.0, -12.0, -6.0, REFUTED),
        ("higher validation accuracy", 6.0, -2.0, 14.0, NOT_TESTABLE),
        ("longer training than at a fixed rate", 2.0, 0.9, 3.4, NOT_TESTABLE),
        ("longer training than at a fixed rate", 2.0, 1.1, 3.4, NOT_TESTABLE),
        ("longer training than at a fixed rate", 3.0, 2.2, 3.8, CONFIRMED),
        ("longer training than at a fixed rate", 1.0, 0.8, 1.2, REFUTED),
    ],
)
def test_verdicts_follow_the_rules(name: str, value: float, low: float, high: float, verdict: str) -> None:
    assert judge(BY_NAME[name], Estimate(value, low, high, 15, 5))[0] == verdict


@pytest.mark.parametrize("name", ["epochs of the comparison", "fewer epochs", "faster convergence"])
def test_runs_that_the_limit_has_ended_tell_nothing_of_epochs(name: str) -> None:
    runs = table(full={"epochs": 20.0, "best_after": 15.0}, head_only={"epochs": 30.0, "best_after": 25.0})
    assert weigh_claim(runs, BY_NAME[name], max_epochs=40)["verdict"] != NOT_TESTABLE
    runs.loc[runs["arm"] == "head_only", "epochs"] = 40
    found = weigh_claim(runs, BY_NAME[name], max_epochs=40)
    ended = 10 if name == "epochs of the comparison" else 20
    assert found["verdict"] == NOT_TESTABLE
    assert found["because"] == f"trainer.max_epochs=40 ended 10 of these {ended} runs"
    accuracy = table(full={"val_acc": 95.4})
    assert weigh_claim(accuracy, BY_NAME["validation accuracy"], max_epochs=40)["verdict"] == CONFIRMED


def test_one_fold_tests_nothing_and_no_run_shows_nothing() -> None:
    alone = weigh_claim(table(folds=1, full={"val_acc": 95.4}), BY_NAME["validation accuracy"], max_epochs=99)
    assert alone["verdict"] == NOT_TESTABLE
    assert alone["because"] == "an interval takes finished runs in two folds; there are 2 in 1"
    report = claim_report(table(full={}), ["full", "random_weights"], wanted=15, max_epochs=40)
    assert (report["arms"]["full"]["runs"], report["arms"]["random_weights"]["runs"]) == (10, 0)
    assert report["arms"]["random_weights"]["values"]["val_acc"]["value"] is None
    assert report["arms"]["full"]["at_the_limit"] == 10
    whole = {**report, **HEAD, "reuse": judge_reuse(count_parameters("resnet50", 512))}
    text = claim_markdown(whole)
    assert "| random weights | 0 of 15 | unfinished |" in text
    assert "(n=" not in text
    assert "Ended by trainer.max_epochs=40 and by nothing else: 10 of full protocol." in text


HEAD = {
    "data": "set",
    "caution": None,
    "backbone": "resnet50",
    "image_size": 224,
    "max_epochs": 40,
    "weights": weights_words(None),
    "wanted": {"folds": 5, "seeds": 3},
}


def test_a_cell_with_fewer_runs_than_its_row_says_so() -> None:
    runs = table(full={"train_acc": 90.0})
    runs.loc[0, "train_acc"] = np.nan
    report = {**claim_report(runs, ["full"], wanted=15, max_epochs=99), **HEAD}
    text = claim_markdown({**report, "reuse": judge_reuse(count_parameters("resnet18", 8))})
    (row,) = [line for line in text.splitlines() if line.startswith("| full protocol")]
    assert row.count("(n=9)") == 1


def test_the_parameters_are_counted() -> None:
    from torchvision import models

    counted = count_parameters("resnet50", 512)
    backbone = sum(each.numel() for each in models.resnet50(weights=None).parameters()) - 2048 * 1000 - 1000
    assert counted["trunk"] + counted["layer4"] == backbone
    assert counted["head"] == 2048 * 512 + 512 + 512 * 2 + 2
    found = judge_reuse(counted)
    assert [round(share, 1) for share in found["shares"].values()] == [95.7, 34.8, 36.3]
    assert found["verdict"] == REFUTED
    assert judge_reuse({"trunk": 796, "layer4": 104, "head": 100})["verdict"] == CONFIRMED


def test_the_weights_are_named() -> None:
    record = {"name": None, "file": "mine.pth", "sha256": "ab" * 32}
    assert "mine.pth (SHA-256 abababababab…)" in weights_words({**record, "source": "file"})
    assert "random weights" in weights_words({**record, "source": "random"})
    named = weights_words({**record, "source": "torchvision", "name": "IMAGENET1K_V1"})
    assert named == "Tried with torchvision's weights IMAGENET1K_V1, which the seed names."


def test_the_quantities_of_a_run_are_read_from_its_files(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    run.run_json.write_text('{"status": "finished", "sessions": [], "best_epoch": 1}')
    run.metrics_csv.write_text("epoch,train/acc,val/acc\n0,0.5,0.6\n1,0.75,0.7\n2,0.9,0.6\n")
    rows = "photo,label,logit\na,1,0.5\nb,1,-1\nc,0,-2\nd,0,0\n"
    for split in ("val", "test"):
        run.predictions(split).write_text(rows)
    early = quantities_of(run)
    assert np.isnan(early["train_acc"])
    assert np.isnan(early["gap"])
    run.predictions("train").write_text(rows.replace("d,0,0", "d,0,-0.1"))
    found = quantities_of(run)
    # A photo of which nothing is known is called anaemic, as everywhere.
    assert (found["train_acc"], found["val_acc"], found["gap"]) == (75.0, 50.0, 25.0)
    assert (found["train_acc_running"], found["gap_running"]) == (75.0, 25.0)
    assert (found["epochs"], found["best_after"]) == (3, 2)
    assert found["test_auroc"] == 0.75


def test_the_command_refuses_what_cannot_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert claims.main(["--folder", str(tmp_path), "data.nonsense=1"]) == 2
    assert "Unknown setting data.nonsense" in capsys.readouterr().err
    assert claims.main(["--folder", str(tmp_path), "--tell"]) == 0
    assert claims.main(["--folder", str(tmp_path), "--tell", "model.hidden=9"]) == 2
    assert "found another model.hidden." in capsys.readouterr().err


@pytest.mark.slow
def test_it_trains_the_arms_and_goes_on(
    tiny_overrides: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "claims"
    command = ["--arms", "full", "head_only", "--seeds", "1", "--folds", "2", "--folder", str(folder), *tiny_overrides]
    command += ["trainer.max_epochs=3", f"paths.cache={tmp_path}/cache", f"paths.root={tmp_path}"]
    assert claims.main(command) == 0
    first = json.loads((folder / "claims.json").read_text())
    assert [arm["runs"] for arm in first["arms"].values()] == [2, 2]
    full = first["arms"]["full"]["values"]
    assert full["train_acc"]["runs"] == 2
    # The training photos are asked about as they are: most of an easy set is right, in every fold.
    answers = pd.read_csv(folder / "full-seed-0" / "folds" / "repeat-0_fold-0" / "predictions_train.csv")
    splits = pd.read_csv(folder / "full-seed-0" / "splits" / "repeat-0_fold-0.csv")
    assert set(answers["photo"]) == set(splits[splits["split"] == "train"]["photo"])
    assert (folder / "claims.png").read_bytes().startswith(b"\x89PNG")
    printed = capsys.readouterr().out
    assert "verdict" in printed
    assert "random weights" in (folder / "claims.md").read_text()
    assert claims.main(command) == 0
    assert "full protocol, seed 0" not in capsys.readouterr().out.splitlines(), "what is finished is not trained again"
    assert json.loads((folder / "claims.json").read_text()) == first


def test_every_arm_differs_from_every_other() -> None:
    from anemia_lightning.command_line.settings import compose

    common = ("callbacks.unfreeze.phases=[{epoch: 2, train_from: layer4}]", "features.views=8", "seed=1")
    settings = {name: repr(compose("crossval", [*common, *arm.overrides], run_dir="x")) for name, arm in ARMS.items()}
    assert len(set(settings.values())) == len(ARMS)


@pytest.mark.slow
def test_every_arm_is_a_setting_that_can_be(tmp_path: Path) -> None:
    from anemia_lightning.command_line.settings import compose
    from anemia_lightning.command_line.settings_check import check_settings

    for arm in ARMS.values():
        check_settings(compose("crossval", arm.overrides, run_dir=tmp_path))
