"""lenet bench and lenet doctor: what this machine can do."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from lenet.cli import completion
from lenet.cli.options import Json, Threads, number, whole
from lenet.cli.printing import complain, print_json, show

commands = typer.Typer()


@commands.command(
    epilog="""\
lenet bench                                     everything (takes minutes)
lenet bench --only native,torch-eager --network lenet --batch-size 256 --seconds 3
lenet bench --task one-picture --json > one-picture.json
lenet bench --whole                             where the time of lenet train d2l goes
lenet bench --scale --out scale                 over batch, width, picture and threads"""
)
def bench(
    only: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help="native, numpy, torch-eager, torch-channels-last, torch-compile, d2l; "
            "several with commas.",
        ),
    ] = None,
    network: Annotated[
        str | None,
        typer.Option(metavar="NAMES", help="lenet, lenet-relu, wide, or another of the zoo."),
    ] = None,
    task: Annotated[
        str | None, typer.Option(metavar="NAMES", help="train, evaluate, one-picture.")
    ] = None,
    batch_size: Annotated[
        str | None, typer.Option(metavar="NUMBERS", help="1,32,256,1024 by default.")
    ] = None,
    threads: Threads = None,
    seconds: Annotated[
        float, typer.Option(parser=number, metavar="X", help="Length of each measurement.")
    ] = 0.3,
    rounds: Annotated[
        int, typer.Option(parser=whole, metavar="N", help="Measurements of each.")
    ] = 5,
    whole_run: Annotated[
        bool,
        typer.Option("--whole", help="Measure lenet train d2l instead, from start to exit."),
    ] = False,
    recipe: Annotated[
        str | None,
        typer.Option(help="With --whole, another recipe.", autocompletion=completion.recipes),
    ] = None,
    scale: Annotated[
        bool,
        typer.Option(
            "--scale", help="Train over batch sizes, widths, picture sizes and threads instead."
        ),
    ] = False,
    quick: Annotated[
        bool, typer.Option("--quick", help="With --scale, fewer points, measured once.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            help="With --scale, a folder for scale.json and scale.svg; points that are in it "
            "already stay."
        ),
    ] = None,
    json: Json = False,
) -> int:
    """Measure this machine: our engines beside PyTorch and the processor's limit."""
    from lenet import benchmark
    from lenet.benchmark import report

    if whole_run and scale:
        raise typer.BadParameter("give --whole or --scale, not both")
    if whole_run:
        if only or network or task or batch_size:
            raise typer.BadParameter(
                "--whole measures one training as it is: leave --only, --network, --task and "
                "--batch-size out"
            )
        return _bench_whole(recipe or "d2l", threads, rounds, json)
    if recipe:
        raise typer.BadParameter("--recipe is for --whole")
    if scale:
        if only or network or task or batch_size or threads:
            raise typer.BadParameter(
                "--scale varies batch, network and threads itself: leave --only, --network, "
                "--task, --batch-size and --threads out"
            )
        if quick:
            seconds, rounds = 0.1, 1
        return _bench_scale(out, quick, seconds, rounds, json)
    if quick or out:
        raise typer.BadParameter("--quick and --out are for --scale")
    listed = _listed(batch_size)
    plan = benchmark.plan(
        only=_listed(only),
        networks=_listed(network),
        tasks=_listed(task),
        batch_sizes=None if listed is None else [whole(size, "--batch-size") for size in listed],
        threads=threads,
        seconds=seconds,
        rounds=rounds,
    )
    with _progress(plan.measurements) as tell:
        results = benchmark.run(plan, tell)
    if json:
        print_json(report.to_json(results))
    else:
        show(lambda width: report.render(results))
    return 130 if results.interrupted else 0 if results.rows else 1


def _bench_whole(recipe: str, threads: int | None, rounds: int, json: bool) -> int:
    from lenet.benchmark import whole as whole_training

    options = () if threads is None else ("--threads", str(threads))
    with _progress(rounds) as tell:
        measured = whole_training.measure(recipe, rounds, options, tell)
    if json:
        print_json(whole_training.to_json(measured))
    else:
        show(lambda width: whole_training.render(measured))
    return 0


def _bench_scale(out: Path | None, quick: bool, seconds: float, rounds: int, json: bool) -> int:
    from tempfile import TemporaryDirectory

    from lenet.benchmark import scale as scaling

    with TemporaryDirectory() as nowhere, _progress(len(scaling.points(quick))) as tell:
        folder = out or Path(nowhere)
        folder.mkdir(parents=True, exist_ok=True)
        try:
            results = scaling.measure(
                folder / "scale.json", quick=quick, seconds=seconds, rounds=rounds, tell=tell
            )
        except KeyboardInterrupt:
            return complain("interrupted; with --out, the same command goes on", 130)
    if out is not None:
        from lenet.drawing import figures

        figures.save(scaling.figure(results), out / "scale.svg")
    if json:
        print_json(results)
    else:
        show(lambda width: scaling.render(results))
    return 0


@commands.command(epilog="lenet doctor   ·   lenet doctor --json")
def doctor(json: Json = False) -> int:
    """Say what works here, what is missing, and how to get it."""
    from lenet import doctor as examination

    findings = examination.examine()
    if json:
        print_json(examination.to_json(findings))
    else:
        show(lambda width: examination.render(findings))
    return 0 if examination.sound(findings) else 1


def _listed(text: str | None) -> list[str] | None:
    """The parts of a text with commas."""
    return None if text is None else [part.strip() for part in text.split(",")]


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int, str], None]]:
    """A function that shows how much of the total is done and what comes next, at a terminal."""
    if not sys.stderr.isatty():
        yield lambda done, what: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as Remaining

    columns = (BarColumn(20), MofNCompleteColumn(), Remaining(), TextColumn("{task.description}"))
    # drawn between measurements alone: a thread that draws would take its time from them
    with Progress(
        *columns, console=Console(stderr=True), transient=True, auto_refresh=False
    ) as progress:
        shown = progress.add_task("", total=total)
        yield lambda done, what: progress.update(
            shown, completed=done, description=what, refresh=True
        )
