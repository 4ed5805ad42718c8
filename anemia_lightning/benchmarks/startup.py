"""What a command takes before it works: ``python -m anemia_lightning.benchmarks.startup``.

Each command runs in a process of its own, in turns with the others: the answer to --help, small pieces of work on a
few drawn photographs that were read before, and a training to the end of its first step. The network is a ResNet-50
with random weights, since time does not depend on them.
"""

import argparse
import re
import statistics
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from anemia_lightning.benchmarks.measuring import Use, machine_load, run_child
from anemia_lightning.command_line.terminal import say
from anemia_lightning.errors import ArmFailedError
from anemia_lightning.files.run_folder import write_json, write_text

VERBS = ("train", "evaluate", "predict", "audit", "crossval", "compare", "cache", "benchmark")
_PHOTOS = 60
_NO_LOOKS = "evaluation.probe_photos=0"
_IMPORTED = re.compile(r"import time:\s+(\d+) \|\s+\d+ \|\s+(\w+)")  # what Python's -X importtime writes

Commands = Mapping[str, Sequence[str]]
"""Arguments of `python -m`, by what a reader calls them."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures and prints."""
    options = _read_options(arguments)
    place = options.folder.absolute()
    prepare(place, options.settings)
    known = starts(place, options.settings)
    commands = {name: each for name, each in known.items() if any(part in name for part in options.only)}
    report = {
        "load_before": machine_load(),
        "repeats": options.repeats,
        "rows": measure(commands, repeats=options.repeats, log=place / "startup.log"),
    }
    write_json(place / "startup.json", report)
    lines = table(report)
    if options.imports:
        lines += ["", *import_table(commands)]
    write_text(place / "startup.md", "\n".join(lines) + "\n")
    say(*lines)
    return 0


def prepare(place: Path, settings: Sequence[str] = ()) -> None:
    """Trains once, so that there are photographs, a model, and a cache that knows them.

    Args:
        place: A folder for all that is written; what an earlier call left there is used again.
        settings: Further settings of `train`.

    Raises:
        ArmFailedError: If that fails.
    """
    run, log = place / "run", place / "startup.log"
    place.mkdir(parents=True, exist_ok=True)
    if not (run / "checkpoints" / "best.ckpt").is_file():
        _run(
            "preparation",
            ["anemia_lightning.train", *_training(place), _NO_LOOKS, f"hydra.run.dir='{run}'", *settings],
            log,
        )


def starts(place: Path, settings: Sequence[str] = ()) -> dict[str, list[str]]:
    """Returns what is measured.

    Args:
        place: A folder that `prepare` has filled.
        settings: Further settings of `train`.
    """
    photo = min((place / "data").rglob("*.png"))
    work = {
        "cache": ["anemia_lightning.cache", *_own(place)],
        "audit, no probes": ["anemia_lightning.audit", *_drawn(), *_own(place), "probes=false", "thumbnails=false"],
        "predict, one photo": ["anemia_lightning.predict", _model(place), f"source='{photo}'", *_own(place)],
        "evaluate, no looks": ["anemia_lightning.evaluate", f"run='{place}/run'", *_own(place), _NO_LOOKS],
        "train, to its first step": ["anemia_lightning.train", *_training(place), *_END_AT_FIRST_STEP, *settings],
    }
    return {**{f"{verb} --help": [f"anemia_lightning.{verb}", "--help"] for verb in VERBS}, **work}


def measure(commands: Commands, *, repeats: int, log: Path) -> list[dict[str, Any]]:
    """Runs each command so many times, in turns.

    Args:
        commands: What to run.
        repeats: How many times.
        log: Receives what they print.

    Returns:
        One row per command: name, the medians wall_s and cpu_s, wall_range_s, and peak_rss_bytes.

    Raises:
        ArmFailedError: If a command fails.
    """
    uses: dict[str, list[Use]] = {name: [] for name in commands}
    for _ in range(repeats):
        for name, command in commands.items():
            uses[name].append(_run(name, command, log))
    return [
        {
            "name": name,
            "wall_s": statistics.median(use.wall_s for use in each),
            "cpu_s": statistics.median(use.cpu_s for use in each),
            "wall_range_s": [min(use.wall_s for use in each), max(use.wall_s for use in each)],
            "peak_rss_bytes": max(use.peak_rss_bytes for use in each),
        }
        for name, each in uses.items()
    ]


def table(report: Mapping[str, Any]) -> list[str]:
    """Returns the measurements as a table in Markdown, line by line."""
    return [
        f"Medians of {report['repeats']}, in turns; load before: {report['load_before']:.1f}",
        "",
        "| Command | Wall time | from to | CPU time | Peak memory |",
        "|---|---|---|---|---|",
        *(
            f"| {row['name']} | {row['wall_s']:.2f} s | {row['wall_range_s'][0]:.2f} to {row['wall_range_s'][1]:.2f} s "
            f"| {row['cpu_s']:.2f} s | {row['peak_rss_bytes'] / 1e6:.0f} MB |"
            for row in report["rows"]
        ),
    ]


def import_table(commands: Commands, *, most: int = 12) -> list[str]:
    """Returns, as a table, which packages a command spends its imports on, by Python's own -X importtime.

    Args:
        commands: What to run once more.
        most: Packages to name, the dearest first.
    """
    lines = ["| Command | Imports, modules | Packages, ms without those that they import |", "|---|---|---|"]
    for name, command in commands.items():
        command_line = [sys.executable, "-X", "importtime", "-m", *command]
        ended = subprocess.run(command_line, capture_output=True, text=True, check=False)  # noqa: S603  our own modules
        found = package_times(ended.stderr)
        modules = sum(1 for _ in _IMPORTED.finditer(ended.stderr))
        dearest = ", ".join(f"{package} {1000 * seconds:.0f}" for package, seconds in found.most_common(most))
        lines.append(f"| {name} | {found.total():.2f} s, {modules} | {dearest} |")
    return lines


def package_times(listing: str) -> Counter[str]:
    """Returns the seconds that each top-level package took to import, without those that it imports.

    Args:
        listing: What `python -X importtime` writes.

    Example:
        >>> package_times("import time:  1500 |  9000 |   torch.nn; import time:   500 |  9500 | torch")
        Counter({'torch': 0.002})
    """
    found: Counter[str] = Counter()
    for microseconds, package in _IMPORTED.findall(listing):
        found[package] += int(microseconds)
    return Counter({package: total / 1e6 for package, total in found.items()})


def _run(name: str, command: Sequence[str], log: Path) -> Use:
    used = run_child([sys.executable, "-m", *command], log=log)
    if used.exit_code:
        raise ArmFailedError(name, used.exit_code, log)
    return used


def _drawn() -> list[str]:
    return [f"data.photos={_PHOTOS}", f"data.patients={_PHOTOS}"]


def _own(place: Path) -> list[str]:
    return [f"paths.root='{place}'", f"paths.cache='{place}/cache'"]


def _model(place: Path) -> str:
    return f"ckpt='{place}/run/checkpoints/best.ckpt'"


def _training(place: Path) -> list[str]:
    """Returns settings of a training that has little to do but to start."""
    return [
        *_drawn(),
        "model.weights=null",
        "trainer.max_epochs=1",
        "callbacks.unfreeze.phases=[]",
        *_own(place),
    ]


_END_AT_FIRST_STEP = ["+callbacks.first_step._target_=anemia_lightning.benchmarks.first_step.EndAtFirstStep"]


def _read_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("settings", nargs="*", help="further settings of train, such as model.backbone=resnet18")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", nargs="+", default=[""], help="parts of names: measure no other commands")
    parser.add_argument("--imports", action="store_true", help="also list what the imports of each command take")
    parser.add_argument("--folder", type=Path, default=Path("logs/benchmarks/startup"))
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
