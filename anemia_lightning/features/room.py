"""What of the features is kept where there is no room for all of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tqdm import tqdm

_KINDS = (("pixels", "layer3", "pooled"), ("pixels", "pooled"), ("pixels",), ("pooled",))
"""The first for which there is room. A photo's pixels and pooled vectors take a tenth of all, and pooled vectors a
tenth of that."""
_WORDS = {"pixels": "pixels", "pooled": "pooled vectors"}


@dataclass(frozen=True)
class Choice:
    """What could be kept."""

    kinds: tuple[str, ...]
    """Of pixels, layer3 and pooled."""
    needed: int = 0
    """Bytes that it would add."""
    views: frozenset[int] | None = None
    """Augmented views of which layer3's maps are kept; None for all."""

    def holds(self, kind: str, view: int | None = None) -> bool:
        """Returns whether it keeps a kind, of an augmented view if one is named."""
        is_left_out = kind == "layer3" and view is not None and self.views is not None and view not in self.views
        return kind in self.kinds and not is_left_out

    def words(self, views: int) -> str:
        """Returns what it keeps, in words; of so many views in all."""
        words = {**_WORDS, "layer3": f"layer3's maps of {len(self.views or ())} of {views} views"}
        *first, last = [words[kind] for kind in self.kinds]
        return f"{', '.join(first)} and {last}" if first else last


EVERYTHING = Choice(_KINDS[0])


def choices_of(to_come: Mapping[str, int], maps: Mapping[int, int]) -> list[Choice]:
    """Returns what could be kept of what is to come: everything, then less and less.

    Of layer3's maps whole views are kept: of a view that is kept in part, each batch would still have some to compute,
    and a pass takes the time of a whole batch.

    Args:
        to_come: Bytes of each kind; a kind that is not named is not needed.
        maps: Those of layer3 that are of augmented views, by view.
    """

    def needed(kinds: Sequence[str]) -> int:
        return sum(to_come.get(kind, 0) for kind in kinds)

    possible = [tuple(kind for kind in kinds if kind in to_come) for kinds in _KINDS]
    everything, *less = [kinds for kinds in dict.fromkeys(possible) if kinds]
    views = sorted(maps)
    choices = [Choice(everything, needed(everything))]
    for count in range(len(views) - 1, 0, -1):
        left_out = sum(maps[view] for view in views[count:])
        choices.append(Choice(everything, needed(everything) - left_out, frozenset(views[:count])))
    return [*choices, *(Choice(kinds, needed(kinds)) for kinds in less)]


def size_in_words(count: int) -> str:
    """Returns a number of bytes as people say it."""
    return str(tqdm.format_sizeof(count, suffix="B"))
