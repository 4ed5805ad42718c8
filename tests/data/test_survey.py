import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from anemia_lightning.contracts import COLOUR_PREFIX, FACT_COLUMNS, GROUP_COLUMNS
from anemia_lightning.data import survey, surveyed_photo
from anemia_lightning.data.reading import Photograph, open_photo
from anemia_lightning.data.survey import survey_photos
from anemia_lightning.data.surveyed_photo import measure_tissue
from anemia_lightning.errors import UnreadablePhotosError


def gallery(folder: Path, pictures: dict[str, np.ndarray]) -> pd.DataFrame:
    for name, pixels in pictures.items():
        Image.fromarray(pixels).save(folder / name)
    return pd.DataFrame(
        {"photo": [f"s/{name}" for name in pictures], "path": [str(folder / name) for name in pictures], "mask": ""}
    )


def noise(seed: int, height: int = 40, width: int = 60) -> np.ndarray:
    return np.random.default_rng(seed).integers(60, 200, (height, width, 3), dtype=np.uint8)


def test_facts_are_those_of_the_files(tmp_path: Path) -> None:
    first = noise(0)
    manifest = gallery(tmp_path, {"a.png": first, "b.png": noise(1, 30, 50)})
    survey = survey_photos(manifest)
    facts = survey.facts.set_index("photo")
    assert facts["width"].tolist() == [60, 50]
    assert facts["height"].tolist() == [40, 30]
    assert facts.loc["s/a.png", "file_sha256"] == hashlib.sha256((tmp_path / "a.png").read_bytes()).hexdigest()
    assert facts.loc["s/a.png", "file_bytes"] == (tmp_path / "a.png").stat().st_size
    assert facts.loc["s/a.png", "tissue_share"] == 1
    assert facts["format"].tolist() == ["PNG", "PNG"]
    assert facts.filter(like="colour_").notna().all(axis=None)
    others = [column for column in map(str, facts) if not column.startswith(COLOUR_PREFIX)]
    assert tuple(others) == FACT_COLUMNS
    assert facts["pixels_sha256"].nunique() == 2


def test_copies_share_hashes_and_groups_at_the_grain_where_they_are_copies(tmp_path: Path) -> None:
    manifest = gallery(tmp_path, {"a.png": noise(0), "b.png": noise(0)[:, ::-1], "c.png": noise(2)})
    (tmp_path / "d.png").write_bytes((tmp_path / "a.png").read_bytes())
    Image.fromarray(noise(0)).save(tmp_path / "e.png", compress_level=0)
    more = pd.DataFrame(
        {"photo": ["s/d.png", "s/e.png"], "path": [str(tmp_path / "d.png"), str(tmp_path / "e.png")], "mask": ""}
    )
    survey = survey_photos(pd.concat([manifest, more], ignore_index=True))
    groups = survey.copies.groups
    assert tuple(groups) == GROUP_COLUMNS
    assert groups["group_bytes"].tolist() == [0, 1, 2, 0, 4]
    assert groups["group_pixels"].tolist() == [0, 1, 2, 0, 0]
    assert groups["group_turned"].tolist() == [0, 0, 2, 0, 0]
    assert survey.facts["turned_sha256"].nunique() == 2


def test_what_cannot_be_read_is_listed_and_the_rest_goes_on(tmp_path: Path) -> None:
    manifest = gallery(tmp_path, {"a.png": noise(0), "b.png": noise(1)})
    (tmp_path / "a.png").write_bytes(b"")
    seen: list[tuple[str, int, int]] = []
    survey = survey_photos(manifest, progress=lambda *call: seen.append(call))
    assert [photo.code for photo in survey.unreadable] == ["IMG_EMPTY"]
    assert survey.facts["photo"].tolist() == ["s/b.png"]
    assert len(survey.copies.groups) == 1
    assert seen[:2] == [("reading photographs", 1, 2), ("reading photographs", 2, 2)]


def test_the_unreadable_are_listed_in_order_and_each_photo_is_decoded_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = gallery(tmp_path, {f"{number}.png": noise(number) for number in range(6)})
    (tmp_path / "1.png").write_bytes(b"")
    (tmp_path / "4.png").unlink()
    manifest.loc[3, "mask"] = str(tmp_path / "1.png")
    seen: list[str] = []

    def counting(path: str, *, mask: str | None) -> Photograph:
        seen.append(path)
        return open_photo(path, mask=mask)

    monkeypatch.setattr(surveyed_photo, "open_photo", counting)
    found = survey_photos(manifest, seek_recuts=False, threads=3).unreadable
    assert sorted(seen) == manifest["path"].tolist()
    assert str(UnreadablePhotosError(found, change="Replace them")).splitlines() == [
        "Looked for photographs that can be decoded; found 3 that cannot. Replace them:",
        f"  s/1.png: IMG_EMPTY, an empty file ({tmp_path / '1.png'})",
        f"  s/3.png: MASK_EMPTY, an empty file, at its mask {tmp_path / '1.png'} ({tmp_path / '3.png'})",
        f"  s/4.png: IMG_MISSING, no file there ({tmp_path / '4.png'})",
    ]


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_change_nothing(tmp_path: Path, threads: int) -> None:
    manifest = gallery(tmp_path, {f"{number}.png": noise(number) for number in range(6)})
    one = survey_photos(manifest, threads=1)
    other = survey_photos(manifest, threads=threads)
    pd.testing.assert_frame_equal(one.facts, other.facts)
    pd.testing.assert_frame_equal(one.copies.groups, other.copies.groups)


@pytest.mark.parametrize("at_once", [1, 2, 5, 6])
def test_how_many_facts_wait_changes_nothing(tmp_path: Path, at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = gallery(tmp_path, {f"{number}.png": noise(number) for number in range(6)})
    (tmp_path / "5.png").write_bytes(b"")
    one = survey_photos(manifest)
    monkeypatch.setattr(survey, "_ROWS_AT_ONCE", at_once)
    pd.testing.assert_frame_equal(survey_photos(manifest).facts, one.facts)


def rgba(grey: np.ndarray, alpha: np.ndarray | int = 255) -> np.ndarray:
    pixels = np.repeat(grey[..., None], 4, axis=-1).astype(np.uint8)
    pixels[..., 3] = alpha
    return pixels


def test_a_sharp_photo_measures_sharper_than_a_blurred_one() -> None:
    sharp = np.kron(np.indices((10, 10)).sum(axis=0) % 2, np.ones((4, 4))) * 150 + 50
    soft = np.array(Image.fromarray(sharp.astype(np.uint8)).resize((10, 10)).resize((40, 40)))
    assert measure_tissue(rgba(sharp))["sharpness"] > 5 * measure_tissue(rgba(soft))["sharpness"]


def test_clipping_and_tissue_count_tissue_alone() -> None:
    grey = np.full((10, 10), 100)
    grey[0] = 255
    grey[1] = 0
    alpha = np.zeros((10, 10), dtype=np.uint8)
    alpha[:5] = 255
    measured = measure_tissue(rgba(grey, alpha))
    assert measured["tissue_share"] == 0.5
    assert measured["tissue_pixels"] == 50
    assert measured["clipped_bright"] == pytest.approx(0.2)
    assert measured["clipped_dark"] == pytest.approx(0.2)


def test_the_outline_of_the_tissue_is_no_detail() -> None:
    alpha = np.zeros((20, 20), dtype=np.uint8)
    alpha[5:15, 5:15] = 255
    grey = np.where(alpha > 0, 180, 0)
    assert measure_tissue(rgba(grey, alpha))["sharpness"] < measure_tissue(rgba(grey))["sharpness"]


def test_without_tissue_nothing_is_measured() -> None:
    measured = measure_tissue(rgba(np.full((8, 8), 100), 0))
    assert measured["tissue_pixels"] == 0
    assert np.isnan(measured["sharpness"])
