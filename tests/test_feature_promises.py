"""What the cache of frozen layers promises: it changes nothing but time, and it is on unless it is switched off."""

import csv
import re
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import lightning as L
import numpy as np
import pytest
import torch
from omegaconf import DictConfig
from PIL import Image

from anemia_lightning import train, wiring
from anemia_lightning.command_line.settings import compose
from anemia_lightning.command_line.settings_check import check_settings
from anemia_lightning.data.dataset import PhotoDataset
from anemia_lightning.data.reading import Photograph
from anemia_lightning.errors import ConfigError, DiskFullError, PhotoChangedError, UnknownNameError
from anemia_lightning.features import shard_collection
from anemia_lightning.features.store import FeatureStore
from anemia_lightning.fitting import finishing, training
from anemia_lightning.fitting.finishing import Fit, load_best, predict_and_decide, write_scores
from anemia_lightning.frozen import feature_identity
from anemia_lightning.frozen.frozen_features import FrozenFeatures
from anemia_lightning.model.trunk_pass import TrunkPass
from anemia_lightning.photos import prepare_photos

pytestmark = pytest.mark.usefixtures("thin_networks")

ComposeTiny = Callable[..., DictConfig]
Run = Callable[..., dict[str, Any]]

# Fewer views than epochs, so that the head phase and layer4's both read a view that an epoch before has seen.
SHORT = ("trainer.max_epochs=5", "features.views=2")
WHOLE = "callbacks.unfreeze.phases=[{epoch: 0, train_from: layer3}]"
NO_CHECKPOINTS = "~callbacks.checkpoint"
HEAD_ALONE = "callbacks.unfreeze.phases=[]"
DEEPER = "callbacks.unfreeze.phases=[{epoch: 1, train_from: layer4}, {epoch: 3, train_from: layer3}]"
DEEPEST = "callbacks.unfreeze.phases=[{epoch: 3, train_from: layer3}, {epoch: 4, train_from: layer2}]"


class Losses(L.Callback):
    """Notes the loss of every step."""

    def __init__(self) -> None:
        self.values: list[float] = []

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, *_: Any) -> None:
        self.values.append(float(outputs["loss"]))


@pytest.fixture
def trunk_images(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of images in each call of the trunk."""
    counts: list[int] = []
    original = TrunkPass.trunk

    def count(self: TrunkPass, images: torch.Tensor) -> torch.Tensor:
        counts.append(len(images))
        return original(self, images)

    monkeypatch.setattr(TrunkPass, "trunk", count)
    return counts


@pytest.fixture
def run(tiny_cfg: ComposeTiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Fits in a folder and returns the loss of every step and what the run wrote; scores it too if told to.

    The scores are not judged: no store is asked for that.
    """

    def run_in(name: str, *overrides: str, source: Sequence[str] = (), score: bool = False) -> dict[str, Any]:
        # What was read of the photographs is kept elsewhere, and for all tests.
        overrides = (f"features.dir={tmp_path}/features", *SHORT, *overrides)
        if source:
            cfg = compose("train", [*source, *overrides], run_dir=tmp_path / name)
        else:
            cfg = tiny_cfg(tmp_path / name, *overrides)
        return run_one(cfg, monkeypatch, score=score)

    return run_in


def run_one(cfg: DictConfig, monkeypatch: pytest.MonkeyPatch, *, score: bool) -> dict[str, Any]:
    losses = Losses()
    build = wiring.build_callbacks
    kept: list[Fit] = []

    def finish(fit: Fit) -> dict[str, Any]:
        kept.append(fit)
        if not score:
            return {}
        load_best(fit.folder, fit.classifier)
        _, predictions = predict_and_decide(fit)
        return write_scores(fit, predictions)

    with monkeypatch.context() as patch:
        patch.setattr(wiring, "build_callbacks", lambda cfg: [*build(cfg), losses])
        patch.setattr(finishing, "finish_run", finish)
        folder = training.train_run(cfg).folder
    files = ["metrics.csv"] + ["metrics.json", "predictions_val.csv", "predictions_test.csv"] * score
    written = {file: (folder / file).read_bytes() for file in files}
    return {"losses": losses.values, **written, "features": kept[0].card.content["features"]}


def results(ran: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in ran.items() if name != "features"}


@pytest.fixture(scope="module")
def unkept(tiny_cfg: ComposeTiny, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Returns the results of a fit that keeps nothing, which several tests compare theirs with."""

    @cache
    def fit(*overrides: str) -> dict[str, Any]:
        folder = tmp_path_factory.mktemp("unkept") / "run"
        cfg = tiny_cfg(folder, *SHORT, NO_CHECKPOINTS, *overrides, "features.store=false")
        with pytest.MonkeyPatch.context() as patch:
            return results(run_one(cfg, patch, score=False))

    return fit


@pytest.fixture(scope="module")
def cold(tiny_cfg: ComposeTiny, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    """The results of a scored run that has filled a store, and the store."""
    folder = tmp_path_factory.mktemp("cold")
    with pytest.MonkeyPatch.context() as patch:
        ran = run_one(tiny_cfg(folder / "run", *SHORT, f"features.dir={folder}/features"), patch, score=True)
    return results(ran), folder / "features"


# --- on by default ---


@pytest.mark.usefixtures("_logs_end_with_the_test")
def test_a_plain_train_computes_each_view_of_a_photo_once(
    tiny_overrides: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    trunk_images: list[int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["anemia-train", *tiny_overrides, "trainer.max_epochs=6"])
    train.main()
    # 32 training photos in 4 views, 8 for validation and 8 to test, although there were 6 epochs and a final scoring.
    assert sum(trunk_images) == 32 * 4 + 8 + 8
    said = capsys.readouterr().out
    assert f"Frozen layers are computed once for 4 views of each training photo and kept in {tmp_path}" in said
    assert "features.store=false keeps nothing" in said


@pytest.mark.parametrize("choice", ["features.views=fresh", "features.views=1", "features.max_bytes=1000"])
def test_choices_are_taken(choice: str) -> None:
    for verb in ("train", "crossval"):
        check_settings(compose(verb, [choice]))


@pytest.mark.parametrize(
    ("choice", "sentence"),
    [
        ("features.views=0", "features.views is a whole number of 1 or more, or fresh, not 0."),
        ("features.views=many", "features.views is a whole number of 1 or more, or fresh, not many."),
        ("features.views=2.5", "features.views is a whole number of 1 or more, or fresh, not 2.5."),
        ("features.dtype=int4", "features.dtype is one of auto, uint8, not int4."),
        ("features.max_bytes=-1", "features.max_bytes is a number of bytes, or null, not -1."),
        ("features.max_bytes=20GB", "features.max_bytes is a number of bytes, or null, not 20GB."),
        ("features.store=sometimes", "features.store must be a true or false, not 'sometimes'."),
    ],
)
def test_choices_that_cannot_be_are_refused(choice: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(sentence)):
        check_settings(compose("train", [choice]))


def test_no_features_are_kept_in_a_precision_that_nobody_asked_for(run: Run) -> None:
    with pytest.raises(UnknownNameError, match=r"for trainer\.precision; found 'transformer-engine'\. Known, the"):
        run("run", "trainer.precision=transformer-engine")


# --- it changes nothing but time ---


@pytest.mark.usefixtures("real_networks")
@pytest.mark.parametrize(
    "settings",
    [
        ("trainer.precision=32-true",),
        ("trainer.precision=32-true", "features.views=fresh"),
        pytest.param(("trainer.precision=bf16-mixed",), marks=pytest.mark.slow),
        pytest.param(("trainer.precision=bf16-mixed", "features.dtype=uint8"), marks=pytest.mark.slow),
        pytest.param(("trainer.precision=bf16-mixed", "features.compile=true"), marks=pytest.mark.slow),
        pytest.param(("trainer.precision=bf16-mixed", "model.backbone=resnet50"), marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_kept_or_not_cold_or_warm_every_loss_is_the_same(
    run: Run, settings: tuple[str, ...], trunk_images: list[int]
) -> None:
    computed = []
    ran = []
    for name, store in (("off", "false"), ("cold", "true"), ("warm", "true")):
        trunk_images.clear()
        ran.append(results(run(name, *settings, f"features.store={store}", score=True)))
        computed.append(sum(trunk_images))
    assert ran[0] == ran[1] == ran[2]
    assert len(ran[0]["losses"]) == 10
    # Five epochs and a final scoring of 32, 8 and 8 photos; two views kept of training photos, or none of fresh ones.
    cold, warm = (176, 160) if "features.views=fresh" in settings else (80, 0)
    # The final scoring takes exact maps of validation photos where the fit has read others.
    cold += 8 * any(own in settings for own in ("features.dtype=uint8", "features.compile=true"))
    assert computed == [216, cold, warm]


@pytest.mark.parametrize(
    ("overrides", "computed"),
    [
        ((HEAD_ALONE,), 2 * 32 + 8 + 8),
        # The final scoring takes exact maps, where the fit has made others.
        (("features.dtype=uint8", HEAD_ALONE), 2 * 32 + 8 + 8 + 8),
        # And those of layers that the fit has trained since.
        (("callbacks.unfreeze.phases=[{epoch: 4, train_from: layer3}]",), 2 * 32 + 8 + 8 + 8),
    ],
    ids=str,
)
def test_the_scoring_reads_the_maps_of_which_the_fit_made_vectors(
    run: Run, overrides: Sequence[str], computed: int, trunk_images: list[int]
) -> None:
    run("run", *overrides, score=True)
    assert sum(trunk_images) == computed


def test_as_many_views_as_epochs_are_fresh_ones(run: Run, unkept: Run, trunk_images: list[int]) -> None:
    fresh = run("fresh", "features.views=fresh")
    as_many = run("as_many", "features.views=5")
    assert results(fresh) == results(as_many), "five views for five epochs are fresh ones"
    computed = sum(trunk_images)
    kept = run("kept", "features.views=fresh", "features.keep_fresh=true")
    assert results(kept) == results(fresh)
    assert sum(trunk_images) == computed, "a fresh view and a stored one are the same view"
    assert unkept("features.views=1") != results(fresh)


def test_a_resumed_run_reads_on(
    run: Run, cold: tuple[dict[str, Any], Path], trunk_images: list[int], tmp_path: Path
) -> None:
    whole, store = cold
    shutil.copytree(store, tmp_path / "features")
    trunk_images.clear()
    run("part", "trainer.max_epochs=3")
    resumed = run("resumed", f"resume={tmp_path}/part/checkpoints/last.ckpt", score=True)
    assert resumed["metrics.json"] == whole["metrics.json"]
    assert resumed["predictions_test.csv"] == whole["predictions_test.csv"]
    assert resumed["losses"] == whole["losses"][-len(resumed["losses"]) :]
    assert sum(trunk_images) == 0


@pytest.fixture
def reserved(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, int]]:
    """The bytes of each kind that room was made for: for the fit, then for each scoring."""
    asked: list[dict[str, int]] = []
    original = FrozenFeatures.make_room

    def note(self: FrozenFeatures, to_come: Mapping[str, int], **maps: Any) -> None:
        asked.append({kind: count for kind, count in to_come.items() if count})
        original(self, to_come, **maps)

    monkeypatch.setattr(FrozenFeatures, "make_room", note)
    return asked


PIXELS, MAP, POOLED = 3 * 32 * 32, 4 * 32 * 2 * 2, 4 * 64
"""Bytes of a photo; thin networks have an eighth of the channels."""


@pytest.mark.parametrize(
    ("overrides", "trains"),
    [
        ((), False),
        ((HEAD_ALONE,), False),
        (("features.dtype=uint8",), False),
        ((DEEPER,), True),
        (("model.frozen_batchnorm=train",), True),
    ],
    ids=str,
)
def test_a_fit_makes_room_for_what_it_and_the_scoring_write(
    run: Run, overrides: Sequence[str], *, trains: bool, reserved: list[dict[str, int]]
) -> None:
    ran = run("run", *overrides, score=True)
    fit, *scored = reserved
    for asked in scored if trains else []:
        # Maps of layers that the fit has trained: only who scores can tell how many are missing.
        asked.pop("layer3", None)
    assert sum(fit.values()) == ran["features"]["bytes_written"] + sum(sum(asked.values()) for asked in scored)


@pytest.mark.parametrize(
    ("phases", "until", "to_come"),
    [
        # Layer4 has changed, so no pooled vector can be found again; nobody asks for one.
        ((), 3, {"pixels": 8 * PIXELS, "layer3": 8 * MAP}),
        # And so have the frozen layers.
        ((DEEPER,), 4, {"pixels": 8 * PIXELS}),
    ],
)
def test_a_resumed_run_makes_room_for_its_own_epochs_alone(
    run: Run,
    phases: Sequence[str],
    until: int,
    to_come: dict[str, int],
    reserved: list[dict[str, int]],
    tmp_path: Path,
) -> None:
    run("part", *phases, f"trainer.max_epochs={until}")
    reserved.clear()
    run("resumed", *phases, f"resume={tmp_path}/part/checkpoints/last.ckpt")
    assert reserved == [to_come]


def test_what_a_phase_has_computed_is_on_the_disk_when_the_next_begins(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = wiring.build_callbacks
    kept: dict[int, int] = {}

    class Count(L.Callback):
        def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
            store = FeatureStore(tmp_path / "features")
            kept[trainer.current_epoch] = sum(each.photos for each in store.collections())

    monkeypatch.setattr(wiring, "build_callbacks", lambda cfg: [*build(cfg), Count()])
    run("phases")
    # Pixels, maps and pooled vectors; of 32 training photos maps and vectors in two views, of 8 others in one.
    assert kept[2] == 32 * (1 + 2 + 2) + 8 * 3


# --- what shares it, and what does not ---


class Filled(NamedTuple):
    """A run whose store others share."""

    settings: list[str]
    folder: Path
    ran: dict[str, Any]

    @property
    def last(self) -> Path:
        return self.folder / "run" / "checkpoints" / "last.ckpt"


@pytest.fixture(scope="module")
def filled(tiny_overrides: list[str], tmp_path_factory: pytest.TempPathFactory) -> Filled:
    """A run that has filled a store with one view; others with its settings keep no checkpoints."""
    folder = tmp_path_factory.mktemp("filled")
    # One epoch of the head and one that changes layer4 much.
    settings = [*tiny_overrides, "features.views=1", "trainer.max_epochs=2", "optimizer.lr=0.01"]
    settings += ["callbacks.unfreeze.phases=[{epoch: 1, train_from: layer4}]", f"features.dir={folder}/features"]
    with pytest.MonkeyPatch.context() as patch:
        ran = run_one(compose("train", settings, run_dir=folder / "run"), patch, score=False)
    return Filled([*settings, NO_CHECKPOINTS], folder, ran)


def test_other_seeds_splits_and_rates_share_it(
    filled: Filled, trunk_images: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Which this test alone adds to.
    own = f"features.dir={shutil.copytree(filled.folder / 'features', tmp_path / 'features')}"

    def fit(name: str, *changes: str) -> int:
        trunk_images.clear()
        run_one(compose("train", [*filled.settings, own, *changes], run_dir=tmp_path / name), monkeypatch, score=False)
        return sum(trunk_images)

    assert fit("second", "seed=1", "optimizer.lr=0.02", "model.hidden=16", "model.init_seed=0") == 0
    # A photo that was never trained on has no training view yet, one that was never tested no plain one.
    assert 0 < fit("third", "split.seed=1") < 32 + 8


def val_losses(ran: dict[str, Any]) -> list[str]:
    return [row["val/loss"] for row in csv.DictReader(ran["metrics.csv"].decode().splitlines())]


@pytest.mark.parametrize(
    "change",
    [
        "model.init_seed=1",
        "data.background=[0,0,0]",
        "data.region=mask_crop",
        "data.resize=letterbox",
        "data.image_size=48",
        "model.backbone=resnet34",
    ],
)
def test_another_ingredient_is_a_miss_and_changes_what_enters(
    filled: Filled, change: str, trunk_images: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = run_one(compose("train", [*filled.settings, change], run_dir=tmp_path / "run"), monkeypatch, score=False)
    assert (sum(trunk_images), len(ran["losses"])) == (32 + 8, 4)
    # Pixels that were kept for the others would give the losses of the others.
    assert all(one != other for one, other in zip(ran["losses"], filled.ran["losses"], strict=True))
    assert all(one != other for one, other in zip(val_losses(ran), val_losses(filled.ran), strict=True))


@pytest.mark.parametrize(
    ("change", "computed"),
    [
        ("seed=1", 0),
        # Augmentation changes training views alone, layer4 pooled vectors alone.
        ("data.augmentation_seed=1", 32),
        ("data.augmentation.brightness=0.3", 32),
        ("init_from=", 0),
        ("trainer.precision=bf16-mixed", 32 + 8),
        ("features.dtype=uint8", 32 + 8),
        pytest.param("features.compile=true", 32 + 8, marks=pytest.mark.slow),
    ],
)
def test_what_is_read_beside_the_features_of_others_is_what_is_computed(
    filled: Filled, change: str, computed: int, trunk_images: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = [*filled.settings, f"init_from={filled.last}" if change == "init_from=" else change]
    kept = run_one(compose("train", changed, run_dir=tmp_path / "kept"), monkeypatch, score=False)
    assert sum(trunk_images) == computed
    # Compiled, they may come out the same.
    assert kept["losses"] != filled.ran["losses"] or change == "features.compile=true"
    changed.append("features.store=false")
    unkept = run_one(compose("train", changed, run_dir=tmp_path / "unkept"), monkeypatch, score=False)
    assert results(kept) == results(unkept)


@pytest.mark.parametrize("ingredient", ["version", "decoder", "device", "instructions"])
def test_another_program_or_processor_is_a_miss(
    filled: Filled,
    ingredient: str,
    trunk_images: list[int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if ingredient == "version":
        monkeypatch.setattr(feature_identity, "FEATURES_VERSION", 0)
    elif ingredient == "decoder":
        monkeypatch.setattr(feature_identity, "decoder_versions", lambda: "another")
    elif ingredient == "instructions":
        # Processors of one capability: with and without bf16.
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": False, "another": True})
    else:
        monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "another")
    run_one(compose("train", filled.settings, run_dir=tmp_path / "run"), monkeypatch, score=False)
    assert sum(trunk_images) == 32 + 8


def test_maps_in_bytes_give_the_same_vectors_whether_they_are_kept_or_not(run: Run) -> None:
    head_alone = ("features.dtype=uint8", HEAD_ALONE)
    unkept = run("unkept", *head_alone, "features.store=false")
    run("with_maps", "features.dtype=uint8")
    assert results(run("kept", *head_alone)) == results(unkept)


def test_a_full_store_is_read_all_the_same(
    run: Run, cold: tuple[dict[str, Any], Path], trunk_images: list[int], tmp_path: Path
) -> None:
    known, store = cold
    shutil.copytree(store, tmp_path / "features")
    trunk_images.clear()
    warm = run("warm", "features.max_bytes=1")
    assert results(warm) == {name: known[name] for name in ("losses", "metrics.csv")}
    assert sum(trunk_images) == 0


def test_a_photograph_that_changes_while_it_is_used_stops_the_run(
    tiny_cfg: ComposeTiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "photos"
    cfg = tiny_cfg(tmp_path / "run", f"data.root={folder}", f"paths.cache={tmp_path}/cache")
    prepared = prepare_photos(cfg)
    path = Path(prepared.manifest["path"].iloc[0])
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)).save(path)
    with pytest.raises(PhotoChangedError, match="as it was when this command began; found another file in its place"):
        training.train_run(cfg, prepared=prepared)


def test_another_pixel_and_another_name_are_misses(run: Run, trunk_images: list[int], tmp_path: Path) -> None:
    root = tmp_path / "photos"
    numbers = np.random.default_rng(0)
    for split, count in (("train", 8), ("val", 4), ("test", 4)):
        for number in range(count):
            path = root / split / ("ill" if number % 2 else "well") / f"{split}{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(numbers.integers(0, 256, (40, 40, 3), dtype=np.uint8)).save(path)
    source = (
        "data=folder",
        f"data.root={root}",
        "data.positive_class=ill",
        "data.batch_size=8",
        "experiment=quick",
        "trainer=cpu",
        "trainer.precision=32-true",
    )
    run("first", "features.views=1", source=source)
    trunk_images.clear()
    changed = root / "train" / "ill" / "train1.png"
    pixels = np.array(Image.open(changed))
    pixels[0, 0] ^= 1
    Image.fromarray(pixels).save(changed)
    run("second", "features.views=1", source=source)
    assert sum(trunk_images) == 1
    (root / "train" / "ill" / "train3.png").rename(root / "train" / "ill" / "other.png")
    (root / "val" / "ill" / "val1.png").rename(root / "val" / "ill" / "another.png")
    run("third", "features.views=1", source=source)
    # The view of a training photo depends on its id; an image that is not augmented does not.
    assert sum(trunk_images) == 2


# --- when it cannot be ---


def test_a_full_disk_is_said_once_and_the_run_goes_on(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    usual = run("usual", "paths.cache=null")

    def refuse(path: Path, *args: object, **kwargs: object) -> None:
        raise DiskFullError(path)

    monkeypatch.setattr(shard_collection, "write_shard", refuse)
    capsys.readouterr()
    full = run("full")
    assert results(full) == results(usual)
    assert full["features"]["store"] is False
    assert full["features"]["off_because"].startswith("looked for room to write shard-")
    assert full["features"]["off_because"].endswith("found a full disk")
    said = capsys.readouterr().out
    assert said.count("Note: no more features can be kept, so this run will take longer, with the same result: ") == 1


def test_a_budget_that_is_too_small_is_said_and_the_run_goes_on(
    run: Run, unkept: Run, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    usual = unkept()
    small = run("small", "features.max_bytes=1000")
    assert results(small) == usual
    said = capsys.readouterr().out
    assert "may take 1.00kB in all (features.max_bytes), commands that are running use some of it, and" in said
    assert "are free on its disk. Fewer features.views or features.dtype=uint8 need less." in said
    assert not list((tmp_path / "features").rglob("*.safetensors"))


ALL_PIXELS, VECTORS = 48 * PIXELS, (2 * 32 + 8) * POOLED
"""Bytes of all photos, and of what the head sees in two epochs."""


@pytest.mark.parametrize(
    ("most", "views", "kept", "computed"),
    [
        # Of five epochs two train the head; the fifth sees the first view again.
        (ALL_PIXELS + VECTORS + 80 * MAP, 4, "pixels, layer3's maps of 2 of 4 views and pooled vectors", 4 * 32 + 8),
        (ALL_PIXELS + VECTORS, 4, "pixels and pooled vectors", 5 * 32 + 4 * 8),
        (ALL_PIXELS, 4, "pixels", 5 * (32 + 8)),
        (ALL_PIXELS - 1, 1, "pooled vectors", 4 * (32 + 8)),
    ],
)
def test_what_there_is_room_for_is_kept(
    most: int,
    views: int,
    kept: str,
    computed: int,
    run: Run,
    unkept: Run,
    capsys: pytest.CaptureFixture[str],
) -> None:
    small = run("small", f"features.max_bytes={most}", f"features.views={views}")
    assert f"Note: {kept} alone can be kept, so this run will take longer" in capsys.readouterr().out
    kinds = {"pixels": "pixels", "maps": "layer3", "pooled vectors": "pooled"}
    assert small["features"]["kept"] == [kind for words, kind in kinds.items() if words in kept]
    assert small["features"]["views_of_maps_kept"] == (2 if "maps" in kept else "all")
    assert small["features"]["trunk_images"] == computed
    assert 0 < small["features"]["bytes_written"] <= most
    assert results(small) == unkept(f"features.views={views}")


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (("features.store=false",), "Frozen layers are computed anew in each epoch: features.store=false."),
        (("paths.cache=null",), "Frozen layers are computed anew in each epoch: paths.cache=null."),
        (
            ("features.views=fresh",),
            "Frozen layers are computed for a new view of each training photo in every epoch.",
        ),
        (
            ("model.frozen_batchnorm=train",),
            "Every epoch computes the whole network: with model.frozen_batchnorm=train what frozen layers give depends "
            "on the batch.",
        ),
        (
            (WHOLE,),
            "Every epoch computes the whole network: layer3 trains too.\nPhotographs are decoded once and kept in ",
        ),
        ((DEEPER,), "From epoch 3 on the whole network is computed: layer3 trains too."),
        ((DEEPEST,), "From epoch 3 on the whole network is computed: layer3 trains too."),
        (("features.views=8",), "Frozen layers are computed once for 5 views of each training photo and kept in "),
        (("features.views=8", DEEPER), "Frozen layers are computed once for 3 views of each training photo and kept"),
        (("features.views=1",), "Frozen layers are computed once for 1 view of each training photo and kept in "),
    ],
    ids=str,
)
def test_a_run_says_what_becomes_of_its_frozen_layers(
    run: Run,
    overrides: Sequence[str],
    sentence: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    # Before it begins to fit.
    monkeypatch.setattr(training, "_fit", stop)
    with pytest.raises(KeyboardInterrupt):
        run("run", *overrides)
    assert sentence in capsys.readouterr().out


def test_what_trains_deeper_reads_the_same_views(run: Run, unkept: Run) -> None:
    layer4 = "{epoch: 1, train_from: layer4}"
    deeper = ("trainer.max_epochs=3", f"callbacks.unfreeze.phases=[{layer4}, {{epoch: 2, train_from: layer3}}]")
    kept = run("kept", *deeper)
    assert results(kept) == unkept(*deeper)
    shallow = run("shallow", "trainer.max_epochs=3", f"callbacks.unfreeze.phases=[{layer4}]")
    steps = 2 * len(kept["losses"]) // 3
    assert kept["losses"][:steps] == shallow["losses"][:steps]
    # Where the whole network begins to train, its images are those of the view whose map was read before.
    assert kept["losses"][steps] == pytest.approx(shallow["losses"][steps], rel=1e-4)


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The photos that were decoded for the fit."""
    photos: list[str] = []
    original = PhotoDataset.photograph

    def note(self: PhotoDataset, index: int) -> Photograph:
        photos.append(self.photo[index])
        return original(self, index)

    monkeypatch.setattr(PhotoDataset, "photograph", note)
    return photos


@pytest.mark.parametrize(
    "whole", [(WHOLE,), pytest.param(("model.frozen_batchnorm=train",), marks=pytest.mark.slow)], ids=str
)
def test_photographs_are_decoded_once_where_the_whole_network_trains(
    run: Run, decoded: list[str], whole: tuple[str, ...]
) -> None:
    whole = (*whole, "trainer.max_epochs=2")
    kept = run("kept", *whole)
    assert len(decoded) == len(set(decoded)) == 32 + 8
    assert (kept["features"]["kept"], kept["features"]["trunk_images"]) == (["pixels"], 0)
    decoded.clear()
    assert results(run("again", *whole)) == results(kept)
    assert decoded == []
    assert results(run("unkept", *whole, "features.store=false")) == results(kept)
    assert len(decoded) == 2 * (32 + 8)


def test_workers_read_the_epoch_that_is_due_keep_nothing_and_make_no_room(
    run: Run, decoded: list[str], reserved: list[dict[str, int]], tmp_path: Path
) -> None:
    usual = run("usual", WHOLE, "trainer.max_epochs=2")
    begun = run("begun", WHOLE, "trainer.max_epochs=1")
    decoded.clear()
    reserved.clear()
    resume = f"resume={tmp_path}/begun/checkpoints/last.ckpt"
    resumed = run("resumed", WHOLE, "trainer.max_epochs=2", "data.num_workers=1", resume)
    assert (decoded, reserved) == ([], [])
    why = "workers read the photographs anew in every epoch"
    assert resumed["features"] == {"store": False, "off_because": why}
    assert begun["losses"] + resumed["losses"] == usual["losses"]
    assert resumed["metrics.csv"] == usual["metrics.csv"]
