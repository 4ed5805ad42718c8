"""The plain loop is the protocol: it learns, freezes what it must, reproduces, and tuning changes no first loss."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from torch import Tensor, nn
from torchvision import models

from anemia_lightning.benchmarks.plain_loop import LoopSettings, PlainLoop

Ran = tuple[PlainLoop, dict[str, float], list[str]]
"""A loop, its scores, and the laps that it ended."""


@pytest.fixture(scope="module")
def settings(drawn_photos: Path, tmp_path_factory: pytest.TempPathFactory) -> LoopSettings:
    folder = tmp_path_factory.mktemp("loop")
    (drawn,) = drawn_photos.glob("separation-*")
    rows = pd.read_csv(drawn / "manifest.csv")
    splits = [("train", "train", "val", "test")[index // 2 % 4] for index in range(len(rows))]
    table = rows.assign(path=[str(drawn / path) for path in rows["path"]], split=splits)
    table[["path", "label", "split"]].to_csv(folder / "photos.csv", index=False)
    torch.manual_seed(0)
    torch.save(models.resnet18().state_dict(), folder / "weights.pth")
    return LoopSettings(
        photos=str(folder / "photos.csv"),
        weights=str(folder / "weights.pth"),
        backbone="resnet18",
        image_size=32,
        batch_size=8,
        head_epochs=2,
        layer4_epochs=1,
        num_workers=0,
    )


def run(settings: LoopSettings) -> Ran:
    names: list[str] = []
    loop = PlainLoop(settings, names.append)
    return loop, loop.run(), names


@pytest.fixture(scope="module")
def ran(settings: LoopSettings) -> Ran:
    return run(settings)


def state(network: nn.Module, part: str) -> dict[str, Tensor]:
    return {key: value.clone() for key, value in network.state_dict().items() if key.startswith(f"{part}.")}


def equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return all(torch.equal(one[key], other[key]) for key in one)


def test_it_learns_the_easy_photographs(settings: LoopSettings) -> None:
    slow_start = replace(settings, head_epochs=4, layer4_epochs=6, learning_rate=1e-3)
    _, scores, _ = run(slow_start)
    assert scores["auroc"] > 0.9


def test_each_part_ends_a_lap(ran: Ran) -> None:
    _, _, names = ran
    assert names == ["start", *["head train", "head val"] * 2, "layer4 train", "layer4 val", "test"]


@pytest.mark.parametrize("frozen_batchnorm", [False, True])
def test_what_is_frozen_stays_bit_equal(settings: LoopSettings, *, frozen_batchnorm: bool) -> None:
    loop = PlainLoop(replace(settings, frozen_batchnorm=frozen_batchnorm), lambda name: None)
    before = {part: state(loop.network, part) for part in ("trunk", "layer4", "head")}
    loop.network.train_from("head", frozen_batchnorm=frozen_batchnorm)
    loop.train_epoch()
    assert equal(state(loop.network, "trunk"), before["trunk"])
    assert equal(state(loop.network, "layer4"), before["layer4"])
    assert not equal(state(loop.network, "head"), before["head"])
    loop.network.train_from("layer4", frozen_batchnorm=frozen_batchnorm)
    loop.train_epoch()
    assert equal(state(loop.network, "trunk"), before["trunk"])
    after = state(loop.network, "layer4")
    assert not torch.equal(after["layer4.0.conv1.weight"], before["layer4"]["layer4.0.conv1.weight"])
    moved = not torch.equal(after["layer4.0.bn1.running_mean"], before["layer4"]["layer4.0.bn1.running_mean"])
    assert moved is not frozen_batchnorm


def test_a_seed_reproduces(settings: LoopSettings, ran: Ran) -> None:
    first, scores, _ = ran
    second, again, _ = run(settings)
    assert scores == again
    assert equal(dict(first.network.state_dict()), dict(second.network.state_dict()))
    other, _, _ = run(replace(settings, seed=1))
    assert not equal(state(first.network, "head"), state(other.network, "head"))


def test_tuned_and_plain_begin_with_the_same_loss(settings: LoopSettings) -> None:
    tuned = replace(settings, channels_last=True, frozen_batchnorm=True, fused=True)
    losses = []
    for each in (settings, tuned, replace(tuned, bf16=True)):
        loop = PlainLoop(each, lambda name: None)
        loop.network.train_from("head", frozen_batchnorm=each.frozen_batchnorm)
        loop.train_epoch()
        losses.append(loop.first_loss)
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)
    assert losses[2] == pytest.approx(losses[0], rel=0.02)


def test_the_best_epoch_is_what_is_scored(settings: LoopSettings) -> None:
    names: list[str] = []
    loop = PlainLoop(replace(settings, learning_rate=1e-2, layer4_epochs=4), names.append)
    losses: list[float] = []
    score = loop.score

    def listen(split: str) -> dict[str, float]:
        found = score(split)
        if split == "val":
            losses.append(found["loss"])
        return found

    loop.score = listen  # type: ignore[method-assign]
    loop.run()
    assert score("val")["loss"] == pytest.approx(min(losses), rel=1e-6)
