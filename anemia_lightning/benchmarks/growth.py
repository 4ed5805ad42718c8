"""How time and memory grow with the number of photographs, measured on drawn ones.

`python -m anemia_lightning.benchmarks.growth` trains on each number of photographs in a process of its own, with one
view of each and the cache on disk, and prints the time of an epoch, the peak of anonymous memory and their growth.
"""

import argparse
import json
import shutil
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from anemia_lightning.benchmarks.measuring import folder_bytes, run_child
from anemia_lightning.benchmarks.recuts import fit_exponent
from anemia_lightning.command_line.terminal import say
from anemia_lightning.errors import ArmFailedError
from anemia_lightning.files.run_folder import read_run_card, write_json

PHOTOS = (500, 1000, 5000, 20000)
MEMORY_FROM, MEMORY_BAR = 1000, 0.10
"""From so many photographs on, the peak of memory may not grow by more than this share."""

_HEAD_EPOCHS, _EPOCHS = 2, 4


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures and prints; returns 0 if memory stays within the bar, else 1."""
    options = _read_options(arguments)
    rows = [measure(options.folder.absolute(), photos, options.settings) for photos in options.photos]
    report = summarise(rows)
    write_json(options.folder / "growth.json", report)
    for key, exponent in report["exponents"].items():
        say(f"{key} grows as photos to the power of {exponent:.2f}.")
    growth = report["memory_growth"]
    if growth is None:
        return 0
    say(f"Peak of anonymous memory: {growth:+.1%} from the first of {MEMORY_FROM} photos or more to the last.")
    return int(growth > MEMORY_BAR)


def measure(folder: Path, photos: int, settings: Sequence[str] = ()) -> dict[str, Any]:
    """Trains on so many drawn photographs in a fresh process, from an empty cache.

    Args:
        folder: Where drawings, runs and logs go.
        photos: How many.
        settings: Further settings of `train`.

    Returns:
        photos; layer4_epoch_s and trunk_s, seconds of an epoch that trains layer4 (median) and of all frozen layers;
        wall_s; peak_anonymous_bytes (None where the system does not tell); cache_bytes.

    Raises:
        ArmFailedError: If the training fails.
    """
    place = folder / f"{photos}-photos"
    cache, run, log = place / "cache", place / "run", place / "train.log"
    shutil.rmtree(cache, ignore_errors=True)
    shutil.rmtree(run, ignore_errors=True)
    place.mkdir(parents=True, exist_ok=True)
    overrides = [
        f"data.photos={photos}",
        f"data.patients={photos // 2}",
        # The search for copies has its own measurement.
        "data.photo_groups=bytes",
        "model.weights=null",
        "features.views=1",
        f"features.max_bytes={10**15}",
        f"trainer.max_epochs={_EPOCHS}",
        f"callbacks.unfreeze.phases=[{{epoch: {_HEAD_EPOCHS}, train_from: layer4}}]",
        "callbacks.early_stopping=null",
        "logger=none",
        "logger.photos=false",
        f"paths.root='{place}'",
        f"paths.cache='{cache}'",
        f"hydra.run.dir='{run}'",
    ]
    used = run_child([sys.executable, "-m", "anemia_lightning.train", *overrides, *settings], log=log)
    if used.exit_code:
        raise ArmFailedError(place.name, used.exit_code, log)
    card = read_run_card(run / "run.json")
    epochs = [epoch for session in card["sessions"] for epoch in session["epochs"]]
    row = {
        "photos": photos,
        "layer4_epoch_s": statistics.median(
            epoch["train_s"] + epoch["val_s"] for epoch in epochs if epoch["train_from"] == "layer4"
        ),
        "trunk_s": card["features"]["trunk_s"],
        "wall_s": used.wall_s,
        "peak_anonymous_bytes": used.peak_anonymous_bytes,
        "cache_bytes": folder_bytes(cache),
    }
    shutil.rmtree(cache)
    say(json.dumps(row))
    return row


def summarise(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Returns the rows, the exponents of time over photos, and the growth of memory as a share."""
    exponents = {}
    if len(rows) > 1:
        exponents = {key: fit_exponent(rows, key) for key in ("layer4_epoch_s", "trunk_s")}
    peaks = [row["peak_anonymous_bytes"] for row in rows if row["photos"] >= MEMORY_FROM]
    growth = peaks[-1] / peaks[0] - 1 if len(peaks) > 1 and all(peaks) else None
    return {"rows": list(rows), "exponents": exponents, "memory_growth": growth}


def _read_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, nargs="+", default=list(PHOTOS), help="in rising order")
    parser.add_argument("--folder", type=Path, default=Path("logs/benchmarks/growth"), help="20,000 photos take 10 GB")
    parser.add_argument("--settings", nargs="*", default=[], help="further settings of train")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
