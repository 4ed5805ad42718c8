"""What it costs in scores to keep a few views of each photo instead of making new ones in every epoch.

`python -m anemia_lightning.benchmarks.views data=… model.weights=…` cross-validates with each number of views and
several seeds, on the same folds, and compares the pooled predictions with those of fresh views. It goes on where it
was stopped, with the same settings.
"""

import argparse
import math
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from omegaconf import DictConfig
from scipy.stats import t as student

from anemia_lightning.command_line.resuming import keep_settings
from anemia_lightning.command_line.settings import compose, make_paths_absolute
from anemia_lightning.command_line.settings_check import check_settings
from anemia_lightning.command_line.terminal import say
from anemia_lightning.crossvalidating.cross_validation import cross_validate, fixed_settings
from anemia_lightning.data.splits import independent_groups
from anemia_lightning.errors import AnemiaError
from anemia_lightning.files.run_folder import RunFolder, read_run_card, read_table, write_json
from anemia_lightning.metrics.intervals import numbered, percentile_interval, resample
from anemia_lightning.metrics.over_runs import over_runs
from anemia_lightning.metrics.resampled_scores import ResampledScores
from anemia_lightning.plots.style import house_style, new_axes, to_png
from anemia_lightning.report.provenance import weights_says

FRESH = "fresh"
VIEWS = ("1", "2", "4", "8", FRESH)
MARGIN = 0.02
"""AUROCs that differ by less than this count as equal, if the whole interval lies within."""

_LEVEL = 0.95
_MOST_SEEDS = 10_000
_NO_FAULTS = ("", "")
Runs = Mapping[str, Sequence[pd.DataFrame]]
"""The predictions of each number of views: one table per seed, with photo, patient, photo_group, label and logit."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Cross-validates, compares and prints."""
    options = _read_options(arguments)
    try:
        # Those of any number of views and any seed: these may be others the next time.
        shared = _settings(options.folder, FRESH, 0, options.overrides)
        keep_settings(shared, RunFolder(options.folder), fixed_settings)
        runs = {
            views: [_predictions(options.folder, views, seed, options.overrides) for seed in range(options.seeds)]
            for views in options.views
        }
    except AnemiaError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    report = compare_views(runs, weights=_weights(options.folder))
    write_json(options.folder / "views.json", report)
    (options.folder / "views.png").write_bytes(to_png(draw_views_curve(report)))
    say(*words(report), f"Written: {options.folder / 'views.json'} and views.png.")
    return 0


def compare_views(runs: Runs, *, weights: str = "", resamples: int = 2000, seed: int = 0) -> dict[str, Any]:
    """Compares each number of views with fresh ones on the same photos and folds.

    Args:
        runs: The predictions, those of fresh views among them, all of the same photos.
        weights: What is to be said of the weights that all of them started from.
        resamples: Draws of the interval, over what is independent: patients and photo groups together.
        seed: Of these draws.

    Returns:
        By number of views: aurocs (one per seed), their mean, and beside fresh views the mean difference, its
        interval over photos and seeds (None of one seed) and over photos alone, whether the two are equal within
        `MARGIN`, and how many seeds or photos it would take to say so (None if no number would).
    """
    tables = {views: [_in_order(table) for table in tables] for views, tables in runs.items()}
    first = tables[FRESH][0]
    labels = first["label"].to_numpy()
    cluster = numbered(independent_groups(first), len(first))
    for table in (table for each in tables.values() for table in each):
        assert table["photo"].equals(first["photo"]), "all runs predict the same photos"
    names = [(views, number) for views, each in tables.items() for number in range(len(each))]
    models = [
        ResampledScores(labels, logits, cluster, called=logits >= 0)
        for logits in (tables[views][number]["logit"].to_numpy() for views, number in names)
    ]
    found = dict(zip(names, resample(models, cluster, resamples=resamples, seed=seed), strict=True))
    aurocs = {views: [found[views, n][0]["auroc"] for n in range(len(each))] for views, each in tables.items()}
    report: dict[str, Any] = {"photos": len(first), "seeds": len(tables[FRESH]), "weights": weights, "views": {}}
    for views, values in aurocs.items():
        report["views"][views] = {"aurocs": values, "mean": statistics.fmean(values)}
        if views != FRESH:
            drawn = [found[views, n][1]["auroc"] - found[FRESH, n][1]["auroc"] for n in range(len(values))]
            gaps = [one - other for one, other in zip(values, aurocs[FRESH], strict=True)]
            report["views"][views] |= _difference(gaps, np.mean(drawn, axis=0), len(first))
    return report


def _difference(gaps: Sequence[float], drawn: "np.ndarray[Any, np.dtype[np.float64]]", photos: int) -> dict[str, Any]:
    """Returns what the differences of several seeds on the same photos say together.

    Other photos would move the mean, and so would other seeds. The two do not depend on one another, so that their
    variances add up: to each side the interval reaches as far as the root of the sum of both squared reaches.
    """
    mean = statistics.fmean(gaps)
    by_photos = percentile_interval(mean, drawn, _NO_FAULTS, level=_LEVEL)
    by_seeds = over_runs(gaps, level=_LEVEL)
    interval, reach = None, math.nan
    if by_photos.low is not None and by_photos.high is not None:
        reach = max(mean - by_photos.low, by_photos.high - mean)
        if by_seeds.high is not None:
            seeds_reach = by_seeds.high - mean
            interval = [
                mean - math.hypot(mean - by_photos.low, seeds_reach),
                mean + math.hypot(by_photos.high - mean, seeds_reach),
            ]
    return {
        "minus_fresh": mean,
        "interval": interval,
        "interval_of_these_seeds": None if by_photos.low is None else [by_photos.low, by_photos.high],
        "by_seed": list(gaps),
        "is_equal": interval is not None and max(map(abs, interval)) < MARGIN,
        "seeds_needed": seeds_needed(gaps, reach),
        "photos_needed": photos_needed(mean, reach, photos),
    }


def seeds_needed(gaps: Sequence[float], reach: float) -> int | None:
    """Returns how many seeds would bring the interval of the mean difference within `MARGIN`, on these photos.

    Args:
        gaps: The difference of each seed.
        reach: How far other photos would move the mean; no number of seeds makes it less.

    Returns:
        The number, if further seeds spread as these do; None of fewer than two, or where none would do.

    Example:
        >>> seeds_needed([0.01, -0.01, 0.02, -0.02], reach=0.005), seeds_needed([0.01, -0.01], reach=0.03)
        (6, None)
    """
    room = MARGIN - abs(statistics.fmean(gaps))
    if len(gaps) < 2 or not reach < room:  # noqa: PLR2004 (a spread takes two)
        return None
    sd = statistics.stdev(gaps)
    enough = (
        seeds
        for seeds in range(2, _MOST_SEEDS)
        if math.hypot(reach, float(student.ppf((1 + _LEVEL) / 2, seeds - 1)) * sd / math.sqrt(seeds)) < room
    )
    return next(enough, None)


def photos_needed(mean: float, reach: float, photos: int) -> int | None:
    """Returns of about how many photos the interval would lie within `MARGIN`, with seeds without end.

    Args:
        mean: The difference.
        reach: How far other photos would move it, of so many.
        photos: How many these are.

    Returns:
        The number, since the reach falls with its root; None where the difference itself lies outside.

    Example:
        >>> photos_needed(0.01, reach=0.02, photos=300)
        1200
    """
    room = MARGIN - abs(mean)
    return math.ceil(photos * (reach / room) ** 2) if room > 0 and math.isfinite(reach) else None


def words(report: Mapping[str, Any]) -> list[str]:
    """Returns the comparison, line by line."""
    lines = [
        f"AUROC of {report['photos']} photos, each predicted by a model that never saw it; seeds: {report['seeds']}",
        report["weights"],
    ]
    for views, found in report["views"].items():
        line = f"  {views:>5} views: {found['mean']:.4f}"
        if views != FRESH:
            line += f", {found['minus_fresh']:+.4f}{_in_brackets(found)} against fresh views: {_verdict(found)}"
        lines.append(line)
    return lines


def _in_brackets(found: Mapping[str, Any]) -> str:
    return " [{:+.4f}, {:+.4f}]".format(*found["interval"]) if found["interval"] else ""


def _verdict(found: Mapping[str, Any]) -> str:
    if found["is_equal"]:
        return f"equal within {MARGIN}"
    if found["photos_needed"] is None:
        why = f"the difference itself is no less than {MARGIN}"
    elif len(found["by_seed"]) == 1:
        why = "one seed does not tell how far another would move it"
    elif found["seeds_needed"] is None:
        why = f"no number of seeds would show it on these photos; it would take about {found['photos_needed']:,} photos"
    else:
        why = f"on these photos it would take about {found['seeds_needed']} seeds"
    return f"not shown to be equal; {why}"


@house_style()
def draw_views_curve(report: Mapping[str, Any]) -> Axes:
    """Draws the AUROC over the number of views, one dot per seed."""
    axes = new_axes()
    for place, found in enumerate(report["views"].values()):
        axes.plot([place] * len(found["aurocs"]), found["aurocs"], ".", color="#666666")
    axes.plot([found["mean"] for found in report["views"].values()], marker="o", label="mean over seeds")
    axes.set_xticks(range(len(report["views"])), list(report["views"]))
    axes.set(xlabel="views of each training photo", ylabel="AUROC, pooled over folds")
    axes.set_title(f"{report['photos']} photos, {report['seeds']} seeds; small dots: single seeds")
    axes.legend()
    return axes


def _weights(folder: Path) -> str:
    """Returns in words which weights the networks started from."""
    cards = (read_run_card(path) for path in sorted(folder.glob("views-*/folds/*/run.json")))
    return "Weights: " + " ".join(weights_says(next(cards, {}).get("weights", {})))


def _in_order(table: pd.DataFrame) -> pd.DataFrame:
    return table.sort_values("photo").reset_index(drop=True)


def _predictions(folder: Path, views: str, seed: int, overrides: Sequence[str]) -> pd.DataFrame:
    """Returns the pooled predictions of one cross-validation, trained now if it is not finished."""
    place = (folder / f"views-{views}-seed-{seed}").absolute()
    table = place / "predictions.csv"
    if not (place / "metrics.json").is_file():
        cfg = _settings(place, views, seed, overrides)
        say("", f"{views} views, seed {seed}")
        cross_validate(cfg)
    return read_table(table)


def _settings(place: Path, views: str, seed: int, overrides: Sequence[str]) -> DictConfig:
    own = ["evaluation.probe_photos=0", *overrides, f"features.views={views}", f"seed={seed}"]
    cfg = compose("crossval", own, run_dir=place)
    check_settings(cfg)
    make_paths_absolute(cfg)
    return cfg


def _read_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("overrides", nargs="*", help="settings of crossval, such as data=… model.weights=…")
    parser.add_argument("--views", nargs="+", default=list(VIEWS), help="numbers of views, and fresh")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=Path("logs/benchmarks/views"))
    options = parser.parse_args(arguments)
    if FRESH not in options.views:
        parser.error("fresh views are what the others are compared with: name them among --views")
    return options


if __name__ == "__main__":
    sys.exit(main())
