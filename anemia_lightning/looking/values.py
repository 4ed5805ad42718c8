"""The plain values of looks.json: where the heat lies, and what each change does to the decisions."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from anemia_lightning.data.cut_outs import CutOut
from anemia_lightning.looking.changes import OTHER_OUTLINE, SWAP_WORDS, Change
from anemia_lightning.looking.sample import LookSample
from anemia_lightning.metrics.flips import measure_effect
from anemia_lightning.metrics.intervals import Interval
from anemia_lightning.metrics.saliency import by_chance, energy_inside, mean_interval

NO_MASK = "no mask or transparency tells the tissue from what lies around it in any of these photos"


class Cutoff(Protocol):
    """A threshold."""

    @property
    def value(self) -> float:
        """Smallest probability that counts as anaemic."""


class Deciding(Protocol):
    """From logits to decisions, as `metrics.decision.Decision`."""

    @property
    def threshold(self) -> Cutoff:
        """The probability from which a photo is called anaemic."""

    def probability(self, logits: ArrayLike, /) -> NDArray[np.float64]:
        """Returns the probability of anaemia, float64 [N], of logits, float [N]."""

    def decide(self, probabilities: ArrayLike, /) -> NDArray[np.int64]:
        """Returns which photos are called anaemic, int64 [N] of 0 and 1."""


class Looked(NamedTuple):
    """Some photos with what the network says of them; one entry each."""

    photo: list[str]
    label: NDArray[np.int64]
    cut_outs: list[CutOut]
    logit: NDArray[np.float64]
    called: NDArray[np.int64]
    heat: NDArray[np.float32]
    """float32 [N, S, S] in [0, 1]."""

    def at(self, places: Sequence[int]) -> "Looked":
        """Returns some of them."""
        where = list(places)
        return Looked(
            [self.photo[place] for place in where],
            self.label[where],
            [self.cut_outs[place] for place in where],
            self.logit[where],
            self.called[where],
            self.heat[where],
        )


class Outcome(NamedTuple):
    """What a network says of a changed photo."""

    logit: float
    called: int


Changes = Mapping[Change, Mapping[int, Outcome]]
"""What became of the photos that underwent each change, by their place among those drawn."""


def join(parts: Sequence[Looked]) -> Looked:
    """Returns the photos of several networks together; there must be at least one part."""
    return Looked(
        [photo for part in parts for photo in part.photo],
        np.concatenate([part.label for part in parts]),
        [photo for part in parts for photo in part.cut_outs],
        *(np.concatenate([getattr(part, name) for part in parts]) for name in ("logit", "called", "heat")),
    )


def photo_values(sample: LookSample, photos: int, *, shown: bool) -> dict[str, int]:
    """Returns how many photos were looked at, of how many, and how many of the errors are shown."""
    return {
        "drawn": len(sample.drawn),
        "independent": sample.groups,
        "of": photos,
        "errors_shown": len(sample.errors) if shown else 0,
        "errors": sample.all_errors,
    }


def saliency_values(drawn: Looked, errors: Looked) -> dict[str, Any]:
    """Returns how much of the heat lies on the tissue: of the random sample, and apart from it of the errors."""
    sample = _heat_values(drawn)
    skipped = "" if sample["n"] else NO_MASK if not _masked(drawn) else "nothing speaks for any of the decisions"
    return {"skipped": skipped, **sample, "errors": _heat_values(errors)}


def heat_shares(looked: Looked) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns each photo's share of heat on the tissue, and that by chance; NaN without a mask or without heat."""
    masks = np.stack([photo.tissue for photo in looked.cut_outs]) / 255 if looked.photo else np.zeros((0, 1, 1))
    heat = looked.heat if looked.photo else masks
    inside = energy_inside(heat, masks)
    is_masked = np.array([photo.is_masked for photo in looked.cut_outs], dtype=bool)
    return np.where(is_masked, inside, np.nan), np.where(is_masked & ~np.isnan(inside), by_chance(masks), np.nan)


def change_values(drawn: Looked, changes: Changes) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Returns what the swaps do, and what the perturbations do.

    Args:
        drawn: The random sample.
        changes: What became of them.
    """
    swaps: list[dict[str, Any]] = []
    robustness: list[dict[str, Any]] = []
    for change, found in changes.items():
        effect = _effect(drawn, found)
        if change.part == "background":
            swaps.append({"swap": change.name, "says": SWAP_WORDS[change.name], **effect})
        else:
            robustness.append({"perturbation": change.name, "level": change.level, "unit": change.unit, **effect})
    others = {row["swap"] for row in swaps}
    note = "" if not swaps or OTHER_OUTLINE in others else "all these photos are called alike, so none has a partner"
    return {"skipped": "" if swaps else NO_MASK, "note": note, "swaps": swaps}, robustness


def _heat_values(looked: Looked) -> dict[str, Any]:
    inside, chance = heat_shares(looked)
    return {
        "n": int((~np.isnan(inside)).sum()),
        "energy_inside": _plain(mean_interval(inside)),
        "by_chance": mean_interval(chance).value,
        "beyond_chance": _plain(mean_interval(inside - chance)),
    }


def _effect(drawn: Looked, found: Mapping[int, Outcome]) -> dict[str, Any]:
    before = drawn.at(list(found))
    after, called = (np.array([getattr(each, name) for each in found.values()]) for name in ("logit", "called"))
    effect = measure_effect(before.label, before.logit, after, before.called, called)
    return {
        "n": effect.flipped.whole,
        "flipped": effect.flipped.part,
        "flipped_interval": _plain(effect.flipped.interval),
        "mean_logit_shift": effect.logit_shift,
        "auroc": effect.auroc,
        "auroc_change": _plain(effect.auroc_change),
    }


def _masked(looked: Looked) -> int:
    return sum(photo.is_masked for photo in looked.cut_outs)


def _plain(interval: Interval) -> dict[str, float | None]:
    return {"value": interval.value, "low": interval.low, "high": interval.high}
