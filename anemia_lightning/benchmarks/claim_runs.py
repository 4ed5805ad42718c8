"""The runs that the seed's claims are tested by: cross-validations of each arm, finished one by one and read again."""

import math
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from omegaconf import DictConfig, OmegaConf

from anemia_lightning.benchmarks.rules import fixed_settings
from anemia_lightning.command_line.resuming import keep_settings
from anemia_lightning.command_line.settings import compose, make_paths_absolute
from anemia_lightning.command_line.settings_check import check_settings
from anemia_lightning.data.preparation import Prepared
from anemia_lightning.files.run_folder import RunFolder, read_run_card, read_table, write_table
from anemia_lightning.metrics.scores import auroc, decisions_of

_NO_LOOKS = "evaluation.probe_photos=0"
_EVEN = 0.5
"""The probability from which the seed's loop calls a photo anaemic: the larger of two outputs."""

_PERCENT = 100.0
_STILL = (
    "flip=0",
    "rotation_degrees=0",
    "brightness=0",
    "contrast=0",
    "affine_rotation_degrees=0",
    "translation=0",
    "scale=[1,1]",
)


class Arm(NamedTuple):
    """One way to train."""

    words: str
    overrides: tuple[str, ...]


ARMS = {
    "full": Arm("full protocol", ()),
    # What experiment=head_only says; but that would give way to phases on the command line.
    "head_only": Arm("no fine-tuning: the head alone", ("callbacks.unfreeze.phases=[]",)),
    "fixed_rate": Arm("fixed learning rate", ("scheduler=constant",)),
    # Views that do not differ need to be computed once.
    "no_augmentation": Arm("no augmentation", (*(f"data.augmentation.{each}" for each in _STILL), "features.views=1")),
    "no_class_weights": Arm("no class weights", ("model.class_weights=null",)),
    "plateau_cosine": Arm("hybrid scheduler: plateau and cosine", ("scheduler=plateau_cosine",)),
    "random_weights": Arm("random weights", ("model.weights=null",)),
}
"""The full protocol, and what differs in each other arm."""

QUANTITIES = (
    "train_acc",
    "train_acc_running",
    "val_acc",
    "gap",
    "gap_running",
    "epochs",
    "best_after",
    "test_acc",
    "test_auroc",
)
"""What is known of each run: accuracies and gaps in percent, epochs, and the AUROC on its own test photos."""


class ClaimRuns:
    """The cross-validations in a folder, one below it for each arm and seed.

    Args:
        folder: Where they lie.
        overrides: Settings of crossval that all arms share.
        folds: Of each cross-validation.
    """

    def __init__(self, folder: Path, overrides: Sequence[str], *, folds: int) -> None:
        self.folder = folder.absolute()
        self._overrides = list(overrides)
        self._n_folds = folds
        self.settings = self._compose(self.folder, ARMS["full"], seed=0)
        """Those of the full protocol."""

    def keep_settings(self) -> None:
        """Writes the settings, or asserts that what was trained already was trained with the same.

        Raises:
            SettingsChangedError: If it was not.
        """
        keep_settings(self.settings, RunFolder(self.folder), fixed_settings)

    def finish(self, arm: str, seed: int) -> None:
        """Trains what is not trained yet of one cross-validation, and asks each model about its training photos."""
        from anemia_lightning.crossvalidating.cross_validation import cross_validate

        place = self.place(arm, seed)
        if not (place / "metrics.json").is_file():
            cross_validate(self._compose(place, ARMS[arm], seed=seed))
        for fold in _folds(place):
            if not fold.predictions("train").is_file():
                _score_training_photos(fold, self._prepared)

    def is_finished(self, arm: str, seed: int) -> bool:
        """Whether all of one cross-validation is done."""
        place = self.place(arm, seed)
        folds = _folds(place)
        has_answers = all(fold.predictions("train").is_file() for fold in folds)
        return (place / "metrics.json").is_file() and len(folds) == self._n_folds and has_answers

    def place(self, arm: str, seed: int) -> Path:
        """Returns where one cross-validation lies."""
        return self.folder / f"{arm}-seed-{seed}"

    def table(self, arms: Sequence[str], seeds: Sequence[int]) -> pd.DataFrame:
        """Returns one row per finished run: arm, fold, seed and `QUANTITIES`, NaN where one is not known."""
        rows = [
            {"arm": arm, "fold": fold.path.name, "seed": seed, **quantities_of(fold)}
            for arm in arms
            for seed in seeds
            for fold in _folds(self.place(arm, seed))
        ]
        return pd.DataFrame(rows, columns=["arm", "fold", "seed", *QUANTITIES])

    def cards(self, arm: str, seeds: Sequence[int]) -> list[dict[str, Any]]:
        """Returns run.json of the finished runs of an arm."""
        return [read_run_card(fold.run_json) for seed in seeds for fold in _folds(self.place(arm, seed))]

    @cached_property
    def _prepared(self) -> Prepared:
        from anemia_lightning.photos import prepare_photos

        return prepare_photos(self.settings)

    def _compose(self, place: Path, arm: Arm, *, seed: int) -> DictConfig:
        overrides = [_NO_LOOKS, *self._overrides, *arm.overrides, f"folds={self._n_folds}", f"seed={seed}"]
        cfg = compose("crossval", overrides, run_dir=place)
        check_settings(cfg)
        make_paths_absolute(cfg)
        return cfg


def quantities_of(fold: RunFolder) -> dict[str, float]:
    """Returns `QUANTITIES` of a finished run, read from its files."""
    epochs = pd.read_csv(fold.metrics_csv)
    best = int(read_run_card(fold.run_json)["best_epoch"])
    running = _PERCENT * float(epochs.set_index("epoch")["train/acc"].loc[best])
    train, val, test = (_answers(fold, split) for split in ("train", "val", "test"))
    train_acc, val_acc = _accuracy(train), _accuracy(val)
    area = auroc(test["label"].to_numpy(), test["logit"].to_numpy()) if test is not None else None
    return {
        "train_acc": train_acc,
        "train_acc_running": running,
        "val_acc": val_acc,
        "gap": train_acc - val_acc,
        "gap_running": running - val_acc,
        "epochs": float(len(epochs)),
        "best_after": float(best + 1),
        "test_acc": _accuracy(test),
        "test_auroc": math.nan if area is None else area,
    }


def _folds(place: Path) -> list[RunFolder]:
    """Returns the finished runs of a cross-validation."""
    folders = sorted(place.glob("folds/*"))
    return [RunFolder(path) for path in folders if read_run_card(RunFolder(path).run_json).get("status") == "finished"]


def _answers(fold: RunFolder, split: str) -> pd.DataFrame | None:
    path = fold.predictions(split)
    return read_table(path) if path.is_file() else None


def _accuracy(table: pd.DataFrame | None) -> float:
    if table is None:
        return math.nan
    return _PERCENT * float((decisions_of(table["logit"].to_numpy(), _EVEN) == table["label"]).mean())


def _score_training_photos(fold: RunFolder, prepared: Prepared) -> None:
    """Asks the best model of a run about its training photos as they are, through the features that are kept."""
    from anemia_lightning.judging.scoring import Scorer
    from anemia_lightning.model.classifier import load_classifier
    from anemia_lightning.photos import restore_datamodule

    cfg = OmegaConf.load(fold.settings)
    assert isinstance(cfg, DictConfig)
    datamodule = restore_datamodule(cfg, prepared, fold)
    rows = datamodule.rows("train")
    scorer = Scorer(cfg, load_classifier(fold.best), precision=read_run_card(fold.run_json)["precision"])
    logits = scorer.predict(rows, prepared.facts)
    table = rows[["photo", "patient", "photo_group", "label"]].assign(logit=rows["photo"].map(logits))
    write_table(fold.predictions("train"), table)


def count_parameters(backbone: str, hidden: int) -> dict[str, int]:
    """Returns how many parameters the trunk, layer4 and the head of a network have."""
    from anemia_lightning.model.backbone import AnemiaNetwork

    groups = AnemiaNetwork(backbone=backbone, hidden=hidden).parameter_groups()
    return {name: sum(each.numel() for each in params) for name, params in groups}
