"""Files written so that none is ever half there, and read so that none holds the reader up.

Written: beside, synced, renamed. Read: plain files alone, up to a size. A pipe or a device has no
end, and a link in a folder that somebody sent leads out of it.

Windows refuses to rename or remove what any program has open, be it for the moment in which a virus
scanner looks at it. So each of these is tried for a while there, and a file that nobody needs any
more is left for the next time.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final, TypeVar

UNFINISHED = ".tmp"  # how the names end that a reader must pass over
PATIENCE_S: Final = 2.0  # how long Windows is asked again for what another program has open
SHORT_PATIENCE_S: Final = 0.2  # where it can be done another time, or somebody waits for a page
PATH_LIMIT: Final = 260  # of Windows, its closing zero included; folders need room for a name in it

_HELD: Final = (None, 5, 32, 33)  # Windows' numbers for it; os.open() gives none
# what Windows takes for a device, whatever follows the dot
_DEVICES: Final = re.compile(r"(?i:con|prn|aux|nul|conin\$|conout\$|(com|lpt)[1-9¹²³])\s*(\..*)?")
Value = TypeVar("Value")


class FileError(ValueError):
    """What is no plain file, or too large to be read; the message names it."""


def as_path(value: object, what: str) -> Path:
    """The path that a text or a Path means. Raises FileError, naming ``what``, where it is none.

    >>> as_path("runs/first", "folder").name
    'first'
    """
    if not isinstance(value, str | os.PathLike) or not isinstance(text := os.fspath(value), str):
        raise FileError(f"{what} is {value!r:.80}; give a path, as a text or a pathlib.Path")
    if not text or "\0" in text:
        wrong = "holds a NUL character" if text else "is empty"
        raise FileError(f"{what} {wrong}; give a path, such as runs/first")
    return Path(text)


def write_atomically(path: Path, content: bytes, *, durable: bool = True) -> None:
    """Put ``content`` at ``path``: whatever happens, the old file or the new one is there, whole.

    Unless ``durable``, a power failure may take the new one, or leave it empty.
    Raises OSError (no space, no permission), naming ``path``, after removing what was written
    beside. A process that is killed leaves that behind: see ``remove_unfinished``.
    """
    beside = path.parent / f".{path.name[:50]}.{os.urandom(8).hex()}{UNFINISHED}"
    with about(path):
        try:
            with beside.open("xb") as file:
                file.write(content)
                file.flush()
                if durable:
                    os.fsync(file.fileno())
            patiently(lambda: os.replace(beside, path))
        except BaseException:
            discard(beside)
            raise
        if durable:
            sync_folder(path.parent)


def read_bounded(path: Path, most_bytes: int, *, links: bool = False) -> bytes:
    """The bytes of a plain file. Raises FileError and OSError, as ``open_plain`` does; FileError,
    too, for more than ``most_bytes``."""
    with open_plain(path, links=links) as file:
        size = os.fstat(file.fileno()).st_size
        content = file.read(size + 1) if size <= most_bytes else b""  # it may grow meanwhile
    if max(size, len(content)) > most_bytes:
        raise FileError(f"{path}: has {size:,} bytes; at most {most_bytes:,} are read")
    return content


def open_plain(path: Path, *, links: bool = False) -> BinaryIO:
    """A plain file, open for reading; a link to one as well if ``links``.

    Raises FileError for what is none (a folder, a pipe, a device, a link), and never waits for
    it. OSError where there is nothing, or no access.
    """
    if "\0" in os.fspath(path):
        raise FileError(f"{os.fspath(path)!r}: a name with a zero byte, which no file has")
    look = os.stat if links else os.lstat
    _check_plain(path, patiently(lambda: look(path), SHORT_PATIENCE_S))  # some devices act on open
    flags = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    flags |= getattr(os, "O_NONBLOCK", 0) | (0 if links else getattr(os, "O_NOFOLLOW", 0))
    handle = patiently(lambda: os.open(path, flags), SHORT_PATIENCE_S)
    try:
        _check_plain(path, os.fstat(handle))  # it may have been exchanged
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def _check_plain(path: Path, status: os.stat_result) -> None:
    kinds = {
        stat.S_IFDIR: "a folder",
        stat.S_IFLNK: "a link",
        stat.S_IFIFO: "a pipe",
        stat.S_IFSOCK: "a socket",
    }
    kind = stat.S_IFMT(status.st_mode)
    if kind != stat.S_IFREG:
        what = kinds.get(kind, "a device")
        raise FileError(f"{path}: {what}, not a file; put the file itself there")


def remove_unfinished(folder: Path) -> None:
    """Remove what killed processes left beside; only for a folder that nobody else writes to."""
    for path in folder.glob(f".*{UNFINISHED}"):
        discard(path)


def sync_folder(folder: Path) -> None:
    """Make renames inside ``folder`` durable, where the system knows how."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except PermissionError as error:
        if _is_of_windows(error):  # folders cannot be opened there
            return
        raise
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems
            raise
    finally:
        os.close(handle)


@contextmanager
def about(path: Path) -> Iterator[None]:
    """Let an OSError from inside name ``path``: that of a full disk names nothing by itself."""
    try:
        yield
    except OSError as error:
        error.filename = str(path)
        del error.filename2  # None there would be printed: 'weights.bin' -> None
        if _is_of_windows(error) and (remark := _why_refused(error, path)):
            error.strerror = f"{error.strerror}; {remark}"
        raise


# --- what is peculiar to Windows ---------------------------------------------------------------


def patiently(act: Callable[[], Value], patience_s: float = PATIENCE_S) -> Value:
    """What ``act`` returns. Where Windows refuses it because another program has a file open, it is
    tried again until ``patience_s`` is over; then, and elsewhere at once, its OSError is raised."""
    deadline, pause_s = time.monotonic() + patience_s, 0.001
    while True:
        try:
            return act()
        except PermissionError as error:
            if not is_held(error) or time.monotonic() + pause_s > deadline:
                raise
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, 0.05)


def is_held(error: OSError) -> bool:
    """Whether it may be that Windows refused since a program has the file open; never elsewhere."""
    number = getattr(error, "winerror", 0)
    return isinstance(error, PermissionError) and number in _HELD


def discard(path: Path) -> bool:
    """Whether a file that is not needed any more could be removed.

    Never raises. A file that stays takes room on the disk and does no other harm: the next call
    tries again.
    """
    try:
        patiently(lambda: path.unlink(missing_ok=True), SHORT_PATIENCE_S)
    except OSError:
        return False
    return True


def rename_folder(source: Path, target: Path) -> None:
    """Give a folder another name; an empty folder of that name makes room.

    Raises OSError where anything else has the name, or on Windows where a program has a file open
    in the folder: then nothing has changed.
    """
    try:
        patiently(lambda: os.rename(source, target))
    except FileExistsError:  # on Windows for an empty folder, too
        os.rmdir(target)  # refuses any other
        patiently(lambda: os.rename(source, target))


def trouble_with_name(name: str) -> str:
    """Why a file or folder cannot have the name on every system; "" where it can.

    >>> trouble_with_name("con.txt"), trouble_with_name("2026-11-21-d2l-1")
    ("Windows takes it for the device 'con'", '')
    """
    if not name or name in (".", ".."):
        return "it names no file"
    if wrong := next((sign for sign in name if sign < " " or sign in '<>:"/\\|?*'), ""):
        return f"it holds {wrong!r}"
    if name[-1] in ". ":
        return f"it ends with {name[-1]!r}, which Windows drops"
    if _DEVICES.fullmatch(name):
        return f"Windows takes it for the device {name.partition('.')[0].rstrip()!r}"
    return ""


def _is_of_windows(error: OSError) -> bool:
    return hasattr(error, "winerror")  # only there


def _why_refused(error: OSError, path: Path) -> str:
    """What to do about an error of Windows that says too little."""
    length = len(os.path.abspath(path))
    if isinstance(error, FileNotFoundError) and length >= PATH_LIMIT - 12:
        return (
            f"the path has {length} characters, and Windows takes {PATH_LIMIT - 1}: choose a "
            "folder with a shorter path"
        )
    if not is_held(error):
        return ""
    return (
        "a folder has this name"
        if path.is_dir()
        else "another program may have it open: close it there"
    )
