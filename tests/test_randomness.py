import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest
from scipy import stats

from anemia_lightning.randomness import dropout_keep, epoch_order, stream, view_of_epoch

PHOTOS = [f"folder/Anemic/{number}.png" for number in range(200)]


# --- streams ---


def test_equal_ingredients_give_equal_streams_and_leave_no_trace() -> None:
    first, second = stream("order", 3, "a"), stream("order", 3, "a")
    first.random(10)
    assert stream("order", 3, "a").random() == second.random()


@pytest.mark.parametrize(
    "other",
    [
        ("order", 0),
        ("order", 1, 0),
        ("view", 0, 1),
        ("order", 0, "1"),
        ("order, 0, 1",),
        ("order", "0, 1"),
        ("order", 0, -1),
    ],
    ids=str,
)
def test_any_difference_gives_another_stream(other: tuple[str | int, ...]) -> None:
    assert stream(*other).random() != stream("order", 0, 1).random()


def test_texts_do_not_run_into_each_other() -> None:
    assert stream("a", "bc").random() != stream("ab", "c").random()
    assert stream("a', 'b").random() != stream("a", "b").random()


def test_numpys_numbers_and_texts_count_as_pythons() -> None:
    assert stream(np.str_("order"), np.int64(3)).random() == stream("order", 3).random()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("ingredients", "expected"),
    [
        (("order", 0, 0), 0.9367503723468117),
        (("view", 0, 7, "cp_anemic/Anemic/Ünal 你好.png"), 0.592997784637943),
        (("order", 2**70, -1), 0.001449757772219562),
    ],
    ids=str,
)
def test_streams_stay_what_they_were_in_earlier_versions(ingredients: tuple[str | int, ...], expected: float) -> None:
    assert stream(*ingredients).random() == expected


def test_a_stream_is_the_one_that_numpy_gives_for_its_key() -> None:
    key = hashlib.blake2b(b"('order', 3, 'a')", digest_size=16).digest()
    numpys = np.random.Generator(np.random.Philox(key=int.from_bytes(key, "little")))
    ours = stream("order", 3, "a")
    assert ours.random(5, dtype=np.float32).tolist() == numpys.random(5, dtype=np.float32).tolist()
    assert ours.integers(2**63, size=5).tolist() == numpys.integers(2**63, size=5).tolist()


def test_neighbouring_seeds_are_unrelated() -> None:
    draws = np.array([stream("order", seed, 0).random() for seed in range(4000)])
    assert stats.kstest(draws, "uniform").pvalue > 0.01
    assert abs(np.corrcoef(draws[1:], draws[:-1])[0, 1]) < 4 / np.sqrt(4000)


def test_another_process_draws_the_same() -> None:
    program = "from anemia_lightning.randomness import epoch_order; print(epoch_order(9, 1, 2).tolist())"
    # Python hashes texts anew in each process; nothing may depend on that.
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == str(epoch_order(9, 1, 2).tolist())


# --- the order of an epoch ---


@pytest.mark.parametrize("size", [1, 2, 33, 1000])
def test_an_epoch_visits_each_photo_once(size: int) -> None:
    order = epoch_order(size, seed=4, epoch=2)
    assert sorted(order.tolist()) == list(range(size))
    assert order.dtype == np.int64


def test_the_order_is_a_function_of_seed_and_epoch() -> None:
    reference = epoch_order(50, seed=4, epoch=2).tolist()
    np.random.seed(0)  # noqa: NPY002
    assert epoch_order(50, seed=4, epoch=2).tolist() == reference
    assert epoch_order(50, seed=5, epoch=2).tolist() != reference
    assert epoch_order(50, seed=4, epoch=3).tolist() != reference
    assert epoch_order(50, seed=2, epoch=4).tolist() != reference


def test_orders_stay_what_they_were_in_earlier_versions() -> None:
    # NumPy promises this of its bit streams, not of its permutations.
    assert epoch_order(10, seed=0, epoch=0).tolist() == [4, 6, 1, 8, 7, 0, 2, 9, 3, 5]


def test_every_photo_comes_anywhere_equally_often() -> None:
    places = np.array([np.argsort(epoch_order(10, seed=0, epoch=epoch)) for epoch in range(2000)])
    counts = np.stack([np.bincount(places[:, photo], minlength=10) for photo in range(10)])
    assert stats.chi2_contingency(counts).pvalue > 0.01


# --- dropout ---


def test_the_mask_of_a_photo_does_not_depend_on_the_batch() -> None:
    together = dropout_keep(PHOTOS[:5], 64, 0.5, seed=1, epoch=2)
    assert together.shape == (5, 64)
    assert together.dtype == np.bool_
    assert np.array_equal(dropout_keep(PHOTOS[4::-1], 64, 0.5, seed=1, epoch=2), together[::-1])
    assert np.array_equal(dropout_keep(PHOTOS[3:4], 64, 0.5, seed=1, epoch=2), together[3:4])


def test_seed_epoch_and_photo_each_make_another_mask() -> None:
    reference = dropout_keep(["a"], 64, 0.5, seed=1, epoch=2)
    for photo, seed, epoch in (("b", 1, 2), ("a", 2, 2), ("a", 1, 3), ("a", 2, 1)):
        assert not np.array_equal(dropout_keep([photo], 64, 0.5, seed=seed, epoch=epoch), reference)


@pytest.mark.parametrize("probability", [0.1, 0.5, 0.9])
def test_units_are_dropped_as_often_as_asked_and_independently(probability: float) -> None:
    keep = dropout_keep(PHOTOS, 512, probability, seed=0, epoch=0)
    assert stats.binomtest(int((~keep).sum()), keep.size, probability).pvalue > 0.01
    per_photo = keep.sum(axis=1)
    assert stats.kstest(stats.binom.cdf(per_photo, 512, 1 - probability), "uniform").pvalue > 0.001
    assert abs(np.corrcoef(keep[:-1].ravel(), keep[1:].ravel())[0, 1]) < 4 / np.sqrt(keep.size)


def test_without_dropout_every_unit_stays_and_nothing_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anemia_lightning.randomness.stream", pytest.fail)
    keep = dropout_keep(PHOTOS[:3], 100, 0.0, seed=0, epoch=0)
    assert keep.shape == (3, 100)
    assert keep.dtype == np.bool_
    assert keep.all()


def test_a_wider_layer_keeps_the_mask_of_the_first_units() -> None:
    narrow, wide = (dropout_keep(["a"], width, 0.5, seed=0, epoch=0) for width in (64, 128))
    assert np.array_equal(wide[:, :64], narrow)


def test_epochs_go_through_the_views_in_turn_or_have_their_own() -> None:
    assert [view_of_epoch(epoch, 3) for epoch in range(7)] == [0, 1, 2, 0, 1, 2, 0]
    assert [view_of_epoch(epoch, 1) for epoch in range(3)] == [0, 0, 0]
    assert [view_of_epoch(epoch, None) for epoch in range(7)] == list(range(7))
