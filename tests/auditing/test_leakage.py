"""The table of grains: copies dealt at random flatter what memorises, copies kept together do not."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from anemia_lightning.auditing import leakage
from anemia_lightning.auditing.leakage import PROBES, compare_grains
from anemia_lightning.baselines import out_of_fold
from anemia_lightning.contracts import GRAINS

Draw = Callable[..., pd.DataFrame]


@pytest.fixture(scope="module")
def draw() -> Draw:
    """Draws photographs whose colour says nothing of the label, each standing in the data several times."""

    def build(photographs: int = 40, copies: int = 3, seed: int = 0) -> pd.DataFrame:
        rng = np.random.default_rng(seed)
        colour = rng.normal(size=(photographs, 3))
        label = rng.permutation(np.arange(photographs) % 2)
        which = np.repeat(np.arange(photographs), copies)
        photos = [f"s/{number:04d}.png" for number in range(len(which))]
        first = [photos[number * copies] for number in which]
        return pd.DataFrame(
            {
                "photo": photos,
                "patient": photos,
                "photo_group": photos,
                "label": label[which],
                "hemoglobin_g_dl": float("nan"),
                "site": rng.choice(["A", "B"], len(which)),
                "sex": "",
                "age_months": float("nan"),
                "width": 40 + which,
                "height": 30,
                "tissue_share": 1.0,
                "file_bytes": 900,
                **{f"colour_{axis}": colour[which, axis] for axis in range(3)},
                **{f"group_{grain}": photos if grain != "recut" else first for grain in GRAINS},
            }
        )

    return build


def scores(table: pd.DataFrame, baseline: str) -> dict[str, float]:
    rows = table[table["baseline"] == baseline]
    return dict(zip(rows["grain"], rows["auroc"], strict=True))


@pytest.fixture
def one_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests of the folds, which are the same whatever is fitted to them."""
    monkeypatch.setattr(leakage, "PROBES", ("site",))


@pytest.fixture(scope="module")
def compared(draw: Draw) -> pd.DataFrame:
    return compare_grains(draw(), folds=3, repeats=1, seed=0)


def assert_rows_equal(found: pd.DataFrame, table: pd.DataFrame, **values: str) -> None:
    """Asserts that these are the rows of a table that have some values."""
    known = table[(table[list(values)] == list(values.values())).all(axis=1)]
    assert len(known) > 0
    pd.testing.assert_frame_equal(found.reset_index(drop=True), known.reset_index(drop=True))


def test_what_memorises_shines_only_while_copies_are_dealt_at_random(compared: pd.DataFrame) -> None:
    forest = scores(compared, "colour statistics, forest")
    assert list(forest) == ["random", *GRAINS]
    assert forest["random"] > 0.95
    assert forest["turned"] == forest["random"]
    assert 0.2 < forest["recut"] < 0.7


def test_each_row_says_how_many_photos_and_groups_it_rests_on(compared: pd.DataFrame) -> None:
    rows = compared.drop_duplicates("grain").set_index("grain")
    assert rows["photos"].tolist() == [120] * 5
    assert rows["groups"].tolist() == [120, 120, 120, 120, 40]
    assert rows["dropped"].tolist() == [0] * 5
    assert (compared["low"] < compared["auroc"]).all()
    assert (compared["auroc"] < compared["high"]).all()


def test_baselines_without_their_columns_have_no_row(compared: pd.DataFrame) -> None:
    assert set(compared["baseline"]) == set(PROBES) - {"age and sex"}


def test_intervals_count_photographs_and_not_copies(compared: pd.DataFrame) -> None:
    rows = compared[compared["baseline"] == "colour statistics, linear"]
    width = (rows["high"] - rows["low"])[rows["grain"] == "random"].item()
    # Of 40 photographs. Of 120 that differ it would be 1.7 times narrower, about 0.2.
    assert 0.28 < width < 0.5


@pytest.mark.usefixtures("one_probe")
def test_equal_groupings_are_fitted_once(draw: Draw, monkeypatch: pytest.MonkeyPatch) -> None:
    fitted: list[int] = []

    def count(photos: pd.DataFrame, *places: object, **how: Any) -> pd.DataFrame:
        fitted.append(len(photos))
        return out_of_fold(photos, *places, **how)  # type: ignore[arg-type]

    monkeypatch.setattr(leakage, "out_of_fold", count)
    once = compare_grains(draw(copies=1), folds=3, repeats=1, seed=0)
    assert fitted == [40]
    assert once["grain"].tolist() == ["random", *GRAINS]
    assert set(once["groups"]) == {40}
    assert once["auroc"].nunique() == 1


@pytest.mark.usefixtures("one_probe")
def test_intervals_of_random_folds_count_patients_too(draw: Draw, compared: pd.DataFrame) -> None:
    table = draw()
    # The same photos belong together, by their patient and not as copies.
    table = table.assign(patient=table["group_recut"], group_recut=table["photo"])
    found = compare_grains(table, folds=3, repeats=1, seed=0)
    assert_rows_equal(found[found["grain"] == "random"], compared, baseline="site", grain="random")


@pytest.mark.usefixtures("one_probe")
def test_groups_with_both_labels_are_left_out_at_their_grain(draw: Draw) -> None:
    table = draw()
    table["label"] = np.where(table.index == 0, 1 - table["label"], table["label"])
    rows = compare_grains(table, folds=3, repeats=1, seed=0).drop_duplicates("grain").set_index("grain")
    assert rows["dropped"].to_dict() == {"random": 0, "bytes": 0, "pixels": 0, "turned": 0, "recut": 3}
    assert rows.loc["recut", "photos"] == 117


@pytest.mark.usefixtures("one_probe")
def test_patients_with_several_photos_get_a_row_of_their_own(draw: Draw) -> None:
    table = draw(copies=2)
    table["patient"] = [f"p{number // 4}" for number in range(len(table))]
    rows = compare_grains(table, folds=3, repeats=1, seed=0).drop_duplicates("grain").set_index("grain")
    assert list(rows.index) == ["random", "patient", *GRAINS]
    assert rows.loc["patient", "groups"] == 20


def test_equal_seeds_give_equal_tables(draw: Draw, compared: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    forest = "colour statistics, forest"
    monkeypatch.setattr(leakage, "PROBES", (forest,))
    assert_rows_equal(compare_grains(draw(), folds=3, repeats=1, seed=0), compared, baseline=forest)


@pytest.mark.usefixtures("one_probe")
def test_a_grain_with_too_few_groups_for_the_folds_has_no_row(draw: Draw) -> None:
    few = compare_grains(draw(photographs=8), folds=5, repeats=1, seed=1)
    assert set(few["grain"]) == {"random", *GRAINS[:3]}, "4 photographs of each class cannot be dealt to 5 folds"
