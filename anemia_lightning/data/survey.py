"""The survey: one pass over all photographs, each decoded once, that everything else draws on."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from anemia_lightning.data.colour import tissue_colour
from anemia_lightning.data.copies import Copies, find_copies
from anemia_lightning.data.fingerprints import Fingerprint, take_fingerprint
from anemia_lightning.data.one_thread import one_thread_each
from anemia_lightning.data.reading import TISSUE_ALPHA, Photograph, Unreadable, open_photo
from anemia_lightning.data.spool import Spool
from anemia_lightning.errors import PhotoUnreadable
from anemia_lightning.made_ahead import made_ahead

Progress = Callable[[int, int], None]

_DARK, _BRIGHT = 2, 253
_ROWS_AT_ONCE = 1000
"""Facts wait in dictionaries, which take ten times the memory of a table, for no more photos than these."""


@dataclass(frozen=True)
class Survey:
    """What one pass over the photographs of a manifest has found."""

    facts: pd.DataFrame
    """One row per photo that can be read, in the manifest's order: photo; file_sha256, pixels_sha256 and
    turned_sha256 (of the decoded pixels, in all eight orientations alike); file_bytes, format, mode, width,
    height, orientation (of EXIF, 1-8) and notes; tissue_share of the canvas, tissue_pixels, sharpness (variance of
    the Laplacian over the tissue), clipped_dark and clipped_bright (shares of the tissue); colour_<measure>."""
    unreadable: list[Unreadable]
    """The photos that cannot be read, in the manifest's order."""
    copies: Copies
    """Which rows of `facts` are copies of one photograph."""


def survey_photos(
    manifest: pd.DataFrame,
    *,
    seek_recuts: bool = True,
    threads: int = 2,
    spool_folder: Path | None = None,
    reading: Progress | None = None,
    comparing: Progress | None = None,
) -> Survey:
    """Reads every photograph of a manifest once, to its last byte, and finds copies.

    Args:
        manifest: The photos.
        seek_recuts: Whether to look for other cut-outs of a photograph too, which takes most of the time.
        threads: Readers at work, and afterwards processes that compare; they change nothing but the time it takes.
        spool_folder: On the disk that holds what is kept of the photos while copies are sought, up to 40 KB of each;
            None for the system's place for temporary files.
        reading: Called with (photos read, photos in all).
        comparing: Called with (photos compared, photos in all).
    """
    spool = Spool(spool_folder)
    with one_thread_each():
        facts, prints, unreadable = _read_all(manifest, threads, reading, spool, of_cuts=seek_recuts)
        hashes = facts["file_sha256"].tolist() if prints else []
        copies = find_copies(
            hashes, prints, seek_recuts=seek_recuts, processes=threads, spool=spool, progress=comparing
        )
    return Survey(facts, unreadable, copies)


def _read_all(
    manifest: pd.DataFrame, threads: int, reading: Progress | None, spool: Spool, *, of_cuts: bool
) -> tuple[pd.DataFrame, list[Fingerprint], list[Unreadable]]:
    rows = list(zip(manifest["photo"], manifest["path"], manifest["mask"], strict=True))
    facts: list[dict[str, Any]] = []
    tables: list[pd.DataFrame] = []
    prints: list[Fingerprint] = []
    unreadable: list[Unreadable] = []
    with ThreadPoolExecutor(threads) as pool:
        surveyed = made_ahead(pool, partial(_survey_photo, of_cuts=of_cuts), rows)
        for done, found in enumerate(surveyed, start=1):
            if isinstance(found, Unreadable):
                unreadable.append(found)
            else:
                facts.append(found[0])
                prints.append(found[1].kept_in(spool))
            if len(facts) == _ROWS_AT_ONCE:
                tables.append(pd.DataFrame(facts))
                facts.clear()
            if reading is not None:
                reading(done, len(rows))
    if facts:
        tables.append(pd.DataFrame(facts))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=["photo"]), prints, unreadable


def _survey_photo(row: tuple[str, str, str], *, of_cuts: bool) -> tuple[dict[str, Any], Fingerprint] | Unreadable:
    photo, path, mask = row
    try:
        photograph = open_photo(path, mask=mask or None)
    except PhotoUnreadable as fault:
        return Unreadable(photo, path, fault.code, fault.reason)
    fingerprint = take_fingerprint(photograph.rgba, of_cuts=of_cuts)
    colours = {f"colour_{name}": value for name, value in tissue_colour(photograph.rgba).items()}
    hashes = {"pixels_sha256": fingerprint.pixels, "turned_sha256": fingerprint.turned_pixels}
    measured = {**measure_tissue(photograph.rgba), **colours}
    return {"photo": photo, **_file_facts(photograph), **hashes, **measured}, fingerprint


def _file_facts(photograph: Photograph) -> dict[str, Any]:
    return {
        "file_sha256": photograph.sha256,
        "file_bytes": photograph.file_bytes,
        "format": photograph.format,
        "mode": photograph.mode,
        "width": photograph.width,
        "height": photograph.height,
        "orientation": photograph.orientation,
        "notes": "; ".join(photograph.notes),
    }


def measure_tissue(rgba: NDArray[np.uint8]) -> dict[str, float]:
    """Measures how much tissue a photo shows, how sharp it is, and how much of it is black or white.

    Args:
        rgba: uint8 [H, W, 4]; tissue is where alpha is at least 128.

    Returns:
        tissue_share and tissue_pixels; sharpness: the variance of the Laplacian of the grey values (Pech-Pacheco et
        al. 2000, doi:10.1109/ICPR.2000.903548) over the tissue; clipped_dark and clipped_bright: the shares of the
        tissue whose brightest channel is at most 2, or at least 253.
    """
    tissue = rgba[..., 3] >= TISSUE_ALPHA
    if not tissue.any():
        nothing = dict.fromkeys(("sharpness", "clipped_dark", "clipped_bright"), float("nan"))
        return {"tissue_share": 0.0, "tissue_pixels": 0, **nothing}
    brightest = rgba[..., :3].max(axis=-1)[tissue]
    laplacian = cv2.Laplacian(cv2.cvtColor(rgba[..., :3], cv2.COLOR_RGB2GRAY), cv2.CV_32F)
    # Where tissue meets background the outline would count as detail.
    inner = cv2.erode(tissue.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    return {
        "tissue_share": float(tissue.mean()),
        "tissue_pixels": int(tissue.sum()),
        "sharpness": float(laplacian[inner].var(dtype=np.float64)) if inner.any() else float("nan"),
        "clipped_dark": float((brightest <= _DARK).mean()),
        "clipped_bright": float((brightest >= _BRIGHT).mean()),
    }
