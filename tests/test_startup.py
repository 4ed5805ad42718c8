"""Asking for help must not cost the import of a deep-learning framework, nor ending a command a look at all of it."""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[1]
HEAVY = ("torch", "lightning", "sklearn", "pandas", "matplotlib")
VERBS = ("audit", "train", "crossval", "evaluate", "predict", "compare", "cache", "benchmark")

ASK_AND_TELL = """
import importlib, sys
for verb in sys.argv[1:]:
    command = importlib.import_module("anemia_lightning." + verb)
    for question in (["--version"], ["--help"], ["--cfg", "job"]):
        print("asked:", *question)
        sys.argv = [command.__name__, *question]
        try:
            command.main()
        except SystemExit as end:
            assert not end.code, end.code
    print("imported:", *sys.modules)
"""

IMPORT_AND_TELL = """
import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
    print("imported:", *sys.modules)
"""

REFUSE_AND_TELL = """
from anemia_lightning.train import main
sys.argv = ["anemia-train", "data=folder", "data.root=nowhere", "data.positive_class=x"]
try:
    main()
except SystemExit as end:
    print("ended with", end.code)
print("imported:", *sys.modules)
"""


@dataclass(frozen=True)
class Told:
    """What a script printed between two lists of the modules it had imported, and the second."""

    printed: str
    imported: set[str]


def run(script: str, *arguments: str, cwd: Path) -> tuple[list[Told], str]:
    """Runs a script in a fresh interpreter; returns what it told, part by part, and what it complained of."""
    path = os.pathsep.join(filter(None, [str(CHECKOUT), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    parts = re.findall(r"(.*?)^imported:(.*?)\n", done.stdout, flags=re.MULTILINE | re.DOTALL)
    return [Told(printed, set(imported.split())) for printed, imported in parts], done.stderr


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Told]:
    """What each command answers, one after the other in one interpreter: none may have imported what is heavy."""
    folder = tmp_path_factory.mktemp("asked")
    told, _ = run(ASK_AND_TELL, *VERBS, cwd=folder)
    assert list(folder.iterdir()) == [], "they leave nothing behind"
    return dict(zip(VERBS, told, strict=True))


@pytest.mark.parametrize("verb", VERBS)
def test_version_help_and_settings_load_nothing_heavy_and_leave_nothing_behind(
    verb: str, asked: dict[str, Told]
) -> None:
    from anemia_lightning import __version__

    version, usage, settings = re.split(r"^asked: .*\n", asked[verb].printed, flags=re.MULTILINE)[1:]
    assert version == f"anemia_lightning {__version__}\n"
    assert f"{verb} is powered by Hydra." in usage
    assert f"verb: {verb}" in settings
    assert {"hydra", f"anemia_lightning.{verb}"} <= asked[verb].imported
    assert asked[verb].imported.isdisjoint(HEAVY)


def test_what_every_command_imports_is_light(tmp_path: Path) -> None:
    modules = ("", ".errors", ".command_line.settings_check", ".command_line.cli", ".wiring")
    told, _ = run(IMPORT_AND_TELL, *(f"anemia_lightning{module}" for module in modules), cwd=tmp_path)
    assert {f"anemia_lightning{module}" for module in modules} <= told[-1].imported
    assert told[-1].imported.isdisjoint(HEAVY)


# What only looks needs no torch, what only keeps no table.
LOOKING = {
    "auditing.audit_data": ("lightning", "torch", "torchvision", "torchmetrics", "matplotlib"),
    "comparing.comparison": ("lightning", "torch", "torchvision", "torchmetrics"),
}
KEEPING = {"caching": ("lightning", "torchmetrics", "torchvision", "pandas", "scipy", "matplotlib")}
# A worker process needs no more than reading does, what trains nothing no Lightning, and no fit waits for a report.
TRAINING = {
    "data.dataset": ("lightning", "sklearn", "matplotlib", "hydra"),
    "evaluating.prediction": (
        *("lightning", "torchmetrics", "scipy.stats", "sklearn", "matplotlib", "jinja2", "onnx", "onnxruntime"),
    ),
    "fitting.training": ("jinja2", "tensorboard"),
}


@pytest.mark.parametrize("chain", [LOOKING, KEEPING], ids=", ".join)
def test_a_command_imports_what_it_uses(chain: dict[str, tuple[str, ...]], tmp_path: Path) -> None:
    told, _ = run(IMPORT_AND_TELL, *(f"anemia_lightning.{module}" for module in chain), cwd=tmp_path)
    assert_unused(chain, told)


def test_a_refusal_is_the_whole_answer_of_a_process_that_imports_what_it_uses(tmp_path: Path) -> None:
    *before, _ = TRAINING
    told, complained = run(
        IMPORT_AND_TELL + REFUSE_AND_TELL, *(f"anemia_lightning.{module}" for module in before), cwd=tmp_path
    )
    assert_unused(TRAINING, told)
    assert told[-1].printed == "ended with 2\n"
    (line,) = complained.splitlines()
    assert "nowhere" in line
    assert not list(tmp_path.glob("logs/train/*/*"))


def assert_unused(chain: dict[str, tuple[str, ...]], told: list[Told]) -> None:
    """Asserts what modules do not import that were imported one after the other, the lightest first."""
    for (module, unused), each in zip(chain.items(), told, strict=True):
        assert f"anemia_lightning.{module}" in each.imported
        assert each.imported.isdisjoint(unused), module


def test_a_heavy_import_would_be_seen(tmp_path: Path) -> None:
    told, _ = run(IMPORT_AND_TELL, "pandas", cwd=tmp_path)
    assert told[0].imported & set(HEAVY) == {"pandas"}


END_AND_TELL = """
import atexit, gc, sys
atexit.register(lambda: print("left alone:", gc.get_freeze_count() > 10 * len(gc.get_objects())))
from anemia_lightning.train import main
sys.argv = ["train", "--cfg", "job"]
main()
"""


def test_the_end_of_a_command_does_not_look_for_cycles_among_all_objects(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", END_AND_TELL],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.endswith("left alone: True\n")
