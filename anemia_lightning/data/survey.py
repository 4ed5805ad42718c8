"""The survey: one pass over all photographs, each decoded once, that everything else draws on."""

import hashlib
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from anemia_lightning.data.copies import Copies, find_copies
from anemia_lightning.data.decoders import decoder_versions
from anemia_lightning.data.fingerprints import Fingerprint
from anemia_lightning.data.kept_fingerprints import KeptFingerprints, Picked
from anemia_lightning.data.one_thread import one_thread_each
from anemia_lightning.data.photo_file import file_state
from anemia_lightning.data.reading import Unreadable
from anemia_lightning.data.record_store import RecordStore, in_parts
from anemia_lightning.data.spool import Spool
from anemia_lightning.data.surveyed_photo import SurveyedPhoto, survey_photo
from anemia_lightning.errors import PhotoUnreadable
from anemia_lightning.machine.made_ahead import made_ahead
from anemia_lightning.machine.side_by_side import side_by_side

StepProgress = Callable[[str, int, int], None]
"""Called with (step in words, done, in all) for one step after the other."""

SURVEY_VERSION = 2
"""Raised whenever a survey of the same photographs would come out differently."""

_PHOTOS_AT_ONCE = 500
"""So many are read until it is looked again what others have found out of the rest: as many as are written at once."""

_ROWS_AT_ONCE = 1000
"""Facts wait in dictionaries, which take ten times the memory of a table, for no more photos than these."""


@dataclass(frozen=True)
class Survey:
    """What one pass over the photographs of a manifest has found."""

    facts: pd.DataFrame
    """One row per photo that can be read, in the manifest's order: photo; file_sha256, pixels_sha256 and
    turned_sha256 (of the decoded pixels, in all eight orientations alike); file_bytes, format, mode, width,
    height, orientation (of EXIF, 1-8) and notes; tissue_share of the canvas, tissue_pixels, sharpness (variance of
    the Laplacian over the tissue), clipped_dark and clipped_bright (shares of the tissue); colour_<measure>.
    `FACT_COLUMNS` lists all but the first and the last."""
    unreadable: list[Unreadable]
    """The photos that cannot be read, in the manifest's order."""
    copies: Copies
    """Which rows of `facts` are copies of one photograph."""


def survey_photos(
    manifest: pd.DataFrame,
    *,
    seek_recuts: bool = True,
    threads: int = 2,
    store: Path | None = None,
    progress: StepProgress | None = None,
) -> Survey:
    """Reads every photograph of a manifest once, to its last byte, and finds copies.

    Args:
        manifest: The photos.
        seek_recuts: Whether to look for other cut-outs of a photograph too, which takes most of the time.
        threads: Readers at work, and afterwards processes that compare; they change nothing but the time it takes.
        store: Folder that keeps what is found out about each photo, up to 40 KB, so that no photo is read again that
            has not changed, and none is compared again after an interruption; meanwhile as much lies there for a
            second time. None keeps nothing, and what is needed meanwhile lies where the system has temporary files.
        progress: Told how far it has come.
    """
    spool = Spool(store)
    with one_thread_each():
        with (
            _open_store(store, f"photos, recuts={seek_recuts}") as records,
            closing(_survey_each(manifest, records, threads, of_cuts=seek_recuts)) as surveyed,
        ):
            facts, prints, unreadable = _collect(manifest, surveyed, spool, progress)
        with _open_store(store, "comparisons") as records:
            copies = find_copies(
                facts["file_sha256"].tolist() if prints else [],
                prints,
                seek_recuts=seek_recuts,
                processes=threads,
                spool=spool,
                store=records,
                progress=progress,
            )
    return Survey(facts, unreadable, copies)


def _open_store(store: Path | None, kind: str) -> RecordStore:
    return RecordStore(store and store / "parts", f"{SURVEY_VERSION} {kind} {decoder_versions()}")


def _survey_each(
    manifest: pd.DataFrame, records: RecordStore, threads: int, *, of_cuts: bool
) -> Generator[tuple[int, SurveyedPhoto | PhotoUnreadable]]:
    """Yields what is known of each photo with its row: first those that have been read before, then the others."""
    files = list(zip(manifest["path"], manifest["mask"], strict=True))
    left = dict(enumerate(side_by_side(lambda file: _key(*file), files)))
    yield from _take_known(records, left, only_new=False)
    with ThreadPoolExecutor(threads) as pool:
        for part in in_parts(list(left), _PHOTOS_AT_ONCE):
            # Another command may survey the same photos, as jobs of a cluster do that are started together.
            yield from _take_known(records, left, only_new=True)
            keys = {row: left.pop(row) for row in part if row in left}
            # Closed first, so that nobody waits for photos that will not be asked for.
            with closing(made_ahead(pool, partial(_try_photo, of_cuts=of_cuts), [files[row] for row in keys])) as read:
                for (row, key), found in zip(keys.items(), read, strict=True):
                    # Of a file that was replaced meanwhile nobody knows which one was read.
                    if isinstance(found, SurveyedPhoto) and _key(*files[row]) == key:
                        records.add(key, found.as_record())
                    yield row, found


def _take_known(records: RecordStore, left: dict[int, str], *, only_new: bool) -> Iterator[tuple[int, SurveyedPhoto]]:
    """Yields what is kept of photos that are left, with their rows, and takes them from those that are left.

    Args:
        records: Where it is kept.
        left: Their keys by row.
        only_new: As for `RecordStore.find`.
    """
    rows = list(left)
    for place, record in records.find(list(left.values()), only_new=only_new):
        del left[rows[place]]
        yield rows[place], SurveyedPhoto.of_record(record)


def _key(path: str, mask: str) -> str:
    return hashlib.sha256(repr((file_state(path), file_state(mask))).encode()).hexdigest()


def _try_photo(file: tuple[str, str], *, of_cuts: bool) -> SurveyedPhoto | PhotoUnreadable:
    try:
        return survey_photo(*file, of_cuts=of_cuts)
    except PhotoUnreadable as fault:
        return fault


def _collect(
    manifest: pd.DataFrame,
    surveyed: Iterator[tuple[int, SurveyedPhoto | PhotoUnreadable]],
    spool: Spool,
    progress: StepProgress | None,
) -> tuple[pd.DataFrame, Sequence[Fingerprint], list[Unreadable]]:
    """Puts into the order of the manifest what comes in any order."""
    photos, paths = manifest["photo"].tolist(), manifest["path"].tolist()
    facts: list[dict[str, Any]] = []
    tables: list[pd.DataFrame] = []
    prints = KeptFingerprints(spool)
    rows: list[int] = []
    unreadable: dict[int, Unreadable] = {}
    for done, (row, found) in enumerate(surveyed, start=1):
        if isinstance(found, PhotoUnreadable):
            unreadable[row] = Unreadable(photos[row], paths[row], found.code, found.reason)
        else:
            facts.append({"photo": photos[row], **found.facts})
            prints.add(found.fingerprint)
            rows.append(row)
        if len(facts) == _ROWS_AT_ONCE:
            tables.append(pd.DataFrame(facts))
            facts.clear()
        if progress is not None:
            progress("reading photographs", done, len(photos))
    if facts:
        tables.append(pd.DataFrame(facts))
    listed = [unreadable[row] for row in sorted(unreadable)]
    if not tables:
        return pd.DataFrame(columns=["photo"]), [], listed
    order = np.argsort(rows)
    table = pd.concat(tables, ignore_index=True).iloc[order].reset_index(drop=True)
    return table, Picked(prints, order), listed
