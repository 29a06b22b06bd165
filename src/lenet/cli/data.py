"""lenet data: data sets found, downloaded and looked at."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from lenet.cli import completion
from lenet.cli.options import DataDir
from lenet.cli.printing import show

commands = typer.Typer(help="Find, download and look at data sets.", no_args_is_help=True)


@commands.command("list", epilog="lenet data list")
def data_list(data_dir: DataDir = None) -> None:
    """List the known data sets, and where they were found."""
    from lenet import data
    from lenet.drawing.listing import Column, listing

    rows = []
    for known in data.KNOWN.values():
        folder = data.find(known.name, data_dir)
        missing = f"not here: lenet data get {known.name} ({known.download_bytes / 1e6:.0f} MB)"
        rows.append((known.name, str(folder) if folder else missing, known.licence))
    for name, place in data.imported(data_dir).items():
        rows.append((name, str(place), "imported"))
    columns = (Column("data set"), Column("where", wrap=True), Column("licence", wrap=True))
    show(lambda width: listing(columns, rows, width))


@commands.command("get", epilog="lenet data get mnist   ·   lenet data get mnist --force")
def data_get(
    name: Annotated[
        str, typer.Argument(help="A data set's name.", autocompletion=completion.data_sets)
    ],
    force: Annotated[bool, typer.Option(help="Download again even if it is here.")] = False,
) -> None:
    """Download a data set into the user's cache, and verify every byte."""
    from lenet import data

    if not force and (found := data.find(name)) is not None:
        data.load(name)
        print(f"{name} is already here, and complete: {found}")
        return
    folder = data.fetch(name, force=force, progress=sys.stderr.isatty())
    print(f"{name}: {folder}")


@commands.command(
    "show", epilog="lenet data show fashion-mnist   ·   lenet data show ./mine --out sheet.png"
)
def data_show(
    name: Annotated[
        str,
        typer.Argument(
            help="A data set's name, or a path that lenet train --data takes.",
            autocompletion=completion.data_sets,
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(help="File for the picture; NAME.png by default.")
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Write a sheet of labelled pictures, some of each class, as PNG."""
    from lenet import data
    from lenet.drawing import figures

    loaded = data.load(name, data_dir, progress=sys.stderr.isatty())
    path = out or Path(f"{loaded.name}.png")
    figures.save(figures.sheet(loaded.train, title=loaded.name), path)
    print(path)
