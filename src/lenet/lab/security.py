"""Who may ask the lab for what: host and origin, the token, sizes, headers.

The page runs in a browser that other pages use as well. What keeps them out:

- ``Host`` must be an address that the lab was bound to: a foreign name that points here
  (DNS rebinding) is refused;
- ``Origin``, where there is one, must be that address too, and ``Sec-Fetch-Site`` must not say
  that another page asks, but for the page itself being opened from a link;
- whatever changes something needs the token, which reaches the page in the fragment of its
  address: browsers send that to nobody, and so it is in no log; a page may ask whether it has it;
- no more of a body is read than its limit, and none that comes too slowly.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import re
import sys
import time
import traceback
from collections.abc import Sequence
from typing import Final, Literal

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lenet.language.chinese import in_chinese
from lenet.web.addresses import Addresses

LARGEST_MODEL: Final = 64 << 20  # bytes of a body that opens a model
LARGEST_BODY: Final = 1 << 20  # bytes of any other
PATIENCE_S: Final = 14.0  # for a request to arrive …
SLOWEST: Final = 65_536  # … and bytes a second that lengthen it
READING: Final = ("GET", "HEAD")
TOKEN_FAULT: Final = "lenet.token_fault"  # in the scope, for whoever asks what the page may do
REFUSALS: Final = {
    "missing": (
        401,
        "the token is missing; open the address that lenet lab printed, with #token=…",
    ),
    "old": (403, "the token is of an earlier start; open the address that lenet lab printed now"),
}

HEADERS: Final = (
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
)
POLICY: Final = (
    "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'{hashes}; worker-src 'self' blob:; "
    "img-src 'self' data: blob:; connect-src 'self'; style-src 'self'; object-src 'none'; "
    "base-uri 'none'; frame-ancestors 'none'; form-action 'none'"
)
_INLINE = re.compile(rb"<script\b(?P<attributes>[^>]*)>(?P<text>.*?)</script\s*>", re.S | re.I)


def content_policy(page: bytes) -> str:
    """The Content-Security-Policy for a page: scripts from files, and its own import map.

    >>> "'sha256-" in content_policy(b'<script type="importmap">{}</script>')
    True
    """
    hashes = ""
    for script in _INLINE.finditer(page):
        if b"importmap" in script["attributes"]:
            digest = base64.b64encode(hashlib.sha256(script["text"]).digest()).decode()
            hashes += f" 'sha256-{digest}'"
    return POLICY.format(hashes=hashes)


# --- the guard ---------------------------------------------------------------------------------


class _TooLargeError(Exception):
    """A body beyond its limit."""


class _TooSlowError(Exception):
    """A body that does not come."""


class Guard:
    """An ASGI app that lets through to another what is allowed, and adds the headers."""

    def __init__(self, app: ASGIApp, token: str, known: Addresses) -> None:
        self._app, self._token, self._known = app, token.encode(), known

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # a WebSocket: nothing here speaks that
            await send({"type": "websocket.close", "code": 1008})
            return
        guarded = _Exchange(receive, send, limit_of(scope))
        refusal = refused(scope, self._token, self._known)
        if refusal is not None:
            await guarded.answer(*refusal)
            return
        if guarded.promised_too_much(scope):
            await guarded.answer(*guarded.too_large())
            return
        fault = token_fault(scope, self._token)
        try:
            await self._app({**scope, TOKEN_FAULT: fault}, guarded.receive, guarded.send)
        except _TooLargeError:
            await guarded.answer(*guarded.too_large())
        except _TooSlowError:
            await guarded.answer(408, "the request came too slowly")
        except Exception:
            traceback.print_exc(file=sys.stderr)  # a mistake of ours: say all where it is seen
            await guarded.answer(500, "the lab made a mistake; the terminal that runs it says what")


def refused(scope: Scope, token: bytes, known: Addresses) -> tuple[int, str] | None:
    """Status and sentence for a request that is not let in; None for one that is."""
    hosts, origins = _values(scope, b"host"), _values(scope, b"origin")
    if len(hosts) != 1 or not known.accept(hosts[0]):
        return 403, "this host name is not the lab's; open the address that lenet lab printed"
    if any(not _is_own(origin, known) for origin in origins):
        return 403, "another page asks for this; only the lab's own page may"
    sites = _values(scope, b"sec-fetch-site")
    opened = (
        (scope["method"], scope["path"]) == ("GET", "/")
        and _values(scope, b"sec-fetch-mode") == ["navigate"]
        and _values(scope, b"sec-fetch-dest") == ["document"]
    )
    if any(site not in ("same-origin", "none") for site in sites) and not opened:
        return 403, "another page asks for this; only the lab's own page may"
    fault = None if scope["method"] in READING else token_fault(scope, token)
    return None if fault is None else REFUSALS[fault]


def token_fault(scope: Scope, token: bytes) -> Literal["missing", "old"] | None:
    """What is wrong with a request's token; None where it is the lab's."""
    tokens = _values(scope, b"x-lenet-token")
    if not tokens:
        return "missing"
    same = hmac.compare_digest("\n".join(tokens).encode("latin-1"), token)
    return None if same else "old"


def limit_of(scope: Scope) -> int:
    """How many bytes a request's body may have."""
    opens_model = (scope["method"], scope["path"]) == ("POST", "/api/models")
    return LARGEST_MODEL if opens_model else LARGEST_BODY


def _values(scope: Scope, name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]


def _is_own(origin: str, known: Addresses) -> bool:
    scheme, _, host = origin.partition("://")
    return scheme == "http" and known.accept(host)


class _Exchange:
    """One request and its response: the body counted and timed, the headers added."""

    def __init__(self, receive: Receive, send: Send, limit: int) -> None:
        self._receive, self._send, self._limit = receive, send, limit
        self._read, self._whole, self._failed, self._started = 0, False, False, False
        self._began = time.monotonic()

    def promised_too_much(self, scope: Scope) -> bool:
        """Whether Content-Length is beyond the limit, or no number."""
        lengths = _values(scope, b"content-length")
        return any(not length.isdecimal() or int(length[:20]) > self._limit for length in lengths)

    def too_large(self) -> tuple[int, str]:
        """The answer to a body that is."""
        return 413, f"the body is larger than {self._limit:,} bytes, which is all that is read here"

    async def receive(self) -> Message:
        """The next part of the body; raises where it is too large or too slow."""
        if self._whole:  # what follows is the end of the connection, which may be far
            return await self._receive()
        allowed = self._began + PATIENCE_S + self._read / SLOWEST - time.monotonic()
        try:
            message = await asyncio.wait_for(self._receive(), max(allowed, 0.001))
        except TimeoutError:
            self._failed = True
            raise _TooSlowError from None
        self._read += len(message.get("body", b""))
        self._whole = not message.get("more_body", False)
        if self._read > self._limit:
            self._failed = True
            raise _TooLargeError
        return message

    async def send(self, message: Message) -> None:
        """Pass a part of the response on; nothing of one to a body that was refused."""
        if self._failed:
            raise _TooLargeError if self._read > self._limit else _TooSlowError
        if message["type"] == "http.response.start":
            self._started = True
            there = {key.lower() for key, _ in message["headers"]}
            added = [*HEADERS, ("content-security-policy", POLICY.format(hashes=""))]
            more = [(k.encode(), v.encode()) for k, v in added if k.encode() not in there]
            message = {**message, "headers": [*message["headers"], *more]}
        await self._send(message)

    async def answer(self, status: int, sentence: str) -> None:
        """Send an error instead of the app's response, and end the connection with it."""
        if self._started:
            return
        self._failed = False
        body = json.dumps({"error": sentence, "chinese": in_chinese(sentence)}).encode()
        headers: Sequence[tuple[bytes, bytes]] = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"cache-control", b"no-store"),
            (b"connection", b"close"),  # what is left of the body is not read
        ]
        await self.send({"type": "http.response.start", "status": status, "headers": headers})
        await self._send({"type": "http.response.body", "body": body})
