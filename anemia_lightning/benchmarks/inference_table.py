"""What the engines' logits differ by, and the table of the inference comparison."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from anemia_lightning.metrics.scores import auroc

Row = dict[str, Any]
Decide = Callable[[NDArray[np.float64]], NDArray[np.int64]]


def compare(rows: Mapping[str, Row], labels: ArrayLike, *, decide: Decide) -> dict[str, Row]:
    """Returns the rows with what each engine's logits differ by from those of the first one that could be built.

    Args:
        rows: By arm; `logits` are taken out of them.
        labels: Of the images.
        decide: Which photos are called anaemic, by their logits.

    Returns:
        The rows with auroc, auroc_difference, max_difference and mean_difference (of logits), and flipped (decisions).
    """
    truth = np.asarray(labels)
    reference: NDArray[np.float64] | None = None
    compared = {}
    for arm, row in rows.items():
        compared[arm] = {key: value for key, value in row.items() if key != "logits"}
        if "logits" not in row:
            continue
        logits = np.asarray(row["logits"], dtype=np.float64)
        reference = logits if reference is None else reference
        gaps = np.abs(logits - reference)
        own, others = auroc(truth, logits), auroc(truth, reference)
        flips = decide(logits) != decide(reference)
        compared[arm] |= {
            "auroc": own,
            "auroc_difference": None if own is None or others is None else own - others,
            "max_difference": float(gaps.max()),
            "mean_difference": float(gaps.mean()),
            "logit_sd": float(logits.std()),
            "flipped": int(flips.sum()),
        }
    return compared


def table(report: Mapping[str, Any]) -> list[str]:
    """Returns the report as two tables in Markdown, of speed and of scores, line by line."""
    photos, rows = report["photos"], report["rows"].items()
    measured = [row for _, row in rows if "without" not in row]
    return [
        f"{photos} photos scored, {report['aside']} others set aside for int8; threads={report['threads']}; "
        f"load before: {report['load_before']:.1f}",
        report["weights"],
        "",
        "| Engine | Images/s | CPU time each | Ready, first time | Later | Model | Peak memory | predict, all photos |",
        "|---|---|---|---|---|---|---|---|",
        *map(_speed_line, measured),
        "",
        "| Engine | Logits, largest difference | Mean difference | Their SD | Decisions flipped | AUROC | Difference |",
        "|---|---|---|---|---|---|---|",
        *(_score_line(row, photos) for row in measured),
        *(f"\nNot measured: {arm.replace('-', ' ')}, {row['without']}" for arm, row in rows if "without" in row),
    ]


def _speed_line(row: Row) -> str:
    whole = f"{row['predict_s']:.1f} s" if "predict_s" in row else ""
    return (
        f"| {row['name']} | {row['images_per_s']:.1f} | {row['cpu_ms_per_image']:.1f} ms | {row['first_s']:.1f} s "
        f"| {row['again_s']:.1f} s | {row['model_bytes'] / 1e6:.0f} MB | {row['peak_rss_bytes'] / 1e6:.0f} MB "
        f"| {whole} |"
    )


def _score_line(row: Row, photos: int) -> str:
    scores = ("undefined", "") if row["auroc"] is None else (f"{row['auroc']:.4f}", f"{row['auroc_difference']:+.4f}")
    return (
        f"| {row['name']} | {row['max_difference']:.2g} | {row['mean_difference']:.2g} | {row['logit_sd']:.2g} "
        f"| {row['flipped']} of {photos} | {scores[0]} | {scores[1]} |"
    )
