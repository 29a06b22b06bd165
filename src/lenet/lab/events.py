"""Server-sent events: what the lab says, to every page that listens.

An event is encoded once, whoever listens. A page that does not keep up is let go; when it comes
back, as browsers do by themselves, it gets the whole state anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

from lenet.lab.answers import encoded

WAITING: Final = 500  # events for a page, before it is too slow
HEARTBEAT_S: Final = 15.0
RETRY_MS: Final = 1_000


class Hub:
    """The pages that listen."""

    def __init__(self) -> None:
        self._listeners: set[asyncio.Queue[bytes | None]] = set()
        self._closed = False

    def __len__(self) -> int:
        return len(self._listeners)

    def tell(self, event: str, values: dict[str, Any]) -> None:
        """Send an event to every page."""
        if not self._listeners:
            return
        message = message_of(event, values)
        for listener in list(self._listeners):
            try:
                listener.put_nowait(message)
            except asyncio.QueueFull:
                self._let_go(listener)

    def close(self) -> None:
        """End every stream, and those that begin from now on."""
        self._closed = True
        for listener in list(self._listeners):
            self._let_go(listener)

    async def listen(self, state: Callable[[], dict[str, Any]]) -> AsyncIterator[bytes]:
        """The stream of a page: the state, then events as they come, a comment when none do."""
        if self._closed:
            return
        listener: asyncio.Queue[bytes | None] = asyncio.Queue(WAITING)
        self._listeners.add(listener)
        try:
            yield f"retry: {RETRY_MS}\n\n".encode() + message_of("state", state())
            while True:
                try:
                    message = await asyncio.wait_for(listener.get(), HEARTBEAT_S)
                except TimeoutError:
                    message = b": still here\n\n"
                if message is None:
                    return
                yield message
        finally:
            self._listeners.discard(listener)

    def _let_go(self, listener: asyncio.Queue[bytes | None]) -> None:
        self._listeners.discard(listener)
        while not listener.empty():
            listener.get_nowait()
        listener.put_nowait(None)


def message_of(event: str, values: dict[str, Any]) -> bytes:
    """One event as it is sent."""
    return b"event: " + event.encode() + b"\ndata: " + encoded(values) + b"\n\n"
