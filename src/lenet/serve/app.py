"""The service as a web application: who is let in, which route answers, what is counted."""

from __future__ import annotations

import asyncio
import hmac
import time
import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl

from lenet.serve import inference, openapi, predicting
from lenet.serve.batching import Batcher, ExpiredError, FullError, Outcome, UInt8
from lenet.serve.exchange import (
    Answer,
    Headers,
    Receive,
    RefusedError,
    Room,
    Scope,
    Send,
    headers_of,
    json_answer,
    read_body,
    refusal,
    send_answer,
)
from lenet.serve.log import Log
from lenet.serve.metrics import KIND, Metrics
from lenet.serve.served import Served
from lenet.untrusted import plain, shown
from lenet.web.addresses import Addresses

Result = TypeVar("Result")

READERS: Final = 2  # threads that read what is larger than a small picture
LARGEST_QUERY: Final = 1000  # bytes


@dataclass(frozen=True)
class Limits:
    """What the service takes."""

    body_bytes: int = 16 << 20  # of one request …
    all_bytes: int = 256 << 20  # … and of all that are here
    queue: int = 4096  # pictures that wait, for each model
    patience_s: float = 10.0  # for an answer


@dataclass(frozen=True)
class Admission:
    """Who may ask: ``known`` are the names that the service goes by, None for any."""

    known: Addresses | None = None
    token: str = ""  # of the Authorization header; none is needed where it is empty


@dataclass(frozen=True)
class _Asked:
    """A request that was let in."""

    headers: Headers
    query: Mapping[str, str]
    receive: Receive
    served: Served | None  # of the route's name


Handler = Callable[["Service", _Asked], Awaitable[Answer]]


class Service:
    """An ASGI application that answers for some networks.

    ``stopping()`` is asked by the readiness route: whether the service is about to end.
    """

    def __init__(
        self,
        models: Sequence[Served],
        limits: Limits = Limits(),
        admission: Admission = Admission(),
        log: Log | None = None,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        self.models: Mapping[str, Served] = MappingProxyType({each.name: each for each in models})
        self.limits, self.admission, self.log = limits, admission, log or Log()
        self.stopping = stopping
        self.metrics = Metrics()
        self.batchers = {each.name: self._batcher(each) for each in models}
        self._token = b"Bearer " + admission.token.encode() if admission.token else b""
        self._room = Room(limits.all_bytes)
        self._readers = ThreadPoolExecutor(READERS, "lenet-read")
        self._routes = _routes(self.models)
        self._documents: dict[str, Answer] = {}

    def _batcher(self, served: Served) -> Batcher:
        batcher = Batcher(
            served.compute,
            most_waiting=self.limits.queue,
            patience_s=self.limits.patience_s,
            tell=partial(self.metrics.batch, served),
        )
        batcher.warm_up(served.network.input_shape)
        self.metrics.watch(served, batcher)
        return batcher

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        if scope["type"] != "http":  # a WebSocket: nothing here speaks that
            await send({"type": "websocket.close", "code": 1008})
            return
        began = time.perf_counter()
        method, path = scope["method"], scope["path"]
        ways = self._routes.get(path, {})
        route, handler, served = ways.get("GET" if method == "HEAD" else method, (None, None, None))
        said = ""
        try:
            headers = headers_of(scope)
            self._let_in(headers, route)
            if handler is None:
                raise _no_route(path, ways, self.models)
            asked = _Asked(headers, _query(scope["query_string"]), receive, served)
            answer = await handler(self, asked)
        except RefusedError as wrong:
            answer, said = refusal(wrong), wrong.sentence
        except Exception:  # a mistake of ours: say all where the operator sees it
            said = "the service made a mistake; its log says which"
            self.log.event("error", "mistake", path=plain(path), trace=traceback.format_exc())
            answer = refusal(RefusedError(500, said, close=True))
        if method == "HEAD":
            answer = Answer(b"", answer.status, answer.kind, answer.headers)
        await send_answer(send, answer)
        seconds = time.perf_counter() - began
        self.metrics.request(route.path if route else "other", answer.status, seconds)
        self.log.request(scope.get("client"), method, path, answer.status, seconds, said)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                for batcher in self.batchers.values():
                    batcher.close()
                self._readers.shutdown(wait=False, cancel_futures=True)
                return

    # --- who is let in ---

    def _let_in(self, headers: Headers, route: openapi.Route | None) -> None:
        """Refuse a foreign host, another page, and whoever lacks the token."""
        host, known = headers.get(b"host", b""), self.admission.known
        if known is not None and not known.accept(host.decode("latin-1")):
            raise RefusedError(
                403,
                f"this service does not go by the name {shown(host.decode('latin-1'))}; start it "
                "with --allow-host where it should",
                close=True,
            )
        origin = headers.get(b"origin")
        if origin is not None and origin.partition(b"://")[2] != host:
            raise RefusedError(403, "another page asks for this; none may", close=True)
        if self._token and not (route is not None and route.open):
            given = headers.get(b"authorization", b"")
            if not hmac.compare_digest(given, self._token):
                what = "the token is another one" if given else "the token is missing"
                raise RefusedError(
                    401,
                    f"{what}; send the header Authorization: Bearer TOKEN",
                    (b"www-authenticate", b"Bearer"),
                    close=True,
                )

    # --- what is answered ---

    async def body(self, asked: _Asked) -> bytes:
        """A request's body; its room is given back when its answer is made."""
        return await read_body(asked.receive, asked.headers, self.limits.body_bytes, self._room)

    def give_back(self, body: bytes) -> None:
        """The body is not needed any more."""
        self._room.taken -= len(body)

    async def away(self, small: bool, function: Callable[..., Result], *arguments: Any) -> Result:
        """What a function returns, computed in a thread unless it is ``small``."""
        if small:
            return function(*arguments)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._readers, function, *arguments)

    async def compute(self, served: Served, images: UInt8) -> Outcome:
        """What a network says; refused where too many wait, or it takes too long."""
        try:
            return await self.batchers[served.name].submit(images)
        except FullError as full:
            retry = (b"retry-after", b"%d" % full.retry_after_s)
            raise RefusedError(503, f"{full}; try again", retry) from None
        except ExpiredError:
            raise RefusedError(
                503,
                f"no answer within {self.limits.patience_s:g} s; try again",
                (b"retry-after", b"1"),
            ) from None
        except ArithmeticError as error:
            raise RefusedError(500, str(error)) from None

    def document(self, name: str) -> Answer:
        """The description of the service for programs, or the page for people: made once."""
        if not self._documents:
            described = openapi.describe(self.models, bool(self._token), self.limits.body_bytes)
            self._documents = openapi.documents(described)
        return self._documents[name]


# --- the routes --------------------------------------------------------------------------------


async def _predict(service: Service, asked: _Asked) -> Answer:
    body = await service.body(asked)
    try:
        kind = predicting.kind_of(asked.headers)
        small = predicting.is_small(kind, body)
        content_type = asked.headers.get(b"content-type", b"")
        query, models = asked.query, service.models
        question = await service.away(
            small, predicting.question, kind, content_type, body, query, models
        )
        outcome = await service.compute(question.served, question.images)
        accept = asked.headers.get(b"accept", b"")
        few = len(question.images) <= 64 or accept == predicting.ARRAY
        return await service.away(few, predicting.answer, question, outcome, accept)
    finally:
        service.give_back(body)


async def _infer(service: Service, asked: _Asked) -> Answer:
    assert asked.served is not None
    body = await service.body(asked)
    try:
        length = asked.headers.get(b"inference-header-content-length")
        small = length is not None or len(body) <= 16_384
        question = await service.away(small, inference.inference, asked.served, body, length)
        outcome = await service.compute(asked.served, question.images)
        few = len(question.images) <= 64 or all(binary for _, binary in question.outputs)
        return await service.away(few, inference.answer, question, outcome)
    finally:
        service.give_back(body)


async def _models(service: Service, asked: _Asked) -> Answer:
    return json_answer({"models": [openapi.model(each) for each in service.models.values()]})


async def _metadata(service: Service, asked: _Asked) -> Answer:
    assert asked.served is not None
    return json_answer(inference.metadata(asked.served))


async def _server(service: Service, asked: _Asked) -> Answer:
    from lenet import __version__

    return json_answer(
        {"name": "lenet", "version": __version__, "extensions": ["binary_tensor_data"]}
    )


async def _index(service: Service, asked: _Asked) -> Answer:
    service.give_back(await service.body(asked))
    state = {"version": inference.VERSION, "state": "READY", "reason": ""}
    return json_answer([{"name": name, **state} for name in service.models])


async def _live(service: Service, asked: _Asked) -> Answer:
    return json_answer({"live": True})


async def _ready(service: Service, asked: _Asked) -> Answer:
    ready = not service.stopping()
    values: dict[str, Any] = {"ready": ready}
    if asked.served is not None:
        values = {"name": asked.served.name, **values}
    return json_answer(values, 200 if ready else 503)


async def _metrics(service: Service, asked: _Asked) -> Answer:
    return Answer(service.metrics.text(), kind=KIND)


async def _openapi(service: Service, asked: _Asked) -> Answer:
    return service.document("json")


async def _docs(service: Service, asked: _Asked) -> Answer:
    return service.document("page")


async def _home(service: Service, asked: _Asked) -> Answer:
    return Answer(b"", 307, headers=((b"location", b"/docs"),))


HANDLERS: Final[Mapping[str, Handler]] = MappingProxyType(
    {
        "predict": _predict,
        "models": _models,
        "server": _server,
        "live": _live,
        "ready": _ready,
        "metadata": _metadata,
        "infer": _infer,
        "index": _index,
        "metrics": _metrics,
        "openapi": _openapi,
        "docs": _docs,
        "home": _home,
    }
)

_Ways = dict[str, tuple[openapi.Route, Handler, Served | None]]


def _routes(models: Mapping[str, Served]) -> dict[str, _Ways]:
    """Every address there is, and who answers there by method: a look-up finds it."""
    found: dict[str, _Ways] = {}
    for route in openapi.ROUTES:
        handler = HANDLERS[route.handler]
        named = list(models.values()) if "{name}" in route.path else [None]
        for served in named:
            path = route.path
            if served is not None:
                path = path.replace("{name}", served.name)
            path = path.replace("{version}", inference.VERSION)
            found.setdefault(path, {})[route.method] = (route, handler, served)
    return found


def _no_route(path: str, ways: _Ways, models: Mapping[str, Served]) -> RefusedError:
    if ways:
        allowed = ", ".join(sorted({*ways} | ({"HEAD"} if "GET" in ways else set())))
        return RefusedError(
            405, f"this address takes {allowed}", (b"allow", allowed.encode()), close=True
        )
    parts = path.split("/")
    if parts[:3] == ["", "v2", "models"] and len(parts) > 3 and parts[3] not in models:
        known = ", ".join(models)
        return RefusedError(
            404, f"there is no model {shown(parts[3])}; there are {known}", close=True
        )
    return RefusedError(
        404, "there is nothing at this address; /docs lists what there is", close=True
    )


def _query(text: bytes) -> Mapping[str, str]:
    if not text:
        return {}
    if len(text) > LARGEST_QUERY:
        raise RefusedError(400, "what follows the ? is too long", close=True)
    return dict(parse_qsl(text.decode("latin-1"), keep_blank_values=True))
