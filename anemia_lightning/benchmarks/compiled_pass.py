"""What `features.compile=true` saves: the pass through the frozen layers, plain and compiled, in turns.

`python -m anemia_lightning.benchmarks.compiled_pass` prints images a second of both, how long compiling takes, from
how many images on it pays, and how far apart the results are.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig

from anemia_lightning.benchmarks.matmul import wait_for
from anemia_lightning.benchmarks.trunk_rate import pass_of
from anemia_lightning.command_line.settings import compose, register_resolvers
from anemia_lightning.model.backbone import AnemiaNetwork


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures and prints."""
    options = _read_options(arguments)
    register_resolvers()
    with tempfile.TemporaryDirectory() as folder:
        # Torch finds what it once compiled for any program in a folder of its own.
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = folder
        cfg = compose("train", options.settings, run_dir=Path(folder))
        found = measure(cfg, images=options.images, rounds=options.rounds)
    sys.stdout.write(json.dumps(found) + "\n" + summary(found) + "\n")
    return 0


def measure(cfg: DictConfig, *, images: int = 64, rounds: int = 7) -> dict[str, Any]:
    """Times both passes in turns on drawn images.

    Args:
        cfg: The settings of `train`, of which network, image size, device and precision are taken; weights are random.
        images: In each turn.
        rounds: Turns.

    Returns:
        plain_images_per_s and compiled_images_per_s (medians), compiling_s, and largest_difference as a share of the
        largest value.
    """
    network = AnemiaNetwork(backbone=cfg.model.backbone)
    plain, compiled = (pass_of(cfg, network, compiled=each) for each in (False, True))
    size = cfg.data.image_size
    values = torch.randn(images, 3, size, size, device=plain.device)
    expected = plain.trunk(values)
    # Compiling, and the first batch.
    compiling_s = _seconds(lambda: compiled.trunk(values[:1]), plain.device)
    difference = (compiled.trunk(values).double() - expected.double()).abs().max() / expected.double().abs().max()
    spent: dict[str, list[float]] = {"plain": [], "compiled": []}
    for _ in range(rounds):
        for name, each in (("plain", plain), ("compiled", compiled)):
            spent[name].append(_seconds(lambda each=each: each.trunk(values), plain.device))  # type: ignore[misc]
    return {
        **{f"{name}_images_per_s": images / statistics.median(times) for name, times in spent.items()},
        "compiling_s": compiling_s,
        "largest_difference": float(difference),
    }


def summary(found: dict[str, Any]) -> str:
    """Returns what was found, in words."""
    plain, compiled = found["plain_images_per_s"], found["compiled_images_per_s"]
    saved_s = 1 / plain - 1 / compiled
    pays = f"pays from {found['compiling_s'] / saved_s:,.0f} images on" if saved_s > 0 else "never pays here"
    return (
        f"The pass through the frozen layers computes {plain:.1f} images/s as it is and {compiled:.1f} compiled; "
        f"compiling takes {found['compiling_s']:.1f} s and {pays}. "
        f"Largest difference: {found['largest_difference']:.2g} of the largest value."
    )


def _seconds(work: Callable[[], object], device: torch.device) -> float:
    wait_for(device)
    started = time.perf_counter()
    work()
    wait_for(device)
    return time.perf_counter() - started


def _read_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=64, help="in each turn")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("settings", nargs="*", help="settings of train, such as trainer.precision=32")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
