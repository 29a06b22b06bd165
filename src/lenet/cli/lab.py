"""lenet lab: the page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lenet.cli.options import Lessons, whole

commands = typer.Typer()


@commands.command(
    epilog="""\
lenet lab                                       opens the page of runs/
lenet lab --runs experiments --port 8080
lenet lab --no-browser                          only prints the address
lenet lab --lesson kernels.json                 offers a lesson of your own"""
)
def lab(
    runs: Annotated[Path, typer.Option(help="Folder that holds the runs.")] = Path("runs"),
    port: Annotated[
        int, typer.Option(parser=whole, metavar="N", help="Port; any free one by default.")
    ] = 0,
    host: Annotated[
        str, typer.Option(help="Address to listen on; only this machine by default.")
    ] = "127.0.0.1",
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the page in your browser.")
    ] = True,
    lesson: Lessons = None,
) -> None:
    """Open the lab: a page in your browser that shows networks computing and learning."""
    from lenet import lab as server

    server.serve(
        runs, host=host, port=port, browser=None if browser else False, lessons=lesson or []
    )
