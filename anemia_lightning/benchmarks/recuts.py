"""How well, and how fast, cut-outs of one photograph are found: ``python -m anemia_lightning.benchmarks.recuts``."""

import argparse
import os
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import NDArray

from anemia_lightning.benchmarks.cutting import LEAST_DETAIL, Cut, make_cut, shared_tissue
from anemia_lightning.benchmarks.photographs import HALVES, Half, collect_photographs, draw_photograph
from anemia_lightning.command_line.terminal import say
from anemia_lightning.data.copies import find_copies, join_groups
from anemia_lightning.data.fingerprints import Fingerprint, take_fingerprint
from anemia_lightning.data.recuts import SAME_PHOTO_SCORE, compare_cuts
from anemia_lightning.files.run_folder import write_bytes, write_json
from anemia_lightning.plots.style import house_style, new_axes, to_png
from anemia_lightning.randomness import stream

COUNTED_FROM = 0.4
"""Two cut-outs are a pair to be found if they share this much of the smaller one's tissue."""

RECALL_BAR, PRECISION_BAR = 0.9, 0.95
AIMED_PRECISION = 0.975
"""On the half that is tuned on; above the bar, since a wrong link makes one photograph of two people's."""
_CUTS = 4
_THRESHOLDS = (10.0, 12.0, 14.0, 16.0, 17.0, 17.5, 18.0, 18.5, 19.0, 19.5, 20.0, 22.0, 25.0, 30.0, 40.0)


class Measured(NamedTuple):
    """One half of the benchmark, compared."""

    cuts: list[Cut]
    wanted: set[tuple[int, int]]
    """Pairs of cut-outs of one photograph that share enough tissue."""
    open: set[tuple[int, int]]
    """Pairs of cut-outs of one photograph that share less: they count neither way."""
    links: pd.DataFrame
    """first, second, score."""


def measure_half(half: Half, *, drawn: int, threads: int) -> Measured:
    """Makes the cut-outs of one half and compares them, four of each photograph."""
    cuts = [
        cut
        for photograph in collect_photographs(half, drawn=drawn)
        for number in range(_CUTS)
        if (cut := make_cut(photograph, stream("benchmark cut", half, photograph.name, number))) is not None
    ]
    with ThreadPoolExecutor(threads) as pool:
        prints = list(pool.map(take_fingerprint, [cut.rgba for cut in cuts]))
    by_photograph: dict[str, list[int]] = {}
    for index, cut in enumerate(cuts):
        by_photograph.setdefault(cut.photograph, []).append(index)
    share = {
        pair: shared_tissue(cuts[pair[0]], cuts[pair[1]])
        for members in by_photograph.values()
        for pair in combinations(members, 2)
    }
    wanted = {pair for pair, shared in share.items() if shared >= COUNTED_FROM}
    return Measured(cuts, wanted, share.keys() - wanted, compare_cuts(prints, processes=threads))


def rate_threshold(measured: Measured, threshold: float) -> dict[str, float]:
    """Returns recall and precision of the pairs that stand in one group, groups being transitive.

    A pair counts as joined however it came into one group, so that a single wrong link between two groups
    costs as many pairs as it brings together.
    """
    links = measured.links.loc[measured.links["score"] >= threshold, ["first", "second"]].to_numpy()
    groups = join_groups(np.arange(len(measured.cuts)), links)
    members = pd.Series(range(len(groups))).groupby(groups).agg(list)
    joined = {pair for each in members for pair in combinations(each, 2)}
    found = joined & measured.wanted
    wrong = joined - measured.wanted - measured.open
    return {
        "threshold": threshold,
        "recall": len(found) / max(len(measured.wanted), 1),
        "precision": len(found) / max(len(found) + len(wrong), 1),
        "found": len(found),
        "wrong": len(wrong),
    }


def choose_threshold(curve: pd.DataFrame) -> float:
    """Returns the threshold of highest recall among those that reach the precision aimed at, or the strictest."""
    precise = curve[curve["precision"] >= AIMED_PRECISION]
    best = precise if len(precise) else curve.tail(1)
    ranked = best.sort_values(["recall", "precision", "threshold"], ascending=[False, False, True])
    return float(ranked["threshold"].iloc[0])


def measure_growth(sizes: Sequence[int], *, threads: int) -> list[dict[str, float]]:
    """Times fingerprints and search for growing numbers of cut-outs, four of each drawn photograph."""
    rows = []
    for size in sizes:
        cuts = _draw_cuts(size)
        start = time.perf_counter()
        with ThreadPoolExecutor(threads) as pool:
            prints = list(pool.map(take_fingerprint, cuts))
        taken = time.perf_counter()
        find_copies([str(index) for index in range(size)], prints, processes=threads)
        done = time.perf_counter()
        size_kb = float(np.mean([_count_bytes(each) for each in prints])) / 1000
        rows.append(
            {
                "photos": size,
                "fingerprint_s": taken - start,
                "search_s": done - taken,
                "total_s": done - start,
                "fingerprint_kb": size_kb,
            }
        )
        say("  ".join(f"{key} {value:.1f}" for key, value in rows[-1].items()))
    return rows


def fit_exponent(rows: Sequence[Mapping[str, Any]], key: str) -> float:
    """Returns the slope of log time over log photos: 1 where the time grows as their number, 2 as its square."""
    photos, seconds = ([np.log(row[each]) for row in rows] for each in ("photos", key))
    return float(np.polyfit(photos, seconds, 1)[0])


def _draw_cuts(count: int) -> list[NDArray[np.uint8]]:
    cuts: list[NDArray[np.uint8]] = []
    number = 0
    while len(cuts) < count:
        photograph = draw_photograph("growth", number)
        made = (make_cut(photograph, stream("growth cut", number, each)) for each in range(_CUTS))
        cuts += [cut.rgba for cut in made if cut is not None]
        number += 1
    return cuts[:count]


def _count_bytes(fingerprint: Fingerprint) -> int:
    arrays = (
        fingerprint.thumbnail,
        fingerprint.packed_mask,
        fingerprint.packed_rgb,
        fingerprint.keypoints,
        fingerprint.descriptors,
    )
    return sum(each.nbytes for each in arrays)


@house_style()
def draw_curves(curves: dict[str, pd.DataFrame], threshold: float) -> Axes:
    """Draws precision over recall of each half, with the shipped threshold marked."""
    axes = new_axes()
    for name, curve in curves.items():
        (line,) = axes.plot(curve["recall"], curve["precision"], marker=".", label=name)
        shipped = curve[curve["threshold"] == threshold]
        axes.plot(shipped["recall"], shipped["precision"], "o", color=line.get_color())
    axes.axvline(RECALL_BAR, linestyle=":", color="#666666", linewidth=1)
    axes.axhline(PRECISION_BAR, linestyle=":", color="#666666", linewidth=1)
    axes.set(xlabel="recall of pairs", ylabel="precision of pairs", xlim=(0.4, 1.005), ylim=(0.4, 1.005))
    axes.set_title(f"cut-outs of one photograph; large dots: score {threshold:g}, as shipped")
    axes.legend(loc="lower left")
    return axes


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the benchmark; returns 0 if the bar is met on the half that was not tuned on, else 1."""
    options = _read_options(arguments)
    report: dict[str, Any] = {"shipped_threshold": SAME_PHOTO_SCORE, "halves": {}}
    report |= {"counted_from_shared_tissue": COUNTED_FROM, "least_detail_grey_levels": LEAST_DETAIL}
    report |= {"cores": os.cpu_count(), "threads": options.threads}
    curves: dict[str, pd.DataFrame] = {}
    for half in HALVES:
        measured = measure_half(half, drawn=options.drawn, threads=options.threads)
        thresholds = sorted({*_THRESHOLDS, SAME_PHOTO_SCORE})
        curves[half] = pd.DataFrame([rate_threshold(measured, each) for each in thresholds])
        report["halves"][half] = _describe(measured, curves[half])
        say(
            f"{half}: {report['halves'][half]['summary']}", curves[half].to_string(index=False, float_format="%.4g"), ""
        )
    shipped = curves["test"].set_index("threshold").loc[SAME_PHOTO_SCORE]
    report["chosen_on_tune"] = choose_threshold(curves["tune"])
    report["is_met"] = bool(shipped["recall"] >= RECALL_BAR and shipped["precision"] >= PRECISION_BAR)
    say(
        f"The tuning half asks for {report['chosen_on_tune']:g}, shipped is {SAME_PHOTO_SCORE:g}. On the other half: "
        f"recall {shipped['recall']:.3f}, precision {shipped['precision']:.3f}."
    )
    if options.growth:
        report["growth"] = measure_growth(options.growth, threads=options.threads)
        if len(options.growth) > 1:
            report["exponent"] = fit_exponent(report["growth"], "total_s")
            say(f"Time grows as photos to the power of {report['exponent']:.2f}.")
    _write(options.out, report, draw_curves(curves, SAME_PHOTO_SCORE))
    return 0 if report["is_met"] else 1


def _describe(measured: Measured, curve: pd.DataFrame) -> dict[str, Any]:
    photographs = len({cut.photograph for cut in measured.cuts})
    height, width = np.median([cut.rgba.shape[:2] for cut in measured.cuts], axis=0)
    summary = f"{len(measured.cuts)} cut-outs of {photographs} photographs, {len(measured.wanted)} pairs to be found"
    return {
        "summary": summary,
        "median_width_px": float(width),
        "median_height_px": float(height),
        "curve": curve.to_dict("records"),
    }


def _read_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m anemia_lightning.benchmarks.recuts", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("logs/benchmarks/recuts"), help="folder for the results")
    parser.add_argument("--drawn", type=int, default=80, help="drawn photographs in each half")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--growth", type=int, nargs="*", default=[], help="numbers of photos to time, as 1000 3000 10000"
    )
    return parser.parse_args(arguments)


def _write(folder: Path, report: dict[str, Any], curves: Axes) -> None:
    write_json(folder / "recuts.json", report)
    write_bytes(folder / "recuts.png", to_png(curves))
    say(f"Written: {folder / 'recuts.json'} and recuts.png.")


if __name__ == "__main__":
    sys.exit(main())
