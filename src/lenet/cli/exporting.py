"""lenet export: a trained network as a file that others use."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lenet.cli import completion
from lenet.cli.options import DataDir, Lessons, RunOrModel

commands = typer.Typer()
KINDS = ("html", "onnx", "c", "torch", "tensorboard", "card")


@commands.command(
    epilog="""\
lenet export runs/2026-11-21-d2l-1 --to onnx
lenet export runs/2026-11-21-d2l-1 --to c --quantize int8
lenet export runs/2026-11-21-d2l-1 --to html --out lenet.html
lenet export runs/2026-11-21-d2l-1 --to html --lean"""
)
def export(
    run: RunOrModel,
    to: Annotated[
        str,
        typer.Option(
            help="Make html (a page to explore the network), onnx, c (one header), torch (source "
            "and weights), tensorboard (the curves) or card (a folder for a model hub).",
            autocompletion=completion.export_formats,
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(help="Write to this file or folder; the run's folder by default.")
    ] = None,
    quantize: Annotated[
        str | None, typer.Option(help="Compute in int8, a quarter of the size (onnx and c).")
    ] = None,
    lesson: Lessons = None,
    lean: Annotated[
        bool,
        typer.Option("--lean", help="Leave the training out of the page, which halves it (html)."),
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace what is at --out.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Make a file of a trained network that others can use."""
    kind = to.lower()
    if kind not in KINDS:
        raise typer.BadParameter(f"--to must be one of {', '.join(KINDS)}, got {to!r}")
    if quantize is not None and (quantize.lower() != "int8" or kind not in ("onnx", "c")):
        wrong = "goes with --to onnx and --to c" if quantize.lower() == "int8" else "must be int8"
        raise typer.BadParameter(f"--quantize {wrong}, got {quantize!r} and --to {to}")
    if lesson and kind != "html":
        raise typer.BadParameter(f"--lesson goes with --to html, got --to {to}")
    if lean and kind != "html":
        raise typer.BadParameter(f"--lean goes with --to html, got --to {to}")
    if out is not None and out.exists() and not force:
        raise typer.BadParameter(f"{out} is already there; --force writes over it")
    folder = run if run.is_dir() else run.parent
    if kind == "html":
        _html(run, out or folder / f"{run.resolve().name}.html", data_dir, lesson or [], lean)
    else:
        _file(run, folder, kind, out, quantize is not None, data_dir)


def _html(run: Path, path: Path, data_dir: Path | None, lessons: list[Path], lean: bool) -> None:
    from lenet.files import write_atomically
    from lenet.lab.export import html
    from lenet.lab.lessons.reading import read_all
    from lenet.language.asked import known_language

    offered, language = read_all(lessons), known_language(None)
    content = html.of_run(run, data_dir, language, offered, lean=lean).encode()
    write_atomically(path, content)
    print(f"{path}  ({len(content) / 1e3:,.0f} kB)")


def _file(
    run: Path, folder: Path, kind: str, out: Path | None, int8: bool, data_dir: Path | None
) -> None:
    from lenet.cli.printing import complain, say
    from lenet.ship import exporting
    from lenet.ship.checking import ParityError

    form = exporting.FORMATS[kind]
    what = exporting.subject(run, data_dir, pictures=form.pictures)
    path = out or folder / f"{what.name}{'-int8' if int8 else ''}{form.ending}"
    try:
        made = form.write(what, path, int8) if form.int8 else form.write(what, path)
    except ParityError as error:
        raise typer.Exit(complain(str(error), 1)) from None
    for written in made.paths:
        size = f"  ({written.stat().st_size / 1e3:,.1f} kB)" if written.is_file() else ""
        print(f"{written}{size}")
    for remark in made.remarks:
        say(remark)
    print("how to use it:\n")
    for line in made.snippet.splitlines():
        print(f"    {line}".rstrip())
