"""What becomes of a Trainer's settings where the devices are not there, or several; and of a data set's."""

from importlib import import_module
from pathlib import Path

import lightning as L
import pytest
import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.pytorch.strategies import DDPStrategy

from anemia_lightning import wiring
from anemia_lightning.command_line.settings import compose
from anemia_lightning.command_line.settings_check import check_settings
from anemia_lightning.errors import ConfigError


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


@pytest.mark.usefixtures("no_gpu")
@pytest.mark.parametrize(
    ("verb", "module", "work"),
    [
        ("train", "fitting.training", "train_run"),
        ("crossval", "crossvalidating.cross_validation", "cross_validate"),
        ("evaluate", "evaluating.evaluation", "evaluate_run"),
    ],
)
def test_a_device_that_is_not_here_is_said_before_anything_else(
    verb: str, module: str, work: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = import_module(f"anemia_lightning.{module}")
    monkeypatch.setattr(home, "prepare_photos", pytest.fail)
    cfg = compose(verb, ["trainer.accelerator=gpu", *(["run=nowhere"] if verb == "evaluate" else [])])
    with pytest.raises(ConfigError, match=r"trainer\.accelerator=gpu: there is no such device here\."):
        getattr(home, work)(cfg)


@pytest.mark.usefixtures("two_gpus")
def test_more_devices_than_there_are_is_said() -> None:
    for fine in ("trainer.devices=2", "trainer=ddp"):
        wiring.check_devices(compose("train", ["trainer.accelerator=gpu", fine]))
    with pytest.raises(ConfigError, match=r"trainer\.devices=3: there are only so many CUDA devices here: 2\."):
        wiring.check_devices(compose("train", ["trainer.accelerator=gpu", "trainer.devices=3"]))


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("trainer.strategy=nonsense", "You selected an invalid strategy name"),
        ("trainer.precision=12-true", "is invalid. Allowed precision values"),
        ("trainer.gradient_clip_algorithm=nonsense", "`gradient_clip_algorithm` nonsense is invalid"),
        ("trainer.devices=-1", "`devices` selected with `CPUAccelerator` should be an int > 0."),
    ],
)
def test_what_lightning_cannot_do_is_said_in_its_words(override: str, sentence: str) -> None:
    cfg = compose("train", ["trainer.accelerator=cpu", override])
    with pytest.raises(ConfigError, match=r"Lightning's Trainer refuses these settings: ") as caught:
        wiring.build_trainer(cfg, callbacks=[], logger=None)
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("given", "name"),
    [("32", "32-true"), ("64", "64-true"), ("16", "16-mixed"), ("bf16", "bf16-mixed"), ("bf16-true", "bf16-true")],
)
def test_a_precision_has_one_name(given: str, name: str) -> None:
    assert wiring.resolve_precision(compose("train", [f"trainer.precision={given}"])) == name


@pytest.mark.parametrize(
    ("asked", "begun", "kept"),
    [
        ("auto", "bf16-mixed", "bf16-mixed"),
        ("auto", "32-true", "auto"),
        ("auto", None, "auto"),
        ("64-true", "bf16-mixed", "64-true"),
    ],
)
def test_what_was_begun_in_a_precision_goes_on_in_it_on_another_machine(
    asked: str, begun: str | None, kept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wiring, "_cpu_has_bf16", lambda: False)
    cfg = compose("train", ["trainer.accelerator=cpu", f"trainer.precision={asked}"])
    said = wiring.keep_precision(cfg, begun)
    assert cfg.trainer.precision == kept
    assert bool(said) == (kept != asked)


@pytest.mark.parametrize("settings", [["trainer.devices=2"], ["trainer.num_nodes=2"]])
def test_several_processes_share_gradients_in_the_way_that_freezing_asks_for(settings: list[str]) -> None:
    cfg = compose("train", ["trainer.accelerator=cpu", *settings])
    strategy = wiring.build_trainer(cfg, callbacks=[], logger=None).strategy
    assert isinstance(strategy, DDPStrategy)
    assert strategy._ddp_kwargs == {"find_unused_parameters": True, "broadcast_buffers": False}


def test_scoring_is_as_deterministic_as_training() -> None:
    try:
        wiring.build_scoring_trainer(
            compose("evaluate", ["trainer.accelerator=cpu", "trainer.deterministic=true"]), precision="32-true"
        )
        assert torch.are_deterministic_algorithms_enabled()
    finally:
        torch.use_deterministic_algorithms(mode=False)
    trainer = wiring.build_scoring_trainer(compose("evaluate", ["trainer.accelerator=cpu"]), precision="32-true")
    assert isinstance(trainer, L.Trainer)
    assert not torch.are_deterministic_algorithms_enabled()


@pytest.mark.parametrize("preset", ["experiment=quick", "experiment=seed", "debug=smoke"])
def test_what_a_preset_sets_of_a_callback_does_not_switch_it_on(preset: str) -> None:
    # No release comes too late where there is none.
    cfg = compose("train", [preset, "callbacks=none", "trainer.max_epochs=1"])
    check_settings(cfg)
    assert cfg.callbacks.unfreeze
    assert wiring.build_callbacks(cfg) == []
    assert wiring.phases(cfg) == []


@pytest.fixture
def slurm(monkeypatch: pytest.MonkeyPatch) -> None:
    """A job of SLURM's with two tasks, of which this process is the first."""
    job = {"JOB_ID": "12345", "JOB_NAME": "train", "NTASKS": "2", "NTASKS_PER_NODE": "2", "NNODES": "1"}
    task = {"PROCID": "0", "LOCALID": "0", "NODEID": "0", "STEP_NUM_TASKS": "2"}
    for name, value in {**job, **task}.items():
        monkeypatch.setenv(f"SLURM_{name}", value)


def environment_of(trainer: L.Trainer) -> object:
    return trainer._accelerator_connector.cluster_environment


@pytest.mark.usefixtures("slurm")
def test_no_job_is_queued_anew_by_lightning() -> None:
    cfg = compose("train", ["trainer.accelerator=cpu", "trainer.devices=2"])
    wiring.check_devices(cfg)
    environment = environment_of(wiring.build_trainer(cfg, callbacks=[], logger=None))
    assert isinstance(environment, SLURMEnvironment)
    assert not environment.auto_requeue


@pytest.mark.usefixtures("slurm")
def test_who_works_alone_is_no_task_of_a_job() -> None:
    cfg = compose("train", ["trainer.accelerator=cpu"])
    for trainer in (
        wiring.build_trainer(cfg, callbacks=[], logger=None),
        wiring.build_scoring_trainer(cfg, precision="32-true"),
    ):
        assert isinstance(environment_of(trainer), LightningEnvironment)


@pytest.mark.usefixtures("slurm")
def test_scoring_takes_no_model_that_lightning_has_left_in_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hpc_ckpt_1.ckpt").touch()
    trainer = wiring.build_scoring_trainer(compose("evaluate", ["trainer.accelerator=cpu"]), precision="32-true")
    assert trainer._checkpoint_connector._hpc_resume_path is None


@pytest.mark.parametrize(
    ("environment", "settings", "sentence"),
    [
        (
            {},
            ["trainer.devices=1"],
            r"srun has started 2 processes, but trainer\.devices=1 and trainer\.num_nodes=1 ask",
        ),
        (
            {"TORCHELASTIC_RUN_ID": "none", "WORLD_SIZE": "8"},
            ["trainer.devices=2"],
            r"torchrun has started 8 processes, but trainer\.devices=2 and trainer\.num_nodes=1 ask for 2",
        ),
        ({"SLURM_NTASKS_PER_NODE": "4"}, ["trainer.devices=2"], r"how SLURM has started .*HINT: Set `devices=4`\."),
    ],
)
@pytest.mark.usefixtures("slurm")
def test_another_number_of_processes_than_the_settings_ask_for_is_said_before_photos_are_read(
    environment: dict[str, str], settings: list[str], sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=sentence):
        wiring.check_devices(compose("train", ["trainer.accelerator=cpu", *settings]))


@pytest.mark.usefixtures("slurm")
def test_tasks_that_lightning_does_not_know_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLURM_NTASKS_PER_NODE")
    with pytest.raises(ConfigError, match=r"HINT: Use `--ntasks-per-node=2` instead\."):
        wiring.check_devices(compose("train", ["trainer.accelerator=cpu", "trainer.devices=2"]))


@pytest.mark.usefixtures("slurm")
def test_what_lightning_has_started_itself_in_a_task_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SLURM_NTASKS", "SLURM_NTASKS_PER_NODE"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "1")
    monkeypatch.setenv("LOCAL_RANK", "1")
    wiring.check_devices(compose("train", ["trainer.accelerator=cpu", "trainer.devices=2"]))


def test_photos_without_a_label_are_left_out_where_that_was_asked_for() -> None:
    assert wiring.build_preparation(compose("train", ["data.on_unlabelled=drop"])).on_unlabelled == "drop"
