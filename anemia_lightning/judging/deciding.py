"""How commands come by a model's decision: chosen once on validation photos, then carried in the checkpoint."""

import math
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from omegaconf import DictConfig

from anemia_lightning.files.checkpoint_file import read_checkpoint
from anemia_lightning.files.run_folder import write_json
from anemia_lightning.metrics.decision import Decision, fit_decision
from anemia_lightning.metrics.thresholds import parse_rule

_HYPERPARAMETERS = "hyper_parameters"  # Lightning's key


def choose_decision(
    settings: DictConfig, rows: pd.DataFrame, logits: "pd.Series[float]", *, class_weights: Sequence[float]
) -> Decision:
    """Returns the decision that the settings ask for, chosen on validation photos alone.

    Args:
        settings: `evaluation` of a training run: threshold, calibration and coverage.
        rows: The validation photos, rows of a manifest; their order changes nothing.
        logits: The logit of each, by photo id.
        class_weights: Of labels 0 and 1 in the loss that trained the model.
    """
    from anemia_lightning.data.splits import independent_groups

    # Sums of floats depend on their order, and with them the last digits.
    rows = rows.sort_values("photo")
    return fit_decision(
        rows["label"].to_numpy(),
        rows["photo"].map(logits).to_numpy(),
        rule=str(settings.threshold),
        scaling=settings.calibration,
        coverage=settings.coverage,
        clusters=independent_groups(rows),
        offset=math.log(class_weights[1] / class_weights[0]),
    )


def named_threshold(setting: float | str | None) -> float | None:
    """Returns the threshold that the user names in place of the carried one, as 0.4 or "fixed:0.4"; None for none."""
    return None if setting is None else parse_rule(str(setting)).amount


def at_threshold(carried: Decision, setting: float | str | None) -> Decision:
    """Returns a carried decision, at another threshold where the user names one."""
    threshold = named_threshold(setting)
    return carried if threshold is None else carried.at(threshold)


def carry_decision(checkpoint: Path, decision: Decision) -> None:
    """Writes a decision into a checkpoint, wholly or not at all, and leaves all else in it as it is.

    Raises:
        CheckpointUnreadableError: If it is not one of ours.
        DiskFullError: If there is no room; the checkpoint is untouched.
    """
    from anemia_lightning.callbacks.checkpoint import DurableCheckpointIO

    content = read_checkpoint(checkpoint)
    hyperparameters = content[_HYPERPARAMETERS]
    if hyperparameters.get("decision") == decision.to_dict():
        return
    content[_HYPERPARAMETERS] = {**hyperparameters, "decision": decision.to_dict()}
    DurableCheckpointIO().save_checkpoint(content, checkpoint)


def write_decision(path: Path, decision: Decision) -> None:
    """Writes a decision as JSON, for people and other programs; `notes` say what must be said beside it."""
    write_json(path, {**decision.to_dict(), "notes": decision.notes})


def decision_lines(decision: Decision) -> list[str]:
    """Returns what a person should know of how photos are called anaemic."""
    return [f"Decided by: {decision.summary}.", *(f"Note: {note}" for note in decision.notes)]
