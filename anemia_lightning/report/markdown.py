"""Tables and chapters as Markdown, with every text taken literally."""

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from anemia_lightning.files.run_folder import write_bytes
from anemia_lightning.report.sections import Section, Table


def write_markdown(path: Path, lines: Iterable[str]) -> None:
    """Writes lines of Markdown, wholly or not at all; letters that UTF-8 cannot write are spelt out."""
    text = "\n".join(lines).rstrip("\n") + "\n"
    write_bytes(path, text.encode("utf-8", errors="backslashreplace"))


def section_lines(section: Section) -> Iterator[str]:
    """Yields a chapter without its figures: its head, its sentences, its tables."""
    yield from (f"## {section.title}", "")
    for sentence in section.says:
        yield from (literal(sentence), "")
    for table in section.tables:
        yield from table_lines(table)


def table_lines(table: Table) -> Iterator[str]:
    """Yields a table below its caption, numbers to the right."""
    yield from (f"{literal(table.caption)}:", "", _row(table.columns))
    yield "|" + " --- |" + (" --- |" if table.is_prose else " ---: |") * (len(table.columns) - 1)
    yield from (*(_row(cells) for cells in table.rows), "")


def literal(text: str) -> str:
    r"""Returns text in which Markdown finds nothing to interpret: names of files and sites come from anywhere.

    Example:
        >>> print(literal("a|b [c](d)"))
        a\|b \[c\](d)
    """
    return re.sub(r"([\\`*\[\]<>|&])", r"\\\1", " ".join(text.split()))


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(literal(cell) for cell in cells) + " |"
