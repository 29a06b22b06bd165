"""Writing files so that none is ever half there: beside, synced, renamed."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

UNFINISHED = ".tmp"  # how the names end that a reader must pass over


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
