"""lenet run: a tutorial, unchanged."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from lenet.cli.options import Json, whole
from lenet.cli.printing import print_json, show

commands = typer.Typer()


@commands.command(
    "run",
    epilog="""\
lenet run tutorial.md                           runs its cells in order, unchanged
lenet run tutorial.md --list                    shows what is code and what is not
lenet run tutorial.ipynb --epochs 1 --html page.html
lenet run tutorial.md --accelerate              trains its networks several times as fast
lenet run script.py -- --lr 0.5                 passes arguments to the script""",
)
def run_file(
    file: Annotated[Path, typer.Argument(help="A .py, .ipynb, .md or .txt file.")],
    arguments: Annotated[
        list[str] | None, typer.Argument(help="Arguments for the file itself, after --.")
    ] = None,
    list_: Annotated[
        bool, typer.Option("--list", help="Show what would run, what would not, and why.")
    ] = False,
    epochs: Annotated[
        int | None,
        typer.Option(parser=whole, metavar="N", help="Use N in place of its num_epochs, EPOCHS …"),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(parser=whole, metavar="N", help="Seed to set before the first cell."),
    ] = None,
    figures: Annotated[
        Path | None,
        typer.Option(help="Folder for figures; NAME-figures beside the file by default."),
    ] = None,
    html: Annotated[
        Path | None, typer.Option(help="Write the executed page as one HTML file.")
    ] = None,
    keep_going: Annotated[
        bool, typer.Option("--keep-going", help="Continue with the next cell after an error.")
    ] = False,
    accelerate: Annotated[
        bool,
        typer.Option(
            "--accelerate",
            help="Let LeNet's engine compute the networks that the file trains, on the CPU.",
        ),
    ] = False,
    json: Json = False,
) -> int:
    """Run a tutorial unchanged, cell by cell, and keep its figures."""
    from lenet import tutorial as tutorials

    if epochs is not None and epochs < 1:
        raise typer.BadParameter(f"{epochs} is less than 1", param_hint="--epochs")
    tutorial = tutorials.read(file)
    if list_:
        from lenet.tutorial import report

        if json:
            print_json(report.to_json(tutorial))
        else:
            show(lambda width: report.render(tutorial))
        return 0
    passed = sum(not block.taken for block in tutorial.blocks)
    more = f", passed over: {passed} (--list shows what and why)" if passed else ""
    print(f"lenet: {file}: cells: {len(tutorial.cells)}{more}", file=sys.stderr)
    for remark in tutorials.lost(tutorial):
        print(f"lenet: {remark}", file=sys.stderr)
    result = tutorials.run(
        tutorial,
        arguments or (),
        figures=figures,
        epochs=epochs,
        seed=seed,
        keep_going=keep_going,
        accelerate=accelerate,
        record=json or html is not None,
        quiet=json,
    )
    for remark in filter(None, (result.died, tutorials.other_frameworks(tutorial))):
        print(f"lenet: {remark}", file=sys.stderr)
    for folder in sorted({path.parent for path in result.pictures}):
        names = ", ".join(path.name for path in result.pictures if path.parent == folder)
        print(f"lenet: kept in {_shortest(folder)}: {names}", file=sys.stderr)
    if html is not None:
        from lenet.files import write_atomically
        from lenet.tutorial import page

        write_atomically(html, page.render(tutorial, result).encode())
        print(f"lenet: {html}", file=sys.stderr)
    if json:
        from lenet.tutorial import report

        print_json(report.to_json(tutorial, result))
    return result.code


def _shortest(path: Path) -> Path:
    """The path as seen from here, where it lies below."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
