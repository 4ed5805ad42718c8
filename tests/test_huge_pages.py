"""Torch asks Linux for large pages where a command runs it, and nowhere that was not told to."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from anemia_lightning.huge_pages import VARIABLE, ask_for_huge_pages, plain_environment

SMAPS = Path("/proc/self/smaps")
NEEDS_SMAPS = pytest.mark.skipif(
    not SMAPS.is_file() or not Path("/sys/kernel/mm/transparent_hugepage").is_dir(),
    reason="the system has no large pages, or does not tell",
)

COMMAND = "import sys; sys.argv[1:] = ['--version']; from anemia_lightning.train import main; main()"
TELL = """
import re, torch
held = torch.ones(1 << 24)
start = held.data_ptr()
flags = ""
for line in open("/proc/self/smaps"):
    if found := re.match("([0-9a-f]+)-([0-9a-f]+) ", line):
        inside = int(found[1], 16) <= start < int(found[2], 16)
    elif inside and line.startswith("VmFlags:"):
        flags = line
print("asked" if " hg" in flags else "never asked" if flags else "not found")
"""


def told_by_a_process(first: str, environment: dict[str, str]) -> str:
    command = [sys.executable, "-c", f"{first}\n{TELL}"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[-1]


@NEEDS_SMAPS
def test_a_command_asks_for_the_buffers_of_torch() -> None:
    assert told_by_a_process(COMMAND, plain_environment()) == "asked"


@NEEDS_SMAPS
def test_a_plain_program_does_not() -> None:
    assert told_by_a_process("", plain_environment()) == "never asked"


@NEEDS_SMAPS
def test_the_user_can_say_no() -> None:
    assert told_by_a_process(COMMAND, plain_environment() | {VARIABLE: "0"}) == "never asked"


def test_what_the_environment_says_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "0")
    ask_for_huge_pages()
    assert os.environ[VARIABLE] == "0"
    assert VARIABLE not in plain_environment()
    monkeypatch.delenv(VARIABLE)
    ask_for_huge_pages()
    assert os.environ[VARIABLE] == "1"
    assert plain_environment() == {name: value for name, value in os.environ.items() if name != VARIABLE}
