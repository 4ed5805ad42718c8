"""Laying cut-outs over one another: a known map is found again, and chance is told from agreement."""

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from anemia_lightning.data.alignment import Similarity, Subject, align, make_ready
from anemia_lightning.data.fingerprints import take_fingerprint
from anemia_lightning.data.matching import compare, judge
from anemia_lightning.data.recuts import SAME_PHOTO_SCORE
from anemia_lightning.data.sources.drawing import draw_conjunctiva
from anemia_lightning.randomness import stream

Pixels = NDArray[np.uint8]


def draw(number: int) -> Pixels:
    return draw_conjunctiva(33.0, 0.8, stream("a photo to be matched", number))


def ready(rgba: Pixels) -> Subject:
    return make_ready(take_fingerprint(np.ascontiguousarray(rgba)))


@pytest.mark.parametrize("factor", [0.65, 0.8, 1.25, 1.5])
@pytest.mark.parametrize("is_mirrored", [False, True])
def test_a_known_scale_is_found_again(factor: float, is_mirrored: bool) -> None:
    # Small enough that neither is shrunk to working size.
    first = np.asarray(Image.fromarray(draw(0)).resize((90, 50), Image.Resampling.LANCZOS))
    image = Image.fromarray(first[:, ::-1] if is_mirrored else first)
    size = (round(image.width * factor), round(image.height * factor))
    found = compare(ready(first), ready(np.asarray(image.resize(size, Image.Resampling.LANCZOS))))
    assert found is not None
    assert found.score > SAME_PHOTO_SCORE
    assert found.to_second.mirrored is is_mirrored
    assert abs(found.to_second.factor) == pytest.approx(factor, rel=0.03)
    assert found.overlap > 0.9


def test_moving_points_is_what_the_matrix_does() -> None:
    points = np.array([0, 3 + 4j, -2 + 7j])
    for is_mirrored in (False, True):
        similarity = Similarity(0.8 + 0.3j, 5 - 2j, is_mirrored)
        rows = similarity.matrix() @ np.stack([points.real, points.imag, np.ones(3)])
        np.testing.assert_allclose(similarity.move(points), rows[0] + 1j * rows[1])


def test_strangers_agree_by_chance_alone() -> None:
    subjects = [ready(draw(number)) for number in range(12)]
    scores = [
        found.score
        for first in range(12)
        for second in range(first)
        if (found := compare(subjects[first], subjects[second])) is not None
    ]
    assert max(scores, default=0) < SAME_PHOTO_SCORE


def test_too_little_tissue_in_common_is_no_overlay() -> None:
    subject = ready(draw(1))
    assert judge(subject, subject, Similarity(1, 0, mirrored=False)) is not None
    assert judge(subject, subject, Similarity(1, 1000, mirrored=False)) is None


def test_light_and_white_balance_do_not_count_against_a_copy() -> None:
    rgba = draw(2)
    changed = rgba.copy()
    changed[..., :3] = np.rint((rgba[..., :3] / 255.0) ** 1.2 * [0.85, 0.9, 0.8] * 255)
    plain, recoloured = compare(ready(rgba), ready(rgba)), compare(ready(rgba), ready(changed))
    assert plain is not None
    assert recoloured is not None
    assert plain.score > recoloured.score > 1.5 * SAME_PHOTO_SCORE


def test_a_flat_photo_lies_on_nothing() -> None:
    flat = np.full((60, 120, 4), 140, np.uint8)
    flat[..., 3] = 255
    assert align(ready(flat), ready(draw(3))) == []
    assert compare(ready(flat), ready(flat)) is None
