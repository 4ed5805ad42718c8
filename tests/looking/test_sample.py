"""The sample is drawn from people, not from photographs, and knows nothing of the decisions."""

import numpy as np
import pandas as pd
import pytest

from anemia_lightning.data.splits import independent_groups
from anemia_lightning.looking.sample import choose_photos


def table(seed: int = 0, photos: int = 60, *, patients: int = 40) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    probability = rng.random(photos).round(3)
    return pd.DataFrame(
        {
            "photo": [f"source/{number}.png" for number in rng.permutation(photos)],
            "patient": [f"p{number}" for number in rng.integers(patients, size=photos)],
            "photo_group": [f"g{number}" for number in rng.integers(200, size=photos)],
            "label": rng.integers(2, size=photos),
            "probability": probability,
            "prediction": (probability >= 0.4).astype(int),
        }
    )


@pytest.mark.parametrize("seed", range(5))
def test_no_two_drawn_share_a_patient_or_a_photograph(seed: int) -> None:
    rows = table(seed)
    sample = choose_photos(rows, photos=1000, threshold=0.4)
    drawn = rows.iloc[sample.drawn]
    assert drawn["patient"].is_unique
    assert drawn["photo_group"].is_unique
    assert len(drawn) == sample.groups
    # Nor is there a photo left that shares neither.
    left = rows.drop(index=drawn.index)
    for _, row in left.iterrows():
        linked = rows[(rows["patient"] == row["patient"]) | (rows["photo_group"] == row["photo_group"])]
        assert len(linked) > 1


@pytest.mark.parametrize("seed", range(5))
def test_the_draw_depends_on_the_photos_alone(seed: int) -> None:
    rows = table(seed)
    other = table(seed + 100)
    changed = rows.assign(label=other["label"], probability=other["probability"], prediction=other["prediction"])
    drawn = choose_photos(rows, photos=8, threshold=0.4).drawn
    assert np.array_equal(choose_photos(changed, photos=8, threshold=0.9).drawn, drawn)
    shuffled = rows.sample(frac=1, random_state=seed)
    again = choose_photos(shuffled, photos=8, threshold=0.4).drawn
    assert set(shuffled.iloc[again]["photo"]) == set(rows.iloc[drawn]["photo"])
    # A smaller budget takes the first of a larger one.
    assert np.array_equal(choose_photos(rows, photos=3, threshold=0.4).drawn, drawn[:3])


def test_the_draw_is_fair() -> None:
    # Of photos that have nothing to do with one another each is as likely as any: wrong ones are no likelier.
    names = [f"photo {number}" for number in range(4000)]
    rows = table(photos=4000).assign(photo=names, patient=names, photo_group=names)
    drawn = rows.iloc[choose_photos(rows, photos=1000, threshold=0.4).drawn]
    rate = (rows["label"] != rows["prediction"]).mean()
    found = (drawn["label"] != drawn["prediction"]).mean()
    assert abs(found - rate) < 3 * np.sqrt(rate * (1 - rate) / 1000)


@pytest.mark.parametrize("seed", range(5))
def test_errors_come_the_most_confident_first(seed: int) -> None:
    rows = table(seed)
    sample = choose_photos(rows, photos=7, threshold=0.4)
    wrong = rows[rows["label"] != rows["prediction"]]
    assert sample.all_errors == len(wrong)
    margins = (wrong["probability"] - 0.4).abs().sort_values(ascending=False)
    # Of each patient and photograph the most confident one alone.
    groups = pd.Series(independent_groups(rows), index=rows.index)[margins.index]
    assert list(rows.iloc[sample.errors].index) == list(groups.drop_duplicates().head(7).index)


def test_a_model_without_errors_has_none_to_show() -> None:
    rows = table().assign(label=lambda table: table["prediction"])
    sample = choose_photos(rows, photos=5, threshold=0.4)
    assert (len(sample.errors), sample.all_errors, len(sample.drawn)) == (0, 0, 5)
