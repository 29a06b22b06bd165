"""A client of an ASGI app without a network: what is sent is what the app gets, right or wrong."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes


@dataclass(frozen=True)
class Answer:
    """A response."""

    status: int
    headers: dict[str, str]
    content: bytes

    def json(self) -> Any:
        return json.loads(self.content)

    @property
    def text(self) -> str:
        return self.content.decode()


class Client:
    """Asks an app, with some headers each time."""

    def __init__(self, app: Any, **headers: str) -> None:
        self.app = app
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}
        self.loop = asyncio.new_event_loop()
        self.read: list[int] = []  # the parts of the last body that the app took

    def close(self) -> None:
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()

    def ask(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
        body: bytes | Iterable[bytes] = b"",
        kind: str = "http",
    ) -> Answer:
        """The answer to a request. A list of headers is sent as it is, a mapping adds to ours."""
        if isinstance(headers, Mapping):
            given = [*({**self.headers, **headers}).items()]
        else:
            given = [*headers] or [*self.headers.items()]
        path, _, query = target.partition("?")
        scope = {
            "type": kind,
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": unquote_to_bytes(path).decode("utf-8", "replace"),
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(k.lower().encode("latin-1"), v.encode("latin-1")) for k, v in given],
            "server": ("127.0.0.1", 80),
            "client": ("127.0.0.1", 5),
            "state": {},
        }
        return self.loop.run_until_complete(self._ask(scope, body))

    def get(self, target: str, **headers: str) -> Answer:
        return self.ask("GET", target, {n.replace("_", "-"): v for n, v in headers.items()})

    def post(self, target: str, values: Any = None) -> Answer:
        if values is None:
            return self.ask("POST", target)
        headers = {"content-type": "application/json"}
        return self.ask("POST", target, headers, json.dumps(values).encode())

    async def _ask(self, scope: dict[str, Any], body: bytes | Iterable[bytes]) -> Answer:
        parts = iter([body] if isinstance(body, bytes) else [*body, b""])
        more = not isinstance(body, bytes)
        self.read = []
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            part = next(parts, None)
            if part is None:
                await asyncio.sleep(60)  # a browser that waits for the answer
                return {"type": "http.disconnect"}
            self.read.append(len(part))
            return {"type": "http.request", "body": part, "more_body": more and part != b""}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        await self.app(scope, receive, send)
        start = sent[0]
        if start["type"] != "http.response.start":
            return Answer(start.get("code", 0), {}, b"")
        headers = {key.decode(): value.decode("latin-1") for key, value in start["headers"]}
        return Answer(start["status"], headers, b"".join(m.get("body", b"") for m in sent[1:]))
