"""The prediction service: trained networks that answer over HTTP.

``serve`` runs it until it is told to end. ``app`` answers requests, ``batching`` computes those of
many clients together, ``predicting`` and ``inference`` read and write the two kinds of them.
"""

from __future__ import annotations

import re
import signal
import socket
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

from lenet import system
from lenet.installing import how_to_install
from lenet.web.addresses import Addresses, addresses, is_everywhere, is_loopback
from lenet.web.listening import ServerError, listen

if TYPE_CHECKING:
    from lenet.serve.app import Service
    from lenet.serve.served import Served
    from lenet.ship.model import Model

NEEDED: Final = ("httptools", "prometheus_client", "python_multipart", "uvicorn")
NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
GRACE_S: Final = 30.0  # for the answers to what was accepted, once it is told to end
DRAIN_S: Final = 0.5  # for requests that are on their way then, over connections that are open
KEEP_ALIVE_S: Final = 75  # between two requests of a connection
BACKLOG: Final = 1024  # connections that wait to be accepted


def serve(
    models: Sequence[Served],
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    token: str = "",
    allow_hosts: Sequence[str] = (),
    queue: int = 4096,
    patience_s: float = 10.0,
    body_mb: int = 16,
    log_requests: bool = False,
) -> int:
    """Serve until SIGINT or SIGTERM comes, then answer what was accepted. Returns the exit code:
    0, or 130 or 143 where a second signal ended it at once.

    ``queue`` is how many pictures may wait for each model, ``patience_s`` how long for an answer,
    ``body_mb`` the largest request. Raises ServerError where nothing can be served.
    """
    check_installed()
    from lenet.serve.app import Admission, Limits, Service
    from lenet.serve.log import Log

    for name, value in (("queue", queue), ("timeout", patience_s), ("max-body", body_mb)):
        if not 0 < value < 1_000_000:
            raise ServerError(f"--{name} is {value}, must be above 0 and below a million")
    limits = Limits(body_mb << 20, max(256, 4 * body_mb) << 20, queue, patience_s)
    listening = listen(host, port, BACKLOG)
    try:
        known = None if is_everywhere(host) else _known(host, listening, allow_hosts)
        ending = _Ending()
        service = Service(
            models,
            limits,
            Admission(known, token),
            Log(log_requests),
            lambda: ending.asked,
        )
        _announce(service, host, listening, token)
        return _run(service, listening, ending)
    except ArithmeticError as error:  # of the pictures that each network is tried on
        raise ServerError(str(error)) from None
    finally:
        listening.close()


def check_installed() -> None:
    """Raise ServerError unless what the service needs is installed."""
    from importlib.util import find_spec

    lacking = [name for name in NEEDED if find_spec(name) is None]
    if lacking:
        raise ServerError(
            f"the service needs {', '.join(lacking)}, not installed here. Install what it needs "
            f"by: {how_to_install('serve')}"
        )


def load(runs: Sequence[str], threads: int | None = None) -> list[Served]:
    """The models to serve of runs' folders or model files, each under the folder's name, or under
    NAME where it is given as NAME=PATH.

    Raises ServerError for a name that cannot be, RunError or WeightsError for what is no model.
    """
    from lenet.ship import model

    found: dict[str, Served] = {}
    for given in runs:
        name, path = _name_and_path(given)
        if name in found:
            raise ServerError(
                f"two models have the name {name!r}; give one another name: NAME={path}"
            )
        found[name] = of_model(name, model.load(path, threads))
    return list(found.values())


def of_model(name: str, model: Model) -> Served:
    """A loaded model as the service sees it."""
    from lenet.data.picture_pixels import pixels_of_file
    from lenet.serve.served import Served
    from lenet.training import calibration

    return Served(
        name,
        model.network,
        model.logits,
        partial(calibration.probabilities, calibration=model.calibration),
        partial(calibration.known, calibration=model.calibration),
        lambda file, name: model.prepare(pixels_of_file(file, name)),
        model.engine.name,
    )


def _name_and_path(given: str) -> tuple[str, Path]:
    """``NAME=PATH``, or a path alone, which has the name of its folder."""
    name, equals, rest = given.partition("=")
    if equals and "/" not in name and not Path(given).exists():
        path = Path(rest)
    else:
        path = Path(given)
        whole = path.resolve()
        if path.name == "model.safetensors":
            name = whole.parent.name
        else:
            name = whole.name.removesuffix(".safetensors")
    if not NAME.fullmatch(name):
        raise ServerError(
            f"a model cannot have the name {name!r:.100}: letters, digits, . _ and - alone are in "
            f"an address. Give it one: NAME={path}"
        )
    return name, path


def _known(host: str, listening: socket.socket, allowed: Sequence[str]) -> Addresses:
    known = addresses(host, listening.getsockname()[1])
    return Addresses(known.hosts | {each.lower() for each in allowed}, known.port, known.any_number)


def _announce(service: Service, host: str, listening: socket.socket, token: str) -> None:
    port = listening.getsockname()[1]
    name = "127.0.0.1" if is_everywhere(host) else host
    url = f"http://{f'[{name}]' if ':' in name else name}:{port}"
    if not is_loopback(host) and not token:
        print(
            f"lenet: warning: on {host} everybody in the network can ask this service, and what "
            "is sent is not encrypted; --token-file keeps others out",
            file=sys.stderr,
        )
    names = ", ".join(service.models)
    print(
        f"serving {names}: {url}/docs", "Ctrl-C ends it, when all is answered", sep="\n", flush=True
    )


class _Ending:
    """Whether the service was told to end, and by what at once."""

    def __init__(self) -> None:
        self.asked, self.at_once = False, 0


def _run(service: Service, listening: socket.socket, ending: _Ending) -> int:
    import uvicorn
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

    from lenet.serve import exchange
    from lenet.web.connection import patient

    protocol: Any = patient(HttpToolsProtocol, lambda: exchange.PATIENCE_S, DRAIN_S)
    config = uvicorn.Config(
        service,
        http=protocol,
        ws="none",
        lifespan="on",
        log_config=None,  # ours are written in ``log``
        log_level="critical",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=int(GRACE_S),
    )
    server = uvicorn.Server(config)
    # uvicorn raises the signals again that ended it; ours make that an orderly end
    kinds = system.stop_signals()
    before = [signal.signal(kind, _ignore) for kind in kinds]
    take = server.handle_exit

    def told(number: int, frame: FrameType | None) -> None:
        if ending.asked:
            ending.at_once = number
            server.force_exit = True
        ending.asked = True
        take(number, frame)

    server.handle_exit = told  # type: ignore  # where uvicorn hears of signals
    try:
        service.log.event("info", "start", models=list(service.models))
        server.run(sockets=[listening])
        service.log.event("info", "end", at_once=bool(ending.at_once))
    finally:
        for kind, handler in zip(kinds, before, strict=True):
            signal.signal(kind, handler)
    return 128 + ending.at_once if ending.at_once else 0


def _ignore(number: int, frame: FrameType | None) -> None:
    pass
