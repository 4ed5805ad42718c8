import copy
import pickle
from pathlib import Path

import pytest

from anemia_lightning import errors
from anemia_lightning.errors import (
    AnemiaError,
    CompilerMissingError,
    ConfigError,
    EngineUnavailableError,
    Fault,
    ManifestError,
    MixedWeightsError,
    NothingToCompareError,
    OutputUnwritableError,
    PatientLabelsError,
    PhotoUnreadable,
    SettingsChangedError,
    SplitImpossibleError,
    SplitLeakError,
    TooManyDevicesError,
    TooManyPartsError,
    UnfinishedRunError,
    UnknownNameError,
    UnreadablePhotosError,
    WorkerError,
)

EXAMPLES = [
    AnemiaError("a", "b", "C."),
    ConfigError(["seed must be a whole number.", "seed must be given."]),
    SplitLeakError("patient", ["007", "8"]),
    SplitImpossibleError("val", [1], {0: 3, 1: 1}, is_given=True),
    ManifestError([Fault("photos without a label", ["a.png"])]),
    OutputUnwritableError(Path("/logs"), OSError(13, "Permission denied")),
    PhotoUnreadable(Path("/a.png"), "IMG_EMPTY", "an empty file"),
    UnreadablePhotosError([("a", "/a.png", "IMG_EMPTY", "an empty file")], change="Replace them"),
    UnknownNameError("a backbone", "resnet5", ["resnet50", "resnet18"]),
    TooManyPartsError(8, photos=5, batch_size=32),
    TooManyDevicesError(4, photos=3),
    WorkerError("an empty file"),
    CompilerMissingError("no g++"),
    EngineUnavailableError("onnxruntime", ["onnx"], "onnx"),
    SettingsChangedError(Path("/logs/a"), ["seed"], instead="start anew"),
    MixedWeightsError(Path("/logs/a"), "fold-0", "fold-1"),
    UnfinishedRunError(Path("/logs/a"), [Path("/logs/a/folds/b")]),
]


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_an_error_is_the_same_after_a_journey_to_another_process(error: AnemiaError) -> None:
    for arrived in (pickle.loads(pickle.dumps(error)), copy.deepcopy(error)):
        assert type(arrived) is type(error)
        assert str(arrived) == str(error)
        assert (arrived.sought, arrived.found, arrived.change) == (error.sought, error.found, error.change)
        assert vars(arrived) == vars(error)
        assert arrived.exit_code == 2


def test_every_error_of_ours_is_mendable_by_the_user() -> None:
    ours = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, Exception)]
    assert len(ours) > 10
    assert all(issubclass(each, AnemiaError) for each in ours)


def test_a_worker_error_is_rebuilt_from_the_text_of_a_traceback() -> None:
    told = WorkerError("Looked for a; found b. C: d.")
    text = f"Caught WorkerError in DataLoader worker process 0.\nOriginal Traceback …\nx.errors.WorkerError: {told}\n"
    assert str(WorkerError(text)) == "Looked for a; found b. C: d."


def test_of_many_the_first_are_told_and_the_others_counted() -> None:
    runs = NothingToCompareError({f"run {number}": "it runs still." for number in range(7)})
    assert (
        runs.found == "7 without: " + "; ".join(f"run {number}: it runs still" for number in range(5)) + "; and 2 more"
    )
    assert PatientLabelsError(list("abcde")).found == "both in 5 patients: a; b; c; d; e"
    assert PatientLabelsError(list("abcdef")).found == "both in 6 patients: a; b; c; d; e; and 1 more"
