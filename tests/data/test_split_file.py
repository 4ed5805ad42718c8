import csv
import hashlib
from pathlib import Path

import pandas as pd
import pytest

from anemia_lightning.data.split_file import read_splits, split_hash
from anemia_lightning.errors import SourceError, SplitFileError

PHOTOS = pd.Series(["s/007", "s/NA", "s/1e5"], index=[4, 2, 9])


def table(folder: Path, rows: list[list[str]]) -> Path:
    with (folder / "splits.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)
    return folder / "splits.csv"


def test_splits_are_found_by_photo_id_whatever_the_order_and_the_other_columns(tmp_path: Path) -> None:
    file = table(
        tmp_path,
        [
            ["split", "reason", "photo", "label"],
            ["Test", "", "s/1e5", "1"],
            ["train", "", "s/007", "0"],
            ["excluded", "unreadable", "s/NA", "1"],
            ["excluded", "gone", "s/elsewhere", "1"],
        ],
    )
    splits = read_splits(file, PHOTOS)
    assert splits.to_dict() == {4: "train", 2: "excluded", 9: "test"}
    assert splits.index.equals(PHOTOS.index)


def test_all_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    rows = [["photo", "split"], ["s/007", "train"], ["s/007", "train"], ["s/1e5", "holdout"], ["s/gone", "val"]]
    file = table(tmp_path, rows)
    with pytest.raises(SplitFileError) as caught:
        read_splits(file, PHOTOS)
    assert str(caught.value) == (
        f"Looked for one split for each photo in {file}; found photos that it lists more than once: s/007; "
        "a split other than train, val, test, excluded: s/1e5 ('holdout'); "
        "photos of the data that it does not list: s/NA; photos that are not among those that can be used: s/gone. "
        "Mend the file, or leave split.file empty and have the split drawn."
    )


def test_many_missing_photos_are_counted(tmp_path: Path) -> None:
    photos = pd.Series([f"s/{number:03}" for number in range(50)])
    with pytest.raises(SplitFileError, match=r"does not list: s/001, .* and 29 more\. Mend"):
        read_splits(table(tmp_path, [["photo", "split"], ["s/000", "train"]]), photos)


def test_a_missing_file_or_column_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="found no file there"):
        read_splits(tmp_path / "splits.csv", PHOTOS)
    with pytest.raises(SourceError, match="Looked for the columns 'split'"):
        read_splits(table(tmp_path, [["photo", "set"], ["s/007", "train"]]), PHOTOS)


def test_the_hash_is_that_of_the_sorted_lines() -> None:
    splits = pd.Series(["val", "train", "test"], index=PHOTOS.index)
    expected = hashlib.sha256(b"s/007,val\ns/1e5,test\ns/NA,train\n").hexdigest()
    assert split_hash(PHOTOS, splits) == expected
    assert split_hash(PHOTOS.sort_values(), splits) == expected


def test_the_hash_tells_any_two_splits_apart() -> None:
    splits = pd.Series(["val", "train", "test"], index=PHOTOS.index)
    others = [
        split_hash(PHOTOS, splits),
        split_hash(PHOTOS, splits.replace("test", "val")),
        split_hash(PHOTOS.replace("s/NA", "s/na"), splits),
        split_hash(PHOTOS[:2], splits[:2]),
        split_hash(pd.Series(["a,val\nb"]), pd.Series(["val"])),
        split_hash(pd.Series(["a", "b"]), pd.Series(["val", "val"])),
    ]
    assert len(set(others)) == len(others)
