"""What a process costs: wall time, CPU time and memory of it and of all that it starts."""

import os
import platform
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

_PROC = Path("/proc")
_SAMPLE_S = 0.2
_SAMPLES_PER_SEARCH = 5


@dataclass(frozen=True)
class Use:
    """What a child process has used, from its start to its end."""

    exit_code: int
    wall_s: float
    cpu_s: float
    """User and system time of the child and of the processes that it has waited for."""
    peak_rss_bytes: int
    """Largest resident memory of any one of these processes, files that are mapped into it included."""
    peak_anonymous_bytes: int | None
    """Largest sum of their anonymous memory, pages that they share counted once; None where there is no /proc."""
    load_before: float
    """Processes that wanted to run in the minute before, as in /proc/loadavg."""
    others_share: float | None
    """Share of all processors' time that was taken by others meanwhile; None where there is no /proc."""


def run_child(command: Sequence[str], *, log: Path) -> Use:
    """Runs a command and measures it; a child that is still there when we are interrupted is ended.

    Args:
        command: What to run.
        log: Receives what it prints.
    """
    load, busy = machine_load(), _busy_seconds()
    started = time.perf_counter()
    with log.open("ab") as output:
        child = subprocess.Popen(  # noqa: S603  our own interpreter and modules
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
    with _Memory(child.pid) as memory:
        try:
            _, status, used = os.wait4(child.pid, 0)
            wall = time.perf_counter() - started
        except BaseException:
            child.terminate()
            child.wait()
            raise
    child.returncode = os.waitstatus_to_exitcode(status)
    cpu, busy_since = used.ru_utime + used.ru_stime, _busy_seconds()
    others = None if busy is None or busy_since is None else max(0.0, busy_since - busy - cpu)
    return Use(
        exit_code=child.returncode,
        wall_s=wall,
        cpu_s=cpu,
        # The system's own figure starts from what we hold ourselves, for the child was once a copy of us.
        peak_rss_bytes=memory.peak_rss or used.ru_maxrss * (1 if sys.platform == "darwin" else 1024),
        peak_anonymous_bytes=memory.peak_anonymous or None,
        load_before=load,
        others_share=None if others is None else others / wall / (os.cpu_count() or 1),
    )


def cpu_seconds() -> float:
    """Returns the CPU time of this process, of those it has waited for and, where /proc tells, of those that live."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    ticks = sum(sum(_stat(pid)[1:]) for pid in _descendants(os.getpid()))
    return sum(each.ru_utime + each.ru_stime for each in used) + ticks / os.sysconf("SC_CLK_TCK")


@dataclass
class Laps:
    """Clocks of the parts of one process: each call ends a part."""

    parts: list[dict[str, str | float]] = field(default_factory=list)
    """name, wall_s and cpu_s of each part."""
    _wall: float = field(default_factory=time.perf_counter)
    _cpu: float = field(default_factory=cpu_seconds)

    def __call__(self, name: str) -> None:
        """Ends a part of this name."""
        if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
            torch.cuda.synchronize()
        wall, cpu = time.perf_counter(), cpu_seconds()
        self.parts.append({"name": name, "wall_s": wall - self._wall, "cpu_s": cpu - self._cpu})
        self._wall, self._cpu = wall, cpu


def machine() -> dict[str, Any]:
    """Returns what tells one machine from another: its name, its processors, and its GPU where there is one."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {"name": platform.node(), "processor": _processor(), "processors": os.cpu_count(), "gpu": gpu}


def _processor() -> str:
    try:
        lines = (_PROC / "cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def machine_load() -> float:
    """Returns how many processes wanted to run, over the last minute; 0 where the system does not tell."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0


def _busy_seconds() -> float | None:
    """Returns how long all processors have worked, or were taken from us, since the start; None without /proc."""
    try:
        ticks = [int(each) for each in (_PROC / "stat").read_text(encoding="ascii").partition("\n")[0].split()[1:9]]
    except (OSError, ValueError):
        return None
    user, nice, system, _idle, _waiting, interrupts, soft_interrupts, stolen = ticks
    return (user + nice + system + interrupts + soft_interrupts + stolen) / os.sysconf("SC_CLK_TCK")


def folder_bytes(folder: Path) -> int:
    """Returns what the files below a folder hold; 0 if it is not there."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


class _Memory:
    """Looks, in a thread, at the memory of a process and its descendants while it is open."""

    def __init__(self, pid: int) -> None:
        self.peak_anonymous = 0
        self.peak_rss = 0
        self._pid = pid
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "_Memory":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        pids = [self._pid]
        while True:
            for _ in range(_SAMPLES_PER_SEARCH):
                self.peak_anonymous = max(self.peak_anonymous, _anonymous_bytes(pids))
                self.peak_rss = max(self.peak_rss, *(_kib(_PROC / str(pid) / "status", "VmHWM:") for pid in pids))
                if self._stop.wait(_SAMPLE_S):
                    return
            pids = [self._pid, *_descendants(self._pid)]


def _anonymous_bytes(pids: Sequence[int]) -> int:
    # The exact share of each of several processes takes the kernel a walk over their pages; one process has a counter.
    if len(pids) == 1:
        return _kib(_PROC / str(pids[0]) / "status", "RssAnon:")
    return sum(_kib(_PROC / str(pid) / "smaps_rollup", "Pss_Anon:") for pid in pids)


def _kib(file: Path, key: str) -> int:
    """Returns the bytes that a line of a file in /proc names; 0 if the process has ended, or there is no such line."""
    try:
        lines = file.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(key)), 0)


def _descendants(pid: int) -> list[int]:
    parents = {int(path.name): _stat(int(path.name))[0] for path in _processes()}
    found: list[int] = []
    generation = [pid]
    while generation:
        generation = [child for child, parent in parents.items() if parent in generation]
        found += generation
    return found


def _processes() -> Iterator[Path]:
    return (path for path in _PROC.glob("[0-9]*")) if _PROC.is_dir() else iter(())


def _stat(pid: int) -> tuple[int, int, int]:
    """Returns a process's parent and its ticks of user and system time; zeros if it has ended."""
    try:
        # The command's name stands in brackets and may hold anything.
        fields = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return 0, 0, 0
    return int(fields[1]), int(fields[11]), int(fields[12])
