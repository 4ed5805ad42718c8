"""Photographs whose like a model has never seen are told: whole ones, or cut-outs."""

import numpy as np
import pytest

from anemia_lightning.data.surroundings import Surroundings, kinds_carried_by, kinds_to_carry, tissue_share

WHOLE, CUT_OUT = [1.0, 1.0, 0.9995], [0.4, 0.2]


def test_they_are_counted_by_their_share_of_tissue() -> None:
    assert Surroundings.of([*WHOLE, *CUT_OUT]) == Surroundings(whole=3, cut_out=2)
    assert Surroundings.of([]) == Surroundings()


def test_half_transparent_pixels_are_tissue_and_others_are_not() -> None:
    rgba = np.zeros((2, 2, 4), dtype=np.uint8)
    rgba[..., 3] = [[255, 128], [127, 0]]
    assert tissue_share(rgba) == 0.5


def test_a_checkpoint_carries_their_kinds() -> None:
    kinds = Surroundings.of([*WHOLE, *CUT_OUT]).kinds
    assert kinds_carried_by({"photo_hashes": [], **kinds_to_carry(kinds)}) == kinds == {"whole", "cut-out"}
    assert kinds_carried_by({"photo_hashes": []}) == frozenset()


@pytest.mark.parametrize(
    ("given", "trained", "said"),
    [
        (WHOLE, CUT_OUT, "3 of 3 photos are whole, but the model was trained on cut-outs of the tissue alone: "),
        ([*WHOLE, *CUT_OUT], CUT_OUT, "3 of 5 photos are whole, but "),
        (CUT_OUT, WHOLE, "2 of 2 photos are cut-outs of the tissue, but the model was trained on whole photos alone: "),
        (WHOLE, WHOLE, ""),
        (CUT_OUT, CUT_OUT, ""),
        ([*WHOLE, *CUT_OUT], [*WHOLE, *CUT_OUT], ""),
        ([*WHOLE, *CUT_OUT], [], ""),
    ],
)
def test_what_no_training_photo_was_like_is_said(given: list[float], trained: list[float], said: str) -> None:
    sentence = Surroundings.of(given).unlike(Surroundings.of(trained).kinds)
    assert sentence.startswith(said)
    assert bool(sentence) == bool(said)
