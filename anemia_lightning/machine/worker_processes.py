"""Processes that work for a command and end with it, however it ends."""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing.connection import wait


@contextmanager
def worker_processes(count: int) -> Iterator[ProcessPoolExecutor]:
    """Opens a pool of processes; leaving it by an exception ends them at once, whatever they are at.

    Workers leave Ctrl-C, and the warning that time is running out (SIGUSR1), to this process. One whose parent is
    killed ends too: it would otherwise go on for hours, and write into files that a resumed command writes into.

    Args:
        count: How many, at most; each is started when there is work for it.
    """
    # A process that was forked from one with running threads can stand still for ever.
    context = multiprocessing.get_context("spawn")
    others = set(multiprocessing.active_children())
    with ProcessPoolExecutor(count, mp_context=context, initializer=_follow_parent) as pool:
        try:
            yield pool
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            # Lightning takes SIGTERM as a wish, and the worker would begin what waits for it next.
            for worker in set(multiprocessing.active_children()) - others:
                worker.kill()
            raise


def end_with_parent() -> None:
    """Ends this process, however busy, soon after the one that started it has ended: for what `subprocess` started."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _follow_parent() -> None:
    for signum in (signal.SIGINT, signal.SIGUSR1):
        signal.signal(signum, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)
