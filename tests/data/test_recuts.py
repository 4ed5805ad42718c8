"""How many processes compare, and whether they live, changes nothing of what is found."""

import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from anemia_lightning.data import recuts
from anemia_lightning.data.fingerprints import Fingerprint, take_fingerprint
from anemia_lightning.data.recuts import compare_cuts
from anemia_lightning.data.sources.drawing import MIDDLE_A, draw_conjunctiva
from anemia_lightning.randomness import stream

SCRIPT = """
import pickle, sys
from pathlib import Path
from anemia_lightning.data import recuts

print("begun")
recuts.FEW_PAIRS = 0
print(len(recuts.compare_cuts(pickle.loads(Path(sys.argv[1], "prints").read_bytes()), processes=2)), "pairs")
"""


@pytest.fixture(scope="module")
def prints() -> list[Fingerprint]:
    """Of 24 drawn photographs: more than a hundred pairs are worth comparing."""
    streams = (stream("a person for the tests of cut-outs", number) for number in range(24))
    return [take_fingerprint(draw_conjunctiva(MIDDLE_A, float(rng.uniform(0.4, 1.1)), rng)) for rng in streams]


@pytest.fixture(scope="module")
def alone(prints: list[Fingerprint]) -> pd.DataFrame:
    return compare_cuts(prints, processes=1)


@pytest.fixture(autouse=True)
def however_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recuts, "FEW_PAIRS", 0)
    monkeypatch.setattr(recuts, "_PAIRS_AT_ONCE", 16)


@pytest.mark.parametrize("processes", [2, 3])
def test_processes_find_what_one_finds(prints: list[Fingerprint], alone: pd.DataFrame, processes: int) -> None:
    told: list[tuple[str, int, int]] = []
    found = compare_cuts(prints, processes=processes, progress=lambda *call: told.append(call))
    pd.testing.assert_frame_equal(found, alone, check_exact=True)
    assert told[0] == ("seeking photographs alike", len(prints), len(prints))
    calls = [(done, total) for step, done, total in told if step == "comparing photographs alike"]
    assert len(calls) > 3
    assert calls[-1][0] == calls[-1][1] >= len(found)
    assert [done for done, _ in calls] == sorted({done for done, _ in calls})


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="the system has no /proc to find workers in")
def test_a_worker_that_is_killed_costs_nothing_but_time(prints: list[Fingerprint], alone: pd.DataFrame) -> None:
    killed: list[int] = []

    def kill_one(step: str, *_: int) -> None:
        if step.startswith("comparing") and not killed:
            killed.append(workers()[0])
            os.kill(killed[0], signal.SIGKILL)

    pd.testing.assert_frame_equal(compare_cuts(prints, processes=2, progress=kill_one), alone, check_exact=True)
    assert killed


def workers() -> list[int]:
    """The processes that compare."""
    children = [pid for file in Path("/proc/self/task").glob("*/children") for pid in file.read_text().split()]
    return [int(pid) for pid in children if "popen_loky" in Path(f"/proc/{pid}/cmdline").read_text()]


def test_a_script_without_a_guard_runs_once(prints: list[Fingerprint], alone: pd.DataFrame, tmp_path: Path) -> None:
    (tmp_path / "prints").write_bytes(pickle.dumps(prints))
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path)], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout.splitlines() == ["begun", f"{len(alone)} pairs"]


def test_few_pairs_start_no_process(prints: list[Fingerprint], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recuts, "FEW_PAIRS", 10_000)
    monkeypatch.setattr(recuts, "Parallel", None)
    assert len(compare_cuts(prints, processes=2)) > 0


@pytest.mark.parametrize("count", [0, 1])
def test_nothing_to_compare_is_no_special_case(prints: list[Fingerprint], count: int) -> None:
    found = compare_cuts(prints[:count], processes=2)
    assert found.columns.tolist() == ["first", "second", "score"]
    assert len(found) == 0
    assert found["score"].dtype == np.float64
