"""What lies in the folder of a run beside its predictions: settings, record, weights, and what must be said of them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from anemia_lightning.comparing.search import is_run
from anemia_lightning.files.run_folder import read_run_card

_HASH_SHOWN = 12


@dataclass(frozen=True)
class RunFiles:
    """A run's folder, finished or not."""

    folder: Path
    cfg: DictConfig
    """Its settings."""

    @property
    def verb(self) -> str:
        """The command that it is a run of."""
        return str(self.cfg.get("verb", "train"))

    @cached_property
    def card(self) -> dict[str, Any]:
        """What run.json holds; nothing where there is none."""
        return read_run_card(self.folder / "run.json")

    @cached_property
    def folds(self) -> list[dict[str, Any]]:
        """What run.json holds of each fold that a cross-validation has begun."""
        return [read_run_card(fold / "run.json") for fold in sorted(self.folder.glob("folds/*"))]

    @cached_property
    def trained(self) -> "RunFiles | None":
        """Of an evaluation, the training run that it is about; None where it cannot be told any more."""
        evaluated = self.card.get("evaluated")
        return open_run(Path(evaluated)) if evaluated and is_run(Path(evaluated)) else None

    @property
    def data(self) -> str | None:
        """The name of the data whose photos were judged."""
        cfg = self.cfg
        if self.verb == "evaluate" and not cfg.get("data") and self.trained:
            cfg = self.trained.cfg
        name = OmegaConf.select(cfg, "data.name")
        return None if name is None else str(name)

    @property
    def origin(self) -> Mapping[str, Any]:
        """What run.json says of the training behind this run; nothing where that is not known."""
        if self.verb == "crossval":
            return next((card for card in self.folds if card), {})
        if self.verb == "evaluate":
            return self.trained.card if self.trained else {}
        return self.card

    @property
    def weights(self) -> str:
        """The weights that training began with, in words."""
        record = self.origin.get("weights")
        if not record:
            return "unknown"
        if record["source"] in ("torchvision", "random"):
            return str(record["name"] or "random")
        return f"{record['file']}, SHA-256 {str(record['sha256'])[:_HASH_SHOWN]}"


def open_run(folder: Path) -> RunFiles | None:
    """Returns the files of a run; None where it ended before its settings were written."""
    for file in (folder / "config_resolved.yaml", folder / ".hydra" / "config.yaml"):
        if file.is_file():
            cfg = OmegaConf.load(file)
            if isinstance(cfg, DictConfig):
                return RunFiles(folder, cfg)
    return None


def how_far(run: RunFiles) -> str:
    """Returns in words how far an unfinished run has come."""
    if run.verb == "evaluate":
        return "unfinished: no scores were written"
    if run.verb == "crossval":
        done, in_all = sum(card.get("status") == "finished" for card in run.folds), len(_listed(run.folder / "splits"))
        folds = f"; compare its finished folds with 'runs={run.folder}/folds/*'" if done else ""
        return f"unfinished: {done} of {in_all} folds are done{folds}"
    rows = run.folder / "metrics.csv"
    epochs = max(0, len(rows.read_text(encoding="utf-8").splitlines()) - 1) if rows.is_file() else 0
    is_interrupted = run.card.get("status") == "interrupted"
    why = f"interrupted ({run.card.get('stop_reason')})" if is_interrupted else "it runs still, or was killed"
    return f"unfinished: {why}, {epochs} epochs done"


def warnings_of(run: RunFiles, scores: Mapping[str, Any]) -> list[str]:
    """Returns what must be said beside the numbers of a run, each once.

    Args:
        run: The run.
        scores: What its metrics.json holds.
    """
    found = []
    if run.data == "synthetic":
        found.append("The photographs are drawn: the scores say nothing about real ones.")
    if not run.origin:
        found.append("Nothing is known of the training behind this: its run.json cannot be found any more.")
    elif run.origin.get("weights", {}).get("source") in ("file", "checkpoint"):
        found.append(f"Weights from a file ({run.weights}): the scores say nothing about other weights.")
    if run.verb not in ("crossval", "evaluate") and run.card.get("status") != "finished":
        found.append("The run has not come to its end, though to its scores.")
    cards = run.folds if run.verb == "crossval" else [run.origin, run.card]
    found += [str(warning) for card in cards for warning in card.get("warnings", [])]
    found += [str(warning) for warning in scores.get("warnings", [])]
    if caution := OmegaConf.select(run.cfg, "data.caution"):
        found.append(str(caution))
    return list(dict.fromkeys([*found, *_notes_of_decision(run.folder)]))


def _notes_of_decision(folder: Path) -> list[str]:
    file = folder / "decision.json"
    return (
        [str(note) for note in json.loads(file.read_text(encoding="utf-8")).get("notes", [])] if file.is_file() else []
    )


def _listed(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.csv"))
