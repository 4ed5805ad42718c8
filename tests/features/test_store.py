"""The store: what it keeps through damage and on full disks, and what it gives up for room."""

import errno
import fcntl
import hashlib
import logging
import os
import random
import resource
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from anemia_lightning.errors import DiskFullError, StoreUnwritableError
from anemia_lightning.features import shard_folder
from anemia_lightning.features.shard import RowLayout, Shard, row_bytes
from anemia_lightning.features.shard_collection import Ingredients
from anemia_lightning.features.store import Collection, FeatureStore, StoredRowsLost

LAYOUT: RowLayout = {"values": ((8, 2), torch.bfloat16), "scale": ((8,), torch.float32)}
ROW = row_bytes(LAYOUT)
INGREDIENTS: Ingredients = {"kind": "layer3", "view": 0, "trunk": "a" * 64, "dtype": "bfloat16"}


def key(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def keys_of(numbers: Sequence[int]) -> list[str]:
    return [key(number) for number in numbers]


def rows_of(numbers: Sequence[int]) -> dict[str, Tensor]:
    start = torch.tensor(list(numbers), dtype=torch.float32)
    values = (start[:, None] + torch.arange(16)).view(-1, 8, 2)
    return {"values": values.bfloat16(), "scale": start[:, None] / 3 + torch.arange(8)}


def fill(collection: Collection, numbers: Sequence[int]) -> None:
    collection.add(keys_of(numbers), rows_of(numbers))


def holds(collection: Collection, numbers: Sequence[int]) -> bool:
    got = collection.read(keys_of(numbers))
    return got.keys() == LAYOUT.keys() and all(torch.equal(got[name], rows_of(numbers)[name]) for name in LAYOUT)


def count(collection: Collection) -> int:
    """Returns how many of the rows that tests store are in it."""
    return 100 - len(collection.missing(keys_of(range(100))))


def shards(store: FeatureStore) -> list[Path]:
    return sorted(store.folder.glob("*/shard-*.safetensors"))


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    """A store whose files hold four rows."""
    return FeatureStore(tmp_path / "cache" / "features", shard_bytes=4 * ROW)


@pytest.fixture
def filled(store: FeatureStore) -> FeatureStore:
    """The same with rows 0 to 9, in three files, and nobody using it."""
    collection = store.open(INGREDIENTS, LAYOUT)
    fill(collection, range(10))
    collection.flush()
    collection.close()
    return store


class TestRows:
    @given(st.lists(st.lists(st.integers(0, 40), max_size=12), max_size=6), st.integers(1, 9))
    @settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_whatever_was_added_is_read_and_nothing_else(
        self, tmp_path_factory: pytest.TempPathFactory, batches: list[list[int]], rows_per_shard: int
    ) -> None:
        store = FeatureStore(tmp_path_factory.mktemp("store"), shard_bytes=rows_per_shard * ROW)
        collection = store.open(INGREDIENTS, LAYOUT)
        added: set[int] = set()
        for batch in batches:
            fill(collection, batch)
            added |= set(batch)
            assert collection.missing(keys_of(range(41))) == keys_of([n for n in range(41) if n not in added])
            assert holds(collection, batch[::-1] + sorted(added))
        collection.flush()
        again = store.open(INGREDIENTS, LAYOUT)
        assert count(again) == len(added)
        assert again.missing(keys_of(range(41))) == collection.missing(keys_of(range(41)))
        assert holds(again, [*sorted(added), *sorted(added)])

    def test_no_row_is_an_empty_tensor(self, store: FeatureStore) -> None:
        collection = store.open(INGREDIENTS, LAYOUT)
        assert collection.read([])["values"].shape == (0, 8, 2)
        assert collection.missing([]) == []

    def test_missing_names_each_row_once_and_in_order(self, filled: FeatureStore) -> None:
        collection = filled.open(INGREDIENTS, LAYOUT)
        assert collection.missing(keys_of([20, 3, 11, 20])) == keys_of([20, 11])

    def test_a_row_that_was_never_stored_is_lost(self, filled: FeatureStore) -> None:
        with pytest.raises(StoredRowsLost, match="1 stored rows are lost") as caught:
            filled.open(INGREDIENTS, LAYOUT).read(keys_of([1, 99]))
        assert caught.value.keys == [key(99)]

    def test_rows_in_any_order_of_memory_are_taken(self, store: FeatureStore) -> None:
        layout: RowLayout = {"values": ((4, 3, 2), torch.bfloat16)}
        images = torch.randn(5, 4, 3, 2).bfloat16()
        collection = store.open(INGREDIENTS, layout)
        collection.add(keys_of(range(5)), {"values": images.to(memory_format=torch.channels_last)})
        collection.flush()
        assert torch.equal(store.open(INGREDIENTS, layout).read(keys_of(range(5)))["values"], images)

    @pytest.mark.parametrize("wrong", [torch.zeros(1, 8, 2), torch.zeros(2, 8, 2, dtype=torch.bfloat16)])
    def test_rows_of_another_layout_are_a_defect(self, wrong: Tensor, store: FeatureStore) -> None:
        with pytest.raises(ValueError, match=r"not torch.bfloat16 \(8, 2\) per key"):
            store.open(INGREDIENTS, LAYOUT).add([key(0)], {**rows_of([0]), "values": wrong})

    def test_what_is_no_key_is_a_defect(self, store: FeatureStore) -> None:
        with pytest.raises(ValueError, match="fromhex"):
            store.open(INGREDIENTS, LAYOUT).missing(["photo.png"])

    def test_what_it_has_written_itself_is_counted(self, filled: FeatureStore, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(path: Path, *_: object) -> None:
            raise DiskFullError(path)

        collection, other = filled.open(INGREDIENTS, LAYOUT), filled.open(INGREDIENTS, LAYOUT)
        fill(other, range(8, 12))
        other.flush()
        # Two of these rows were there before, and the other has written two.
        fill(collection, range(8, 13))
        assert collection.written_bytes == 0
        collection.flush()
        assert (collection.written_bytes, other.written_bytes) == (ROW, 2 * ROW)
        monkeypatch.setattr("anemia_lightning.features.shard_collection.write_shard", refuse)
        with pytest.raises(DiskFullError):
            fill(collection, range(20, 24))
        assert collection.written_bytes == ROW


class TestThreads:
    def test_several_threads_fill_and_read_one_collection(self, store: FeatureStore) -> None:
        collection = store.open(INGREDIENTS, LAYOUT)

        def work(seed: int) -> bool:
            draw = random.Random(seed)
            for _ in range(60):
                numbers = draw.sample(range(100), 7)
                lacking = set(collection.missing(keys_of(numbers)))
                if lacking:
                    fill(collection, [number for number in numbers if key(number) in lacking])
                if not holds(collection, numbers):
                    return False
            return True

        with ThreadPoolExecutor(4) as pool:
            assert all(pool.map(work, range(4)))
        collection.flush()
        assert holds(store.open(INGREDIENTS, LAYOUT), range(100))
        assert sum(len(Shard(path, path.parent.name)) for path in shards(store)) == 100

    def test_a_row_that_is_lost_while_another_thread_adds_it_again_is_not_made_up(
        self, filled: FeatureStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        collection = filled.open(INGREDIENTS, LAYOUT)

        def lose(shard: Shard, picks: object, out: object) -> None:
            fill(filled.open(INGREDIENTS, LAYOUT), range(10))
            collection._forget(set(shards(filled)))
            fill(collection, range(10))
            raise FileNotFoundError

        with monkeypatch.context() as patched:
            patched.setattr(Shard, "read", lose)
            with pytest.raises(StoredRowsLost) as caught:
                collection.read(keys_of([1, 2]))
        assert caught.value.keys == keys_of([1, 2])


class TestCollections:
    def test_two_see_what_the_other_has_written_once_they_look(self, store: FeatureStore) -> None:
        one, two = store.open(INGREDIENTS, LAYOUT), store.open(INGREDIENTS, LAYOUT)
        fill(one, range(8))
        assert count(two) == 0
        two.refresh()
        assert holds(two, range(8))
        fill(two, range(4, 12))
        one.refresh()
        assert holds(one, range(12))
        assert len(shards(store)) == 3

    @pytest.mark.parametrize(
        "change",
        [{"view": 1}, {"trunk": "b" * 64}, {"dtype": "uint8"}, {"seed": 0}, {"view": None}, {"view": 0.0}],
    )
    def test_other_ingredients_are_another_collection(self, change: Ingredients, filled: FeatureStore) -> None:
        assert count(filled.open({**INGREDIENTS, **change}, LAYOUT)) == 0

    def test_another_layout_is_another_collection(self, filled: FeatureStore) -> None:
        assert count(filled.open(INGREDIENTS, {**LAYOUT, "scale": ((8,), torch.bfloat16)})) == 0

    def test_the_order_of_the_ingredients_does_not_matter(self, filled: FeatureStore) -> None:
        assert count(filled.open(dict(reversed(list(INGREDIENTS.items()))), dict(reversed(list(LAYOUT.items()))))) == 10

    def test_nothing_is_written_before_the_first_row(self, store: FeatureStore, tmp_path: Path) -> None:
        collection = store.open(INGREDIENTS, LAYOUT)
        collection.refresh()
        collection.flush()
        assert store.make_room(10)
        assert collection.missing([key(1)]) == [key(1)]
        assert store.collections() == []
        assert store.verify().shards == 0
        assert list(tmp_path.iterdir()) == []

    def test_only_its_owner_can_read_it(self, filled: FeatureStore) -> None:
        paths = [filled.folder, *filled.folder.rglob("*")]
        assert {path.stat().st_mode & 0o777 for path in paths if path.is_dir()} == {0o700}
        assert {path.stat().st_mode & 0o777 for path in paths if path.is_file()} == {0o600}

    def test_a_group_shares_what_is_kept_in_its_folder(self, store: FeatureStore) -> None:
        store.folder.parent.mkdir()
        store.folder.parent.chmod(0o2770)
        fill(store.open(INGREDIENTS, LAYOUT), range(4))
        paths = [store.folder, *store.folder.rglob("*")]
        assert {path.stat().st_mode & 0o7777 for path in paths if path.is_dir()} == {0o2770}
        assert {path.stat().st_mode & 0o7777 for path in paths if path.is_file()} == {0o660}
        assert {"lock", "about.json"} < {path.name for path in paths}

    def test_what_is_there_can_be_listed(self, filled: FeatureStore) -> None:
        other = filled.open({**INGREDIENTS, "view": 1}, LAYOUT)
        fill(other, range(3))
        other.flush()
        os.utime(other.folder / "lock", (1e9, 1e9))
        first, second = filled.collections()
        assert (first.ingredients, first.photos, first.in_use) == (INGREDIENTS, 10, False)
        assert first.rows == {"values": [[8, 2], "bfloat16"], "scale": [[8], "float32"]}
        assert (second.ingredients["view"], second.photos, second.last_used, second.in_use) == (1, 3, 1e9, True)
        assert first.bytes + second.bytes == filled.held_bytes
        assert first.bytes == sum(path.stat().st_size for path in first.folder.iterdir())

    @pytest.mark.parametrize("about", [None, b"", b"[]", b"\xff"])
    def test_a_collection_that_does_not_say_what_it_is_works_and_is_listed(
        self, about: bytes | None, filled: FeatureStore
    ) -> None:
        file = next(filled.folder.glob("*/about.json"))
        file.unlink() if about is None else file.write_bytes(about)
        (listed,) = filled.collections()
        assert (listed.ingredients, listed.photos) == ({}, 10)
        collection = filled.open(INGREDIENTS, LAYOUT)
        assert holds(collection, range(10))
        if about is None:
            fill(collection, range(20, 24))
            assert filled.collections()[0].ingredients == INGREDIENTS

    def test_opening_is_use(self, filled: FeatureStore) -> None:
        lock = next(filled.folder.glob("*/lock"))
        os.utime(lock, (1e9, 1e9))
        filled.open(INGREDIENTS, LAYOUT)
        assert lock.stat().st_mtime > 1.7e9


class TestDamage:
    """Whatever happens to a file, its rows are computed again, and the others stay."""

    @pytest.mark.parametrize("position", [3, 40, 300, -1])
    def test_a_flipped_bit(self, position: int, filled: FeatureStore, caplog: pytest.LogCaptureFixture) -> None:
        path = shards(filled)[1]
        content = bytearray(path.read_bytes())
        content[position] ^= 4
        path.write_bytes(content)
        self.expect_removed(filled, path, caplog)

    @pytest.mark.parametrize("share", [0, 0.1, 0.6, 0.999])
    def test_a_truncated_file(self, share: float, filled: FeatureStore, caplog: pytest.LogCaptureFixture) -> None:
        path = shards(filled)[1]
        os.truncate(path, int(path.stat().st_size * share))
        self.expect_removed(filled, path, caplog)

    def test_blocks_that_never_reached_the_disk(self, filled: FeatureStore, caplog: pytest.LogCaptureFixture) -> None:
        path = shards(filled)[1]
        size = path.stat().st_size
        os.truncate(path, size - ROW)
        os.truncate(path, size)
        self.expect_removed(filled, path, caplog)

    def test_a_foreign_file_of_that_name(self, filled: FeatureStore, caplog: pytest.LogCaptureFixture) -> None:
        path = shards(filled)[1]
        path.write_bytes(random.Random(0).randbytes(5000))
        self.expect_removed(filled, path, caplog)

    def expect_removed(self, store: FeatureStore, path: Path, caplog: pytest.LogCaptureFixture) -> None:
        collection = store.open(INGREDIENTS, LAYOUT)
        with caplog.at_level(logging.WARNING), pytest.raises(StoredRowsLost):
            collection.read(keys_of(range(10)))
        assert not path.exists()
        assert len(caplog.messages) == 1
        assert caplog.messages[0].startswith(f"Removed {path} from the feature store: it is ")
        missing = collection.missing(keys_of(range(10)))
        assert 2 <= len(missing) <= 4
        assert holds(collection, [number for number in range(10) if key(number) not in missing])
        fill(collection, range(10))
        collection.flush()
        assert holds(store.open(INGREDIENTS, LAYOUT), range(10))
        assert store.verify().damaged == {}

    def test_files_swapped_between_collections(self, filled: FeatureStore) -> None:
        other = filled.open({**INGREDIENTS, "view": 1}, LAYOUT)
        other.add(keys_of(range(4)), rows_of(range(50, 54)))
        (theirs,) = other.folder.glob("shard-*")
        ours = next(path for path in shards(filled) if path.parent != other.folder)
        content = ours.read_bytes()
        ours.write_bytes(theirs.read_bytes())
        theirs.write_bytes(content)
        assert count(filled.open({**INGREDIENTS, "view": 1}, LAYOUT)) == 0
        again = filled.open(INGREDIENTS, LAYOUT)
        assert 6 <= count(again) <= 8
        assert holds(again, [number for number in range(10) if not again.missing([key(number)])])

    def test_files_swapped_or_renamed_within_a_collection_while_it_is_open(self, filled: FeatureStore) -> None:
        collection = filled.open(INGREDIENTS, LAYOUT)
        one, two, three = shards(filled)
        one.rename(one.with_name("shard-x.safetensors"))
        two.rename(one)
        three.rename(three.with_name("something else"))
        with pytest.raises(StoredRowsLost) as caught:
            collection.read(keys_of(range(10)))
        assert caught.value.keys == collection.missing(keys_of(range(10)))
        collection.refresh()
        there = [number for number in range(10) if not collection.missing([key(number)])]
        assert there
        assert holds(collection, there)

    def test_a_renamed_file_is_found_under_its_new_name(self, filled: FeatureStore) -> None:
        shards(filled)[0].rename(shards(filled)[0].with_name("shard-renamed.safetensors"))
        assert holds(filled.open(INGREDIENTS, LAYOUT), range(10))

    def test_files_of_others_in_the_folders_are_left_alone(self, filled: FeatureStore) -> None:
        folder = shards(filled)[0].parent
        others = [folder / "notes.txt", folder / "x.safetensors", filled.folder / "mine", filled.folder / ("0" * 31)]
        for other in others:
            other.write_text("mine")
        (folder / "shard-folder.safetensors").mkdir()
        assert holds(filled.open(INGREDIENTS, LAYOUT), range(10))
        assert filled.verify().damaged == {}
        assert len(filled.collections()) == 1
        assert all(other.read_text() == "mine" for other in others)

    def test_a_file_that_may_not_be_read_is_lost_but_stays(
        self, filled: FeatureStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        collection = filled.open(INGREDIENTS, LAYOUT)
        before = shards(filled)

        def refuse(*arguments: object, **named: object) -> None:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

        with monkeypatch.context() as patched:
            patched.setattr(Path, "open", refuse)
            with pytest.raises(StoredRowsLost) as caught:
                collection.read(keys_of(range(10)))
            assert len(caught.value.keys) == 10
            assert filled.verify().unreadable == dict.fromkeys(before, "Too many open files")
        assert shards(filled) == before
        collection.refresh()
        assert holds(collection, range(10))

    def test_verifying_removes_what_is_damaged_and_says_why(self, filled: FeatureStore) -> None:
        paths = shards(filled)
        content = bytearray(paths[0].read_bytes())
        content[-1] ^= 1
        paths[0].write_bytes(content)
        os.truncate(paths[1], 100)
        told: list[tuple[int, int]] = []
        verified = filled.verify(lambda done, total: told.append((done, total)))
        assert verified.shards == 3
        assert verified.damaged.keys() == set(paths[:2])
        assert verified.damaged[paths[0]].startswith("changed since it was written, in row")
        assert shards(filled) == paths[2:]
        assert [done for done, _ in told] == sorted(done for done, _ in told)
        assert told[-1] == (verified.bytes, verified.bytes)
        assert filled.verify().damaged == {}


class TestRoom:
    def three(self, store: FeatureStore) -> list[Path]:
        """Fills three collections and returns their folders, the least recently used first."""
        folders = []
        for view, used in ((0, 2e9), (1, 1e9), (2, 1.5e9)):
            collection = store.open({**INGREDIENTS, "view": view}, LAYOUT)
            fill(collection, range(8))
            collection.close()
            os.utime(collection.folder / "lock", (used, used))
            folders.append((used, collection.folder))
        return [folder for _, folder in sorted(folders)]

    def limited(self, store: FeatureStore, spare: int) -> FeatureStore:
        return FeatureStore(store.folder, max_bytes=store.held_bytes + spare)

    def test_nothing_is_removed_while_there_is_room(self, store: FeatureStore) -> None:
        folders = self.three(store)
        assert self.limited(store, 100).make_room(100)
        assert all(folder.is_dir() for folder in folders)

    def test_the_least_recently_used_go_first_and_no_more_than_needed(self, store: FeatureStore) -> None:
        first, second, third = self.three(store)
        limited = self.limited(store, 100)
        assert limited.make_room(101)
        assert [folder.exists() for folder in (first, second, third)] == [False, True, True]
        assert limited.make_room(limited.max_bytes)
        assert list(store.folder.iterdir()) == []

    def test_what_is_used_stays(self, store: FeatureStore) -> None:
        first, second, third = self.three(store)
        used = store.open({**INGREDIENTS, "view": 1}, LAYOUT)
        assert used.folder == first
        os.utime(first / "lock", (1, 1))
        assert self.limited(store, 0).make_room(1)
        assert [folder.exists() for folder in (first, second, third)] == [True, False, True]
        assert holds(used, range(8))

    def test_nothing_is_removed_if_that_would_not_do(self, store: FeatureStore) -> None:
        folders = self.three(store)
        used = store.open({**INGREDIENTS, "view": 0}, LAYOUT)
        limited = self.limited(store, 0)
        assert not limited.make_room(limited.max_bytes)
        assert not FeatureStore(store.folder, max_bytes=10).make_room(11)
        assert all(folder.is_dir() for folder in folders)
        used.close()
        assert limited.make_room(limited.max_bytes)

    def test_there_must_be_room_on_the_disk_too(self, store: FeatureStore, monkeypatch: pytest.MonkeyPatch) -> None:
        folders = self.three(store)
        monkeypatch.setattr(shutil, "disk_usage", lambda place: shutil._ntuple_diskusage(10**6, 10**6, 50))
        large = FeatureStore(store.folder, max_bytes=10**9)
        assert large.make_room(50)
        assert not large.make_room(10**6)
        assert large.make_room(51)
        assert [folder.exists() for folder in folders] == [False, True, True]

    def test_nobody_who_leaves_the_room_open_removes_what_others_have_agreed_to_keep(self, store: FeatureStore) -> None:
        folders = self.three(store)
        agreed = 10 * store.held_bytes
        (store.folder / "max_bytes").write_text(str(agreed))
        shared = FeatureStore(store.folder)
        assert shared.max_bytes == agreed
        assert shared.make_room(store.held_bytes)
        assert all(folder.is_dir() for folder in folders)
        assert FeatureStore(store.folder, max_bytes=1000).max_bytes == 1000, "but for who names another"
        assert shared.purge().collections == 3
        assert shared.max_bytes == agreed

    def test_a_folder_that_may_not_be_read_is_not_counted_and_stays(
        self, store: FeatureStore, refuse_folder: Callable[[Path], None]
    ) -> None:
        first, second, third = self.three(store)
        most = store.held_bytes
        refuse_folder(first)
        limited = FeatureStore(store.folder, max_bytes=most)
        assert limited.make_room(2 * (most - limited.held_bytes))
        assert [folder.exists() for folder in (first, second, third)] == [True, False, True]
        told = {each.folder: (each.refused, each.in_use, each.bytes > 0) for each in store.collections()}
        assert told == {first: ("Permission denied", False, False), third: (None, False, True)}
        verified, purged = store.verify(), store.purge()
        assert verified.refused == purged.refused == {first: "Permission denied"}
        assert (verified.shards, verified.unreadable) == (2, {})
        assert (purged.collections, purged.in_use) == (1, 0)
        assert first.is_dir()

    def test_a_collection_that_is_forgotten_is_no_longer_used(self, filled: FeatureStore) -> None:
        collection = filled.open(INGREDIENTS, LAYOUT)
        assert filled.collections()[0].in_use
        del collection
        assert not filled.collections()[0].in_use

    def test_rows_removed_under_a_reader_are_lost_and_can_be_added_again(self, filled: FeatureStore) -> None:
        collection = filled.open(INGREDIENTS, LAYOUT)
        shutil.rmtree(filled.folder)
        with pytest.raises(StoredRowsLost) as caught:
            collection.read(keys_of(range(10)))
        assert caught.value.keys == keys_of(range(10)) == collection.missing(keys_of(range(10)))
        fill(collection, range(10))
        collection.flush()
        assert holds(filled.open(INGREDIENTS, LAYOUT), range(10))
        assert {path.stat().st_mode & 0o777 for path in filled.folder.rglob("*") if path.is_dir()} == {0o700}
        assert filled.collections()[0].in_use

    def test_a_purge_removes_all_but_what_is_used(self, store: FeatureStore) -> None:
        folders = self.three(store)
        held = store.held_bytes
        used = store.open({**INGREDIENTS, "view": 1}, LAYOUT)
        purged = store.purge()
        assert (purged.collections, purged.in_use) == (2, 1)
        assert purged.bytes == held - store.held_bytes
        used.close()
        assert store.purge().collections == 1
        assert not store.folder.exists()
        assert not any(folder.exists() for folder in folders)
        assert store.purge().bytes == 0

    def test_a_purge_can_spare_what_was_used_of_late(self, store: FeatureStore) -> None:
        first, second, third = self.three(store)
        assert store.purge(unused_since=1.5e9).collections == 1
        assert [folder.exists() for folder in (first, second, third)] == [False, True, True]

    def test_a_removal_that_was_interrupted_is_finished(
        self, filled: FeatureStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with monkeypatch.context() as patched:
            patched.setattr(shutil, "rmtree", lambda *arguments, **named: None)
            filled.purge()
        assert len(list(filled.folder.iterdir())) == 1
        assert filled.collections() == []
        assert filled.make_room(1)
        assert list(filled.folder.iterdir()) == []


class TestUnwritable:
    @pytest.mark.parametrize("point", ["os.fsync", "pathlib.Path.replace"])
    def test_a_full_disk_is_named_and_what_was_stored_stays(
        self, point: str, filled: FeatureStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        collection = filled.open(INGREDIENTS, LAYOUT)
        before = sorted(filled.folder.rglob("*"))

        def fail(*arguments: object) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        with monkeypatch.context() as patched:
            patched.setattr(point, fail)
            with pytest.raises(DiskFullError, match="found a full disk"):
                fill(collection, range(10, 20))
        assert sorted(filled.folder.rglob("*")) == before
        assert holds(collection, range(10))
        assert collection.missing(keys_of(range(20))) == keys_of(range(10, 20))
        fill(collection, range(10, 20))
        assert holds(collection, range(20))

    def test_a_limit_of_the_system_is_named(self, store: FeatureStore) -> None:
        collection = store.open(INGREDIENTS, LAYOUT)
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (300, hard))
        try:
            with pytest.raises(StoreUnwritableError, match="File too large"):
                fill(collection, range(4))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert shards(store) == []

    def test_a_file_in_the_place_of_the_folder_is_named(self, store: FeatureStore) -> None:
        store.folder.parent.mkdir(parents=True)
        store.folder.write_text("a file")
        collection = store.open(INGREDIENTS, LAYOUT)
        assert collection.missing([key(0)]) == [key(0)]
        with pytest.raises(StoreUnwritableError) as caught:
            fill(collection, range(4))
        assert str(caught.value) == (
            f"Looked for a folder to keep features in, {collection.folder}; found that it cannot be written to "
            "(File exists). Choose another place with features.dir=FOLDER, or keep none with features.store=false."
        )
        assert store.folder.read_text() == "a file"

    def test_a_store_on_a_disk_that_cannot_be_written_to_is_read(
        self, filled: FeatureStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*arguments: object) -> None:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))

        monkeypatch.setattr(os, "open", refuse)
        collection = filled.open(INGREDIENTS, LAYOUT)
        assert holds(collection, range(10))
        with pytest.raises(StoreUnwritableError, match="Read-only file system"):
            fill(collection, range(10, 14))
        assert holds(collection, range(10))
        assert not filled.collections()[0].in_use
        purged = filled.purge()
        assert (purged.in_use, purged.refused) == (0, {collection.folder: "Read-only file system"})

    def test_a_disk_without_locks_is_used_but_nothing_is_removed_from_it(
        self, store: FeatureStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*arguments: object) -> None:
            raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

        monkeypatch.setattr(fcntl, "flock", refuse)
        collection = store.open(INGREDIENTS, LAYOUT)
        fill(collection, range(8))
        collection.close()
        assert holds(store.open(INGREDIENTS, LAYOUT), range(8))
        assert not FeatureStore(store.folder, max_bytes=store.held_bytes).make_room(1)
        purged = store.purge()
        assert (purged.in_use, purged.refused) == (0, {collection.folder: "No locks available"})

    def test_a_lock_that_nobody_gives_free_is_not_waited_for_for_ever(
        self, filled: FeatureStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(shard_folder, "_LONGEST_WAIT_S", 0.05)
        lock = next(filled.folder.glob("*/lock"))
        with lock.open("rb") as of_a_machine_that_died:
            fcntl.flock(of_a_machine_that_died, fcntl.LOCK_EX)
            collection = filled.open(INGREDIENTS, LAYOUT)
            fill(collection, range(10, 14))
            assert holds(collection, range(14))

    def test_what_another_machine_may_be_writing_stays_where_its_locks_are_not_seen(
        self, filled: FeatureStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(fcntl, "flock", lambda *_: None)
        old, new = (shards(filled)[0].with_name(f".shard-{name}") for name in ("old", "new"))
        for stump in (old, new):
            stump.touch()
        os.utime(old, (1, 1))
        filled.open(INGREDIENTS, LAYOUT)
        assert (old.exists(), new.exists()) == (False, True)

    def test_a_folder_that_another_machine_removes_at_the_same_time_is_gone(
        self, filled: FeatureStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def too_late(folder: Path, _: object) -> None:
            shutil.rmtree(folder)
            raise FileNotFoundError

        monkeypatch.setattr(Path, "rename", too_late)
        assert FeatureStore(filled.folder, max_bytes=filled.held_bytes).make_room(1)
        assert filled.collections() == []
