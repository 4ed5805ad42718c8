"""The audit in writing: the same content in HTML, Markdown and on the terminal; every name taken literally."""

import io
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from anemia_lightning.contracts import GRAINS
from anemia_lightning.report.audit import write_audit_html, write_audit_markdown
from anemia_lightning.report.audit_lines import audit_lines
from anemia_lightning.report.sections import Album, Picture, PictureGroup

ATTACK = "<script>alert(1)</script>"
TRICKY = "a|b *c* [d](e) `f`"


def jpeg() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 6), "red").save(file, "JPEG")
    return file.getvalue()


def record(**changes: Any) -> dict[str, Any]:
    interval = {"value": 0.5949, "low": 0.51, "high": 0.672}
    content: dict[str, Any] = {
        "data": {
            "name": "set",
            "root": "x",
            "caution": None,
            "photos": 30,
            "patients": 20,
            "unnamed": 0,
            "anaemic": 12,
        },
        "sound": True,
        "findings": [
            {"code": "AUDIT_COPIES", "severity": "warn", "says": "There are copies.", "advice": "Group.", "photos": []},
            {"code": "AUDIT_NEAR_CUTOFF", "severity": "info", "says": "Near.", "advice": "Look.", "photos": []},
        ],
        "distinct_photographs": {"rows": 30, "bytes": 28, "pixels": 27, "turned": 26, "recut": 25},
        "copies": [
            {
                "grain": grain,
                "distinct": 28,
                "groups": 2,
                "photos": 4,
                "largest": 2,
                "within_class": 1,
                "across_classes": 1,
                "across_patients": 2,
                "across_sites": 0,
                "other_hemoglobin": 1,
                "spread_median_g_dl": None,
                "spread_highest_g_dl": 4.25,
            }
            for grain in GRAINS
        ],
        "leak": {"test_share": 0.2, "random": [{"grain": grain, "leaked": 0.4249} for grain in GRAINS], "given": None},
        "grouping": [
            {"grain": "random", "photos": 30, "groups": 30, "dropped": 0, "auroc": {"size": interval}},
            {"grain": "recut", "photos": 28, "groups": 24, "dropped": 2, "auroc": {}},
        ],
        "labels": {
            "rule": "own",
            "source": "the data set",
            "cutoffs": [],
            "flips": {"who2024": {"flips": 3, "of": 30}},
        },
        "hemoglobin": {
            "known": 30,
            "cutoff_g_dl": 11.0,
            "agreeing": 29,
            "contradicting": ["s/1.png"],
            "near": 4,
            "near_g_dl": 0.5,
        },
        "counts": [{"column": "site", "value": "North", "photos": 30, "patients": 20, "anaemic": 12, "share": 0.4}],
        "associations": [{"column": "site", "values": 2, "cramers_v": 0.19, "p_value": 0.2}],
        "files": {
            "measures": [
                {
                    "measure": "width",
                    "lowest": 79,
                    "q05": 100,
                    "median": 228,
                    "q95": 400,
                    "highest": 5130,
                    "outliers": 1,
                }
            ],
            "outliers": [{"photo": "s/2.png", "measure": "width", "value": 5130.0}],
        },
        "missing": [{"column": "sex", "missing": 3, "share": 0.1}],
        "excluded": {"codes": {"IMG_EMPTY": 1}, "photos": [{"photo": "s/3.png", "reason": "IMG_EMPTY: an empty file"}]},
        "near": [],
        "settings": {"probes": True, "folds": 5, "repeats": 1, "seed": 0},
    }
    return content | changes


def album(photo: str = "s/1.png") -> Album:
    return Album(
        "Side by side", ["Look."], [PictureGroup("Group 1.", "2 photos.", [Picture(photo, jpeg(), ["anaemic"], True)])]
    )


class Page(HTMLParser):
    """Reads a page: its elements, its text."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.texts: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag == "img":
            self.images.append(dict(attrs))

    def handle_data(self, data: str) -> None:
        self.texts.append(" ".join(data.split()))


def page(folder: Path, *albums: Album, **changes: Any) -> Page:
    write_audit_html(folder / "audit.html", record(**changes), albums)
    return Page(folder / "audit.html")


def text_of(page: Page) -> str:
    return "|".join(text for text in page.texts if text)


def markdown(folder: Path, **changes: Any) -> str:
    write_audit_markdown(folder / "audit.md", record(**changes))
    return (folder / "audit.md").read_text(encoding="utf-8")


def test_the_page_says_in_words_what_the_data_are_and_what_is_wrong(tmp_path: Path) -> None:
    text = text_of(page(tmp_path))
    assert "A sound split of these data is possible." in text
    assert "30 photos of 20 patients can be read, 12 of the photos of anaemic people. 1 more cannot be used." in text
    assert "They are 28 different files with 27 different pictures" in text
    assert text.index("Careful:|There are copies.") < text.index("Note:|Near.")
    assert "same file|28|2|4|2|1|2|0|1|4.2|42%" in text
    assert "none: each photo alone|30|30|0|0.59 [0.51, 0.67]|also cut out anew|28|24|2|-" in text
    assert "By site (Cramér's V with the class 0.19)" in text
    assert "width|79|100|228|400|5,130|1" in text


def test_patients_without_a_name_are_not_counted(tmp_path: Path) -> None:
    data = record()["data"] | {"patients": 0, "unnamed": 30}
    text = text_of(page(tmp_path, data=data))
    assert "30 photos (patients not named) can be read, 12 of the photos of anaemic people." in text
    assert "same file|28|2|4|2|1|-|0|1|4.2|42%" in text
    assert "site|photos|anaemic|share|North|30|12|40%" in text


def test_what_could_not_be_dealt_to_folds_is_said_to_have_no_row(tmp_path: Path) -> None:
    row = record()["grouping"][0]
    whole = [row | {"grain": grain} for grain in ("random", *GRAINS)]
    assert "no row" not in text_of(page(tmp_path, grouping=whole))
    says = "Too few groups for 5 folds, and so no row: also mirrored, turned, re-encoded; also cut out anew. Fewer"
    assert says in text_of(page(tmp_path, grouping=whole[:-2]))
    assert says in markdown(tmp_path, grouping=whole[:-2])
    assert "so no row: none: each photo alone; same file; same pixels;" in text_of(page(tmp_path, grouping=[]))
    assert "keeping copies together" not in text_of(page(tmp_path, grouping=None))


def test_what_copies_are_worth_is_not_all_taken_for_recognition(tmp_path: Path) -> None:
    assert "What falls from the first row to the last may be recognition rather than skill;" in markdown(tmp_path)


def test_data_without_copies_are_said_to_have_none(tmp_path: Path) -> None:
    distinct = dict.fromkeys(("rows", *GRAINS), 30)
    assert "No copies were found" in text_of(page(tmp_path, distinct_photographs=distinct))


def test_unsound_data_are_called_so(tmp_path: Path) -> None:
    assert "As they are, these data cannot be split soundly" in text_of(page(tmp_path, sound=False))
    assert "As they are, these data cannot be split soundly" in markdown(tmp_path, sound=False)


def test_a_given_split_is_shown_with_what_it_leaks(tmp_path: Path) -> None:
    given = [{"grain": "patient", "crossing": 3, "val": None, "test": 0.25}]
    leak = record()["leak"] | {"given": given}
    assert "same patient|3|-|25%" in text_of(page(tmp_path, leak=leak))
    assert "| same patient | 3 | - | 25% |" in markdown(tmp_path, leak=leak)


def test_thumbnails_are_inside_and_albums_without_groups_are_not(tmp_path: Path) -> None:
    shown = page(tmp_path, album(), Album("Empty", ["Nothing."], []))
    assert [image["alt"] for image in shown.images] == ["s/1.png"]
    assert (shown.images[0]["src"] or "").startswith("data:image/jpeg;base64,")
    assert "Empty" not in text_of(shown)
    source = (tmp_path / "audit.html").read_text(encoding="utf-8")
    assert not re.search(r"https?://|@import|url\(|<script|<link", source)
    assert "default-src 'none'" in source


@pytest.mark.parametrize("name", [ATTACK, TRICKY, "{{ 7 * 7 }}", "line\nbreak"])
def test_names_are_taken_literally(tmp_path: Path, name: str) -> None:
    finding = {"code": "AUDIT_X", "severity": "stop", "says": name, "advice": name, "photos": [name]}
    counts = [record()["counts"][0] | {"value": name}]
    outliers = {"photo": name, "measure": "width", "value": 1.0}
    files = record()["files"] | {"outliers": [outliers]}
    changes: dict[str, Any] = {"findings": [finding], "counts": counts, "files": files}
    shown = page(tmp_path, album(name), **changes)
    assert set(shown.tags) == set(page(tmp_path, album()).tags)
    assert sum(" ".join(name.split()) in text for text in shown.texts) == 5
    lines = markdown(tmp_path, **changes)
    assert "<script>" not in lines.replace("\\<script\\>", "")
    table = [line for line in lines.splitlines() if line.startswith("| ")]
    bars = {len(re.findall(r"(?<!\\)\|", line)) for line in table if "width" in line and "1" in line}
    assert bars <= {4, 8}, "a bar in a name begins no new cell"


def test_markdown_and_page_have_the_same_chapters(tmp_path: Path) -> None:
    chapters = re.findall(r"^## (.*)$", markdown(tmp_path), re.MULTILINE)
    text = text_of(page(tmp_path))
    assert len(chapters) == 7
    assert all(chapter in text for chapter in chapters)


def test_long_tables_are_cut_and_say_so(tmp_path: Path) -> None:
    row = record()["files"]["outliers"][0]
    many = record()["files"] | {"outliers": [row | {"photo": f"s/{number}.png"} for number in range(40)]}
    text = text_of(page(tmp_path, files=many))
    assert "and 10 more, in audit.json" in text
    assert "s/30.png" not in text


def test_of_a_guideline_each_photo_has_its_own_cut_off(tmp_path: Path) -> None:
    one = text_of(page(tmp_path))
    assert (
        "30 photos. 29 labels follow one cut-off, anaemic below 11 g/dL. 4 photos stand within 0.5 g/dL of it." in one
    )
    several = record()["labels"] | {"cutoffs": [{"g_dl": 12.0, "photos": 20}, {"g_dl": 13.0, "photos": 10}]}
    text = text_of(page(tmp_path, labels=several, hemoglobin=record()["hemoglobin"] | {"cutoff_g_dl": None}))
    assert "Cut-offs, after altitude and smoking: 12 g/dL for 20, 13 g/dL for 10 photos." in text
    assert "Haemoglobin is known of 30 photos. 4 photos stand within 0.5 g/dL of their cut-off." in text


def test_without_probes_or_haemoglobin_nothing_is_made_up(tmp_path: Path) -> None:
    silent = record()["hemoglobin"] | {"known": 0, "cutoff_g_dl": None}
    text = text_of(page(tmp_path, grouping=None, hemoglobin=silent))
    assert "The data give no haemoglobin, so labels cannot be checked." in text
    assert "What keeping copies together is worth" not in text


def test_the_terminal_tells_the_worst_the_table_and_where_the_files_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = audit_lines(record(), tmp_path)
    assert "careful  There are copies." in lines
    assert "note     1 lesser finding in the report." in lines
    assert not any("Near." in line for line in lines)
    (head,) = [line for line in lines if line.startswith("kept together")]
    assert head.split() == ["kept", "together", "photos", "groups", "size"]
    (row,) = [line for line in lines if line.startswith("nothing ")]
    assert row.split() == ["nothing", "30", "30", "0.59", "[0.51,", "0.67]"]
    assert lines[-4].endswith(str(tmp_path / "audit.html"))
    assert "Nothing was found to be wrong." in audit_lines(record(findings=[]), tmp_path)
