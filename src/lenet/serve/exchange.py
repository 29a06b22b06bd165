"""One request: its headers and body, within bounds; what is refused; the answer that is sent."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any, Final

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = dict[bytes, bytes]

PATIENCE_S: Final = 10.0  # for a request's head, and for its body to begin …
SLOWEST: Final = 65_536  # … and bytes a second that lengthen it
ONCE: Final = frozenset(
    (
        b"host",
        b"origin",
        b"authorization",
        b"content-length",
        b"content-type",
        b"content-encoding",
        b"inference-header-content-length",
    )
)


class RefusedError(Exception):
    """A request that is answered with a status and one sentence."""

    def __init__(
        self, status: int, sentence: str, *headers: tuple[bytes, bytes], close: bool = False
    ) -> None:
        super().__init__(sentence)
        self.status, self.sentence, self.headers, self.close = status, sentence, headers, close


@dataclass(frozen=True, slots=True)
class Answer:
    """A response."""

    body: bytes
    status: int = 200
    kind: bytes = b"application/json"
    headers: tuple[tuple[bytes, bytes], ...] = ()


def json_answer(values: Any, status: int = 200) -> Answer:
    """Plain values as JSON."""
    return Answer(json.dumps(values, separators=(",", ":"), ensure_ascii=False).encode(), status)


def refusal(wrong: RefusedError) -> Answer:
    """The answer to a request that is refused."""
    headers = wrong.headers
    if wrong.close:  # what is left of the body is not read
        headers = (*headers, (b"connection", b"close"))
    body = json.dumps({"error": wrong.sentence}, ensure_ascii=False).encode()
    return Answer(body, wrong.status, headers=headers)


async def send_answer(send: Send, answer: Answer) -> None:
    """Send a response."""
    headers = [
        (b"content-type", answer.kind),
        (b"content-length", b"%d" % len(answer.body)),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
        *answer.headers,
    ]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})


def headers_of(scope: Scope) -> Headers:
    """A request's headers; refused where one that must be there once is there twice."""
    pairs = scope["headers"]
    headers: Headers = dict(pairs)
    if len(headers) != len(pairs):
        names = [name for name, _ in pairs]
        for name in ONCE & headers.keys():
            if names.count(name) > 1:
                raise RefusedError(400, f"the header {name.decode()} is there twice", close=True)
    return headers


class Room:
    """How many bytes of bodies may be here at once, over all requests."""

    def __init__(self, most: int) -> None:
        self.most, self.taken = most, 0


async def read_body(receive: Receive, headers: Headers, limit: int, room: Room) -> bytes:
    """The whole body. Refused where it is too large, too slow, or there is no room for it now.

    The caller gives the room back: ``room.taken -= len(body)``.
    """
    length = headers.get(b"content-length")
    if length is not None and (not length.isdigit() or int(length[:20]) > limit):
        raise _too_large(limit)
    if headers.get(b"content-encoding", b"identity").lower() != b"identity":
        raise RefusedError(415, "send the body as it is, without Content-Encoding", close=True)
    began = time.monotonic()
    parts: list[bytes] = []
    read = 0
    try:
        async with asyncio.timeout(PATIENCE_S) as deadline:
            more = True
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise RefusedError(400, "the client is gone", close=True)
                part = message.get("body", b"")
                more = message.get("more_body", False)
                read += len(part)
                room.taken += len(part)
                if read > limit:
                    raise _too_large(limit)
                if room.taken > room.most:
                    raise RefusedError(
                        503, "too much is being sent at once", (b"retry-after", b"1"), close=True
                    )
                parts.append(part)
                if more:
                    waited = time.monotonic() - began
                    left = PATIENCE_S + read / SLOWEST - waited
                    deadline.reschedule(asyncio.get_running_loop().time() + left)
    except TimeoutError:
        room.taken -= read
        raise RefusedError(408, "the request came too slowly", close=True) from None
    except BaseException:
        room.taken -= read
        raise
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _too_large(limit: int) -> RefusedError:
    sentence = f"the body is larger than {limit:,} bytes, which is all that is read here"
    return RefusedError(413, sentence, close=True)
