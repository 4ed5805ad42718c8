"""What becomes of photographs of other data that a model has met before."""

import pandas as pd
import pytest

from anemia_lightning.data.overlap import MetPhotos, photo_hashes
from anemia_lightning.data.preparation import Prepared
from anemia_lightning.errors import ManifestError, OverlapError
from anemia_lightning.evaluating.met_before import unmet_photos

PHOTOS = [f"s/{number}.png" for number in range(5)]


@pytest.fixture
def prepared() -> Prepared:
    """Five photos of four patients, the first two of one."""
    table = {"photo": PHOTOS, "patient": ["a", "a", "b", "c", "d"], "photo_group": PHOTOS, "label": [1, 1, 0, 1, 0]}
    manifest = pd.DataFrame(table)
    hashes = {f"{grain}_sha256": [f"{grain} of {photo}" for photo in PHOTOS] for grain in ("file", "pixels", "turned")}
    facts = pd.DataFrame({"photo": PHOTOS, **hashes})
    return Prepared(manifest, manifest[:0].assign(reason=""), facts, pd.DataFrame(), {})


def met(prepared: Prepared, *photos: str) -> MetPhotos:
    return MetPhotos(met=frozenset(photo_hashes(prepared.facts[prepared.facts["photo"].isin(photos)])))


def test_they_are_left_out_with_all_that_belong_to_them(prepared: Prepared) -> None:
    unmet, notes = unmet_photos(prepared, met(prepared, PHOTOS[0]), on_overlap="drop")
    assert unmet.manifest["photo"].tolist() == unmet.facts["photo"].tolist() == PHOTOS[2:]
    assert unmet.excluded["photo"].tolist() == PHOTOS[:2]
    assert [reason.partition(":")[0] for reason in unmet.excluded["reason"]] == [
        "met before",
        "patient or copy met before",
    ]
    assert notes == [
        "1 photos that trained or chose the model were left out, beside 1 with a patient or a copy in common."
    ]


def test_they_stay_and_are_reported(prepared: Prepared) -> None:
    kept, (note,) = unmet_photos(prepared, met(prepared, PHOTOS[2]), on_overlap="report")
    assert kept is prepared
    assert note == "1 of these 5 photos trained or chose the model: the scores are too good."


def test_they_stop_the_evaluation(prepared: Prepared) -> None:
    with pytest.raises(OverlapError) as caught:
        unmet_photos(prepared, met(prepared, *PHOTOS[1:3]), on_overlap="stop")
    assert caught.value.met == PHOTOS[1:3]


def test_what_is_left_must_be_of_both_classes(prepared: Prepared) -> None:
    with pytest.raises(ManifestError):
        unmet_photos(prepared, met(prepared, PHOTOS[0], PHOTOS[3]), on_overlap="drop")


def test_nothing_is_said_of_a_model_that_has_met_none_and_a_word_of_one_that_does_not_say(prepared: Prepared) -> None:
    assert unmet_photos(prepared, met(prepared), on_overlap="stop") == (prepared, [])
    kept, (note,) = unmet_photos(prepared, None, on_overlap="stop")
    assert kept is prepared
    assert note.startswith("The checkpoint does not say which photographs trained it")
