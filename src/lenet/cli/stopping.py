"""Stopping in good order: what Ctrl-C and SIGTERM mean to a command that trains."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def stop_on_signals() -> Iterator[Callable[[], int]]:
    """A function that tells which of SIGINT and SIGTERM has come, 0 for none.

    The first is noted, so that training can stop in good order; a second interrupts at once.
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
