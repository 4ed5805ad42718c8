"""What has been measured so far: one JSON file per piece, so that a comparison that was stopped goes on."""

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from anemia_lightning.benchmarks.arms import Kind, Order
from anemia_lightning.benchmarks.measuring import folder_bytes, run_child
from anemia_lightning.errors import ArmFailedError
from anemia_lightning.files.run_folder import read_run_card, write_json

Piece = dict[str, Any]
"""What a piece is: its `Use`, its result, and for our own runs what their records tell."""


class Pieces:
    """Measures pieces, each once, and remembers them.

    Args:
        folder: Of the comparison.
        threads: That torch gets in each child.
    """

    def __init__(self, folder: Path, *, threads: int) -> None:
        self._folder = folder
        self._threads = threads

    def known(self, name: str) -> Piece | None:
        """Returns a piece that has been measured."""
        file = self._file(name, "json")
        return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None

    def keep(self, name: str, piece: Piece) -> Piece:
        """Remembers a piece that was measured elsewhere, unless it is known already; returns the known one."""
        known = self.known(name)
        if known is None:
            write_json(self._file(name, "json"), piece)
        return known or piece

    def loop(self, name: str, settings: dict[str, Any]) -> Piece:
        """Measures some epochs of a plain loop."""
        return self.known(name) or self._measure(name, self._order(name, "loop", settings), dict)

    def trunk(self, name: str, settings: dict[str, Any]) -> Piece:
        """Measures how near the trunk pass comes to the machine's matrix products."""
        return self.known(name) or self._measure(name, self._order(name, "trunk", settings), dict)

    def command(
        self, name: str, kind: Kind, settings: Callable[[Path, Path], dict[str, Any]], *, trials: int = 0
    ) -> Piece:
        """Measures one of our own commands, from an empty cache on; keeps its records, not its models and its cache.

        Args:
            name: Of the piece.
            kind: train, crossval or sweep.
            settings: Of the command, for a run folder and a folder for features.
            trials: Of a sweep.
        """
        if known := self.known(name):
            return known
        run, features = self._folder / "commands" / name, self._folder / "features" / name
        for folder in (run, features):
            shutil.rmtree(folder, ignore_errors=True)

        def records() -> Piece:
            found = {"cache_bytes": folder_bytes(features), "run_bytes": folder_bytes(run), **_records(run)}
            shutil.rmtree(features, ignore_errors=True)
            for checkpoints in list(run.rglob("checkpoints")):
                shutil.rmtree(checkpoints)
            return found

        return self._measure(name, self._order(name, kind, settings(run, features), trials=trials), records)

    def _order(self, name: str, kind: Kind, settings: dict[str, Any], *, trials: int = 0) -> Order:
        return Order(kind, self._threads, str(self._file(name, "result")), settings, trials)

    def _measure(self, name: str, order: Order, records: Callable[[], Piece]) -> Piece:
        orders, log, result = self._file(name, "order"), self._file(name, "log"), Path(order.result)
        log.parent.mkdir(parents=True, exist_ok=True)
        result.unlink(missing_ok=True)
        log.unlink(missing_ok=True)
        order.write(orders)
        used = run_child([sys.executable, "-m", "anemia_lightning.benchmarks.arms", str(orders)], log=log)
        if used.exit_code or not result.is_file():
            raise ArmFailedError(name, used.exit_code, log)
        piece = {"name": name, **asdict(used), **json.loads(result.read_text(encoding="utf-8")), **records()}
        write_json(self._file(name, "json"), piece)
        result.unlink()
        return piece

    def _file(self, name: str, suffix: str) -> Path:
        return self._folder / "pieces" / f"{name}.{suffix}"


def _records(run: Path) -> Piece:
    """Returns what the run.json files below a folder tell: epochs, trunk passes and training photos, all in all."""
    cards = [read_run_card(path) for path in sorted(run.rglob("run.json"))]
    epochs = [epoch for card in cards for session in card.get("sessions", []) for epoch in session["epochs"]]
    features = [card["features"] for card in cards if "features" in card]
    counts = [card["data"]["photos"]["train"] for card in cards if "data" in card]
    return {
        "epochs": epochs,
        "train_photos": sum(counts) / len(counts) if counts else 0.0,
        "trunk_s": sum(each.get("trunk_s", 0.0) for each in features),
        "trunk_images": sum(each.get("trunk_images", 0) for each in features),
        "cache_off_because": next((each["off_because"] for each in features if each["off_because"]), None),
    }
