"""The photos of a command: prepared before its eyes, and what it must know of them."""

from collections import Counter
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from anemia_lightning import wiring
from anemia_lightning.command_line.terminal import step_bars
from anemia_lightning.contracts import GRAINS
from anemia_lightning.errors import DataChangedError, SplitFileError, SplitImpossibleError, SplitLeakError
from anemia_lightning.files.run_folder import RunFolder, read_run_card
from anemia_lightning.report.label_words import cutoffs_say
from anemia_lightning.report.patient_words import count_patients

if TYPE_CHECKING:
    from anemia_lightning.data.datamodule import AnemiaDataModule
    from anemia_lightning.data.preparation import Prepared


def prepare_photos(cfg: DictConfig) -> "Prepared":
    """Reads the photos that `data` names, with a bar for what takes long.

    Raises:
        AnemiaError: If the photos cannot be used as they are.
    """
    with step_bars() as progress:
        return wiring.build_preparation(cfg)(progress=progress)


def restore_datamodule(cfg: DictConfig, prepared: "Prepared", run: RunFolder) -> "AnemiaDataModule":
    """Returns the datamodule of an earlier run: its photos stay in the splits where they were.

    A run whose run.json is lost or damaged has nothing to compare their labels and contents with, and is believed.

    Raises:
        DataChangedError: If the photos are no longer those of the run: their ids, labels, patients or contents.
    """
    root = str(cfg.data.get("root") or dict(cfg.data.get("roots", {})))
    datamodule = wiring.build_datamodule(cfg, prepared, split_file=run.splits)
    try:
        datamodule.setup()
    except (SplitFileError, SplitImpossibleError, SplitLeakError) as error:  # once they were sound
        raise DataChangedError(run.path, root) from error
    recorded = read_run_card(run.run_json).get("data", {}).get("sha256")
    if recorded not in (None, datamodule.fingerprint()):
        raise DataChangedError(run.path, root)
    return datamodule


def photo_lines(cfg: DictConfig, prepared: "Prepared", *, listed_in: str = "splits.csv") -> list[str]:
    """Returns what a person should know of the photos before anything is made of them.

    Args:
        cfg: The settings of the command.
        prepared: The photos.
        listed_in: Which of the files that the command leaves lists those that are left out.
    """
    manifest = prepared.manifest
    lines = [f"{count_patients(manifest).words} from {cfg.data.name}"]
    groups = manifest["photo_group"].nunique()
    if groups < len(manifest) and cfg.data.photo_groups in GRAINS:
        # An evaluation on other data splits nothing.
        together = "; copies stay on one side of every split" if "split" in cfg else ""
        lines.append(f"They show {groups} different photographs{together}.")
    reasons = Counter(str(reason).split(":")[0] for reason in prepared.excluded.get("reason", ()))
    if reasons:
        counts = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
        lines.append(f"Left out: {counts}; {listed_in} says which.")
    if relabelled := len(prepared.labels["relabelled"]):
        lines.append(f"{relabelled} photos got the commoner label of their copies (data.on_label_conflict=majority).")
    lines += cutoffs_say(prepared.labels)
    flips = {rule: found for rule, found in prepared.labels["flips"].items() if found["flips"]}
    if flips:
        others = ", ".join(f"{found['flips']} of {found['of']} by {rule}" for rule, found in flips.items())
        lines.append(f"Labels are those of the rule {prepared.labels['rule']}; they would differ for {others}.")
    return lines
