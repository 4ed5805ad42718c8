"""How a run was made and what lies in its folder, from the plain values of run.json and the settings."""

import json
import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from anemia_lightning.report.label_words import labels_say
from anemia_lightning.report.provenance import data_sources, weights_says
from anemia_lightning.report.sections import Section, Table

_GRAINS = {
    "bytes": "the same file",
    "pixels": "the same pixels",
    "turned": "mirrored, turned or re-encoded copies too",
    "recut": "other cut-outs of the same photograph too",
}

FILES = {
    "assessment.json": "every number of this page, with more digits",
    "decision.json": "threshold, scaling and prediction sets, as validation photos chose them",
    "looks.json": "what the heat maps show, and what moves the decisions",
    "metrics.json": "the scores of each split or fold",
    "metrics.csv": "one row per epoch",
    "predictions_test.csv": "what the model says of each test photo",
    "predictions_val.csv": "what it says of each photo that chose the epoch and the threshold",
    "predictions.csv": "what the folds' models say of photos that they never saw",
    "splits.csv": "which photo went where, and why one was left out",
    "checkpoints/best.ckpt": "the model",
    "run.json": "versions, seeds, hashes of data and weights, timings",
    "config_resolved.yaml": "every setting",
    "MODEL_CARD.md": "what the model is for and what not, on a page",
    "flow.md": "who was found, left out and used",
    "table1.md": "who is in the data",
    "checklists.md": "what this run answers of TRIPOD+AI, STARD-AI and CLAIM",
    "plots": "the figures as pictures",
}
"""What a run's folder can hold, in the order in which readers look for it."""


def shared_facts(cards: Sequence[Mapping[str, Any]], *, photos: int, excluded: int) -> dict[str, Any]:
    """Returns what the models of a cross-validation have in common, in the form of one run.json.

    What differs between them is left out, but for what can be told of all: their epochs, sessions and warnings.

    Args:
        cards: What the run.json of each fold holds, at least one.
        photos: How many the folds test.
        excluded: How many no fold uses.
    """
    epochs = [card["epochs"] for card in cards]
    return {
        **_shared(cards),
        "data": {**_shared([card["data"] for card in cards]), "photos": {"in the folds": photos}, "excluded": excluded},
        "epochs": f"{statistics.median(epochs):g} in the median of {len(cards)} models, {min(epochs)} to {max(epochs)}",
        "sessions": [session for card in cards for session in card["sessions"]],
        "warnings": list(dict.fromkeys(warning for card in cards for warning in card["warnings"])),
    }


def _shared(cards: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    first, *others = cards
    return {key: value for key, value in first.items() if all(card.get(key) == value for card in others)}


def how_it_was_made(
    facts: Mapping[str, Any], settings: Mapping[str, Any], *, folds: int = 0, are_named: bool = True
) -> Section:
    """Returns what a run was made of.

    Args:
        facts: What run.json holds; what is missing is left out.
        settings: All settings of the run.
        folds: How many models a cross-validation has; 0 for a single model.
        are_named: Whether the data name the patient of each photo.
    """
    rows = [[name, str(value)] for name, value in _made_of(facts, settings) if value not in (None, "", [])]
    return Section(
        "How it was made",
        list(_says(facts, settings, folds, are_named=are_named)),
        [Table("What the run was made of", ["what", "value"], rows, is_prose=True)],
    )


def where_to_find(names: Mapping[str, str]) -> Section | None:
    """Returns the list of files; None where there are none.

    Args:
        names: What lies in the folder: the name of each file, and what it holds.
    """
    if not names:
        return None
    rows = [[name, what] for name, what in names.items()]
    return Section(
        "Where to find what", [], [Table("In the folder of this page", ["file", "holds"], rows, is_prose=True)]
    )


def flattened(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yields each setting by the name that a command line takes, with its exact value."""
    for key, value in settings.items():
        if isinstance(value, Mapping) and value:
            yield from flattened(value, f"{prefix}{key}.")
        else:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
            yield f"{prefix}{key}", text


def _says(facts: Mapping[str, Any], settings: Mapping[str, Any], folds: int, *, are_named: bool) -> Iterator[str]:
    grain = facts.get("data", {}).get("photo_groups", {}).get("grain")
    if grain:
        yield f"The data were split first and varied afterwards. {_apart(grain, are_named=are_named)}."
    if folds:
        yield f"There are {folds} models, one per fold. {together_says(settings)}"
    elif facts.get("best_epoch") is not None:
        yield f"One model, no ensemble: that of epoch {facts['best_epoch']}, which did best on the validation photos."


def _apart(grain: str, *, are_named: bool) -> str:
    """Returns what stands on one side of a split alone."""
    copies = f"copies of one photograph ({_GRAINS.get(grain)})"
    people, more = "No patient stands on two sides of a split", f", nor do {copies}"
    if not are_named:
        people = "Photos of one person may stand on two sides of a split where the data do not name patients"
        more = f"; {copies} do not"
    return people + more if grain in _GRAINS else people


def together_says(settings: Mapping[str, Any]) -> str:
    """Returns how the models of a cross-validation predict new photographs (`metrics.joint_decision`).

    Args:
        settings: All settings of the cross-validation.
    """
    repeats = 1 if settings.get("leave_out") else settings.get("repeats", 1)
    tested = "the scores here are those of single models, each on photos that it never saw"
    if repeats > 1:
        tested = f"the scores here are those of the mean of {repeats} models for each photo, which never saw it"
    return (
        "predict averages their scaled logits, and decides at the mean of their thresholds. That joint model was not "
        f"itself tested: {tested}. Prediction sets of all together may leave out a label up to twice as often as those "
        "of one."
    )


def _made_of(facts: Mapping[str, Any], settings: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    yield from _data_rows(facts, settings)
    model, optimizer = settings.get("model", {}), settings.get("optimizer", {})
    yield "network", model.get("backbone")
    yield "weights at the start", " ".join(weights_says(facts.get("weights", {})))
    yield "class weights", model.get("class_weights")
    yield "optimizer", _joined({"": str(optimizer.get("_target_", "")).rpartition(".")[2], "lr": optimizer.get("lr")})
    phases = facts.get("phases") or []
    yield "released", ", ".join(f"{phase['train_from']} from epoch {phase['epoch']}" for phase in phases)
    yield "epochs", facts.get("epochs")
    yield "ended because", facts.get("stop_reason")
    yield "precision", facts.get("precision")
    yield "seeds", _joined(facts.get("seeds", {}))
    sessions = facts.get("sessions") or []
    yield "device", ", ".join(dict.fromkeys(session["device"] for session in sessions if "device" in session))
    seconds = sum(epoch["train_s"] + epoch["val_s"] for session in sessions for epoch in session["epochs"])
    yield "time in epochs", f"{seconds / 60:.1f} min" if seconds else ""
    yield "versions", _joined(facts.get("versions", {}))


def _data_rows(facts: Mapping[str, Any], settings: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    data, labels = facts.get("data", {}), facts.get("labels", {})
    for name, source in data_sources(settings).items():
        yield f"data, {name}", f"{source.people}. Licence: {source.licence}."
    yield "photos", _joined({**data.get("photos", {}), "left out": data.get("excluded")})
    yield "distinct photographs", data.get("photo_groups", {}).get("distinct")
    yield "hash of the data", data.get("sha256")
    yield "labels", " ".join(labels_say(labels))
    yield "photos with the commoner label of their copies", len(labels.get("relabelled", [])) or ""
    yield "split", _split_says(settings)
    image = settings.get("data", {})
    yield (
        "image",
        _joined({"pixels": image.get("image_size"), "region": image.get("region"), "resize": image.get("resize")}),
    )


def _split_says(settings: Mapping[str, Any]) -> str:
    """Returns how the photos were split; "" where they were not, as in the evaluation of a finished model."""
    split = settings.get("split")
    if not split:
        return ""
    if split.get("file"):
        return f"from the file {split['file']}"
    if settings.get("leave_out"):
        return f"one fold for each {settings['leave_out']}, patients and copies of a photograph together"
    if "folds" in settings:
        draws = "one draw" if settings["repeats"] == 1 else f"{settings['repeats']} draws"
        return f"{draws} of {settings['folds']} folds, by patient and photograph, seed {split['seed']}"
    drawn = _joined({**split.get("fractions", {}), "seed": split.get("seed")})
    return f"drawn by patient and photograph: {drawn}"


def _joined(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}".strip() for name, value in values.items() if value not in (None, ""))
