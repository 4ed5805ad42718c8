"""One row per epoch: kept in the checkpoint, written to metrics.csv, drawn as curves in TensorBoard."""

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only

from anemia_lightning.files.run_folder import write_text

_CHARTS = ("loss", "acc", "auroc", "sensitivity", "specificity")


class EpochTable(L.Callback):
    """Records losses, scores, learning rates and the gradient norm of each epoch.

    The rows travel in the checkpoint: a resumed run writes the same file as one that was never stopped.
    There are no clock values in it, so equal runs write equal files.

    Args:
        path: Where metrics.csv goes.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self.rows: list[dict[str, float]] = []

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Puts training and validation on one chart each, under Custom Scalars."""
        for writer in _writers(trainer):
            charts = {name: ["Multiline", [f"train/{name}$", f"val/{name}$"]] for name in _CHARTS}
            writer.add_custom_scalars({"train and val": charts})

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Adds the epoch's row, with the learning rates that the epoch used: the schedule steps after this hook."""
        values = {name: float(value) for name, value in sorted(trainer.callback_metrics.items())}
        rates = {f"lr/{group['name']}": group["lr"] for group in trainer.optimizers[0].param_groups}
        self._add({"epoch": trainer.current_epoch, **values, **rates}, trainer)

    def state_dict(self) -> dict[str, Any]:
        """Returns the rows."""
        return {"rows": [dict(row) for row in self.rows]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores the rows."""
        self.rows = [dict(row) for row in state_dict["rows"]]

    @rank_zero_only
    def _add(self, row: dict[str, float], trainer: L.Trainer) -> None:
        self.rows.append(row)
        write_rows(self._path, self.rows)
        for writer in _writers(trainer):
            for name, value in row.items():
                if name != "epoch":
                    writer.add_scalar(name, value, global_step=int(row["epoch"]))


def write_rows(path: Path, rows: list[dict[str, float]]) -> None:
    """Writes rows as CSV, wholly or not at all; columns in order of first appearance."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(_rounded(row) for row in rows)
    write_text(path, text.getvalue())


def _rounded(row: Mapping[str, float]) -> dict[str, str]:
    # Nine significant digits tell any two float32 values apart.
    return {name: f"{value:.9g}" for name, value in row.items()}


def _writers(trainer: L.Trainer) -> list[Any]:
    return [logger.experiment for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)]
