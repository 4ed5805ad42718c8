"""Asking for help must not cost the import of a deep-learning framework."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[1]
HEAVY = ("torch", "lightning", "sklearn", "pandas", "matplotlib")
VERBS = ("audit", "train", "crossval", "evaluate", "predict", "compare", "cache", "benchmark")

RUN_AND_TELL = """
import importlib, sys
command = importlib.import_module("anemia_lightning." + sys.argv[1])
sys.argv = [command.__name__, *sys.argv[2:]]
try:
    command.main()
except SystemExit as end:
    assert not end.code, end.code
print("imported:", *sorted({name.split(".")[0] for name in sys.modules}))
"""

IMPORT_AND_TELL = """
import importlib, sys
importlib.import_module(sys.argv[1])
print("imported:", *sorted({name.split(".")[0] for name in sys.modules}))
"""


def run(script: str, *arguments: str, cwd: Path) -> tuple[str, set[str]]:
    """Runs a script in a fresh interpreter; returns what it printed and the top-level modules it imported."""
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
def test_help_loads_nothing_heavy_and_leaves_nothing_behind(verb: str, tmp_path: Path) -> None:
    printed, imported = run(RUN_AND_TELL, verb, "--help", cwd=tmp_path)
    assert f"{verb} is powered by Hydra." in printed
    assert "hydra" in imported
    assert imported.isdisjoint(HEAVY)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("verb", VERBS)
def test_the_version_is_that_of_the_package(verb: str, tmp_path: Path) -> None:
    from anemia_lightning import __version__

    printed, imported = run(RUN_AND_TELL, verb, "--version", cwd=tmp_path)
    assert printed == f"anemia_lightning {__version__}\n"
    assert imported.isdisjoint(HEAVY)


@pytest.mark.parametrize("verb", VERBS)
def test_showing_the_settings_loads_nothing_heavy(verb: str, tmp_path: Path) -> None:
    printed, imported = run(RUN_AND_TELL, verb, "--cfg", "job", cwd=tmp_path)
    assert f"verb: {verb}" in printed
    assert imported.isdisjoint(HEAVY)


@pytest.mark.parametrize("module", ["", ".errors", ".settings", ".settings_check", ".cli"])
def test_what_every_command_imports_is_light(module: str, tmp_path: Path) -> None:
    _, imported = run(IMPORT_AND_TELL, f"anemia_lightning{module}", cwd=tmp_path)
    assert "anemia_lightning" in imported
    assert imported.isdisjoint(HEAVY)


@pytest.mark.parametrize(
    ("module", "unused"),
    [
        # Each is what a command imports for its work; what trains nothing needs no Lightning, what only looks no torch.
        ("caching", ("lightning", "torchmetrics", "torchvision", "pandas", "scipy", "matplotlib")),
        ("auditing", ("lightning", "torch", "torchvision", "torchmetrics", "matplotlib")),
        ("comparing", ("lightning", "torch", "torchvision", "torchmetrics")),
        ("training", ("jinja2", "tensorboard")),
        ("prediction", ("lightning", "torchmetrics", "sklearn", "matplotlib", "jinja2", "onnx", "onnxruntime")),
        ("wiring", HEAVY),
    ],
)
def test_a_command_imports_what_it_uses(module: str, unused: tuple[str, ...], tmp_path: Path) -> None:
    _, imported = run(IMPORT_AND_TELL, f"anemia_lightning.{module}", cwd=tmp_path)
    assert "anemia_lightning" in imported
    assert imported.isdisjoint(unused)


def test_predict_does_not_load_all_of_scipy_stats(tmp_path: Path) -> None:
    code = "import sys, anemia_lightning.prediction; print('imported:', 'scipy.stats' in sys.modules)"
    _, loaded = run(code, cwd=tmp_path)
    assert loaded == {"False"}


def test_a_heavy_import_would_be_seen(tmp_path: Path) -> None:
    _, imported = run(IMPORT_AND_TELL, "pandas", cwd=tmp_path)
    assert imported & set(HEAVY) == {"pandas"}
