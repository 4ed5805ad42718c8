"""What a start takes is measured on the real commands, and told apart by package."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from anemia_lightning.benchmarks import startup
from anemia_lightning.errors import ArmFailedError

SMALL = ["model.backbone=resnet18", "data.image_size=32", "trainer=cpu"]


def test_commands_are_measured_in_turns(tmp_path: Path) -> None:
    order = tmp_path / "order.txt"
    (tmp_path / "noted.py").write_text(f"import sys\nopen({str(order)!r}, 'a').write(sys.argv[1])\n")
    log = tmp_path / "log"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(tmp_path))
        rows = startup.measure({"a": ["noted", "a"], "b": ["noted", "b"]}, repeats=3, log=log)
    assert order.read_text() == "ababab"
    assert [row["name"] for row in rows] == ["a", "b"]
    for row in rows:
        low, high = row["wall_range_s"]
        assert 0 < low <= row["wall_s"] <= high
        assert row["cpu_s"] > 0


def test_a_command_that_fails_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArmFailedError, match="gone wrong"):
        startup.measure({"gone wrong": ["json.tool", "nowhere.json"]}, repeats=1, log=tmp_path / "log")


def test_packages_are_told_apart_as_python_lists_them() -> None:
    code = "import json.tool, decimal"
    listing = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", code], capture_output=True, text=True, check=True
    ).stderr
    found = startup.package_times(listing)
    assert found["json"] > 0
    assert found["decimal"] > 0
    # Python's own sums: each outermost import with all that it imported.
    columns = [line.split("|") for line in listing.splitlines() if line.startswith("import time:") and "|" in line]
    outermost = [int(inclusive) for _, inclusive, name in columns if name[1] != " " and inclusive.strip().isdigit()]
    assert found.total() == pytest.approx(sum(outermost) / 1e6, rel=0.02)


@pytest.mark.slow
def test_starts_are_measured_on_the_real_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chosen = ["--only", "predict", "train", "--repeats", "1"]
    assert startup.main([*SMALL, "--folder", str(tmp_path), *chosen]) == 0
    report = json.loads((tmp_path / "startup.json").read_text())
    seconds = {row["name"]: row["wall_s"] for row in report["rows"]}
    assert seconds["train, to its first step"] > seconds["train --help"]
    assert seconds.keys() == {"train --help", "predict --help", "predict, one photo", "train, to its first step"}
    assert "| predict, one photo |" in capsys.readouterr().out
    # The training that was ended at its first step has no checkpoint.
    assert len(list(tmp_path.rglob("best.ckpt"))) == 1
