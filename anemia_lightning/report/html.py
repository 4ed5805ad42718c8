"""The run's report: one HTML file with its figures inside, no script and nothing from the network."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from anemia_lightning.metrics import Score, shown
from anemia_lightning.report.estimates import score_words
from anemia_lightning.report.page import data_uri, write_page
from anemia_lightning.report.run_facts import flattened


class _Table(NamedTuple):
    """A table of texts: the heads of its columns, and each row's head with its cells."""

    columns: list[str]
    rows: list[tuple[str, list[str]]]


def write_report(
    path: Path,
    *,
    title: str,
    summary: Sequence[str],
    warnings: Sequence[str],
    scores: Mapping[str, Mapping[str, Score]],
    baselines: Mapping[str, Mapping[str, Score]],
    settings: Mapping[str, object],
    figures: Mapping[str, bytes | Path],
) -> None:
    """Writes a run's report; whoever opens it finds the old one or the new one, never a part.

    Args:
        path: The HTML file, in a folder that is there.
        title: The report's title.
        summary: Plain sentences, the most important first.
        warnings: What a reader must know before believing a number, one sentence or more each.
        scores: The network's scores by split: ``{"val": {"auroc": 0.9}, "test": {"auroc": None}}``.
        baselines: Scores by what they belong to, the network among them: ``{"colour": {"auroc": 0.8}}``.
        settings: The run's configuration, nested as it is.
        figures: PNG by caption, as bytes or as the file that holds them.
    """
    write_page(
        path,
        "template.html.j2",
        title=title,
        summary=summary,
        warnings=warnings,
        scores=_score_table(scores),
        baselines=_score_table(baselines),
        settings=list(flattened(settings)),
        figures=[(caption, data_uri(_bytes(figure), "png")) for caption, figure in figures.items()],
    )


def _score_table(scores: Mapping[str, Mapping[str, Score]]) -> _Table:
    names = dict.fromkeys(name for column in scores.values() for name in column)
    rows = [(score_words(name), [_cell(column, name) for column in scores.values()]) for name in names]
    return _Table(list(scores), rows)


def _cell(column: Mapping[str, Score], name: str) -> str:
    return shown(column[name]) if name in column else "not computed"


def _bytes(figure: bytes | Path) -> bytes:
    return figure.read_bytes() if isinstance(figure, Path) else figure
