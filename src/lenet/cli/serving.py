"""lenet serve: trained networks that answer over HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lenet.cli import completion
from lenet.cli.naming import run_folder
from lenet.cli.options import Threads, number, whole

commands = typer.Typer()


@commands.command(
    epilog="""\
lenet serve runs/2026-11-21-d2l-1
lenet serve digits=runs/first clothes=runs/second --port 8080
curl -F file=@picture.png http://127.0.0.1:8000/v1/predict"""
)
def serve(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN...",
            help="Runs or model files; NAME=RUN names one.",
            autocompletion=completion.runs,
        ),
    ],
    port: Annotated[
        int, typer.Option(parser=whole, metavar="N", help="Port; 0 takes any free one.")
    ] = 8000,
    host: Annotated[
        str, typer.Option(help="Address to listen on; 0.0.0.0 lets other machines ask.")
    ] = "127.0.0.1",
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME:PORT",
            help="Also answer under this name, such as a proxy's; repeat for more.",
        ),
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(
            envvar="LENET_TOKEN_FILE", help="File whose first line clients must send as a token."
        ),
    ] = None,
    queue: Annotated[
        int,
        typer.Option(parser=whole, metavar="N", help="Most pictures that may wait for each model."),
    ] = 4096,
    timeout: Annotated[
        float,
        typer.Option(parser=number, metavar="SECONDS", help="Longest time for an answer."),
    ] = 10.0,
    max_body: Annotated[
        int, typer.Option(parser=whole, metavar="MB", help="Largest request to read.")
    ] = 16,
    log_requests: Annotated[
        bool, typer.Option("--log-requests", help="Log all requests, not only refused ones.")
    ] = False,
    threads: Threads = None,
) -> int:
    """Serve trained networks: predictions over HTTP, in two protocols."""
    from lenet import serve as service

    service.check_installed()
    return service.serve(
        service.load([_with_folder(given) for given in runs], threads),
        host=host,
        port=port,
        allow_hosts=allow_host or (),
        token=_token(token_file),
        queue=queue,
        patience_s=timeout,
        body_mb=max_body,
        log_requests=log_requests,
    )


def _with_folder(given: str) -> str:
    """RUN or NAME=RUN with the run's folder, wherever a command finds it."""
    name, equals, rest = given.partition("=")
    if equals and not Path(given).exists():
        return f"{name}={run_folder(rest)}"
    return str(run_folder(given))


def _token(path: Path | None) -> str:
    if path is None:
        return ""
    from lenet.files import read_bounded

    lines = read_bounded(path, 10_000, links=True).decode("ascii", "replace").splitlines()
    token = lines[0].strip() if lines else ""
    if len(token) < 16 or not token.isprintable() or " " in token or not token.isascii():
        raise typer.BadParameter(
            f"{path}: its first line is no token; give 16 or more letters, digits and signs, such "
            'as those of: python -c "import secrets; print(secrets.token_urlsafe(24))"'
        )
    return token
