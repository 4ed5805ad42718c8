import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL import Image

from anemia_lightning.data.sources.folder import read_folder
from anemia_lightning.errors import AnemiaError
from anemia_lightning.randomness import stream


def draw(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (2, 2), "red").save(path, format="PNG")
    return root


def refusal(root: Path, **options: Any) -> str:
    with pytest.raises(AnemiaError) as caught:
        read_folder(root=root, **({"positive_class": "pale"} | options))
    return str(caught.value)


def labels(manifest: pd.DataFrame) -> dict[str, int]:
    return dict(zip(manifest["photo"], manifest["label"], strict=True))


def test_one_folder_per_class(tmp_path: Path) -> None:
    draw(tmp_path, "pale/b.png", "pale/deep/a.png", "rosy/a.png")
    (tmp_path / "pale" / "Thumbs.db").touch()
    (tmp_path / "README.txt").touch()
    (tmp_path / ".cache").mkdir()
    manifest = read_folder(root=tmp_path, positive_class="pale")
    assert labels(manifest) == {"folder/pale/b.png": 1, "folder/pale/deep/a.png": 1, "folder/rosy/a.png": 0}
    assert manifest["path"].tolist() == [str(tmp_path / photo.partition("/")[2]) for photo in manifest["photo"]]
    assert manifest["patient"].tolist() == manifest["photo"].tolist()
    assert set(manifest["split"]) == {""}
    assert set(manifest["source"]) == {"folder"}


@pytest.mark.parametrize("negative", [None, "z"])
def test_the_positive_class_is_the_named_one_and_not_the_second(tmp_path: Path, negative: str | None) -> None:
    draw(tmp_path, "a/1.png", "z/2.png")
    assert labels(read_folder(root=tmp_path, positive_class="a", negative_class=negative)) == {
        "folder/a/1.png": 1,
        "folder/z/2.png": 0,
    }
    assert labels(read_folder(root=tmp_path, positive_class="z")) == {
        "folder/a/1.png": 0,
        "folder/z/2.png": 1,
    }


@pytest.mark.parametrize("seed", range(30))
def test_neither_the_names_nor_the_order_of_the_class_folders_matter(tmp_path: Path, seed: int) -> None:
    """However the folders are called, the same files come back with the same labels."""
    noise = stream("class folders", seed)
    photos = {f"{number:03d}.png": int(noise.integers(2)) for number in range(12)} | {"x.png": 0, "y.png": 1}
    found = []
    for names in (("a", "b"), ("b", "a"), ("Zoe", "1"), ("0", "ÄÖ")):
        root = tmp_path / "-".join(names)
        draw(root, *(f"{names[label]}/{photo}" for photo, label in photos.items()))
        named: dict[str, Any] = {"positive_class": names[1]}
        if noise.integers(2):
            named["negative_class"] = names[0]
        manifest = read_folder(root=root, **named)
        found.append({Path(path).name: label for path, label in zip(manifest["path"], manifest["label"], strict=True)})
    assert found == [photos] * len(found)


def test_a_class_that_is_not_named_is_not_guessed(tmp_path: Path) -> None:
    draw(tmp_path, "pale/1.png", "rosy/2.png")
    assert refusal(tmp_path, positive_class=None) == (
        "data.positive_class must be given: the name of the folder of anaemic photos."
    )


def test_classes_match_whatever_their_case_and_blanks(tmp_path: Path) -> None:
    draw(
        tmp_path,
        "Train/ Anemic/1.png",
        "Train/NORMAL/2.png",
        "VALID/anemic /3.png",
        "validation/Normal/4.png",
    )
    manifest = read_folder(root=tmp_path, positive_class=" ANEMIC")
    assert dict(zip(manifest["photo"], manifest["split"], strict=True)) == {
        "folder/Train/ Anemic/1.png": "train",
        "folder/Train/NORMAL/2.png": "train",
        "folder/VALID/anemic /3.png": "val",
        "folder/validation/Normal/4.png": "val",
    }
    assert manifest["label"].tolist() == [1, 0, 1, 0]


def test_split_folders_become_splits(tmp_path: Path) -> None:
    draw(
        tmp_path,
        *(f"{split}/{name}/1.png" for split in ("train", "val", "test") for name in ("pale", "rosy")),
    )
    manifest = read_folder(root=tmp_path, positive_class="pale")
    assert manifest["split"].tolist() == ["test", "test", "train", "train", "val", "val"]
    assert manifest["label"].tolist() == [1, 0] * 3


def test_several_folders_may_make_a_class(tmp_path: Path) -> None:
    draw(tmp_path, "mild/1.png", "severe/2.png", "none/3.png", "7/4.png")
    manifest = read_folder(root=tmp_path, positive_class=["mild", "severe"], negative_class=["none", 7])  # type: ignore[list-item]
    assert labels(manifest) == {
        "folder/7/4.png": 0,
        "folder/mild/1.png": 1,
        "folder/none/3.png": 0,
        "folder/severe/2.png": 1,
    }


def test_the_pattern_finds_the_patient(tmp_path: Path) -> None:
    draw(tmp_path, "pale/P007_left.png", "pale/P007_right.png", "rosy/P1e5_left.png")
    manifest = read_folder(root=tmp_path, positive_class="pale", patient_pattern=r"^P(\w+?)_")
    assert manifest["patient"].tolist() == ["007", "007", "1e5"]


def test_photos_that_the_pattern_does_not_fit_are_refused(tmp_path: Path) -> None:
    draw(tmp_path, "pale/P1_x.png", "rosy/2.png")
    assert refusal(tmp_path, patient_pattern="^(P.)_") == (
        f"Looked for a patient in each file name by '^(P.)_'; found 1 without one, "
        f"such as {tmp_path}/rosy/2.png. "
        "Change the pattern so that it fits every photograph, or rename these."
    )


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("P.", "it has 0 groups in brackets, and needs one"),
        ("((P).)", "it has 2 groups"),
        ("(P", "no regular expression"),
    ],
)
def test_patterns_without_one_group_are_refused(tmp_path: Path, pattern: str, problem: str) -> None:
    draw(tmp_path, "pale/P1.png", "rosy/P2.png")
    assert problem in refusal(tmp_path, patient_pattern=pattern)


@pytest.mark.parametrize(
    ("names", "options", "sentence"),
    [
        (
            ["a/1.png", "b/1.png"],
            {},
            "Looked for class folders named pale in ROOT; found only a, b. Name the folders of",
        ),
        (
            ["pale/1.png"],
            {},
            "Looked for two classes in ROOT; found only pale. Add the folder of those who are not",
        ),
        (
            ["pale/1.png", "a/1.png", "b/1.png"],
            {},
            "Looked for one class folder in ROOT beside the anaemic; found 2: a, b. Say which are not",
        ),
        (
            ["pale/1.png", "a/1.png", "b/1.png"],
            {"negative_class": "a"},
            "Looked for class folders of known meaning in ROOT; found also b. Name each with",
        ),
        (
            ["pale/1.png", "a/1.png"],
            {"negative_class": ["a", "Pale"]},
            "data.positive_class and data.negative_class both name pale; give it to one of them.",
        ),
        (
            ["pale/1.png", "a/1.png", "1.png"],
            {},
            "found 1 outside of them, such as ROOT/1.png. Move them into the folder",
        ),
        (["test/1.png", "test/pale/1.png"], {}, "found 1 outside of them, such as ROOT/test/1.png."),
        (
            ["train/pale/1.png", "a/1.png"],
            {},
            "Looked for only train, val and test folders in ROOT; found a beside them.",
        ),
    ],
)
def test_other_layouts_are_refused(tmp_path: Path, names: list[str], options: dict[str, Any], sentence: str) -> None:
    draw(tmp_path, *names)
    assert sentence.replace("ROOT", str(tmp_path)) in refusal(tmp_path, **options)


def test_empty_classes_are_all_named(tmp_path: Path) -> None:
    draw(tmp_path, "train/pale/1.png")
    for name in ("train/rosy", "test/pale"):
        (tmp_path / name).mkdir(parents=True)
    assert f"found none in {tmp_path}/test/pale, {tmp_path}/train/rosy." in refusal(tmp_path)


def test_a_missing_or_empty_root_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path).startswith(f"Looked for a folder with one folder of photographs per class at {tmp_path};")
    assert re.search("found nothing at data.root=.* Set data.root to a folder", refusal(tmp_path / "gone"))
