"""What `benchmark` does: the same training by a plain loop and by us, in turns, each in a process of its own."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from omegaconf import DictConfig

from anemia_lightning.benchmarks.comparison import (
    Row,
    add_ratios,
    command_row,
    loop_row,
    seconds_in_words,
    to_markdown,
)
from anemia_lightning.benchmarks.estimating import STAGES, epoch_seconds, multiply_out
from anemia_lightning.benchmarks.inputs import Inputs, make_inputs
from anemia_lightning.benchmarks.measuring import machine, machine_load
from anemia_lightning.benchmarks.orders import (
    ARMS,
    COMMANDS,
    LOOPS,
    RUNS,
    WHOLES,
    command_settings,
    device_of,
    loop_epochs,
    loop_settings,
    worker_choices,
)
from anemia_lightning.benchmarks.pieces import Piece, Pieces
from anemia_lightning.benchmarks.rules import check_benchmark, check_conditions, fixed_settings
from anemia_lightning.benchmarks.telling import conditions, findings, load_warnings, not_proved, prove
from anemia_lightning.callbacks.run_card import versions
from anemia_lightning.command_line.resuming import keep_settings
from anemia_lightning.command_line.settings import make_paths_absolute
from anemia_lightning.command_line.terminal import quiet, say
from anemia_lightning.files.run_folder import RunFolder, write_bytes, write_json, write_text
from anemia_lightning.plots.benchmark import draw_benchmark
from anemia_lightning.plots.style import to_png


@dataclass(frozen=True)
class BenchmarkResult:
    """What a comparison returns to its caller."""

    folder: Path
    report: dict[str, Any]
    """As in benchmark.json."""


def compare_arms(cfg: DictConfig) -> BenchmarkResult:
    """Measures each arm that is not measured yet, and writes benchmark.json, benchmark.md and benchmark.png.

    Raises:
        AnemiaError: If the photos or weights cannot be used.
        ConfigError: If the settings cannot be.
        SettingsChangedError: If they are not those that the comparison was begun with.
        ConditionsChangedError: If the machine, the libraries or the photos are not.
        ArmFailedError: If an arm ends before its time.
    """
    load = machine_load()
    quiet()
    make_paths_absolute(cfg)
    check_benchmark(cfg)
    folder = RunFolder(cfg.paths.run_dir)
    keep_settings(cfg, folder, fixed_settings)
    report = _Comparison(cfg, folder, load).run()
    markdown = to_markdown(report)
    write_json(folder.path / "benchmark.json", report)
    write_text(folder.path / "benchmark.md", markdown)
    write_bytes(folder.path / "benchmark.png", to_png(_drawn(report["arms"])))
    say("", markdown, f"table:      {folder.path / 'benchmark.md'}", f"plot:       {folder.path / 'benchmark.png'}")
    return BenchmarkResult(folder.path, report)


class _Comparison:
    """One comparison: its inputs, the pieces that it measures in turns, and its report."""

    def __init__(self, cfg: DictConfig, folder: RunFolder, load: float) -> None:
        self.cfg = cfg
        self.folder = folder
        self.inputs = Inputs(folder.path / "inputs")
        self.threads = cfg.threads or torch.get_num_threads()
        self.pieces = Pieces(folder.path, threads=self.threads)
        self.epochs = loop_epochs(cfg)
        self.device = device_of(cfg)
        self.begun = self._begin(load)
        # Only now is there something to go on with.
        folder.point_latest()
        self.workers = {arm: self._best_workers(arm) for arm in LOOPS if arm in cfg.arms}

    def run(self) -> dict[str, Any]:
        """Measures what is missing and returns the report."""
        cfg = self.cfg
        found: dict[str, list[Piece]] = {arm: [] for arm in ARMS if arm in cfg.arms}
        wholes: dict[str, Piece] = {}
        turns = max(cfg.repeats, cfg.whole_runs)
        for turn in range(turns):
            for arm, pieces in found.items():
                if arm in LOOPS and turn < cfg.repeats:
                    pieces.append(self._loop(arm, turn))
                if arm in RUNS and turn < cfg.whole_runs:
                    pieces.append(self._command(arm, turn))
            if cfg.prove and turn == (turns - 1) // 2:
                # Amid the turns, so that a machine that slows down or speeds up does so for both sides of the proof.
                wholes = {arm: self._whole_loop(arm) for arm in found if arm in LOOPS}
        for arm, pieces in found.items():
            if arm in WHOLES:
                pieces.append(self._command(arm, 0))
        rows = [self._row(arm, pieces, wholes.get(arm)) for arm, pieces in found.items()]
        add_ratios(rows)
        trunk = self.pieces.trunk("trunk_pass", self._settings("views", Path(), Path()))
        proofs = {row["arm"]: prove(row, wholes[row["arm"]], rows) for row in rows if row["arm"] in wholes}
        told = findings(rows, trunk, epochs=self.epochs, repeats=cfg.repeats, preparation_s=self.begun["preparation_s"])
        told += [proof["words"] for proof in proofs.values()] or not_proved(rows)
        return {
            "conditions": conditions(cfg, self.begun, epochs=self.epochs, workers=self.workers),
            "begun": self.begun,
            "epochs": {"head": self.epochs[0], "layer4": self.epochs[1]},
            "workers": self.workers,
            "arms": rows,
            "trunk_pass": trunk,
            "proofs": proofs,
            "findings": told,
        }

    def _begin(self, load: float) -> Piece:
        made = make_inputs(self.cfg, self.inputs, anew=self.pieces.known("preparation") is None)
        now = {**made, "threads": self.threads, "device": self.device, "machine": machine(), "versions": versions()}
        begun = self.pieces.keep("preparation", {**now, "load_before": load})
        check_conditions(self.folder.path, begun, now)
        spent = f"preparing the photos: {begun['preparation_s']:.1f} s, in no arm's clock"
        say(spent, *load_warnings(load, self.threads))
        return begun

    def _best_workers(self, arm: str) -> int:
        """Returns the number of loader workers with which a loop is quickest, measured where there is a choice."""
        choices = worker_choices(arm, self.device)
        if len(choices) == 1:
            return choices[0]
        short = min(1, self.epochs[0]), min(1, self.epochs[1])
        seconds = {}
        for number in choices:
            settings = loop_settings(self.cfg, self.inputs, arm, num_workers=number, epochs=short)
            piece = self.pieces.loop(f"{arm}_workers_{number}", settings)
            whole = multiply_out([piece], head_epochs=self.epochs[0], layer4_epochs=self.epochs[1])
            seconds[number] = whole["wall_s"].total_s
            say(f"{arm} loop, {number} workers: {seconds_in_words(seconds[number])} for a whole run, multiplied out")
        return min(seconds, key=lambda number: seconds[number])

    def _loop(self, arm: str, turn: int) -> Piece:
        short = min(1, self.epochs[0]), min(2, self.epochs[1])
        settings = loop_settings(self.cfg, self.inputs, arm, num_workers=self.workers[arm], epochs=short)
        piece = self.pieces.loop(f"{arm}_{turn}", settings)
        for stage in STAGES:
            for seconds in epoch_seconds(piece["laps"], stage, "wall_s"):
                say(f"{arm} loop, {stage} epoch, {turn + 1} of {self.cfg.repeats}: {seconds:.1f} s")
        return piece

    def _whole_loop(self, arm: str) -> Piece:
        settings = loop_settings(self.cfg, self.inputs, arm, num_workers=self.workers[arm], epochs=self.epochs)
        piece = self.pieces.loop(f"{arm}_whole", settings)
        say(f"{arm} loop, whole: {seconds_in_words(piece['wall_s'])}")
        return piece

    def _command(self, arm: str, turn: int) -> Piece:
        piece = self.pieces.command(
            f"{arm}_{turn}",
            COMMANDS[arm],
            lambda run, features: self._settings(arm, run, features),
            trials=self.cfg.trials if arm == "sweep" else 0,
        )
        say(f"{arm}: {seconds_in_words(piece['wall_s'])}")
        return piece

    def _settings(self, arm: str, run: Path, features: Path) -> dict[str, Any]:
        return command_settings(self.cfg, self.inputs, arm, run_dir=run, features=features)

    def _row(self, arm: str, pieces: Sequence[Piece], whole: Piece | None) -> Row:
        if arm in LOOPS:
            return loop_row(arm, pieces, whole, epochs=self.epochs, photos=self.begun["photos"]["train"])
        return command_row(arm, pieces, runs={"crossval": self.cfg.folds, "sweep": self.cfg.trials}.get(arm, 1))


def _drawn(rows: Sequence[Row]) -> Figure:
    ratios = [row["ratios"].get("plain", {}) for row in rows]
    return draw_benchmark(
        [row["words"] if row["runs"] == 1 else f"{row['words']} of {row['runs']}" for row in rows],
        [row["wall_s"] / row["runs"] for row in rows],
        [row["cpu_s"] / row["runs"] for row in rows],
        wall_ratios=[each.get("wall_s") for each in ratios],
        cpu_ratios=[each.get("cpu_s") for each in ratios],
        multiplied_out=[row["is_multiplied_out"] for row in rows],
    )
