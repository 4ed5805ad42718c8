"""The page of a run: self-contained, escaped, readable by machines, in order, and nothing lost on the way."""

import io
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from anemia_lightning.plots import draw_roc, to_png
from anemia_lightning.report.flow import participant_flow
from anemia_lightning.report.page import NOTICE
from anemia_lightning.report.run_page import AID, FIGURES, RunReport, run_chapters, write_run_page
from anemia_lightning.report.sections import Album, Picture, PictureGroup, Section, Table
from anemia_lightning.report.table1 import describe_people

Example = Callable[..., dict[str, Any]]

PNG = to_png(draw_roc([0, 1], [0.2, 0.9]))
ATTACK = "<img src=x onerror=alert(1)>"
VOID = {"meta", "img", "br", "path", "rect"}
IN_ORDER = [
    "Key scores",
    "Against baselines",
    "Fold by fold",
    "Curves",
    "Calibration",
    "Usefulness",
    "In other populations",
    "Who it works for",
    "What it looks at",
    "Robustness",
    "Uncertainty",
    "Photos",
    "What else",
    "Further figures",
    "Participants",
    "Who is in the data",
    "How it was made",
    "Where to find what",
]


class Page(HTMLParser):
    """Reads a page as a browser would: its elements with what they stand in, and its texts."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None], tuple[str, ...]]] = []
        self.texts: list[tuple[str, tuple[str, ...]]] = []
        self.open: list[str] = []
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs), tuple(self.open)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append((" ".join(data.split()), tuple(self.open)))

    def all(self, *tags: str) -> Iterator[dict[str, str | None]]:
        return (attributes for tag, attributes, _ in self.elements if tag in tags)

    def text(self) -> str:
        return "|".join(text for text, _ in self.texts)


@pytest.fixture
def report(assessment: Example, facts: Example, settings: Example) -> RunReport:
    """Everything that a page can show."""
    return RunReport(
        title="Training run 7",
        facts=facts(),
        settings=settings(),
        assessment=assessment(),
        summary=["It was trained on 100 photos."],
        warnings=["Look at each source by itself."],
        scores={"val": {"n": 36, "auroc": 0.9}, "test": {"n": 40, "auroc": 0.812, "specificity": None}},
        folds={"fold-0": {"n": 20, "auroc": 0.7}, "fold-1": {"n": 20, "auroc": 0.9}},
        figures={**dict.fromkeys(FIGURES, PNG), "something_else": PNG},
        looks=looks(),
        albums=[album()],
        sections=[Section("What else", ["There is more."], [Table("More", ["what", "value"], [["a", "1"]])])],
        flow=participant_flow(splits()),
        people=describe_people(splits()),
        files={"splits.csv": "which photo went where"},
    )


def splits(site: str = "Accra") -> pd.DataFrame:
    rows = [(f"s/{place}", f"p{place}", place % 2, ("train", "val", "test")[place % 3], "") for place in range(12)]
    rows.append(("s/x", "px", 0, "excluded", "IMG_EMPTY: an empty file"))
    table = pd.DataFrame(rows, columns=["photo", "patient", "label", "split", "reason"])
    return table.assign(age_months=np.arange(13.0), site=[site, "Kumasi"] * 6 + [site])


def album(photo: str = "s/1.png", line: str = "anaemic") -> Album:
    file = io.BytesIO()
    Image.new("RGB", (8, 6), "red").save(file, "JPEG")
    return Album(
        "Photos", ["Bright is hot."], [PictureGroup("Errors.", "1.", [Picture(photo, file.getvalue(), [line], True)])]
    )


def looks() -> dict[str, Any]:
    effect = {
        "n": 8,
        "flipped": 1,
        "flipped_interval": {"value": 0.125, "low": 0.02, "high": 0.47},
        "mean_logit_shift": -0.2,
        "auroc_change": {"value": None, "low": None, "high": None},
    }
    heat = {"n": 8, "energy_inside": {"value": 0.61, "low": 0.5, "high": 0.7}, "by_chance": 0.4}
    return {
        "photos": {"drawn": 8, "of": 40},
        "says": ["Of the Grad-CAM heat 61 % lies on the tissue."],
        "saliency": {"skipped": "", **heat},
        "background": {
            "skipped": "",
            "note": "",
            "swaps": [{"swap": "outline alone", "says": "Colour goes.", **effect}],
        },
        "robustness": [{"perturbation": "brightness", "level": 0.7, "unit": "factor", **effect}],
    }


def page(folder: Path, report: RunReport) -> Page:
    write_run_page(folder / "report.html", report)
    return Page((folder / "report.html").read_text(encoding="utf-8"))


def test_chapters_stand_in_their_order_and_contents_lead_to_each(tmp_path: Path, report: RunReport) -> None:
    shown = page(tmp_path, report)
    assert not shown.open
    heads = [text for text, inside in shown.texts if inside[-1] == "h2"]
    assert heads == ["Summary", "Before you believe a number", *IN_ORDER]
    levels = [int(tag[1]) for tag, _, _ in shown.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(below - above <= 1 for above, below in pairwise(levels)), "no level of heads is left out"
    anchors = {attributes["id"] for attributes in shown.all("h2")}
    targets = [(attributes["href"] or "").removeprefix("#") for attributes in shown.all("a")]
    assert len(targets) == len(IN_ORDER)
    assert anchors.issuperset(targets)


def test_the_first_paragraph_is_the_score_and_the_summary_says_what_it_is_not(
    tmp_path: Path, report: RunReport
) -> None:
    text = page(tmp_path, report).text()
    assert f"Summary|{report.assessment['summary'][0]}|It was trained on 100 photos.|{AID}|" in text
    assert text.count(f"{NOTICE}.") == 2
    assert "Look at each source by itself.|A small test." in text


def test_it_needs_no_network_and_no_script_and_is_small(tmp_path: Path, report: RunReport) -> None:
    shown = page(tmp_path, report)
    assert {tag for tag, _, _ in shown.elements}.isdisjoint({"script", "link", "iframe", "object", "form", "base"})
    assert all((attributes["href"] or "").startswith("#") for attributes in shown.all("a"))
    source = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"https?://|@import|url\(|javascript:", source)
    assert "default-src 'none'" in source
    assert (tmp_path / "report.html").stat().st_size < 10e6
    assert not any(name.startswith("on") for _, attributes, _ in shown.elements for name in attributes)


def test_readers_who_do_not_see_are_told_the_same(tmp_path: Path, report: RunReport) -> None:
    shown = page(tmp_path, report)
    images = list(shown.all("img"))
    assert len(images) == len(FIGURES) + 1 + 1
    assert all(attributes["alt"] for attributes in images)
    assert all((attributes["src"] or "").startswith("data:image/") for attributes in images)
    (drawing,) = shown.all("svg")
    assert drawing["role"] == "img"
    assert "12 photos of 12 patients" in (drawing["aria-label"] or "")
    assert next(shown.all("html"))["lang"] == "en"
    heads = [(attributes, inside) for tag, attributes, inside in shown.elements if tag == "th"]
    assert all(attributes["scope"] == ("col" if "thead" in inside else "row") for attributes, inside in heads)
    assert all(text for text, inside in shown.texts if inside[-1] == "caption")
    assert len(list(shown.all("table"))) == len(list(shown.all("caption")))
    source = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"<th[^>]*></th>", source), "a column without a head"
    labels = [attributes["aria-label"] for attributes in shown.all("div") if attributes.get("role") == "region"]
    assert all(labels)
    ids = [attributes["id"] for _, attributes, _ in shown.elements if "id" in attributes]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize(
    "text", [ATTACK, "\" onload=alert(1) x='", "</style></title><script>alert(1)</script>", "{{ 7 * 7 }}"]
)
def test_every_text_is_taken_literally(
    tmp_path: Path, report: RunReport, assessment: Example, facts: Example, settings: Example, text: str
) -> None:
    evil = replace(
        report,
        title=text,
        summary=[text],
        warnings=[text],
        assessment=assessment(summary=[text], colour={"name": text, "beaten": None, "sentence": text}),
        facts=facts(stop_reason=text, weights={"source": "file", "file": text, "sha256": text}),
        settings=settings(own={text: text}),
        folds={text: {"auroc": 0.7}},
        scores={text: {text: 0.5, "auroc": 0.1}},
        figures={**report.figures, text: PNG},
        albums=[album(text, text)],
        flow=participant_flow(splits().assign(split=text), order=[text]),
        people=describe_people(splits(site=text)),
        files={text: text},
    )
    shown = page(tmp_path, evil)
    assert not shown.open
    assert {tag for tag, _, _ in shown.elements} == {tag for tag, _, _ in page(tmp_path, report).elements}
    assert not any(name.startswith("on") for _, attributes, _ in shown.elements for name in attributes)
    assert sum(text in found for found, _ in shown.texts) >= 14


def test_figures_stand_in_their_chapters_and_none_is_lost(report: RunReport) -> None:
    placed = {chapter.section.title: chapter.section.figures for chapter in run_chapters(report)}
    for title, caption in FIGURES.values():
        assert caption in [figure.caption for figure in placed[title]]
    assert [figure.caption for figure in placed["Further figures"]] == ["something else"]
    homeless = replace(report, assessment={}, looks={})
    shown = [figure.caption for chapter in run_chapters(homeless) for figure in chapter.section.figures]
    assert sorted(shown) == sorted([*(caption for _, caption in FIGURES.values()), "something else"])


def test_what_there_is_none_of_leaves_no_empty_chapter(tmp_path: Path) -> None:
    least = RunReport(title="Run", facts={}, settings={})
    assert [chapter.section.title for chapter in run_chapters(least)] == ["How it was made"]
    text = page(tmp_path, least).text()
    assert f"Summary|{AID}|" in text
    assert "Before you believe a number" not in text


def test_an_evaluation_and_a_cross_validation_have_pages_too(tmp_path: Path, report: RunReport) -> None:
    evaluation = replace(report, scores={}, folds={}, figures={"roc": PNG}, flow=None, people=None, albums=[])
    titles = [chapter.section.title for chapter in run_chapters(evaluation)]
    assert "Key scores" in titles
    assert not {"Fold by fold", "Photos", "Participants"} & set(titles)
    folds = page(tmp_path, replace(report, scores={})).text()
    assert "The AUROC of single folds lies between 0.700 and 0.900, and is 0.800 in the mean." in folds
    assert "There are 2 models, one per fold" in folds


def test_patients_without_a_name_are_not_said_to_stand_apart(
    tmp_path: Path, report: RunReport, assessment: Example
) -> None:
    counts = assessment()["counts"]
    unnamed = replace(report, assessment=assessment(counts={**counts, "unnamed": 3}))
    assert "No patient stands on two sides of a split" in page(tmp_path, report).text()
    assert "No patient stands on two sides of a split" not in page(tmp_path, unnamed).text()


@pytest.mark.parametrize(
    ("facts_of", "settings_of", "word"),
    [
        ({}, {"data": {"name": "synthetic"}}, "Drawn photographs"),
        ({}, {"data": {"name": "union", "sources": ["cp_anemic", "synthetic"]}}, "Drawn photographs"),
        ({"weights": {"source": "random", "name": None, "file": None}}, {}, "Random weights"),
        ({"weights": {"source": "file", "name": None, "file": "w.pth"}}, {}, "Weights of a file"),
        ({}, {"init_from": "old.ckpt"}, "Weights of another run"),
        ({"weights": {"source": "evaluated", "file": "best.ckpt"}}, {}, "A model of another run"),
    ],
)
def test_numbers_that_say_little_are_labelled_before_all_else(
    tmp_path: Path,
    report: RunReport,
    facts: Example,
    settings: Example,
    facts_of: dict[str, Any],
    settings_of: dict[str, Any],
    word: str,
) -> None:
    text = page(tmp_path, replace(report, facts=facts(**facts_of), settings=settings(**settings_of))).text()
    assert text.index(f"{word}.") < text.index("|Summary|")
    assert f"{word}." not in page(tmp_path, report).text()


def test_a_name_that_is_not_utf_8_can_be_written(tmp_path: Path, report: RunReport) -> None:
    assert "photo \\udc80.png" in page(tmp_path, replace(report, summary=["photo \udc80.png"])).text()


def test_a_page_of_many_photos_stays_below_ten_megabytes(tmp_path: Path, report: RunReport) -> None:
    pictures = [Picture(f"s/{place}.jpg", b"x" * 100_000, ["anaemic"], True) for place in range(200)]
    many = Album("Photos", [], [PictureGroup("Errors.", "200.", pictures)])
    text = page(tmp_path, replace(report, albums=[many])).text()
    assert 8e6 < (tmp_path / "report.html").stat().st_size < 10e6
    assert "more are left out, or the page would be too large." in text
