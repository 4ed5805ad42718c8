"""What training promises on a CUDA device, where there is one: what no other test can see."""

import copy
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest
import torch
from omegaconf import DictConfig

from anemia_lightning.engines.torch_engines import TorchEngine
from anemia_lightning.files.checkpoint_file import read_checkpoint
from anemia_lightning.fitting.training import train_run
from anemia_lightning.model.backbone import AnemiaNetwork
from anemia_lightning.model.finished import open_model

ComposeTiny = Callable[..., DictConfig]
Train = Callable[..., Path]

pytestmark = [
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device here"),
    # Torch and Lightning may have things to say of a GPU that are no defects of ours.
    pytest.mark.filterwarnings("default"),
]

# cuBLAS is asked once in a process whether it repeats itself, at its first product.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")

REPEATABLE = ("trainer.deterministic=true", "model.cuda_graphs=false", "features.views=fresh")
DEEPER = "callbacks.unfreeze.phases=[{epoch: 1, train_from: layer3}]"


@pytest.fixture(autouse=True)
def _usual_algorithms() -> Iterator[None]:
    yield
    torch.use_deterministic_algorithms(mode=False)


@pytest.fixture(scope="module")
def train(tiny_cfg: ComposeTiny, tmp_path_factory: pytest.TempPathFactory) -> Train:
    """Trains four epochs on the GPU, layer4 from epoch 2 on, in full precision, and returns the folder of the run."""
    place = tmp_path_factory.mktemp("cuda")

    def train(name: str, *overrides: str) -> Path:
        cfg = tiny_cfg(place / name, "trainer.accelerator=gpu", f"features.dir={place}/features", *overrides)
        return train_run(cfg).folder

    return train


@pytest.fixture(scope="module")
def whole(train: Train) -> Path:
    """A run that repeats itself, and looks closely at two photos."""
    return train("whole", *REPEATABLE, "evaluation.probe_photos=2")


def test_kept_or_not_every_epoch_is_the_same(train: Train, whole: Path) -> None:
    unkept = train("unkept", *REPEATABLE, "features.store=false")
    assert (unkept / "metrics.csv").read_text() == (whole / "metrics.csv").read_text()
    assert (whole / "looks.json").is_file()


def test_a_resumed_run_ends_as_one_that_was_never_stopped(train: Train, whole: Path) -> None:
    part = train("part", *REPEATABLE, "trainer.max_epochs=3")
    resumed = train("resumed", *REPEATABLE, f"resume={part}/checkpoints/last.ckpt")
    assert (resumed / "metrics.csv").read_text() == (whole / "metrics.csv").read_text()


@pytest.mark.filterwarnings("error:Training steps cannot be recorded")
@pytest.mark.parametrize(("precision", "rounding"), [("32-true", 0.005), ("bf16-mixed", 0.05)])
def test_replayed_steps_are_those_that_run_one_by_one(train: Train, precision: str, rounding: float) -> None:
    replayed, alone = (
        train(f"{precision}-{graphs}", f"trainer.precision={precision}", f"model.cuda_graphs={graphs}")
        for graphs in ("true", "false")
    )
    smooth = ["train/loss", "val/loss", "train/grad_norm"]
    one, other = (pd.read_csv(run / "metrics.csv")[smooth] for run in (replayed, alone))
    pd.testing.assert_frame_equal(one, other, rtol=rounding)


def test_a_model_says_on_a_gpu_what_it_says_on_a_cpu(whole: Path) -> None:
    network = open_model(whole / "checkpoints" / "best.ckpt").network
    images = torch.randn(5, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    cpu, gpu = (
        TorchEngine([copy.deepcopy(network)], precision="32-true", device=torch.device(name))(images.to(name))
        for name in ("cpu", "cuda")
    )
    torch.testing.assert_close(gpu, cpu, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("read", [("features.store=true",), ("features.store=false", "data.num_workers=1")], ids=str)
def test_what_lies_below_layer4_trains_too_once_it_is_released(train: Train, read: tuple[str, ...]) -> None:
    run = train(f"deeper-{len(read)}", DEEPER, *read)
    assert pd.read_csv(run / "metrics.csv")["train/loss"].notna().sum() == 4
    before = AnemiaNetwork(backbone="resnet18").backbone.state_dict()
    after = read_checkpoint(run / "checkpoints" / "last.ckpt")["state_dict"]
    moved = {
        key.partition(".")[0]
        for key, value in before.items()
        if not torch.equal(after[f"network.backbone.{key}"], value)
    }
    assert moved == {"layer3", "layer4"}
