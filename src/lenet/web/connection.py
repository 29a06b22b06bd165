"""A connection that is closed when its other end dawdles: uvicorn has no deadline for that.

A request's head must come in time, and be short (its body is timed by who reads it); whoever does
not read what was sent is dropped. Between requests, uvicorn's own time-out holds.

When the server ends, uvicorn closes the connections that wait for a request, and a request that was
on its way is lost. Here they stay for ``drain_s``, and what comes meanwhile is answered.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

LONGEST_HEAD: Final = 65_536  # bytes; a browser's has some thousand


def patient(
    protocol: type[Any], patience_s: Callable[[], float], drain_s: float = 0.0
) -> type[Any]:
    """uvicorn's ``protocol`` for HTTP/1.1 with these deadlines, each ``patience_s()`` long."""

    class Patient(protocol):  # type: ignore[misc]  # one of two classes of uvicorn's
        _head: asyncio.TimerHandle | None = None  # runs while a head is coming
        _reader: asyncio.TimerHandle | None = None  # runs while the other end does not read
        _head_bytes = 0
        _ending = False

        def connection_made(self, transport: asyncio.Transport) -> None:
            super().connection_made(transport)
            self._wait_for_head()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop("_head")
            self._stop("_reader")
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self._wait_for_head(len(data))
            if self._ending and self._is_answering():
                self.cycle.keep_alive = False

        def shutdown(self) -> None:
            self._ending = True
            if drain_s and not self._is_answering():
                self.loop.call_later(drain_s, super().shutdown)
            else:
                super().shutdown()

        def pause_writing(self) -> None:
            super().pause_writing()
            if self._reader is None:
                self._reader = self.loop.call_later(patience_s(), self.transport.abort)

        def resume_writing(self) -> None:
            super().resume_writing()
            self._stop("_reader")

        def _wait_for_head(self, received: int = 0) -> None:
            """Start the clock where no request is under way; stop it where one is."""
            if self._is_answering():
                self._stop("_head")
                self._head_bytes = 0
                return
            self._head_bytes += received
            if self._head_bytes > LONGEST_HEAD:
                self.transport.abort()
            elif self._head is None and not self.transport.is_closing():
                self._head = self.loop.call_later(patience_s(), self.transport.abort)

        def _is_answering(self) -> bool:
            return self.cycle is not None and not self.cycle.response_complete

        def _stop(self, name: str) -> None:
            timer: asyncio.TimerHandle | None = getattr(self, name)
            if timer is not None:
                timer.cancel()
                setattr(self, name, None)

    return Patient
