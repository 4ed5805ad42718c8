"""The embedded source: what the manifest says, how redness carries the label, and that drawings are whole."""

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.stats import norm
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold, cross_val_predict

from anemia_lightning.contracts import MANIFEST_COLUMNS
from anemia_lightning.data.colour import tissue_colour
from anemia_lightning.data.sources.synthetic import _build_manifest, read_synthetic
from anemia_lightning.errors import DrawingFolderError, DrawingSettingsError


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    return read_synthetic(root=tmp_path_factory.mktemp("synthetic"), patients=30, photos=60, separation=2.6)


def _read_small(root: Path, **settings: float) -> pd.DataFrame:
    return read_synthetic(root=root, **{"patients": 4, "photos": 5, **settings})  # type: ignore[arg-type]


def _read_bytes(manifest: pd.DataFrame) -> list[bytes]:
    return [Path(path).read_bytes() for path in manifest["path"]]


def test_manifest_has_the_contract_columns_and_the_latent(drawn: pd.DataFrame) -> None:
    assert tuple(drawn.columns) == (*MANIFEST_COLUMNS, "redness")
    assert drawn["label"].dtype == np.int64
    assert all(drawn[column].dtype == np.float64 for column in ("age_months", "hemoglobin_g_dl", "redness"))
    assert (drawn[["mask", "split"]] == "").all(axis=None)
    assert drawn["photo"].iloc[0] == "synthetic/photos/photo_0001.png"
    assert drawn["photo"].is_unique
    assert (drawn["photo_group"] == drawn["photo"]).all()
    assert all(Path(path).is_file() and Path(path).is_absolute() for path in drawn["path"])


def test_photographs_are_cut_outs_and_the_folder_explains_itself(drawn: pd.DataFrame) -> None:
    first = Path(drawn["path"].iloc[0])
    with Image.open(first) as photo:
        assert photo.mode == "RGBA"
    folder = first.parents[1]
    assert re.fullmatch(r"separation-2\.6-[0-9a-f]{8}", folder.name)
    written = pd.read_csv(folder / "manifest.csv", keep_default_na=False)
    assert written["photo"].tolist() == drawn["photo"].tolist()
    assert written["path"].iloc[0] == "photos/photo_0001.png"


@pytest.mark.parametrize(("patients", "photos"), [(80, 240), (7, 10), (4, 4)])
def test_half_of_the_patients_are_anaemic_and_photos_are_spread_evenly(patients: int, photos: int) -> None:
    manifest = _build_manifest(patients=patients, photos=photos, separation=5, seed=0)
    people = manifest.drop_duplicates("patient")
    assert len(manifest) == photos
    assert len(people) == patients
    assert abs(people["label"].sum() - patients / 2) <= 0.5
    assert np.ptp(manifest["patient"].value_counts()) <= 1


def test_haemoglobin_and_label_obey_the_rule_for_small_children() -> None:
    manifest = _build_manifest(patients=2000, photos=2000, separation=5, seed=1)
    assert ((manifest["hemoglobin_g_dl"] < 11.0) == (manifest["label"] == 1)).all()
    assert manifest["hemoglobin_g_dl"].between(5, 17).all()
    assert manifest["age_months"].between(6, 59).all()


def test_site_and_sex_tell_nothing_about_the_label() -> None:
    people = _build_manifest(patients=80, photos=80, separation=5, seed=0)
    for column in ("site", "sex"):
        anaemic = people.loc[people["label"] == 1, column].value_counts()
        others = people.loc[people["label"] == 0, column].value_counts()
        assert anaemic.to_dict() == others.to_dict()
    assert sorted(people["site"].value_counts()) == [8, 16, 24, 32]


@pytest.mark.parametrize("separation", [0.0, 2.6, 5.0])
def test_redness_has_the_promised_distribution(separation: float) -> None:
    manifest = _build_manifest(patients=4000, photos=8000, separation=separation, seed=0)
    centred = manifest["redness"] + np.where(manifest["label"] == 1, separation / 2, -separation / 2)
    assert centred.mean() == pytest.approx(0, abs=0.05)
    assert centred.std() == pytest.approx(1, abs=0.03)
    pairs = centred.to_numpy().reshape(-1, 2)
    assert np.corrcoef(pairs.T)[0, 1] == pytest.approx(0.8, abs=0.02)
    auroc = roc_auc_score(manifest["label"], -manifest["redness"])
    assert auroc == pytest.approx(norm.cdf(separation / np.sqrt(2)), abs=0.02 if separation == 0 else 0.005)


def test_colour_of_the_tissue_shows_the_redness(drawn: pd.DataFrame) -> None:
    colours = pd.DataFrame([tissue_colour(np.asarray(Image.open(path))) for path in drawn["path"]])
    for label in (0, 1):
        chosen = drawn["label"] == label
        assert np.corrcoef(colours.loc[chosen, "a_mean"], drawn.loc[chosen, "redness"])[0, 1] > 0.9
    probability = cross_val_predict(
        LogisticRegression(max_iter=1000),
        colours[["lightness_mean", "a_mean", "b_mean"]],
        drawn["label"],
        groups=drawn["patient"],
        cv=GroupKFold(5),
        method="predict_proba",
    )[:, 1]
    oracle = roc_auc_score(drawn["label"], -drawn["redness"])
    assert oracle - 0.08 < roc_auc_score(drawn["label"], probability) <= 1


def test_same_settings_same_bytes_wherever_drawn(tmp_path: Path) -> None:
    here, there = _read_small(tmp_path / "here"), _read_small(tmp_path / "there")
    assert _read_bytes(here) == _read_bytes(there)
    pd.testing.assert_frame_equal(here.drop(columns="path"), there.drop(columns="path"))


@pytest.mark.parametrize("other", [{"seed": 1}, {"separation": 2.6}, {"patients": 5}, {"photos": 6}])
def test_other_settings_get_another_folder(tmp_path: Path, other: dict[str, float]) -> None:
    first, second = _read_small(tmp_path), _read_small(tmp_path, **other)
    assert Path(first["path"].iloc[0]).parents[1] != Path(second["path"].iloc[0]).parents[1]
    assert first["photo"].iloc[0] == second["photo"].iloc[0]


def test_a_seed_names_other_patients_but_separation_only_shifts_them() -> None:
    near, far = (_build_manifest(patients=8, photos=16, separation=each, seed=0) for each in (2.0, 4.0))
    other = _build_manifest(patients=8, photos=16, separation=2.0, seed=1)
    np.testing.assert_allclose((far["redness"] - near["redness"]).abs(), 1.0)
    assert not np.allclose(near["redness"].abs(), other["redness"].abs())


def test_drawings_are_reused_and_progress_is_told(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []

    def record(done: int, total: int) -> None:
        calls.append((done, total))

    for _ in range(2):
        read_synthetic(root=tmp_path, patients=4, photos=5, progress=record)
    assert calls == [(1, 5), (2, 5), (3, 5), (4, 5), (5, 5)]


def test_an_interrupted_drawing_leaves_nothing_behind(tmp_path: Path) -> None:
    def interrupt(done: int, total: int) -> None:
        if done == total - 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        read_synthetic(root=tmp_path, patients=4, photos=5, progress=interrupt)
    assert list(tmp_path.iterdir()) == []
    assert len(_read_bytes(_read_small(tmp_path))) == 5


@pytest.mark.parametrize("damage", ["cut", "empty", "missing"])
def test_a_damaged_folder_is_drawn_anew(tmp_path: Path, damage: str) -> None:
    whole = _read_small(tmp_path)
    expected = _read_bytes(whole)
    victim = Path(whole["path"].iloc[3])
    if damage == "missing":
        victim.unlink()
    else:
        victim.write_bytes(expected[3][:-5] if damage == "cut" else b"")
    assert _read_bytes(_read_small(tmp_path)) == expected
    assert len(list(tmp_path.iterdir())) == 1


def test_the_second_of_two_processes_keeps_what_the_first_drew(tmp_path: Path) -> None:
    def let_another_finish_first(done: int, total: int) -> None:
        if done == total:
            _read_small(tmp_path)

    manifest = read_synthetic(root=tmp_path, patients=4, photos=5, progress=let_another_finish_first)
    assert len(_read_bytes(manifest)) == 5
    assert len(list(tmp_path.iterdir())) == 1


def test_many_at_once_all_end_well(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        manifests = list(pool.map(_read_small, [tmp_path] * 4))
    assert len({b"".join(_read_bytes(each)) for each in manifests}) == 1
    assert len(list(tmp_path.iterdir())) == 1


def test_impossible_settings_are_all_named(tmp_path: Path) -> None:
    with pytest.raises(DrawingSettingsError) as caught:
        read_synthetic(root=tmp_path, patients=3, photos=2, separation=-1.0)
    assert str(caught.value) == (
        "Looked for settings by which synthetic data can be drawn; "
        "found data.patients=3, which is fewer than 4; "
        "data.photos=2, which is fewer than data.patients=3; "
        "data.separation=-1.0, which is no finite number from 0 upwards. "
        "Take at least 4 patients, at least one photo for each, and a separation of 0 or more."
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("separation", [float("nan"), float("inf")])
def test_separation_must_be_finite(tmp_path: Path, separation: float) -> None:
    with pytest.raises(DrawingSettingsError, match="no finite number"):
        read_synthetic(root=tmp_path, separation=separation)


def test_a_root_that_cannot_be_a_folder_is_named(tmp_path: Path) -> None:
    root = tmp_path / "photos.txt"
    root.write_text("a file")
    with pytest.raises(DrawingFolderError) as caught:
        _read_small(root)
    assert str(caught.value) == (
        f"Looked for a folder in which to draw the synthetic photographs, {root}; "
        "found that it cannot be written to (Not a directory). "
        "Give data.root a folder that you may write to, with some 20 MB of free space."
    )
