"""lenet predict: what a trained network calls your own pictures."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lenet.cli.options import Json, Ray, RunOrModel, Threads, whole
from lenet.cli.printing import say

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lenet.ship.model import Model
    from lenet.ship.predicting import Answer, Source

commands = typer.Typer()

SHOWN = 24  # pictures that --show draws
EVERY_S = 0.1  # seconds after which a terminal is shown what has come


@commands.command(
    epilog="""\
lenet predict runs/2026-11-21-d2l-1 photo.jpg
lenet predict model.safetensors photos --top 5 --csv > answers.csv
lenet predict model.safetensors shoe.png --show
find . -name '*.png' | lenet predict model.safetensors - --json
lenet predict clothes photos --csv --ray auto   on the machines of a Ray cluster"""
)
def predict(
    run: RunOrModel,
    pictures: Annotated[
        list[str],
        typer.Argument(
            metavar="PICTURE...",
            help="Files, folders of files, or -: a picture or names of files on standard input.",
        ),
    ],
    top: Annotated[
        int, typer.Option(parser=whole, metavar="N", help="Name the N most probable classes.")
    ] = 3,
    ground: Annotated[
        str,
        typer.Option(
            metavar="[auto|light|dark]",
            help="Say whether the background is light or dark, if auto is wrong.",
        ),
    ] = "auto",
    show: Annotated[
        bool, typer.Option("--show", help="Draw each picture beside what the network sees of it.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="File for that picture; predictions.png by default.")
    ] = None,
    json: Json = False,
    csv: Annotated[
        bool, typer.Option("--csv", help="Print CSV, one row for each picture.")
    ] = False,
    threads: Threads = None,
    ray: Ray = None,
) -> int:
    """Predict what your own pictures are, prepared as the network's own pictures were."""
    from lenet.data.preparation import TOLD
    from lenet.language.asked import terminal_language
    from lenet.language.finding import told
    from lenet.ship import predicting
    from lenet.ship.model import load

    if json and csv:
        raise typer.BadParameter("--json and --csv: choose one of them")
    if ground not in TOLD:
        raise typer.BadParameter(f"--ground {ground!r}: choose from {', '.join(TOLD)}")
    if out is not None:
        from lenet.drawing import figures

        show = True
        figures.check_suffix(out)
    model = load(run, threads)
    if not top >= 1:
        raise typer.BadParameter(f"--top {top}: must be at least 1")
    top = min(top, len(model.classes))
    if pictures == ["-"]:
        sources = predicting.from_stream(sys.stdin.buffer)
    else:
        sources = predicting.from_paths(pictures)
    if model.calibration.threshold is None and not json and not csv:
        from lenet.training.calibration import FEWEST

        note = (
            f'this network never says "none of these": its training held out '
            f"{model.calibration.pictures} pictures, and that takes {FEWEST} "
            "('lenet train --val' holds out more)"
        )
        print(f"lenet: note: {told(note, encoding=sys.stderr.encoding)}", file=sys.stderr)
    form = "json" if json else "csv" if csv else "table"
    with _answers(model, sources, top, ground, ray, threads) as answers:
        bad = _print_all(model, sources, answers, top, form)
    if show:
        path = out or Path("predictions.png")
        _draw(model, sources[:SHOWN], min(top, 3), ground, path)
        if not json and not csv:
            chinese = terminal_language() == "zh"
            few = "（{1} 张中的前 {0} 张）" if chinese else " (the first {0} of {1})"
            more = few.format(SHOWN, f"{len(sources):,}") if len(sources) > SHOWN else ""
            say(f"{path}{more}")
    if bad:
        left_out = f"not predicted: {len(bad):,} of {len(sources):,} pictures"
        print(f"lenet: {told(left_out, encoding=sys.stderr.encoding)}", file=sys.stderr)
        for answer in bad:
            print(f"  {answer.name}: {answer.problem}", file=sys.stderr)
    return 1 if bad else 0


@contextmanager
def _answers(
    model: Model,
    sources: Sequence[Source],
    top: int,
    ground: str,
    ray: str | None,
    threads: int | None,
) -> Iterator[Iterator[Answer]]:
    """The answers, computed here or on a cluster."""
    from lenet.ship import predicting

    if ray is None:
        yield predicting.predict(model, sources, top, ground)
        return
    from lenet.ship import spread

    with spread.on_ray(ray, model, threads or 1) as everywhere:
        yield everywhere.predict(sources, top, ground)


def _print_all(
    model: Model, sources: Sequence[Source], answers: Iterator[Answer], top: int, form: str
) -> list[Answer]:
    """Print each answer as soon as it is there; returns those that are none."""
    import csv
    import json

    from lenet.language.asked import terminal_language
    from lenet.ship import prediction_text

    bad: list[Answer] = []
    with _progress(len(sources)) as (tell, advance):
        if form == "table":
            table = prediction_text.table(
                (source.name for source in sources),
                model.classes,
                _terminal_width(),
                terminal_language(),
            )
            tell(table.head())
        elif form == "csv":
            rows = csv.writer(sys.stdout, lineterminator="\n")
            rows.writerow(prediction_text.csv_head(top))
        between = "[\n"
        for answer in answers:
            if answer.prediction is None:
                bad.append(answer)
            if form == "table":
                tell(table.line(answer))
            elif form == "csv":
                rows.writerow(prediction_text.csv_row(answer, top))
            else:
                values = json.dumps(prediction_text.to_json(answer), ensure_ascii=False)
                tell(f"{between}  {values}", end="")
                between = ",\n"
            advance()
        if form == "json":
            print("\n]")
    return bad


def _terminal_width() -> int | None:
    import shutil

    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


@contextmanager
def _progress(total: int) -> Iterator[tuple[Callable[..., None], Callable[[], None]]]:
    """A function that prints to stdout, and one that counts a picture: on a bar below what is
    printed, where there are many and somebody watches."""
    if total < 100 or not sys.stderr.isatty():
        yield print, lambda: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as TimeRemaining

    console = Console(stderr=not sys.stdout.isatty(), highlight=False)
    columns = (TextColumn("pictures"), BarColumn(), MofNCompleteColumn(), TimeRemaining())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=total)
        lines: list[str] = []
        shown = time.monotonic()

        def flush() -> None:
            nonlocal shown
            text, shown = "".join(lines), time.monotonic()
            lines.clear()
            if console.stderr:
                print(text, end="")
            elif text:  # above the bar; a name in it is no markup, and is never cut
                console.print(text, end="", markup=False, soft_wrap=True)

        def tell(line: str, end: str = "\n") -> None:
            lines.append(line + end)
            if time.monotonic() - shown > EVERY_S:  # each time the bar is drawn anew
                flush()

        try:
            yield tell, lambda: progress.advance(task)
        finally:
            flush()


def _draw(model: Model, sources: Sequence[Source], top: int, ground: str, path: Path) -> None:
    """Write the picture of what the network sees."""
    from lenet.data.picture_files import PictureFileError
    from lenet.data.preparation import PreparationError
    from lenet.drawing import figures
    from lenet.drawing.prepared_figure import Pair, pairs
    from lenet.language.asked import known_language
    from lenet.ship import predicting

    found, language = [], known_language(None)
    for source in sources:
        try:
            original, seen = predicting.look(model, source, ground)
        except (PictureFileError, PreparationError):
            continue  # listed among the bad ones
        said = model.predictions(seen, top)[0]
        ranked = zip(said.classes, said.probabilities, strict=True)
        lines = [f"{name} {share:.1%}" for name, share in ranked]
        if not said.known:
            lines = [figures.said(said.answer, language), *lines[: top - 1]]
        found.append(Pair(original, seen, source.name, tuple(lines)))
    figures.save(pairs(found, f"what {model.network.name} sees", language), path)
