"""The embedded source: drawn photographs whose redness carries the label; everything runs without data."""

import hashlib
import math
import shutil
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from anemia_lightning.contracts import MANIFEST_COLUMNS
from anemia_lightning.data.sources.drawing import DRAWING_VERSION, MIDDLE_A, draw_conjunctiva
from anemia_lightning.errors import DrawingFolderError, DrawingSettingsError
from anemia_lightning.randomness import stream

Progress = Callable[[int, int], None]

_FEWEST_PATIENTS = 4
_SITES = ("Harbour", "Hillside", "Lakeview", "Riverside")
_SITE_SHARES = (0.4, 0.3, 0.2, 0.1)
# The rule for children of 6 to 59 months.
_ANAEMIA_BELOW_G_DL = 11.0
_SHARE_BETWEEN_PATIENTS = 0.8
_LARGEST_A_PER_UNIT = 4.0
# a* stays within this of MIDDLE_A for all latents within 3.5 SD of their class, so no tissue leaves sRGB.
_REACH_A = 24.0
_PNG_END = b"IEND\xaeB`\x82"
_ATTEMPTS = 3


def read_synthetic(
    *,
    root: str | Path,
    patients: int = 80,
    photos: int = 240,
    separation: float = 5.0,
    seed: int = 0,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Draws the photographs, unless they are there already, and returns their manifest.

    A photo's redness is N(+separation/2, 1) where the patient is not anaemic and N(-separation/2, 1) where
    the patient is; four fifths of the variance lie between patients, one fifth between the photos of one.
    Pixels depend on the label only through redness, so redness is the best score that a photo can get: its
    AUROC is Phi(separation / sqrt 2) in expectation, 0.9998 at 5 and 0.967 at 2.6. The mean a* of a
    photo's tissue follows redness with a correlation of about 0.96 within a class; light and camera are the
    rest. Site, sex and age do not depend on the label.

    Args:
        root: Folder for the drawings of all settings; each setting gets a folder of its own in it, with
            photos/ and, to look at, manifest.csv.
        patients: At least 4; half of them are anaemic.
        photos: At least as many as patients, spread evenly over them.
        separation: Standardised distance between the classes' redness, at least 0.
        seed: Another seed draws other patients.
        progress: Called with (photos drawn, photos in all) after each photo.

    Returns:
        One row per photo: `MANIFEST_COLUMNS` and `redness`, the latent that carries the label.

    Raises:
        DrawingSettingsError: If the numbers do not fit together.
        DrawingFolderError: If `root` cannot be written to.
    """
    _check(patients=patients, photos=photos, separation=separation)
    manifest = _build_manifest(patients=patients, photos=photos, separation=separation, seed=seed)
    settings = (DRAWING_VERSION, patients, photos, float(separation), seed)
    fingerprint = hashlib.blake2b(repr(settings).encode(), digest_size=4).hexdigest()
    folder = Path(root).expanduser().absolute() / f"separation-{separation:g}-{fingerprint}"
    if not _is_complete(folder, manifest):
        try:
            _publish(folder, manifest, separation, seed, progress)
        except OSError as error:
            raise DrawingFolderError(folder.parent, error) from error
    return manifest.assign(path=[str(folder / path) for path in manifest["path"]])


def _check(*, patients: int, photos: int, separation: float) -> None:
    problems = []
    if patients < _FEWEST_PATIENTS:
        problems.append(f"data.patients={patients}, which is fewer than {_FEWEST_PATIENTS}")
    if photos < patients:
        problems.append(f"data.photos={photos}, which is fewer than data.patients={patients}")
    if not 0 <= separation < math.inf:
        problems.append(f"data.separation={separation}, which is no finite number from 0 upwards")
    if problems:
        raise DrawingSettingsError(problems)


def _build_manifest(*, patients: int, photos: int, separation: float, seed: int) -> pd.DataFrame:
    """Returns the manifest with paths relative to the drawing's folder."""
    people = _draw_patients(patients, separation, seed)
    first = np.arange(patients + 1) * photos // patients
    rows = people.loc[people.index.repeat(np.diff(first))].reset_index(drop=True)
    spread = math.sqrt(1 - _SHARE_BETWEEN_PATIENTS)
    rows["redness"] += [stream("synthetic redness", seed, *which).normal(0, spread) for which in _list_photos(rows)]
    rows["path"] = [f"photos/photo_{number:04d}.png" for number in range(1, photos + 1)]
    rows["photo"] = rows["photo_group"] = "synthetic/" + rows["path"]
    rows = rows.assign(source="synthetic", pregnancy="", severity="", mask="", split="")
    rows = rows.assign(altitude_m=math.nan, cigarettes_per_day=math.nan)
    return rows[[*MANIFEST_COLUMNS, "redness"]]


def _list_photos(manifest: pd.DataFrame) -> list[tuple[str, int]]:
    """Returns patient and number within the patient of each photo: with the seed, all that it depends on."""
    number = manifest.groupby("patient").cumcount()
    return list(zip(manifest["patient"].tolist(), number.tolist(), strict=True))


def _draw_patients(patients: int, separation: float, seed: int) -> pd.DataFrame:
    rng = stream("synthetic patients", seed, patients)
    label = rng.permutation(np.arange(patients) % 2)
    class_size = np.where(label == 1, label.sum(), patients - label.sum())
    share = (_rank_within_class(label, rng) + 0.5) / class_size
    site = np.searchsorted(np.cumsum(_SITE_SHARES)[:-1], share, side="right")
    sex = _rank_within_class(label, rng) % 2
    names = [f"P{number:03d}" for number in range(1, patients + 1)]
    each = [stream("synthetic patient", seed, name) for name in names]
    latent = np.array([draw.normal() for draw in each])
    chance = np.array([draw.normal() for draw in each])
    side = 1 - 2 * label
    # Within a class too the redder patient tends to have more haemoglobin, as in life.
    margin_g_dl = np.maximum(np.abs(1.6 + 0.7 * side * (0.6 * latent + 0.8 * chance)), 0.1)
    return pd.DataFrame(
        {
            "patient": names,
            "label": label.astype(np.int64),
            "site": [_SITES[index] for index in site],
            "sex": [("female", "male")[index] for index in sex],
            "age_months": np.array([draw.integers(6, 60) for draw in each], dtype=np.float64),
            "hemoglobin_g_dl": (_ANAEMIA_BELOW_G_DL + side * margin_g_dl).round(1),
            "redness": side * separation / 2 + math.sqrt(_SHARE_BETWEEN_PATIENTS) * latent,
        }
    )


def _rank_within_class(label: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Returns a random order within each class: whatever follows from it alone is the same in both."""
    rank = np.empty(len(label), dtype=np.int64)
    for each in (0, 1):
        members = np.flatnonzero(label == each)
        rank[members] = rng.permutation(len(members))
    return rank


def _is_complete(folder: Path, manifest: pd.DataFrame) -> bool:
    return all(_ends_as_png(folder / path) for path in manifest["path"])


def _ends_as_png(path: Path) -> bool:
    """Says whether the file is there to its end: a crash of the machine can cut files that were renamed."""
    try:
        with path.open("rb") as file:
            file.seek(-len(_PNG_END), 2)
            return file.read() == _PNG_END
    except OSError:
        return False


def _publish(folder: Path, manifest: pd.DataFrame, separation: float, seed: int, progress: Progress | None) -> None:
    """Draws everything beside the folder, then moves it there in one step."""
    unfinished = folder.with_name(f"{folder.name}-{uuid.uuid4().hex}.unfinished")
    try:
        (unfinished / "photos").mkdir(parents=True)
        _draw_photos(unfinished, manifest, separation, seed, progress)
        manifest.to_csv(unfinished / "manifest.csv", index=False)
        _move_into_place(unfinished, folder, manifest)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _draw_photos(folder: Path, manifest: pd.DataFrame, separation: float, seed: int, progress: Progress | None) -> None:
    a_per_unit = min(_LARGEST_A_PER_UNIT, _REACH_A / (separation / 2 + 3.5))
    rows = zip(manifest["path"], manifest["redness"], _list_photos(manifest), strict=True)
    for done, (path, redness, which) in enumerate(rows, start=1):
        rng = stream("synthetic photo", seed, *which)
        vessel_contrast = float(np.clip(rng.normal(0.75 + 0.08 * redness, 0.2), 0.1, 1.5))
        pixels = draw_conjunctiva(MIDDLE_A + a_per_unit * redness, vessel_contrast, rng)
        Image.fromarray(pixels).save(folder / path, compress_level=1)
        if progress is not None:
            progress(done, len(manifest))


def _move_into_place(unfinished: Path, folder: Path, manifest: pd.DataFrame) -> None:
    """Renames the folder; where another process was first, its photographs are the same and stay."""
    for _ in range(_ATTEMPTS):
        with suppress(OSError):
            unfinished.rename(folder)
        if _is_complete(folder, manifest):
            return
        damaged = folder.with_name(f"{folder.name}-{uuid.uuid4().hex}.damaged")
        with suppress(FileNotFoundError):
            folder.rename(damaged)
        shutil.rmtree(damaged, ignore_errors=True)
    unfinished.rename(folder)
