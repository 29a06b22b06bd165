"""The lab as a web application: the page's files, the API, and what keeps strangers out."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from lenet.lab.answers import error, file, page, whole
from lenet.lab.api import make_router
from lenet.lab.errors import LabError
from lenet.lab.events import Hub
from lenet.lab.lab import Event, Lab
from lenet.lab.security import Guard
from lenet.runs import RunError
from lenet.untrusted import plain
from lenet.web.addresses import Addresses

WEB: Final = Path(__file__).parent / "page"
TICK_S: Final = 0.1
SHUT_DOWN_S: Final = 1.0


def make_app(
    lab: Lab,
    token: str,
    known: Addresses,
    stopping: Callable[[], bool] = lambda: False,
    web: Path = WEB,
) -> ASGIApp:
    """The lab behind its guard. While it runs, it watches; when ``stopping()``, streams end."""
    hub = Hub()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        watching = asyncio.create_task(_watch(lab, hub, stopping))
        try:
            yield
        finally:
            try:
                hub.close()
                watching.cancel()
                with suppress(asyncio.CancelledError):
                    await watching
            finally:  # whatever failed: what trains is paused
                await asyncio.to_thread(lab.shut_down, SHUT_DOWN_S)

    app = FastAPI(
        title="LeNet's lab",
        docs_url=None,  # these pages would load their scripts from elsewhere
        redoc_url=None,
        openapi_url="/api/openapi.json",
        lifespan=lifespan,
        redirect_slashes=False,
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    app.include_router(make_router(lab, hub))
    _add_errors(app)

    @app.get("/")
    async def index(request: Request) -> Response:
        return page(web, request)

    @app.get("/web/all/{path:path}")
    async def together(path: str, request: Request) -> Response:
        return whole(web, path, request)

    @app.get("/web/{path:path}")
    async def static(path: str, request: Request) -> Response:
        return file(web, path, request)

    @app.get("/favicon.ico")
    async def no_icon() -> Response:
        return Response(None, 204)

    return Guard(app, token, known)


async def _watch(lab: Lab, hub: Hub, stopping: Callable[[], bool]) -> None:
    """Look at the runs again and again, and tell the pages; stop what trains when it is time."""
    try:
        while not stopping():
            for event, values in _tick(lab):
                hub.tell(event, values)
            await asyncio.sleep(TICK_S)
    finally:
        if lab.queue.worker is not None:
            lab.queue.worker.tell_to_stop()
        hub.close()


def _tick(lab: Lab) -> list[Event]:
    """What the lab tells; what keeps it from its work is told once, and tried again."""
    try:
        events = lab.tick()
        lab.trouble = ""
        return events
    except Exception as wrong:  # no space, say; whatever it is, it is not the end of watching
        if isinstance(wrong, OSError):
            trouble = plain(f"{wrong.filename or lab.root}: {wrong.strerror or wrong}")
        else:
            trouble = f"{type(wrong).__name__}, a mistake of this program"
        if trouble != lab.trouble:
            print(f"lenet: {trouble}", file=sys.stderr)
        lab.trouble = trouble
        return lab.new_warnings()


def _add_errors(app: FastAPI) -> None:
    """Every error as one sentence."""

    @app.exception_handler(LabError)
    async def refused(request: Request, wrong: LabError) -> Response:
        return error(wrong.status, str(wrong))

    @app.exception_handler(RunError)
    async def no_run(request: Request, wrong: RunError) -> Response:
        return error(404, str(wrong))

    @app.exception_handler(ValueError)
    async def wrong_value(request: Request, wrong: ValueError) -> Response:
        return error(422, str(wrong) or "this cannot be")

    @app.exception_handler(ArithmeticError)
    async def too_large(request: Request, wrong: ArithmeticError) -> Response:
        return error(422, f"a number is too large: {wrong}")

    @app.exception_handler(OSError)
    async def no_file(request: Request, wrong: OSError) -> Response:
        where = f"{wrong.filename}: " if wrong.filename else ""
        return error(409, f"{where}{wrong.strerror or wrong}")

    @app.exception_handler(MemoryError)
    async def no_memory(request: Request, wrong: MemoryError) -> Response:
        return error(422, "this takes more memory than there is here")

    @app.exception_handler(HTTPException)
    async def http(request: Request, wrong: HTTPException) -> Response:
        sentences = {404: "there is nothing at this address", 405: "this cannot be done here"}
        response = error(wrong.status_code, sentences.get(wrong.status_code, str(wrong.detail)))
        for name, value in (wrong.headers or {}).items():
            response.headers[name] = value
        return response

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, wrong: RequestValidationError) -> Response:
        first = wrong.errors()[0]
        where = ".".join(str(part) for part in first["loc"][1:]) or str(first["loc"][0])
        return error(422, f"{where[:100]}: {first['msg'][:300]}")

    @app.exception_handler(RecursionError)
    async def too_deep(request: Request, wrong: RecursionError) -> Response:
        return error(422, "this is nested too deeply")
