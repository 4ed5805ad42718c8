"""The comparison of runs on a terminal: scores, differences, warnings, and where the rest is."""

import shutil
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from anemia_lightning.command_line.terminal import aligned
from anemia_lightning.report.compare_sections import comparison_summary, marks, warning_rows
from anemia_lightning.report.estimates import estimate_text, p_texts

_WIDEST = 140
_SHOWN = {"auroc": "AUROC", "sensitivity": "sens.", "specificity": "spec."}
_MOST_SETTINGS = 3
_MOST_REFUSED = 3
_LONGEST = 40


def comparison_lines(comparison: Mapping[str, Any], folder: Path) -> list[str]:
    """Returns what a person reads at the end of a comparison.

    Args:
        comparison: What compare.json holds.
        folder: Where the files are.
    """
    width = min(_WIDEST, shutil.get_terminal_size().columns)
    lines = [*aligned(_score_table(comparison)), "", *_group_lines(comparison, width)]
    lines += [line for sentence in comparison_summary(comparison, verdicts=False) for line in _wrapped(sentence, width)]
    refused = [f"{row['run']}: {row['refused']}" for row in comparison["differences"] if row["refused"]]
    for sentence in refused[:_MOST_REFUSED]:
        lines += _wrapped(sentence, width, "Not compared: ")
    if len(refused) > _MOST_REFUSED:
        lines.append(f"Not compared: {len(refused) - _MOST_REFUSED} more, see the report.")
    for row in comparison["leftovers"]:
        lines += _wrapped(f"{row['name']}: {row['reason']}", width, "Left over: ")
    for letter, warning, runs in warning_rows(comparison):
        lines += _wrapped(f"{warning} ({runs})", width, f"Warning {letter}: ")
    files = {"report": "compare.html", "as text": "compare.md", "as table": "compare.csv", "as values": "compare.json"}
    return [*lines, *(f"{what + ':':<12}{folder / name}" for what, name in files.items())]


def _score_table(comparison: Mapping[str, Any]) -> list[list[str]]:
    keys = list(comparison["runs"][0]["settings"])
    shown = keys if len(keys) <= _MOST_SETTINGS else []
    differences = {row["run"]: row for row in comparison["differences"]}
    rows = [["run", *shown, "photos", *_SHOWN.values(), "AUROC - reference", "p (Holm)", "beware"]]
    for run in comparison["runs"]:
        scores = [estimate_text(run["scores"]["auroc"])]
        scores += [estimate_text({**run["scores"][name], "low": None}) for name in list(_SHOWN)[1:]]
        rows.append(
            [
                _shortened(run["name"]),
                *(_shortened(run["settings"][key]) for key in shown),
                str(run["n"]),
                *scores,
                *_beside(differences.get(run["name"])),
                marks(comparison, run),
            ]
        )
    return rows


def _beside(row: Mapping[str, Any] | None) -> tuple[str, str]:
    if row is None:
        return "reference", ""
    if row["refused"]:
        return "other photos", "-"
    area = row["scores"]["auroc"]
    return estimate_text(area, sign="+"), p_texts(area["p"], area["p_holm"], resamples=area["resamples"])[1]


def _group_lines(comparison: Mapping[str, Any], width: int) -> Iterator[str]:
    """Yields the recipes with several runs: AUROC over seeds and folds."""
    if not comparison["groups"]:
        return
    rows = [["recipe", "differing in", "n", "mean AUROC [t interval]", "SD"]]
    for group in comparison["groups"]:
        found = group["scores"]["auroc"]
        mean = estimate_text({**found, "value": found["mean"]})
        spread = "-" if found["sd"] is None else f"{found['sd']:.3f}"
        differ = ", ".join(group["differ_in"]) or "nothing"
        rows.append([_shortened(group["name"]), _shortened(differ), str(found["n"]), mean, spread])
    yield from aligned(rows)
    for group in comparison["groups"]:
        if group["note"]:
            yield from _wrapped(f"{group['name']}: {group['note']}.", width)
    yield ""


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else f"…{text[1 - _LONGEST :]}"


def _wrapped(text: str, width: int, head: str = "") -> list[str]:
    # A folder's name is copied and pasted: it must not be cut.
    return textwrap.wrap(
        text, width, initial_indent=head, subsequent_indent="  ", break_on_hyphens=False, break_long_words=False
    )
