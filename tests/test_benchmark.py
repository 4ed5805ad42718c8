"""The comparison as users run it: every arm measured, ratios that follow, and resumption piece by piece."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig

from anemia_lightning.benchmarks import pieces
from anemia_lightning.benchmarks.benchmarking import BenchmarkResult, compare_arms
from anemia_lightning.benchmarks.comparison import add_ratios, seconds_in_words
from anemia_lightning.benchmarks.measuring import Use
from anemia_lightning.benchmarks.rules import check_benchmark
from anemia_lightning.benchmarks.telling import findings, load_warnings, prove
from anemia_lightning.command_line.resuming import continue_overrides
from anemia_lightning.command_line.settings import compose
from anemia_lightning.command_line.settings_check import check_settings
from anemia_lightning.errors import ArmFailedError, ConditionsChangedError, ConfigError, SettingsChangedError

Compose = Callable[..., DictConfig]
QUICK = ("trainer.max_epochs=3", "callbacks.unfreeze.phases=[{epoch: 1, train_from: layer4}]", "threads=1")
USED = Use(0, 10.0, 8.0, 1 << 20, 1 << 19, 0.5, 0.02)


@pytest.fixture(scope="module")
def compose_benchmark(tiny_overrides: list[str]) -> Compose:
    def compose_tiny(run_dir: Path, *overrides: str) -> DictConfig:
        settings = [*tiny_overrides, *QUICK, f"paths.root={run_dir.parent}", *overrides]
        return compose("benchmark", settings, run_dir=run_dir)

    return compose_tiny


class Stage:
    """Stands in for child processes: answers each order at once, and remembers it."""

    def __init__(self, *, fails_at: str = "") -> None:
        self.orders: list[str] = []
        self.fails_at = fails_at

    def __call__(self, command: list[str], *, log: Path) -> Use:
        order = json.loads(Path(command[-1]).read_text())
        name = Path(command[-1]).stem
        self.orders.append(name)
        if name == self.fails_at:
            return replace(USED, exit_code=1)
        Path(order["result"]).write_text(json.dumps(self.result(order)))
        return USED

    def result(self, order: dict[str, Any]) -> dict[str, Any]:
        settings = order["settings"]
        if order["kind"] == "trunk":
            return {"share": 0.9, "pass_macs_per_s": 9e11, "matmul_macs_per_s": 1e12, "images_per_s": 275.0}
        scores = {"auroc": 0.75, "loss": 0.5}
        if order["kind"] != "loop":
            run = Path(settings["paths"]["run_dir"])
            (run / "checkpoints").mkdir(parents=True)
            (run / "checkpoints" / "best.ckpt").write_bytes(b"x" * 5000)
            Path(settings["features"]["dir"], "maps").mkdir(parents=True)
            Path(settings["features"]["dir"], "maps", "one").write_bytes(b"x" * 1000)
            epochs = [{"epoch": 0, "train_from": "head", "train_s": 4.0, "val_s": 1.0}]
            features = {"trunk_s": 2.0, "trunk_images": 40, "off_because": None}
            card = {"sessions": [{"epochs": epochs}], "data": {"photos": {"train": 32}}, "features": features}
            (run / "run.json").write_text(json.dumps(card))
            return {"scores": scores, **({"after_imports_s": 7.5} if order["kind"] == "train" else {})}
        # The fewer workers the quicker; an epoch of layer4 takes twice as long.
        speed = 1.0 + settings["num_workers"]
        laps: list[dict[str, Any]] = [{"name": "start", "wall_s": 1.0, "cpu_s": 1.0}]
        for stage, seconds in (("head", 1.0), ("layer4", 2.0)):
            clocks = {"wall_s": seconds * speed / 4, "cpu_s": seconds / 4}
            parts = ("train", "val") * settings[f"{stage}_epochs"]
            laps += [{"name": f"{stage} {part}", **clocks} for part in parts]
        return {"laps": laps, "scores": scores}


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    stage = Stage()
    monkeypatch.setattr(pieces, "run_child", stage)
    return stage


@pytest.fixture
def staged(stage: Stage, compose_benchmark: Compose, tmp_path: Path) -> BenchmarkResult:
    return compare_arms(
        compose_benchmark(tmp_path / "run", "repeats=2", "whole_runs=2", "prove=true", "folds=5", "trials=4")
    )


@pytest.mark.slow
def test_two_real_arms_and_the_trunk_are_measured(compose_benchmark: Compose, tmp_path: Path) -> None:
    once = ["repeats=1", "whole_runs=1"]
    report = compare_arms(compose_benchmark(tmp_path / "run", "arms=[plain,views]", *once)).report
    plain, views = report["arms"]
    assert views["ratios"]["plain"]["cpu_s"] == pytest.approx(plain["cpu_s"] / views["cpu_s"])
    assert 0 <= views["scores"]["auroc"] <= 1
    assert views["cache_bytes"] > 0
    assert sum(views["stage_shares"].values()) == pytest.approx(1)
    assert sum(plain["stage_shares"].values()) == pytest.approx(1)
    assert report["trunk_pass"]["share"] > 0
    assert (tmp_path / "run" / "benchmark.png").read_bytes().startswith(b"\x89PNG")


def test_arms_take_turns_as_often_as_one_another_and_ours_is_run_whole(staged: BenchmarkResult, stage: Stage) -> None:
    assert stage.orders == [
        *("tuned_workers_0", "tuned_workers_2"),
        *("plain_0", "tuned_0", "fresh_0", "views_0"),
        *("plain_whole", "tuned_whole"),
        *("plain_1", "tuned_1", "fresh_1", "views_1"),
        *("crossval_0", "sweep_0", "trunk_pass"),
    ]
    hollow = {row["arm"]: row["is_multiplied_out"] for row in staged.report["arms"]}
    assert hollow == dict.fromkeys(("plain", "tuned"), True) | dict.fromkeys(
        ("fresh", "views", "crossval", "sweep"), False
    )
    assert staged.report["workers"] == {"plain": 2, "tuned": 0}


def test_ratios_are_those_of_as_many_runs(staged: BenchmarkResult) -> None:
    rows = {row["arm"]: row for row in staged.report["arms"]}
    # One epoch of the head and two of layer4 are the whole run here: what was measured is what is multiplied out.
    assert rows["plain"]["wall_s"] == pytest.approx(10)
    assert rows["views"]["ratios"]["plain"] == {"wall_s": pytest.approx(1), "cpu_s": pytest.approx(1)}
    assert rows["crossval"]["ratios"]["plain"]["wall_s"] == pytest.approx(5)
    assert rows["sweep"]["ratios"]["tuned"]["wall_s"] == pytest.approx(4)
    proofs = staged.report["proofs"]
    assert proofs["plain"]["wall_s"] == {"predicted_s": pytest.approx(10), "measured_s": 10.0}
    assert proofs["tuned"]["wall_s"]["predicted_s"] == pytest.approx(rows["tuned"]["wall_s"])
    assert rows["plain"]["scores"] == rows["tuned"]["scores"] == {"auroc": 0.75, "loss": 0.5}


def test_loops_that_were_not_run_whole_have_no_scores(stage: Stage, compose_benchmark: Compose, tmp_path: Path) -> None:
    done = compare_arms(compose_benchmark(tmp_path / "run", "arms=[plain,views]", "repeats=1", "whole_runs=1"))
    plain, views = done.report["arms"]
    assert (plain["scores"], done.report["proofs"]) == (None, {})
    assert views["scores"]
    assert "No whole run of a loop proves the multiplication: prove=true makes one" in done.report["findings"][-1]


def test_what_was_measured_stays_and_models_and_caches_go(staged: BenchmarkResult) -> None:
    views = next(row for row in staged.report["arms"] if row["arm"] == "views")
    assert views["cache_bytes"] == 1000
    assert views["run_bytes"] == 5000 + (staged.folder / "commands" / "views_0" / "run.json").stat().st_size
    assert views["trunk_share"] == pytest.approx(0.2)
    assert not list((staged.folder / "features").rglob("*"))
    assert not list((staged.folder / "commands").rglob("checkpoints"))
    assert json.loads((staged.folder / "benchmark.json").read_text()) == json.loads(json.dumps(staged.report))
    text = (staged.folder / "benchmark.md").read_text()
    assert "| plain loop (a) | 1 | 10.0 s * |" in text
    assert "One whole plain loop (a) took 10.0 s (multiplied out 10.0 s, +0.0%)" in text
    assert "One whole tuned loop (b) took 10.0 s" in text
    assert "multiplied out: start and end + 1 head epochs + 2 layer4 epochs" in text
    assert "reaches 90% of the machine's own rate of matrix products" in text
    assert "ours, default views: of its 10.0 s, 7.5 s follow the loading of libraries." in text
    assert "By it, times as fast: fresh 1.0, views 1.0, crossval 5.0, sweep 4.0." in text
    assert "go through 4 views of each photo in turn, which is less work" in text
    assert "without the closer look at photos" in text
    assert "random weights" in text


def test_a_second_start_measures_nothing_again(
    staged: BenchmarkResult, stage: Stage, compose_benchmark: Compose
) -> None:
    done = len(stage.orders)
    more = ["repeats=3", "whole_runs=2", "prove=true", "folds=5", "trials=4"]
    again = compare_arms(compose_benchmark(staged.folder, *more))
    assert stage.orders[done:] == ["plain_2", "tuned_2"]
    assert again.report["begun"] == staged.report["begun"]


def test_a_comparison_that_was_stopped_goes_on(
    compose_benchmark: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cfg = compose_benchmark(tmp_path / "run", "arms=[plain,views]", "repeats=1", "whole_runs=1")
    stopped, other = Stage(fails_at="views_0"), Stage()
    monkeypatch.setattr(pieces, "run_child", stopped)
    with pytest.raises(ArmFailedError):
        compare_arms(cfg)
    assert stopped.orders == ["plain_0", "views_0"]
    monkeypatch.setattr(pieces, "run_child", other)
    compare_arms(compose_benchmark(tmp_path / "run", "arms=[plain,views]", "repeats=1", "whole_runs=1"))
    assert other.orders == ["views_0", "trunk_pass"]


def test_other_settings_are_another_comparison(staged: BenchmarkResult, compose_benchmark: Compose) -> None:
    with pytest.raises(SettingsChangedError) as caught:
        compare_arms(compose_benchmark(staged.folder, "folds=5", "trials=4", "data.batch_size=8"))
    assert str(caught.value) == (
        f"Looked for the settings that {staged.folder} was begun with, as its config_resolved.yaml has them; "
        "found another data.batch_size. Leave these as they were, or start anew in another folder."
    )


def test_another_machine_or_other_photographs_are_another_comparison(
    staged: BenchmarkResult, compose_benchmark: Compose, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("anemia_lightning.benchmarks.benchmarking.machine", lambda: {"name": "elsewhere", "gpu": None})
    file = staged.folder / "pieces" / "preparation.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "photos_sha256": "0"}))
    with pytest.raises(ConditionsChangedError) as caught:
        compare_arms(compose_benchmark(staged.folder, "folds=5", "trials=4"))
    assert str(caught.value) == (
        f"Looked for the machine, the libraries and the photographs that {staged.folder} was begun with; found another "
        "machine, data set or split. Times under both cannot be compared: go on under those of "
        "the start, or start anew in another folder."
    )


def test_resume_takes_up_the_command_line_of_the_comparison(tmp_path: Path) -> None:
    folder = tmp_path / "logs" / "benchmark" / "runs" / "one"
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra" / "overrides.yaml").write_text("- trials=3\n")
    overrides = continue_overrides([f"resume={folder}"], verb="benchmark")
    assert overrides[0] == "trials=3"
    assert overrides[-1] == f"hydra.run.dir='{folder}'"


def test_the_defaults_are_the_protocol_for_as_long_as_it_says() -> None:
    cfg = compose("benchmark")
    check_settings(cfg)
    check_benchmark(cfg)
    assert (cfg.trainer.max_epochs, cfg.callbacks.early_stopping) == (23, None)
    assert cfg.repeats == cfg.whole_runs == 3
    assert (cfg.folds, cfg.trials, cfg.prove) == (5, 20, False)


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("arms=[plain,quick]", "arms may hold plain, tuned, fresh, views, crossval, sweep, not quick."),
        ("arms=[]", "arms must name at least one."),
        ("repeats=0", "repeats must be between 1 and 99, not 0."),
        ("trials=21", "trials must be between 1 and 20, not 21."),
        ("folds=1", "folds must be between 2 and 99, not 1."),
        ("threads=0", "threads must be at least 1, not 0."),
        ("trainer.devices=2", "Every arm runs on one device: leave trainer.devices=1."),
        ("[arms=[views],prove=true]", "prove=true runs loops whole: put plain or tuned among the arms."),
        (
            "callbacks.unfreeze.phases=[{epoch: 2, train_from: layer3}]",
            "The plain loop knows one release, that of layer4: leave callbacks.unfreeze.phases so.",
        ),
    ],
)
def test_settings_that_cannot_be_are_refused(override: str, sentence: str) -> None:
    overrides = ["arms=[views]", "prove=true"] if override.startswith("[") else [override]
    with pytest.raises(ConfigError) as caught:
        check_benchmark(compose("benchmark", overrides))
    assert sentence in caught.value.problems


def test_a_busy_machine_is_warned_of() -> None:
    assert load_warnings(1.9, 2) == []
    assert load_warnings(5.68, 2) == [
        "WARNING: the machine was busy before the start (load 5.7, threads=2): trust the CPU times rather than the "
        "wall times"
    ]


def test_without_a_plain_loop_there_are_no_ratios() -> None:
    rows: list[dict[str, Any]] = [{"arm": "views", "runs": 1, "wall_s": 3.0, "cpu_s": 2.0}]
    add_ratios(rows)
    assert rows[0]["ratios"] == {}


def test_a_prediction_that_is_off_says_by_how_much() -> None:
    loop = {"words": "tuned loop (b)", "wall_s": 90.0, "cpu_s": 110.0}
    ours = {"arm": "sweep", "runs": 20, "wall_s": 400.0, "cpu_s": 500.0}
    found = prove(loop, {"wall_s": 100.0, "cpu_s": 100.0}, [{"arm": "tuned"}, ours])
    assert found["words"] == (
        "One whole tuned loop (b) took 100.0 s (multiplied out 90.0 s, -10.0%), and 100.0 s (multiplied out 110.0 s, "
        "+10.0%) of CPU time. By it, times as fast: sweep 5.0."
    )
    assert found["ratios"] == {"sweep": {"wall_s": 5.0, "cpu_s": 4.0}}


def test_what_others_took_is_warned_of_and_preparing_the_photos_is_counted_in() -> None:
    quick: dict[str, Any] = {"is_multiplied_out": False, "wall_range_s": (9.0, 9.0), "train_photos": 32}
    rows = [
        {
            **quick,
            "arm": "views",
            "words": "ours",
            "wall_s": 9.0,
            "others_share": 0.051,
            "ratios": {"plain": {"wall_s": 8.0}},
        },
        {**quick, "arm": "sweep", "words": "sweep", "wall_s": 9.0, "others_share": 0.05, "ratios": {}},
    ]
    trunk = {"share": 0.9, "pass_macs_per_s": 9e11, "matmul_macs_per_s": 1e12, "images_per_s": 275.0}
    told = findings(rows, trunk, epochs=(1, 2), repeats=1, preparation_s=3.0)
    assert told[:2] == [
        "ours, with preparing the photos in its clock: 6.0 times as fast as (a).",
        "WARNING: ours: others took up to 5% of the processors' time meanwhile: trust its CPU time rather than its "
        "wall time.",
    ]
    assert len(told) == 3


def test_spans_are_said_as_people_say_them() -> None:
    assert [seconds_in_words(each) for each in (0.04, 119, 600, 9000)] == ["0.0 s", "119.0 s", "10.0 min", "2.50 h"]
