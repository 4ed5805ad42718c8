"""Copies of photographs are found at the grain at which they are copies, and strangers are never taken for copies."""

import io
import pickle
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from itertools import combinations, pairwise

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from PIL import Image

from anemia_lightning.contracts import GRAINS, GROUP_COLUMNS
from anemia_lightning.data import copies
from anemia_lightning.data.copies import SAME_THUMBNAIL, Copies, _differ, _summarise, find_copies
from anemia_lightning.data.fingerprints import THUMBNAIL_PX, Fingerprint, orientations, take_fingerprint
from anemia_lightning.data.sources.drawing import MIDDLE_A, draw_conjunctiva
from anemia_lightning.randomness import stream

Pixels = NDArray[np.uint8]
STRANGERS = 40


def draw(number: int) -> Pixels:
    rng = stream("a person for the copies' tests", number)
    return draw_conjunctiva(MIDDLE_A + float(rng.normal(0, 4)), float(rng.uniform(0.4, 1.1)), rng)


def recompress(rgba: Pixels, quality: int = 85) -> Pixels:
    """Through JPEG, as a messenger would send it; the outline stays."""
    file = io.BytesIO()
    Image.fromarray(rgba[..., :3]).save(file, "JPEG", quality=quality)
    return np.dstack([np.asarray(Image.open(file)), rgba[..., 3]])


def cut_again(rgba: Pixels) -> Pixels:
    """Cropped at all four sides: other size, other outline."""
    height, width = rgba.shape[:2]
    return np.ascontiguousarray(rgba[height // 10 : -height // 16, width // 9 : -width // 12])


def rescale(rgba: Pixels, factor: float) -> Pixels:
    image = Image.fromarray(rgba)
    return np.asarray(
        image.resize((round(image.width * factor), round(image.height * factor)), Image.Resampling.LANCZOS)
    )


def tilt(rgba: Pixels) -> Pixels:
    return np.asarray(Image.fromarray(rgba).rotate(7, Image.Resampling.BICUBIC, expand=True))


def recolour(rgba: Pixels) -> Pixels:
    changed = (rgba[..., :3] / 255.0) ** 1.15 * np.array([0.95, 1.0, 0.9]) * 255
    return np.dstack([changed.round().astype(np.uint8), rgba[..., 3]])


COPIES: dict[str, tuple[str, Callable[[Pixels], Pixels]]] = {
    "the same pixels": ("pixels", lambda rgba: rgba.copy()),
    "mirrored": ("turned", lambda rgba: np.ascontiguousarray(rgba[:, ::-1])),
    "upside down": ("turned", lambda rgba: np.ascontiguousarray(rgba[::-1, ::-1])),
    "turned by a right angle": ("turned", lambda rgba: np.ascontiguousarray(np.rot90(rgba))),
    "mirrored and turned": ("turned", lambda rgba: np.ascontiguousarray(np.rot90(rgba[::-1], 3))),
    "re-encoded": ("turned", recompress),
    "mirrored and re-encoded": ("turned", lambda rgba: recompress(np.ascontiguousarray(rgba[::-1]))),
    "cut again": ("recut", cut_again),
    "cut again and smaller": ("recut", lambda rgba: rescale(cut_again(rgba), 0.7)),
    "larger": ("recut", lambda rgba: rescale(rgba, 1.5)),
    "cut again and mirrored": ("recut", lambda rgba: np.ascontiguousarray(cut_again(rgba)[:, ::-1])),
    "cut again and tilted": ("recut", lambda rgba: tilt(cut_again(rgba))),
    "cut again and recoloured": ("recut", lambda rgba: recolour(cut_again(rgba))),
}
"""What was done to a photograph, and the first grain at which it is a copy."""


def find(pictures: list[Pixels], **options: object) -> Copies:
    prints = [take_fingerprint(pixels) for pixels in pictures]
    return find_copies([f"file {number}" for number in range(len(pictures))], prints, **options)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def strangers() -> list[Pixels]:
    return [draw(number) for number in range(STRANGERS)]


@pytest.fixture(scope="module")
def mixed(strangers: list[Pixels]) -> tuple[list[str], list[int], Copies]:
    """Each kind of copy of three people among the strangers: what was done, of whom, and what was found."""
    kinds, owners, pictures = ["original"] * STRANGERS, list(range(STRANGERS)), list(strangers)
    for position, (kind, (_, change)) in enumerate(COPIES.items()):
        for person in range(3):
            owner = (3 * position + person) % STRANGERS
            kinds.append(kind)
            owners.append(owner)
            pictures.append(change(strangers[owner]))
    return kinds, owners, find(pictures)


def test_strangers_are_not_copies(strangers: list[Pixels]) -> None:
    copies = find(strangers)
    for column in GROUP_COLUMNS:
        assert copies.groups[column].tolist() == list(range(STRANGERS))
    assert copies.pairs.empty


@pytest.mark.parametrize("kind", COPIES)
def test_a_copy_is_found_from_its_grain_on_and_not_before(
    kind: str, mixed: tuple[list[str], list[int], Copies]
) -> None:
    kinds, owners, copies = mixed
    found = GRAINS.index(COPIES[kind][0])
    for index in [position for position, each in enumerate(kinds) if each == kind]:
        for position, column in enumerate(GROUP_COLUMNS):
            group = copies.groups[column]
            assert (group[index] == group[owners[index]]) == (position >= found), (kind, owners[index], column)


def test_nobody_is_joined_with_anybody_else(mixed: tuple[list[str], list[int], Copies]) -> None:
    _, owners, copies = mixed
    people = pd.Series(owners).groupby(copies.groups[GROUP_COLUMNS[-1]].to_numpy()).nunique()
    assert people.eq(1).all()
    assert copies.groups[GROUP_COLUMNS[-1]].nunique() == STRANGERS


def test_each_grain_includes_those_before_it(mixed: tuple[list[str], list[int], Copies]) -> None:
    groups = mixed[2].groups
    for narrow, wide in pairwise(GROUP_COLUMNS):
        assert groups.groupby(narrow)[wide].nunique().eq(1).all()
        assert (groups[wide] <= groups[narrow]).all()


def test_the_evidence_names_what_was_joined(mixed: tuple[list[str], list[int], Copies]) -> None:
    _, owners, copies = mixed
    assert set(copies.pairs["grain"]) == {"turned", "recut"}
    assert (copies.pairs["first"] < copies.pairs["second"]).all()
    for row in copies.pairs.itertuples():
        assert owners[int(row.first)] == owners[int(row.second)]  # type: ignore[arg-type]
    joined = copies.groups[GROUP_COLUMNS[-1]]
    assert (joined[copies.near["first"]].to_numpy() != joined[copies.near["second"]].to_numpy()).all()


def test_the_evidence_is_in_numbers_whichever_grains_found_something(strangers: list[Pixels]) -> None:
    for more in ([], [cut_again(strangers[0])], [strangers[0][:, ::-1]]):
        found = find([*strangers[:3], *more])
        assert len(found.pairs) == len(more)
        for table in (found.pairs, found.near):
            assert all(table[column].dtype.kind in "if" for column in ("first", "second", "score"))


def test_without_the_search_for_cut_outs_the_other_grains_are_the_same(strangers: list[Pixels]) -> None:
    pictures = [*strangers[:6], *(change(strangers[0]) for _, change in COPIES.values())]
    without, whole = find(pictures, seek_recuts=False), find(pictures)
    columns = list(GROUP_COLUMNS[:-1])
    pd.testing.assert_frame_equal(without.groups[columns], whole.groups[columns])
    assert without.groups[GROUP_COLUMNS[-1]].equals(without.groups[GROUP_COLUMNS[-2]].rename(GROUP_COLUMNS[-1]))
    assert without.near.empty


def test_where_no_cut_outs_are_sought_a_fingerprint_is_small_and_finds_as_much(strangers: list[Pixels]) -> None:
    pictures = [*strangers[:6], *(change(strangers[0]) for _, change in COPIES.values())]
    whole, small = ([take_fingerprint(each, of_cuts=of_cuts) for each in pictures] for of_cuts in (True, False))
    names = [str(number) for number in range(len(pictures))]
    found, again = (find_copies(names, prints, seek_recuts=False) for prints in (whole, small))
    pd.testing.assert_frame_equal(found.groups, again.groups)
    pd.testing.assert_frame_equal(found.pairs, again.pairs)
    assert max(len(pickle.dumps(each)) for each in small) < 3_000 < min(len(pickle.dumps(each)) for each in whole)


def partition(groups: "pd.Series[int]", order: list[int]) -> set[frozenset[int]]:
    members: dict[int, set[int]] = {}
    for position, group in enumerate(groups):
        members.setdefault(int(group), set()).add(order[position])
    return {frozenset(each) for each in members.values()}


def test_the_order_does_not_change_what_is_found(strangers: list[Pixels]) -> None:
    pictures = [
        *strangers[:10],
        *(change(strangers[person]) for person, (_, change) in enumerate([*COPIES.values()][:10])),
    ]
    shuffled = stream("an order").permutation(len(pictures)).tolist()
    one = find(pictures)
    other = find([pictures[index] for index in shuffled])
    for column in GROUP_COLUMNS:
        straight = partition(one.groups[column], list(range(len(pictures))))
        assert partition(other.groups[column], shuffled) == straight


def test_the_same_file_is_one_group_whatever_it_shows(strangers: list[Pixels]) -> None:
    prints = [take_fingerprint(strangers[0]), take_fingerprint(strangers[0]), take_fingerprint(strangers[1])]
    groups = find_copies(["a", "a", "b"], prints).groups
    assert groups["group_bytes"].tolist() == [0, 0, 2]


@pytest.mark.parametrize("count", [0, 1])
def test_few_photos_are_no_special_case(count: int) -> None:
    copies = find([draw(number) for number in range(count)])
    assert copies.groups.to_numpy().tolist() == [[index] * len(GROUP_COLUMNS) for index in range(count)]


def test_a_fingerprint_is_small_and_says_what_the_pixels_were(strangers: list[Pixels]) -> None:
    one: Fingerprint = take_fingerprint(strangers[0])
    assert one.pixels != take_fingerprint(strangers[1]).pixels
    assert len(one.pixels) == len(sha256().hexdigest())
    mirrored = take_fingerprint(np.ascontiguousarray(strangers[0][:, ::-1]))
    assert mirrored.pixels != one.pixels
    assert mirrored.turned_pixels == one.turned_pixels


@pytest.mark.parametrize("seed", range(30))
def test_no_two_thumbnails_differ_by_less_than_their_summaries(seed: int) -> None:
    rng = np.random.default_rng(seed)
    first, second = rng.integers(0, 256, (2, THUMBNAIL_PX, THUMBNAIL_PX, 3), dtype=np.uint8)
    if seed % 2:
        second = np.clip(orientations(first)[seed % 8] + rng.integers(0, 9, first.shape), 0, 255).astype(np.uint8)
    apart = float(np.linalg.norm(_summarise(first) - _summarise(second)))
    assert apart <= _differ(first, second) + 1e-9
    np.testing.assert_allclose(_summarise(orientations(first)[seed % 8]), _summarise(first), atol=1e-9)


def test_alike_photos_are_found_among_many_that_are_mostly_black(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copies, "_PHOTOS_AT_ONCE", 7)
    rng = np.random.default_rng(0)
    thumbnails = np.zeros((60, THUMBNAIL_PX, THUMBNAIL_PX, 3), np.uint8)
    for thumbnail in thumbnails:
        top, left = rng.integers(8, 12, 2)
        thumbnail[top : top + 4, left : left + 6] = rng.integers(100, 140, 3)
    thumbnails[30:] = [orientations(each)[number % 8] for number, each in enumerate(thumbnails[:30])]
    blank = take_fingerprint(np.zeros((30, 30, 4), np.uint8))
    prints = [replace(blank, pixels=f"{number}", thumbnail=each) for number, each in enumerate(thumbnails)]
    found = find_copies([each.pixels for each in prints], prints, seek_recuts=False).pairs
    wanted = {
        (one, other)
        for one, other in combinations(range(60), 2)
        if _differ(thumbnails[one], thumbnails[other]) <= SAME_THUMBNAIL
    }
    assert set(zip(found["first"], found["second"], strict=True)) == wanted
    assert 30 <= len(wanted) < 1000
