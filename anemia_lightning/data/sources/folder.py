"""The source `folder`: one folder per class, or train, val and test folders of these."""

import re
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from anemia_lightning.data.listing import data_folder, find_photos, subfolders
from anemia_lightning.data.manifest import build_manifest, photo_id
from anemia_lightning.errors import ConfigError, SourceError

_SPLITS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
_SOUGHT = "a folder with one folder of photographs per class"
_CHANGE = "Set data.root to a folder that holds one folder per class, or train, val and test folders of these."


def read_folder(
    *,
    root: str | Path | None,
    positive_class: str | Sequence[str] | None,
    negative_class: str | Sequence[str] | None = None,
    patient_pattern: str | None = None,
    source: str = "folder",
) -> pd.DataFrame:
    r"""Reads photographs whose folder says their class.

    Names of classes and splits match whatever their case; photographs may lie deeper below their class.

    Args:
        root: Holds the class folders, or folders train, val (valid, validation) and test that hold them.
        positive_class: The class or classes that are anaemic; never guessed.
        negative_class: Those that are not; None if only one class remains.
        patient_pattern: Regular expression with one group, searched in the file's name; the group is the
            patient: ``^(P\d+)_``. None makes each photo a patient of its own.
        source: First part of the photo ids.

    Returns:
        The manifest.

    Raises:
        ConfigError: If the settings contradict each other.
        SourceError: If the folders are not laid out so, or a class has no photograph.
        ManifestError: If the photos do not make a manifest.
    """
    if positive_class is None:
        raise ConfigError(["data.positive_class must be given: the name of the folder of anaemic photos."])
    folder = data_folder(root, sought=_SOUGHT, change=_CHANGE)
    places = _class_folders(folder)
    meaning = _meaning(folder, {_plain(place.name) for _, place in places}, positive_class, negative_class)
    photos = {place: find_photos(place) for _, place in places}
    if empty := [str(place) for place in photos if not photos[place]]:
        raise SourceError("photographs in each class folder", f"none in {', '.join(empty)}", "Fill or remove it.")
    rows = [
        {
            "path": path,
            "photo": photo_id(source, path, folder),
            "label": meaning[_plain(place.name)],
            "split": split,
        }
        for split, place in places
        for path in photos[place]
    ]
    patients = _patients([str(row["path"]) for row in rows], patient_pattern)
    return build_manifest(pd.DataFrame(rows).assign(patient=patients, source=source))


def _class_folders(folder: Path) -> list[tuple[str, Path]]:
    """Returns the split ("" if none is given) and place of each class folder."""
    top = subfolders(folder)
    splits = [place for place in top if _plain(place.name) in _SPLITS]
    if not top:
        raise SourceError(f"{_SOUGHT} at {folder}", "no folder in it", _CHANGE)
    if splits and len(splits) < len(top):
        others = ", ".join(place.name for place in top if place not in splits)
        raise SourceError(f"only train, val and test folders in {folder}", f"{others} beside them", _CHANGE)
    _refuse_loose_photos([folder, *splits])
    if not splits:
        return [("", place) for place in top]
    return [(_SPLITS[_plain(split.name)], place) for split in splits for place in subfolders(split)]


def _refuse_loose_photos(folders: list[Path]) -> None:
    loose = [photo for folder in folders for photo in find_photos(folder, deep=False)]
    if loose:
        found = f"{len(loose)} outside of them, such as {loose[0]}"
        raise SourceError("photographs in class folders", found, "Move them into the folder of their class.")


def _meaning(
    folder: Path,
    there: set[str],
    positive_class: str | Sequence[str],
    negative_class: str | Sequence[str] | None,
) -> dict[str, int]:
    """Returns the label of each class folder by its plain name."""
    positive = _names(positive_class)
    negative = _names(negative_class) if negative_class is not None else there - positive
    if positive & negative:
        both = ", ".join(sorted(positive & negative))
        raise ConfigError([f"data.positive_class and data.negative_class both name {both}; give it to one of them."])
    listing = ", ".join(sorted(there)) or "none"
    if absent := sorted((positive | negative) - there):
        change = "Name the folders of the anaemic with data.positive_class, the others with data.negative_class."
        raise SourceError(f"class folders named {', '.join(absent)} in {folder}", f"only {listing}", change)
    if unknown := sorted(there - positive - negative):
        change = "Name each with data.positive_class or data.negative_class, or move it elsewhere."
        raise SourceError(f"class folders of known meaning in {folder}", f"also {', '.join(unknown)}", change)
    if not negative:
        change = "Add the folder of those who are not anaemic."
        raise SourceError(f"two classes in {folder}", f"only {listing}", change)
    if negative_class is None and len(negative) > 1:
        change = "Say which are not anaemic, such as data.negative_class=[a,b]."
        raise SourceError(
            f"one class folder in {folder} beside the anaemic",
            f"{len(negative)}: {', '.join(sorted(negative))}",
            change,
        )
    return dict.fromkeys(positive, 1) | dict.fromkeys(negative, 0)


def _patients(paths: list[str], pattern: str | None) -> list[str]:
    if pattern is None:
        return [""] * len(paths)
    try:
        expression = re.compile(pattern)
    except re.error as fault:
        raise ConfigError([f"data.patient_pattern is '{pattern}', which is no regular expression: {fault}."]) from fault
    if expression.groups != 1:
        found = f"it has {expression.groups} groups in brackets, and needs one"
        raise ConfigError([f"data.patient_pattern is '{pattern}'; {found}."])
    matches = [expression.search(Path(path).name) for path in paths]
    patients = [match.group(1) or "" if match else "" for match in matches]
    strange = [path for path, patient in zip(paths, patients, strict=True) if not patient.strip()]
    if strange:
        found = f"{len(strange)} without one, such as {strange[0]}"
        change = "Change the pattern so that it fits every photograph, or rename these."
        raise SourceError(f"a patient in each file name by '{pattern}'", found, change)
    return patients


def _names(classes: str | Sequence[str]) -> set[str]:
    return {_plain(each) for each in ([classes] if isinstance(classes, str) else classes)}


def _plain(name: object) -> str:
    # YAML reads a folder called 1 as a number.
    return str(name).strip().casefold()
