"""The audit's thumbnails: copies of one photograph side by side, and pairs that were nearly taken for copies."""

import io
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from PIL import Image

from anemia_lightning.contracts import GRAINS, names_patient
from anemia_lightning.data.preparation import Prepared
from anemia_lightning.data.reading import read_photo
from anemia_lightning.data.recuts import SAME_PHOTO_SCORE
from anemia_lightning.report.sections import Album, Picture, PictureGroup

MOST_PICTURES = 300
"""Thumbnails of copies in one page, so that it stays below 10 MB."""

MOST_IN_GROUP = 12
MOST_PAIRS = 40

_WIDTH, _HEIGHT = 200, 120
_GREY = (127, 127, 127)
_QUALITY = 80

_GRAIN_WORDS = {
    "bytes": "the same file",
    "pixels": "the same pixels",
    "turned": "mirrored, turned or re-encoded",
    "recut": "another cut-out",
}


class _Shown(NamedTuple):
    """The groups that fit into a page, and how many there are in all."""

    groups: list[PictureGroup]
    total: int


def audit_albums(listed: pd.DataFrame, prepared: Prepared) -> list[Album]:
    """Returns thumbnails of suspect photos.

    Args:
        listed: What `list_copies` returns: the most troubling groups first.
        prepared: The photos.
    """
    files = prepared.manifest[["photo", "path", "mask"]]
    copies = _copies(listed.merge(files, on="photo"))
    pairs = _pairs(prepared.near, prepared.manifest.set_index("photo", drop=False))
    says = "Red bars mark photos of the anaemic. First come the photographs that stand under both labels."
    asks = f"Pairs are joined from a likeness of {SAME_PHOTO_SCORE:g} on. Do any of these show one photograph?"
    return [
        Album("Copies side by side", [says, *_cap(copies, "groups", "copies.csv")], copies.groups),
        Album("The nearest pairs that were not joined", [asks, *_cap(pairs, "pairs", "audit.json")], pairs.groups),
    ]


def _cap(shown: _Shown, noun: str, file: str) -> list[str]:
    hidden = shown.total - len(shown.groups)
    return [f"{len(shown.groups)} of {shown.total} {noun} are shown; {file} lists all."] if hidden else []


def _copies(listed: pd.DataFrame) -> _Shown:
    groups: list[PictureGroup] = []
    shown = 0
    for number, members in listed.groupby("group", sort=True):
        some = members.head(MOST_IN_GROUP)
        shown += len(some)
        if shown > MOST_PICTURES:
            break
        first, *others = _rows(some)
        pictures = [_picture(first), *(_picture(row, _relation(row, first)) for row in others)]
        groups.append(PictureGroup(f"Group {number}.", _describe(members), pictures))
    return _Shown(groups, listed["group"].nunique())


def _pairs(near: pd.DataFrame, photos: pd.DataFrame) -> _Shown:
    groups: list[PictureGroup] = []
    for number, pair in enumerate(_rows(near.head(MOST_PAIRS)), start=1):
        both = _rows(photos.loc[[pair["first"], pair["second"]]])
        groups.append(PictureGroup(f"Pair {number}.", f"Likeness {pair['score']:.3g}.", list(map(_picture, both))))
    return _Shown(groups, len(near))


def _describe(members: pd.DataFrame) -> str:
    parts = [f"{len(members)} photos"]
    anaemic = int(members["label"].sum())
    if 0 < anaemic < len(members):
        grain = next(grain for grain in _GRAIN_WORDS if (members["opposite"] == grain).any())
        parts.append(f"{anaemic} as anaemic and {len(members) - anaemic} as not ({_GRAIN_WORDS[grain]})")
    else:
        parts.append("all as anaemic" if anaemic else "all as not anaemic")
    hemoglobin = members["hemoglobin_g_dl"]
    if hemoglobin.nunique() > 1:
        parts.append(f"haemoglobin {hemoglobin.min():g} to {hemoglobin.max():g} g/dL")
    known = {"patient": names_patient(members), "site": members["site"] != ""}
    for column, is_known in known.items():
        values = members[column][is_known].nunique()
        if values > 1:
            parts.append(f"{values} {column}s")
    hidden = len(members) - MOST_IN_GROUP
    return ", ".join(parts) + "." + (f" {MOST_IN_GROUP} of them are shown." if hidden > 0 else "")


def _relation(row: dict[str, Any], first: dict[str, Any]) -> str:
    """Returns what joins a photo and the first of its group."""
    grain = next(grain for grain in GRAINS if row[f"group_{grain}"] == first[f"group_{grain}"])
    return f"{_GRAIN_WORDS[grain]} as the first" if grain in GRAINS[:2] else _GRAIN_WORDS[grain]


def _picture(row: dict[str, Any], *more: str) -> Picture:
    thumbnail = _thumbnail(row["path"], row["mask"])
    return Picture(row["photo"], thumbnail, [*_lines(row), *more], is_anaemic=row["label"] == 1)


def _lines(row: dict[str, Any]) -> Iterator[str]:
    known = "" if np.isnan(row["hemoglobin_g_dl"]) else f", {row['hemoglobin_g_dl']:g} g/dL"
    yield f"{'anaemic' if row['label'] == 1 else 'not anaemic'}{known}"
    age = "" if np.isnan(row["age_months"]) else f"{row['age_months']:g} months"
    if who := ", ".join(text for text in (row["sex"], age, row["site"]) if text):
        yield who
    if row["patient"] != row["photo"]:
        yield f"patient {row['patient']}"


def _thumbnail(path: str, mask: str) -> bytes:
    """Returns a small JPEG of a photo, on grey."""
    rgba = Image.fromarray(read_photo(path, mask=mask or None))
    rgba.thumbnail((_WIDTH, _HEIGHT))
    square = Image.new("RGB", rgba.size, _GREY)
    square.paste(rgba, mask=rgba.getchannel("A"))
    file = io.BytesIO()
    square.save(file, "JPEG", quality=_QUALITY, optimize=True)
    return file.getvalue()


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]
