"""Which settings and which checkpoint a continued run takes."""

import shutil
from pathlib import Path

import pytest
from omegaconf import DictConfig, OmegaConf

from anemia_lightning.command_line.resuming import (
    begin_or_continue_job,
    can_be_continued,
    check_state_kept,
    continue_overrides,
    how_to_continue,
    named_folder,
    resume_checkpoint,
)
from anemia_lightning.command_line.settings import compose, make_paths_absolute, quoted
from anemia_lightning.errors import ConfigError, RunNotFoundError, SettingsChangedError


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "logs" / "train" / "runs" / "one"
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra" / "overrides.yaml").write_text("- data=folder\n- data.root=photos\n- hydra.run.dir='x'\n")
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints" / "last.ckpt").touch()
    (tmp_path / "logs" / "train" / "latest").symlink_to("runs/one")
    return folder


def test_a_run_is_continued_with_its_own_settings_in_its_own_folder(run: Path) -> None:
    root = run.parents[3]
    kept = ["data=folder", "data.root=photos"]
    for named in ("last", str(run), str(run / "checkpoints" / "last.ckpt")):
        overrides = [f"resume={named}", f"paths.root={root}", "trainer.max_epochs=50"]
        assert continue_overrides(overrides) == [*kept, *overrides, f"hydra.run.dir='{run}'"]


def test_folders_stay_where_the_run_found_them(run: Path, tmp_path: Path) -> None:
    photos = tmp_path / "o'brien, photos"
    photos.mkdir()
    begun = compose("train", ["data=folder", "data.root=photos", "data.positive_class=a"], run_dir=run)
    begun.data.root, begun.paths.root = str(photos), str(tmp_path)
    (run / "config_resolved.yaml").write_text(OmegaConf.to_yaml(begun, resolve=True))

    def places(*overrides: str) -> tuple[str, str]:
        cfg = compose("train", continue_overrides([f"resume={run}", *overrides]))
        return cfg.data.root, cfg.paths.root

    assert places() == (str(photos), str(tmp_path))
    assert places("data.root=mine", "paths.root=here") == ("mine", "here")
    photos.rmdir()
    assert places() == ("photos", str(tmp_path)), "as in a project that has been moved"


def test_weights_are_those_that_the_run_began_with(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (there := tmp_path / "there").mkdir()
    (there / "weights.pth").touch()
    monkeypatch.chdir(there)
    begun = compose("train", ["model.weights=weights.pth", "split.file=gone.csv"], run_dir=run)
    make_paths_absolute(begun)
    assert (begun.model.weights, begun.split.file) == (str(there / "weights.pth"), "gone.csv")
    (run / "config_resolved.yaml").write_text(OmegaConf.to_yaml(begun, resolve=True))
    (run / ".hydra" / "overrides.yaml").write_text("- model.weights=weights.pth\n")
    monkeypatch.chdir(tmp_path)
    assert compose("train", continue_overrides([f"resume={run}"])).model.weights == str(there / "weights.pth")


@pytest.mark.parametrize("is_moved", [False, True], ids=["gone", "moved"])
def test_a_run_goes_on_without_the_files_that_it_began_from(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_moved: bool
) -> None:
    files = [tmp_path / name for name in ("weights.pth", "other.ckpt", "splits.csv")]
    overrides = ["model.weights=weights.pth", "init_from=other.ckpt", "split.file=splits.csv"]
    for file in files:
        file.touch()
    monkeypatch.chdir(tmp_path)
    make_paths_absolute(begun := compose("train", overrides, run_dir=run))
    (run / "config_resolved.yaml").write_text(OmegaConf.to_yaml(begun, resolve=True))
    (run / ".hydra" / "overrides.yaml").write_text("".join(f"- {override}\n" for override in overrides))
    (elsewhere := tmp_path / "elsewhere").mkdir()
    for file in files:
        file.rename(elsewhere / file.name)
        if not is_moved:
            (elsewhere / file.name).unlink()
    monkeypatch.chdir(elsewhere)
    make_paths_absolute(now := compose("train", continue_overrides([f"resume={run}"]), run_dir=run))
    check_state_kept(now, run / "checkpoints" / "last.ckpt")


def test_an_apostrophe_in_the_name_of_a_folder_is_no_obstacle(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, named := tmp_path / "o'neil" / "run")
    overrides = continue_overrides([f"resume={quoted(named)}"])
    compose("train", overrides)
    assert named_folder(overrides) == named


def test_photographs_may_be_named_from_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    cfg = compose("train", ["data=folder", "data.root='~/photos'", "data.positive_class=a"])
    make_paths_absolute(cfg)
    assert cfg.data.root == f"{tmp_path}/photos"


def test_how_to_continue_names_the_run_where_last_means_another(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(run.parents[3])
    assert how_to_continue(run, "train") == "Continue with resume=last."
    # A run of debug= lies elsewhere than train looks.
    for other in (run.with_name("two"), run.parents[2] / "debug" / "runs" / "one"):
        assert how_to_continue(other, "train") == f"Continue with resume='{other}'."
    monkeypatch.chdir(run)
    assert how_to_continue(run, "train") == f"Continue with resume='{run}'."


def test_without_resume_nothing_changes() -> None:
    for overrides in (["seed=1"], ["resume=null"]):
        assert continue_overrides(overrides) == overrides


def test_a_checkpoint_in_no_run_folder_keeps_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "some.ckpt").touch()
    overrides = [f"resume={tmp_path / 'some.ckpt'}", "seed=1"]
    assert continue_overrides(overrides) == overrides


def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(RunNotFoundError, match=r"Looked for the run last; found no .*overrides.yaml"):
        continue_overrides(["resume=last", f"paths.root={tmp_path}"])
    with pytest.raises(RunNotFoundError, match=r"found no .*nowhere.ckpt"):
        resume_checkpoint(compose("train", ["resume=nowhere.ckpt"]))


def test_one_command_line_begins_a_run_and_continues_it(run: Path, tmp_path: Path) -> None:
    begun = ["data=folder", "data.root=photos"]
    for verb in ("train", "crossval"):
        new = [*begun, f"hydra.run.dir={tmp_path / 'new'}"]
        assert continue_overrides(["resume=auto", *new], verb) == new
        overrides = [*begun, f"hydra.run.dir={run}"]
        continued = continue_overrides(["resume=auto", *overrides], verb)
        assert continued == [*begun, *overrides, f"resume='{run}'", f"hydra.run.dir='{run}'"]
        assert named_folder(continued) == run
    (run / "checkpoints" / "last.ckpt").unlink()
    assert continue_overrides(["resume=auto", *overrides]) == overrides, "it came to nothing"


def test_what_may_be_begun_or_continued_needs_a_folder() -> None:
    with pytest.raises(ConfigError, match=r"continues the run .* or begins it there: give hydra\.run\.dir=FOLDER\."):
        continue_overrides(["resume=auto", "hydra.sweep.dir=a"])
    with pytest.raises(ConfigError, match=r"continues the sweep .* begins it there: give hydra\.sweep\.dir=FOLDER\."):
        continue_overrides(["resume=auto", "hydra.run.dir=a"], multirun=True)


def test_the_jobs_of_a_sweep_go_on_each_in_its_folder(run: Path) -> None:
    line = ["resume=auto", "hydra.sweep.dir=a", "seed=0,1"]
    assert continue_overrides(line, multirun=True) == line

    def job(*overrides: str) -> DictConfig:
        cfg = compose("train", ["resume=auto", "data.root=photos", *overrides], run_dir=run)
        begin_or_continue_job(cfg)
        return cfg

    begun = compose("train", ["resume=auto", "data.root=photos", "trainer.precision=bf16-mixed"], run_dir=run)
    make_paths_absolute(begun)
    (run / "config_resolved.yaml").write_text(OmegaConf.to_yaml(begun, resolve=True))
    assert job().resume == str(run), "whatever auto came to"
    for key, other in (("seed", "1"), ("evaluation.probe_photos", "3"), ("trainer.precision", "32")):
        with pytest.raises(SettingsChangedError, match=key):
            job(f"{key}={other}")
    (run / "checkpoints" / "last.ckpt").unlink()
    assert job("seed=1").resume is None, "it came to nothing"


@pytest.mark.parametrize("verb", ["crossval", "benchmark"])
@pytest.mark.parametrize("named", ["some.ckpt", "nowhere"])
def test_only_training_goes_on_from_a_file(verb: str, named: str, tmp_path: Path) -> None:
    (tmp_path / "some.ckpt").touch()
    with pytest.raises(RunNotFoundError, match=rf"Looked for the run .*{named}; found no .*overrides.yaml"):
        continue_overrides([f"resume={tmp_path / named}"], verb=verb)


def test_each_way_to_name_a_run_finds_its_last_checkpoint(run: Path) -> None:
    root = run.parents[3]
    for named in ("last", str(run), str(run / "checkpoints" / "last.ckpt")):
        cfg = compose("train", [f"resume={named}", f"paths.root={root}"])
        assert resume_checkpoint(cfg) == run / "checkpoints" / "last.ckpt"
    assert resume_checkpoint(compose("train")) is None


@pytest.mark.parametrize(
    ("file", "can"),
    [
        ("checkpoints/last.ckpt", True),
        ("folds/repeat-0_fold-0/checkpoints/last.ckpt", True),
        ("folds/repeat-0_fold-0/report.html", True),
        ("pieces/preparation.json", True),
        ("checkpoints/best.ckpt", False),
        ("splits/repeat-0_fold-0.csv", False),
        ("folds/repeat-0_fold-0/splits.csv", False),
    ],
)
def test_a_run_can_be_continued_once_something_is_done(tmp_path: Path, file: str, *, can: bool) -> None:
    assert not can_be_continued(tmp_path)
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).touch()
    assert can_be_continued(tmp_path) == can


@pytest.mark.parametrize(
    ("overrides", "changed"),
    [
        (["optimizer.lr=0.5"], "optimizer.lr"),
        (["optimizer=sgd", "optimizer.lr=1e-4"], "optimizer._target_, optimizer.fused, optimizer.momentum"),
        (["scheduler.patience=1"], "scheduler.patience"),
        (["model.learning_rate_factors.layer4=0.5"], "model.learning_rate_factors.layer4"),
        (
            ["callbacks.checkpoint.monitor=val/auroc", "callbacks.checkpoint.mode=max"],
            "callbacks.checkpoint.monitor, callbacks.checkpoint.mode",
        ),
        (["callbacks.checkpoint=null"], "callbacks.checkpoint.monitor, callbacks.checkpoint.mode"),
        (["trainer.max_epochs=50", "callbacks.early_stopping.patience=1", "trainer.precision=32"], ""),
        (["callbacks.early_stopping.monitor=val/auroc", "callbacks.early_stopping.mode=max"], ""),
    ],
)
def test_what_the_checkpoint_itself_brings_along_may_not_be_said_anew(
    run: Path, overrides: list[str], changed: str
) -> None:
    (run / "config_resolved.yaml").write_text(OmegaConf.to_yaml(compose("train", [], run_dir=run), resolve=True))
    checkpoint = run / "checkpoints" / "last.ckpt"
    cfg = compose("train", overrides, run_dir=run)
    if not changed:
        check_state_kept(cfg, checkpoint)
        return
    with pytest.raises(SettingsChangedError) as caught:
        check_state_kept(cfg, checkpoint)
    assert str(caught.value).endswith(
        f"found another {changed}. Leave these as they were, or start a new run from its weights with "
        f"init_from={checkpoint}."
    )
    (run / "config_resolved.yaml").unlink()
    check_state_kept(cfg, checkpoint)


@pytest.mark.parametrize(
    ("overrides", "changed"),
    [
        (["split.seed=7"], "split.seed"),
        (["split.fractions.train=0.5", "split.fractions.val=0.35"], "split.fractions.train, split.fractions.val"),
        (["split.file=other.csv"], "split.file"),
        (["model.weights=null"], "model.weights"),
        (["model.init_seed=1"], "model.init_seed"),
        (["init_from=other.ckpt"], "init_from"),
    ],
)
def test_what_a_run_began_from_may_not_be_said_anew_in_its_folder(
    run: Path, overrides: list[str], changed: str, tmp_path: Path
) -> None:
    checkpoint = run / "checkpoints" / "last.ckpt"
    begun = compose("train", ["split.file=splits.csv"], run_dir=run)
    (run / "config_resolved.yaml").write_text(OmegaConf.to_yaml(begun, resolve=True))
    check_state_kept(begun, checkpoint)
    with pytest.raises(SettingsChangedError) as caught:
        check_state_kept(compose("train", ["split.file=splits.csv", *overrides], run_dir=run), checkpoint)
    assert str(caught.value) == (
        f"Looked for the settings that {run} was begun with, as its config_resolved.yaml has them; "
        f"found another {changed}. Leave these as they were, or start anew in another folder."
    )
    check_state_kept(compose("train", ["split.file=splits.csv", *overrides], run_dir=tmp_path / "new"), checkpoint)


def test_a_fold_goes_on_where_its_cross_validation_has_been_moved(tmp_path: Path) -> None:
    fold = tmp_path / "moved" / "folds" / "repeat-0_fold-0"
    (fold / "checkpoints").mkdir(parents=True)
    begun = compose("train", ["split.file=/before/splits/repeat-0_fold-0.csv"], run_dir="/before/folds/repeat-0_fold-0")
    (fold / "config_resolved.yaml").write_text(OmegaConf.to_yaml(begun, resolve=True))
    now = compose("train", [f"split.file={tmp_path}/moved/splits/repeat-0_fold-0.csv"], run_dir=fold)
    check_state_kept(now, fold / "checkpoints" / "last.ckpt")


def test_the_length_of_a_cosine_stays_what_it_was(run: Path) -> None:
    begun = compose("train", ["scheduler=cosine", "trainer.max_epochs=20"], run_dir=run)
    (run / "config_resolved.yaml").write_text(OmegaConf.to_yaml(begun, resolve=True))
    longer = ["scheduler=cosine", "trainer.max_epochs=30"]
    with pytest.raises(SettingsChangedError, match=r"found another scheduler\.epochs\."):
        check_state_kept(compose("train", longer, run_dir=run), run / "checkpoints" / "last.ckpt")
    check_state_kept(compose("train", [*longer, "scheduler.epochs=20"], run_dir=run), run / "checkpoints" / "last.ckpt")
