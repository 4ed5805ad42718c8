"""The test of the seed's claims in words: Markdown for the record, lines for the terminal; both of the same values."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from anemia_lightning.benchmarks.verdicts import RULES
from anemia_lightning.command_line.terminal import aligned

_COLUMNS = {
    "train_acc": "training accuracy, %",
    "train_acc_running": "the same, running",
    "val_acc": "validation accuracy, %",
    "gap": "gap, points",
    "gap_running": "gap, running",
    "epochs": "epochs",
    "best_after": "epochs to the best",
    "test_acc": "test accuracy, %",
    "test_auroc": "test AUROC",
}
_SHORT = ("train_acc", "val_acc", "gap", "epochs", "best_after", "test_auroc")
_HASH_SHOWN = 12
_READING = (
    "Each value is of the best model (lowest validation loss): mean over folds [95 % interval], each fold standing for "
    "the mean of its seeds; intervals allow for the training photos that folds share. Training accuracy is "
    "that of the training photos as they are; 'running' is what the seed's loop prints: of augmented photos, with "
    "dropout, while the weights change. Validation photos chose the epoch, test photos nothing."
)


def claim_markdown(report: Mapping[str, Any]) -> str:
    """Returns claims.md; `report` is what claims.json holds."""
    lines = ["# The table of the seed, reproduced", "", *_paragraphs(_preface(report))]
    lines += ["## Where the claims contradict one another", "", *_listed(report["contradictions"]), ""]
    lines += ["## The arms", "", _READING, "", *_arm_table(report), "", *_paragraphs(_limits(report))]
    lines += ["## Beside the full protocol", "", "Arm less full protocol, paired by fold and seed.", ""]
    lines += [*_difference_table(report), "", "## The claims", "", RULES, "", *_claim_table(report), ""]
    return "\n".join(lines)


def claim_lines(report: Mapping[str, Any]) -> list[str]:
    """Returns what a person reads on the terminal."""
    lines = [*_preface(report), "", "Where the claims contradict one another:"]
    lines += [f"  {check['words']}" for check in report["contradictions"] if not check["agrees"]]
    heads = ["arm", "runs", *(_COLUMNS[name] for name in _SHORT)]
    rows = [
        [arm["words"], f"{arm['runs']} of {arm['wanted']}", *(_mean(arm["values"][name], name) for name in _SHORT)]
        for arm in report["arms"].values()
    ]
    lines += ["", *aligned([heads, *rows]), ""]
    verdicts = [
        [claim["verdict"], claim["name"], claim["words"], _found(claim), f"{claim.get('runs', '-')} runs"]
        for claim in _claims(report)
    ]
    return [*lines, *aligned([["verdict", "claim", "claimed", "found [95 % interval]", "from"], *verdicts])]


def weights_words(record: Mapping[str, Any] | None) -> str:
    """Returns in a sentence which weights the claims were tried with.

    Args:
        record: What run.json says of the weights; None where no run is finished.
    """
    if record is None:
        return "No run of the full protocol is finished, so nothing is known of its weights."
    if record["source"] == "torchvision":
        return f"Tried with torchvision's weights {record['name']}, which the seed names."
    if record["source"] == "random":
        return "Tried with random weights: the verdicts say nothing about the ImageNet weights that the seed names."
    digest = record["sha256"][:_HASH_SHOWN]
    return (
        f"Tried with the weights in {record['file']} (SHA-256 {digest}…): the verdicts hold for these, and unless they "
        "are torchvision's ImageNet weights, say nothing about those that the seed names."
    )


def _preface(report: Mapping[str, Any]) -> list[str]:
    wanted = report["wanted"]
    lines = [
        f"{report['backbone']} at {report['image_size']} px on {report['data']}, {wanted['folds']} grouped folds, "
        f"seeds of each: {wanted['seeds']}. Copies of a photograph and photos of a patient stay on one side.",
        report["weights"],
    ]
    return [*lines, report["caution"]] if report["caution"] else lines


def _limits(report: Mapping[str, Any]) -> list[str]:
    capped = [f"{arm['at_the_limit']} of {arm['words']}" for arm in report["arms"].values() if arm["at_the_limit"]]
    limit = report["max_epochs"]
    return [f"Ended by trainer.max_epochs={limit} and by nothing else: {'; '.join(capped)}."] if capped else []


def _arm_table(report: Mapping[str, Any]) -> Iterator[str]:
    yield from _head(["arm", "runs", *_COLUMNS.values()])
    for arm in report["arms"].values():
        cells = [_cell(arm["values"][name], name, runs=arm["runs"]) for name in _COLUMNS]
        yield _row([arm["words"], f"{arm['runs']} of {arm['wanted']}", *cells])


def _difference_table(report: Mapping[str, Any]) -> Iterator[str]:
    yield from _head(["arm", "pairs", *_COLUMNS.values()])
    for arm in report["arms"].values():
        if beside := arm["minus_full"]:
            pairs = beside["val_acc"]["runs"]
            cells = [_cell(beside[name], name, sign="+", runs=pairs) for name in _COLUMNS]
            yield _row([arm["words"], str(pairs), *cells])


def _claim_table(report: Mapping[str, Any]) -> Iterator[str]:
    yield from _head(["claim", "claimed", "found [95 % interval]", "by the running values", "runs", "verdict", "why"])
    for claim in _claims(report):
        running = _found({**claim, **claim["running"]}) if claim.get("running") else ""
        name = f"{claim['name']} ({claim['read_as']})"
        runs = str(claim.get("runs", ""))
        yield _row([name, claim["words"], _found(claim), running, runs, f"**{claim['verdict']}**", claim["because"]])


def _claims(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [report["reuse"], *report["claims"]]


def _found(claim: Mapping[str, Any]) -> str:
    if "shares" in claim:
        return ", ".join(f"{share:.1f}" for share in claim["shares"].values()) + " %"
    if claim["value"] is None:
        return "-"
    interval = "" if claim["low"] is None else f" [{claim['low']:.3g}, {claim['high']:.3g}]"
    return f"{claim['value']:.3g}{interval} {claim['unit']}"


def _cell(found: Mapping[str, Any], name: str, *, runs: int, sign: str = "") -> str:
    """Returns a mean with its interval, and how many runs are behind it where these are fewer than the row says."""
    form = _form(name, sign)
    interval = "" if found["low"] is None else f" [{found['low']:{form}}, {found['high']:{form}}]"
    fewer = f" (n={found['runs']})" if 0 < found["runs"] < runs else ""
    return _mean(found, name, sign=sign) + interval + fewer


def _mean(found: Mapping[str, Any], name: str, *, sign: str = "") -> str:
    return "unfinished" if found["value"] is None else f"{found['value']:{_form(name, sign)}}"


def _form(name: str, sign: str = "") -> str:
    return f"{sign}.3f" if name == "test_auroc" else f"{sign}.1f"


def _listed(contradictions: Sequence[Mapping[str, Any]]) -> list[str]:
    return [f"- {check['words']}" for check in contradictions]


def _paragraphs(sentences: Sequence[str]) -> Iterator[str]:
    for sentence in sentences:
        yield from (sentence, "")


def _head(columns: Sequence[str]) -> Iterator[str]:
    yield _row(columns)
    yield "|" + " --- |" * len(columns)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
