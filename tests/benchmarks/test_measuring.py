"""What a child process costs is seen: its time, that of its own children, and its memory at the highest."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from anemia_lightning.benchmarks import measuring
from anemia_lightning.benchmarks.measuring import Laps, cpu_seconds, folder_bytes, run_child

BURN = "import time\nwhile time.process_time() < {seconds}: pass\n"
NEEDS_PROC = pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="the system has no /proc")


def test_the_time_of_a_child_and_of_its_children_is_seen(tmp_path: Path) -> None:
    inner = BURN.format(seconds=0.3)
    script = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {inner!r}])\n" + BURN.format(seconds=0.4)
    used = run_child([sys.executable, "-c", script], log=tmp_path / "log")
    assert used.exit_code == 0
    assert 0.7 <= used.cpu_s < 5
    assert used.wall_s >= 0.4


def test_sleeping_takes_no_cpu_time(tmp_path: Path) -> None:
    used = run_child([sys.executable, "-S", "-c", "import time; time.sleep(1)"], log=tmp_path / "log")
    assert used.wall_s >= 1
    assert used.cpu_s < 0.5


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks at a child's memory ten times as often, so that it need not live for seconds to be seen."""
    monkeypatch.setattr(measuring, "_SAMPLE_S", 0.02)


@NEEDS_PROC
@pytest.mark.usefixtures("often")
def test_the_highest_memory_is_seen_although_it_is_given_back(tmp_path: Path) -> None:
    script = "import time\nheld = b'x' * (200 << 20)\ntime.sleep(0.6)\ndel held\ntime.sleep(0.2)\n"
    used = run_child([sys.executable, "-c", script], log=tmp_path / "log")
    assert used.peak_anonymous_bytes is not None
    assert 200 << 20 <= used.peak_anonymous_bytes < 280 << 20
    assert 200 << 20 <= used.peak_rss_bytes < 320 << 20


@NEEDS_PROC
@pytest.mark.usefixtures("often")
def test_memory_that_a_forked_child_shares_counts_once_and_its_own_too(tmp_path: Path) -> None:
    script = """
import os, time
held = b"x" * (200 << 20)
if os.fork():
    os.wait()
else:
    own = b"y" * (100 << 20)
    time.sleep(0.8)
"""
    used = run_child([sys.executable, "-c", script], log=tmp_path / "log")
    assert used.peak_anonymous_bytes is not None
    assert 300 << 20 <= used.peak_anonymous_bytes < 400 << 20


@NEEDS_PROC
def test_what_others_take_meanwhile_is_seen(tmp_path: Path) -> None:
    sleep = [sys.executable, "-S", "-c", "import time; time.sleep(1.5)"]
    busy = subprocess.Popen([sys.executable, "-S", "-c", BURN.format(seconds=60)])
    try:
        beside = run_child(sleep, log=tmp_path / "log").others_share
    finally:
        busy.kill()
        busy.wait()
    assert beside is not None
    # One of so many processors, unless these all had more to do than that.
    assert 0.4 / (os.cpu_count() or 1) < beside <= 1.05


def test_what_a_child_prints_and_how_it_ends_is_kept(tmp_path: Path) -> None:
    used = run_child([sys.executable, "-c", "print('said'); raise SystemExit(3)"], log=tmp_path / "log")
    assert used.exit_code == 3
    assert (tmp_path / "log").read_text() == "said\n"


def test_a_child_that_is_killed_has_a_negative_code(tmp_path: Path) -> None:
    used = run_child([sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"], log=tmp_path / "log")
    assert used.exit_code == -9


def test_laps_add_up_to_what_was_used() -> None:
    before = cpu_seconds()
    laps = Laps()
    for name in ("one", "two"):
        start = cpu_seconds()
        while cpu_seconds() < start + 0.05:
            pass
        laps(name)
    assert [lap["name"] for lap in laps.parts] == ["one", "two"]
    spent = sum(float(lap["cpu_s"]) for lap in laps.parts)
    assert 0.1 <= spent <= cpu_seconds() - before


def test_the_bytes_of_a_folder_are_those_of_its_files(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "one").write_bytes(b"x" * 10)
    (tmp_path / "a" / "b" / "two").write_bytes(b"x" * 5)
    assert folder_bytes(tmp_path / "a") == 15
    assert folder_bytes(tmp_path / "none") == 0
