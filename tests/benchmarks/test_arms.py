"""What the arms are told: the same split, weights and epochs; and what a child does with its order."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from omegaconf import DictConfig, OmegaConf

from anemia_lightning.benchmarks.arms import GRID, Order, main
from anemia_lightning.benchmarks.inputs import Inputs, make_inputs
from anemia_lightning.benchmarks.orders import ARMS, LOOPS, command_settings, loop_epochs, loop_settings, worker_choices
from anemia_lightning.benchmarks.pieces import Pieces
from anemia_lightning.command_line.settings import compose, flat_settings
from anemia_lightning.errors import ArmFailedError

pytestmark = pytest.mark.usefixtures("thin_networks")

Compose = Callable[..., DictConfig]


@pytest.fixture(scope="module")
def compose_benchmark(tiny_overrides: list[str]) -> Compose:
    def compose_tiny(run_dir: Path, *overrides: str) -> DictConfig:
        return compose("benchmark", [*tiny_overrides, f"paths.root={run_dir.parent}", *overrides], run_dir=run_dir)

    return compose_tiny


def of_command(cfg: DictConfig, arm: str, folder: Path) -> dict[str, Any]:
    return command_settings(cfg, Inputs(folder), arm, run_dir=folder / "run", features=folder / "features")


def test_all_arms_get_the_same_weights_split_epochs_and_batches(compose_benchmark: Compose, tmp_path: Path) -> None:
    cfg = compose_benchmark(tmp_path / "run")
    inputs = Inputs(tmp_path)
    loops = [loop_settings(cfg, inputs, arm, num_workers=0, epochs=loop_epochs(cfg)) for arm in LOOPS]
    for loop in loops:
        assert (loop["weights"], loop["photos"]) == (str(inputs.weights), str(inputs.photos))
        assert (loop["head_epochs"], loop["layer4_epochs"]) == (2, 2)
        assert (loop["batch_size"], loop["image_size"]) == (16, 32)
    for arm in ARMS[2:]:
        settings = of_command(cfg, arm, tmp_path)
        assert settings["model"]["weights"] == str(inputs.weights)
        assert settings["trainer"]["max_epochs"] == 4
        assert settings["callbacks"]["early_stopping"] is None
        assert settings["data"]["batch_size"] == 16
        assert settings["split"]["file"] == (None if arm == "crossval" else str(inputs.splits))


def test_ours_is_the_command_with_its_defaults(
    compose_benchmark: Compose, tiny_overrides: list[str], tmp_path: Path
) -> None:
    cfg = compose_benchmark(tmp_path / "run")
    for arm, verb in {"views": "train", "crossval": "crossval"}.items():
        settings = of_command(cfg, arm, tmp_path)
        plain = compose(verb, [*tiny_overrides, f"paths.root={tmp_path}"], run_dir=tmp_path / "run")
        changed = {key for key in settings if settings[key] != plain.get(key)}
        given = {"callbacks", "model", "paths", "split", "features"}
        assert changed == given - ({"split"} if arm == "crossval" else set())
        assert set(settings) == set(plain)


def test_what_ours_does_otherwise_than_by_default_is_known() -> None:
    settings = command_settings(compose("benchmark"), Inputs(Path()), "views", run_dir=Path(), features=Path())
    ours = flat_settings(OmegaConf.create(settings))
    plain = {key: value for key, value in flat_settings(compose("train")).items() if not isinstance(value, dict)}
    changed = {key for key, value in plain.items() if key not in ours or ours[key] != value}
    stopping = {key for key in plain if key.startswith("callbacks.early_stopping.")}
    given = {"features.dir", "model.weights", "paths.cache", "paths.run_dir", "split.file"}
    assert changed - given == {"trainer.max_epochs", "evaluation.probe_photos", *stopping}


def test_the_cache_of_each_arm_is_its_own_and_fresh_views_are_asked_for(
    compose_benchmark: Compose, tmp_path: Path
) -> None:
    cfg = compose_benchmark(tmp_path / "run")
    for arm in ARMS[2:]:
        features = of_command(cfg, arm, tmp_path)["features"]
        assert features["dir"] == str(tmp_path / "features")
        assert of_command(cfg, arm, tmp_path)["paths"]["cache"] == str(tmp_path / "cache")
        assert (features["views"] == "fresh") is (arm == "fresh")


def test_only_the_tuned_loop_is_tuned(compose_benchmark: Compose, tmp_path: Path) -> None:
    cfg = compose_benchmark(tmp_path / "run", "trainer.precision=bf16-mixed")
    plain, tuned = (loop_settings(cfg, Inputs(tmp_path), arm, num_workers=2, epochs=(1, 1)) for arm in LOOPS)
    differing = {key for key in plain if plain[key] != tuned[key]}
    assert differing == {"channels_last", "bf16", "frozen_batchnorm", "fused"}
    assert not any(plain[key] for key in differing)
    assert all(tuned[key] for key in differing)


def test_the_choice_of_workers_is_as_the_fairness_rules_say() -> None:
    assert worker_choices("plain", "cpu") == (2,)
    assert worker_choices("tuned", "cpu") == (0, 2)
    assert worker_choices("plain", "cuda") == worker_choices("tuned", "cuda") == (0, 2, 4, 8)


def test_the_grid_has_twenty_different_trials_and_begins_with_the_protocol() -> None:
    assert len(set(GRID)) == len(GRID) == 20
    assert GRID[0] == (1e-4, 1.0, 1e-4)


def test_the_inputs_are_one_split_in_two_forms(compose_benchmark: Compose, tmp_path: Path) -> None:
    inputs = Inputs(tmp_path / "inputs")
    (inputs.cache / "surveys").mkdir(parents=True)
    (inputs.cache / "old").touch()
    made = make_inputs(compose_benchmark(tmp_path / "run"), inputs, anew=True)
    assert not (inputs.cache / "old").exists()
    assert any((inputs.cache / "surveys").rglob("*"))
    photos, splits = pd.read_csv(inputs.photos), pd.read_csv(inputs.splits)
    assert made["photos"] == photos["split"].value_counts().to_dict()
    assert all(Path(path).is_file() for path in photos["path"])
    assert sorted(photos["split"]) == sorted(splits["split"])
    assert made["weights"]["source"] == "random"
    assert "layer1.0.conv1.weight" in torch.load(inputs.weights, weights_only=True)


def test_a_child_trains_the_trials_of_a_sweep(compose_benchmark: Compose, tmp_path: Path) -> None:
    cfg = compose_benchmark(tmp_path / "run", "trainer.max_epochs=1", "callbacks.unfreeze.phases=[]")
    make_inputs(cfg, Inputs(tmp_path), anew=True)
    order = Order("sweep", 1, str(tmp_path / "result"), of_command(cfg, "sweep", tmp_path), trials=2)
    order.write(tmp_path / "order")
    assert main([str(tmp_path / "order")]) == 0
    result = json.loads((tmp_path / "result").read_text())
    assert [(trial["lr"], trial["layer4_factor"], trial["weight_decay"]) for trial in result["trials"]] == list(
        GRID[:2]
    )
    best = min(result["trials"], key=lambda trial: trial["objective"])
    assert result["scores"] == best["scores"]
    assert (tmp_path / "run" / "0" / "run.json").is_file()
    assert (tmp_path / "run" / "1" / "report.html").is_file()


def test_what_the_user_can_mend_is_said(
    compose_benchmark: Compose, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = of_command(compose_benchmark(tmp_path / "run"), "views", tmp_path)
    Order("train", 1, str(tmp_path / "result"), settings).write(tmp_path / "order")
    assert main([str(tmp_path / "order")]) == 2
    assert "Looked for" in capsys.readouterr().err
    assert not (tmp_path / "result").exists()


def test_an_arm_that_fails_is_named_with_its_last_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(ArmFailedError) as caught:
        Pieces(tmp_path, threads=1).loop("plain_0", {})
    assert str(caught.value) == (
        f"Looked for the end of plain_0; found exit code 1. See {tmp_path / 'pieces' / 'plain_0.log'}; "
        "what was measured before is kept."
    )
    assert caught.value.keeps_run
    assert Pieces(tmp_path, threads=1).known("plain_0") is None
