"""Workers do what they are given and end with the command, however it ends."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from anemia_lightning.machine.worker_processes import worker_processes

COMMAND = """
import os, signal, sys, time
from pathlib import Path
from anemia_lightning.machine.worker_processes import worker_processes

def work(place, _):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    Path(place, f"{os.getpid()}.pid").touch()
    time.sleep(600)

def stop(*_):
    raise SystemExit(143)

if __name__ == "__main__":
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with worker_processes(2) as pool:
        tasks = [pool.submit(work, sys.argv[1], bytes(1 << 20)) for _ in range(5)]
        tasks[0].result()
"""
PATIENCE_S = 120


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and that nobody has waited for does not."""
    try:
        os.kill(pid, 0)
        stat = Path(f"/proc/{pid}/stat")
        return not stat.is_file() or stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def wait_until(what: object) -> None:
    """Waits until a condition holds; fails when patience ends, long before the workers would end by themselves."""
    assert callable(what)
    end = time.monotonic() + PATIENCE_S
    while not what():
        assert time.monotonic() < end
        time.sleep(0.05)


def square(number: int) -> int:
    return number**2


def refuse(number: int) -> int:
    raise ValueError(number)


def sleep(_: int) -> None:
    time.sleep(600)


def fail_beside_one_that_sleeps() -> None:
    with worker_processes(2) as pool:
        pool.submit(sleep, 0)
        pool.submit(refuse, 7).result()


def test_work_is_done_in_other_processes() -> None:
    with worker_processes(2) as pool:
        assert [pool.submit(square, number).result() for number in range(5)] == [0, 1, 4, 9, 16]
        assert pool.submit(os.getpid).result() != os.getpid()


def is_left_to_others(signum: int) -> bool:
    return signal.getsignal(signum) == signal.SIG_IGN


def test_workers_leave_it_to_the_command_what_becomes_of_a_warning_that_time_runs_out() -> None:
    with worker_processes(1) as pool:
        assert pool.submit(is_left_to_others, signal.SIGUSR1).result()


def test_what_a_worker_raises_is_raised_here_and_the_others_end() -> None:
    start = time.monotonic()
    with pytest.raises(ValueError, match="7"):
        fail_beside_one_that_sleeps()
    assert time.monotonic() - start < PATIENCE_S


@pytest.mark.parametrize(
    ("send", "signum", "code"),
    [
        (os.kill, signal.SIGTERM, 143),
        (os.kill, signal.SIGINT, -signal.SIGINT),
        # As a terminal does.
        (os.killpg, signal.SIGINT, -signal.SIGINT),
        (os.kill, signal.SIGKILL, -signal.SIGKILL),
    ],
)
def test_workers_end_with_the_command(
    send: Callable[[int, int], None], signum: signal.Signals, code: int, tmp_path: Path
) -> None:
    script = tmp_path / "command.py"
    script.write_text(COMMAND)
    begun = tmp_path / "begun"
    begun.mkdir()
    command = subprocess.Popen(
        [sys.executable, str(script), str(begun)], stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        wait_until(lambda: len(list(begun.iterdir())) == 2)
        workers = [int(file.stem) for file in begun.iterdir()]
        assert all(is_alive(pid) for pid in workers)
        send(command.pid, signum)
        assert command.wait(timeout=PATIENCE_S) == code
        wait_until(lambda: not any(is_alive(pid) for pid in workers))
        assert len(list(begun.iterdir())) == 2
    finally:
        with suppress(ProcessLookupError):
            os.killpg(command.pid, signal.SIGKILL)
        command.wait()


FOLLOWER = """
import time
from anemia_lightning.machine.worker_processes import end_with_parent
end_with_parent()
print("follows", flush=True)
time.sleep(600)
"""


def test_what_a_killed_command_started_ends_soon(tmp_path: Path) -> None:
    start = "import subprocess, sys, time; print(subprocess.Popen([sys.executable, '-c', sys.argv[1]]).pid, flush=True)"
    parent = subprocess.Popen(
        [sys.executable, "-c", f"{start}; time.sleep(600)", FOLLOWER],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    assert parent.stdout.readline() == "follows\n"
    assert is_alive(child)
    parent.kill()
    parent.wait()
    wait_until(lambda: not is_alive(child))
    parent.stdout.close()
