"""lenet data doubt: which labels are wrong, and a corrected copy."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lenet.cli import completion
from lenet.cli.naming import new_folder
from lenet.cli.options import DataDir, Json, Threads, whole
from lenet.cli.printing import print_json, say, show

if TYPE_CHECKING:
    from lenet.data import Dataset

commands = typer.Typer()


@commands.command(
    epilog="""\
lenet data doubt mnist --part test
lenet data doubt ./my-pictures --top 50 --out check
lenet data doubt ./my-pictures --apply check/doubt.csv --out ./my-pictures-2"""
)
def doubt(
    name: Annotated[
        str,
        typer.Argument(help="A data set's name, or a folder.", autocompletion=completion.data_sets),
    ],
    part: Annotated[str, typer.Option(help="Judge the pictures of train, test or all.")] = "all",
    top: Annotated[
        int, typer.Option(parser=whole, metavar="N", help="List the N most doubtful labels.")
    ] = 100,
    folds: Annotated[
        int, typer.Option(parser=whole, metavar="N", help="Number of networks to train.")
    ] = 5,
    epochs: Annotated[
        int | None,
        typer.Option(parser=whole, metavar="N", help="Epochs of each network."),
    ] = None,
    seed: Annotated[
        int,
        typer.Option(parser=whole, metavar="N", help="A number that decides everything random."),
    ] = 0,
    apply: Annotated[
        Path | None,
        typer.Option(metavar="CSV", help="Write a copy of the data set with these corrections."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            parser=new_folder,
            metavar="PATH",
            help="Folder to write to; doubt-NAME or NAME-corrected by default.",
        ),
    ] = None,
    data_dir: DataDir = None,
    threads: Threads = None,
    json: Json = False,
) -> None:
    """List the pictures whose labels are probably wrong; write a sheet and a table to correct."""
    from lenet import data
    from lenet.looking import doubts

    loaded = data.load(name, data_dir, progress=sys.stderr.isatty())
    if apply is not None:
        _apply(loaded, apply, out)
        return
    with _progress() as on_progress:
        found = doubts.find(
            loaded,
            part=part,
            top=top,
            folds=folds,
            epochs=epochs,
            seed=seed,
            threads=threads,
            on_progress=on_progress,
        )
    if json:
        print_json(doubts.to_json(found))
        if out is None:
            return
    else:
        for each, suspected in found.suspected.items():
            say(
                f"{each}: networks that never saw the picture agree with "
                f"{found.accuracy[each]:.2%} of the labels; confident learning suspects "
                f"{suspected:,}"
            )
        print()
        show(lambda width: doubts.render(found))
    folder = out or Path(f"doubt-{loaded.name}")
    paths = doubts.write_findings(found, folder)
    if json:
        return
    print()
    for path in paths:
        print(path)
    say(
        "Look at the sheet, write the right class (or - to leave the picture out) into the column "
        f"correct of {paths[0].name}, then: lenet data doubt {name} --apply {paths[0]} --out NEW"
    )


def _apply(loaded: Dataset, table: Path, out: Path | None) -> None:
    from lenet.looking import doubts

    corrections = doubts.read_corrections(table, loaded)
    if not corrections:
        raise typer.BadParameter(
            f"{table}: the column correct is empty in every row; write the right class into it "
            "where a label is wrong, or - to leave the picture out"
        )
    folder = doubts.write(
        doubts.corrected(loaded, corrections), out or Path(f"{loaded.name}-corrected")
    )
    left_out = sum(correction.label is None for correction in corrections)
    changed = len(corrections) - left_out
    say(
        f"{folder}: {changed:,} labels corrected, {left_out:,} pictures left out; {loaded.name} "
        f"stays as it is. Train on it: lenet train --data {_as_folder(folder)}"
    )


def _as_folder(folder: Path) -> str:
    """The folder so that it cannot be taken for a data set's name."""
    return str(folder) if folder.is_absolute() or folder.parts[:1] == ("..",) else f"./{folder}"


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    """A function that moves a bar on standard error, where that is a terminal."""
    if not sys.stderr.isatty():
        yield lambda done, all: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("training"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, all: bar.update(task, completed=done, total=all)
