"""Asking for help must not cost the import of a deep-learning framework, nor ending a command a look at all of it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[1]
HEAVY = ("torch", "lightning", "sklearn", "pandas", "matplotlib")
VERBS = ("audit", "train", "crossval", "evaluate", "predict", "compare", "cache", "benchmark")

ASK_AND_TELL = """
import importlib, sys
command = importlib.import_module("anemia_lightning." + sys.argv[1])
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


def run(script: str, *arguments: str, cwd: Path) -> tuple[str, set[str]]:
    """Runs a script in a fresh interpreter; returns what it printed and the modules it imported."""
    path = os.pathsep.join(filter(None, [str(CHECKOUT), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    printed, imported = done.stdout.rsplit("imported:", 1)
    return printed, set(imported.split())


@pytest.mark.parametrize("verb", VERBS)
def test_version_help_and_settings_load_nothing_heavy_and_leave_nothing_behind(verb: str, tmp_path: Path) -> None:
    from anemia_lightning import __version__

    printed, imported = run(ASK_AND_TELL, verb, cwd=tmp_path)
    version, usage, settings = re.split(r"^asked: .*\n", printed, flags=re.MULTILINE)[1:]
    assert version == f"anemia_lightning {__version__}\n"
    assert f"{verb} is powered by Hydra." in usage
    assert f"verb: {verb}" in settings
    assert "hydra" in imported
    assert imported.isdisjoint(HEAVY)
    assert list(tmp_path.iterdir()) == []


def test_what_every_command_imports_is_light(tmp_path: Path) -> None:
    modules = ("", ".errors", ".command_line.settings_check", ".command_line.cli", ".wiring")
    _, imported = run(IMPORT_AND_TELL, *(f"anemia_lightning{module}" for module in modules), cwd=tmp_path)
    assert {f"anemia_lightning{module}" for module in modules} <= imported
    assert imported.isdisjoint(HEAVY)


@pytest.mark.parametrize(
    ("module", "unused"),
    [
        # Each is what a command imports for its work; what trains nothing needs no Lightning, what only looks no torch.
        ("caching", ("lightning", "torchmetrics", "torchvision", "pandas", "scipy", "matplotlib")),
        ("auditing.audit_data", ("lightning", "torch", "torchvision", "torchmetrics", "matplotlib")),
        ("comparing.comparison", ("lightning", "torch", "torchvision", "torchmetrics")),
        ("fitting.training", ("jinja2", "tensorboard")),
        (
            "evaluating.prediction",
            ("lightning", "torchmetrics", "scipy.stats", "sklearn", "matplotlib", "jinja2", "onnx", "onnxruntime"),
        ),
    ],
)
def test_a_command_imports_what_it_uses(module: str, unused: tuple[str, ...], tmp_path: Path) -> None:
    _, imported = run(IMPORT_AND_TELL, f"anemia_lightning.{module}", cwd=tmp_path)
    assert f"anemia_lightning.{module}" in imported
    assert imported.isdisjoint(unused)


def test_a_heavy_import_would_be_seen(tmp_path: Path) -> None:
    _, imported = run(IMPORT_AND_TELL, "pandas", cwd=tmp_path)
    assert imported & set(HEAVY) == {"pandas"}


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
