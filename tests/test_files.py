"""write_atomically(): the old file or the new one, whole, whatever happens meanwhile."""

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lenet import files
from lenet.files import about, remove_unfinished, sync_folder, write_atomically

OLD, NEW = b"the old one\n", bytes(range(256)) * 1000


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A file with something in it, in a folder of its own."""
    path = tmp_path / "a run" / "weights ∂.bin"  # a space and a sign that is no ASCII
    path.parent.mkdir()
    path.write_bytes(OLD)
    return path


@pytest.fixture
def umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def left(path: Path) -> list[str]:
    return sorted(file.name for file in path.parent.iterdir())


def test_it_writes_a_new_file_and_replaces_an_old_one(place: Path) -> None:
    write_atomically(place, NEW)
    assert place.read_bytes() == NEW
    write_atomically(place, b"")
    assert place.read_bytes() == b""
    write_atomically(place.with_name("another"), OLD)
    assert left(place) == ["another", place.name]


def test_the_longest_name_there_can_be(place: Path) -> None:
    for name in ("x" * 255, "é" * 127):
        write_atomically(place.with_name(name), NEW)
        assert place.with_name(name).read_bytes() == NEW


@pytest.mark.skipif(os.name == "nt", reason="Windows has no modes")
@pytest.mark.parametrize("mask", [0o022, 0o027, 0o077, 0o002])
def test_the_mode_is_what_the_umask_leaves(mask: int, place: Path, umask: None) -> None:
    os.umask(mask)
    write_atomically(place, NEW)
    assert place.stat().st_mode & 0o777 == 0o666 & ~mask
    assert os.umask(mask) == mask  # and the umask was left alone


@pytest.mark.parametrize("when", ["fsync", "replace", "open"])
def test_no_space_left_keeps_the_old_file_and_nothing_beside(
    when: str, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if when == "open":
        monkeypatch.setattr(Path, "open", full)
    else:
        monkeypatch.setattr(files.os, when, full)  # type: ignore[attr-defined]
    with pytest.raises(OSError, match="No space left on device") as caught:
        write_atomically(place, NEW)
    monkeypatch.undo()
    assert caught.value.errno == errno.ENOSPC
    assert caught.value.filename == str(place)
    assert repr(str(place)) in str(caught.value)
    assert place.read_bytes() == OLD
    assert left(place) == [place.name]


def test_a_full_disk(tmp_path: Path) -> None:
    """The same on a real one of 64 KiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    script = """
import os, sys
from pathlib import Path
from lenet.files import write_atomically
place = Path(sys.argv[1]) / "weights.bin"
write_atomically(place, b"old")
try:
    write_atomically(place, bytes(200_000))
except OSError as error:
    assert (error.errno, error.filename) == (28, str(place)), error
    assert place.read_bytes() == b"old" and os.listdir(place.parent) == [place.name]
    print("refused")
"""
    mount = 'mount -t tmpfs -o size=64k tmpfs "$1" || exit 77; exec "$2" -c "$3" "$1"'
    try:
        done = subprocess.run(
            ["unshare", "-rm", "sh", "-c", mount, "sh", disk, sys.executable, script],
            capture_output=True,
            text=True,
        )
    except FileNotFoundError:
        pytest.skip("no small disk can be mounted here: there is no unshare")
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip(f"no small disk can be mounted here: {done.stderr.strip()}")
    assert done.stdout == "refused\n", done.stderr


def test_errors_name_the_file_that_was_asked_for(place: Path) -> None:
    gone = place.parent / "no such folder" / "weights.bin"
    with pytest.raises(FileNotFoundError, match="No such file") as caught:
        write_atomically(gone, NEW)
    assert caught.value.filename == str(gone)
    (place.parent / "folder").mkdir()
    with pytest.raises((IsADirectoryError, PermissionError)) as other:  # the latter on Windows
        write_atomically(place.parent / "folder", NEW)
    assert other.value.filename == str(place.parent / "folder")
    for error in (caught.value, other.value):
        assert str(error).endswith(f": {error.filename!r}"), "the name ends it"
    assert left(place) == ["folder", place.name]


def test_an_interruption_leaves_nothing_beside(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(files.os, "fsync", interrupted)  # type: ignore[attr-defined]
    with pytest.raises(KeyboardInterrupt):
        write_atomically(place, NEW)
    assert place.read_bytes() == OLD
    assert left(place) == [place.name]


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_killed_in_the_middle_the_old_file_is_there_whole(place: Path) -> None:
    """Ten times at another moment while a process writes without pause."""
    script = """
import sys
from pathlib import Path
from lenet.files import write_atomically
for number in range(10**9):
    write_atomically(Path(sys.argv[1]), bytes([number % 256]) * 300_000)
    if number == 0:
        print("writing", flush=True)
"""
    for kill in range(10):
        process = subprocess.Popen(
            [sys.executable, "-c", script, place], stdout=subprocess.PIPE, text=True
        )
        with process:
            assert process.stdout is not None
            assert process.stdout.readline() == "writing\n"
            time.sleep(kill * 0.0017)
            process.send_signal(signal.SIGKILL)
        content = place.read_bytes()
        assert len(content) == 300_000
        assert len(set(content)) == 1
    remove_unfinished(place.parent)
    assert left(place) == [place.name]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
@pytest.mark.parametrize("when", ["fsync", "replace"])
def test_killed_before_the_rename_what_was_begun_is_told_apart(place: Path, when: str) -> None:
    script = f"""
import os, signal, sys
from pathlib import Path
from lenet.files import write_atomically
os.{when} = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
write_atomically(Path(sys.argv[1]), b"new")
"""
    assert subprocess.run([sys.executable, "-c", script, place]).returncode == -signal.SIGKILL
    assert place.read_bytes() == OLD
    assert len(left(place)) == 2
    remove_unfinished(place.parent)
    assert left(place) == [place.name]


def test_remove_unfinished_removes_nothing_else(place: Path) -> None:
    others = [".lock", "notes.tmp", ".hidden", "tmp"]
    for name in others:
        place.with_name(name).write_bytes(OLD)
    remove_unfinished(place.parent)
    assert left(place) == sorted([*others, place.name])


@pytest.mark.needs("open folders")
def test_a_file_system_that_cannot_sync_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(number: int) -> None:
        def fsync(_: int) -> None:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(files.os, "fsync", fsync)  # type: ignore[attr-defined]

    fails(errno.EINVAL)
    sync_folder(tmp_path)
    fails(errno.EIO)
    with pytest.raises(OSError, match="Input/output error"):
        sync_folder(tmp_path)


def test_about_leaves_other_errors_alone() -> None:
    with pytest.raises(ValueError, match="another"), about(Path("x")):
        raise ValueError("another")
