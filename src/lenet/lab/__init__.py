"""The lab: a page on this machine in which networks are seen, trained and compared.

``serve`` runs it until it is interrupted. It listens on this machine alone unless told otherwise;
see ``security`` for what keeps other pages out.
"""

from __future__ import annotations

import os
import secrets
import signal
import socket
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from lenet import system
from lenet.installing import how_to_install
from lenet.web.addresses import addresses, is_everywhere, is_loopback
from lenet.web.listening import ServerError, listen

NEEDED = ("fastapi", "starlette", "uvicorn", "pydantic")


def serve(
    folder: Path,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    browser: bool | None = None,
    lessons: Sequence[Path] = (),
) -> None:
    """Serve until SIGINT or SIGTERM comes; then what trains is paused, with a checkpoint.

    ``port`` 0 takes one that is free. ``browser``: whether to open the page, None where there
    seems to be a screen. ``lessons`` are files that the page offers besides its own. Raises
    ServerError where it cannot be served, OSError where the folder cannot be written to.
    """
    check_installed()
    offered = _read_lessons(lessons)
    listening = listen(host, port)
    try:
        wanted = wants_browser(os.environ) if browser is None else browser
        _serve(folder, listening, host, wanted, offered)
    finally:
        listening.close()


def _read_lessons(paths: Sequence[Path]) -> list[dict[str, Any]]:
    from lenet.lab.lessons.reading import LessonError, read_all

    try:
        return read_all([*paths])
    except LessonError as wrong:
        raise ServerError(str(wrong)) from None


def check_installed() -> None:
    """Raise ServerError unless what the lab needs is installed."""
    from importlib.util import find_spec

    lacking = [name for name in NEEDED if find_spec(name) is None]
    if lacking:
        raise ServerError(
            f"the lab needs {', '.join(lacking)}, not installed here. Install what it needs by: "
            f"{how_to_install('lab')}"
        )


def wants_browser(environment: Mapping[str, str]) -> bool:
    """Whether there seems to be a screen, and somebody before it."""
    if any(environment.get(name) for name in ("CI", "SSH_CONNECTION", "LENET_CI")):
        return False
    if environment.get("BROWSER") or sys.platform in ("darwin", "win32"):
        return True
    return bool(environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY"))


def _serve(
    folder: Path,
    listening: socket.socket,
    host: str,
    browser: bool,
    lessons: Sequence[Mapping[str, Any]],
) -> None:
    import uvicorn

    from lenet.lab.app import make_app
    from lenet.lab.connection import PatientProtocol
    from lenet.lab.errors import LabError
    from lenet.lab.lab import Lab

    port = listening.getsockname()[1]
    try:
        lab = Lab(folder, lessons)
    except LabError as error:
        raise ServerError(str(error)) from None
    token = secrets.token_urlsafe(24)
    known = addresses(host, port)
    box: list[uvicorn.Server] = []
    app = make_app(lab, token, known, lambda: bool(box) and box[0].should_exit)
    config = uvicorn.Config(
        app,
        http=PatientProtocol,
        ws="none",
        lifespan="on",
        log_config=None,  # an access log would be read by others than the page
        log_level="critical",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        h11_max_incomplete_event_size=32_768,
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    box.append(server)
    name = "127.0.0.1" if is_everywhere(host) else host
    url = f"http://{f'[{name}]' if ':' in name else name}:{port}/#token={token}"
    if not is_loopback(host):
        print(
            f"lenet: warning: on {host} others on the network can reach this page; anyone who has "
            "the address below with its token can train and delete, and what is sent is not "
            "encrypted",
            file=sys.stderr,
        )
    print(
        f"the lab of {lab.root}: {url}",
        "Ctrl-C ends it; what trains is paused",
        sep="\n",
        flush=True,
    )
    if browser:
        threading.Thread(target=_open, args=(url,), daemon=True).start()
    # uvicorn raises the signals again that ended it; ours make that an orderly end
    kinds = system.stop_signals()
    before = [signal.signal(kind, _ignore) for kind in kinds]
    try:
        server.run(sockets=[listening])
    finally:
        if lab.queue.worker is not None:  # it is told once only, here if nowhere else
            lab.queue.worker.tell_to_stop()
        for kind, handler in zip(kinds, before, strict=True):
            signal.signal(kind, handler)


def _open(url: str) -> None:
    import webbrowser

    webbrowser.open(url)


def _ignore(number: int, frame: FrameType | None) -> None:
    pass
