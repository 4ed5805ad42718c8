"""The arms of the speed comparison; each runs in a fresh interpreter, as a user would start it.

`python -m anemia_lightning.benchmarks.arms FILE` reads what to do from a JSON file, an `Order`, and writes what came
out of it where the order says. The clock is the caller's.
"""

import itertools
import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from anemia_lightning.benchmarks.measuring import Laps
from anemia_lightning.errors import AnemiaError
from anemia_lightning.machine.worker_processes import end_with_parent

Kind = Literal["loop", "train", "crossval", "sweep", "trunk"]

LEARNING_RATES = (1e-4, 3e-5, 3e-4, 1e-5, 1e-3)
LAYER4_FACTORS = (1.0, 0.1)
WEIGHT_DECAYS = (1e-4, 0.0)
GRID = tuple(itertools.product(LEARNING_RATES, LAYER4_FACTORS, WEIGHT_DECAYS))
"""The trials of a sweep over head and layer4: learning rate, layer4's factor on it, weight decay."""


@dataclass(frozen=True)
class Order:
    """What one child process does."""

    kind: Kind
    threads: int
    result: str
    """Where the result goes, as JSON."""
    settings: dict[str, Any]
    """Of a loop its `LoopSettings`; of everything else those of the command."""
    trials: int = 0
    """Of a sweep."""

    def write(self, path: Path) -> None:
        """Writes the order to a file."""
        path.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")


def carry_out(order: Order) -> dict[str, Any]:
    """Does what an order says and returns its result, in plain values."""
    torch.set_num_threads(order.threads)
    result = _KINDS[order.kind](order)
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        result["peak_gpu_bytes"] = torch.cuda.max_memory_allocated()
    return result


def main(arguments: list[str]) -> int:
    """Carries out the order of a file; 2 and a plain message for what the user can mend."""
    order = Order(**json.loads(Path(arguments[0]).read_text(encoding="utf-8")))
    try:
        result = carry_out(order)
    except AnemiaError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    Path(order.result).write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return 0


def _loop(order: Order) -> dict[str, Any]:
    laps = Laps()
    from anemia_lightning.benchmarks.plain_loop import LoopSettings, PlainLoop

    scores = PlainLoop(LoopSettings(**order.settings), laps).run()
    return {"laps": laps.parts, "scores": {"auroc": scores["auroc"], "loss": scores["loss"]}}


def _train(order: Order) -> dict[str, Any]:
    from omegaconf import OmegaConf

    from anemia_lightning.fitting.training import train_run

    begun = time.perf_counter()
    result = train_run(OmegaConf.create(order.settings))
    after_imports = time.perf_counter() - begun
    return {
        "scores": _picked(result.scores["test"]),
        "objective": result.objective,
        "after_imports_s": after_imports,
    }


def _crossval(order: Order) -> dict[str, Any]:
    from omegaconf import OmegaConf

    from anemia_lightning.crossvalidating.cross_validation import cross_validate

    result = cross_validate(OmegaConf.create(order.settings))
    return {"scores": _picked(result.scores["pooled"])}


def _sweep(order: Order) -> dict[str, Any]:
    """Trains the trials one after the other, as `train -m` does, and returns the scores of that of the lowest loss."""
    from omegaconf import OmegaConf

    from anemia_lightning.fitting.training import train_run

    trials: list[dict[str, Any]] = []
    for number, (rate, factor, decay) in enumerate(GRID[: order.trials]):
        cfg = OmegaConf.create(order.settings)
        cfg.paths.run_dir = str(Path(cfg.paths.run_dir) / str(number))
        cfg.optimizer.lr, cfg.optimizer.weight_decay = rate, decay
        cfg.model.learning_rate_factors.layer4 = factor
        result = train_run(cfg)
        found = {"lr": rate, "layer4_factor": factor, "weight_decay": decay, "objective": result.objective}
        trials.append({**found, "scores": _picked(result.scores["test"])})
    best = min(trials, key=lambda trial: trial["objective"])
    return {"scores": best["scores"], "trials": trials}


def _trunk(order: Order) -> dict[str, Any]:
    from omegaconf import OmegaConf

    from anemia_lightning.benchmarks.trunk_rate import rate_trunk

    return rate_trunk(OmegaConf.create(order.settings)).to_dict()


_KINDS = {"loop": _loop, "train": _train, "crossval": _crossval, "sweep": _sweep, "trunk": _trunk}


def _picked(scores: dict[str, Any]) -> dict[str, Any]:
    return {name: scores.get(name) for name in ("auroc", "loss")}


if __name__ == "__main__":
    from anemia_lightning.command_line.settings import register_resolvers

    # Or it would go on beside a comparison that goes on.
    end_with_parent()
    register_resolvers()
    sys.exit(main(sys.argv[1:]))
