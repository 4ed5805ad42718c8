"""Surveys on disk, so that photographs that have not changed are not surveyed again."""

import hashlib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.types import is_numeric_dtype

from anemia_lightning.data.copies import Copies
from anemia_lightning.data.decoders import decoder_versions
from anemia_lightning.data.photo_file import file_state
from anemia_lightning.data.reading import Unreadable
from anemia_lightning.data.survey import SURVEY_VERSION, Survey
from anemia_lightning.errors import DiskFullError
from anemia_lightning.files.private_folder import make_private
from anemia_lightning.files.whole_file import note_use, whole_file
from anemia_lightning.machine.side_by_side import side_by_side

_DENIED = "_DENIED"  # a photo or its mask
_log = logging.getLogger(__name__)


def stored_survey(folder: Path, manifest: pd.DataFrame, take: Callable[[], Survey], *, kind: str = "") -> Survey:
    """Returns the survey of a manifest from the store, or takes it and stores it.

    It is found again by name, path, size and time of change of all photographs and masks. What it holds of a photo
    (hashes, measures of colour) is personal data, see `make_private`. A store that cannot be written to changes nothing
    but the time the next survey takes, which is said. A survey that was denied a photograph is not kept: permission can
    be given without a trace in these. Nor is one during which a photograph was replaced.

    Args:
        folder: Of the store.
        manifest: The photos.
        take: Surveys them.
        kind: What else the survey depends on.
    """
    key = survey_key(manifest, kind=kind)
    file = folder / f"{key}.npz"
    known = _read(file)
    if known is not None:
        note_use(file)
        return known
    survey = take()
    was_denied = any(photo.code.endswith(_DENIED) for photo in survey.unreadable)
    if was_denied or survey_key(manifest, kind=kind) != key:
        return survey
    try:
        make_private(folder)
        _write(file, survey)
    except (OSError, DiskFullError) as error:
        # Else another process has kept the same meanwhile.
        if _read(file) is None:
            _log.warning("Each command will read all photographs again: their survey cannot be kept (%s).", error)
    return survey


def survey_key(manifest: pd.DataFrame, *, kind: str = "") -> str:
    """Returns the SHA-256 of all that a survey depends on."""
    versions = f"{SURVEY_VERSION} {kind} {decoder_versions()}"
    digest = hashlib.sha256(versions.encode())
    paths, masks = (side_by_side(file_state, manifest[column].tolist()) for column in ("path", "mask"))
    for state in zip(manifest["photo"], paths, masks, strict=True):
        digest.update(repr(state).encode())
    return digest.hexdigest()


def _write(file: Path, survey: Survey) -> None:
    tables = {
        "facts": survey.facts,
        "unreadable": pd.DataFrame(survey.unreadable, columns=list(Unreadable._fields)),
        "groups": survey.copies.groups,
        "pairs": survey.copies.pairs,
        "near": survey.copies.near,
    }
    arrays = {f"{name}/{column}": _column(table[column]) for name, table in tables.items() for column in table}
    with whole_file(file) as handle:
        np.savez(handle, allow_pickle=False, **arrays)


def _column(values: pd.Series) -> NDArray[Any]:
    # Text as text: an array of objects would need pickle, which runs what it reads.
    return values.to_numpy() if is_numeric_dtype(values) else np.array(values.tolist(), dtype=str)


def _read(file: Path) -> Survey | None:
    """Returns the stored survey; None where there is none, or none that can be read."""
    try:
        with file.open("rb") as handle, np.load(handle, allow_pickle=False) as arrays:
            tables: dict[str, dict[str, Any]] = {}
            for key in arrays:
                name, column = key.split("/", 1)
                values = arrays[key]
                tables.setdefault(name, {})[column] = values.tolist() if values.dtype.kind == "U" else values
            frames = {name: pd.DataFrame(columns) for name, columns in tables.items()}
            unreadable = [Unreadable(*row) for row in frames["unreadable"].itertuples(index=False)]
            return Survey(frames["facts"], unreadable, Copies(frames["groups"], frames["pairs"], frames["near"]))
    except (OSError, EOFError, ValueError, KeyError, BadZipFile):
        return None
