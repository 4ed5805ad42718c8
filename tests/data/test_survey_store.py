import os
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from anemia_lightning.data.decoders import decoder_versions
from anemia_lightning.data.reading import Unreadable
from anemia_lightning.data.survey import Survey, survey_photos
from anemia_lightning.data.survey_store import stored_survey, survey_key


@pytest.fixture
def manifest(tmp_path: Path) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    paths = [tmp_path / f"{number}.png" for number in range(4)]
    for path in paths[:3]:
        Image.fromarray(rng.integers(0, 256, (32, 48, 3), dtype=np.uint8)).save(path)
    paths[3].write_bytes(b"no picture")
    return pd.DataFrame({"photo": [f"s/{path.name}" for path in paths], "path": list(map(str, paths)), "mask": ""})


class Counted:
    """Surveys, and counts how often."""

    def __init__(self, manifest: pd.DataFrame) -> None:
        self.manifest = manifest
        self.times = 0

    def __call__(self) -> Survey:
        self.times += 1
        return survey_photos(self.manifest)


def assert_same(one: Survey, other: Survey) -> None:
    pd.testing.assert_frame_equal(one.facts, other.facts)
    assert one.unreadable == other.unreadable
    for table in ("groups", "pairs", "near"):
        pd.testing.assert_frame_equal(getattr(one.copies, table), getattr(other.copies, table), check_dtype=False)


def test_a_stored_survey_is_found_again_to_the_last_bit(tmp_path: Path, manifest: pd.DataFrame) -> None:
    take = Counted(manifest)
    first = stored_survey(tmp_path / "store", manifest, take)
    again = stored_survey(tmp_path / "store", manifest, take)
    assert take.times == 1
    assert_same(first, again)
    assert_same(again, survey_photos(manifest))
    assert (tmp_path / "store").stat().st_mode & 0o777 == 0o700


def test_a_group_shares_a_survey_in_its_folder(tmp_path: Path, manifest: pd.DataFrame) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache").chmod(0o2770)
    stored_survey(tmp_path / "cache" / "store", manifest, Counted(manifest))
    (file,) = (tmp_path / "cache" / "store").iterdir()
    assert [path.stat().st_mode & 0o7777 for path in (file.parent, file)] == [0o2770, 0o660]


def test_reading_a_survey_is_noted_as_its_use(tmp_path: Path, manifest: pd.DataFrame) -> None:
    stored_survey(tmp_path / "store", manifest, Counted(manifest))
    (file,) = (tmp_path / "store").iterdir()
    os.utime(file, (1, 1))
    stored_survey(tmp_path / "store", manifest, Counted(manifest))
    assert file.stat().st_mtime == pytest.approx(time.time(), abs=60)


@pytest.mark.parametrize("change", ["content", "time", "name", "mask"])
def test_whatever_changes_is_surveyed_anew(tmp_path: Path, manifest: pd.DataFrame, change: str) -> None:
    before = survey_key(manifest)
    first = Path(manifest["path"][0])
    if change == "content":
        Image.new("RGB", (48, 32), (200, 90, 80)).save(first)
    elif change == "time":
        os.utime(first, (1, 1))
    elif change == "name":
        manifest.loc[0, "photo"] = "s/other.png"
    else:
        manifest.loc[0, "mask"] = manifest["path"][1]
    assert survey_key(manifest) != before


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 torn", None])
def test_a_damaged_store_is_replaced(tmp_path: Path, manifest: pd.DataFrame, damage: bytes | None) -> None:
    take = Counted(manifest)
    first = stored_survey(tmp_path / "store", manifest, take)
    (file,) = (tmp_path / "store").iterdir()
    file.write_bytes(file.read_bytes()[:-40] if damage is None else damage)
    assert_same(stored_survey(tmp_path / "store", manifest, take), first)
    assert take.times == 2
    stored_survey(tmp_path / "store", manifest, take)
    assert take.times == 2


def test_a_store_that_cannot_be_written_to_changes_nothing_and_is_told(
    tmp_path: Path, manifest: pd.DataFrame, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "store").write_text("a file in the place of the folder")
    take = Counted(manifest)
    assert_same(stored_survey(tmp_path / "store", manifest, take), survey_photos(manifest))
    (told,) = caplog.messages
    assert told.startswith("Each command will read all photographs again: their survey cannot be kept ([Errno 17] File")


@pytest.mark.parametrize("code", ["IMG_DENIED", "MASK_DENIED"])
def test_what_was_denied_is_asked_for_again(tmp_path: Path, manifest: pd.DataFrame, code: str) -> None:
    # Permission can be given without a change of the file's time.
    usual = survey_photos(manifest)
    denied = Unreadable(manifest["photo"][0], manifest["path"][0], code, "no permission to read it")
    survey = replace(usual, unreadable=[*usual.unreadable, denied])
    assert_same(stored_survey(tmp_path / "store", manifest, lambda: survey), survey)
    assert_same(stored_survey(tmp_path / "store", manifest, lambda: usual), usual)


def test_another_decoder_may_read_what_could_not_be_read(
    tmp_path: Path, manifest: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    take = Counted(manifest)
    for _ in range(2):
        with monkeypatch.context() as patch:
            patch.setattr("anemia_lightning.data.decoders._PACKAGES", ("pillow", "nothing-of-this-name"))
            assert decoder_versions().split(", ")[1] == "nothing-of-this-name none"
            stored_survey(tmp_path / "store", manifest, take)
    assert take.times == 1
    stored_survey(tmp_path / "store", manifest, take)
    assert take.times == 2
