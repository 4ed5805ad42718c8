"""The report: whole, self-contained, escaped, and never half written."""

import base64
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from anemia_lightning.errors import DiskFullError
from anemia_lightning.plots import draw_roc, to_png
from anemia_lightning.report import write_report

PNG = to_png(draw_roc([0, 1], [0.2, 0.9]))
ATTACK = "<img src=x onerror=alert(1)>"
QUOTE = "\" onload=alert(1) x='"
# Elements that HTML never closes.
VOID = {"meta", "img"}


class _Page(HTMLParser):
    """Reads a page as a browser would: its elements with their attributes, and its text."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data.strip())

    def all(self, tag: str) -> Iterator[dict[str, str | None]]:
        return (attributes for name, attributes in self.elements if name == tag)


def _content(**changes: Any) -> dict[str, Any]:
    content = {
        "title": "Run 7",
        "summary": ["The network's AUROC is 0.912.", "Colour alone reaches 0.9."],
        "warnings": ["The weights are random."],
        "scores": {
            "val": {"auroc": 0.91249, "loss": 0.3, "n": 36, "specificity": float("nan")},
            "test": {"auroc": None, "loss": 12.0, "n": 0},
        },
        "baselines": {"network": {"auroc": 0.9}, "colour": {"auroc": 0.8}},
        "settings": {"optimizer": {"lr": 1e-4, "name": None}, "phases": [{"epoch": 5}], "flag": True},
        "figures": {"ROC curve": PNG},
    }
    return content | changes


def _written(folder: Path, **changes: Any) -> _Page:
    write_report(folder / "report.html", **_content(**changes))
    return _Page((folder / "report.html").read_text(encoding="utf-8"))


def _rows(page: _Page) -> str:
    return "|".join(text for text in page.texts if text)


def test_it_says_what_it_is_and_what_it_is_not(tmp_path: Path) -> None:
    page = _written(tmp_path)
    assert not page.open
    assert page.texts.count("Screening aid for research, not a medical device and not a diagnosis.") == 2
    assert [text for text in page.texts if text.startswith(("Run", "The", "Colour"))] == [
        "Run 7",
        "Run 7",
        "The weights are random.",
        "The network's AUROC is 0.912.",
        "Colour alone reaches 0.9.",
        "The network on each split",
    ]


def test_scores_have_three_decimals_counts_none_and_undefined_says_so(tmp_path: Path) -> None:
    rows = _rows(_written(tmp_path))
    assert "|score|val|test|AUROC|0.912|undefined|" in rows
    assert "|weighted log-loss (nats)|0.300|12.000|photos|36|0|" in rows
    assert "|specificity|undefined|not computed|" in rows
    assert "|score|network|colour|AUROC|0.900|0.800|" in rows


def test_settings_stand_by_their_full_names_with_their_exact_values(tmp_path: Path) -> None:
    rows = _rows(_written(tmp_path))
    expected = '|optimizer.lr|0.0001|optimizer.name|null|phases|[{"epoch": 5}]|flag|true|'
    assert expected in rows


def test_figures_are_inside_as_bytes_or_from_files(tmp_path: Path) -> None:
    (tmp_path / "roc.png").write_bytes(PNG)
    page = _written(tmp_path, figures={"one": PNG, "two": tmp_path / "roc.png"})
    images = list(page.all("img"))
    assert [image["alt"] for image in images] == ["one", "two"]
    for image in images:
        kind, _, data = (image["src"] or "").partition(",")
        assert kind == "data:image/png;base64"
        assert base64.b64decode(data) == PNG


def test_it_needs_no_network_and_forbids_scripts(tmp_path: Path) -> None:
    page = _written(tmp_path)
    policies = [meta["content"] for meta in page.all("meta") if meta.get("http-equiv")]
    assert policies == [
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
    ]
    assert {tag for tag, _ in page.elements}.isdisjoint({"script", "link", "iframe", "object", "form", "a"})
    source = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"https?://|@import|url\(", source)


@pytest.mark.parametrize("text", [ATTACK, QUOTE, "</style></title><script>alert(1)</script>", "{{ 7 * 7 }}"])
def test_every_text_is_taken_literally(tmp_path: Path, text: str) -> None:
    page = _written(
        tmp_path,
        title=text,
        summary=[text],
        warnings=[text],
        scores={text: {text: 0.5}},
        baselines={text: {text: None}},
        settings={text: {text: text}, "list": [text], "path": Path(text)},
        figures={text: PNG},
    )
    assert not page.open
    assert {tag for tag, _ in page.elements} == {tag for tag, _ in _written(tmp_path).elements}
    assert len(list(page.all("img"))) == 1
    assert not any(name.startswith("on") for _, attributes in page.elements for name in attributes)
    # title twice, summary, warning, head and row of two tables, a setting's value, the figure's caption
    assert page.texts.count(text) == 10
    assert next(page.all("img"))["alt"] == text


def test_what_there_is_none_of_leaves_no_empty_section(tmp_path: Path) -> None:
    nothing: dict[str, Any] = {
        "summary": [],
        "warnings": [],
        "scores": {},
        "baselines": {},
        "settings": {},
        "figures": {},
    }
    page = _written(tmp_path, **nothing)
    assert [attributes.get("id") for attributes in page.all("h2")] == ["summary"]


def test_a_file_name_that_is_not_utf_8_can_be_written(tmp_path: Path) -> None:
    assert "photo \\udc80.png" in _written(tmp_path, summary=["photo \udc80.png"]).texts


def test_it_replaces_an_older_report_and_leaves_nothing_else(tmp_path: Path) -> None:
    _written(tmp_path)
    assert "Run 8" in _written(tmp_path, title="Run 8").texts
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_an_older_report_survives_a_write_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _written(tmp_path)
    before = (tmp_path / "report.html").read_bytes()

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(DiskFullError, match="a full disk"):
        write_report(tmp_path / "report.html", **_content(title="Run 8"))
    assert (tmp_path / "report.html").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
