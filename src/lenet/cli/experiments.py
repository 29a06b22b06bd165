"""lenet recipes, runs, plot, compare and reproduce: experiments to come and past ones."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from lenet.cli import completion
from lenet.cli.naming import RUNS, network_or_run, new_folder, typed_as
from lenet.cli.options import (
    DataDir,
    Json,
    Threads,
    device_option,
    engine_option,
    run_argument,
    settings_option,
    whole,
)
from lenet.cli.printing import ascii_only, print_json, show
from lenet.cli.stopping import stop_on_signals

commands = typer.Typer()


@commands.command(epilog="lenet recipes   ·   lenet recipes d2l")
def recipes(
    name: Annotated[
        str | None,
        typer.Argument(help="Print this recipe as TOML.", autocompletion=completion.recipes),
    ] = None,
) -> None:
    """List the named experiments, or show one."""
    from lenet.training import recipes as named

    if name is not None:
        print(named.to_toml(named.load(name)), end="")
        return
    from lenet.drawing.listing import Column, listing

    columns = (
        Column("recipe"),
        Column("what it is", wrap=True),
        Column("data", spare=3),
        Column("network", spare=2),
        Column("optimiser", spare=4),
        Column("epochs", right=True, spare=1),
        Column("published", wrap=True, spare=5),
    )
    rows = []
    for recipe in map(named.load, named.names()):
        settings = recipe.settings
        accuracies = [f"{row.test_acc:g}" for row in recipe.published if row.test_acc is not None]
        rows.append(
            (
                recipe.name,
                recipe.title,
                recipe.data,
                recipe.network,
                f"{settings.optimizer.method} {settings.schedule.learning_rate:g}",
                str(settings.epochs),
                ", ".join(accuracies) or "–",
            )
        )
    show(lambda width: listing(columns, rows, width))


@commands.command(epilog="lenet runs   ·   lenet runs --root experiments")
def runs(
    root: Annotated[
        Path | None, typer.Option(help="Folder that holds the runs; runs by default.")
    ] = None,
    json: Json = False,
) -> None:
    """List your runs: what was trained, how it ended, and a small curve.

    The runs of a sweep or a reproduction are one line, with their number; --root FOLDER lists them.
    """
    from lenet import runs as folders
    from lenet.runs import table

    def when(row: folders.RunRecord | folders.Group) -> str:
        return row.started if isinstance(row, folders.Group) else row.info.get("started") or ""

    if root is not None and not root.is_dir():
        what = "is a file" if root.exists() else "does not exist"
        raise typer.BadParameter(f"{root} {what}: give the folder that holds the runs")
    root = root or RUNS
    found = folders.list_runs(root, tell=lambda line: print(f"lenet: {line}", file=sys.stderr))
    groups = folders.list_groups(root)  # of sweeps and reproductions: a line each
    if json:
        own = [{"folder": str(run.folder), "status": run.state, **run.info} for run in found]
        print_json([*own, *({"folder": str(one.folder), "runs": one.runs} for one in groups)])
        return
    if not found and not groups:
        print(f"no runs in {root}; 'lenet train' makes one")
        return
    both: list[folders.RunRecord | folders.Group] = [*found, *groups]
    rows = sorted(both, key=when)
    typed = [
        str(row.folder) if isinstance(row, folders.Group) else typed_as(row.folder) for row in rows
    ]
    show(lambda width: table.render(rows, typed, width, ascii_only=ascii_only()))


@commands.command(
    epilog="lenet plot runs/2026-11-21-d2l-1   ·   lenet plot runs/… --out curves.pdf"
)
def plot(
    run: Annotated[Path, run_argument("A run's name or folder.")],
    out: Annotated[Path | None, typer.Option(help="A .svg, .png or .pdf file.")] = None,
) -> None:
    """Draw a run's curves again, into its folder or another file."""
    from lenet import runs as folders
    from lenet.runs import experiments

    record = folders.read(run)
    if not record.history:
        raise folders.RunError(f"{run} has no readings yet: nothing to draw")
    for path in experiments.draw_curves(record, out):
        print(path)


@commands.command(
    epilog="""\
lenet compare lenet mlp                         two networks: parameters and costs
lenet compare runs/2026-11-21-d2l-1 runs/2026-11-21-d2l-max-1
lenet compare runs/* --out curves.svg"""
)
def compare(
    names: Annotated[
        list[str],
        typer.Argument(
            help="Runs' names or folders, and networks' names.",
            autocompletion=completion.networks_and_runs,
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(help="Draw the curves there: a .svg, .png or .pdf file.")
    ] = None,
    json: Json = False,
) -> None:
    """Show runs and networks side by side: costs, results, settings, curves."""
    from lenet.drawing import figures
    from lenet.looking import compare as comparison

    entries = [comparison.entry(network_or_run(name)) for name in names]
    if out is not None:
        figure = comparison.curves(entries)
        if figure is None:
            raise typer.BadParameter("--out draws the curves of runs; none of these has readings")
        figures.save(figure, out)
    if json:
        print_json(comparison.to_json(entries))
        return
    show(lambda width: comparison.render(entries, ascii_only=ascii_only()))
    if out is not None:
        print(f"curves: {out}")


@commands.command(
    epilog="""\
lenet reproduce                                 those of the tutorials and quickstart, 5 seeds each
lenet reproduce lenet5 --seeds 3                LeNet-5 as of 1998
lenet reproduce d2l --seeds 3
lenet reproduce quickstart --seeds 2 --set epochs=2 --out runs/short"""
)
def reproduce(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RECIPE]...",
            help="Recipes to run; those of the tutorials and quickstart by default.",
            autocompletion=completion.recipes,
        ),
    ] = None,
    seeds: Annotated[
        int,
        typer.Option(
            parser=whole, metavar="N", help="Run each recipe N times, with seeds 0 to N - 1."
        ),
    ] = 5,
    settings: Annotated[
        list[str] | None, settings_option("Change a value in every recipe.")
    ] = None,
    out: Annotated[
        Path,
        typer.Option(parser=new_folder, metavar="PATH", help="Folder for the runs and the table."),
    ] = Path("runs/reproduction"),
    data_dir: DataDir = None,
    engine: Annotated[str, engine_option()] = "auto",
    device: Annotated[str, device_option()] = "auto",
    threads: Threads = None,
    json: Json = False,
) -> int:
    """Run recipes over several seeds and set published figures beside measured ones.

    If you start it again with the same folder, it continues where it stopped.
    """
    from lenet.runs import reproduction
    from lenet.training import recipes as named

    changes = dict(map(named.parse_assignment, settings or []))
    wanted = [named.load(name, changes) for name in names or reproduction.RECIPES]
    with stop_on_signals() as signalled:
        records = reproduction.reproduce(
            wanted,
            seeds,
            out,
            data_dir=data_dir,
            engine=engine,
            device=device,
            threads=threads,
            tell=lambda line: print(line, file=sys.stderr, flush=True),
            stop=lambda: bool(signalled()),
        )
        stopped_by = signalled()
    if records:
        table = reproduction.table(records)
        paths = reproduction.write(table, out)
        if json:
            print_json(reproduction.to_json(table))
        else:
            show(lambda width: reproduction.render(table))
            print(f"written: {', '.join(map(str, paths))}")
    if stopped_by:
        print("stopped; the same command goes on from there", file=sys.stderr)
        return stopped_by
    return 0
