"""Age bands are those that the WHO's cut-offs know; backgrounds tell cut-outs from whole photographs."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from anemia_lightning.data.group_columns import (
    CUT_OUT,
    MASKED,
    ON_WHITE,
    WHOLE,
    age_band,
    age_bands,
    background,
    with_group_columns,
)
from anemia_lightning.data.guidelines import Person, anaemia
from anemia_lightning.data.manifest import build_manifest
from anemia_lightning.data.survey import survey_photos


@pytest.mark.parametrize(
    ("months", "band"),
    [
        *((0, "below 6 months"), (5.9, "below 6 months"), (6, "6-23 months"), (23.9, "6-23 months")),
        *((24, "24-59 months"), (59, "24-59 months"), (60, "5-11 years"), (143, "5-11 years")),
        *((144, "12-14 years"), (179, "12-14 years"), (180, "15-65 years"), (66 * 12 - 1, "15-65 years")),
        *((66 * 12, "66 years and over"), (1200, "66 years and over"), (math.nan, "")),
    ],
)
def test_bands_begin_where_the_cut_offs_change(months: float, band: str) -> None:
    assert age_band(pd.Series([months])).tolist() == [band]
    assert band in (*age_bands(), "")


def test_within_a_band_of_children_one_cut_off_holds() -> None:
    ages = np.arange(6, 180)
    bands = age_band(pd.Series(ages, dtype=float))
    for _, months in pd.Series(ages).groupby(bands.to_numpy()):
        people = [Person(age_months=float(each), sex="male", altitude_m=0, cigarettes_per_day=0) for each in months]
        margins = {anaemia(12.0, person, rule="who2024").margin_g_dl for person in people}
        assert len(margins) == 1


def test_backgrounds_are_told_apart(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    tissue = rng.integers(60, 200, (64, 64, 3), dtype=np.uint8)
    inside = np.zeros((64, 64), dtype=bool)
    inside[16:48, 16:48] = True
    alpha = np.where(inside, 255, 0).astype(np.uint8)
    Image.fromarray(tissue).save(tmp_path / "whole.png")
    Image.fromarray(np.dstack([tissue, alpha])).save(tmp_path / "cut_out.png")
    Image.fromarray(np.where(inside[..., None], tissue, 255).astype(np.uint8)).save(tmp_path / "white.png")
    Image.fromarray(tissue).save(tmp_path / "masked.png")
    Image.fromarray(alpha).save(tmp_path / "mask.png")
    names = {"whole": WHOLE, "cut_out": CUT_OUT, "white": ON_WHITE, "masked": MASKED}
    rows = [
        {"photo": name, "path": str(tmp_path / f"{name}.png"), "label": place % 2, "mask": ""}
        for place, name in enumerate(names)
    ]
    rows[3]["mask"] = str(tmp_path / "mask.png")
    manifest = build_manifest(rows)
    facts = manifest.merge(survey_photos(manifest, seek_recuts=False).facts, on="photo")
    assert dict(zip(facts["photo"], background(facts), strict=True)) == names


def test_columns_of_the_data_itself_stay_and_others_need_their_facts() -> None:
    facts = pd.DataFrame({"photo": ["a"], "age_months": [30.0], "background": ["paper"]})
    found = with_group_columns(facts)
    assert found["age_band"].tolist() == ["24-59 months"]
    assert found["background"].tolist() == ["paper"]
    assert list(with_group_columns(facts[["photo"]])) == ["photo"]
