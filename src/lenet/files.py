"""Files written so that none is ever half there, and read so that none holds the reader up.

Written: beside, synced, renamed. Read: plain files alone, up to a size. A pipe or a device has no
end, and a link in a folder that somebody sent leads out of it.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

UNFINISHED = ".tmp"  # how the names end that a reader must pass over


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
            os.replace(beside, path)
        except BaseException:
            with suppress(OSError):
                beside.unlink()
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
    _check_plain(path, (os.stat if links else os.lstat)(path))  # some devices act when opened
    flags = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    flags |= getattr(os, "O_NONBLOCK", 0) | (0 if links else getattr(os, "O_NOFOLLOW", 0))
    handle = os.open(path, flags)
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
        path.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Make renames inside ``folder`` durable, where the system knows how."""
    if os.name == "nt":  # folders cannot be opened there
        return
    handle = os.open(folder, os.O_RDONLY)
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
        error.filename, error.filename2 = str(path), None
        raise
