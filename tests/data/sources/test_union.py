import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from omegaconf import OmegaConf

from anemia_lightning.command_line.settings import CONF, compose
from anemia_lightning.contracts import MANIFEST_COLUMNS
from anemia_lightning.data.exclusions import add_excluded, set_excluded_aside
from anemia_lightning.data.labels import LabelRule, label_manifest
from anemia_lightning.data.manifest import build_manifest
from anemia_lightning.data.sources.union import Part, read_union
from anemia_lightning.errors import AnemiaError, SourceError
from anemia_lightning.wiring import build_source

ROOTS = {"children": "/children", "adults": "/adults", "clinic": "/clinic"}


def children(*, root: str | Path) -> pd.DataFrame:
    """Labels of its own, patients with names, an own column of numbers."""
    return build_manifest(
        [
            {"photo": f"children/{n}.png", "path": f"{root}/{n}.png", "label": n % 2, "patient": str(n), "site": site}
            | {"hemoglobin_g_dl": 9.5 + n, "age_months": 24, "source": "children"}
            for n, site in enumerate(("Accra", "Rome", ""))
        ]
    ).assign(redness=[0.0, 0.5, 1.0])


def adults(*, root: str | Path) -> pd.DataFrame:
    """Haemoglobin in place of labels, one excluded patient, a site that is another source's too."""
    rows = [
        {"photo": f"adults/{n}.png", "path": f"{root}/{n}.png", "label": -1, "patient": str(n), "site": "Rome"}
        | {"hemoglobin_g_dl": 12.5, "age_months": 480, "source": "adults", "sex": sex}
        for n, sex in enumerate(("male", "female"))
    ]
    excluded = {"photo": "adults/9.png", "path": "9", "patient": "9", "source": "adults", "exclude_reason": "torn"}
    return add_excluded(build_manifest(rows), [excluded])


def clinic(*, root: str | Path) -> pd.DataFrame:
    """No patients, no sites."""
    rows = [{"photo": f"clinic/{n}.png", "path": f"{root}/{n}.png", "label": n, "source": "clinic"} for n in (0, 1)]
    return build_manifest(rows)


PARTS: dict[str, Part] = {"children": children, "adults": adults, "clinic": clinic}


def read(*sources: str, roots: Mapping[str, Any] = ROOTS, parts: Mapping[str, Part] = PARTS) -> pd.DataFrame:
    return read_union(sources=sources, roots=roots, parts=parts)


def refusal(sources: Sequence[str] | str, **options: Any) -> str:
    with pytest.raises(AnemiaError) as caught:
        read_union(**{"sources": sources, "roots": ROOTS, "parts": PARTS, **options})
    return str(caught.value)


def by_photo(union: pd.DataFrame, column: str) -> dict[str, Any]:
    return dict(zip(union["photo"], union[column], strict=True))


def test_all_photos_are_there_under_their_own_names() -> None:
    union = read("children", "adults", "clinic")
    assert tuple(union) == (*MANIFEST_COLUMNS, "redness", "exclude_reason")
    assert by_photo(union, "source") == {
        "adults/0.png": "adults",
        "adults/1.png": "adults",
        "adults/9.png": "adults",
        "children/0.png": "children",
        "children/1.png": "children",
        "children/2.png": "children",
        "clinic/0.png": "clinic",
        "clinic/1.png": "clinic",
    }
    assert by_photo(union, "path")["children/1.png"] == "/children/1.png"
    assert union["label"].tolist() == [-1, -1, -1, 0, 1, 0, 0, 1]
    assert union["label"].dtype == np.int64
    assert union["redness"].fillna(-1).tolist() == [-1, -1, -1, 0, 0.5, 1, -1, -1]
    assert union["exclude_reason"].tolist() == ["", "", "torn", "", "", "", "", ""]


def test_patients_and_sites_of_two_sources_are_never_one() -> None:
    union = read("children", "adults", "clinic")
    assert by_photo(union, "patient") == {
        **{f"adults/{n}.png": f"adults/{n}" for n in (0, 1, 9)},
        **{f"children/{n}.png": f"children/{n}" for n in (0, 1, 2)},
        **{f"clinic/{n}.png": f"clinic/{n}.png" for n in (0, 1)},
    }
    assert by_photo(union, "site") == {
        "adults/0.png": "adults/Rome",
        "adults/1.png": "adults/Rome",
        "adults/9.png": "",
        "children/0.png": "Accra",
        "children/1.png": "children/Rome",
        "children/2.png": "",
        "clinic/0.png": "",
        "clinic/1.png": "",
    }
    assert set(read("adults", "clinic")["site"]) == {"Rome", ""}


def test_the_order_of_the_sources_changes_nothing() -> None:
    unions = [read(*order) for order in itertools.permutations(PARTS)]
    for union in unions[1:]:
        pd.testing.assert_frame_equal(union, unions[0])


def test_only_the_chosen_sources_are_read() -> None:
    def burning(*, root: str | Path) -> pd.DataFrame:
        raise AssertionError(root)

    assert len(read("children", "clinic", parts={**PARTS, "adults": burning})) == 5


def test_one_rule_labels_all_sources() -> None:
    photos, excluded = set_excluded_aside(read("children", "adults"))
    assert excluded["photo"].tolist() == ["adults/9.png"]
    labelled = label_manifest(photos, LabelRule(rule="who2024")).manifest
    assert by_photo(labelled, "label") == {
        "adults/0.png": 1,
        "adults/1.png": 0,
        "children/0.png": 1,
        "children/1.png": 1,
        "children/2.png": 0,
    }


def test_own_labels_do_for_sources_that_have_some_only() -> None:
    own = LabelRule(rule="own")
    assert label_manifest(read("children", "clinic"), own).manifest["label"].tolist() == [0, 1, 0, 0, 1]
    with pytest.raises(AnemiaError, match=r"^2 photos have a haemoglobin but no label: choose labels=who2024"):
        label_manifest(set_excluded_aside(read("children", "adults"))[0], own)


@pytest.mark.parametrize(
    ("sources", "given"),
    [([], "[]"), (["children"], "[children]"), ("children", "children"), (["adults", "adults"], "[adults,adults]")],
)
def test_fewer_than_two_sources_are_no_union(sources: list[str] | str, given: str) -> None:
    expected = f"data.sources must list two sources or more, each once, not {given}."
    assert refusal(sources) == expected


def test_an_unknown_source_is_answered_with_the_nearest() -> None:
    assert refusal(["children", "adult"]) == (
        "Looked for a source of the union, data.sources; found 'adult'. "
        "Known, the nearest first: adults, clinic, children."
    )


@pytest.mark.parametrize("root", [None, " "])
def test_a_chosen_source_needs_its_folder(root: str | None) -> None:
    assert refusal(["children", "adults"], roots={"children": "/c", "adults": root, "clinic": None}) == (
        "Looked for the data folder of adults; found no data.roots.adults. Set data.roots.adults=FOLDER."
    )


def test_what_a_source_refuses_is_said_with_the_settings_of_the_union() -> None:
    def gone(*, root: str | Path) -> pd.DataFrame:
        raise SourceError("the children", f"nothing at data.root={root}", "Set data.root to their folder.")

    assert refusal(["children", "adults"], parts={**PARTS, "children": gone}) == (
        "Looked for the children; found nothing at data.root=/children. Set data.root to their folder. "
        "In this union, data.root of children is data.roots.children, "
        "and its other settings are below data.parts.children."
    )


def test_photos_that_two_sources_name_alike_are_refused() -> None:
    message = refusal(["children", "adults"], parts={"children": clinic, "adults": clinic})
    assert "found photo ids that two sources share: clinic/0.png, clinic/1.png." in message


def test_the_settings_build_it(tmp_path: Path, drawn_photos: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a.png").touch()
    (tmp_path / "photos.csv").write_text("photo,label,who\nmine/a.png,1,P1\n")
    overrides = ["data=union", "data.sources=[table,synthetic]", f"data.roots.table={tmp_path}"]
    overrides += [f"data.roots.synthetic={drawn_photos}", "data.parts.table.columns.patient=who"]
    overrides += ["data.parts.synthetic.patients=24", "data.parts.synthetic.photos=48"]
    manifest = build_source(compose("train", overrides))()
    assert manifest.groupby("source").size().to_dict() == {"synthetic": 48, "table": 1}
    assert manifest.query("source == 'table'")["patient"].tolist() == ["table/P1"]


@pytest.mark.parametrize("source", ["cp_anemic", "eyes_defy", "folder", "synthetic", "table"])
def test_a_part_has_the_settings_of_its_own_file(source: str) -> None:
    union = OmegaConf.to_container(OmegaConf.load(CONF / "data" / "union.yaml"))
    alone = OmegaConf.to_container(OmegaConf.load(CONF / "data" / f"{source}.yaml"))
    assert isinstance(union, dict)
    assert isinstance(alone, dict)
    part = union["parts"][source]
    assert {**part, "root": "${data.root}"}.keys() == alone["source"].keys()
    assert part["_target_"] == alone["source"]["_target_"]
    # What has no default in its own file, such as the table's name, has one here, lest all parts ask for it.
    defaults = {name: alone[name] for name in part if name in alone and alone[name] != "???"}
    assert {name: part[name] for name in defaults} == defaults
    assert source in union["roots"]


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("cp_anemic", "Looked for the CP-AnemiC data set; found nothing at data.root="),
        ("eyes_defy", "Looked for the Eyes-Defy-Anemia data set; found nothing at data.root="),
        ("table", "Looked for the folder of the table's photographs; found nothing at data.root="),
        ("folder", "data.positive_class must be given"),
    ],
)
def test_each_source_of_the_settings_says_what_it_lacks(
    tmp_path: Path, drawn_photos: Path, source: str, sentence: str
) -> None:
    overrides = ["data=union", f"data.sources=[{source},synthetic]", f"data.roots.{source}={tmp_path / 'gone'}"]
    # As many as are drawn there already: tests that count on them share the folder.
    overrides += [f"data.roots.synthetic={drawn_photos}", "data.parts.synthetic.patients=24"]
    read_source = build_source(compose("train", [*overrides, "data.parts.synthetic.photos=48"]))
    with pytest.raises(AnemiaError) as caught:
        read_source()
    assert str(caught.value).startswith(sentence)
    assert f"In this union, data.root of {source} is data.roots.{source}," in str(caught.value)
