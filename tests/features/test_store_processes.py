"""The store in several processes: kills at any instant, company, a disk that fills, and what it takes."""

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

COMMON = """
import hashlib, json, os, random, signal, subprocess, sys, time
from pathlib import Path
import torch
torch.set_num_threads(1)
from anemia_lightning.errors import DiskFullError
from anemia_lightning.features.store import FeatureStore

key = lambda number: hashlib.sha256(str(number).encode()).hexdigest()
LAYOUT = {"values": ((512,), torch.float32)}
store = FeatureStore(Path(sys.argv[1]), shard_bytes=4 * 2048)

def rows(numbers):
    return {"values": torch.tensor(list(numbers), dtype=torch.float32)[:, None] + torch.arange(512)}

def fill(numbers, each_time=lambda collection: None):
    collection = store.open({"kind": "test"}, LAYOUT)
    for start in range(0, len(numbers), 3):
        keys = {key(number): number for number in numbers[start : start + 3]}
        missing = collection.missing(list(keys))
        if missing:
            collection.add(missing, rows([keys[name] for name in missing]))
            each_time(collection)
    collection.flush()

def look(numbers):
    collection = store.open({"kind": "test"}, LAYOUT)
    missing = set(collection.missing([key(number) for number in numbers]))
    there = [number for number in numbers if key(number) not in missing]
    assert torch.equal(collection.read([key(number) for number in there])["values"], rows(there)["values"])
    return len(there)

def age_stumps():
    for stump in store.folder.glob("*/.*"):
        os.utime(stump, (1, 1))

def fork(work):
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException as error:
            print(error, file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)
    return child
"""

KILLS = """
random.seed(0)
counts, killed = [], 0
numbers = list(range(1800))
for _ in range(12):
    (reader, writer), (turns, give) = os.pipe(), os.pipe()
    # Not enough for all twelve to fill it, however quick the machine is and however late the kill.
    os.write(give, bytes(40))
    known = len(list(store.folder.glob("*/shard-*")))
    def tell(collection):
        if len(list(collection.folder.glob("shard-*"))) > known:
            os.write(writer, b".")
            os.read(turns, 1)
    child = fork(lambda: fill(numbers, tell))
    os.close(writer)
    os.read(reader, 1)
    time.sleep(random.random() * 0.02)
    os.kill(child, signal.SIGKILL)
    killed += os.WIFSIGNALED(os.waitpid(child, 0)[1])
    for end in (reader, turns, give):
        os.close(end)
    age_stumps()
    counts.append(look(numbers))
    assert not list(store.folder.glob("*/.*"))
fill(numbers)
print(json.dumps({"counts": counts, "all": look(numbers), "killed": killed, "damaged": len(store.verify().damaged)}))
"""

TOGETHER = """
random.seed(0)
numbers = list(range(300))
children = []
for _ in range(3):
    random.shuffle(numbers)
    children.append(fork(lambda: fill(numbers)))
codes = [os.waitpid(child, 0)[1] for child in children]
print(json.dumps({"codes": codes, "all": look(numbers), "damaged": len(store.verify().damaged)}))
"""

BEGINNING = """
def begin():
    for view in range(60):
        collection = store.open({"kind": "test", "view": view}, LAYOUT)
        collection.add([key(number) for number in range(4)], rows(range(4)))
        collection.flush()
children = [fork(begin) for _ in range(3)]
codes = [os.waitpid(child, 0)[1] for child in children]
stored = store.collections()
views = sorted(collection.ingredients["view"] for collection in stored)
print(json.dumps({"codes": codes, "views": views, "photos": sum(collection.photos for collection in stored)}))
"""

ALIVE = """
reader, writer = os.pipe()
def write():
    import anemia_lightning.features.shard as shard
    def slow(path, *rest):
        path.with_name(f".{path.name}.abcd").write_bytes(b"half")
        os.write(writer, b".")
        time.sleep(60)
    import anemia_lightning.features.shard_collection as module
    module.write_shard = slow
    fill([1, 2, 3, 4])
child = fork(write)
os.read(reader, 1)
age_stumps()
stump = lambda: len(list(store.folder.glob("*/.*")))
store.open({"kind": "test"}, LAYOUT).close()
alive, in_use, room = stump(), store.purge().in_use, FeatureStore(store.folder, max_bytes=1).make_room(1)
os.kill(child, signal.SIGKILL)
os.waitpid(child, 0)
store.open({"kind": "test"}, LAYOUT).close()
print(json.dumps({"alive": alive, "in_use": in_use, "room": room, "dead": stump()}))
"""

FULL = """
numbers = list(range(2000))
try:
    fill(numbers)
    told = "nothing"
except DiskFullError as error:
    told = str(error)
there = look(numbers)
print(json.dumps({"told": told, "there": there, "stumps": len(list(store.folder.glob("*/.*")))}))
"""

FRUGAL = """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
large = FeatureStore(Path(sys.argv[1]), shard_bytes=400_000)
layout = {"values": ((50_000,), torch.float32)}
collection = large.open({"kind": "large"}, layout)
names = [key(number) for number in range(300)]
for number, name in enumerate(names):
    collection.add([name], {"values": torch.full((1, 50_000), float(number))})
collection.flush()
collection = large.open({"kind": "large"}, layout)
status = lambda: Path("/proc/self/status").read_text().split()
anonymous = lambda: int(status()[status().index("RssAnon:") + 1])
random.Random(0).shuffle(names)
def read(count):
    for start in range(0, count, 10):
        collection.read(names[start : start + 10])
# By then the allocator keeps what one read takes, now 4 MB and now 12.
read(60)
before = anonymous()
read(300)
print(json.dumps({"files": len(list(collection.folder.glob("shard-*"))), "growth_kib": anonymous() - before}))
"""

NO_ROOM = """
import errno
room, real = [1_000_000], os.fsync
def fsync(handle):
    room[0] -= os.fstat(handle).st_size
    if room[0] < 0:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    real(handle)
os.fsync = fsync
"""

SERVER = """
import json, os, sys, traceback
import torch
torch.set_num_threads(1)
import anemia_lightning.features.store
for line in sys.stdin:
    code, folder = json.loads(line)
    child = os.fork()
    if child == 0:
        sys.argv[1:] = [folder]
        try:
            exec(code, {})
        except BaseException:
            traceback.print_exc(file=sys.stdout)
            print(flush=True)
            os._exit(1)
        sys.stdout.flush()
        os._exit(0)
    print("ended with", os.waitpid(child, 0)[1], flush=True)
"""
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
PATIENCE_S = 300


@pytest.fixture(scope="module")
def server() -> Iterator[subprocess.Popen[str]]:
    """A process that forks one for each piece of code: to import what they need takes longer than all they do."""
    pipe, command = subprocess.PIPE, [sys.executable, "-c", SERVER]
    with subprocess.Popen(
        command, env=ENVIRONMENT, stdin=pipe, stdout=pipe, stderr=subprocess.STDOUT, text=True
    ) as process:
        yield process
        process.communicate()


@pytest.fixture
def in_process(server: subprocess.Popen[str], tmp_path: Path) -> Callable[[str], dict[str, object]]:
    """Runs code in a process of its own and returns what it tells."""

    def run(code: str) -> dict[str, object]:
        assert server.stdin is not None
        assert server.stdout is not None
        patience = threading.Timer(PATIENCE_S, server.kill)
        patience.start()
        server.stdin.write(json.dumps([COMMON + code, str(tmp_path / "disk" / "features")]) + "\n")
        server.stdin.flush()
        said = [server.stdout.readline()]
        while said[-1] and not said[-1].startswith("ended with "):
            said.append(server.stdout.readline())
        patience.cancel()
        assert said[-1] == "ended with 0\n", "".join(said)
        told: dict[str, object] = json.loads(said[-2])
        return told

    return run


def on_a_small_disk(disk: Path, code: str) -> dict[str, object] | None:
    """Runs code where a disk of one megabyte is mounted; returns None where nobody may mount one."""
    small, mount = ["unshare", "--mount", "--map-root-user", "sh", "-c"], f"mount -t tmpfs -o size=1m tmpfs '{disk}'"
    if not shutil.which("unshare") or subprocess.run([*small, mount], capture_output=True, check=False).returncode:
        return None
    command = [*small, f'{mount} && exec "$@"', "sh", sys.executable, "-c", COMMON + code, str(disk / "features")]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    assert done.returncode == 0, done.stderr
    told: dict[str, object] = json.loads(done.stdout)
    return told


def test_kills_at_any_instant_cost_what_was_not_written_yet_and_nothing_else(
    in_process: Callable[[str], dict[str, object]],
) -> None:
    told = in_process(KILLS)
    counts, killed = told["counts"], told["killed"]
    assert isinstance(counts, list)
    assert isinstance(killed, int)
    assert killed == 12
    assert counts == sorted(counts)
    assert counts[0] > 0
    assert counts[-1] > counts[0]
    assert told["all"] == 1800
    assert told["damaged"] == 0


def test_several_processes_fill_one_collection_at_once(in_process: Callable[[str], dict[str, object]]) -> None:
    assert in_process(TOGETHER) == {"codes": [0, 0, 0], "all": 300, "damaged": 0}


def test_several_processes_begin_collections_at_once(in_process: Callable[[str], dict[str, object]]) -> None:
    assert in_process(BEGINNING) == {"codes": [0, 0, 0], "views": list(range(60)), "photos": 240}


def test_what_a_living_process_writes_is_left_alone_and_what_a_dead_one_wrote_is_not(
    in_process: Callable[[str], dict[str, object]],
) -> None:
    assert in_process(ALIVE) == {"alive": 1, "in_use": 1, "room": False, "dead": 0}


def test_a_full_disk_ends_in_a_plain_message_and_keeps_what_was_written(
    tmp_path: Path, in_process: Callable[[str], dict[str, object]]
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    told = on_a_small_disk(disk, FULL) or in_process(NO_ROOM + FULL)
    assert str(told["told"]).startswith("Looked for room to write shard-")
    assert "found a full disk" in str(told["told"])
    there = told["there"]
    assert isinstance(there, int)
    assert 200 < there < 500
    assert there % 4 == 0
    assert told["stumps"] == 0


def test_neither_memory_nor_open_files_grow_with_what_is_stored(in_process: Callable[[str], dict[str, object]]) -> None:
    told = in_process(FRUGAL)
    assert told["files"] == 150
    growth = told["growth_kib"]
    assert isinstance(growth, int)
    assert growth < 8000  # of 59,000 that were read
