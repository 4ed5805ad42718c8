"""The engines of the inference comparison, each in a process of its own that computes when it is its turn."""

import multiprocessing
import resource
import sys
import time
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Self, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from anemia_lightning.engines import Build, Engine, build_engine
from anemia_lightning.errors import AnemiaError
from anemia_lightning.model.finished import open_model

Answer = TypeVar("Answer")


@dataclass(frozen=True, kw_only=True)
class Task:
    """What an arm does."""

    engine: str
    precision: str
    checkpoint: Path
    images: Path
    """float32 [N, 3, S, S], as NumPy keeps them: those to compute."""
    range_images: Path
    """Likewise, those that int8 takes its ranges from."""
    models: Path
    """Where the engine keeps what takes long to make; it finds nothing there."""
    batch_size: int
    threads: int


@dataclass(frozen=True)
class Begun:
    """How a process of an arm began."""

    name: str
    begin_s: float
    """From the opened checkpoint to the first logits, loading the engine's library included."""
    model_bytes: int
    """Of the engine's file; of the weights where it has none."""


@dataclass(frozen=True)
class Ready:
    """How an arm began."""

    name: str
    first_s: float
    """From the opened checkpoint to the first logits, where nothing is kept yet."""
    again_s: float
    """The same in the next process, with what the first one has kept."""
    model_bytes: int
    """As in `Begun`."""


@dataclass(frozen=True)
class Turn:
    """What an arm has computed, and what it took."""

    logits: NDArray[np.float32]
    """[N], of as many images as were asked for."""
    wall_s: float
    cpu_s: float
    peak_rss_bytes: int
    """Of the whole life of its process."""


class Arm:
    """An engine in a child process; to be used in a `with` statement.

    Args:
        task: What it does.

    Raises:
        AnemiaError: If the engine cannot be built.
    """

    def __init__(self, task: Task) -> None:
        first = self._start(task)
        # What comes later comes in another process, with nothing in memory.
        self.__exit__()
        again = self._start(task)
        self.ready = Ready(again.name, first.begin_s, again.begin_s, again.model_bytes)

    def compute(self, images: int) -> Turn:
        """Computes the first so many images."""
        self._pipe.send(images)
        return self._answer(Turn)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pipe.close()
        self._process.join(timeout=10)
        self._process.kill()

    def _start(self, task: Task) -> Begun:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(task, theirs), daemon=True)
        self._process.start()
        theirs.close()
        return self._answer(Begun)

    def _answer(self, kind: type[Answer]) -> Answer:
        answer = self._pipe.recv()
        if isinstance(answer, AnemiaError):
            raise answer
        assert isinstance(answer, kind)
        return answer


def _serve(task: Task, pipe: Connection) -> None:
    torch.set_num_threads(task.threads)
    images = torch.from_numpy(np.load(task.images, mmap_mode="c"))
    try:
        begun, engine = _begin(task, images)
    except AnemiaError as error:
        pipe.send(error)
        return
    pipe.send(begun)
    while True:
        try:
            count = pipe.recv()
        except EOFError:
            return
        wall, cpu = time.perf_counter(), time.process_time()
        logits = torch.cat([engine(batch)[:, 0] for batch in torch.split(images[:count], task.batch_size)])
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        pipe.send(Turn(logits.numpy(), wall, cpu, _peak_rss_bytes()))


def _begin(task: Task, images: Tensor) -> tuple[Begun, Engine]:
    network = open_model(task.checkpoint).network
    weights = sum(each.numel() for each in network.state_dict().values()) * (2 if task.precision == "bf16" else 4)
    start = time.perf_counter()
    build = Build(
        networks=[network],
        size=images.shape[-1],
        device=torch.device("cpu"),
        trainer_precision="32-true",
        folder=task.models,
        range_images=lambda: torch.from_numpy(np.load(task.range_images)),
        say=partial(print, file=sys.stderr),
    )
    engine = build_engine(task.engine, task.precision, build)
    engine(images[: task.batch_size])
    begin_s = time.perf_counter() - start
    # Of an 8-bit model the file in full precision lies beside it.
    kept = [file.stat().st_size for file in task.models.glob("*.onnx")]
    return Begun(engine.name, begin_s, min(kept, default=weights)), engine


def _peak_rss_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
