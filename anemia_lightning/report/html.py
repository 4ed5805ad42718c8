"""The run's report: one HTML file with its figures inside, no script and nothing from the network."""

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

from jinja2 import Environment, StrictUndefined

from anemia_lightning.metrics import Score, shown
from anemia_lightning.whole_file import whole_file

NOTICE = "Screening aid for research, not a medical device and not a diagnosis"

_WORDS = {
    "loss": "weighted log-loss (nats)",
    "acc": "accuracy",
    "auroc": "AUROC",
    "average_precision": "average precision",
    "n": "photos",
    "n_positive": "anaemic photos",
    "tp": "anaemic, called anaemic",
    "fp": "not anaemic, called anaemic",
    "tn": "not anaemic, called not anaemic",
    "fn": "anaemic, called not anaemic",
}


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
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = files("anemia_lightning.report").joinpath("template.html.j2").read_text(encoding="utf-8")
    page = environment.from_string(template).render(
        notice=NOTICE,
        title=title,
        summary=summary,
        warnings=warnings,
        scores=_score_table(scores),
        baselines=_score_table(baselines),
        settings=list(_flattened(settings)),
        figures=[(caption, _data_uri(figure)) for caption, figure in figures.items()],
    )
    # A file name that is not UTF-8 reaches us with letters that UTF-8 cannot write.
    with whole_file(path) as file:
        file.write(page.encode("utf-8", errors="backslashreplace"))


def _score_table(scores: Mapping[str, Mapping[str, Score]]) -> _Table:
    names = dict.fromkeys(name for column in scores.values() for name in column)
    rows = [
        (_WORDS.get(name, name.replace("_", " ")), [_cell(column, name) for column in scores.values()])
        for name in names
    ]
    return _Table(list(scores), rows)


def _cell(column: Mapping[str, Score], name: str) -> str:
    return shown(column[name]) if name in column else "not computed"


def _flattened(settings: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in settings.items():
        if isinstance(value, Mapping) and value:
            yield from _flattened(value, f"{prefix}{key}.")
        else:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
            yield f"{prefix}{key}", text


def _data_uri(figure: bytes | Path) -> str:
    png = figure.read_bytes() if isinstance(figure, Path) else figure
    return f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"
