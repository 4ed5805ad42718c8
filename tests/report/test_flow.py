"""The participant flow: every photo is counted once, and the drawing's boxes hold their words and do not touch."""

import itertools
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from anemia_lightning.contracts import SPLIT_COLUMNS
from anemia_lightning.report.flow import Flow, flow_boxes, flow_drawing, participant_flow, write_flow


def splits(*rows: tuple[str, str, int, str, str]) -> pd.DataFrame:
    return pd.DataFrame(
        [(photo, patient, photo, label, split, reason) for photo, patient, label, split, reason in rows],
        columns=list(SPLIT_COLUMNS),
    )


def usual() -> Flow:
    return participant_flow(
        splits(
            ("a", "p1", 1, "train", ""),
            ("b", "p1", 1, "train", ""),
            ("c", "p2", 0, "val", ""),
            ("d", "p3", 1, "test", ""),
            ("e", "p3", -1, "excluded", "IMG_DAMAGED: a damaged file (torn)"),
            ("f", "p4", -1, "excluded", "IMG_DAMAGED: a damaged file (bent)"),
            ("g", "p5", 0, "excluded", "label conflict: copies of one photograph with both labels"),
        )
    )


def test_every_photo_is_counted_once_with_its_reason() -> None:
    flow = usual()
    assert flow.found[1:] == ((7, 5, 0), None)
    assert flow.used[1:] == ((4, 3, 0), (3, 2, 0))
    assert [tuple(reason) for reason in flow.excluded] == [
        ("IMG_DAMAGED", (2, 2, 0), None),
        ("label conflict: copies of one photograph with both labels", (1, 1, 0), None),
    ]
    assert [part[1:] for part in flow.parts] == [
        ((2, 1, 0), (2, 1, 0)),
        ((1, 1, 0), (0, 0, 0)),
        ((1, 1, 0), (1, 1, 0)),
    ]


@pytest.mark.parametrize("seed", range(10))
def test_parts_and_reasons_add_up_whatever_the_data(seed: int) -> None:
    draw = np.random.default_rng(seed)
    names = ("excluded", "fold-0", "fold-1", "fold-2")
    rows = [
        (
            f"s/{place}",
            f"p{draw.integers(30)}",
            int(draw.integers(2)),
            str(draw.choice(names)),
            f"R{draw.integers(4)}: x",
        )
        for place in range(100)
    ]
    flow = participant_flow(splits(*rows), order=names[1:])
    assert flow.found.numbers.photos == 100
    left_out = sum(reason.numbers.photos for reason in flow.excluded)
    assert flow.found.numbers.photos == flow.used.numbers.photos + left_out
    assert flow.used.numbers.photos == sum(part.numbers.photos for part in flow.parts)
    anaemic = [part.anaemic.photos for part in (flow.used, *flow.parts) if part.anaemic]
    assert anaemic[0] == sum(anaemic[1:])


def test_the_anaemic_are_counted_by_photo_and_by_patient() -> None:
    lines = [" ".join(box.lines) for box in flow_boxes(usual())]
    assert lines[0] == "photos found 7 photos of 5 patients"
    assert lines[3] == "photos used 4 photos of 3 patients, anaemic: 3 photos of 2 patients"
    assert lines[4] == "training 2 photos of 1 patient, anaemic: 2 photos of 1 patient"


def test_patients_without_a_name_are_not_counted() -> None:
    flow = participant_flow(splits(("a", "a", 1, "train", ""), ("b", "b", 0, "test", ""), ("c", "p", 0, "test", "")))
    lines = [" ".join(box.lines) for box in flow_boxes(flow)]
    assert lines[0] == "photos found 3 photos of 1 patient and others not named"
    assert lines[2] == "training 1 photo (patients not named), anaemic: 1"


def test_each_part_says_what_it_is_for() -> None:
    assert [part.name for part in usual().parts] == [
        "training",
        "validation: chose the best epoch and how it decides",
        "test: judges the model",
    ]
    flow = participant_flow(
        splits(("a", "p", 1, "fold-0", ""), ("b", "q", 0, "fold-1", "")), order=["fold-0", "fold-1"]
    )
    assert [part.name for part in flow.parts] == ["test part of fold-0", "test part of fold-1"]


def test_a_part_that_was_forgotten_is_a_defect() -> None:
    with pytest.raises(AssertionError, match="every photo"):
        participant_flow(splits(("a", "p", 1, "train", ""), ("b", "q", 1, "fold", "")))


@pytest.mark.parametrize("name", ["test", "one very long name of a hospital " * 4, "unbrokenname" * 12])
def test_boxes_hold_their_words_and_do_not_touch(name: str) -> None:
    rows = [(f"{place}", f"{place}", 1, name, "") for place in range(3)]
    rows += [("x", "x", 0, "excluded", "a reason that needs more than one line of the drawing, since it is long")]
    flow = participant_flow(splits(*rows), order=[name])
    boxes, drawing = flow_boxes(flow), flow_drawing(flow)
    assert all(above.y + above.height < below.y for above, below in itertools.pairwise(boxes))
    assert all(box.x >= 0 and box.x + box.width <= 360 for box in boxes)
    assert boxes[-1].y + boxes[-1].height < int(str(drawing["height"]))
    for box in boxes:
        # So wide are usual letters at 13 px in DejaVu Sans, one of the widest fonts, bold and not.
        assert max(map(len, box.lines[: box.names])) * 7.5 <= box.width - 16
        assert max(map(len, box.lines[box.names :])) * 7 <= box.width - 16
        assert len(box.lines) * 18 <= box.height


def test_lines_lead_from_found_to_used_and_branch_to_each_other_box() -> None:
    flow = usual()
    boxes = flow_boxes(flow)
    paths = flow_drawing(flow)["paths"]
    assert isinstance(paths, list)
    trunks = [tuple(map(int, found)) for path in paths for found in re.findall(r"^M20 (\d+)V(\d+)$", path)]
    used = boxes[3]
    assert trunks == [
        (boxes[0].y + boxes[0].height, used.y),
        (used.y + used.height, boxes[-1].y + boxes[-1].height // 2),
    ]
    branches = {int(found) for path in paths for found in re.findall(r"^M20 (\d+)H40$", path)}
    assert branches == {box.y + box.height // 2 for box in (*boxes[1:3], *boxes[4:])}


def test_nothing_excluded_leaves_no_gap() -> None:
    flow = participant_flow(splits(("a", "p", 1, "scored", "")), order=["scored"])
    assert [box.lines[0] for box in flow_boxes(flow)] == ["photos found", "photos used", "test part of scored"]


def test_the_file_holds_diagram_and_words_with_names_taken_literally(tmp_path: Path) -> None:
    attack = '"] --> x["<script>'
    flow = participant_flow(splits(("a", "p", 1, attack, ""), ("b", "q", 0, "excluded", "*why*: x")), order=[attack])
    write_flow(tmp_path / "flow.md", flow)
    text = (tmp_path / "flow.md").read_text(encoding="utf-8")
    diagram, words = text.split("```")[1:]
    lines = diagram.splitlines()
    assert lines[:2] == ["mermaid", "flowchart TD"]
    assert len(lines) == 2 + 4 + 3, "four boxes, three arrows"
    assert attack not in diagram
    assert all(
        re.fullmatch(r'    n\d\["[^"<>\[\]]*<br>[^"<>\[\]]*"\]|    n\d (-->|-\.->) n\d', line) for line in lines[2:]
    )
    assert r"- left out: \*why\*: x: 1 photo of 1 patient" in words
