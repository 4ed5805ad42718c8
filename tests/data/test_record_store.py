"""What was found out is found again, whatever happened to the process, the files or the disk."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from anemia_lightning.data import record_store
from anemia_lightning.data.record_store import Record, RecordStore, in_parts
from anemia_lightning.errors import DiskFullError

SCRIPT = """
import sys
from pathlib import Path
import numpy as np
from anemia_lightning.data import record_store

record_store.RECORDS_AT_ONCE = 7
with record_store.RecordStore(Path(sys.argv[1]), "numbers") as store:
    for number in range(10_000):
        store.add(f"{number}", {"value": np.full(100, number)})
        print(number, flush=True)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "records"


@pytest.fixture(autouse=True)
def five_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_store, "RECORDS_AT_ONCE", 5)


def draw(seed: int) -> Record:
    """A record of what surveys keep: a text, arrays of any length, of no length, and numbers with all their bits."""
    rng = np.random.default_rng(seed)
    height, width, count = (int(number) for number in rng.integers(0, 9, 3))
    return {
        "text": np.frombuffer(f'{{"seed": {seed}}}'.encode(), np.uint8),
        "pixels": rng.integers(0, 256, (height, width, 3), dtype=np.uint8),
        "points": rng.normal(size=(count, 4)).astype(np.float32),
        "number": np.array(rng.choice([rng.normal(), np.nan, np.inf, 5e-324])),
        "pair": rng.integers(-5, 5, 2),
    }


def fill(folder: Path, records: dict[str, Record], kind: str = "drawn") -> None:
    with RecordStore(folder, kind) as store:
        for key, record in records.items():
            store.add(key, record)


def find(folder: Path, keys: list[str], kind: str = "drawn") -> dict[str, Record]:
    return {keys[place]: record for place, record in RecordStore(folder, kind).find(keys)}


def assert_same(found: dict[str, Record], records: dict[str, Record]) -> None:
    assert found.keys() == records.keys()
    for key, record in records.items():
        assert found[key].keys() == record.keys()
        for name, array in record.items():
            assert found[key][name].dtype == array.dtype
            np.testing.assert_array_equal(found[key][name], array, strict=True)


@pytest.mark.parametrize("count", [1, 4, 5, 6, 23])
def test_records_are_found_again_to_the_last_bit(folder: Path, count: int) -> None:
    records = {f"key {seed}": draw(seed) for seed in range(count)}
    fill(folder, records)
    assert len(list(folder.iterdir())) == -(-count // 5)
    assert_same(find(folder, [*records, "another key"]), records)
    some = dict(list(records.items())[1::3])
    assert_same(find(folder, list(some)), some)


def test_reading_records_is_noted_as_their_use(folder: Path) -> None:
    fill(folder, {"key": draw(0)})
    (file,) = folder.iterdir()
    os.utime(file, (1, 1))
    find(folder, ["key"])
    assert file.stat().st_mtime == pytest.approx(time.time(), abs=60)


def test_what_waits_long_is_written(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_store, "LONGEST_WAIT_S", 0)
    store = RecordStore(folder, "drawn")
    store.add("first", draw(0))
    assert_same(find(folder, ["first"]), {"first": draw(0)})


def test_an_interruption_loses_nothing(folder: Path) -> None:
    def begin() -> None:
        with RecordStore(folder, "drawn") as store:
            store.add("first", draw(0))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        begin()
    assert_same(find(folder, ["first"]), {"first": draw(0)})


def test_stores_of_another_kind_are_another_matter(folder: Path) -> None:
    fill(folder, {"key": draw(0)}, "one kind")
    fill(folder, {"key": draw(1)}, "another")
    assert_same(find(folder, ["key"], "one kind"), {"key": draw(0)})
    assert find(folder, ["key"], "a third") == {}


def test_two_that_found_out_the_same_do_not_disturb_each_other(folder: Path) -> None:
    records = {f"key {seed}": draw(seed) for seed in range(8)}
    one, other = RecordStore(folder, "drawn"), RecordStore(folder, "drawn")
    with one, other:
        for key, record in records.items():
            one.add(key, record)
            other.add(key, record)
        other.add("more", draw(8))
    assert_same(find(folder, [*records, "more"]), {**records, "more": draw(8)})


def damages(content: bytes) -> Iterator[bytes]:
    """Every tenth byte changed, and the file cut short at every hundredth."""
    for place in range(0, len(content), 10):
        yield content[:place] + bytes([content[place] ^ 0x24]) + content[place + 1 :]
    for length in range(0, len(content), 100):
        yield content[:length]


def test_a_damaged_file_counts_as_none_and_is_removed(folder: Path) -> None:
    fill(folder, {"sound": draw(0)})
    (sound,) = folder.iterdir()
    fill(folder, {"damaged": draw(1)})
    (file,) = set(folder.iterdir()) - {sound}
    for content in damages(file.read_bytes()):
        file.write_bytes(content)
        assert_same(find(folder, ["sound", "damaged"]), {"sound": draw(0)})
        assert not file.exists()


@pytest.mark.parametrize("folder_is", ["a file", "None", "not writable"])
def test_what_cannot_be_kept_costs_nothing_else(tmp_path: Path, folder: Path, folder_is: str) -> None:
    if folder_is == "a file":
        folder.write_text("in the place of the folder")
    if folder_is == "not writable":
        folder = Path("/proc/none/records")
    store = RecordStore(None if folder_is == "None" else folder, "drawn")
    with store:
        for seed in range(12):
            store.add(f"key {seed}", draw(seed))
    assert list(store.find(["key 0"])) == []


def test_a_full_disk_costs_nothing_else(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(folder, {"before": draw(0)})

    def full(path: Path) -> None:
        raise DiskFullError(path)

    with monkeypatch.context() as patch:
        patch.setattr(record_store, "whole_file", full)
        fill(folder, {"after": draw(1)})
    assert_same(find(folder, ["before", "after"]), {"before": draw(0)})


def test_room_is_spared_for_what_else_needs_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = record_store.SPARED_BYTES + 20_000
    usage = shutil.disk_usage(folder.parent)

    def left(place: Path) -> object:
        return usage._replace(free=free - sum(file.stat().st_size for file in place.iterdir()))

    monkeypatch.setattr(shutil, "disk_usage", left)
    fill(folder, {f"key {seed}": draw(seed) for seed in range(200)})
    held = sum(file.stat().st_size for file in folder.iterdir())
    # A third for the records, since as much is spared twice.
    assert 20_000 / 6 < held < 20_000 / 2
    monkeypatch.undo()
    assert len(find(folder, [f"key {seed}" for seed in range(200)])) > 0


def test_what_is_there_can_be_read_where_nothing_can_be_written(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(folder, {"before": draw(0)})

    def read_only(*_: object, **__: object) -> None:
        raise PermissionError(errno.EROFS, "read-only file system")

    for call in ("utime", "unlink", "mkdir"):
        monkeypatch.setattr(os, call, read_only)
    monkeypatch.setattr(record_store, "whole_file", read_only)
    fill(folder, {"after": draw(1)})
    assert_same(find(folder, ["before", "after"]), {"before": draw(0)})


def test_what_others_have_written_since_is_found_without_a_look_into_all_files_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(folder, {"before": draw(0)})
    with RecordStore(folder, "drawn") as store:
        assert [place for place, _ in store.find(["before", "mine", "theirs"])] == [0]
        for number in range(5):
            store.add(f"mine {number}", draw(1))
        fill(folder, {"theirs": draw(2)})
        looked: list[Path] = []
        real = record_store._read_keys

        def read_keys(file: Path) -> list[str] | None:
            looked.append(file)
            return real(file)

        monkeypatch.setattr(record_store, "_read_keys", read_keys)
        ((place, record),) = store.find(["mine", "theirs"], only_new=True)
        assert (place, len(looked)) == (1, 1)
        assert_same({"theirs": record}, {"theirs": draw(2)})
        assert list(store.find(["theirs"], only_new=True)) == []
    assert len(list(folder.iterdir())) == 3


def test_parts_hold_every_item_once_and_come_in_an_order_of_their_own() -> None:
    items = list(range(1000))
    orders = [in_parts(items, 7) for _ in range(2)]
    for parts in orders:
        assert sorted(item for part in parts for item in part) == items
        assert {len(part) for part in parts} == {7, 1000 % 7}
    assert orders[0] != orders[1]
    assert in_parts(items, 1000) == [items]
    assert in_parts([], 7) == []


def test_a_file_without_what_is_wanted_is_neither_read_nor_counted_as_used(folder: Path) -> None:
    fill(folder, {"other": draw(0)})
    (file,) = folder.iterdir()
    os.utime(file, (1, 1))
    assert find(folder, ["key"]) == {}
    assert find(folder, []) == {}
    assert file.stat().st_mtime == 1


def test_what_kills_have_left_is_removed_after_a_while(folder: Path) -> None:
    fill(folder, {"key": draw(0)})
    (file,) = folder.iterdir()
    old, new = (folder / f".{file.name}.{name}" for name in ("old", "new"))
    for stump in (old, new):
        stump.write_bytes(b"torn")
    os.utime(old, (1, 1))
    fill(folder, {"another": draw(1)})
    assert (old.exists(), new.exists()) == (False, True)


def test_only_their_owner_can_read_them(folder: Path) -> None:
    fill(folder / "parts", {"key": draw(0)})
    assert folder.stat().st_mode & 0o777 == (folder / "parts").stat().st_mode & 0o777 == 0o700
    (file,) = (folder / "parts").iterdir()
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_group_shares_those_in_its_folder(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    folder.chmod(0o2770)
    fill(folder / "parts", {"key": draw(0)})
    (file,) = (folder / "parts").iterdir()
    assert [path.stat().st_mode & 0o7777 for path in (file.parent, file)] == [0o2770, 0o660]


@pytest.mark.parametrize("at", [0, 30, 200, 777])
def test_a_kill_loses_no_more_than_what_waited(folder: Path, at: int) -> None:
    with subprocess.Popen([sys.executable, "-c", SCRIPT, str(folder)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if int(line) == at:
                os.kill(process.pid, signal.SIGKILL)
                break
    found = find(folder, [str(number) for number in range(10_000)], "numbers")
    assert len(found) >= at // 7 * 7
    assert all((record["value"] == int(key)).all() for key, record in found.items())
