"""What pages and Markdown files are made of: chapters of sentences, tables, figures and pictures, as plain values."""

from collections.abc import Sequence
from typing import NamedTuple


class Table(NamedTuple):
    """A table of texts; the first cell of a row is its head."""

    caption: str
    columns: list[str]
    rows: list[list[str]]
    is_prose: bool = False
    """Whether the cells are sentences rather than numbers."""


class Figure(NamedTuple):
    """A drawing with what stands above it."""

    caption: str
    png: bytes
    alt: str = ""
    """What a reader who cannot see it should know; the caption where this is empty."""


class Picture(NamedTuple):
    """A photo's thumbnail and what stands below it."""

    photo: str
    jpeg: bytes
    lines: Sequence[str]
    is_anaemic: bool


class PictureGroup(NamedTuple):
    """Photos that belong side by side."""

    heading: str
    says: str
    pictures: Sequence[Picture]


class Album(NamedTuple):
    """A chapter of picture groups."""

    title: str
    says: Sequence[str]
    groups: Sequence[PictureGroup]


class Section(NamedTuple):
    """A chapter: sentences, then tables, then figures."""

    title: str
    says: Sequence[str]
    tables: Sequence[Table] = ()
    figures: Sequence[Figure] = ()
