"""The shortlist names those that share local features, and is the same as comparing all features where it can be."""

import tracemalloc

import numpy as np
import pytest
from numpy.typing import NDArray

from anemia_lightning.data import shortlist as module
from anemia_lightning.data.shortlist import shortlist
from anemia_lightning.data.texture import Features, mirror_features


def draw_features(count: int, rng: np.random.Generator) -> Features:
    directions = np.abs(rng.standard_normal((count, 128))) ** 2
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    return Features(rng.random((count, 4)).astype(np.float32), np.rint(directions * 255).astype(np.uint8))


def blur(features: Features, rng: np.random.Generator) -> Features:
    noise = rng.integers(-3, 4, features.descriptors.shape)
    return Features(features.keypoints, np.clip(features.descriptors + noise, 0, 255).astype(np.uint8))


def pairs(found: NDArray[np.int64]) -> set[tuple[int, int]]:
    return {(int(first), int(second)) for first, second in found}


@pytest.mark.parametrize("is_mirrored", [False, True])
def test_photos_that_share_a_third_of_their_features_are_named(is_mirrored: bool) -> None:
    rng = np.random.default_rng(0)
    photos = [draw_features(40, rng) for _ in range(120)]
    planted = [(index, index + 60) for index in range(20)]
    for first, second in planted:
        source = mirror_features(photos[first]) if is_mirrored else photos[first]
        photos[second].descriptors[:14] = blur(source, rng).descriptors[:14]
    found = pairs(shortlist(photos, longest=3))
    assert len(set(planted) & found) >= 19


def test_pairs_are_named_once_in_order_and_not_with_oneself() -> None:
    rng = np.random.default_rng(1)
    found = shortlist([draw_features(int(rng.integers(0, 30)), rng) for _ in range(50)], longest=4)
    assert (found[:, 0] < found[:, 1]).all()
    assert len(pairs(found)) == len(found)
    assert found.tolist() == sorted(found.tolist())
    assert len(found) <= 50 * 4


@pytest.mark.parametrize("counts", [(), (0,), (0, 0), (5,), (5, 0), (1, 1)])
def test_photos_with_few_or_no_features_are_no_special_case(counts: tuple[int, ...]) -> None:
    rng = np.random.default_rng(2)
    found = shortlist([draw_features(count, rng) for count in counts], longest=3)
    assert found.shape[1] == 2
    assert pairs(found) <= {(0, 1)}


def test_many_photos_in_a_row_may_have_no_features(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PHOTOS_AT_ONCE", 2)
    rng = np.random.default_rng(7)
    known = draw_features(5, rng)
    nothing = [draw_features(0, rng)] * 4
    assert pairs(shortlist([known, *nothing, known], longest=3)) == {(0, 5)}


def test_progress_ends_at_the_number_of_photos() -> None:
    calls: list[tuple[int, int]] = []
    rng = np.random.default_rng(3)
    shortlist([draw_features(5, rng) for _ in range(300)], longest=2, progress=lambda *call: calls.append(call))
    assert calls[-1] == (300, 300)
    assert [done for done, _ in calls] == sorted({done for done, _ in calls})


@pytest.mark.parametrize("threads", [2, 5])
def test_threads_change_nothing(monkeypatch: pytest.MonkeyPatch, threads: int) -> None:
    monkeypatch.setattr(module, "_PHOTOS_AT_ONCE", 16)
    rng = np.random.default_rng(6)
    photos = [draw_features(int(rng.integers(0, 40)), rng) for _ in range(200)]
    calls: list[tuple[int, int]] = []
    found = shortlist(photos, longest=3, threads=threads, progress=lambda *call: calls.append(call))
    np.testing.assert_array_equal(found, shortlist(photos, longest=3))
    assert calls == [(min(done, 200), 200) for done in range(16, 209, 16)]


def test_a_mark_that_all_photos_share_is_compared_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    photos = [draw_features(20, rng) for _ in range(100)]
    for photo in photos:
        photo.descriptors[:5] = photos[0].descriptors[:5]
    whole = shortlist(photos, longest=5)
    monkeypatch.setattr(module, "_LIKENESSES_AT_ONCE", 300)
    np.testing.assert_array_equal(shortlist(photos, longest=5), whole)


def test_memory_does_not_hold_how_like_all_features_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LIKENESSES_AT_ONCE", 1 << 16)
    monkeypatch.setattr(module, "_PHOTOS_AT_ONCE", 8)
    rng = np.random.default_rng(4)
    photos = [draw_features(40, rng) for _ in range(300)]
    found = shortlist(photos, longest=3)
    tracemalloc.start()
    again = shortlist(photos, longest=3)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    np.testing.assert_array_equal(again, found)
    # 12,000 features around 110 centres; the features themselves lie in a file.
    assert peak < 12_000 * 110 * 8 / 3
