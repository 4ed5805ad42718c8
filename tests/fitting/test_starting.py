"""What a fit starts from may not have met the photographs that judge or choose it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import DictConfig

from anemia_lightning import wiring
from anemia_lightning.command_line.resuming import resume_checkpoint
from anemia_lightning.command_line.settings import compose
from anemia_lightning.contracts import Stage
from anemia_lightning.crossvalidating.cross_validation import deal_folds
from anemia_lightning.data.datamodule import AnemiaDataModule
from anemia_lightning.data.overlap import find_overlap, photo_hashes
from anemia_lightning.data.preparation import Prepared
from anemia_lightning.errors import CheckpointUnreadableError, ConfigError, StartOverlapError
from anemia_lightning.fitting.starting import check_epochs, check_folds, read_start, remember_start
from anemia_lightning.fitting.training import train_run
from anemia_lightning.photos import prepare_photos

Compose = Callable[..., DictConfig]

WAYS = ("init_from", "model.weights", "resume")
"""How a fit can come by the weights of a checkpoint."""


@pytest.fixture
def cfg_of(tiny_cfg: Compose, tmp_path: Path) -> Compose:
    return lambda *overrides: tiny_cfg(tmp_path / "run", *overrides)


@pytest.fixture(scope="module")
def prepared(tiny_cfg: Compose, tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return prepare_photos(tiny_cfg(tmp_path_factory.mktemp("prepared") / "run"))


def split(cfg: DictConfig, prepared: Prepared) -> AnemiaDataModule:
    datamodule = wiring.build_datamodule(cfg, prepared)
    datamodule.setup()
    return datamodule


def save(file: Path, carried: dict[str, Any] | None) -> Path:
    """Writes as much of a checkpoint as says which photographs its model has met."""
    torch.save({"state_dict": {}} | ({"AnemiaDataModule": carried} if carried else {}), file)
    return file


@pytest.fixture
def first(cfg_of: Compose, prepared: Prepared, tmp_path: Path) -> Path:
    """The checkpoint of a run on these photos."""
    return save(tmp_path / "best.ckpt", split(cfg_of(), prepared).state_dict())


def start(cfg_of: Compose, prepared: Prepared, file: Path, way: str, *overrides: str) -> AnemiaDataModule:
    cfg = cfg_of(*overrides, f"{way}={file}")
    datamodule = split(cfg, prepared)
    assert remember_start(cfg, datamodule, read_start(cfg, resume_checkpoint(cfg))) == []
    return datamodule


def write_splits(file: Path, datamodule: AnemiaDataModule, **changes: str) -> str:
    """Writes the splits of a run, some photos put elsewhere, and returns the setting that names them."""
    table = datamodule.split_table()
    table["split"] = [changes.get(photo, old) for photo, old in zip(table["photo"], table["split"], strict=True)]
    table.to_csv(file, index=False)
    return f"split.file={file}"


@pytest.mark.parametrize("way", WAYS)
def test_test_photos_that_it_has_met_stop_the_fit(way: str, cfg_of: Compose, prepared: Prepared, first: Path) -> None:
    other = split(cfg_of("split.seed=1"), prepared)
    carried = torch.load(first, weights_only=True)["AnemiaDataModule"]["photo_hashes"]
    met = find_overlap(other.facts("test"), carried)
    assert met
    with pytest.raises(StartOverlapError) as caught:
        start(cfg_of, prepared, first, way, "split.seed=1")
    assert set(met) <= set(caught.value.met) <= set(other.rows("test")["photo"])
    message = str(caught.value)
    assert message.startswith(f"Looked for test photographs that are new to {first}, from which the fit starts; found ")
    assert "split.file=RUN/splits.csv" in message


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("given", [False, True])
def test_a_fit_on_the_same_splits_goes_on(
    way: str, given: bool, cfg_of: Compose, prepared: Prepared, first: Path, tmp_path: Path
) -> None:
    same = [write_splits(tmp_path / "splits.csv", split(cfg_of(), prepared)), "split.seed=1"] if given else []
    datamodule = start(cfg_of, prepared, first, way, *same)
    assert datamodule.state_dict() == torch.load(first, weights_only=True)["AnemiaDataModule"]


def test_copies_that_a_split_has_on_both_sides_itself_stop_no_second_fit_on_it(
    cfg_of: Compose, prepared: Prepared, tmp_path: Path
) -> None:
    facts = prepared.facts.assign(turned_sha256="alike")
    copies = Prepared(**{**vars(prepared), "facts": facts})
    file = save(tmp_path / "best.ckpt", split(cfg_of(), copies).state_dict())
    start(cfg_of, copies, file, "init_from")


@pytest.mark.parametrize("way", WAYS)
def test_checkpoints_remember_what_the_models_before_have_met(
    way: str, cfg_of: Compose, prepared: Prepared, tmp_path: Path
) -> None:
    file = save(
        tmp_path / "other.ckpt",
        {"photo_hashes": ["0" * 16, "1" * 16], "training_hashes": ["0" * 16], "surroundings": ["whole"]},
    )
    own, both = split(cfg_of(), prepared).state_dict(), start(cfg_of, prepared, file, way).state_dict()
    assert both["photo_hashes"] == sorted(["0" * 16, "1" * 16, *own["photo_hashes"]])
    assert both["training_hashes"] == sorted(["0" * 16, *own["training_hashes"]])
    assert (own["surroundings"], both["surroundings"]) == (["cut-out"], ["cut-out", "whole"])
    assert (
        find_overlap(prepared.facts, own["training_hashes"])
        == split(cfg_of(), prepared).rows("train")["photo"].tolist()
    )


def of_a_patient(datamodule: AnemiaDataModule, stage: Stage) -> list[str]:
    """Returns the photos of a patient of whom there are several, of a class that others of the split have too."""
    rows = datamodule.rows(stage)
    common = rows[rows["label"] == rows["label"].mode()[0]]
    photos: list[str] = common["photo"][common["patient"] == common["patient"].mode()[0]].tolist()
    return photos


def test_validation_photos_may_have_chosen_it_and_not_trained_it(
    cfg_of: Compose, prepared: Prepared, first: Path, tmp_path: Path
) -> None:
    before = split(cfg_of(), prepared)
    trained, chose = of_a_patient(before, "train"), of_a_patient(before, "val")
    moved = write_splits(tmp_path / "a.csv", before, **dict.fromkeys(trained, "val"))
    with pytest.raises(StartOverlapError, match=rf"for val photographs .* found {len(trained)} of .* that trained its"):
        start(cfg_of, prepared, first, "init_from", moved)
    start(
        cfg_of, prepared, first, "init_from", write_splits(tmp_path / "b.csv", before, **dict.fromkeys(chose, "train"))
    )


def test_patients_that_it_has_met_stop_the_fit_though_the_photos_met_are_left_out(
    cfg_of: Compose, prepared: Prepared, tmp_path: Path
) -> None:
    before = split(cfg_of(), prepared)
    met = of_a_patient(before, "train")
    hashes = photo_hashes(prepared.facts[prepared.facts["photo"] == met[0]])
    one = save(tmp_path / "one.ckpt", {"photo_hashes": hashes, "training_hashes": hashes})
    places = {met[0]: "excluded"} | dict.fromkeys(met[1:], "test")
    with pytest.raises(StartOverlapError) as caught:
        start(cfg_of, prepared, one, "init_from", write_splits(tmp_path / "a.csv", before, **places))
    assert caught.value.met == met[1:]


def test_what_does_not_say_whom_it_has_met_is_warned_of(cfg_of: Compose, prepared: Prepared, tmp_path: Path) -> None:
    file = save(tmp_path / "old.ckpt", None)
    cfg = cfg_of(f"init_from={file}")
    sentence = "old.ckpt, from which this run starts, does not say which photographs trained it: test photos may have."
    assert remember_start(cfg, split(cfg, prepared), read_start(cfg, None)) == [sentence]
    torch.save({"weight": torch.zeros(1)}, tmp_path / "theirs.pth")
    cfg = cfg_of(f"model.weights={tmp_path}/theirs.pth")
    assert remember_start(cfg, split(cfg, prepared), read_start(cfg, None)) == []


def test_no_fold_is_trained_where_one_of_them_would_be_judged_by_photos_met(
    tiny_overrides: list[str], prepared: Prepared, first: Path, tmp_path: Path
) -> None:
    cfg = compose("crossval", [*tiny_overrides, f"init_from={first}", "folds=3"])
    folds = deal_folds(cfg, prepared.manifest).folds
    with pytest.raises(StartOverlapError, match="start from weights that have not met them"):
        check_folds(cfg, folds, prepared)
    cfg.init_from = str(save(tmp_path / "other.ckpt", {"photo_hashes": ["0" * 16], "training_hashes": []}))
    check_folds(cfg, folds, prepared)


def test_a_run_is_not_resumed_to_train_for_less_than_it_has(cfg_of: Compose, tmp_path: Path) -> None:
    torch.save({"epoch": 11, "state_dict": {}}, tmp_path / "last.ckpt")
    start = read_start(cfg_of(), tmp_path / "last.ckpt")
    for epochs in (12, 40):
        check_epochs(cfg_of(f"trainer.max_epochs={epochs}"), start)
    with pytest.raises(
        ConfigError, match=r"last\.ckpt has trained for 12 epochs, which are more than trainer\.max_epochs=11\."
    ):
        check_epochs(cfg_of("trainer.max_epochs=11"), start)


@pytest.mark.parametrize("way", ["resume", "init_from"])
def test_a_damaged_checkpoint_is_refused_before_photos_are_read(
    way: str, cfg_of: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "torn.ckpt").write_bytes(b"torn")
    monkeypatch.setattr("anemia_lightning.fitting.training.prepare_photos", pytest.fail)
    with pytest.raises(CheckpointUnreadableError, match=r"a checkpoint at .*torn\.ckpt"):
        train_run(cfg_of(f"{way}={tmp_path}/torn.ckpt"))
