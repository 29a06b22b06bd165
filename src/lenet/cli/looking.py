"""lenet evaluate and lenet inspect: what a network does, and what is in it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lenet.cli import completion
from lenet.cli.naming import network_of, network_or_run
from lenet.cli.options import DataDir, Json, RunOrModel, Threads, whole
from lenet.cli.printing import ascii_only, print_json, say, show

if TYPE_CHECKING:
    from lenet.looking import Picture


commands = typer.Typer()


@commands.command(
    epilog="""\
lenet evaluate runs/2026-11-21-d2l-1
lenet evaluate model.safetensors --data mnist --json
lenet evaluate runs/2026-11-21-d2l-1 --mistakes 24 --confusion
lenet evaluate runs/2026-11-21-d2l-1 --calibration --strangers mnist"""
)
def evaluate(
    run: RunOrModel,
    data: Annotated[
        str | None,
        typer.Option(
            help="Measure on these pictures in place of the run's.",
            autocompletion=completion.data_sets,
        ),
    ] = None,
    data_dir: DataDir = None,
    threads: Threads = None,
    mistakes: Annotated[
        int | None,
        typer.Option(
            parser=whole, metavar="N", help="List and draw the N most confident mistakes."
        ),
    ] = None,
    confusion: Annotated[
        bool, typer.Option("--confusion", help="Draw which class was mistaken for which.")
    ] = False,
    calibration: Annotated[
        bool, typer.Option("--calibration", help="Measure whether it is right as often as it says.")
    ] = False,
    strangers: Annotated[
        str | None,
        typer.Option(
            metavar="DATA",
            help="Measure how well it tells these pictures, which are of no class of its.",
            autocompletion=completion.data_sets,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="File or folder for the pictures; the run's folder by default."),
    ] = None,
    json: Json = False,
) -> None:
    """Measure a trained network on its test pictures: loss, accuracy, mistakes."""
    from lenet import data as datasets
    from lenet import looking, runs
    from lenet.looking import evaluation, reliability
    from lenet.training.calibration import of_notes as calibration_of_notes

    network, parameters, notes = runs.load_model_and_notes(run)
    folder = run if run.is_dir() else run.parent
    if data is None:
        data = runs.read(folder).recipe.data
    if remark := looking.ending(folder):
        print(f"lenet: {remark}", file=sys.stderr)
    split = datasets.load(data, data_dir, progress=sys.stderr.isatty()).test
    report = evaluation.evaluate(network, parameters, split, threads)
    found = None
    if mistakes is not None:
        temperature = calibration_of_notes(notes).temperature
        found = evaluation.mistakes(network, parameters, split, mistakes, threads, temperature)
    reliable = None
    if calibration or strangers is not None:
        others = None
        if strangers is not None:
            loaded = datasets.load(strangers, data_dir, progress=sys.stderr.isatty())
            others = (loaded.name, loaded.test)
        reliable = reliability.measure(network, parameters, notes, split, others, threads)
    if json:
        extra: dict[str, Any] = {}
        if found is not None:
            extra["mistakes"] = evaluation.mistakes_to_json(found, split.classes)
        if reliable is not None:
            extra["calibration"] = reliability.to_json(reliable)
        print_json({**evaluation.to_json(report), **extra})
    else:
        show(lambda width: evaluation.render(report, width))
        if reliable is not None:
            print()
            for sentence in reliability.sentences(reliable):
                say(sentence)
            print()
            show(lambda width: reliability.render(reliable))
        if found is not None:
            print()
            show(lambda width: evaluation.render_mistakes(found, split.classes))
    pictures = looking.mistake_pictures(network.name, report, split, found, confusion)
    if reliable is not None:
        pictures.append(looking.reliability_picture(network.name, reliable))
    if not json or out is not None:
        _write_pictures(pictures, split.classes, folder, network.name, out, tell=not json)


class _Inspect(typer.core.TyperCommand):
    """``inspect``, whose --explain stands alone or before a language."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """What remains of the arguments; Typer's options take always one value, or never."""
        spelled = []
        for place, word in enumerate(args):
            after = [other.lower() for other in args[place + 1 : place + 2]]
            alone = word == "--explain" and after not in (["en"], ["zh"])
            spelled.append("--explain=auto" if alone else word)
        return super().parse_args(ctx, spelled)


@commands.command(
    cls=_Inspect,
    epilog="""\
lenet inspect lenet                    each layer: shapes, parameters, costs
lenet inspect lenet-max --input 3x32x32 --classes 100
lenet inspect lenet --diagram --explain zh
lenet inspect runs/2026-11-21-d2l-1 --kernels --parameters
lenet inspect runs/2026-11-21-d2l-1 --features 17
lenet inspect runs/2026-11-21-d2l-1 --features dress:2 --out dress.png
lenet inspect runs/2026-11-21-d2l-1 --json""",
)
def inspect(
    network: Annotated[
        str,
        typer.Argument(
            help="A network's name, or a run's name, folder or model.",
            autocompletion=completion.networks_and_runs,
        ),
    ],
    kernels: Annotated[
        bool, typer.Option("--kernels", help="Print every number of every kernel, and draw them.")
    ] = False,
    features: Annotated[
        str | None,
        typer.Option(
            metavar="PICTURE",
            help="Draw every channel of every layer for a picture: its number in the test set, "
            "CLASS:NUMBER, or a file.",
        ),
    ] = None,
    parameters: Annotated[
        bool,
        typer.Option("--parameters", help="Print shapes, first values, statistics, histograms."),
    ] = False,
    diagram: Annotated[bool, typer.Option("--diagram", help="Draw the network, as SVG.")] = False,
    explain: Annotated[
        str | None,
        typer.Option(metavar="[en|zh]", help="Explain each layer in English or Chinese."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="File or folder for the pictures; the run's folder by default."),
    ] = None,
    input: Annotated[str | None, typer.Option(help="Picture shape, such as 3x32x32.")] = None,
    classes: Annotated[
        int | None, typer.Option(parser=whole, metavar="N", help="Number of classes.")
    ] = None,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Show a network layer by layer: shapes, costs, kernels, feature maps."""
    if not (kernels or features is not None or parameters or diagram or explain):
        from lenet.network import inspection

        table = inspection.table(network_of(network, input, classes))
        if json:
            print_json(inspection.to_json(table))
        else:
            show(lambda width: inspection.render(table, width))
        return
    import shutil

    from lenet import looking

    named = input is not None or classes is not None
    subject = looking.open_subject(
        network_of(network, input, classes) if named else network_or_run(network)
    )
    looks = looking.looks(
        subject,
        kernels=kernels,
        features=features,
        parameters=parameters,
        diagram=diagram,
        explain=explain is not None,
        language=None if explain in (None, "auto") else explain.lower(),
        data_dir=data_dir,
        progress=sys.stderr.isatty(),
        width=shutil.get_terminal_size().columns,  # 80 where there is no terminal
        ascii_only=ascii_only(),
    )
    if json:
        print_json({look.name: look.json for look in looks})
    else:
        remark = subject.remark if kernels or parameters or features else ""
        print("\n\n".join(filter(None, [remark, *(look.text for look in looks)])))
    if not json or out is not None:
        pictures = [picture for look in looks for picture in look.pictures]
        names = subject.network.classes
        _write_pictures(pictures, names, subject.folder, subject.network.name, out, tell=not json)


def _write_pictures(
    pictures: list[Picture],
    classes: tuple[str, ...],
    folder: Path | None,
    prefix: str,
    out: Path | None,
    *,
    tell: bool,
) -> None:
    """Write the pictures and print where; say so where their fonts lack the classes' names."""
    from lenet import looking

    paths = looking.write_pictures(pictures, folder, prefix, out)
    if not tell:
        return
    if remark := looking.font_remark(classes, pictures):
        print(f"lenet: {remark}", file=sys.stderr)
    for path in paths:
        print(path)
