"""A run folder that one process has to itself."""

import errno
import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from anemia_lightning.errors import RunInUseError
from anemia_lightning.files.held_folder import held_folder

HOLD = """
import os, signal, sys
from pathlib import Path
from anemia_lightning.files.held_folder import held_folder

with held_folder(Path(sys.argv[1])):
    if os.fork() == 0:
        signal.pause()  # a worker that has not noticed yet that its process was killed
    print("held", flush=True)
    signal.pause()
"""


@contextmanager
def another_process(folder: Path) -> Iterator["subprocess.Popen[str]"]:
    """Holds a folder in a process that has a worker."""
    command = [sys.executable, "-c", HOLD, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            os.killpg(process.pid, signal.SIGKILL)


def test_one_process_at_a_time_works_in_a_folder(tmp_path: Path) -> None:
    with another_process(tmp_path) as process:
        with pytest.raises(RunInUseError, match="found another process at work in it"), held_folder(tmp_path):
            pass
        process.kill()
        process.wait()
        with held_folder(tmp_path):
            os.killpg(process.pid, 0)  # its worker is still there
    with another_process(tmp_path):
        pass


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_where_there_are_no_locks_nobody_is_kept_out(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "lockf", refuse)
    with held_folder(tmp_path):
        pass
