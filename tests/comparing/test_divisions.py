"""Runs on one division of the photos count one by one, divisions count once, and share photos."""

from pathlib import Path

import pandas as pd
import pytest

from anemia_lightning.comparing.divisions import (
    Division,
    division_note,
    name_division,
    over_divisions,
    read_division,
)
from anemia_lightning.metrics.over_runs import CORRECTED, STUDENT, UNCORRECTED, over_runs

PHOTOS = ["007", "NA", "c"]


def test_seeds_of_one_division_count_one_by_one() -> None:
    divisions = [Division("all", None, None)] * 3
    found = over_divisions([0.5, 0.6, 0.8], divisions, level=0.9)
    assert found == over_runs([0.5, 0.6, 0.8], level=0.9)
    assert (found.n, found.method, division_note(divisions)) == (3, STUDENT, "")


def test_of_several_divisions_each_counts_once_with_the_mean_of_its_seeds() -> None:
    first, second, third = Division("0", 20, 10), Division("1", 20, 10), Division("2", 20, 10)
    divisions = [first, second, third, first, second, third]
    found = over_divisions([0.5, 0.6, 0.8, 0.7, None, 0.6], divisions, level=0.95)
    assert found == over_runs([0.6, 0.6, 0.7], test_to_train=1 / 2)
    assert (found.n, found.method, division_note(divisions)) == (3, CORRECTED, "")


def test_folds_of_unequal_size_share_as_much_as_equal_ones() -> None:
    divisions = [Division("0", 20, 11), Division("1", 21, 10), Division("2", 21, 10)]
    assert over_divisions([0.5, 0.6, 0.8], divisions, level=0.95) == over_runs([0.5, 0.6, 0.8], test_to_train=1 / 2)


def test_without_the_numbers_of_photos_there_is_no_p_and_it_is_said() -> None:
    divisions = [Division("0", 20, 10), Division("1", None, None)]
    found = over_divisions([0.5, 0.6], divisions, level=0.95)
    assert (found.p, found.method) == (None, UNCORRECTED)
    assert found.low is not None
    assert division_note(divisions).startswith("no p, and the interval is too narrow: ")


def test_a_division_is_read_from_splits_csv(tmp_path: Path) -> None:
    file = tmp_path / "splits.csv"
    assert read_division("one", file) == Division("one", None, None)
    splits = ["train", "train", "train", "val", "test", "test", "excluded"]
    pd.DataFrame({"photo": range(7), "split": splits}).to_csv(file, index=False)
    assert read_division("one", file) == Division("one", 4, 2)
    # As of a checkpoint that is evaluated on other photos.
    pd.DataFrame({"photo": range(3), "split": ["test", "test", "excluded"]}).to_csv(file, index=False)
    assert read_division("one", file) == Division("one", None, None)


@pytest.mark.parametrize(
    ("repetition", "photos"),
    [
        ({"seed": "0", "split.seed": "1"}, PHOTOS),
        ({"seed": "0", "split.seed": "0", "fold": "repeat-0_fold-1"}, PHOTOS),
        ({"seed": "0", "split.seed": "0"}, PHOTOS[:2]),
    ],
)
def test_another_split_seed_fold_or_photo_is_another_division(repetition: dict[str, str], photos: list[str]) -> None:
    name = name_division({"seed": "0", "split.seed": "0"}, PHOTOS)
    assert name_division({"seed": "9", "model.init_seed": "9", "split.seed": "0"}, PHOTOS[::-1]) == name
    assert name_division(repetition, photos) != name
