"""Every file of conf/ composes, every target exists, every preset trains."""

import re
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest
from omegaconf import DictConfig, OmegaConf

from anemia_lightning.command_line.settings import CONF, compose, flat_settings
from anemia_lightning.command_line.settings_check import check_settings
from anemia_lightning.errors import ConfigError
from anemia_lightning.fitting.training import train_run

pytestmark = pytest.mark.usefixtures("thin_networks")

FILES = sorted(path.relative_to(CONF) for path in CONF.rglob("*.yaml"))
COMMANDS = ("audit", "train", "crossval", "evaluate", "predict", "compare", "cache", "benchmark")
PRESETS = [(group, path.stem) for group in ("experiment", "debug") for path in sorted((CONF / group).glob("*.yaml"))]
SMALL = ("model.backbone=resnet18", "model.weights=null", "data.image_size=32", "data.patients=24", "data.photos=48")
GIVEN = {
    "folder": ["data.root=x", "data.positive_class=x"],
    "table": ["data.root=x", "data.table=x"],
    "union": ["data.sources=[cp_anemic,eyes_defy]"],
    "predict": ["ckpt=x", "source=x"],
    "evaluate": ["run=x"],
    "compare": ["runs=x"],
}


def test_the_files_are_found() -> None:
    assert len(FILES) > 35
    assert len(PRESETS) == 7


@cache
def check_composed(verb: str, *overrides: str) -> None:
    """Composes and checks a command line, once for all files that are part of it."""
    check_settings(compose(verb, overrides))


@pytest.mark.parametrize("file", FILES, ids=str)
def test_every_file_composes(file: Path) -> None:
    group, name = str(file.parent), file.stem
    if group == ".":
        check_composed(name, *GIVEN.get(name, []))
    elif group in ("hydra", "paths") or name.startswith("_"):
        check_composed("train")
    elif file == Path("evaluation/carried.yaml"):
        check_composed("evaluate", *GIVEN["evaluate"])
    else:
        check_composed("train", f"{group}={name}", *GIVEN.get(name, []))


def test_hundreds_of_runs_can_begin_in_one_second() -> None:
    folders = [Path(compose("train").paths.run_dir).name for _ in range(2)]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d-[0-9a-f]{8}", name) for name in folders)
    assert len({name[-8:] for name in folders}) == 2


@pytest.mark.parametrize("file", FILES, ids=str)
def test_every_file_begins_with_what_it_is(file: Path) -> None:
    lines = (CONF / file).read_text(encoding="utf-8").splitlines()
    comments = [line for line in lines if line.startswith("#") and not line.startswith("# @package")]
    assert comments
    assert lines.index(comments[0]) <= 1


def test_every_target_exists() -> None:
    targets = set()
    for file in FILES:
        settings = OmegaConf.load(CONF / file)
        assert isinstance(settings, DictConfig)
        targets |= {value for key, value in flat_settings(settings).items() if key.endswith("_target_")}
    assert len(targets) >= 15
    for target in targets:
        module, name = str(target).rsplit(".", 1)
        assert callable(getattr(import_module(module), name)), target


def test_the_defaults_are_the_protocol() -> None:
    cfg = compose("train")
    assert (cfg.model.backbone, cfg.model.weights, cfg.model.hidden, cfg.model.dropout) == (
        "resnet50",
        "IMAGENET1K_V1",
        512,
        0.5,
    )
    assert cfg.optimizer == {
        "_target_": "torch.optim.Adam",
        "_partial_": True,
        "lr": 1e-4,
        "weight_decay": 1e-4,
        "fused": True,
    }
    schedule = cfg.scheduler
    assert (schedule.factor, schedule.patience, schedule.min_lr) == (0.5, 3, 1e-6)
    assert cfg.callbacks.unfreeze.phases == [{"epoch": 5, "train_from": "layer4"}]
    assert (cfg.callbacks.early_stopping.monitor, cfg.callbacks.early_stopping.patience) == ("val/loss", 5)
    assert (cfg.data.batch_size, cfg.trainer.max_epochs, cfg.seed) == (32, 40, 0)
    assert cfg.split.fractions == {"train": 0.7, "val": 0.15, "test": 0.15}
    assert cfg.data.augmentation == {
        "flip": 0.5,
        "rotation_degrees": 15.0,
        "brightness": 0.2,
        "contrast": 0.2,
        "affine_rotation_degrees": 15.0,
        "translation": 0.1,
        "scale": [0.8, 1.2],
        "interpolation": "bilinear",
        "fill": [124, 116, 104],
    }


@pytest.mark.parametrize("verb", ["train", "evaluate"])
@pytest.mark.parametrize("override", ["data=[cp_anemic,eyes_defy]", "+data=[cp_anemic,eyes_defy]"])
def test_a_list_of_data_sources_is_refused(verb: str, override: str) -> None:
    with pytest.raises(ConfigError) as caught:
        compose(verb, ["seed=1", override])
    assert str(caught.value) == (
        "data=[cp_anemic,eyes_defy] would lay the settings of these sources over one another, not unite their "
        "photographs. Name one source, or for a union: data=union 'data.sources=[cp_anemic,eyes_defy]' "
        "data.roots.cp_anemic=FOLDER data.roots.eyes_defy=FOLDER"
    )


def test_sources_without_labels_of_their_own_are_labelled_by_the_guideline() -> None:
    assert compose("train").labels.rule == "own"
    for data in ("eyes_defy", "union"):
        assert compose("train", [f"data={data}"]).labels.rule == "who2024"
        assert compose("evaluate", ["ckpt=x", f"data={data}"]).labels.rule == "who2024"
    assert compose("train", ["labels=own", "data=eyes_defy"]).labels.rule == "own"


@pytest.mark.parametrize("several", ["trainer=ddp", "trainer.devices=2", "trainer.devices=-1", "trainer.num_nodes=2"])
@pytest.mark.parametrize("norm", ["batchnorm", "frozen_batchnorm"])
def test_batchnorm_that_trains_over_several_devices_must_be_synchronised(several: str, norm: str) -> None:
    cfg = compose("train", [several])
    check_settings(cfg)
    cfg.model[norm] = "train"
    with pytest.raises(ConfigError, match="BatchNorm that trains over several devices needs"):
        check_settings(cfg)
    cfg.trainer.sync_batchnorm = True
    check_settings(cfg)


def test_recorded_gradients_are_not_accumulated() -> None:
    cfg = compose("train", ["model.compile=default", "trainer.accumulate_grad_batches=2"])
    check_settings(cfg)
    for mode in ("reduce-overhead", "max-autotune"):
        cfg.model.compile = mode
        sentence = f"model.compile={mode} records CUDA graphs, which write each gradient over the one before"
        with pytest.raises(ConfigError, match=sentence):
            check_settings(cfg)
    cfg.trainer.accumulate_grad_batches = 1
    check_settings(cfg)


@pytest.mark.parametrize("several", ["trainer=ddp", "trainer.devices=2", "trainer.num_nodes=2"])
def test_a_cross_validation_on_several_devices_is_refused(several: str) -> None:
    with pytest.raises(ConfigError, match=r"crossval trains each fold on one device: leave trainer\.devices=1"):
        check_settings(compose("crossval", [several]))


NEITHER_OR_BOTH = "Give evaluate either run=FOLDER or ckpt=FILE."
NO_PHOTOS = "ckpt= needs data=…, the photos to score; run=FOLDER scores a run's own test photos."
OF_THE_RUN = (
    "run= scores the run's own test photos, with the run's labels; for others give "
    "ckpt=RUN/checkpoints/best.ckpt data=…."
)


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        ([], NEITHER_OR_BOTH),
        (["run=x", "ckpt=x", "data=synthetic"], NEITHER_OR_BOTH),
        (["run=x", "data=folder", *GIVEN["folder"]], OF_THE_RUN),
        (["run=x", "data=synthetic"], OF_THE_RUN),
        (["run=x", "labels=who2024"], OF_THE_RUN),
        (["run=x", "labels.assume.sex=female"], OF_THE_RUN),
        (["ckpt=x"], NO_PHOTOS),
        (["ckpt=x", "labels=who2024"], NO_PHOTOS),
    ],
    ids=str,
)
def test_an_evaluation_is_of_the_photos_of_a_run_or_of_those_that_are_named(
    overrides: list[str], sentence: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        check_settings(compose("evaluate", overrides))
    assert str(caught.value) == sentence


@pytest.mark.parametrize("named", [["data=eyes_defy"], ["data=synthetic", "labels=who2024"]], ids=str)
def test_photos_and_labels_can_be_named_for_a_checkpoint(named: list[str]) -> None:
    check_settings(compose("evaluate", ["ckpt=x", *named]))


@pytest.mark.parametrize(("verb", "key"), [("train", "data.on_unreadable"), ("predict", "on_unreadable")])
def test_what_becomes_of_unreadable_photos_is_one_of_two_words(verb: str, key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_settings(compose(verb, [f"{key}=Stop", *GIVEN.get(verb, [])]))
    assert str(caught.value) == f"{key} is one of stop, skip, not Stop."


@pytest.mark.parametrize(("group", "name"), PRESETS)
def test_every_preset_trains_a_batch_per_phase(group: str, name: str, tmp_path: Path, drawn_photos: Path) -> None:
    overrides = [f"{group}={name}", *SMALL, f"paths.root={tmp_path}", f"data.root={drawn_photos}", "data.batch_size=8"]
    overrides += ["trainer.max_epochs=2", "trainer.limit_train_batches=1", "trainer.accelerator=cpu"]
    overrides += ["data.photo_groups=bytes", "evaluation.resamples=200"]
    # Of the presets, `seed` alone changes the network that is looked into and the images that it is shown.
    overrides += [f"evaluation.probe_photos={2 if name == 'seed' else 0}"]
    if name != "head_only":
        overrides.append("callbacks.unfreeze.phases=[{epoch: 1, train_from: layer4}]")
    cfg = compose("train", overrides, run_dir=tmp_path / "run")
    check_settings(cfg)
    result = train_run(cfg)
    assert result.scores["test"]["n"] > 0
    assert (result.folder / "report.html").is_file()
