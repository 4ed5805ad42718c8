"""Files that come whole or not at all."""

import errno
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest

from anemia_lightning.errors import DiskFullError
from anemia_lightning.files.whole_file import link_file, whole_file

ROOT = Path(__file__).parents[2]


def write(path: Path, content: bytes) -> None:
    with whole_file(path) as file:
        file.write(content)


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "folder" / "file.bin"
    write(path, b"good")
    return path


@contextmanager
def failing(name: str, error: OSError, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def fail(*arguments: object, **named: object) -> None:
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(name, fail)
        yield


def test_what_is_written_is_there_and_nothing_else(good: Path) -> None:
    write(good, b"better")
    assert good.read_bytes() == b"better"
    assert list(good.parent.iterdir()) == [good]


def test_a_failure_in_the_middle_leaves_the_file_before(good: Path) -> None:
    with pytest.raises(TypeError, match="bytes-like"), whole_file(good) as file:
        file.writelines([b"torn", "not bytes"])  # type: ignore[list-item]
    assert good.read_bytes() == b"good"
    assert list(good.parent.iterdir()) == [good]


@pytest.mark.parametrize("has_links", [True, False])
def test_a_file_can_lie_at_two_places_and_then_change_at_one(
    has_links: bool, good: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = good.with_name("other.bin")
    write(other, b"before")
    refusal = failing("os.link", OSError(errno.EPERM, "Operation not permitted"), monkeypatch)
    with nullcontext() if has_links else refusal:
        for _ in range(2):
            link_file(good, other)
            assert other.read_bytes() == b"good"
            assert sorted(good.parent.iterdir()) == [good, other]
    assert other.samefile(good) == has_links
    write(good, b"better")
    assert other.read_bytes() == b"good"


@pytest.mark.parametrize("point", ["os.fsync", "pathlib.Path.replace"])
def test_a_failure_of_the_system_leaves_the_file_before(
    point: str, good: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault = OSError(errno.EIO, "Input/output error")
    with failing(point, fault, monkeypatch), pytest.raises(OSError, match="Input/output error"):
        write(good, b"torn")
    assert good.read_bytes() == b"good"
    assert list(good.parent.iterdir()) == [good]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("point", ["pathlib.Path.mkdir", "tempfile.mkstemp", "os.fsync", "pathlib.Path.replace"])
def test_a_full_disk_is_named(point: str, code: int, good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with failing(point, OSError(code, os.strerror(code)), monkeypatch), pytest.raises(DiskFullError) as caught:
        write(good, b"torn")
    assert str(caught.value) == (
        f"Looked for room to write file.bin in {good.parent}; found a full disk. "
        "Free some space; what was written before is whole."
    )
    assert good.read_bytes() == b"good"
    assert list(good.parent.iterdir()) == [good]


@pytest.fixture
def refuse_folder_sync(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Makes the system refuse to make folders durable, and folders alone, with an error number."""

    def refuse(code: int) -> None:
        def sync(handle: int) -> None:
            if stat.S_ISDIR(os.fstat(handle).st_mode):
                raise OSError(code, os.strerror(code))

        monkeypatch.setattr(os, "fsync", sync)

    return refuse


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOTSUP, errno.EBADF])
def test_a_file_is_written_where_folders_cannot_be_made_durable(
    code: int, good: Path, refuse_folder_sync: Callable[[int], None]
) -> None:
    refuse_folder_sync(code)
    write(good, b"better")
    link_file(good, good.with_name("other.bin"))
    assert [path.read_bytes() for path in good.parent.iterdir()] == [b"better"] * 2


@pytest.mark.parametrize(
    ("code", "error"), [(errno.EIO, OSError), (errno.ENOSPC, DiskFullError), (errno.EDQUOT, DiskFullError)]
)
def test_a_folder_that_the_disk_fails_to_make_durable_is_told(
    code: int, error: type[Exception], good: Path, refuse_folder_sync: Callable[[int], None]
) -> None:
    refuse_folder_sync(code)
    with pytest.raises(error):
        write(good, b"better")


def test_a_full_disk_is_recognised_behind_another_error(good: Path) -> None:
    # As torch.save does when the file refuses what it writes.
    hidden = RuntimeError("[enforce fail at inline_container.cc:671]")
    hidden.__context__ = OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(DiskFullError), whole_file(good):
        raise hidden


def test_a_kill_in_mid_write_leaves_the_file_before(good: Path) -> None:
    code = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from anemia_lightning.files.whole_file import whole_file\n"
        "with whole_file(Path(sys.argv[1])) as file:\n"
        "    file.write(b'torn'); file.flush()\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    killed = subprocess.run([sys.executable, "-c", code, str(good)], env=environment, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert good.read_bytes() == b"good"

    stumps = [path for path in good.parent.iterdir() if path != good]
    assert [stump.read_bytes() for stump in stumps] == [b"torn"]
    write(good, b"better")
    assert list(good.parent.iterdir()) == [good], "what a kill leaves must not fill the disk"


def test_the_stumps_of_other_files_stay(good: Path) -> None:
    others = {good.with_name(name) for name in (".other.bin.abc", "file.bin.abc", ".file.binary")}
    for other in others:
        other.touch()
    write(good, b"better")
    assert set(good.parent.iterdir()) == {good, *others}
