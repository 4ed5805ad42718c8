"""A survey that was interrupted goes on where it was; one of more photographs reads those alone that are new."""

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from anemia_lightning.data import recuts, survey
from anemia_lightning.data.sources.drawing import MIDDLE_A, draw_conjunctiva
from anemia_lightning.data.survey import Survey, survey_photos
from anemia_lightning.data.surveyed_photo import SurveyedPhoto, survey_photo
from anemia_lightning.randomness import stream

PHOTOS = 12

Take = Callable[..., Survey]


def manifest_of(folder: Path) -> pd.DataFrame:
    photos = sorted(folder.glob("*.png"))
    return pd.DataFrame({"photo": [f"s/{each.name}" for each in photos], "path": list(map(str, photos)), "mask": ""})


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs of which one is a copy of another, one a part of another, and one cannot be read."""
    folder = tmp_path_factory.mktemp("drawn")
    rgba = [draw_conjunctiva(MIDDLE_A, 0.7, stream("a person for the tests of surveys", n)) for n in range(PHOTOS - 1)]
    rgba[4] = np.ascontiguousarray(rgba[2][:, ::-1])
    rgba[5] = rgba[3][8:, 4:]
    names = [f"{number:02}.png" for number in range(PHOTOS)]
    for name, pixels in zip(names, rgba, strict=False):
        Image.fromarray(pixels).save(folder / name)
    (folder / names[-1]).write_bytes(b"no picture")
    return folder


@pytest.fixture(scope="module")
def found(drawn: Path) -> Survey:
    """What is found out of all of them at once, with nothing kept."""
    return survey_photos(manifest_of(drawn))


@pytest.fixture
def manifest(drawn: Path, tmp_path: Path) -> pd.DataFrame:
    """A copy of theirs for one test, which may change it."""
    return manifest_of(shutil.copytree(drawn, tmp_path, dirs_exist_ok=True))


@pytest.fixture
def whole(found: Survey, manifest: pd.DataFrame) -> Survey:
    """The same of the copies, which lie elsewhere."""
    paths = dict(zip(manifest["photo"], manifest["path"], strict=True))
    return replace(found, unreadable=[each._replace(path=paths[each.photo]) for each in found.unreadable])


@pytest.fixture
def take(tmp_path: Path) -> Take:
    return partial(survey_photos, store=tmp_path / "store", threads=1)


@pytest.fixture(autouse=True)
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the photographs that were read."""
    names: list[str] = []

    def counted(path: str, mask: str, *, of_cuts: bool) -> SurveyedPhoto:
        names.append(Path(path).name)
        return survey_photo(path, mask, of_cuts=of_cuts)

    monkeypatch.setattr(survey, "survey_photo", counted)
    return names


@pytest.fixture(autouse=True)
def compared(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many pairs were compared at a time."""
    counts: list[int] = []
    score = recuts._score_part

    def counted(part: recuts._Part) -> recuts._Scores:
        counts.append(len(part.pairs))
        return score(part)

    monkeypatch.setattr(recuts, "_score_part", counted)
    monkeypatch.setattr(recuts, "_PAIRS_AT_ONCE", 4)
    return counts


def turn(path: Path) -> None:
    with Image.open(path) as picture:
        turned = picture.transpose(Image.Transpose.ROTATE_90)
    turned.save(path)


def assert_same(one: Survey, other: Survey) -> None:
    pd.testing.assert_frame_equal(one.facts, other.facts, check_exact=True)
    assert one.unreadable == other.unreadable
    for table in ("groups", "pairs", "near"):
        pd.testing.assert_frame_equal(getattr(one.copies, table), getattr(other.copies, table), check_exact=True)


def test_what_is_kept_is_not_found_out_again(
    manifest: pd.DataFrame, take: Take, whole: Survey, read: list[str], compared: list[int]
) -> None:
    first = take(manifest)
    assert set(first.copies.pairs["grain"]) == {"turned", "recut"}
    assert (len(read), sum(compared) > 10) == (PHOTOS, True)
    read.clear()
    compared.clear()
    assert_same(take(manifest), first)
    # What cannot be read today, for want of permission or of a decoder, may be readable tomorrow.
    assert (read, compared) == (["11.png"], [])
    assert_same(first, whole)


def test_an_interrupted_reading_goes_on(manifest: pd.DataFrame, take: Take, whole: Survey, read: list[str]) -> None:
    def stop(step: str, done: int, _: int) -> None:
        if (step, done) == ("reading photographs", 5):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        take(manifest, progress=stop)
    before = set(read)
    read.clear()
    calls: list[tuple[str, int, int]] = []
    resumed = take(manifest, progress=lambda *call: calls.append(call))
    assert calls[:PHOTOS] == [("reading photographs", done, PHOTOS) for done in range(1, PHOTOS + 1)]
    assert len(before & set(read)) <= len(before) - 5
    assert_same(resumed, whole)


def test_an_interrupted_comparison_goes_on(
    manifest: pd.DataFrame, take: Take, whole: Survey, compared: list[int]
) -> None:
    def stop(step: str, done: int, _: int) -> None:
        if step == "comparing photographs alike" and done > 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        take(manifest, progress=stop)
    compared.clear()
    calls: list[tuple[str, int, int]] = []
    resumed = take(manifest, progress=lambda *call: calls.append(call))
    # The third four had been compared, and with them the pass ended.
    assert sum(compared) == calls[-1][2] - 12
    assert calls[-1][:2] == ("comparing photographs alike", calls[-1][2])
    assert_same(resumed, whole)


def test_two_commands_at_once_share_the_reading(
    manifest: pd.DataFrame, take: Take, whole: Survey, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(survey, "_PHOTOS_AT_ONCE", 4)
    by_the_other: list[str] = []

    def begin_another(step: str, done: int, _: int) -> None:
        if (step, done) == ("reading photographs", 1):
            before = len(read)
            take(manifest, seek_recuts=True)
            by_the_other.extend(read[before:])

    assert_same(take(manifest, progress=begin_another), whole)
    assert len(by_the_other) >= PHOTOS - 4
    assert len(read) - len(by_the_other) <= 4 + 1, "one part, and what cannot be read"


def test_two_commands_at_once_share_the_comparing(
    manifest: pd.DataFrame, take: Take, whole: Survey, compared: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recuts, "_COMPARED_AT_ONCE", 1)
    by_the_other: list[int] = []

    def begin_another(step: str, *_: int) -> None:
        if step == "comparing photographs alike" and not by_the_other:
            before = len(compared)
            take(manifest)
            by_the_other.extend(compared[before:])

    assert_same(take(manifest, progress=begin_another), whole)
    assert len(by_the_other) > 2
    assert len(compared) - len(by_the_other) == 1


def test_of_more_photographs_the_new_ones_are_read(
    manifest: pd.DataFrame, take: Take, whole: Survey, read: list[str]
) -> None:
    take(manifest.drop(index=[0, 6, 7]))
    read.clear()
    assert_same(take(manifest), whole)
    assert sorted(read) == ["00.png", "06.png", "07.png", "11.png"]


def test_order_and_names_are_those_of_the_manifest(manifest: pd.DataFrame, take: Take) -> None:
    take(manifest)
    shuffled = manifest.sample(frac=1, random_state=0, ignore_index=True)
    shuffled["photo"] = [f"t/{number}" for number in range(PHOTOS)]
    assert_same(take(shuffled), survey_photos(shuffled))


def test_a_file_that_two_photos_name_is_no_special_case(manifest: pd.DataFrame, take: Take) -> None:
    twice = pd.concat([manifest, manifest.assign(photo=manifest["photo"] + " again")], ignore_index=True)
    for _ in range(2):
        assert_same(take(twice), survey_photos(twice))


@pytest.mark.parametrize("change", ["content", "time", "mask", "recuts"])
def test_whatever_changes_is_read_anew(manifest: pd.DataFrame, take: Take, read: list[str], change: str) -> None:
    take(manifest)
    read.clear()
    path = Path(manifest["path"][3])
    if change == "content":
        turn(path)
    elif change == "time":
        os.utime(path, (1, 1))
    elif change == "mask":
        mask = path.with_suffix(".mask.png")
        shutil.copy(path, mask)
        manifest.loc[3, "mask"] = str(mask)
    seek = change != "recuts"
    assert_same(take(manifest, seek_recuts=seek), survey_photos(manifest, seek_recuts=seek))
    assert set(read[: len(read) - PHOTOS]) == ({"03.png", "11.png"} if change != "recuts" else set(read))


def test_what_was_replaced_while_it_was_read_is_not_kept(
    manifest: pd.DataFrame, take: Take, whole: Survey, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path(manifest["path"][3])
    before, times = path.read_bytes(), (path.stat().st_atime_ns, path.stat().st_mtime_ns)

    def replaced(photo: str, mask: str, *, of_cuts: bool) -> SurveyedPhoto:
        if photo == str(path):
            turn(path)
        return survey_photo(photo, mask, of_cuts=of_cuts)

    with monkeypatch.context() as patch:
        patch.setattr(survey, "survey_photo", replaced)
        take(manifest)
    # Back in its place, with its time, as a backup or rsync does it.
    path.write_bytes(before)
    os.utime(path, ns=times)
    assert_same(take(manifest), whole)
