"""What asks a command that trains to stop, with a checkpoint: Ctrl-C, SIGTERM or a file."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import typer

from lenet import files, system

if TYPE_CHECKING:
    from filelock import FileLock


@contextmanager
def stop_on_signals(stop_file: Path | None = None) -> Iterator[Callable[[], int]]:
    """A function that tells the exit code of what has asked to stop, 0 where nothing has: 130 for
    Ctrl-C, 143 for SIGTERM and for a ``stop_file`` that is there, which is removed at the end.

    The first is noted: training can then save a checkpoint and stop. A second interrupts at once.
    """
    received: list[int] = []
    codes: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        if received:
            raise KeyboardInterrupt
        received.append(number)

    def asked() -> int:
        if received:
            codes.append(system.exit_code(received[0]))
        elif not codes and stop_file is not None and os.path.lexists(stop_file):
            codes.append(system.exit_code(signal.SIGTERM))
        return codes[0] if codes else 0

    kinds = system.stop_signals()
    before = [signal.signal(kind, note) for kind in kinds]
    try:
        yield asked
    finally:
        for kind, handler in zip(kinds, before, strict=True):
            signal.signal(kind, handler)
        if stop_file is not None and asked():
            files.discard(stop_file)


def listen_to(stop_file: Path) -> FileLock:
    """The lock that says that a training looks for this file; it is held until that ends.

    Raises typer.BadParameter where another training does, where the file cannot be, and where
    something else than an empty file is there: it would be removed.
    """
    from filelock import FileLock, Timeout

    if os.path.lexists(stop_file) and not (stop_file.is_file() and not stop_file.stat().st_size):
        raise typer.BadParameter(
            f"--stop-file {stop_file} is there already and is no empty file: the training would "
            "stop at once and remove it; give the name of a file that is not there yet"
        )
    lock = FileLock(f"{stop_file}.lock", thread_local=False)
    try:
        lock.acquire(timeout=1, poll_interval=0.02)  # who only asks holds it for a moment
    except Timeout:
        raise typer.BadParameter(
            f"another training looks for {stop_file}: give this one a file of its own by "
            "--stop-file"
        ) from None
    except OSError as error:
        raise typer.BadParameter(
            f"--stop-file {stop_file} cannot be watched: {error.strerror}; give a file in a folder "
            "that is there and that you may write to"
        ) from None
    return lock
