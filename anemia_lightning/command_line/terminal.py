"""What a person sees while a command works: a bar for what takes long, and plain lines."""

import logging
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

from tqdm import tqdm

from anemia_lightning.command_line.processes import is_first_process


@contextmanager
def progress_bar(description: str) -> Iterator[Callable[[int, int], None]]:
    """Shows a bar on a terminal, nothing in a log; yields what takes (done, in all)."""
    with tqdm(desc=description, disable=None, leave=False, file=sys.stderr) as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield show


@contextmanager
def step_bars() -> Iterator[Callable[[str, int, int], None]]:
    """Shows a bar for one step at a time; yields what takes (step, done, in all)."""
    with ExitStack() as open_bar:
        shown: dict[str, Callable[[int, int], None]] = {}

        def show(step: str, done: int, total: int) -> None:
            if step not in shown:
                open_bar.close()
                shown.clear()
                shown[step] = open_bar.enter_context(progress_bar(step))
            shown[step](done, total)

        yield show


def say(*lines: str) -> None:
    """Prints lines for the user, in the first process of a distributed run alone."""
    if not is_first_process():
        return
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Returns the rows of a table as lines, with columns that are as wide as their widest cell.

    Example:
        >>> aligned([["run", "photos"], ["first", "7"]])
        ['run    photos', 'first  7']
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def quiet() -> None:
    """Silences what Lightning says about things that are as they should be."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    for message in (
        r"Found \d+ module\(s\) in eval mode",  # frozen BatchNorm
        r".*does not have many workers",  # resolve_workers knows better
        r"Checkpoint directory .* exists and is not empty",  # a resumed run
        r"Be aware that when using `ckpt_path`.*: \['Timer'\]",  # resumed with trainer.max_time=null
        r".*LeafSpec.*",
        r"`broadcast_buffers` is deprecated",  # its successor is not in the oldest torch that we allow
        r"The number of training batches .* is smaller than the logging interval",
    ):
        warnings.filterwarnings("ignore", message=message)
