"""A connection that is closed when its other end dawdles: uvicorn has no deadline for that.

A request's head must come within ``PATIENCE_S`` (its body is timed by ``security``), and whoever
does not read what was sent for as long is dropped.
"""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol

from lenet.lab.security import PATIENCE_S


class PatientProtocol(H11Protocol):
    """uvicorn's HTTP/1.1 with these two deadlines."""

    _head: asyncio.TimerHandle | None = None  # runs while no request is being answered
    _reader: asyncio.TimerHandle | None = None  # runs while the other end does not read

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop("_head")
        self._stop("_reader")
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._wait_for_head()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._wait_for_head()

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._reader is None:
            self._reader = self.loop.call_later(PATIENCE_S, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop("_reader")

    def _wait_for_head(self) -> None:
        """Start the clock where no request is under way; stop it where one is."""
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop("_head")
        elif self._head is None and not self.transport.is_closing():
            self._head = self.loop.call_later(PATIENCE_S, self.transport.abort)

    def _stop(self, name: str) -> None:
        timer: asyncio.TimerHandle | None = getattr(self, name)
        if timer is not None:
            timer.cancel()
            setattr(self, name, None)
