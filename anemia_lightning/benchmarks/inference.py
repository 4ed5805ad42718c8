"""Which engine predicts fastest on this machine, and what each costs in scores.

`python -m anemia_lightning.benchmarks.inference ckpt=FILE data=… data.root=FOLDER` takes the settings of `evaluate`.
Each engine has a process of its own, and they compute the same images in turns; then each runs the whole command
`predict`. Some photographs are set aside, with all that belong to the same patients and photo groups, for int8 to
take its ranges from. All others are scored.
"""

import argparse
import os
import shutil
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from anemia_lightning.benchmarks.inference_arms import Arm, Task, Turn
from anemia_lightning.benchmarks.inference_table import compare, table
from anemia_lightning.benchmarks.measuring import machine_load, run_child
from anemia_lightning.command_line.settings import compose
from anemia_lightning.command_line.settings_check import check_settings
from anemia_lightning.command_line.terminal import say
from anemia_lightning.data.framing import Framing
from anemia_lightning.data.splits import independent_groups
from anemia_lightning.engines import ENGINES
from anemia_lightning.errors import AnemiaError, ArmFailedError
from anemia_lightning.evaluating.photo_logits import RANGE_PHOTOS, images_for_ranges, read_images
from anemia_lightning.files.run_folder import read_run_card, write_json, write_text
from anemia_lightning.model.finished import open_model
from anemia_lightning.photos import prepare_photos
from anemia_lightning.randomness import stream
from anemia_lightning.report.provenance import weights_says

ARMS = tuple(f"{engine}-{precision}" for engine, precisions in ENGINES.items() for precision in precisions)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures, compares and prints."""
    options = _read_options(arguments)
    place = options.folder.absolute()
    cfg = compose("evaluate", options.settings, run_dir=place / "run")
    check_settings(cfg)
    model = open_model(Path(cfg.ckpt))
    photos = prepare_photos(cfg).manifest
    is_aside = set_aside(photos)
    scored = photos[~is_aside].reset_index(drop=True)
    framing = Framing(**model.hparams["preprocessing"])
    keep_photos(scored, place / "scored", lambda photos: read_images(photos, framing))
    # What predict takes of a folder, so that it finds the model that the arm has made.
    keep_photos(photos[is_aside], place / "aside", lambda photos: images_for_ranges(photos, framing))
    # What torch compiles goes into a folder of its own, or it finds what it once compiled for any program.
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(place / "models" / "inductor")
    shutil.rmtree(place / "models", ignore_errors=True)
    load = machine_load()
    rows = measure({arm: _task(arm, options, Path(cfg.ckpt)) for arm in options.arms}, options, images=len(scored))
    built = [arm for arm, row in rows.items() if "without" not in row]
    for arm, seconds in time_predict(built, Path(cfg.ckpt), place, repeats=options.whole).items():
        rows[arm]["predict_s"] = seconds

    def decide(logits: NDArray[np.float64]) -> NDArray[np.int64]:
        return model.decision.decide(model.decision.probability(logits))

    report = {
        "photos": len(scored),
        "aside": int(is_aside.sum()),
        "threads": options.threads,
        "load_before": load,
        "weights": "The model started from: " + " ".join(weights_says(_weights_of(Path(cfg.ckpt)))),
        "rows": compare(rows, scored["label"].to_numpy(), decide=decide),
    }
    write_json(place / "inference.json", report)
    write_text(place / "inference.md", "\n".join(table(report)) + "\n")
    say(*table(report))
    return 0


def _weights_of(checkpoint: Path) -> dict[str, Any]:
    """Returns what the run behind a checkpoint recorded of the weights that it started from, where it lies beside."""
    weights: dict[str, Any] = read_run_card(checkpoint.parent.parent / "run.json").get("weights", {})
    return weights


def set_aside(photos: pd.DataFrame) -> NDArray[np.bool_]:
    """Returns which photographs int8 may see: whole groups, until there are enough, or a quarter of all."""
    groups = independent_groups(photos)
    order = stream("photographs that give int8 its ranges").permutation(len(np.unique(groups)))
    wanted = min(RANGE_PHOTOS, len(photos) // 4)
    enough = int(np.searchsorted(np.cumsum(np.bincount(groups)[order]), wanted)) + 1
    return np.isin(groups, order[:enough])


def keep_photos(photos: pd.DataFrame, links: Path, read: Callable[[pd.DataFrame], Tensor]) -> None:
    """Makes a folder of links to photographs for `predict`, and writes their images for the engines beside it."""
    shutil.rmtree(links, ignore_errors=True)
    links.mkdir(parents=True)
    for number, path in enumerate(photos["path"]):
        (links / f"{number:06d}{Path(path).suffix}").symlink_to(Path(path).absolute())
    np.save(links.with_suffix(".npy"), read(photos).numpy())


def measure(tasks: Mapping[str, Task], options: argparse.Namespace, *, images: int) -> dict[str, dict[str, Any]]:
    """Lets every engine compute all images once, then the first of them in turns with the others.

    Returns:
        By arm: `without`, why it could not be built; or its logits, how it began and its medians.
    """
    rows: dict[str, dict[str, Any]] = {}
    timed = min(options.timed, images)
    with ExitStack() as stack:
        arms: dict[str, Arm] = {}
        for name, task in tasks.items():
            try:
                arms[name] = stack.enter_context(Arm(task))
            except AnemiaError as error:
                rows[name] = {"without": error.found}
        logits = {name: arm.compute(images).logits for name, arm in arms.items()}
        turns: dict[str, list[Turn]] = {name: [] for name in arms}
        for _ in range(options.repeats):
            for name, arm in arms.items():
                turns[name].append(arm.compute(timed))
        for name, arm in arms.items():
            rows[name] = _row(arm, logits[name], turns[name], timed)
    return {name: rows[name] for name in tasks}


def time_predict(arms: Sequence[str], checkpoint: Path, place: Path, *, repeats: int) -> dict[str, float]:
    """Returns the seconds of the whole command `predict` by arm: medians, in turns, models of engines made before.

    Raises:
        ArmFailedError: If a command fails.
    """
    seconds: dict[str, list[float]] = {arm: [] for arm in arms if repeats}
    for turn in range(repeats):
        for arm in arms:
            engine, precision = arm.split("-")
            run, log = place / "predict" / f"{arm}-{turn}", place / "predict.log"
            settings = [f"ckpt='{checkpoint.absolute()}'", f"source='{place}/scored'", f"calibration='{place}/aside'"]
            settings += [f"engine={engine}", f"precision={precision}", f"paths.cache='{place}/models/{arm}'"]
            shutil.rmtree(run, ignore_errors=True)
            command = [sys.executable, "-m", "anemia_lightning.predict", *settings, f"hydra.run.dir='{run}'"]
            used = run_child(command, log=log)
            if used.exit_code:
                raise ArmFailedError(arm, used.exit_code, log)
            seconds[arm].append(used.wall_s)
    return {arm: statistics.median(each) for arm, each in seconds.items()}


def _row(arm: Arm, logits: NDArray[np.float32], turns: Sequence[Turn], timed: int) -> dict[str, Any]:
    return {
        "name": arm.ready.name,
        "logits": logits,
        "images_per_s": timed / statistics.median(turn.wall_s for turn in turns),
        "cpu_ms_per_image": 1000 * statistics.median(turn.cpu_s for turn in turns) / timed,
        "first_s": arm.ready.first_s,
        "again_s": arm.ready.again_s,
        "model_bytes": arm.ready.model_bytes,
        "peak_rss_bytes": max(turn.peak_rss_bytes for turn in turns),
    }


def _task(arm: str, options: argparse.Namespace, checkpoint: Path) -> Task:
    engine, precision = arm.split("-")
    place = options.folder.absolute()
    return Task(
        engine=engine,
        precision=precision,
        checkpoint=checkpoint.absolute(),
        images=place / "scored.npy",
        range_images=place / "aside.npy",
        models=place / "models" / arm / "engines",  # predict looks for them there
        batch_size=options.batch_size,
        threads=options.threads,
    )


def _read_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("settings", nargs="+", help="settings of evaluate: ckpt=FILE data=…")
    parser.add_argument(
        "--arms", nargs="+", choices=ARMS, default=list(ARMS), help="the first is what others are compared with"
    )
    parser.add_argument("--repeats", type=int, default=5, help="turns of each engine")
    parser.add_argument("--timed", type=int, default=128, help="images of a turn")
    parser.add_argument("--whole", type=int, default=3, help="runs of the whole command predict; 0 for none")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument(
        "--folder", type=Path, default=Path("logs/benchmarks/inference"), help="holds links to photographs"
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
