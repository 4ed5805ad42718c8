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

from anemia_lightning.cross_validation import cross_validate, fixed_settings
from anemia_lightning.data.splits import independent_groups
from anemia_lightning.errors import AnemiaError
from anemia_lightning.metrics.intervals import numbered, percentile_interval, resample
from anemia_lightning.metrics.resampled_scores import ResampledScores
from anemia_lightning.plots.style import house_style, new_axes, to_png
from anemia_lightning.resuming import keep_settings
from anemia_lightning.run_folder import RunFolder, write_json
from anemia_lightning.settings import compose, make_paths_absolute
from anemia_lightning.settings_check import check_settings

FRESH = "fresh"
VIEWS = ("1", "2", "4", "8", FRESH)
MARGIN = 0.02
"""AUROCs that differ by less than this count as equal, if the whole interval lies within."""

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
    report = compare_views(runs)
    write_json(options.folder / "views.json", report)
    (options.folder / "views.png").write_bytes(to_png(draw_views_curve(report)))
    _say(*words(report), f"Written: {options.folder / 'views.json'} and views.png.")
    return 0


def compare_views(runs: Runs, *, resamples: int = 2000, seed: int = 0) -> dict[str, Any]:
    """Compares each number of views with fresh ones on the same photos and folds.

    Args:
        runs: The predictions, those of fresh views among them, all of the same photos.
        resamples: Draws of the interval, over what is independent: patients and photo groups together.
        seed: Of these draws.

    Returns:
        By number of views: aurocs (one per seed), their mean, and beside fresh views the mean difference, its
        interval, whether the two are equal within `MARGIN`, and how many seeds it would take to say so (None if no
        number of seeds would).
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
    report: dict[str, Any] = {"photos": len(first), "seeds": len(tables[FRESH]), "views": {}}
    for views, values in aurocs.items():
        report["views"][views] = {"aurocs": values, "mean": statistics.fmean(values)}
        if views != FRESH:
            drawn = [found[views, n][1]["auroc"] - found[FRESH, n][1]["auroc"] for n in range(len(values))]
            gaps = [one - other for one, other in zip(values, aurocs[FRESH], strict=True)]
            report["views"][views] |= _difference(gaps, np.mean(drawn, axis=0))
    return report


def _difference(gaps: Sequence[float], drawn: "np.ndarray[Any, np.dtype[np.float64]]") -> dict[str, Any]:
    mean = statistics.fmean(gaps)
    interval = percentile_interval(mean, drawn, _NO_FAULTS, level=0.95)
    low, high = interval.low, interval.high
    is_equal = low is not None and high is not None and max(abs(low), abs(high)) < MARGIN
    return {
        "minus_fresh": mean,
        "interval": None if low is None else [low, high],
        "by_seed": list(gaps),
        "is_equal": is_equal,
        "seeds_needed": seeds_needed(gaps),
    }


def seeds_needed(gaps: Sequence[float]) -> int | None:
    """Returns how many seeds would bring the interval of the mean difference within `MARGIN`, for these photos.

    By the normal approximation, from the spread between seeds; None where there is no spread to go by, or the mean
    itself lies outside.

    Example:
        >>> seeds_needed([0.01, -0.01, 0.02, -0.02])
        4
    """
    room = MARGIN - abs(statistics.fmean(gaps))
    if len(gaps) < 2 or room <= 0:  # noqa: PLR2004 (a spread takes two)
        return None
    return max(1, math.ceil((1.96 * statistics.stdev(gaps) / room) ** 2))


def words(report: Mapping[str, Any]) -> list[str]:
    """Returns the comparison, line by line."""
    lines = [
        f"AUROC of {report['photos']} photos, each predicted by a model that never saw it; {report['seeds']} seeds:"
    ]
    for views, found in report["views"].items():
        line = f"  {views:>5} views: {found['mean']:.4f}"
        if views != FRESH and found["interval"]:
            low, high = found["interval"]
            equal = f"equal within {MARGIN}" if found["is_equal"] else "not shown to be equal"
            line += f", {found['minus_fresh']:+.4f} [{low:+.4f}, {high:+.4f}] against fresh views: {equal}"
            if not found["is_equal"]:
                needed = found["seeds_needed"]
                line += f"; for these photos it would take {needed or 'more than can be told'} seeds"
        lines.append(line)
    return lines


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


def _in_order(table: pd.DataFrame) -> pd.DataFrame:
    return table.sort_values("photo").reset_index(drop=True)


def _predictions(folder: Path, views: str, seed: int, overrides: Sequence[str]) -> pd.DataFrame:
    """Returns the pooled predictions of one cross-validation, trained now if it is not finished."""
    place = (folder / f"views-{views}-seed-{seed}").absolute()
    table = place / "predictions.csv"
    if not (place / "metrics.json").is_file():
        cfg = _settings(place, views, seed, overrides)
        _say("", f"{views} views, seed {seed}")
        cross_validate(cfg)
    return pd.read_csv(table, dtype={"photo": str, "patient": str, "photo_group": str}, keep_default_na=False)


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


def _say(*lines: str) -> None:
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
