"""What the speed comparison found: one row per arm, ratios to both loops, and all of it as Markdown."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from anemia_lightning.benchmarks.estimating import (
    Estimate,
    images_per_second,
    laps_as_epochs,
    multiply_out,
    stage_shares,
)
from anemia_lightning.benchmarks.orders import LOOPS

WORDS = {
    "plain": "plain loop (a)",
    "tuned": "tuned loop (b)",
    "fresh": "ours, a new view each epoch",
    "views": "ours, default views",
    "crossval": "ours, cross-validation",
    "sweep": "ours, sweep",
}
_MIB, _GIB = 2**20, 2**30

Row = dict[str, Any]


def loop_row(
    arm: str,
    pieces: Sequence[Mapping[str, Any]],
    whole: Mapping[str, Any] | None,
    *,
    epochs: tuple[int, int],
    photos: int,
) -> Row:
    """Returns the row of a plain loop: times multiplied out, peaks of any piece, scores of a whole run if there is one.

    Args:
        arm: plain or tuned.
        pieces: Its measured runs of a few epochs.
        whole: Its measured whole run.
        epochs: Of a whole run: those that train the head alone, and those that train layer4 too.
        photos: Training photos.
    """
    estimates = multiply_out(pieces, head_epochs=epochs[0], layer4_epochs=epochs[1])
    timed = [epoch for piece in pieces for epoch in laps_as_epochs(piece["laps"])]
    return {
        **_common(arm, 1, [*pieces, *([whole] if whole else [])]),
        "measured": len(pieces),
        "is_multiplied_out": True,
        "wall_s": estimates["wall_s"].total_s,
        "cpu_s": estimates["cpu_s"].total_s,
        "wall_range_s": [estimates["wall_s"].lowest_s, estimates["wall_s"].highest_s],
        "estimates": {clock: estimate.to_dict() for clock, estimate in estimates.items()},
        "train_photos": photos,
        "images_per_s": images_per_second(timed, photos),
        "stage_shares": _multiplied_shares(estimates["wall_s"], timed, epochs),
        "scores": whole["scores"] if whole else None,
    }


def command_row(arm: str, pieces: Sequence[Mapping[str, Any]], *, runs: int) -> Row:
    """Returns the row of one of our commands, of which nothing is extrapolated: medians of what was measured whole.

    Args:
        arm: fresh, views, crossval or sweep.
        pieces: Its measured repetitions.
        runs: Training runs that it holds.
    """
    walls = [piece["wall_s"] for piece in pieces]
    first = pieces[0]
    return {
        **_common(arm, runs, pieces),
        "is_multiplied_out": False,
        "wall_s": statistics.median(walls),
        "cpu_s": statistics.median(piece["cpu_s"] for piece in pieces),
        "wall_range_s": [min(walls), max(walls)],
        "after_imports_s": statistics.median(after) if (after := _after_imports(pieces)) else None,
        "train_photos": first["train_photos"],
        "images_per_s": images_per_second(first["epochs"], first["train_photos"]),
        "stage_shares": stage_shares(first["wall_s"], first["epochs"]),
        "trunk_share": first["trunk_s"] / first["wall_s"],
        "trunk_images": first["trunk_images"],
        "cache_bytes": first["cache_bytes"],
        "run_bytes": first["run_bytes"],
        "cache_off_because": first["cache_off_because"],
        "scores": first["scores"],
    }


def _after_imports(pieces: Sequence[Mapping[str, Any]]) -> list[float]:
    return [piece["after_imports_s"] for piece in pieces if "after_imports_s" in piece]


def add_ratios(rows: Sequence[Row]) -> None:
    """Adds to each row how much less time its runs take than as many runs of each loop, by both clocks."""
    loops = {row["arm"]: row for row in rows if row["arm"] in LOOPS}
    for row in rows:
        row["ratios"] = {
            arm: {clock: row["runs"] * loop[clock] / row[clock] for clock in ("wall_s", "cpu_s")}
            for arm, loop in loops.items()
        }


def to_markdown(report: Mapping[str, Any]) -> str:
    """Returns the comparison as Markdown: what it stands on, the table, the stages, and what was proved beside it."""
    rows = report["arms"]
    lines = ["# Speed comparison", "", *(f"- {line}" for line in report["conditions"]), ""]
    lines += _table(
        ["arm", "runs", "wall", "CPU", "times as fast as (a), wall", "as (a), CPU", "as (b), wall", "as (b), CPU",
         "peak anonymous memory, all processes", "peak RSS, one process", "peak GPU memory", "cache on disk",
         "runs on disk", "AUROC", "loss"],
        [_cells(row) for row in rows],
    )  # fmt: skip
    lines += ["", "Where the wall time goes, and training photos per second of each phase:", ""]
    heads = ["arm", "time", "frozen layers with decoding and augmentation, within these", "photos/s"]
    lines += _table(heads, [_stage_cells(row) for row in rows])
    lines += ["", *(f"- {line}" for line in report["findings"])]
    return "\n".join(lines) + "\n"


def seconds_in_words(seconds: float) -> str:
    """Returns a span of time as people say it."""
    if seconds < 120:  # noqa: PLR2004  two minutes
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.2f} h"  # noqa: PLR2004  two hours


def _common(arm: str, runs: int, pieces: Sequence[Mapping[str, Any]]) -> Row:
    anonymous = [piece["peak_anonymous_bytes"] for piece in pieces if piece["peak_anonymous_bytes"] is not None]
    return {
        "arm": arm,
        "words": WORDS[arm],
        "runs": runs,
        "measured": len(pieces),
        "peak_rss_bytes": max(piece["peak_rss_bytes"] for piece in pieces),
        "peak_anonymous_bytes": max(anonymous, default=None),
        "peak_gpu_bytes": max((piece.get("peak_gpu_bytes", 0) for piece in pieces), default=0) or None,
        "load_before": [piece["load_before"] for piece in pieces],
        "others_share": max((piece["others_share"] or 0.0 for piece in pieces), default=0.0),
    }


def _multiplied_shares(wall: Estimate, timed: Sequence[Mapping[str, Any]], epochs: tuple[int, int]) -> dict[str, float]:
    """Returns the shares of a whole run of which the epochs that were timed are a sample."""
    whole: list[dict[str, Any]] = []
    for stage, count in zip(("head", "layer4"), epochs, strict=True):
        sample = [epoch for epoch in timed if epoch["train_from"] == stage]
        if sample:
            mean = {key: statistics.mean(epoch[key] for epoch in sample) for key in ("train_s", "val_s")}
            whole += [{"train_from": stage, **mean}] * count
    spent = wall.once_s + sum(epoch["train_s"] + epoch["val_s"] for epoch in whole)
    return stage_shares(spent, whole)


def _cells(row: Row) -> list[str]:
    ratios = [
        f"{row['ratios'][arm][clock]:.1f}" if arm in row["ratios"] else ""
        for arm in LOOPS
        for clock in ("wall_s", "cpu_s")
    ]
    mark = " *" if row["is_multiplied_out"] else ""
    scores = row["scores"] or {}
    return [
        row["words"],
        str(row["runs"]),
        seconds_in_words(row["wall_s"]) + mark,
        seconds_in_words(row["cpu_s"]) + mark,
        *ratios,
        _size(row["peak_anonymous_bytes"]),
        _size(row["peak_rss_bytes"]),
        _size(row["peak_gpu_bytes"]),
        _size(row.get("cache_bytes")),
        _size(row.get("run_bytes")),
        _number(scores.get("auroc")),
        _number(scores.get("loss")),
    ]


def _stage_cells(row: Row) -> list[str]:
    shares = ", ".join(f"{name} {share:.0%}" for name, share in row["stage_shares"].items())
    trunk = f"{row['trunk_share']:.0%}" if "trunk_share" in row else ""
    rates = ", ".join(f"{stage} {rate:.1f}" for stage, rate in row["images_per_s"].items())
    return [row["words"], shares, trunk, rates]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows)]


def _size(size: int | None) -> str:
    if size is None:
        return ""
    return f"{size / _GIB:.2f} GiB" if size >= _GIB else f"{size / _MIB:.0f} MiB"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
