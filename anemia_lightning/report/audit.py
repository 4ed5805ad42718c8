"""The audit in writing: one page with thumbnails, and Markdown without; both show the same plain values."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from anemia_lightning.report.audit_sections import audit_summary, copy_sections, photo_sections
from anemia_lightning.report.markdown import literal, section_lines, write_markdown
from anemia_lightning.report.page import NOTICE, write_page
from anemia_lightning.report.sections import Album

SEVERITY_WORDS = {"stop": "Stop", "warn": "Careful", "info": "Note"}


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
    )


def write_audit_markdown(path: Path, audit: Mapping[str, Any]) -> None:
    """Writes the audit as Markdown.

    Args:
        path: The file.
        audit: What audit.json holds.
    """
    lines = [f"# {literal(_title(audit))}", "", f"{NOTICE}.", "", f"**{verdict(audit)}**", ""]
    lines += [literal(sentence) + "\n" for sentence in audit_summary(audit)]
    lines += ["## What was found, the worst first", ""]
    for finding in audit["findings"]:
        lines.append(
            f"- **{SEVERITY_WORDS[finding['severity']]}:** {literal(finding['says'])} "
            f"What to do: {literal(finding['advice'])} `{finding['code']}`"
        )
    for section in (*copy_sections(audit), *photo_sections(audit)):
        lines += ["", *section_lines(section)]
    write_markdown(path, lines)


def verdict(audit: Mapping[str, Any]) -> str:
    """Returns in a sentence whether the data can be split soundly."""
    if audit["sound"]:
        return "A sound split of these data is possible."
    return "As they are, these data cannot be split soundly; what says Stop below has to be mended first."


def _title(audit: Mapping[str, Any]) -> str:
    return f"Audit of {audit['data']['name']}"
