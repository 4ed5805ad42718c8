"""What is kept where there is no room for all."""

import pytest

from anemia_lightning.features.room import EVERYTHING, choices_of

TO_COME = {"pixels": 10, "layer3": 100 + 5, "pooled": 3}
"""Five bytes of maps are of photos that are not augmented."""
MAPS = {0: 40, 1: 30, 2: 30}


def test_less_and_less_is_kept_and_of_maps_whole_views() -> None:
    found = [(each.kinds, each.needed, each.views) for each in choices_of(TO_COME, MAPS)]
    everything = ("pixels", "layer3", "pooled")
    assert found == [
        (everything, 118, None),
        (everything, 88, {0, 1}),
        (everything, 58, {0}),
        (("pixels", "pooled"), 13, None),
        (("pixels",), 10, None),
        (("pooled",), 3, None),
    ]


def test_what_is_not_needed_is_no_choice() -> None:
    assert [each.kinds for each in choices_of({"pixels": 10}, {})] == [("pixels",)]
    assert [each.kinds for each in choices_of({"pixels": 10, "layer3": 20}, {0: 10})] == [
        ("pixels", "layer3"),
        ("pixels",),
    ]


def test_a_choice_holds_its_views_and_whatever_is_not_augmented() -> None:
    part = choices_of(TO_COME, MAPS)[1]
    assert [part.holds("layer3", view) for view in (None, 0, 1, 2)] == [True, True, True, False]
    assert all(part.holds(kind, view) for kind in ("pixels", "pooled") for view in (None, 0, 2))
    assert all(EVERYTHING.holds(kind, view) for kind in ("pixels", "layer3", "pooled") for view in (None, 7))
    pixels = choices_of(TO_COME, MAPS)[-2]
    assert not pixels.holds("layer3")
    assert not pixels.holds("pooled", 0)


@pytest.mark.parametrize(
    ("place", "words"),
    [
        (1, "pixels, layer3's maps of 2 of 3 views and pooled vectors"),
        (3, "pixels and pooled vectors"),
        (4, "pixels"),
    ],
)
def test_it_is_said_in_words(place: int, words: str) -> None:
    assert choices_of(TO_COME, MAPS)[place].words(len(MAPS)) == words
