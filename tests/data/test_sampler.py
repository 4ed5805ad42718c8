from collections.abc import Iterator
from typing import Any

import pytest

from anemia_lightning.contracts import UNKNOWN_LABEL, BatchRequest
from anemia_lightning.data.sampler import EvaluationSampler, TrainingSampler
from anemia_lightning.errors import TooManyDevicesError, TooManyPartsError
from anemia_lightning.randomness import epoch_order

SHARES = [(1, 1), (1, 2), (2, 1), (2, 2), (3, 1), (4, 2)]
"""Ranks and micro-batches."""


def labels(count: int) -> list[int]:
    return [int(number % 3 == 0) for number in range(count)]


def requests(count: int, *, epoch: int = 0, **options: Any) -> list[BatchRequest]:
    sampler = TrainingSampler(labels(count), **{"batch_size": 8, "seed": 0, **options})
    sampler.set_epoch(epoch)
    return list(sampler)


def steps(count: int, *, world_size: int, micro_batches: int, **options: Any) -> list[set[int]]:
    """The photos of each optimizer step, over all ranks and micro-batches."""
    share = {"world_size": world_size, "micro_batches": micro_batches, **options}
    ranks = [requests(count, rank=rank, **share) for rank in range(world_size)]
    return [
        {photo for rank in ranks for request in rank[start : start + micro_batches] for photo in request.indices}
        for start in range(0, len(ranks[0]), micro_batches)
    ]


def asked(found: Iterator[BatchRequest] | list[BatchRequest]) -> list[int]:
    return [photo for request in found for photo in request.indices]


# --- training ---


@pytest.mark.parametrize(("world_size", "micro_batches"), SHARES)
@pytest.mark.parametrize("count", [8, 9, 15, 16, 40, 101])
def test_every_photo_comes_exactly_once_an_epoch(count: int, world_size: int, micro_batches: int) -> None:
    found = [
        photo
        for rank in range(world_size)
        for photo in asked(requests(count, rank=rank, world_size=world_size, micro_batches=micro_batches))
    ]
    assert sorted(found) == list(range(count))


@pytest.mark.parametrize(("world_size", "micro_batches"), SHARES)
@pytest.mark.parametrize("count", [8, 9, 15, 16, 40, 101])
def test_the_length_is_what_comes_and_equal_on_all_ranks(count: int, world_size: int, micro_batches: int) -> None:
    options: dict[str, Any] = {"batch_size": 8, "seed": 0, "world_size": world_size, "micro_batches": micro_batches}
    samplers = [TrainingSampler(labels(count), rank=rank, **options) for rank in range(world_size)]
    assert {len(sampler) for sampler in samplers} == {len(list(samplers[0]))}
    assert len(samplers[0]) % micro_batches == 0, "a step never waits for the next epoch"
    assert all(request.indices for sampler in samplers for request in sampler), "no part of a step is empty"


def test_the_order_is_that_of_seed_and_epoch() -> None:
    for epoch in (0, 1, 7):
        assert asked(requests(20, seed=3, epoch=epoch)) == epoch_order(20, 3, epoch).tolist()
    assert asked(requests(20, seed=3)) != asked(requests(20, seed=4))


def test_an_epoch_is_the_same_whatever_came_before() -> None:
    sampler = TrainingSampler(labels(20), batch_size=8, seed=0)
    for epoch in (0, 1, 2):
        sampler.set_epoch(epoch)
        list(sampler)
    assert list(sampler) == requests(20, epoch=2)
    assert {request.view for request in sampler} == {2}


@pytest.mark.parametrize("count", [8, 16, 40, 44, 101])
def test_the_photos_of_a_step_depend_on_neither_ranks_nor_micro_batches(count: int) -> None:
    whole = [set(request.indices) for request in requests(count)]
    for world_size, micro_batches in SHARES:
        if count % 8 == 0 or count % 8 >= world_size * micro_batches:
            assert steps(count, world_size=world_size, micro_batches=micro_batches) == whole


@pytest.mark.parametrize(
    ("count", "world_size", "micro_batches", "sizes"),
    [
        (16, 1, 1, [8, 8]),
        (18, 1, 1, [8, 8, 2]),
        (17, 1, 1, [8, 9]),
        (18, 3, 1, [8, 10]),
        (19, 3, 1, [8, 8, 3]),
        (18, 2, 2, [8, 10]),
        (20, 2, 2, [8, 8, 4]),
        (1, 1, 1, [1]),
        (5, 1, 1, [5]),
    ],
)
def test_a_last_step_that_is_too_small_joins_the_one_before(
    count: int, world_size: int, micro_batches: int, sizes: list[int]
) -> None:
    found = steps(count, world_size=world_size, micro_batches=micro_batches)
    assert [len(step) for step in found] == sizes


@pytest.mark.parametrize("batch_size", [1, 2, 3])
def test_whole_steps_stay_as_they_are(batch_size: int) -> None:
    found = steps(6, world_size=1, micro_batches=1, batch_size=batch_size)
    assert [len(step) for step in found] == [batch_size] * (6 // batch_size)


@pytest.mark.parametrize(("world_size", "micro_batches"), SHARES)
def test_the_parts_of_a_step_differ_by_a_photo_at_most(world_size: int, micro_batches: int) -> None:
    share = {"world_size": world_size, "micro_batches": micro_batches}
    ranks = [requests(101, rank=rank, **share) for rank in range(world_size)]
    for start in range(0, len(ranks[0]), micro_batches):
        sizes = [len(request.indices) for rank in ranks for request in rank[start : start + micro_batches]]
        assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize(("world_size", "micro_batches"), SHARES)
def test_each_part_knows_the_labels_of_its_whole_step(world_size: int, micro_batches: int) -> None:
    for rank in range(world_size):
        found = requests(41, rank=rank, world_size=world_size, micro_batches=micro_batches)
        for number, step in enumerate(steps(41, world_size=world_size, micro_batches=micro_batches)):
            anaemic = sum(labels(41)[photo] for photo in step)
            for request in found[number * micro_batches : (number + 1) * micro_batches]:
                assert request.step_label_counts == (len(step) - anaemic, anaemic)


@pytest.mark.parametrize(("count", "batch_size", "parts"), [(5, 8, (3, 2)), (40, 4, (5, 1))])
def test_more_parts_than_photos_are_refused(count: int, batch_size: int, parts: tuple[int, int]) -> None:
    with pytest.raises(TooManyPartsError) as caught:
        requests(count, batch_size=batch_size, world_size=parts[0], micro_batches=parts[1])
    assert str(caught.value) == (
        f"Looked for a photo for each of the {parts[0] * parts[1]} parts of an optimizer step "
        f"(devices x accumulated batches); found {count} training photos in steps of {batch_size}. "
        "Lower trainer.devices or trainer.accumulate_grad_batches, or raise data.batch_size."
    )


# --- evaluation ---


@pytest.mark.parametrize("world_size", [1, 2, 3, 5])
@pytest.mark.parametrize("count", [5, 7, 8, 17, 100])
def test_evaluation_covers_each_photo_once_and_no_rank_idles(count: int, world_size: int) -> None:
    samplers = [
        EvaluationSampler(labels(count), batch_size=8, rank=rank, world_size=world_size) for rank in range(world_size)
    ]
    found = [asked(list(sampler)) for sampler in samplers]
    assert sorted(photo for rank in found for photo in rank) == list(range(count))
    # Lightning would leave an idle rank out, and the others would wait for it for ever.
    assert all(found)
    assert [len(sampler) for sampler in samplers] == [len(list(sampler)) for sampler in samplers]
    assert all(len(request.indices) <= 8 for sampler in samplers for request in sampler)


def test_fewer_photos_than_ranks_are_refused_on_each() -> None:
    for rank in range(4):
        with pytest.raises(TooManyDevicesError) as caught:
            EvaluationSampler(labels(3), batch_size=8, rank=rank, world_size=4)
        assert str(caught.value) == (
            "Looked for a validation photo for each of 4 devices; found 3 validation photos. "
            "Lower trainer.devices or trainer.num_nodes, or raise split.fractions.val."
        )


def test_one_process_evaluates_in_order_in_full_batches() -> None:
    found = list(EvaluationSampler(labels(20), batch_size=8))
    assert [request.indices for request in found] == [tuple(range(8)), tuple(range(8, 16)), tuple(range(16, 20))]
    assert {request.view for request in found} == {0}


def test_evaluation_counts_the_labels_of_its_batch_and_leaves_out_the_unknown() -> None:
    known = [1, 0, 1, 1, UNKNOWN_LABEL, UNKNOWN_LABEL]
    counts = [request.step_label_counts for request in EvaluationSampler(known, batch_size=4)]
    assert counts == [(1, 3), (0, 0)]
