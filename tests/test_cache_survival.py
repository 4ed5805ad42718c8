"""Whole trainings beside a cache that is torn, shared or out of room: they end with the same numbers."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from anemia_lightning.data.sources.synthetic import read_synthetic
from anemia_lightning.features.store import FeatureStore

ROOT = Path(__file__).parents[1]
PHOTOS = 160

# Rows are written every half a second rather than twice a minute: this run takes seconds, not an hour.
TRAIN = """
import sys
from anemia_lightning.features import stored
stored._FLUSH_S = 0.5
from anemia_lightning.train import main
sys.exit(main())
"""

# When the first features are there, something else takes the rest of the disk.
CROWD = """
import threading, time
from pathlib import Path
def crowd(folder):
    while not list(folder.rglob("shard-*")):
        time.sleep(0.05)
    with (folder / "crowd").open("wb") as file:
        try:
            while True:
                file.write(bytes(100_000))
                file.flush()
        except OSError:
            pass
threading.Thread(target=crowd, args=(Path({folder!r}),), daemon=True).start()
"""

# Where nobody may mount a small disk: one that says that it is full.
FULL_DISK = """
import errno, os
real, room = os.fsync, [3_000_000]
def fsync(handle):
    if "/features/" in os.readlink(f"/proc/self/fd/{handle}"):
        room[0] -= os.fstat(handle).st_size
        if room[0] < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    real(handle)
os.fsync = fsync
"""

Process = subprocess.Popen[str]
Train = Callable[..., Process]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("drawn")
    read_synthetic(root=root, patients=PHOTOS // 2, photos=PHOTOS)
    return root


@pytest.fixture(scope="module")
def start(photos: Path) -> Train:
    """Starts `train` in a process of its own: one epoch of the head and five with layer4, six views of each photo."""

    def start_in(folder: Path, name: str, *overrides: str, before: Sequence[str] = (), code: str = TRAIN) -> Process:
        settings = [
            "trainer=cpu",
            "trainer.precision=32-true",
            "trainer.max_epochs=6",
            "callbacks.early_stopping=null",
            "callbacks.unfreeze.phases=[{epoch: 1, train_from: layer4}]",
            "features.views=6",
            "model.backbone=resnet18",
            "model.weights=null",
            "data.image_size=64",
            f"data.patients={PHOTOS // 2}",
            f"data.photos={PHOTOS}",
            f"data.root={photos}",
            "data.photo_groups=bytes",
            "logger=none",
            "logger.photos=false",
            f"paths.root={folder}",
            f"paths.cache={folder}/disk/cache",
            f"hydra.run.dir={folder}/{name}",
        ]
        command = [*before, sys.executable, "-c", code, *settings, *overrides]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        pipe, out = subprocess.PIPE, subprocess.STDOUT
        return subprocess.Popen(command, env=environment, text=True, stdout=pipe, stderr=out, cwd=folder)

    return start_in


@pytest.fixture
def train(start: Train, tmp_path: Path) -> Train:
    """Starts `train` below the test's own folder."""
    return partial(start, tmp_path)


@pytest.fixture(scope="module")
def usual(start: Train, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run without any cache."""
    folder = tmp_path_factory.mktemp("usual")
    finished(start(folder, "run", "features.store=false"))
    return folder / "run"


def finished(process: Process) -> str:
    """Waits for a process that must end well, and returns what it printed."""
    said, _ = process.communicate(timeout=600)
    assert process.returncode == 0, said
    return said


def results(run: Path) -> dict[str, bytes]:
    return {name: (run / name).read_bytes() for name in ("metrics.csv", "metrics.json", "predictions_test.csv")}


def features(run: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((run / "run.json").read_text())["features"]
    return record


def test_kills_while_the_cache_fills_cost_time_and_nothing_else(train: Train, usual: Path, tmp_path: Path) -> None:
    store = FeatureStore(tmp_path / "disk" / "cache" / "features")
    draws = random.Random(0)
    kept, codes = [], []
    for number in range(3):
        process = train(f"killed-{number}")
        before = len(list(store.folder.rglob("shard-*")))
        while len(list(store.folder.rglob("shard-*"))) <= before:
            assert process.poll() is None, process.communicate()[0]
            time.sleep(0.02)
        time.sleep(draws.random() * 1.5)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        codes.append(process.returncode)
        kept.append(sum(each.photos for each in store.collections() if each.ingredients.get("kind") == "layer3"))
    # A run that has just written features has seconds to go.
    assert codes == [-signal.SIGKILL] * 3
    assert kept == sorted(kept)
    assert kept[0] > 0
    finished(train("after"))
    assert results(tmp_path / "after") == results(usual)
    record = features(tmp_path / "after")
    assert 0 < record["trunk_images"] <= features(usual)["trunk_images"] - kept[-1]
    assert record["store"]
    assert store.verify().damaged == {}


def test_two_trainings_at_once_share_a_cache(train: Train, usual: Path, tmp_path: Path) -> None:
    together = [train("one"), train("two", "seed=1")]
    for process in together:
        finished(process)
    finished(train("alone", "seed=1", "features.store=false"))
    for name, alone in (("one", usual), ("two", tmp_path / "alone")):
        assert results(tmp_path / name) == results(alone)
        assert features(tmp_path / name)["store"]
    finished(train("warm"))
    assert features(tmp_path / "warm")["trunk_images"] == 0
    assert FeatureStore(tmp_path / "disk" / "cache" / "features").verify().damaged == {}


@pytest.mark.parametrize("mounted", [True, False], ids=["a small disk", "a disk that says so"])
def test_a_disk_that_fills_during_a_training_is_said_once_and_costs_time_alone(
    train: Train, usual: Path, tmp_path: Path, mounted: bool
) -> None:
    said = finished(_on_a_small_disk(train, tmp_path) if mounted else train("full", code=FULL_DISK + TRAIN))
    assert said.count("Note: no more features can be kept, so this run will take longer, with the same result: ") == 1
    assert "found a full disk" in said
    assert results(tmp_path / "full") == results(usual)
    assert features(tmp_path / "full")["store"] is False


def _on_a_small_disk(train: Train, tmp_path: Path) -> Process:
    disk = tmp_path / "disk"
    disk.mkdir()
    small = ["unshare", "--mount", "--map-root-user", "sh", "-c"]
    mount = f"mount -t tmpfs -o size=100m tmpfs '{disk}'"
    if not shutil.which("unshare") or subprocess.run([*small, mount], capture_output=True, check=False).returncode:
        pytest.skip("this system lets no one mount a small disk")
    crowd = CROWD.format(folder=str(disk / "cache" / "features"))
    mounting = [*small, f'{mount} && exec "$@"', "sh"]
    return train("full", "features.max_bytes=80000000", before=mounting, code=crowd + TRAIN)
