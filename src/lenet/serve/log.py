"""Log lines for programs: one JSON object a line, on stderr. No body and no token is in them."""

from __future__ import annotations

import json
import sys
import time
from contextlib import suppress
from typing import Any, TextIO

from lenet.untrusted import plain


class Log:
    """Writes lines; ``requests`` says whether every request gets one, or those that went wrong."""

    def __init__(self, requests: bool = False, stream: TextIO | None = None) -> None:
        self.requests, self._stream = requests, stream

    def event(self, level: str, event: str, **values: Any) -> None:
        """One line. A stream that cannot be written to is passed over: the service goes on."""
        now = time.time()
        clock = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now))
        line = {"time": f"{clock}.{int(now % 1 * 1000):03}Z", "level": level, "event": event}
        with suppress(OSError, ValueError):
            stream = self._stream or sys.stderr
            stream.write(json.dumps({**line, **values}, ensure_ascii=False) + "\n")
            stream.flush()

    def request(
        self, client: Any, method: str, path: str, status: int, seconds: float, said: str = ""
    ) -> None:
        """A request that was answered; ``said`` is why it was refused."""
        if not (self.requests or status >= 400):
            return
        values: dict[str, Any] = {"client": client[0] if client else None}
        values |= {"method": plain(method, 20), "path": plain(path, 200), "status": status}
        values["ms"] = round(seconds * 1000, 2)
        if said:
            values["error"] = plain(said)
        level = (
            "error" if status >= 500 and status != 503 else "warning" if status >= 400 else "info"
        )
        self.event(level, "request", **values)
