"""From parts that were measured to a whole run: the arithmetic of the comparison, and nothing else."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

STAGES = ("head", "layer4")
_CLOCKS = ("wall_s", "cpu_s")


@dataclass(frozen=True)
class Estimate:
    """What a whole run would take by one clock, in seconds."""

    total_s: float
    lowest_s: float
    """The same from the parts of the quickest child alone."""
    highest_s: float
    once_s: float
    """Start, test scoring and end."""
    head_epoch_s: float | None
    """None where there is no such epoch."""
    layer4_epoch_s: float | None

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values."""
        return asdict(self)


def multiply_out(children: Sequence[Mapping[str, Any]], *, head_epochs: int, layer4_epochs: int) -> dict[str, Estimate]:
    """Returns what a whole run would take, by wall and by CPU clock, from runs of a few epochs each.

    It is once + head_epochs x head + layer4_epochs x layer4. An epoch is its training and its validation, and the
    median over all that were measured; `once` is the median over the children of what lies outside of epochs.

    Args:
        children: Of each measured child wall_s and cpu_s from its start to its end, and its laps.
        head_epochs: Of the whole run.
        layer4_epochs: Of the whole run.
    """
    return {
        clock: _multiply_out(children, clock, epochs={"head": head_epochs, "layer4": layer4_epochs})
        for clock in _CLOCKS
    }


def epoch_seconds(laps: Sequence[Mapping[str, Any]], stage: str, clock: str) -> list[float]:
    """Returns the seconds of each epoch of a stage, training and validation together."""
    train = [lap[clock] for lap in laps if lap["name"] == f"{stage} train"]
    val = [lap[clock] for lap in laps if lap["name"] == f"{stage} val"]
    return [sum(pair) for pair in zip(train, val, strict=True)]


def stage_shares(wall_s: float, epochs: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Returns which share of the wall time goes to what; the shares add up to 1.

    Args:
        wall_s: The whole.
        epochs: train_from, train_s and val_s of each epoch, as in run.json.
    """
    spent = {
        f"training, {'head alone' if stage == 'head' else f'from {stage} on'}": sum(
            epoch["train_s"] for epoch in epochs if epoch["train_from"] == stage
        )
        for stage in dict.fromkeys(epoch["train_from"] for epoch in epochs)
    }
    spent["validation"] = sum(epoch["val_s"] for epoch in epochs)
    spent["all else"] = wall_s - sum(spent.values())
    return {name: seconds / wall_s for name, seconds in spent.items()}


def images_per_second(epochs: Sequence[Mapping[str, Any]], photos: float) -> dict[str, float]:
    """Returns training photos per second for each phase, over all of its epochs.

    Args:
        epochs: train_from and train_s of each epoch.
        photos: Training photos of an epoch.
    """
    return {
        stage: photos * len(spent) / sum(spent)
        for stage in dict.fromkeys(epoch["train_from"] for epoch in epochs)
        if (spent := [epoch["train_s"] for epoch in epochs if epoch["train_from"] == stage]) and sum(spent) > 0
    }


def laps_as_epochs(laps: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Returns the epochs of a plain loop in the form of run.json."""
    return [
        {"train_from": stage, "train_s": train["wall_s"], "val_s": val["wall_s"]}
        for train, val in pairwise(laps)
        for stage in STAGES
        if train["name"] == f"{stage} train" and val["name"] == f"{stage} val"
    ]


def _multiply_out(children: Sequence[Mapping[str, Any]], clock: str, epochs: Mapping[str, int]) -> Estimate:
    parts = [_parts(child, clock) for child in children]
    pooled = {name: [second for part in parts for second in part[name]] for name in ("once", *STAGES)}
    each = [_total(part, epochs) for part in parts]
    return Estimate(
        total_s=_total(pooled, epochs),
        lowest_s=min(each),
        highest_s=max(each),
        once_s=statistics.median(pooled["once"]),
        head_epoch_s=statistics.median(pooled["head"]) if pooled["head"] else None,
        layer4_epoch_s=statistics.median(pooled["layer4"]) if pooled["layer4"] else None,
    )


def _parts(child: Mapping[str, Any], clock: str) -> dict[str, list[float]]:
    stages = {stage: epoch_seconds(child["laps"], stage, clock) for stage in STAGES}
    return {"once": [child[clock] - sum(map(sum, stages.values()))], **stages}


def _total(parts: Mapping[str, Sequence[float]], epochs: Mapping[str, int]) -> float:
    multiplied = (count * statistics.median(parts[stage]) for stage, count in epochs.items() if count)
    return statistics.median(parts["once"]) + sum(multiplied)
