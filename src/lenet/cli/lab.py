"""lenet export and lenet lab: a trained network as a page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lenet.cli.options import DataDir, RunOrModel, whole

commands = typer.Typer()


@commands.command(
    epilog="""\
lenet export runs/2026-11-21-d2l-1 --to html
lenet export runs/2026-11-21-d2l-1 --to html --out lenet.html"""
)
def export(
    run: RunOrModel,
    to: Annotated[str, typer.Option(help="html: a page to explore the network, in one file.")],
    out: Annotated[
        Path | None, typer.Option(help="The file; in the run's folder by default.")
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Make a file of a trained network that others can use."""
    from lenet.files import write_atomically
    from lenet.lab.export import html
    from lenet.looking.explanations import known_language

    if to.lower() != "html":
        raise typer.BadParameter(f"--to must be html, got {to!r}")
    content = html.of_run(run, data_dir, known_language(None)).encode()
    path = out or (run if run.is_dir() else run.parent) / f"{run.resolve().name}.html"
    write_atomically(path, content)
    print(f"{path}  ({len(content) / 1e3:,.0f} kB)")


@commands.command(
    epilog="""\
lenet lab                                       opens the page of runs/
lenet lab --runs experiments --port 8080
lenet lab --no-browser                          only prints the address"""
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
) -> None:
    """Open the lab: a page in your browser that shows networks computing and learning."""
    from lenet import lab as server

    server.serve(runs, host=host, port=port, browser=None if browser else False)
