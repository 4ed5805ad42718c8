"""Photographs become the logits that training and evaluation give, each read once."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from omegaconf import DictConfig

from anemia_lightning import wiring
from anemia_lightning.command_line.settings import compose
from anemia_lightning.data import read_ahead
from anemia_lightning.data.framing import Framing
from anemia_lightning.data.reading import open_photo
from anemia_lightning.data.surroundings import Surroundings
from anemia_lightning.data.survey import survey_photos
from anemia_lightning.data.transforms import normalise
from anemia_lightning.engines import Build, Engine, build_engine
from anemia_lightning.errors import ConfigError, UnknownNameError, UnreadablePhotosError
from anemia_lightning.evaluating import photo_logits as module
from anemia_lightning.evaluating.photo_logits import RANGE_PHOTOS, images_for_ranges, photo_logits
from anemia_lightning.evaluating.prediction import photo_rows
from anemia_lightning.judging.scoring import Scorer
from anemia_lightning.model.classifier import AnemiaClassifier
from anemia_lightning.model.finished import FinishedModel
from anemia_lightning.model.trunk_pass import TrunkPass

FRAMING = {"size": 32, "region": "full", "resize": "stretch", "background": (124, 116, 104)}


@pytest.fixture(scope="module")
def rows(drawn_photos: Path) -> pd.DataFrame:
    return photo_rows(drawn_photos).iloc[:21].reset_index(drop=True)


@pytest.fixture
def new_classifier(classifier_settings: dict[str, Any]) -> Callable[..., AnemiaClassifier]:
    def build(seed: int, **changes: Any) -> AnemiaClassifier:
        made = AnemiaClassifier(**{**classifier_settings, "preprocessing": FRAMING, "seed": seed, **changes}).eval()
        with torch.no_grad():
            # As if each had been trained on other photos.
            made.network.backbone.layer4[0].conv1.weight.mul_(1 + seed / 10)
        return made

    return build


def settings(tmp_path: Path, *overrides: str) -> DictConfig:
    own = ["ckpt=x", "source=y", "batch_size=8", "trainer=cpu", f"paths.cache={tmp_path / 'cache'}"]
    return compose("predict", [*own, *overrides], run_dir=tmp_path / "run")


def finished(classifier: AnemiaClassifier) -> FinishedModel:
    return FinishedModel(copy.deepcopy(classifier.network), classifier.hparams, {})


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_they_are_bit_for_bit_what_evaluation_computes(
    rows: pd.DataFrame,
    new_classifier: Callable[..., AnemiaClassifier],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    precision: str,
) -> None:
    cfg = settings(tmp_path, f"trainer.precision={precision}")
    # The third has other frozen layers, the last another framing.
    letterbox = {**FRAMING, "size": 48, "resize": "letterbox"}
    classifiers = [
        new_classifier(0), new_classifier(1), new_classifier(2, init_seed=1), new_classifier(3, preprocessing=letterbox)
    ]  # fmt: skip
    kept_nowhere = ["ckpt=x", "data=synthetic", "data.batch_size=8", "trainer=cpu", "features.store=false"]
    evaluation, facts = compose("evaluate", kept_nowhere), survey_photos(rows, seek_recuts=False).facts
    alone = [Scorer(evaluation, each, precision=precision).predict(rows, facts) for each in classifiers]
    shown: list[tuple[int, int]] = []
    passed: list[int] = []
    trunk = TrunkPass.trunk

    def count(self: TrunkPass, images: torch.Tensor) -> torch.Tensor:
        passed.append(len(images))
        return trunk(self, images)

    monkeypatch.setattr(TrunkPass, "trunk", count)
    found = photo_logits(cfg, [finished(each) for each in classifiers], rows, progress=lambda *done: shown.append(done))
    logits = found.table
    assert found.unreadable == []
    assert found.surroundings == Surroundings(cut_out=21)
    assert logits.index.tolist() == rows["photo"].tolist()
    for place, wanted in enumerate(alone):
        np.testing.assert_array_equal(logits[place], wanted[rows["photo"]])
    # The first two share their pass.
    assert sum(passed) == 3 * 21
    assert logits.nunique().tolist() == [21] * 4
    assert shown == [(done, 21) for done in range(1, 22)]
    assert not (tmp_path / "cache").exists()


def test_each_photograph_is_read_once(
    rows: pd.DataFrame,
    new_classifier: Callable[..., AnemiaClassifier],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opened: list[str] = []

    def count(path: str, **how: Any) -> object:
        opened.append(path)
        return open_photo(path, **how)

    monkeypatch.setattr(read_ahead, "open_photo", count)
    photo_logits(settings(tmp_path), [finished(new_classifier(seed)) for seed in range(2)], rows)
    assert sorted(opened) == sorted(rows["path"])


class TestPhotographsThatCannotBeRead:
    @pytest.fixture
    def damaged(self, rows: pd.DataFrame, tmp_path: Path) -> pd.DataFrame:
        """The 4th and the last are damaged."""
        paths = rows["path"].tolist()
        for place in (3, 20):
            (tmp_path / f"{place}.png").write_bytes(Path(paths[place]).read_bytes()[:99])
            paths[place] = str(tmp_path / f"{place}.png")
        return rows.assign(path=paths)

    def test_they_can_be_left_out(
        self, damaged: pd.DataFrame, new_classifier: Callable[..., AnemiaClassifier], tmp_path: Path
    ) -> None:
        models = [finished(new_classifier(0))]
        found = photo_logits(settings(tmp_path, "on_unreadable=skip"), models, damaged)
        assert [fault.photo for fault in found.unreadable] == [damaged["photo"][3], damaged["photo"][20]]
        readable = damaged.drop([3, 20]).reset_index(drop=True)
        pd.testing.assert_frame_equal(photo_logits(settings(tmp_path), models, readable).table, found.table)

    def test_or_they_stop_everything_and_all_are_named(
        self,
        damaged: pd.DataFrame,
        new_classifier: Callable[..., AnemiaClassifier],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(module, "_compute", pytest.fail)
        cfg = settings(tmp_path, "batch_size=4")
        with pytest.raises(UnreadablePhotosError) as caught:
            photo_logits(cfg, [finished(new_classifier(0))], damaged)
        assert [photo for photo, *_ in caught.value.unreadable] == [damaged["photo"][3], damaged["photo"][20]]
        sentence = "found 2 that cannot. Replace or remove them, or leave them out with on_unreadable=skip:\n"
        assert sentence in str(caught.value)

    @pytest.mark.parametrize("on_unreadable", ["stop", "skip"])
    def test_where_none_can_be_read_there_is_nothing_to_leave_out(
        self,
        damaged: pd.DataFrame,
        new_classifier: Callable[..., AnemiaClassifier],
        tmp_path: Path,
        on_unreadable: str,
    ) -> None:
        few = damaged.iloc[[3, 20]].reset_index(drop=True)
        cfg = settings(tmp_path, f"on_unreadable={on_unreadable}")
        with pytest.raises(UnreadablePhotosError) as caught:
            photo_logits(cfg, [finished(new_classifier(0))], few)
        sentence = "found 2 that cannot. Replace these, which are all that there are, or name others with source=…:\n"
        assert sentence in str(caught.value)

    def test_those_that_give_int8_its_ranges_cannot_be_left_out(self, damaged: pd.DataFrame) -> None:
        with pytest.raises(UnreadablePhotosError) as caught:
            images_for_ranges(damaged, Framing(**FRAMING))  # type: ignore[arg-type]
        assert "found 2 that cannot. Replace or remove them:\n" in str(caught.value)


def test_int8_takes_its_ranges_from_the_photographs_named_for_it(
    rows: pd.DataFrame,
    new_classifier: Callable[..., AnemiaClassifier],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[torch.Tensor] = []

    def build(name: str, precision: str, build: Build) -> Engine:
        assert (name, precision, build.size, build.folder) == (
            "onnxruntime",
            "int8",
            32,
            tmp_path / "cache" / "engines",
        )
        assert build.range_images is not None
        seen.append(build.range_images())
        return build_engine("torch", "32", build)

    monkeypatch.setattr(module, "build_engine", build)
    cfg = settings(tmp_path, "engine=onnxruntime", "precision=int8")
    photo_logits(cfg, [finished(new_classifier(0))], rows, range_photos=rows.iloc[5:9])
    framing = Framing(**FRAMING)  # type: ignore[arg-type]
    squares = [framing.apply(open_photo(path).rgba).transpose(2, 0, 1) for path in rows["path"][5:9]]
    assert torch.equal(seen[0], normalise(torch.from_numpy(np.stack(squares))))


def test_of_many_photographs_some_that_lie_evenly_among_them_are_taken(rows: pd.DataFrame) -> None:
    many = pd.concat([rows] * 10, ignore_index=True)
    framing = Framing(**FRAMING)  # type: ignore[arg-type]
    images = images_for_ranges(many, framing)
    assert images.shape == (RANGE_PHOTOS, 3, 32, 32)
    assert len({image.sum().item() for image in images}) > 15


def test_an_engine_that_there_is_not_is_named_before_anything_is_read(rows: pd.DataFrame, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="found 'tensorrt'"):
        photo_logits(settings(tmp_path, "engine=tensorrt"), [], rows)


def test_a_device_that_there_is_not_is_named() -> None:
    assert wiring.resolve_device("cpu") == torch.device("cpu")
    with pytest.raises(ConfigError, match=r"trainer\.accelerator=tpu: there is no such device here"):
        wiring.resolve_device("tpu")
