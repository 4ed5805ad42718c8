"""Our named exceptions: what the user can mend, each with what was sought, found and to be changed."""

from collections import Counter
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

_CLASSES = ("non-anaemic", "anaemic")
"""By label."""
_MOST_NAMED = 5


class AnemiaError(Exception):
    """A fault that the user can mend: shown as one plain message, exit code 2, no traceback.

    Args:
        sought: What was looked for, as a noun phrase.
        found: What was found instead, as a noun phrase.
        change: What to change, as a full sentence.
    """

    exit_code = 2
    keeps_run = False
    """Whether the run folder stays although it holds no checkpoint: all that the command can do was done."""

    def __init__(self, sought: str, found: str, change: str) -> None:
        super().__init__(sought, found, change)
        self.sought = sought
        self.found = found
        self.change = change

    def __str__(self) -> str:
        return f"Looked for {self.sought}; found {self.found}. {self.change}"

    def __reduce__(self) -> tuple[Any, ...]:
        # Pickle would call the class with `args`, but most of ours are built from something else.
        return _rebuild, (type(self), self.args, self.__dict__)


def _rebuild(kind: type[AnemiaError], arguments: tuple[Any, ...], state: dict[str, Any]) -> AnemiaError:
    error = kind.__new__(kind, *arguments)
    error.__dict__.update(state)
    return error


def _first(names: Sequence[str], *, most: int = _MOST_NAMED) -> str:
    """Returns some names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _some(phrases: Sequence[str]) -> str:
    """Returns some phrases, in which there may be commas, and how many more there are."""
    more = [f"and {len(phrases) - _MOST_NAMED} more"] if len(phrases) > _MOST_NAMED else []
    return "; ".join([*phrases[:_MOST_NAMED], *more])


class ConfigError(AnemiaError):
    """Settings that cannot be: unknown keys, values out of range, impossible combinations."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("settings that fit together", "; ".join(problems), "Nothing was loaded or written.")

    def __str__(self) -> str:
        return " ".join(self.problems)


class SplitLeakError(AnemiaError):
    """A split whose sides share a patient or copies of a photograph."""

    def __init__(self, column: str, crossing: list[str]) -> None:
        self.crossing = crossing
        noun = column.replace("_", " ")
        super().__init__(
            f"splits that share no {noun}",
            f"{len(crossing)} that stand in more than one split: {_first(crossing)}",
            "Put all photos of each into one split, or leave the split column and split.file empty and have it drawn.",
        )


class SplitImpossibleError(AnemiaError):
    """Too few patients for every split to hold both classes."""

    def __init__(self, split: str, lacking: list[int], patients: Mapping[int, int], *, is_given: bool = False) -> None:
        names = " and ".join(_CLASSES[label] for label in lacking)
        counts = f"{patients.get(1, 0)} anaemic and {patients.get(0, 0)} non-anaemic patients in all"
        super().__init__(
            "both classes in each of train, val and test",
            f"no {names} photo in {split} ({counts})",
            "Give that split photos of both classes, or leave the split column and split.file empty and have it drawn."
            if is_given
            else "Add patients, or give that split a larger share with split.fractions.",
        )


class SplitFileError(AnemiaError):
    """A file of splits that does not say of each photo where it goes, or speaks of others."""

    def __init__(self, file: Path, faults: Sequence["Fault"]) -> None:
        self.faults = list(faults)
        super().__init__(
            f"one split for each photo in {file}",
            "; ".join(map(str, faults)),
            "Mend the file, or leave split.file empty and have the split drawn.",
        )


class FoldsImpossibleError(AnemiaError):
    """Too few patients for every fold to hold both classes in train, val and test."""

    def __init__(self, folds: int, *, label: int, groups: int, needed: int, most: int) -> None:
        super().__init__(
            f"at least {needed} patients with {_CLASSES[label]} photos who share no photograph, for {folds} folds",
            str(groups),
            f"Take folds={most}, or add patients." if most else "Add patients: no number of folds would do.",
        )


class LeaveOneValueOutError(AnemiaError):
    """Values of a column none of which can be left out."""

    def __init__(self, column: str, skipped: Mapping[str, str]) -> None:
        self.skipped = dict(skipped)
        super().__init__(
            f"a {column} that can be left out, with both classes in each of train, val and test",
            "; ".join(f"for {value}, {reason}" for value, reason in skipped.items()),
            f"Add photos, or leave out by another column than {column}.",
        )


class UnsoundDataError(AnemiaError):
    """Data of which an audit has found that no sound split is to be had as they are."""

    exit_code = 3
    keeps_run = True

    def __init__(self, name: str, reasons: Sequence[str], report: Path) -> None:
        super().__init__(f"a sound split of {name}", f"none: {' '.join(reasons)}", f"See {report}.")


class LabelConflictError(AnemiaError):
    """Copies of one photograph that carry opposite labels."""

    def __init__(self, groups: Sequence[str]) -> None:
        super().__init__(
            "one label for all copies of a photograph",
            f"both in {len(groups)} photo groups: {_some(groups)}",
            "Correct the labels, or set data.on_label_conflict=drop or majority.",
        )


class PatientLabelsError(AnemiaError):
    """Patients with anaemic and non-anaemic photos, where one answer per patient is to be scored."""

    def __init__(self, patients: Sequence[str]) -> None:
        super().__init__(
            "one label for all photos of a patient, to score patients",
            f"both in {len(patients)} patients: {_some(list(map(str, patients)))}",
            "Score photos instead, or correct the labels. Keep one name for all visits of a person: under several they "
            "would count as several people, on both sides of a split.",
        )


class PhotosDifferError(AnemiaError):
    """Two models' predictions of other photos, which cannot be compared pair by pair."""

    def __init__(self, names: tuple[str, str], faults: Sequence[str]) -> None:
        self.faults = list(faults)
        super().__init__(
            f"one prediction of each photo by {names[0]} and by {names[1]}, with the same labels",
            "; ".join(faults),
            "Compare models on the same split of the same data.",
        )


class OverlapError(AnemiaError):
    """Data to evaluate on that hold photographs which trained or chose the model.

    Args:
        met: These.
        photos: How many there are in all.
        related: How many others are of the same patients, or copies.
    """

    def __init__(self, met: Sequence[str], photos: int, *, related: int = 0) -> None:
        self.met = list(met)
        beside = f", beside {related} with a patient or a copy in common" if related else ""
        super().__init__(
            "photographs that neither trained nor chose the model",
            f"{len(met)} of {photos} that did{beside}: {_first(met)}",
            "Leave these out with evaluation.on_overlap=drop, "
            "or keep them and have it said beside the scores with evaluation.on_overlap=report.",
        )


class StartOverlapError(AnemiaError):
    """A fit that starts from a model which has met the photographs that are to judge or to choose it."""

    def __init__(self, file: Path, split: str, met: Sequence[str], photos: int) -> None:
        self.met = list(met)
        did = {"test": "trained or chose", "val": "trained"}[split]
        super().__init__(
            f"{split} photographs that are new to {file}, from which the fit starts",
            f"{len(met)} of {photos} that {did} its model, or share a patient or a photograph with one that did: "
            f"{_first(met)}",
            "In train, keep the splits of the run that made it with split.file=RUN/splits.csv, or with a copy of that "
            "in which these are excluded; in crossval, start from weights that have not met them.",
        )


class NonFiniteLogitsError(AnemiaError):
    """Logits that are infinite or not a number, as a network gives whose training has diverged."""

    def __init__(self, broken: int, total: int) -> None:
        super().__init__(
            f"a finite logit for each of {total} photos",
            f"{broken} that are infinite or not a number",
            "Training has diverged: lower optimizer.lr, or set trainer.precision=32.",
        )


class OneClassError(AnemiaError):
    """Photos of one class where both are needed to learn from."""

    def __init__(self, purpose: str, count: int, label: int) -> None:
        super().__init__(
            f"anaemic and non-anaemic photos {purpose}",
            f"{count} {_CLASSES[label]} photos and no other",
            "Add photos of the other class, or draw another split.",
        )


class CheckpointUnreadableError(AnemiaError):
    """A checkpoint that is missing, torn, or not one of ours."""

    def __init__(self, path: Path, cause: Exception) -> None:
        if isinstance(cause, FileNotFoundError):
            found = "no file there"
        else:
            found = f"a file that cannot be read as one ({type(cause).__name__})"
        super().__init__(
            f"a checkpoint at {path}",
            found,
            "Give a .ckpt file that a training run wrote, such as RUN/checkpoints/best.ckpt.",
        )


class NoConformalSetsError(AnemiaError):
    """A model that is to abstain where it is not sure, but carries no sets by which to know."""

    def __init__(self, ckpt: Path) -> None:
        super().__init__(
            f"conformal sets in {ckpt}, by which to abstain",
            "none: it was trained with evaluation.coverage=null or not to its end",
            "Give the best.ckpt of a finished run with evaluation.coverage=0.9, or leave abstain=false.",
        )


class DiskFullError(AnemiaError):
    """No room for a file that must be written."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"room to write {path.name} in {path.parent}",
            "a full disk",
            "Free some space; what was written before is whole.",
        )


class UnknownNameError(AnemiaError):
    """A name that is none of the known ones."""

    def __init__(self, sought: str, name: str, known: Sequence[str]) -> None:
        nearest = get_close_matches(name, known, n=len(known), cutoff=0.0)
        super().__init__(sought, f"'{name}'", f"Known, the nearest first: {', '.join(nearest)}.")


class WeightsFileError(AnemiaError):
    """A file that holds no usable weights."""

    def __init__(self, file: str, fault: str, change: str) -> None:
        super().__init__(f"the weights of a ResNet in {file}", fault, change)


class WeightsMismatchError(AnemiaError):
    """Weights of another architecture.

    Args:
        file: What holds them.
        backbone: Of the network that they were to be loaded into.
        faults: What does not fit, tensor by tensor.
        change: What to change.
    """

    def __init__(self, file: str, backbone: str, faults: list[str], *, change: str) -> None:
        super().__init__(
            f"the weights of {backbone} in {file}",
            f"those of another architecture: {_first(faults, most=3)}",
            change,
        )


class WeightsUnavailableError(AnemiaError):
    """Torchvision's weights, neither on this machine nor to be had from the network."""

    def __init__(self, name: str, backbone: str, url: str, folder: Path, reason: str) -> None:
        file = url.rsplit("/", 1)[-1]
        super().__init__(
            f"torchvision's weights {name} of {backbone}",
            f"no {file} in {folder}, and no download of {url} ({reason})",
            f"Put the file {file} in {folder}, give another file by model.weights=FILE, "
            "or start from random weights by model.weights=null.",
        )


class DrawingSettingsError(AnemiaError):
    """Settings of the synthetic data by which nothing can be drawn."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__(
            "settings by which synthetic data can be drawn",
            "; ".join(problems),
            "Take at least 4 patients, at least one photo for each, and a separation of 0 or more.",
        )


class DrawingFolderError(AnemiaError):
    """A folder into which the synthetic photographs cannot be written."""

    def __init__(self, folder: Path, cause: OSError) -> None:
        super().__init__(
            f"a folder in which to draw the synthetic photographs, {folder}",
            f"that it cannot be written to ({cause.strerror or cause})",
            "Give data.root a folder that you may write to, with some 20 MB of free space.",
        )


class OutputUnwritableError(AnemiaError):
    """A folder for results that cannot be made."""

    def __init__(self, path: Path, cause: OSError) -> None:
        super().__init__(
            f"a new folder at {path}",
            f"that it cannot be made ({cause.strerror})",
            "Choose a place that you can write to with paths.root=FOLDER, or for one run with hydra.run.dir=FOLDER.",
        )


class PredictionsUnwritableError(AnemiaError):
    """A file for predictions that cannot be written."""

    def __init__(self, output: Path, found: str) -> None:
        super().__init__(
            f"a place for predictions at {output}",
            found,
            "output= is a CSV file: name one in a folder that you can write to.",
        )


class StoreUnwritableError(AnemiaError):
    """A folder for stored features that cannot be written to."""

    def __init__(self, folder: Path, cause: OSError) -> None:
        super().__init__(
            f"a folder to keep features in, {folder}",
            f"that it cannot be written to ({cause.strerror or cause})",
            "Choose another place with features.dir=FOLDER, or keep none with features.store=false.",
        )


class MemoryExhaustedError(AnemiaError):
    """The device or the machine ran out of memory."""

    def __init__(self, batch_size: int, parts: int) -> None:
        super().__init__(
            f"memory for {batch_size} photos per step in {parts} part(s)",
            "too little of it",
            "Lower data.batch_size, or raise trainer.accumulate_grad_batches, which keeps the result the same.",
        )


class ArmFailedError(AnemiaError):
    """An arm of the speed comparison that ended before its time."""

    keeps_run = True

    def __init__(self, name: str, exit_code: int, log: Path) -> None:
        lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() if log.is_file() else []
        last = f": {lines[-1]}" if lines else ""
        super().__init__(
            f"the end of {name}",
            f"exit code {exit_code}{last}",
            f"See {log}; what was measured before is kept.",
        )


class RunNotFoundError(AnemiaError):
    """A run to resume or evaluate that is not there."""

    def __init__(self, named: str, missing: str) -> None:
        super().__init__(
            f"the run {named}", f"no {missing}", "Name a run folder, such as logs/train/runs/2026-01-31_12-00-00-abcd."
        )


class RunInUseError(AnemiaError):
    """A run folder in which another process is working."""

    def __init__(self, folder: Path) -> None:
        super().__init__(
            f"a run folder that this command has to itself: {folder}",
            "another process at work in it",
            "Wait for its end, or name another folder.",
        )


class UnfinishedRunError(AnemiaError):
    """A run whose model is not final yet, where a finished one is needed."""

    def __init__(self, run: Path, unfinished: Sequence[Path]) -> None:
        self.unfinished = list(unfinished)
        super().__init__(
            f"a finished run at {run}",
            f"no end of {_first([each.name for each in unfinished])}",
            f"Finish it with resume={run}, or name another.",
        )


class DecisionMissingError(AnemiaError):
    """A finished fold of a cross-validation whose decision is gone, without which its photos cannot be judged."""

    def __init__(self, file: Path) -> None:
        fold = file.parent
        super().__init__(
            f"how the model of {fold.name} decides",
            f"no {file}",
            f"Put the file back, or remove {fold} and train it again with resume={fold.parent.parent}.",
        )


class SettingsChangedError(AnemiaError):
    """A run that is to be continued with other settings than it was begun with, but would then be neither's.

    Args:
        run: Its folder.
        changed: Which settings.
        instead: What the user may do who wants these.
    """

    def __init__(self, run: Path, changed: Sequence[str], *, instead: str) -> None:
        self.changed = list(changed)
        super().__init__(
            f"the settings that {run} was begun with, as its config_resolved.yaml has them",
            f"another {_first(changed)}",
            f"Leave these as they were, or {instead}.",
        )


class MixedWeightsError(AnemiaError):
    """Folds of one cross-validation that started from different weights."""

    def __init__(self, run: Path, fold: str, other: str) -> None:
        super().__init__(
            f"folds of {run} that all started from the same weights",
            f"that {other} started from others than {fold}, as the run.json of both says",
            "Remove the folder of the one that is wrong and continue with resume=: that fold trains anew.",
        )


class ConditionsChangedError(AnemiaError):
    """A speed comparison that is to go on under other conditions than it was begun under.

    Args:
        run: Its folder.
        changed: What is another one now.
    """

    def __init__(self, run: Path, changed: Sequence[str]) -> None:
        super().__init__(
            f"the machine, the libraries and the photographs that {run} was begun with",
            f"another {_first(changed)}",
            "Times under both cannot be compared: go on under those of the start, or start anew in another folder.",
        )


class SourceError(AnemiaError):
    """A data folder or table that is not laid out as its source expects."""


class UnionPartError(AnemiaError):
    """What one of a union's sources says, whose settings have other names there."""

    def __init__(self, name: str, error: AnemiaError) -> None:
        self._message = str(error)
        change = (
            f"In this union, data.root of {name} is data.roots.{name}, "
            f"and its other settings are below data.parts.{name}."
        )
        super().__init__(error.sought, error.found, change)

    def __str__(self) -> str:
        return f"{self._message} {self.change}"


_MOST_PLACES = 20
_MOST_LINES = 200


class Fault(NamedTuple):
    """Something wrong in a table of photos, and all the places where it is."""

    what: str
    places: list[str]

    def __str__(self) -> str:
        if not self.places:
            return self.what
        hidden = len(self.places) - _MOST_PLACES
        more = f" and {hidden} more" if hidden > 0 else ""
        return f"{self.what}: {', '.join(self.places[:_MOST_PLACES])}{more}"


class ManifestError(AnemiaError):
    """Faults in a table of photos, all of them at once.

    Args:
        faults: What is wrong.
        otherwise: What can be done in place of mending the data, as words that follow an "or"; "" for nothing.
    """

    def __init__(self, faults: Sequence[Fault], *, otherwise: str = "") -> None:
        self.faults = list(faults)
        change = f"Mend this in the data, or {otherwise}." if otherwise else "Mend this in the data, and start again."
        super().__init__("photos and entries to work with", "; ".join(map(str, faults)), change)


class PhotoUnreadable(AnemiaError):  # noqa: N818 (what the photo is, as `Unreadable` lists it)
    """A photograph that cannot be decoded whole; `code` is stable, `reason` is for people."""

    def __init__(self, path: Path, code: str, reason: str) -> None:
        self.code = code
        self.reason = reason
        super().__init__(f"a photograph in {path}", reason, "Give a whole JPEG, PNG or WebP file.")


class UnreadablePhotosError(AnemiaError):
    """Photographs that cannot be used: in one report, beyond 200 as numbers by code.

    Args:
        unreadable: Each as (photo, path, code, reason).
        change: What to change; the photographs follow it, after a colon.
        is_none_left: Whether there is no other photograph, so that there is nothing to audit either.
    """

    def __init__(
        self, unreadable: Sequence[tuple[str, str, str, str]], *, change: str, is_none_left: bool = False
    ) -> None:
        self.unreadable = list(unreadable)
        self.is_none_left = is_none_left
        super().__init__("photographs that can be decoded", f"{len(self.unreadable)} that cannot", f"{change}:")

    def __str__(self) -> str:
        shown, hidden = self.unreadable[:_MOST_LINES], self.unreadable[_MOST_LINES:]
        lines = [f"  {photo}: {code}, {reason} ({path})" for photo, path, code, reason in shown]
        if hidden:
            counts = Counter(code for _, _, code, _ in hidden).most_common()
            codes = ", ".join(f"{code} {count:,}" for code, count in counts)
            where = "" if self.is_none_left else "; audit.json, which the command audit leaves, lists all"
            lines.append(f"  and {len(hidden):,} more: {codes}{where}")
        return "\n".join([super().__str__(), *lines])


class DataChangedError(AnemiaError):
    """A run whose photographs are no longer what they were."""

    def __init__(self, run: Path, root: str) -> None:
        super().__init__(
            f"the photographs of {run.name} below {root}",
            "others: ids, labels, patients or contents differ",
            "Restore the data, and the settings that label and group them; or start a new run on the new data, "
            "or score the model on them with ckpt=FILE data=….",
        )


class PhotoChangedError(AnemiaError):
    """A photograph whose file, or that of its mask, is no longer what it was when the command began."""

    def __init__(self, path: str, *, mask: str = "") -> None:
        masked = f" with its mask {mask}" if mask else ""
        super().__init__(
            f"the photograph {path}{masked} as it was when this command began",
            "another file in its place",
            "Leave photographs alone while a command uses them; start the command again, and it reads them anew.",
        )


class NoPhotosError(AnemiaError):
    """A place to predict from that holds no photograph."""

    def __init__(self, source: Path) -> None:
        found = "none" if source.exists() else "nothing there"
        super().__init__(f"photographs at {source}", found, "Give a photograph or a folder with source=….")


class TooManyPartsError(AnemiaError):
    """Optimizer steps with fewer photos than the ranks and accumulated batches among which they are dealt."""

    def __init__(self, parts: int, *, photos: int, batch_size: int) -> None:
        super().__init__(
            f"a photo for each of the {parts} parts of an optimizer step (devices x accumulated batches)",
            f"{photos} training photos in steps of {batch_size}",
            "Lower trainer.devices or trainer.accumulate_grad_batches, or raise data.batch_size.",
        )


class TooManyDevicesError(AnemiaError):
    """Fewer validation photos than ranks that share them: one without any would be waited for for ever."""

    def __init__(self, devices: int, *, photos: int) -> None:
        super().__init__(
            f"a validation photo for each of {devices} devices",
            f"{photos} validation photos",
            "Lower trainer.devices or trainer.num_nodes, or raise split.fractions.val.",
        )


class WorkerError(AnemiaError):
    """What another class of ours said in a worker process of a loader.

    Torch rebuilds a worker's exception from one text, the traceback, which ends with the class and its message.
    """

    def __init__(self, told: str) -> None:
        self._message = told.rpartition(f"{type(self).__name__}: ")[2].strip()
        super().__init__("photos, in a worker process", "none", self._message)

    def __str__(self) -> str:
        return self._message


class NoRunsError(AnemiaError):
    """Folders or patterns that lead to no run."""

    def __init__(self, named: str, found: str) -> None:
        super().__init__(
            f"runs at {named}",
            found,
            "Give runs= folders of training runs, cross-validations, evaluations or sweeps, or a pattern in quotation "
            "marks, such as 'runs=logs/train/runs/*'.",
        )


class NothingToCompareError(AnemiaError):
    """Runs none of which has come to its scores."""

    def __init__(self, reasons: Mapping[str, str]) -> None:
        said = [f"{name}: {reason.rstrip('.')}" for name, reason in reasons.items()]
        super().__init__(
            "a run with predictions and scores",
            f"{len(said)} without: {_some(said)}",
            "Name finished runs, or finish these with resume=FOLDER.",
        )


class CompilerMissingError(AnemiaError):
    """A system on which torch can compile nothing."""

    def __init__(self, found: str) -> None:
        super().__init__(
            "a compiler for features.compile=true",
            f"what torch says: {found.rstrip('.')}",
            "Install one (a C++ compiler such as g++; for a GPU also Triton), or leave features.compile=false, "
            "as by default.",
        )


class EngineUnavailableError(AnemiaError):
    """An engine for predictions whose packages are not installed."""

    def __init__(self, name: str, missing: Sequence[str], extra: str) -> None:
        super().__init__(
            f"what engine={name} needs",
            f"no {' and no '.join(missing)}",
            f"Install it with pip install 'anemia-lightning[{extra}]', or leave engine=auto, which needs nothing more.",
        )
