"""The changed versions of a photograph that show what moves a decision."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from anemia_lightning.data.cut_outs import CutOut, Pixels
from anemia_lightning.data.perturbations import PERTURBATIONS
from anemia_lightning.data.swaps import BACKGROUNDS, Colour, mean_colour, on_background, painted, transplanted

OWN_COLOUR = "tissue in its own mean colour"
OUTLINE_ALONE = "outline alone"
OTHER_OUTLINE = "outline of another photo"

SWAP_WORDS = {
    **dict.fromkeys(BACKGROUNDS, "Tissue and outline stay, what lies around them changes."),
    OWN_COLOUR: "Outline and mean colour stay, vessels and shades go.",
    OUTLINE_ALONE: "All photos get tissue of one colour: what is left to tell them apart is their outline.",
    OTHER_OUTLINE: "The tissue in the outline of a photo that is called otherwise: a flip follows the outline.",
}
"""What each swap keeps and changes."""


class Change(NamedTuple):
    """What was done to photographs."""

    part: Literal["robustness", "background"]
    name: str
    level: float | None
    unit: str


class Partners(NamedTuple):
    """What the swaps of a photograph take from others."""

    outline: CutOut | None
    """A photograph that is called otherwise; None where there is none."""
    colour: Colour
    """The mean colour of all photographs' tissue."""


def changes_of(photo: CutOut, partners: Partners | None) -> dict[Change, Pixels]:
    """Returns a photograph's changed versions, each uint8 [S, S, 3].

    Light, sharpness and file change the photograph alone, not the background that is put behind it afterwards.

    Args:
        photo: The photograph.
        partners: What its swaps need; None for no swaps, as where no mask tells tissue from background.
    """
    changed: dict[Change, Pixels] = {}
    for each in PERTURBATIONS:
        change = Change("robustness", each.name, each.level, each.unit)
        changed[change] = photo.compose(each.apply(photo.colours))
    if partners is not None:
        changed |= {Change("background", name, None, ""): pixels for name, pixels in _swaps(photo, partners).items()}
    return changed


def choose_partners(photos: Sequence[CutOut], called: NDArray[np.int64]) -> list[Partners | None]:
    """Returns what the swaps of each photograph need; None for those without a mask.

    Args:
        photos: The photographs.
        called: Whether each is called anaemic, int [N]; the outline comes from one that is called otherwise, in turn.
    """
    masked = [index for index, photo in enumerate(photos) if photo.is_masked]
    if not masked:
        return [None] * len(photos)
    colour = mean_colour([photos[index] for index in masked])
    sides = {side: [index for index in masked if called[index] == side] for side in (0, 1)}
    partners: list[Partners | None] = [None] * len(photos)
    for own, others in ((sides[0], sides[1]), (sides[1], sides[0])):
        for turn, index in enumerate(own):
            partners[index] = Partners(photos[others[turn % len(others)]] if others else None, colour)
    return partners


def _swaps(photo: CutOut, partners: Partners) -> dict[str, Pixels]:
    swaps = {name: on_background(photo, colour) for name, colour in BACKGROUNDS.items() if colour != photo.background}
    swaps[OWN_COLOUR] = painted(photo, mean_colour([photo]))
    swaps[OUTLINE_ALONE] = painted(photo, partners.colour)
    if partners.outline is not None:
        swaps[OTHER_OUTLINE] = transplanted(photo, partners.outline)
    return swaps
