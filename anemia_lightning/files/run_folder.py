"""The folder of a run: its files by name, written wholly or not at all, and the pointer to the newest."""

import json
import secrets
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anemia_lightning.files.whole_file import whole_file

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_IDS = ("photo", "patient", "photo_group", "site", "fold")
"""Columns of tables that hold names, whatever they look like."""
_STUMP_S = 3600.0


class RunFolder:
    """Names the files of a run.

    Args:
        path: The folder; made if it is not there, readable by its owner alone.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).absolute()
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.settings = self.path / "config_resolved.yaml"
        self.run_json = self.path / "run.json"
        self.splits = self.path / "splits.csv"
        self.metrics_csv = self.path / "metrics.csv"
        self.metrics_json = self.path / "metrics.json"
        self.best = self.path / "checkpoints" / "best.ckpt"
        self.last = self.path / "checkpoints" / "last.ckpt"
        self.decision = self.path / "decision.json"
        self.report = self.path / "report.html"
        self.plots = self.path / "plots"

    def predictions(self, split: str) -> Path:
        """Returns where the predictions of a split lie."""
        return self.path / f"predictions_{split}.csv"

    def write_plot(self, name: str, drawing: "Figure | Axes") -> bytes:
        """Writes a figure into plots/ and returns it as PNG."""
        from anemia_lightning.plots.style import to_png

        png = to_png(drawing)
        write_bytes(self.plots / f"{name}.png", png)
        return png

    def point_latest(self) -> None:
        """Makes logs/<verb>/latest name this run: a link, or a file with one line where links are not allowed.

        A fold makes it name its cross-validation, which can be continued once a fold can.
        """
        run = whole_run(self.path)
        if run.parent.name != "runs":
            return
        latest = run.parent.parent / "latest"
        target = Path("runs") / run.name
        _remove_stumps(latest)
        # Not by the number of the process: in two containers it may be the same, and one would undo the other's link.
        fresh = latest.with_name(f".latest-{secrets.token_hex(8)}")
        try:
            fresh.symlink_to(target, target_is_directory=True)
        except OSError:
            fresh.write_text(f"{target}\n", encoding="utf-8")
        fresh.replace(latest)


def _remove_stumps(latest: Path) -> None:
    """Removes pointers that a kill has left before they got their name."""
    for stump in latest.parent.glob(".latest-*"):
        with suppress(OSError):
            if time.time() - stump.lstat().st_mtime > _STUMP_S:
                stump.unlink()


def find_run(named: str, root: str | Path, verb: str = "train") -> Path:
    """Returns the folder of a run.

    Args:
        named: last, or a folder, or what stands in for a link to one.
        root: `paths.root`.
        verb: Whose newest run `last` means.
    """
    path = Path(root) / "logs" / verb / "latest" if named == "last" else Path(named)
    if path.is_file() and path.name == "latest":
        path = path.parent / path.read_text(encoding="utf-8").strip()
    return path.resolve()


def is_finished(run: Path) -> bool:
    """Returns whether a run has come to its end: its report is there, and run.json, which it writes last, says so.

    One that was continued since, and stopped again, has the report of its earlier end.
    """
    return (run / "report.html").is_file() and read_run_card(run / "run.json").get("status") == "finished"


def whole_run(folder: Path) -> Path:
    """Returns the run that a folder is: of a fold, its cross-validation."""
    return folder.parent.parent if folder.parent.name == "folds" else folder


def read_run_card(path: Path) -> dict[str, Any]:
    """Returns what run.json holds; nothing if there is none, or one that is damaged: the model is worth more."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    is_whole = isinstance(content, dict) and isinstance(content.get("sessions"), list)
    return content if is_whole else {}


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a file wholly or not at all."""
    with whole_file(path) as file:
        file.write(content)


def write_text(path: Path, text: str) -> None:
    """Writes a text wholly or not at all."""
    write_bytes(path, text.encode())


def write_json(path: Path, content: Mapping[str, object]) -> None:
    """Writes JSON wholly or not at all; NaN is not JSON and is an error."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_table(path: Path, table: "pd.DataFrame") -> None:
    """Writes CSV wholly or not at all; numbers with nine significant digits, which tell float32 values apart."""
    write_text(path, table.to_csv(index=False, float_format="%.9g", lineterminator="\n"))


def read_table(path: Path) -> "pd.DataFrame":
    """Returns a table of photos as it was written: an id such as NA or 007 is neither a gap nor a number."""
    import pandas as pd

    return pd.read_csv(path, dtype=dict.fromkeys(_IDS, str), keep_default_na=False)
