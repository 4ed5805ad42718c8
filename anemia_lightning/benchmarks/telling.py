"""What the speed comparison says in words: under which conditions it was made, and what it found beside the table."""

from collections.abc import Mapping, Sequence
from typing import Any

from omegaconf import DictConfig

from anemia_lightning import wiring
from anemia_lightning.benchmarks.comparison import Row, seconds_in_words
from anemia_lightning.benchmarks.orders import LOOPS, RUNS, worker_choices

_QUIET = 0.05
"""Share of the processors' time that others may take before wall times are said to be doubtful."""


def conditions(
    cfg: DictConfig, begun: Mapping[str, Any], *, epochs: tuple[int, int], workers: Mapping[str, int]
) -> list[str]:
    """Returns what a reader must know before the table.

    Args:
        cfg: The settings of `benchmark`.
        begun: What `make_inputs` returned, and machine, versions, device, threads and load_before.
        epochs: Those that train the head alone, and those that train layer4 too.
        workers: The number of loader workers of each plain loop.
    """
    photos, weights = begun["photos"], begun["weights"]
    device, threads = begun["device"], begun["threads"]
    name = begun["machine"]["gpu"] if device == "cuda" else begun["machine"]["processor"]
    kind = "random weights" if weights["source"] == "random" else f"weights {weights['file']}"
    lines = [
        f"{name}, threads={threads}, torch {begun['versions']['torch']}; ours and the tuned loop compute in "
        f"{wiring.resolve_precision(cfg)}, the plain loop in fp32",
        f"{begun['data']}: {photos['train']} photos train, {photos['val']} validate, {photos['test']} test; "
        f"{cfg.model.backbone} at {cfg.data.image_size} px, batches of {cfg.data.batch_size}, "
        f"{epochs[0]} + {epochs[1]} epochs in every arm, no early stopping",
        f"{kind} (SHA-256 {weights['sha256'][:12]}…) in every arm; the scores say nothing about other weights",
        f"preparing the photos took {begun['preparation_s']:.1f} s from an empty cache, once for a data set, and is in "
        "no arm's clock; their files are in the page cache; each arm is a fresh process, measured from its start to "
        "its end, ours with an empty cache for features and with its report, "
        f"{_closer_look(cfg.evaluation.probe_photos)}",
    ]
    if cfg.features.views != "fresh":
        lines.append(
            "the loops and fresh views augment anew in every epoch; all other arms go through "
            f"{cfg.features.views} views of each photo in turn, which is less work, and not shown to cost no accuracy"
        )
    for arm, number in workers.items():
        choices = worker_choices(arm, device)
        measured = f", the quickest of {', '.join(map(str, choices))}" if len(choices) > 1 else ""
        lines.append(f"{arm} loop: {number} loader workers{measured}")
    return [*lines, *load_warnings(begun["load_before"], threads)]


def _closer_look(photos: int) -> str:
    return f"a closer look at {photos} photos included" if photos else "without the closer look at photos"


def findings(
    rows: Sequence[Row], trunk: Mapping[str, Any], *, epochs: tuple[int, int], repeats: int, preparation_s: float
) -> list[str]:
    """Returns what there is to say behind the table.

    Args:
        rows: Of the arms, with their ratios.
        trunk: What `rate_trunk` measured.
        epochs: Those that train the head alone, and those that train layer4 too.
        repeats: Of the loops.
        preparation_s: What preparing the photos took.
    """
    lines = []
    if any(row["is_multiplied_out"] for row in rows):
        lines.append(
            f"\\* multiplied out: start and end + {epochs[0]} head epochs + {epochs[1]} layer4 epochs, medians over "
            f"repeats={repeats} of a few epochs each, in turns with the other arms. Ours is never extrapolated."
        )
    lines += [
        f"{row['words']}: {seconds_in_words(low)} to {seconds_in_words(high)} by each of its {row['measured']} "
        "measurements alone."
        for row in rows
        for low, high in [row["wall_range_s"]]
        if high > low
    ]
    lines += [
        f"{row['words']}: of its {seconds_in_words(row['wall_s'])}, {seconds_in_words(row['after_imports_s'])} follow "
        "the loading of libraries."
        for row in rows
        if row.get("after_imports_s")
    ]
    lines += [
        f"{row['words']}, with preparing the photos in its clock: {row['ratios']['plain']['wall_s'] * share:.1f} times "
        "as fast as (a)."
        for row in rows
        if row["arm"] in RUNS and "plain" in row["ratios"]
        for share in [row["wall_s"] / (row["wall_s"] + preparation_s)]
    ]
    lines += [
        f"WARNING: {row['words']}: others took up to {row['others_share']:.0%} of the processors' time meanwhile: "
        "trust its CPU time rather than its wall time."
        for row in rows
        if row["others_share"] > _QUIET
    ]
    lines += _of_other_sizes(rows)
    lines += [f"{row['words']}: no cache: {row['cache_off_because']}" for row in rows if row.get("cache_off_because")]
    reached, possible = 2e-12 * trunk["pass_macs_per_s"], 2e-12 * trunk["matmul_macs_per_s"]
    lines.append(
        f"The trunk pass reaches {trunk['share']:.0%} of the machine's own rate of matrix products, measured in turns "
        f"({reached:.3g} of {possible:.3g} TFLOP/s, {trunk['images_per_s']:.1f} images/s)."
    )
    return lines


def _of_other_sizes(rows: Sequence[Row]) -> list[str]:
    """Returns which arms train on other numbers of photos than the loops, as folds do, and what that does to ratios."""
    loops = [row["train_photos"] for row in rows if row["is_multiplied_out"]]
    return [
        f"{row['words']}: each run trains on {row['train_photos']:.0f} photos, a loop on {loops[0]:.0f}; for equal "
        f"numbers multiply its ratios by {row['train_photos'] / loops[0]:.2f}."
        for row in rows
        if loops and not row["is_multiplied_out"] and round(row["train_photos"]) != round(loops[0])
    ]


def not_proved(rows: Sequence[Row]) -> list[str]:
    """Returns what to say where no loop ran whole."""
    if not any(row["is_multiplied_out"] for row in rows):
        return []
    return ["No whole run of a loop proves the multiplication: prove=true makes one, which gives its scores too."]


def prove(loop: Row, whole: Mapping[str, Any], rows: Sequence[Row]) -> dict[str, Any]:
    """Returns how well the multiplication predicted a whole run of a loop, and how fast ours are by that run."""
    clocks = {clock: {"predicted_s": loop[clock], "measured_s": whole[clock]} for clock in ("wall_s", "cpu_s")}
    wall, cpu = (
        f"{seconds_in_words(each['measured_s'])} (multiplied out {seconds_in_words(each['predicted_s'])}, "
        f"{each['predicted_s'] / each['measured_s'] - 1:+.1%})"
        for each in clocks.values()
    )
    ratios = {
        row["arm"]: {clock: row["runs"] * whole[clock] / row[clock] for clock in clocks}
        for row in rows
        if row["arm"] not in LOOPS
    }
    by_it = ", ".join(f"{arm} {ratio['wall_s']:.1f}" for arm, ratio in ratios.items())
    words = f"One whole {loop['words']} took {wall}, and {cpu} of CPU time."
    return {**clocks, "ratios": ratios, "words": f"{words} By it, times as fast: {by_it}." if by_it else words}


def load_warnings(load: float, threads: int) -> list[str]:
    """Returns what to say when more processes wanted to run before the start than we have threads."""
    if load <= threads:
        return []
    return [
        f"WARNING: the machine was busy before the start (load {load:.1f}, threads={threads}): trust the CPU times "
        "rather than the wall times"
    ]
