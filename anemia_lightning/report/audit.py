"""The audit in writing: one page with thumbnails, and Markdown without; both show the same plain values."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from anemia_lightning.report.audit_sections import Section, audit_summary, copy_sections, photo_sections
from anemia_lightning.report.page import NOTICE, data_uri, write_page
from anemia_lightning.whole_file import whole_file

SEVERITY_WORDS = {"stop": "Stop", "warn": "Careful", "info": "Note"}


class Picture(NamedTuple):
    """A thumbnail and what stands below it."""

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


def write_audit_html(path: Path, audit: Mapping[str, Any], albums: Sequence[Album]) -> None:
    """Writes the audit's page.

    Args:
        path: The HTML file.
        audit: What audit.json holds.
        albums: Thumbnails of suspect photos; those without any group are left out.
    """
    write_page(
        path,
        "audit.html.j2",
        title=_title(audit),
        verdict=verdict(audit),
        summary=audit_summary(audit),
        findings=audit["findings"],
        words=SEVERITY_WORDS,
        copy_sections=copy_sections(audit),
        photo_sections=photo_sections(audit),
        albums=[album for album in albums if album.groups],
        jpeg=lambda image: data_uri(image, "jpeg"),
    )


def write_audit_markdown(path: Path, audit: Mapping[str, Any]) -> None:
    """Writes the audit as Markdown.

    Args:
        path: The file.
        audit: What audit.json holds.
    """
    lines = [f"# {_literal(_title(audit))}", "", f"{NOTICE}.", "", f"**{verdict(audit)}**", ""]
    lines += [_literal(sentence) + "\n" for sentence in audit_summary(audit)]
    lines += ["## What was found, the worst first", ""]
    for finding in audit["findings"]:
        lines.append(
            f"- **{SEVERITY_WORDS[finding['severity']]}:** {_literal(finding['says'])} "
            f"What to do: {_literal(finding['advice'])} `{finding['code']}`"
        )
    for section in (*copy_sections(audit), *photo_sections(audit)):
        lines += ["", *_section_lines(section)]
    with whole_file(path) as file:
        file.write(("\n".join(lines) + "\n").encode("utf-8", errors="backslashreplace"))


def verdict(audit: Mapping[str, Any]) -> str:
    """Returns in a sentence whether the data can be split soundly."""
    if audit["sound"]:
        return "A sound split of these data is possible."
    return "As they are, these data cannot be split soundly; what says Stop below has to be mended first."


def _title(audit: Mapping[str, Any]) -> str:
    return f"Audit of {audit['data']['name']}"


def _section_lines(section: Section) -> list[str]:
    lines = [f"## {section.title}", ""]
    for sentence in section.says:
        lines += [_literal(sentence), ""]
    for table in section.tables:
        lines += [f"{table.caption}:", "", _row(table.columns)]
        lines.append("|" + " --- |" + " ---: |" * (len(table.columns) - 1))
        lines += [*(_row(cells) for cells in table.rows), ""]
    return lines


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(_literal(cell) for cell in cells) + " |"


def _literal(text: str) -> str:
    """Returns text in which Markdown finds nothing to interpret: names of files and sites come from anywhere."""
    return re.sub(r"([\\`*\[\]<>|&])", r"\\\1", " ".join(text.split()))
