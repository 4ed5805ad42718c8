"""What a command line answers to mistakes, interruptions and defects."""

import importlib
import io
import logging
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from omegaconf import DictConfig, OmegaConf
from PIL import Image

from anemia_lightning.command_line import cli
from anemia_lightning.command_line.settings import make_paths_absolute
from anemia_lightning.data.preparation import Prepared
from anemia_lightning.errors import DiskFullError, MemoryExhaustedError
from anemia_lightning.files.run_folder import RunFolder, write_table, write_text
from anemia_lightning.wiring import build_datamodule

pytestmark = pytest.mark.usefixtures("thin_networks")

QUICK = ("experiment=quick", "data.patients=24", "data.photos=48", "data.image_size=32", "trainer.accelerator=cpu")
# Where nobody asks for cut-outs of one photograph.
FEW = ("data.patients=24", "data.photos=48", "data.photo_groups=bytes")


@pytest.fixture(scope="session")
def drawn(drawn_photos: Path) -> tuple[str, ...]:
    """Settings of a few photographs that need not be drawn anew."""
    return (*FEW, f"data.root={drawn_photos}")


@dataclass(frozen=True)
class Answer:
    """What a command line came to."""

    returncode: int
    stdout: str
    stderr: str


def run(folder: Path, *arguments: str, verb: str = "train") -> Answer:
    """Runs a command line as `python -m` does, but in this process, which has paid for the imports already."""
    main = importlib.import_module(f"anemia_lightning.{verb}").main
    out, err = io.StringIO(), io.StringIO()
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setattr(sys, "argv", [f"anemia-{verb}", *arguments])
        stack.enter_context(chdir(folder))
        stack.enter_context(redirect_stdout(out))
        stack.enter_context(redirect_stderr(err))
        for signum in (signal.SIGTERM, signal.SIGUSR1):
            stack.callback(signal.signal, signum, signal.getsignal(signum))
        close_logs = partial(_close_all_but, list(logging.getLogger().handlers))
        stack.callback(close_logs)
        # A process ends with its logs; here those of other tests go on, and absl's would close what pytest writes to.
        patch.setattr(logging, "shutdown", lambda *_: close_logs())
        try:
            main()
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
    return Answer(code, out.getvalue(), err.getvalue())


def _close_all_but(kept: list[logging.Handler]) -> None:
    """Takes from the root logger what Hydra has added."""
    root = logging.getLogger()
    for handler in set(root.handlers) - set(kept):
        root.removeHandler(handler)
        handler.close()


def in_a_process(folder: Path, *arguments: str) -> Answer:
    command = [sys.executable, "-m", "anemia_lightning.train", *arguments]
    done = subprocess.run(
        command, cwd=folder, env=environment(), capture_output=True, text=True, timeout=300, check=False
    )
    return Answer(done.returncode, done.stdout, done.stderr)


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}


def draw_folder(root: Path, **photos: int) -> None:
    for position, (name, count) in enumerate(photos.items()):
        (root / name).mkdir(parents=True)
        for number in range(count):
            pixels = np.random.default_rng((position, number)).integers(0, 200 - 60 * position, (30, 40, 3))
            Image.fromarray(pixels.astype(np.uint8)).save(root / name / f"{number}.png")


def refused(folder: Path, *arguments: str, verb: str = "train") -> str:
    """Returns the message of a refused command line, after checks that it is one line and left nothing behind."""
    before = sorted(path for path in folder.rglob("*") if "logs" in path.parts)
    answer = run(folder, *arguments, verb=verb)
    assert answer.returncode == 2, answer.stderr
    assert "Traceback" not in answer.stderr
    left = [path for path in folder.rglob("*") if path.is_file() and "logs" in path.relative_to(folder).parts]
    assert [path for path in left if path not in before] == []
    latest = folder / "logs" / verb / "latest"
    # A link that leads nowhere does not exist, says the first.
    assert not latest.exists()
    assert not latest.is_symlink()
    return answer.stderr.strip()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("trainer.max_epoch=3",), "Unknown setting trainer.max_epoch. The nearest known one is trainer.max_epochs."),
        (("data=cpanemic",), "Could not find 'data/cpanemic'"),
        (("trainer.max_epochs=many",), "trainer.max_epochs must be a whole number, not 'many'."),
        (("trainer.max_epochs=null",), "trainer.max_epochs must be a whole number, not null."),
        (("trainer.devices=auto",), "trainer.devices must be a whole number, not 'auto'."),
        (
            ("-m", "seed=0,1", "evaluation.probe_photos=null"),
            "evaluation.probe_photos must be a whole number, not null.",
        ),
        (("optimizer.lr=1e-4,", "3e-4"), "mismatched input '<EOF>'"),
        (("-m", "optimizer.lr=1e-4,", "3e-4"), "mismatched input '<EOF>'"),
        (("-m", "optimizer.lr=interval(1e-5,1e-3)"), "Can only enumerate CHOICE and RANGE sweeps"),
        (("optimizer.lr=-1",), "optimizer.lr must be above 0, not -1."),
        (("callbacks.early_stopping.monitor=val/f1",), "callbacks.early_stopping.monitor=val/f1 is never logged"),
        (("trainer.max_epochs=3",), "releases layer4 at epoch 5, but trainer.max_epochs=3 ends before it."),
        (("trainer.limit_val_batches=0",), "needs validation, but trainer.limit_val_batches=0 switches it off."),
        (("split.fractions.val=0.5",), "split.fractions must be positive and add up to 1"),
        (("data=folder",), "data.positive_class must be given"),
        (("trainer.accumulate_grad_batches=64",), "data.batch_size=32 photos per step cannot be dealt to 64 parts"),
        (("resume=last",), "Looked for the run last; found no "),
        (("model.weights=nowhere.pth", *FEW), "nowhere.pth"),
    ],
)
def test_settings_that_cannot_be_are_refused_in_one_line(
    tmp_path: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    message = refused(tmp_path, *arguments)
    assert sentence in message
    assert "\n" not in message


def test_a_cross_validation_that_is_refused_leaves_the_latest_one_alone(tmp_path: Path, drawn: tuple[str, ...]) -> None:
    arguments = (*QUICK, *drawn, "model.weights=nowhere.pth")
    assert "nowhere.pth" in refused(tmp_path, *arguments, verb="crossval")
    (tmp_path / "logs" / "crossval" / "runs" / "earlier").mkdir(parents=True)
    (tmp_path / "logs" / "crossval" / "latest").symlink_to("runs/earlier")
    assert run(tmp_path, *arguments, verb="crossval").returncode == 2
    assert (tmp_path / "logs" / "crossval" / "latest").readlink() == Path("runs/earlier")


def test_a_missing_root_is_told_where_the_set_is_published(tmp_path: Path) -> None:
    for root in ("", "data.root=nowhere"):
        message = refused(tmp_path, "data=cp_anemic", *filter(None, [root]))
        assert "10.17632/m53vz6b7fx" in message
        assert "Anemia_Data_Collection_Sheet" in message


@pytest.mark.parametrize(
    ("photos", "sentence"),
    [
        ({"Anemic": 12, "Healthy": 0}, "Healthy"),
        ({"Anemic": 12}, "Add the folder of those who are not anaemic."),
        ({"Anemic": 2, "Healthy": 12}, "both classes in each of train, val and test"),
    ],
)
def test_data_that_cannot_be_split_are_refused(tmp_path: Path, photos: dict[str, int], sentence: str) -> None:
    draw_folder(tmp_path / "photos", **photos)
    message = refused(tmp_path, *QUICK[:1], "data=folder", "data.root=photos", "data.positive_class=Anemic")
    assert sentence in message


def test_all_unreadable_photos_are_listed_or_left_out(tmp_path: Path) -> None:
    draw_folder(tmp_path / "photos", Anemic=12, Healthy=12)
    (tmp_path / "photos" / "Anemic" / "0.png").write_bytes(b"")
    (tmp_path / "photos" / "Healthy" / "1.png").write_bytes(b"not a picture")
    settings = [*QUICK[:1], "data=folder", "data.root=photos", "data.positive_class=Anemic", "data.image_size=32"]
    settings += ["data.photo_groups=bytes", "evaluation.resamples=200", "evaluation.probe_photos=0"]
    message = refused(tmp_path, *settings)
    assert "Anemic/0.png" in message
    assert "Healthy/1.png" in message
    brief = ("trainer.max_epochs=1", "callbacks.unfreeze.phases=[]")
    answer = run(tmp_path, *settings, "data.on_unreadable=skip", *brief)
    assert answer.returncode == 0, answer.stderr
    splits = (tmp_path / "logs" / "train" / "latest" / "splits.csv").read_text().splitlines()
    assert [line for line in splits if ",excluded," in line and "Anemic/0.png" in line]
    assert "Left out: 1 IMG_EMPTY, 1 IMG_FORMAT; splits.csv says which." in answer.stdout


def test_a_cross_validation_says_where_photos_that_are_left_out_are_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw_folder(tmp_path / "photos", Anemic=12, Healthy=12)
    (tmp_path / "photos" / "Anemic" / "0.png").write_bytes(b"")

    def list_and_stop(cfg: DictConfig, prepared: Prepared) -> None:
        datamodule = build_datamodule(cfg, prepared)
        datamodule.setup()
        write_table(RunFolder(cfg.paths.run_dir).splits, datamodule.split_table())
        raise KeyboardInterrupt

    monkeypatch.setattr("anemia_lightning.crossvalidating.fold_runs._train", list_and_stop)
    settings = ["data=folder", "data.root=photos", "data.positive_class=Anemic", "data.photo_groups=bytes", "folds=3"]
    answer = run(tmp_path, *QUICK[:1], *settings, "data.on_unreadable=skip", verb="crossval")
    assert answer.returncode == 130, answer.stderr
    assert "Left out: 1 IMG_EMPTY; the splits.csv of each fold says which." in answer.stdout
    (splits,) = tmp_path.glob("logs/crossval/runs/*/folds/*/splits.csv")
    assert re.search(r'Anemic/0\.png,.*,excluded,"?IMG_EMPTY', splits.read_text())


def test_an_audit_that_finds_no_sound_split_ends_with_3_and_keeps_its_files(tmp_path: Path) -> None:
    draw_folder(tmp_path / "photos", Anemic=2, Healthy=12)
    settings = ("data=folder", "data.root=photos", "data.positive_class=Anemic", "paths.cache=null", "probes=false")
    answer = run(tmp_path, *settings, verb="audit")
    assert answer.returncode == 3, answer.stderr
    assert "Looked for a sound split of folder; found none" in answer.stderr
    assert "Traceback" not in answer.stderr
    latest = tmp_path / "logs" / "audit" / "latest"
    assert {"audit.json", "audit.md", "audit.html", "copies.csv"} <= {path.name for path in latest.iterdir()}
    assert "STOP" in answer.stdout


def test_an_audit_of_nothing_ends_with_2_and_leaves_nothing_behind(tmp_path: Path) -> None:
    assert "nowhere" in refused(tmp_path, "data=folder", "data.root=nowhere", "data.positive_class=x", verb="audit")


def test_labels_outside_the_set_are_refused(tmp_path: Path) -> None:
    draw_folder(tmp_path / "photos", all=4)
    (tmp_path / "photos" / "table.csv").write_text("photo,label\nall/0.png,1\nall/1.png,maybe\n")
    message = refused(tmp_path, "data=table", "data.root=photos", "data.table=table.csv")
    assert "maybe" in message


@pytest.mark.parametrize("where", ["paths.root=file", "hydra.run.dir=file/run"])
def test_an_output_folder_that_cannot_be_made_is_refused(where: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    message = refused(tmp_path, where)
    assert "with paths.root=FOLDER, or for one run with hydra.run.dir=FOLDER." in message


@pytest.mark.parametrize(
    ("output", "found"),
    [
        ("photos", "a folder of that name"),
        ("file/new/predictions.csv", "that {folder}/file cannot be written to (Not a directory)"),
        pytest.param(
            "/proc/predictions.csv",
            "that /proc cannot be written to",
            marks=pytest.mark.skipif(not Path("/proc").is_dir(), reason="a folder that nobody can write to is Linux's"),
        ),
    ],
)
def test_predictions_that_could_not_be_written_are_not_begun(
    output: str, found: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw_folder(tmp_path / "photos", all=1)
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setattr("anemia_lightning.evaluating.prediction.open_model", pytest.fail)
    message = refused(tmp_path, "ckpt=a.ckpt", "source=photos", f"output={output}", verb="predict")
    assert message.startswith(f"Looked for a place for predictions at {output}; found {found.format(folder=tmp_path)}")
    assert message.endswith(". output= is a CSV file: name one in a folder that you can write to.")
    assert "\n" not in message


def test_predictions_may_replace_earlier_ones_or_lie_in_a_new_folder(tmp_path: Path) -> None:
    (tmp_path / "old.csv").write_text("photo\n")
    for output in ("old.csv", "new/deep/predictions.csv"):
        message = refused(tmp_path, "ckpt=nowhere.ckpt", "source=photos", f"output={output}", verb="predict")
        assert message.startswith("Looked for a checkpoint at nowhere.ckpt; found no file there.")
    assert [path.name for path in tmp_path.iterdir() if path.name != "logs"] == ["old.csv"]


def test_weights_of_another_architecture_are_refused(tmp_path: Path, drawn: tuple[str, ...]) -> None:
    import torch
    from torchvision import models

    torch.save(models.resnet18().state_dict(), tmp_path / "small.pth")
    message = refused(tmp_path, "model.weights=small.pth", *drawn)
    assert "small.pth" in message
    assert "resnet50" in message


@pytest.mark.usefixtures("real_networks")
def test_a_checkpoint_of_another_architecture_is_refused(tmp_path: Path, drawn: tuple[str, ...]) -> None:
    import torch

    from anemia_lightning.model.backbone import AnemiaNetwork

    network = AnemiaNetwork(backbone="resnet18", hidden=8)
    weights = {f"network.{key}": value for key, value in network.state_dict().items()}
    torch.save({"state_dict": weights}, tmp_path / "small.ckpt")
    small = (*drawn, "model.weights=null")
    message = refused(tmp_path, "init_from=small.ckpt", *small)
    assert "small.ckpt; found those of another architecture: " in message
    assert "model.backbone" in message
    message = refused(tmp_path, "init_from=small.ckpt", *small, "model.backbone=resnet18")
    assert "head.hidden.weight is (8, 512), not (512, 512)" in message
    assert "model.hidden" in message


def test_a_sweep_records_a_failure_goes_on_and_says_so_at_its_end(tmp_path: Path, drawn: tuple[str, ...]) -> None:
    brief = ("trainer.max_epochs=1", "callbacks.unfreeze.phases=[]", "evaluation.resamples=200")
    settings = ("experiment=quick", "data.image_size=32", "trainer.accelerator=cpu", *drawn, *brief)
    answer = run(tmp_path, "-m", *settings, "evaluation.probe_photos=0", "model.weights=null,nowhere.pth")
    assert answer.returncode == 2
    assert answer.stderr.endswith(
        "\n1 run of the sweep failed, and the others went on; FAILED.txt in its folder says why.\n"
    )
    (sweep,) = (tmp_path / "logs" / "train" / "multiruns").iterdir()
    assert (sweep / "0" / "metrics.json").is_file()
    assert (sweep / "0").stat().st_mode & 0o777 == 0o700
    assert "nowhere.pth" in (sweep / "1" / "FAILED.txt").read_text()


def test_a_sweep_knows_of_failures_in_processes_that_a_launcher_has_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def elsewhere(*_: object) -> Callable[[DictConfig], None]:
        def job(cfg: DictConfig) -> None:
            if cfg.seed:
                (Path(cfg.paths.run_dir) / "FAILED.txt").write_text("no room")

        return job

    monkeypatch.setattr(cli, "_sweep_job", elsewhere)
    assert run(tmp_path, "-m", "seed=0").returncode == 0
    answer = run(tmp_path, "-m", "seed=0,1,2", "hydra.sweep.dir=mine")
    assert answer.returncode == 2
    assert answer.stderr == "2 runs of the sweep failed, and the others went on; FAILED.txt in its folder says why.\n"
    assert sorted(path.parent.name for path in tmp_path.glob("mine/*/.hydra")) == ["0", "1", "2"]


def test_a_job_that_failed_and_then_came_to_its_end_has_not_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fails = work_that_ends(MemoryExhaustedError(32, 1), "checkpoints/last.ckpt")
    monkeypatch.setattr("anemia_lightning.fitting.training.train_run", fails)
    assert run(tmp_path, "-m", "seed=0").returncode == 2
    (job,) = (tmp_path / "logs" / "train" / "multiruns").glob("*/0")
    assert (job / "FAILED.txt").is_file()
    assert run(tmp_path, f"resume='{job}'").returncode == 2
    assert (job / "FAILED.txt").is_file()
    monkeypatch.setattr("anemia_lightning.fitting.training.train_run", lambda cfg: None)
    assert run(tmp_path, f"resume='{job}'").returncode == 0
    assert not (job / "FAILED.txt").exists()


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        (KeyboardInterrupt(), 130, "Interrupted. Continue with resume='{job}'."),
        (
            ValueError("no such thing"),
            1,
            "A defect of ours: ValueError: no such thing\nThe traceback is in {job}/train.log.",
        ),
    ],
)
def test_a_sweep_ends_in_plain_words_too(
    error: BaseException, code: int, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("anemia_lightning.fitting.training.train_run", work_that_ends(error, "checkpoints/last.ckpt"))
    answer = run(tmp_path, "-m", "seed=0,1")
    (job,) = (tmp_path / "logs" / "train" / "multiruns").glob("*/0")
    after = (
        "The jobs of the sweep after this one have not been started. The same command line with "
        f"resume=auto hydra.sweep.dir='{job.parent}' goes on with them.\n"
    )
    assert answer.returncode == code
    assert answer.stderr.endswith(f"{sentence.format(job=job)} {after}")


@pytest.mark.parametrize("named", ["", "first", "later"])
def test_a_process_beside_the_first_leaves_neither_folder_nor_settings(
    named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[Path] = []

    def work(cfg: DictConfig) -> None:
        used.append(Path(cfg.paths.run_dir))
        raise ValueError("no such thing")

    monkeypatch.setenv("RANK", "1")
    monkeypatch.setattr("anemia_lightning.fitting.training.train_run", work)
    (tmp_path / "first").mkdir()
    answer = run(tmp_path, *([f"hydra.run.dir={named}"] if named else []))
    assert (answer.returncode, answer.stderr) == (1, "A defect of ours: ValueError: no such thing\n")
    assert [path.name for path in tmp_path.iterdir()] == ["first"]
    assert not (tmp_path / "first" / ".hydra").exists()
    assert [path.is_dir() for path in used] == [named == "first"], "a folder of its own goes with it"


def test_a_run_folder_that_is_named_is_private_and_goes_with_a_run_that_comes_to_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes: list[int] = []

    def work(cfg: DictConfig) -> None:
        modes.append(Path(cfg.paths.run_dir).stat().st_mode & 0o777)
        raise MemoryExhaustedError(32, 1)

    monkeypatch.setattr("anemia_lightning.fitting.training.train_run", work)
    assert run(tmp_path, "hydra.run.dir=deep/mine").returncode == 2
    assert not (tmp_path / "deep" / "mine").exists()
    (tmp_path / "there").mkdir()
    (tmp_path / "there").chmod(0o755)
    assert run(tmp_path, "hydra.run.dir=there").returncode == 2
    assert (tmp_path / "there").exists(), "it is the user's own"
    assert modes == [0o700, 0o755]


def test_a_distributed_sweep_is_refused(tmp_path: Path) -> None:
    message = refused(tmp_path, "-m", "trainer=ddp_cpu", "seed=0,1")
    assert "every process of a distributed job would start the sweep anew" in message


def work_that_ends(error: BaseException, *done: str) -> Callable[..., None]:
    """Returns work that leaves some files in its run folder, but not its end."""

    def work(cfg: DictConfig, **_: object) -> None:
        for name in done:
            (Path(cfg.paths.run_dir) / name).parent.mkdir(parents=True, exist_ok=True)
            (Path(cfg.paths.run_dir) / name).touch()
        raise error

    return work


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_full_disk_leaves_the_folds_that_are_finished(
    jobs: int, tmp_path: Path, drawn: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    def train(cfg: DictConfig, *_: object) -> None:
        fold = Path(cfg.paths.run_dir)
        is_first = not list(fold.parent.glob("*/report.html"))
        (fold / "checkpoints").mkdir(parents=True)
        (fold / "checkpoints" / "last.ckpt").touch()
        if not is_first:
            raise DiskFullError(fold / "metrics.csv")
        (fold / "report.html").touch()

    monkeypatch.setattr("anemia_lightning.crossvalidating.fold_runs._train", train)
    monkeypatch.setattr("anemia_lightning.crossvalidating.fold_runs._train_apart", train)
    monkeypatch.setattr("anemia_lightning.crossvalidating.fold_runs.worker_processes", ThreadPoolExecutor)
    answer = run(tmp_path, *QUICK, *drawn, "folds=3", f"jobs={jobs}", verb="crossval")
    assert answer.returncode == 2
    assert "found a full disk" in answer.stderr
    (left,) = (tmp_path / "logs" / "crossval" / "runs").iterdir()
    assert list(left.glob("folds/*/report.html"))


@pytest.mark.parametrize("verb", ["crossval", "benchmark"])
def test_a_refusal_of_other_settings_does_not_become_what_the_run_was_begun_with(
    verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def work(cfg: DictConfig) -> None:
        make_paths_absolute(cfg)
        write_text(RunFolder(cfg.paths.run_dir).settings, OmegaConf.to_yaml(cfg, resolve=True))
        RunFolder(cfg.paths.run_dir).point_latest()
        raise KeyboardInterrupt

    name = {
        "crossval": "crossvalidating.cross_validation.cross_validate",
        "benchmark": "benchmarks.benchmarking.compare_arms",
    }[verb]
    monkeypatch.setattr(f"anemia_lightning.{name}", work)
    assert run(tmp_path, "data.root=drawn", verb=verb).returncode == 130
    answer = run(tmp_path, "resume=last", "optimizer.lr=0.5", "seed=1", verb=verb)
    assert answer.returncode == 2
    assert "found another seed, optimizer.lr. Leave these as they were" in answer.stderr
    assert run(tmp_path, "resume=last", verb=verb).returncode == 130, "it goes on as it was begun"


def test_settings_that_a_run_does_not_take_up_are_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[tuple[float, int]] = []

    def work(cfg: DictConfig) -> None:
        heard.append((cfg.optimizer.lr, cfg.trainer.max_epochs))
        if cfg.optimizer.lr > 0.1:
            raise MemoryExhaustedError(32, 1)
        make_paths_absolute(cfg)
        write_text(RunFolder(cfg.paths.run_dir).settings, OmegaConf.to_yaml(cfg, resolve=True))
        RunFolder(cfg.paths.run_dir).point_latest()
        raise KeyboardInterrupt

    monkeypatch.setattr("anemia_lightning.fitting.training.train_run", work)
    begun = run(tmp_path, "optimizer.lr=0.01", "trainer.max_epochs=20")
    refused = run(tmp_path, "resume=last", "optimizer.lr=0.5")
    longer = run(tmp_path, "resume=last", "trainer.max_epochs=30")
    again = run(tmp_path, "resume=last")
    assert [each.returncode for each in (begun, refused, longer, again)] == [130, 2, 130, 130]
    assert heard == [(0.01, 20), (0.5, 20), (0.01, 30), (0.01, 30)]


@pytest.mark.parametrize(
    ("verb", "function"),
    [("train", "fitting.training.train_run"), ("crossval", "crossvalidating.cross_validation.cross_validate")],
)
def test_a_run_goes_on_from_another_folder(
    verb: str, function: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[str] = []

    def work(cfg: DictConfig) -> None:
        make_paths_absolute(cfg)
        heard.append(cfg.data.root)
        write_text(RunFolder(cfg.paths.run_dir).settings, OmegaConf.to_yaml(cfg, resolve=True))
        raise KeyboardInterrupt

    monkeypatch.setattr(f"anemia_lightning.{function}", work)
    photos, elsewhere = tmp_path / "here" / "my photos", tmp_path / "elsewhere"
    photos.mkdir(parents=True)
    elsewhere.mkdir()
    settings = ("data=folder", "data.root='my photos'", "data.positive_class=Anemic")
    assert run(photos.parent, *settings, verb=verb).returncode == 130
    (begun,) = (photos.parent / "logs" / verb / "runs").iterdir()
    for _ in range(2):
        answer = run(elsewhere, f"resume='{begun}'", verb=verb)
        assert answer.returncode == 130, answer.stderr
    assert heard == [str(photos)] * 3
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize(
    ("verb", "work", "done", "stays"),
    [
        ("train", "fitting.training.train_run", "checkpoints/best.ckpt", True),
        ("train", "fitting.training.train_run", "splits.csv", False),
        ("crossval", "crossvalidating.cross_validation.cross_validate", "folds/a/checkpoints/best.ckpt", True),
        ("crossval", "crossvalidating.cross_validation.cross_validate", "folds/a/splits.csv", False),
        ("benchmark", "benchmarks.benchmarking.compare_arms", "pieces/plain_0.json", True),
        ("predict", "evaluating.prediction.predict_source", "predictions.csv", False),
    ],
)
def test_an_error_removes_a_run_in_which_nothing_is_done_yet(
    verb: str, work: str, done: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, stays: bool
) -> None:
    monkeypatch.setattr(f"anemia_lightning.{work}", work_that_ends(MemoryExhaustedError(32, 1), done))
    arguments = ["ckpt=a.ckpt", "source=photos"] if verb == "predict" else []
    assert run(tmp_path, *arguments, verb=verb).returncode == 2
    assert bool(list((tmp_path / "logs" / verb / "runs").iterdir())) == stays


@pytest.mark.parametrize(
    ("verb", "work", "sentence"),
    [
        ("train", "fitting.training.train_run", " before there was anything to continue from: start again."),
        (
            "crossval",
            "crossvalidating.cross_validation.cross_validate",
            " before there was anything to continue from: start again.",
        ),
        ("audit", "auditing.audit_data.audit_data", "."),
    ],
)
def test_who_interrupts_is_not_sent_to_a_run_before(
    verb: str, work: str, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = tmp_path / "logs" / verb / "runs" / "before" / "checkpoints" / "last.ckpt"
    before.parent.mkdir(parents=True)
    before.touch()
    (tmp_path / "logs" / verb / "latest").symlink_to("runs/before")
    monkeypatch.setattr(f"anemia_lightning.{work}", work_that_ends(KeyboardInterrupt(), "splits.csv"))
    assert run(tmp_path, verb=verb) == Answer(130, "", f"Interrupted{sentence}\n")


@pytest.mark.parametrize("verb", ["train", "crossval"])
@pytest.mark.parametrize(
    ("error", "start"),
    [
        (KeyboardInterrupt(), "Interrupted."),
        (MemoryExhaustedError(32, 1), str(MemoryExhaustedError(32, 1))),
    ],
)
def test_who_is_stopped_is_told_how_to_go_on_with_this_run(
    verb: str, error: BaseException, start: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = {"train": "fitting.training.train_run", "crossval": "crossvalidating.cross_validation.cross_validate"}[verb]
    done = {"train": "checkpoints/last.ckpt", "crossval": "folds/a/checkpoints/last.ckpt"}[verb]
    monkeypatch.setattr(f"anemia_lightning.{work}", work_that_ends(error, done))
    answer = run(tmp_path, verb=verb)
    (left,) = (tmp_path / "logs" / verb / "runs").iterdir()
    assert answer.stderr == f"{start} Continue with resume='{left}'.\n"
    (tmp_path / "logs" / verb / "latest").symlink_to(f"runs/{left.name}")
    assert run(tmp_path, f"resume='{left}'", verb=verb).returncode == answer.returncode
    assert [path.name for path in left.parent.iterdir()] == [left.name]


def test_an_interrupted_run_that_is_the_latest_is_continued_as_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def work(cfg: DictConfig) -> None:
        (Path(cfg.paths.run_dir) / "checkpoints").mkdir()
        (Path(cfg.paths.run_dir) / "checkpoints" / "last.ckpt").touch()
        RunFolder(cfg.paths.run_dir).point_latest()
        raise KeyboardInterrupt

    monkeypatch.setattr("anemia_lightning.fitting.training.train_run", work)
    assert run(tmp_path) == Answer(130, "", "Interrupted. Continue with resume=last.\n")


def test_a_job_that_is_started_again_by_the_same_line_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[tuple[str | None, float]] = []

    def work(cfg: DictConfig) -> None:
        heard.append((cfg.resume, cfg.optimizer.lr))
        if len(heard) > 1:
            (Path(cfg.paths.run_dir) / "checkpoints").mkdir(exist_ok=True)
            (Path(cfg.paths.run_dir) / "checkpoints" / "last.ckpt").touch()
        raise KeyboardInterrupt

    monkeypatch.setattr("anemia_lightning.fitting.training.train_run", work)
    answers = [run(tmp_path, "resume=auto", "hydra.run.dir=job", "optimizer.lr=0.01") for _ in range(4)]
    assert [answer.returncode for answer in answers] == [130] * 4
    assert answers[0].stderr == "Interrupted before there was anything to continue from: start again.\n"
    assert heard == [(None, 0.01), (None, 0.01), ("job", 0.01), ("job", 0.01)]
    assert (tmp_path / "job").stat().st_mode & 0o777 == 0o700


def test_a_sweep_that_is_started_again_by_the_same_line_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[tuple[int, str | None]] = []

    def work(cfg: DictConfig) -> None:
        make_paths_absolute(cfg)
        folder = RunFolder(cfg.paths.run_dir)
        heard.append((cfg.seed, cfg.resume and str(Path(cfg.resume).relative_to(tmp_path))))
        write_text(folder.settings, OmegaConf.to_yaml(cfg, resolve=True))
        write_text(folder.last, "")
        if len(heard) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr("anemia_lightning.fitting.training.train_run", work)
    sweep = ("-m", "resume=auto", "hydra.sweep.dir=mine")
    assert run(tmp_path, *sweep, "seed=0,1,2").returncode == 130
    assert run(tmp_path, *sweep, "seed=0,1,2").returncode == 0
    assert heard == [(0, None), (1, None), (0, "mine/0"), (1, "mine/1"), (2, None)]
    answer = run(tmp_path, *sweep, "seed=0,2,1,3")
    assert heard[5:] == [(0, "mine/0"), (3, None)]
    assert answer.returncode == 2
    assert "2 runs of the sweep failed" in answer.stderr
    assert "seed" in (tmp_path / "mine" / "2" / "FAILED.txt").read_text()
    assert "seed=2" in (tmp_path / "mine" / "2" / ".hydra" / "overrides.yaml").read_text(), "what it was begun with"


def test_nobody_else_works_in_the_folder_of_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    line = ("resume=auto", "hydra.run.dir=job", "seed=1")
    beside: list[subprocess.CompletedProcess[str]] = []

    def work(cfg: DictConfig) -> None:
        command = [sys.executable, "-m", "anemia_lightning.train", *line[:2], "seed=2"]
        beside.append(subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False))
        overrides = Path(cfg.paths.run_dir) / ".hydra" / "overrides.yaml"
        assert "seed=1" in overrides.read_text(), "what this one was begun with"

    monkeypatch.setattr("anemia_lightning.fitting.training.train_run", work)
    assert run(tmp_path, *line).returncode == 0
    (other,) = beside
    assert other.returncode == 2
    assert other.stderr == (
        f"Looked for a run folder that this command has to itself: {tmp_path / 'job'}; found another process at work "
        "in it. Wait for its end, or name another folder.\n"
    )


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGUSR1])
def test_a_run_that_is_told_to_end_says_how_to_go_on(
    signum: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def work(cfg: DictConfig) -> None:
        (Path(cfg.paths.run_dir) / "checkpoints").mkdir()
        (Path(cfg.paths.run_dir) / "checkpoints" / "last.ckpt").touch()
        os.kill(os.getpid(), signum)
        time.sleep(10)

    monkeypatch.setattr("anemia_lightning.fitting.training.train_run", work)
    answer = run(tmp_path)
    (left,) = (tmp_path / "logs" / "train" / "runs").iterdir()
    assert answer == Answer(143, "", f"Terminated. Continue with resume='{left}'.\n")


@pytest.mark.slow
@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_run_says_how_to_go_on_and_does(tmp_path: Path, signum: int, code: int) -> None:
    # Nothing but the signal may end it, however late that comes.
    patient = "callbacks.early_stopping.patience=300"
    command = [sys.executable, "-m", "anemia_lightning.train", *QUICK, "trainer.max_epochs=300", patient]
    process = subprocess.Popen(
        command, cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    latest = tmp_path / "logs" / "train" / "latest"
    deadline = time.monotonic() + 120
    while not (latest / "metrics.csv").is_file() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signum)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == code, errors
    assert "resume=last" in errors
    rows = len((latest / "metrics.csv").read_text().splitlines()) - 1
    answer = in_a_process(tmp_path, "resume=last", f"trainer.max_epochs={rows + 2}")
    assert answer.returncode == 0, answer.stderr
    assert len((latest / "metrics.csv").read_text().splitlines()) - 1 == rows + 2


@pytest.mark.slow
def test_the_run_folder_is_private_and_runs_of_one_second_differ(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "anemia_lightning.train", *QUICK, "trainer.max_epochs=3"]
    processes = [
        subprocess.Popen(command, cwd=tmp_path, env=environment(), stdout=subprocess.DEVNULL) for _ in range(2)
    ]
    assert [process.wait(timeout=240) for process in processes] == [0, 0]
    folders = list((tmp_path / "logs" / "train" / "runs").iterdir())
    assert len(folders) == 2
    assert {folder.stat().st_mode & 0o777 for folder in folders} == {0o700}


def test_a_prediction_of_no_photos_at_a_time_is_refused(tmp_path: Path) -> None:
    message = refused(tmp_path, "ckpt=x", "source=x", "batch_size=0", verb="predict")
    assert message == "batch_size must be at least 1, not 0."


def test_the_cache_is_listed(tmp_path: Path) -> None:
    answer = run(tmp_path, f"paths.cache={tmp_path}/none", verb="cache")
    assert (answer.returncode, answer.stderr) == (0, "")
    assert answer.stdout.startswith("Features: 0.00B of at most ")
    assert (tmp_path / "logs" / "cache" / "latest" / "cache.json").is_file()


def test_a_comparison_of_nothing_is_refused_in_one_line(tmp_path: Path) -> None:
    assert "runs must be given: runs=…" in refused(tmp_path, verb="compare")
    message = refused(tmp_path, "runs=logs/train/runs/*", verb="compare")
    assert message.startswith("Looked for runs at logs/train/runs/*; found nothing that matches, seen from ")
    assert "\n" not in message
