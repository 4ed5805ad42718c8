"""What the tests share: a few drawn photographs, and settings of a run that takes seconds."""

import base64
import copy
import errno
import json
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pandas as pd
import pytest
import torch
from hydra._internal.config_repository import ConfigRepository
from hydra.plugins.config_source import ConfigResult
from lightning.pytorch.utilities import rank_zero_only
from omegaconf import DictConfig, OmegaConf
from sklearn.metrics import roc_auc_score
from torch import nn
from torchvision import models
from torchvision.models.resnet import BasicBlock, ResNet

from anemia_lightning.baselines import registry
from anemia_lightning.command_line import settings_check
from anemia_lightning.command_line.settings import compose
from anemia_lightning.contracts import Batch, Entry
from anemia_lightning.data.sources.synthetic import read_synthetic
from anemia_lightning.files.run_folder import RunFolder
from anemia_lightning.judging import assessing
from anemia_lightning.model.backbone import AnemiaNetwork
from anemia_lightning.plots import assessment as figures

os.environ.setdefault("MPLBACKEND", "Agg")
# Tests run side by side, and threads of one that wait for one another would take the cores from the others.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# How long an example takes tells how busy the machine is, and what passed once shall pass again.
hypothesis.settings.register_profile(
    "tests", deadline=None, derandomize=True, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("tests")

WriteRun = Callable[..., Path]
"""Called with a folder and settings: ``write_run(folder, {"optimizer": {"lr": 1e-3}}, seed=1)``."""

_ONE_PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR42mP4DwABAQEAHLCMmQAAAABJRU5ErkJggg=="
)

ComposeTiny = Callable[..., DictConfig]
"""Called with a run folder and overrides: ``tiny_cfg(folder, "seed=1")``."""

_TINY = (
    "trainer=cpu",
    "trainer.precision=32-true",
    "trainer.max_epochs=4",
    "model.backbone=resnet18",
    "model.weights=null",
    "data.image_size=32",
    "data.patients=24",
    "data.photos=48",
    "data.batch_size=16",
    "data.num_workers=0",
    "data.photo_groups=bytes",
    "logger.photos=false",
    "evaluation.resamples=200",
    "evaluation.probe_photos=0",
    "callbacks.unfreeze.phases=[{epoch: 2, train_from: layer4}]",
)


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    # Exact equality is promised for equal numbers of threads, and the tests may run side by side.
    torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def _own_environment() -> None:
    # Within a job of a cluster, the tests would look for its other processes; and bars would be drawn in color.
    job = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_", "NODE_RANK", "SLURM_", "TORCHELASTIC_", "PL_")
    terminal = ("FORCE_COLOR", "TTY_COMPATIBLE", "COLUMNS")
    for name in [name for name in os.environ if name.startswith(job + terminal)]:
        del os.environ[name]
    vars(rank_zero_only)["rank"] = 0  # Lightning has read it


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    # What the tests keep between commands must not meet what their user keeps.
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session", autouse=True)
def _settings_are_read_once() -> Iterator[None]:
    # Tests compose settings a thousand times, and to read the same files anew takes a third of that.
    known: dict[tuple[str, ...], ConfigResult | None] = {}
    read = ConfigRepository.load_config

    def load(repository: ConfigRepository, config_path: str) -> ConfigResult | None:
        place = (*(source.path for source in repository.sources), config_path)
        if place not in known:
            known[place] = read(repository, config_path)
        return copy.deepcopy(known[place])

    @cache
    def composed(verb: str, overrides: tuple[str, ...]) -> DictConfig:
        return compose(verb, overrides)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ConfigRepository, "load_config", load)
        # Checks compare settings with those of the command alone, and change neither.
        patch.setattr(settings_check, "compose", lambda verb, overrides: composed(verb, tuple(overrides)))
        yield


@pytest.fixture(scope="session")
def real_figures() -> Callable[[], AbstractContextManager[None]]:
    """Opens a context in which runs draw their figures."""
    write, draw = RunFolder.write_plot, figures.draw_assessment

    @contextmanager
    def drawn() -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(RunFolder, "write_plot", write)
            patch.setattr(assessing, "draw_assessment", draw)
            yield

    return drawn


@pytest.fixture(scope="session", autouse=True)
def _plain_figures(real_figures: object) -> Iterator[None]:
    # To draw its figures takes a tiny run longer than to train: of whole runs, those of test_training do.
    draw = figures.draw_assessment

    def write(folder: RunFolder, name: str, drawing: object) -> bytes:
        folder.plots.mkdir(exist_ok=True)
        (folder.plots / f"{name}.png").write_bytes(_ONE_PIXEL)
        return _ONE_PIXEL

    def name_alone(assessment: dict[str, Any]) -> dict[str, Any]:
        with pytest.MonkeyPatch.context() as patch:
            for figure in [name for name in vars(figures) if name.startswith("draw_")]:
                patch.setattr(figures, figure, lambda *_, **__: None)
            return dict(draw(assessment))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RunFolder, "write_plot", write)
        patch.setattr(assessing, "draw_assessment", name_alone)
        yield


class _ThinResNet(ResNet):  # type: ignore[misc]
    """A ResNet-18 with an eighth of its channels: the same layers by the same names, in a sixtieth of the bytes."""

    def __init__(self) -> None:
        super().__init__(BasicBlock, [2, 2, 2, 2])
        self.conv1 = nn.Conv2d(3, 8, kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(8)
        self.fc = nn.Linear(64, 1000)

    def _make_layer(self, block: Any, planes: int, *arguments: Any, **named: Any) -> nn.Sequential:
        if planes == 64:
            self.inplanes = 8
        made: nn.Sequential = super()._make_layer(block, planes // 8, *arguments, **named)
        return made


_get_model = models.get_model


def _get_thin_model(name: str, **settings: Any) -> nn.Module:
    return _ThinResNet() if name == "resnet18" else _get_model(name, **settings)


@pytest.fixture(scope="module")
def thin_networks() -> Iterator[None]:
    """Makes ResNet-18 thin: of tiny runs, to draw, hash, write and read its weights takes longer than all else."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "get_model", _get_thin_model)
        yield


@pytest.fixture
def real_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes networks as they are, for tests of modules in which they are thin."""
    monkeypatch.setattr(models, "get_model", _get_model)


@pytest.fixture(scope="session", autouse=True)
def _small_forests() -> Iterator[None]:
    # Of whole runs, tests look at what becomes of a forest's scores; the scores themselves have tests of their own.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "_TREES", 50)
        yield


@pytest.fixture(scope="session", autouse=True)
def _disk_is_not_waited_for() -> Iterator[None]:
    # No test cuts the power, and a tiny run would wait for the disk longer than it trains.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        yield


@pytest.fixture
def refuse_folder(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Makes the system refuse a folder, as it does those of others; to root, as whom tests may run, it refuses none."""

    def refuse(folder: Path) -> None:
        def unless_in_it(real: Callable[..., Any], path: Any = ".", *arguments: Any, **named: Any) -> Any:
            if str(path).startswith(str(folder)):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
            return real(path, *arguments, **named)

        for name in ("open", "scandir"):
            monkeypatch.setattr(os, name, partial(unless_in_it, getattr(os, name)))

    return refuse


@pytest.fixture
def _logs_end_with_the_test() -> Iterator[None]:
    # A process ends with its logs. A log that Hydra left open would be complained of in whatever test comes next.
    root = logging.getLogger()
    before = set(root.handlers)
    yield
    for handler in set(root.handlers) - before:
        root.removeHandler(handler)
        handler.close()


@pytest.fixture(scope="session")
def drawn_photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The root of 48 drawn photographs of 24 patients."""
    root = tmp_path_factory.mktemp("drawn")
    read_synthetic(root=root, patients=24, photos=48)
    return root


@pytest.fixture(scope="session")
def tiny_overrides(drawn_photos: Path) -> list[str]:
    """The command line of a training run of four epochs in one process, layer4 released at epoch 2."""
    return [*_TINY, f"data.root={drawn_photos}"]


@pytest.fixture(scope="session")
def tiny_cfg(tiny_overrides: list[str]) -> ComposeTiny:
    """Composes the settings of such a run."""

    def compose_tiny(run_dir: Path, *overrides: str) -> DictConfig:
        return compose("train", [*tiny_overrides, f"paths.root={run_dir.parent}", *overrides], run_dir=run_dir)

    return compose_tiny


@pytest.fixture
def classifier_settings() -> dict[str, Any]:
    """The arguments of a classifier with a small network and head, Adam and a plateau schedule."""
    from anemia_lightning.model.schedule import Plateau

    return {
        "backbone": "resnet18",
        "hidden": 8,
        "dropout": 0.5,
        "batchnorm": "frozen",
        "frozen_batchnorm": "eval",
        "class_weights": [0.75, 1.5],
        "epoch_loss": "dataset",
        "threshold": 0.5,
        "learning_rate_factors": {"head": 1.0, "layer4": 0.1, "trunk": 0.01},
        "init_seed": 0,
        "seed": 0,
        "preprocessing": {"size": 32, "background": [124, 116, 104]},
        "optimizer": partial(torch.optim.Adam, lr=0.01),
        "schedule": partial(Plateau, patience=0, min_lr=1e-6),
    }


@pytest.fixture
def draw_batch() -> Callable[..., Batch]:
    """Draws a batch with both labels that enters a resnet18 where it is told to."""
    shapes: dict[Entry, tuple[int, ...]] = {"image": (3, 32, 32), "layer3": (256, 2, 2), "pooled": (512,)}

    def draw(size: int = 6, *, entry: Entry = "pooled", seed: int = 0) -> Batch:
        numbers = torch.Generator().manual_seed(seed)
        label = torch.randint(2, (size,), generator=numbers)
        label[:2] = torch.tensor([0, 1])
        return Batch(
            photo=tuple(f"photo {seed}-{index}" for index in range(size)),
            label=label,
            values=torch.randn(size, *shapes[entry], generator=numbers),
            entry=entry,
            step_label_counts=torch.bincount(label, minlength=2),
        )

    return draw


@pytest.fixture(scope="session")
def colour_network() -> Callable[..., AnemiaNetwork]:
    """Builds a resnet18 that adds up one colour over the image and sees nothing else, so that all it does is known.

    Its logit is `gain` times the mean of max(0, weights · colour + bias) less `cutoff`, the colours normalised as
    images are, at one place in 32 pixels.
    """

    def build(weights: tuple[float, float, float], *, bias: float = 0.0, gain: float, cutoff: float) -> AnemiaNetwork:
        network = AnemiaNetwork(backbone="resnet18", hidden=4)
        with torch.no_grad():
            for name, parameter in network.named_parameters():
                # Without what its second part computes, a block passes on what it is given.
                if ("bn" not in name and "downsample.1" not in name) or name.endswith("bn2.weight"):
                    parameter.zero_()
            for stage in (network.backbone.layer2, network.backbone.layer3, network.backbone.layer4):
                stage[0].downsample[0].weight[0, 0] = 1
            network.backbone.conv1.weight[0, :, 3, 3] = torch.tensor(weights)
            network.backbone.bn1.bias[0] = bias
            network.head.hidden.weight[0, 0] = 1
            network.head.output.weight[1, 0] = gain
            network.head.output.bias[1] = -gain * cutoff
        return network.eval()

    return build


@pytest.fixture
def write_run() -> WriteRun:
    """Writes the files of a finished training run by hand: 60 test photos of 30 patients, no network."""
    return _write_run


def _write_run(
    folder: Path,
    settings: dict[str, Any] | None = None,
    *,
    seed: int = 0,
    signal: float = 1.0,
    photos: int = 60,
    warnings: tuple[str, ...] = (),
    weights: dict[str, Any] | None = None,
) -> Path:
    folder.mkdir(parents=True)
    cfg = {"verb": "train", "seed": seed, "paths": {"run_dir": str(folder)}, "data": {"name": "set"}}
    (folder / "config_resolved.yaml").write_text(OmegaConf.to_yaml(OmegaConf.merge(cfg, settings or {})))
    table = predicted(photos, seed=seed, signal=signal)
    table.to_csv(folder / "predictions_test.csv", index=False)
    area = roc_auc_score(table["label"], table["logit"])
    (folder / "metrics.json").write_text(json.dumps({"val": {}, "test": {"auroc": area}}))
    record = weights or {"source": "torchvision", "name": "IMAGENET1K_V1", "file": "x.pth", "sha256": "ab" * 32}
    card = {"status": "finished", "sessions": [], "warnings": list(warnings), "weights": record, "epochs": 3}
    (folder / "run.json").write_text(json.dumps(card))
    return folder


def predicted(photos: int, *, seed: int, signal: float) -> pd.DataFrame:
    """Returns predictions of photos whose labels and difficulty are the same for every seed."""
    shared = np.random.default_rng(0)
    labels = np.arange(photos) % 2
    logits = signal * labels + shared.normal(size=photos) + 0.3 * np.random.default_rng((1, seed)).normal(size=photos)
    # A calibrated probability, and a threshold that is not an even chance.
    probability = 1 / (1 + np.exp(-(0.7 * logits - 0.2)))
    names = [f"{number:03d}.png" for number in range(photos)]
    return pd.DataFrame(
        {
            "photo": names,
            "patient": [f"{number // 2:02d}" for number in range(photos)],
            "photo_group": names,
            "site": "",
            "label": labels,
            "logit": logits,
            "probability": probability,
            "prediction": (probability >= 0.4).astype(int),
        }
    )
