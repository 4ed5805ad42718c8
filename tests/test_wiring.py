"""What becomes of a Trainer's settings where the devices are not there, or several."""

from importlib import import_module

import lightning as L
import pytest
import torch
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
