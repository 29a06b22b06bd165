"""What Ctrl-C and SIGTERM mean to a command that trains: save a checkpoint and stop."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def stop_on_signals() -> Iterator[Callable[[], int]]:
    """A function that tells which of SIGINT and SIGTERM has come, 0 for none.

    The first is noted: training can then save a checkpoint and stop. A second interrupts at once.
    """
    received: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        if received:
            raise KeyboardInterrupt
        received.append(number)

    kinds = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(kind, note) for kind in kinds]
    try:
        yield lambda: received[0] if received else 0
    finally:
        for kind, handler in zip(kinds, before, strict=True):
            signal.signal(kind, handler)
